"""Augmentation of series: what changes, what must not, and that it follows from the row."""

import numpy as np
import pytest
import torch

from limpid.core.forms import SeqShape
from limpid.data.augment_series import SeriesAugmentSpec
from limpid.layers.augment_series import SeriesAugment
from limpid.layers.draws import Draws

SHAPE = SeqShape(width=2, length=40)
ROWS = np.array([3, 8, 11])


def batch() -> dict[str, torch.Tensor]:
    time = torch.arange(40.0)
    values = torch.stack([torch.sin(time / 4), time / 20 - 1], dim=1).expand(3, 40, 2).clone()
    length = torch.tensor([40, 25, 0])
    values[1, 25:] = values[2] = 0
    return {"values": values, "length": length}


def change(passes: int = 0, rows: np.ndarray = ROWS, **settings: float) -> torch.Tensor:
    parts = {k: v[: len(rows)] for k, v in batch().items()}
    return SeriesAugment(SeriesAugmentSpec(**settings), SHAPE)(parts, Draws(7, passes, rows))["values"]


KINDS = ("jitter", "scaling", "magnitude_warp", "time_warp", "window")


@pytest.mark.parametrize("kind", KINDS)
def test_each_change_follows_from_row_and_pass_alone(kind: str) -> None:
    settings = {kind: 0.3}
    once = change(**settings)
    assert torch.equal(once, change(**settings))
    assert not torch.equal(once, change(1, **settings))
    assert not torch.equal(once, batch()["values"])
    alone = SeriesAugment(SeriesAugmentSpec(**settings), SHAPE)(
        {k: v[1:2] for k, v in batch().items()}, Draws(7, 0, ROWS[1:2])
    )
    assert torch.equal(alone["values"][0], once[1])


@pytest.mark.parametrize("kind", KINDS)
def test_padding_stays_zero_and_values_finite(kind: str) -> None:
    values = change(**{kind: 0.9})
    assert torch.isfinite(values).all()
    assert not values[1, 25:].any() and not values[2].any() and values[0].any()


def test_nothing_is_the_default() -> None:
    augment = SeriesAugment(SeriesAugmentSpec(), SHAPE)
    assert not augment
    assert torch.equal(augment(batch(), Draws(0, 0, ROWS))["values"], batch()["values"])
    assert torch.equal(change(jitter=0.5, share=0.0), batch()["values"])


def test_scaling_is_one_factor_for_each_channel() -> None:
    factor = change(scaling=0.3)[0] / batch()["values"][0]
    known = batch()["values"][0].abs() > 0.05
    for channel in range(2):
        found = factor[:, channel][known[:, channel]]
        assert float(found.std()) < 1e-5 and float(found[0]) > 0
    many = SeriesAugment(SeriesAugmentSpec(scaling=0.2), SeqShape(width=1, length=1))
    ones = {"values": torch.ones(4_000, 1, 1), "length": torch.ones(4_000)}
    logs = many(ones, Draws(0, 0, np.arange(4_000)))["values"].log()
    assert float(logs.mean()) == pytest.approx(0, abs=0.01) and float(logs.std()) == pytest.approx(0.2, abs=0.01)


def test_jitter_has_its_standard_deviation() -> None:
    shape = SeqShape(width=1, length=200)
    zeros = {"values": torch.zeros(100, 200, 1), "length": torch.full((100,), 200)}
    noise = SeriesAugment(SeriesAugmentSpec(jitter=0.05), shape)(zeros, Draws(0, 0, np.arange(100)))["values"]
    assert float(noise.std()) == pytest.approx(0.05, rel=0.02)


def test_time_goes_forward_and_a_window_stays_inside() -> None:
    ramp = change(time_warp=0.5, window=0.4)[0, :, 1]
    assert bool((ramp[1:] >= ramp[:-1]).all())
    assert float(ramp.min()) >= -1 and float(ramp.max()) <= batch()["values"][0, :, 1].max()
    warped = change(time_warp=0.5)[0, :, 1]
    assert float(warped[0]) == -1 and float(warped[-1]) == pytest.approx(39 / 20 - 1, abs=1e-4)
    window = change(window=0.4)[0, :, 1]
    steps = window[1:] - window[:-1]
    assert float(steps.std()) < 1e-5 and float(steps.mean()) < 1 / 20  # a part, stretched evenly


def test_marks_of_gaps_keep_their_values() -> None:
    parts = batch()
    parts["values"][..., 1] = (torch.arange(40) % 2 == 0).float() * (torch.arange(40) < parts["length"].view(-1, 1))
    augment = SeriesAugment(SeriesAugmentSpec(jitter=0.5, scaling=0.5, magnitude_warp=0.5, marks=True), SHAPE)
    changed = augment(dict(parts), Draws(0, 0, ROWS))["values"]
    assert torch.equal(changed[..., 1], parts["values"][..., 1])
    assert not torch.equal(changed[..., 0], parts["values"][..., 0])


def test_about_the_share_asked_for_is_changed() -> None:
    many = {"values": torch.ones(2_000, 40, 2), "length": torch.full((2_000,), 40)}
    augment = SeriesAugment(SeriesAugmentSpec(scaling=0.3, share=0.25), SHAPE)
    changed = augment(many, Draws(0, 0, np.arange(2_000)))["values"]
    assert float((changed != 1).any(dim=2).any(dim=1).float().mean()) == pytest.approx(0.25, abs=0.03)
