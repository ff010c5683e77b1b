"""How good is the network on validation rows? Raw outputs of all of them, their loss and the task's first metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor, nn

from limpid.core.contracts import Metric, Task
from limpid.data.encoded import Encoded
from limpid.training.batches import Source
from limpid.training.guards import is_out_of_memory, no_memory
from limpid.training.objective import Loss, example_losses, outputs_of, weighted
from limpid.training.state import Ledger


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


class Judge:
    """Validation rows and what they are judged by.

    Args:
        source: the rows, for the network.
        data: the same rows, for the metric.
        task, metric, loss: what is asked of them.
        precision: of the forward pass.
        interrupted: asked between two passes.
    """

    def __init__(
        self,
        source: Source,
        data: Encoded,
        task: Task,
        metric: Metric,
        loss: Loss,
        precision: str,
        interrupted: Callable[[], bool],
    ) -> None:
        assert data.target is not None
        self.source, self.target, self.weight = source, data.target, data.weight
        self._task, self._metric, self._loss = task, metric, loss
        self._precision, self._interrupted = precision, interrupted

    def __len__(self) -> int:
        return len(self.source)

    def verdict(self, model: nn.Module, ledger: Ledger) -> Verdict:
        """Judge the network as it is; where memory runs out, with fewer rows at a time from then on.

        Raises:
            Interrupted: the training was asked to stop.
            TrainingError: not even one row fits into memory.
        """
        while True:
            try:
                outputs, losses = self._pass(model, ledger.valid_rows)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if ledger.valid_rows == 1:
                    raise no_memory(1, str(error)) from error
            ledger.valid_rows //= 2
        bad = np.flatnonzero(~np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1))
        if len(bad) == len(outputs):
            return Verdict(None, None, outputs, bad)
        good = np.setdiff1d(np.arange(len(outputs)), bad) if len(bad) else slice(None)
        weight = None if self.weight is None else self.weight[good]
        score = float(self._metric.compute(self.target[good], self._task.predict(outputs[good]), weight))
        loss = float(losses[good].mean())
        return Verdict(score if isfinite(score) else None, loss if isfinite(loss) else None, outputs, bad)

    def constant_loss(self, constant: Tensor, rows: int) -> float:
        """Mean loss of the same outputs for every row."""
        with torch.no_grad():
            each = [
                weighted(self._loss(constant.expand(len(batch), -1), batch.target), batch.weight)
                for batch in self.source.in_order(rows)
            ]
        return float(torch.cat(each).double().mean())

    def _pass(self, model: nn.Module, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Raw outputs and (N,) weighted losses of all rows; the network's mode is put back."""
        outputs: list[Tensor] = []
        losses: list[Tensor] = []
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                for batch in self.source.in_order(rows):
                    if self._interrupted():
                        raise Interrupted
                    given = outputs_of(model, batch, self._precision).detach()
                    outputs.append(given.cpu())
                    losses.append(weighted(example_losses(self._loss, given, batch.target), batch.weight).cpu())
        finally:
            model.train(training)
        return torch.cat(outputs).numpy(), torch.cat(losses).numpy().astype(np.float64)
