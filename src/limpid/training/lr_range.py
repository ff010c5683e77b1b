"""Which learning rate suits a network? The range test of Smith (2017, arXiv 1506.01186).

The rate grows exponentially from step to step; the loss falls, then explodes. The suggestion is the rate at which the
smoothed loss fell most steeply, before it reached its lowest point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from torch import nn

from limpid.core.contracts import Task
from limpid.data.encoded import Encoded
from limpid.planning.train_spec import TrainSpec
from limpid.training.arithmetic import arithmetic, seed_step
from limpid.training.batches import Order, Source
from limpid.training.objective import Loss, example_losses, outputs_of, weighted
from limpid.training.optim import Optimisers

_SMOOTHING = 0.9
_EXPLODED = 4.0
_FALLBACK = 1e-3


@dataclass(frozen=True)
class LrRange:
    """Result of a range test.

    Args:
        lrs: the rates tried, rising.
        losses: the smoothed loss at each of them.
        suggested: the rate to train with.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    suggested: float


def lr_range(
    make_model: Callable[[], nn.Module],
    task: Task,
    train: Encoded,
    spec: TrainSpec,
    *,
    seed: int,
    device: str = "cpu",
    loss: Loss | None = None,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    interrupted: Callable[[], bool] = lambda: False,
) -> LrRange:
    """Run a range test on a network of its own.

    Args:
        make_model: gives a network with the first weights, which the test spoils.
        task: gives the loss and prepares the target.
        train: encoded training rows.
        spec: all but the rate, which is what the test is for.
        seed: of the run.
        device: "cpu" or "cuda".
        loss: instead of the task's.
        lowest, highest: rates of the first and the last step.
        steps: steps in all; the test ends sooner where the loss explodes.
        interrupted: asked before every step.
    """
    assert spec.batch != "auto" and spec.micro_batch != "auto" and spec.threads != "auto"
    with arithmetic(spec.threads, device):
        trial = make_model().to(device).train()
        source = Source(train, task.prepare_target, device)
        order = Order(len(source), min(spec.batch, spec.micro_batch), seed)
        rates = [lowest * (highest / lowest) ** (step / max(steps - 1, 1)) for step in range(steps)]
        tried = _climb(trial, source, order, loss or task.loss, spec, rates, seed, device, interrupted)
    lrs, losses = [lr for lr, _ in tried], [value for _, value in tried]
    return LrRange(tuple(lrs), tuple(losses), suggest(lrs, losses))


def _climb(
    trial: nn.Module,
    source: Source,
    order: Order,
    loss: Loss,
    spec: TrainSpec,
    rates: list[float],
    seed: int,
    device: str,
    interrupted: Callable[[], bool],
) -> list[tuple[float, float]]:
    """Rate and smoothed loss of each step until the loss explodes."""
    optimisers = Optimisers(trial, spec)
    tried: list[tuple[float, float]] = []
    mean = 0.0
    for step, lr in enumerate(rates):
        if interrupted():
            break
        seed_step(seed, step, device)
        batch = source.take(order.index(step))
        outputs = outputs_of(trial, batch, str(spec.precision))
        value = weighted(example_losses(loss, outputs, batch.target), batch.weight).mean()
        optimisers.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value.item()
        smooth = mean / (1 - _SMOOTHING ** (step + 1))
        if not isfinite(smooth) or (tried and smooth > _EXPLODED * abs(min(tried, key=lambda pair: pair[1])[1])):
            break
        tried.append((lr, smooth))
        optimisers.set_rate(lr)
        optimisers.step()
    return tried


def suggest(lrs: list[float], losses: list[float]) -> float:
    """The rate around which the loss falls most steeply per factor of the rate, up to its lowest point.

    The slope is that of a line through the points within a factor of ten, since single batches are noisy.

    Example:
        >>> suggest([1e-4, 1e-3, 1e-2, 1e-1, 1.0], [1.0, 0.95, 0.5, 0.4, 2.0])
        0.01
    """
    lowest = int(np.argmin(losses)) if losses else 0
    if lowest < 2:
        return _FALLBACK
    x, y = np.log10(lrs[: lowest + 1]), np.asarray(losses[: lowest + 1])
    half = max(1, round(0.5 / float(x[1] - x[0])))
    slopes = [
        np.polyfit(x[max(0, i - half) : i + half + 1], y[max(0, i - half) : i + half + 1], 1)[0]
        for i in range(min(half, lowest), max(lowest - half, half) + 1)
    ]
    steepest = min(half, lowest) + int(np.argmin(slopes))
    return float(f"{lrs[min(steepest, lowest)]:.2g}")
