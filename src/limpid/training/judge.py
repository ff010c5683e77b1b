"""How good is the network on validation rows? Raw outputs of all of them, their loss and the task's first metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor, nn

from limpid.core.contracts import Metric, Task
from limpid.training.batches import Source
from limpid.training.objective import Loss, example_losses, outputs_of, weighted


@dataclass(frozen=True)
class Verdict:
    """What validation said.

    Args:
        score: of the metric, None where it is not finite.
        loss: weighted mean, None where it is not finite.
        outputs: (N,K) or (N,M,K) raw outputs.
        bad_rows: positions of rows whose output is not finite; they are left out of score and loss.
    """

    score: float | None
    loss: float | None
    outputs: np.ndarray
    bad_rows: np.ndarray


class Interrupted(Exception):
    """The validation was given up, because the training was asked to stop."""


def judge(
    model: nn.Module,
    source: Source,
    target: np.ndarray,
    task: Task,
    metric: Metric,
    loss: Loss,
    *,
    rows: int,
    precision: str,
    interrupted: Callable[[], bool],
) -> Verdict:
    """Validate the network as it is; its mode is put back.

    Args:
        model: the network.
        source: validation rows.
        target: their targets, as the metric wants them.
        rows: rows in one forward pass.
        precision: of the forward pass.
        interrupted: asked between two passes.

    Raises:
        Interrupted: where `interrupted` says so.
    """
    outputs: list[Tensor] = []
    losses: list[Tensor] = []
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in source.in_order(rows):
                if interrupted():
                    raise Interrupted
                given = outputs_of(model, batch, precision)
                outputs.append(given.cpu())
                losses.append(weighted(example_losses(loss, given, batch.target), batch.weight).cpu())
    finally:
        model.train(training)
    raw = torch.cat(outputs).numpy()
    each = torch.cat(losses).numpy().astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(raw.reshape(len(raw), -1)).all(axis=1))
    if len(bad) == len(raw):
        return Verdict(None, None, raw, bad)
    good = np.setdiff1d(np.arange(len(raw)), bad) if len(bad) else slice(None)
    weight = None if source.raw_weight is None else source.raw_weight[good]
    score = float(metric.compute(target[good], task.predict(raw[good]), weight))
    mean = float(each[good].mean())
    return Verdict(score if isfinite(score) else None, mean if isfinite(mean) else None, raw, bad)
