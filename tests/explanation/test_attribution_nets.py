"""Integrated gradients of every net of the catalogue add up to the difference that they divide."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from explained import Values, arrays_of, assembled, summed

from limpid.explanation.attribution import incompleteness, integrated_gradients, unreached
from limpid.explanation.checks import COMPLETE, completeness

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from net_examples import CASES, example, kind_of, made, shape_of

pytestmark = pytest.mark.slow

NO_GRADIENT = {"convkernel"}  # it counts how often a value is positive, which no small change alters

MEANS = {("bag", "vectors"), ("fasttext", "vectors")}
"""They read the mean of a series alone, which is its baseline."""


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_parts_add_up(name: str, variant: str) -> None:
    shape, form = shape_of(name, variant), kind_of(name).takes
    net = made(name, shape)
    torch.manual_seed(1)
    network = assembled(net, form, shape, torch.nn.Linear(net.width, 3))
    arrays = arrays_of(example(shape, 6, seed=4), network.inputs[0])
    question = summed(network, 3)
    baseline = {k: v[:1] for k, v in arrays.items()}
    differences = []
    for n in range(1, 4):
        row = Values({k: v[n : n + 1] for k, v in arrays.items()}, baseline, {network.inputs[0]: shape})
        found = integrated_gradients(question, row)
        assert unreached(question, row) == (network.inputs if name in NO_GRADIENT else [])
        differences.append(abs(found.total))
        if (name, variant) in MEANS:
            assert found.total == pytest.approx(0, abs=1e-6)
        elif name in NO_GRADIENT:
            assert completeness(found).passed is (abs(found.total) <= 1e-4), "a failure that should be told"
        else:
            assert incompleteness(found) <= COMPLETE, (found.total, found.units.sum())
    assert (name, variant) in MEANS or max(differences) > 0, "the rows say the same as the baseline"
