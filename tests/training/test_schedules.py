"""Schedules against those of torch."""

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)
from training_doubles import settings

from limpid.training.schedules import plateau, rate_factor


def optimiser(lr: float = 1.0) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(scheduler, sgd, steps):
    found = []
    for _ in range(steps):
        found.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return found


def ours(steps, **changes):
    spec = settings(**changes)
    return [rate_factor(spec, step, steps) for step in range(steps)]


def test_constant_is_one():
    assert ours(10, schedule="constant", warmup=0.0) == [1.0] * 10


@pytest.mark.parametrize(("steps", "share"), [(30, 1 / 3), (100, 0.25), (7, 0.5)])
def test_step_is_torchs(steps, share):
    sgd = optimiser()
    theirs = rates(StepLR(sgd, step_size=round(share * steps), gamma=0.1), sgd, steps)
    assert ours(steps, schedule="step", warmup=0.0, decay=0.1, decay_every=share) == pytest.approx(theirs)


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_cosine_is_torchs(steps):
    sgd = optimiser()
    theirs = rates(CosineAnnealingLR(sgd, T_max=steps), sgd, steps)
    assert ours(steps, schedule="cosine", warmup=0.0) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("steps", "rise"), [(10, 0.3), (100, 0.3), (100, 0.1), (37, 0.45)])
def test_one_cycle_is_torchs(steps, rise):
    sgd = optimiser()
    exact = OneCycleLR(sgd, max_lr=1.0, total_steps=steps, pct_start=rise)
    theirs = [sgd.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        sgd.step()
        exact.step()
        theirs.append(sgd.param_groups[0]["lr"])
    assert ours(steps, schedule="one-cycle", warmup=rise) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_very_few_steps_stays_in_bounds(steps):
    assert all(0 < factor <= 1 for factor in ours(steps, schedule="one-cycle", warmup=0.3))


def test_warm_up_is_torchs_linear_one():
    steps, rising = 50, 10
    sgd = optimiser()
    warm = LinearLR(sgd, start_factor=1 / rising, total_iters=rising - 1)
    theirs = rates(warm, sgd, rising)
    assert ours(steps, schedule="cosine", warmup=rising / steps)[:rising] == pytest.approx(theirs)
    sgd = optimiser()
    cos = CosineAnnealingLR(sgd, T_max=steps - rising)
    assert ours(steps, schedule="cosine", warmup=rising / steps)[rising:] == pytest.approx(
        rates(cos, sgd, steps - rising), abs=1e-9
    )


@pytest.mark.parametrize("greater", [True, False])
def test_plateau_is_torchs(greater):
    scores = [1.0, 0.9, 0.95, 0.95, 0.96, 0.97, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.7]
    scores = [2 - s for s in scores] if greater else scores
    sgd = optimiser()
    theirs = ReduceLROnPlateau(sgd, mode="max" if greater else "min", factor=0.1, patience=2, threshold=0.0)
    for n, score in enumerate(scores):
        theirs.step(score)
        assert plateau(scores[: n + 1], greater, patience=2, decay=0.1) == pytest.approx(sgd.param_groups[0]["lr"])


def test_plateau_counts_a_score_that_is_not_finite_as_no_better():
    assert plateau([1.0, None, None], True, patience=1, decay=0.5) == 0.5
