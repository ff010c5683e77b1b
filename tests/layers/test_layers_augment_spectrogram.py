"""Spectrograms in training: drawn by row, what is absent stays absent, nothing is changed where nothing is asked."""

from __future__ import annotations

import numpy as np
import torch

from limpid.core.forms import GridShape, SeqShape
from limpid.data.augment_spectrogram import SpectrogramAugmentSpec
from limpid.layers.augment_spectrogram import SpectrogramAugment
from limpid.layers.draws import Draws

GRID = GridShape(channels=1, height=40, width=60, mean=(0.0,), std=(1.0,))
SEQ = SeqShape(width=40, length=60)
NOTHING = {name: 0 for name in SpectrogramAugmentSpec.model_fields}


def draws(rows: list[int], passes: int = 0) -> Draws:
    return Draws(0, passes, np.array(rows))


def grid(rows: int) -> dict[str, torch.Tensor]:
    values = torch.randn(rows, 1, 40, 60, generator=torch.Generator().manual_seed(1)).half()
    return {"pixels": values, "present": torch.ones(rows, dtype=torch.uint8)}


def only(**changes: float) -> SpectrogramAugmentSpec:
    return SpectrogramAugmentSpec(**{**NOTHING, **changes})


def test_nothing_is_changed_where_nothing_is_asked() -> None:
    augment = SpectrogramAugment(only(), GRID)
    assert not augment and torch.equal(augment(grid(3), draws([0, 1, 2]))["pixels"], grid(3)["pixels"].float())
    assert not SpectrogramAugment(only(shift=0.1), SEQ) and SpectrogramAugment(only(shift=0.1), GRID)


def test_a_row_is_changed_alike_in_any_batch_and_otherwise_in_another_pass() -> None:
    augment = SpectrogramAugment(SpectrogramAugmentSpec(), GRID)
    all_, parts = augment(grid(4), draws([3, 5, 7, 9])), grid(4)
    one = augment({name: value[2:3] for name, value in parts.items()}, draws([7]))
    assert torch.allclose(all_["pixels"][2:3], one["pixels"], atol=1e-6)
    assert not torch.equal(augment(grid(4), draws([3, 5, 7, 9], 1))["pixels"], all_["pixels"])


def test_masks_hide_stretches_of_bounded_size() -> None:
    parts = {"pixels": torch.ones(200, 1, 40, 60), "present": torch.ones(200)}
    out = SpectrogramAugment(only(time_masks=1, time_mask=0.2), GRID)(parts, draws(list(range(200))))["pixels"]
    hidden = (out == 0).all(dim=2).squeeze(1)
    assert ((out == 0).any(dim=2).squeeze(1) == hidden).all()
    counts = hidden.sum(dim=1)
    assert counts.max() == 12 and counts.min() == 0 and 4.5 < counts.float().mean() < 7.5
    assert ((hidden[:, 1:] != hidden[:, :-1]).sum(dim=1) <= 2).all()
    out = SpectrogramAugment(only(frequency_masks=2, frequency_mask=0.1), GRID)(parts, draws(list(range(200))))[
        "pixels"
    ]
    assert (out == 0).all(dim=3).sum(dim=2).max() <= 8


def test_a_shift_moves_in_time_and_a_pitch_in_bands() -> None:
    parts = {"pixels": torch.zeros(100, 1, 40, 60), "present": torch.ones(100)}
    parts["pixels"][:, 0, 20, 30] = 1.0
    moved = SpectrogramAugment(only(shift=0.1), GRID)(parts, draws(list(range(100))))["pixels"][:, 0]
    where = moved.sum(dim=1).argmax(dim=1) - 30
    assert where.min() >= -6 and where.max() <= 6 and where.min() < -3 and where.max() > 3
    assert (moved.sum(dim=2).argmax(dim=1) == 20).all()
    raised = SpectrogramAugment(only(pitch=0.1), GRID)(parts, draws(list(range(100))))["pixels"][:, 0]
    assert (raised.sum(dim=1).argmax(dim=1) == 30).all()
    assert (raised.sum(dim=2).argmax(dim=1) - 20).abs().max() in (3, 4)


def test_gain_is_one_number_and_noise_many() -> None:
    parts = {"pixels": torch.zeros(300, 1, 40, 60), "present": torch.ones(300)}
    louder = SpectrogramAugment(only(gain=0.5), GRID)(parts, draws(list(range(300))))["pixels"]
    assert (louder == louder[:, :, :1, :1]).all() and 0.45 < louder.abs().max() <= 0.5
    noisy = SpectrogramAugment(only(noise=0.5), GRID)(parts, draws(list(range(300))))["pixels"]
    assert abs(float(noisy.mean())) < 0.01 and 0.2 < float(noisy.std()) < 0.4


def test_what_is_not_there_stays_zero() -> None:
    parts = grid(3)
    parts["present"][1] = 0
    parts["pixels"][1] = 0
    out = SpectrogramAugment(SpectrogramAugmentSpec(), GRID)(parts, draws([0, 1, 2]))
    assert not out["pixels"][1].any() and out["pixels"][0].any()
    length = torch.tensor([60, 0, 17])
    values = torch.randn(3, 60, 40) * (torch.arange(60) < length.view(-1, 1)).unsqueeze(2)
    seq = SpectrogramAugment(SpectrogramAugmentSpec(), SEQ)({"values": values, "length": length}, draws([0, 1, 2]))
    assert seq["values"].shape == (3, 60, 40) and torch.equal(seq["length"], length)
    assert not seq["values"][1].any() and not seq["values"][2, 17:].any() and seq["values"][2, :17].any()
