"""Which learning rate suits a network? The range test of Smith (2017, arXiv 1506.01186).

The rate grows exponentially from step to step; the loss falls, then explodes. The suggestion is the rate at which the
smoothed loss fell most steeply, before it reached its lowest point.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from torch import nn

from limpid.planning.train_spec import TrainSpec
from limpid.training.arithmetic import seed_step
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
    model: nn.Module,
    source: Source,
    loss: Loss,
    spec: TrainSpec,
    *,
    seed: int,
    device: str,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    interrupted: Callable[[], bool] = lambda: False,
) -> LrRange:
    """Run a range test on a copy of a network; the network itself stays as it is.

    Args:
        model: the network with its first weights.
        source: training rows.
        loss: per example.
        spec: batch, optimiser, weight decay and precision are taken from it.
        seed: of the run; the rows are those of epochs that are not trained on in this order.
        device: where the network lives.
        lowest, highest: rates of the first and the last step.
        steps: steps in all; the test ends sooner where the loss explodes.
        interrupted: asked before every step.
    """
    assert spec.batch != "auto" and spec.micro_batch != "auto" and spec.precision != "auto"
    trial = copy.deepcopy(model).train()
    optimisers = Optimisers(trial, spec)
    order = Order(len(source), min(spec.batch, spec.micro_batch), seed)
    lrs: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step in range(steps):
        if interrupted():
            break
        lr = lowest * (highest / lowest) ** (step / max(steps - 1, 1))
        seed_step(seed, step, device)
        batch = source.take(order.index(step))
        outputs = outputs_of(trial, batch, spec.precision)
        value = weighted(example_losses(loss, outputs, batch.target), batch.weight).mean()
        optimisers.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value.item()
        smooth = mean / (1 - _SMOOTHING ** (step + 1))
        if not isfinite(smooth) or (losses and smooth > _EXPLODED * abs(min(losses))):
            break
        lrs.append(lr)
        losses.append(smooth)
        optimisers.set_rate(lr)
        optimisers.step()
    return LrRange(tuple(lrs), tuple(losses), suggest(lrs, losses))


def suggest(lrs: list[float], losses: list[float]) -> float:
    """The rate at which the loss falls most steeply per factor of the rate, up to its lowest point.

    Example:
        >>> suggest([1e-4, 1e-3, 1e-2, 1e-1, 1.0], [1.0, 0.95, 0.5, 0.4, 2.0])
        0.01
    """
    if len(lrs) < 3:
        return _FALLBACK
    lowest = int(np.argmin(losses))
    if lowest < 1:
        return _FALLBACK
    slopes = np.diff(losses[: lowest + 1]) / np.diff(np.log(lrs[: lowest + 1]))
    return float(f"{lrs[int(np.argmin(slopes)) + 1]:.2g}")
