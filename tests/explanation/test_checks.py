"""An attribution's own checks tell a good one from a bad one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explained import Columns, OfForm, assembled, summed
from torch import nn

from limpid.core.forms import FieldsShape
from limpid.explanation import checks
from limpid.explanation.attribution import Attribution, integrated_gradients

FOUR = np.array([3.0, -1.0, 0.5, 0.1])


def of(units: np.ndarray, total: float | None = None, method: str = "occlusion") -> Attribution:
    return Attribution(method, np.asarray(units, float), total)


def test_completeness_is_the_missing_share() -> None:
    good, bad = checks.completeness(of(FOUR, 2.6)), checks.completeness(of(FOUR, 5.2))
    assert good.passed is True
    assert good.value == pytest.approx(0, abs=1e-9)
    assert bad.passed is False
    assert bad.value == pytest.approx(0.5)
    assert "2.6 of 5.2" in bad.says
    assert checks.completeness(of(FOUR)).passed is None


def test_parts_that_cancel_are_judged_by_their_size() -> None:
    found = checks.completeness(of(np.array([5.0, -5.0, 0.01, 0.0]), 0.0))
    assert found.passed is True
    assert found.value == pytest.approx(0.01 / (0.1 * 10.01))


def test_agreement_is_the_median_likeness_with_others() -> None:
    same, turned = of(2 * FOUR, method="a"), of(-FOUR, method="b")
    assert checks.agreement(of(FOUR), [of(FOUR), same]).value == pytest.approx(1.0)
    lonely = checks.agreement(of(FOUR), [turned])
    assert lonely.value == pytest.approx(-1.0)
    assert lonely.passed is False
    assert checks.agreement(of(FOUR[:3]), [of(FOUR[:3], method="a")]).passed is None


def test_likeness_of_what_is_never_negative_is_a_correlation() -> None:
    one, two = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert checks.likeness(one, two) == pytest.approx(-1.0)
    assert checks.likeness(one, -two) == pytest.approx(np.corrcoef(one, -two)[0, 1])
    assert checks.likeness(FOUR, np.zeros(4)) == 0.0


def test_what_does_not_look_at_the_model_fails() -> None:
    unchanged, other = of(FOUR), of(np.array([-0.2, 0.1, 2.0, 1.5]))
    assert checks.randomised(of(FOUR), [unchanged] * 4).passed is False
    assert checks.randomised(of(FOUR), [other, of(-FOUR), unchanged, other]).passed is True


def test_a_shuffled_copy_holds_the_same_numbers_elsewhere() -> None:
    torch.manual_seed(0)
    shape = FieldsShape(numbers=tuple("abcd"), can_miss=(False,) * 4)
    inner = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    network = assembled(OfForm(inner, 2, "numbers"), "fields", shape)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    copied = checks.shuffled_copy(network, 0)
    for name, value in copied.state_dict().items():
        assert torch.equal(value.flatten().sort().values, before[name].flatten().sort().values)
        assert value.numel() < 4 or not torch.equal(value, before[name])
        assert torch.equal(network.state_dict()[name], before[name]), "the network itself was changed"
    row = Columns(np.array([1.0, -2.0, 0.5, 3.0]), np.zeros(4))
    question = summed(network, 2)
    found = integrated_gradients(question, row)
    others = [integrated_gradients(q, row) for q in checks.unlearnt(question)]
    assert len({tuple(o.units) for o in others}) == len(others) > 1
    assert all(checks.completeness(o).passed for o in others)
    assert not any(np.allclose(o.units, found.units) for o in others)
