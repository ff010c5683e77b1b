"""Does the network learn at all? Signs that it does not, each said once in plain words with what to try."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from torch import nn

from limpid.core.events import GuardActed, Listener
from limpid.training.batches import Batch, Source
from limpid.training.judge import Judge, Verdict
from limpid.training.layer_watch import outputs_of_layers
from limpid.training.objective import Loss, constant_outputs
from limpid.training.state import Ledger, Position

_FEWEST = 10
_DEAD_SHARE = 0.9
_SAME = 1e-6
_PROBE_ROWS = 256
_TRIVIAL_ROWS = 2000
_TRIVIAL_EPOCH = 5


@dataclass(frozen=True)
class Advice:
    """A finding.

    Args:
        name: of the guard.
        what: what was found.
        fix: what to try.
    """

    name: str
    what: str
    fix: str


class Adviser:
    """Looks at the network after each epoch and says once what it finds.

    Args:
        tell: hears of it.
        train: training rows.
        judge: validation rows, or None.
        loss: per example.
        precision: of the forward pass.
    """

    def __init__(self, tell: Listener, train: Source, judge: Judge | None, loss: Loss, precision: str) -> None:
        self._tell, self._train, self._judge, self._loss, self._precision = tell, train, judge, loss, precision

    def look(self, model: nn.Module, position: Position, ledger: Ledger, verdict: Verdict | None) -> None:
        """Search for every sign that it does not learn.

        Args:
            model: the network that is trained.
            position, ledger: where the training stands; the ledger remembers what was said.
            verdict: of this epoch.
        """
        epoch = len(position.scores)
        found = [no_gradient(position.norm_sum)]
        if epoch & (epoch - 1) == 0:  # at epochs 1, 2, 4, 8, ...
            probe = self._train.take(np.arange(min(_PROBE_ROWS, ledger.valid_rows, len(self._train))))
            found.append(dead_units(model, probe, self._precision))
        if verdict is not None and self._judge is not None:
            found.append(unanswered(verdict, self._judge.source.rows))
            if epoch > 1:
                found.append(constant_prediction(verdict.outputs, self._judge.target))
            if epoch == _TRIVIAL_EPOCH:
                found.append(self._compare_with_constant(self._judge, verdict, position, ledger))
        self._say(found, position, ledger)

    def conclude(self, position: Position, ledger: Ledger, verdict: Verdict | None) -> None:
        """At the end: was it any better than a constant?

        Args:
            position, ledger: where the training stands.
            verdict: the last one, or None where nothing was validated.
        """
        if verdict is not None and self._judge is not None:
            self._say([self._compare_with_constant(self._judge, verdict, position, ledger)], position, ledger)

    def _say(self, found: list[Advice | None], position: Position, ledger: Ledger) -> None:
        for finding in found:
            if finding is not None and finding.name not in ledger.said:
                ledger.said.append(finding.name)
                self._tell(GuardActed(finding.name, position.step, finding.what, finding.fix))

    def _compare_with_constant(
        self, judge: Judge, verdict: Verdict, position: Position, ledger: Ledger
    ) -> Advice | None:
        sample = self._train.take(np.arange(0, len(self._train), max(1, len(self._train) // _TRIVIAL_ROWS)))
        constant = constant_outputs(self._loss, sample.target, verdict.outputs.shape[-1])
        trivial = judge.constant_loss(constant, ledger.valid_rows)
        losses = [loss for loss in (*position.losses, ledger.best_loss) if loss is not None]
        return no_better_than_constant(min(losses, default=None), trivial, max(1, len(position.losses)))


def unanswered(verdict: Verdict, rows: np.ndarray) -> Advice | None:
    """Whether some validation rows get no finite answer.

    Args:
        verdict: of the epoch.
        rows: source row numbers, by position.
    """
    if not len(verdict.bad_rows):
        return None
    first = int(rows[verdict.bad_rows[0]])
    return Advice(
        "validation",
        f"{len(verdict.bad_rows)} validation rows get no finite answer, row {first} among them",
        "look at the extreme values of this row; such rows are left out of the validation score",
    )


def constant_prediction(outputs: np.ndarray, target: np.ndarray) -> Advice | None:
    """Whether every example gets the same answer though the targets differ.

    Args:
        outputs: (N,K) or (N,M,K) raw outputs on validation rows.
        target: (N,...) their targets.
    """
    if len(outputs) < _FEWEST or (target == target[:1]).all():
        return None
    means = outputs.mean(axis=1) if outputs.ndim == 3 else outputs
    spread = means.max(axis=0) - means.min(axis=0)
    if (spread > _SAME * (1 + np.abs(means).max(axis=0))).any():
        return None
    return Advice(
        "constant prediction",
        f"the network gives all {len(outputs)} validation rows the same answer",
        "try a learning rate ten times lower, or less weight decay; if that does not help, the columns may not tell "
        "anything about the target: limpid inspect DATA --target COL",
    )


def dead_units(model: nn.Module, batch: Batch, precision: str) -> Advice | None:
    """Whether most hidden units give the same value for every example, so that nothing passes through them.

    Args:
        model: the network; its mode is put back.
        batch: training rows.
        precision: of the forward pass.
    """
    if len(batch) < _FEWEST:
        return None
    shown = [layer for layer in outputs_of_layers(model, batch, precision) if layer.dead is not None]
    worst = max(shown, key=lambda layer: float(layer.dead or 0.0), default=None)
    if worst is None or worst.dead is None or float(worst.dead) <= _DEAD_SHARE:
        return None
    return Advice(
        "dead network",
        f"{round(float(worst.dead) * worst.units)} of {worst.units} hidden units behind {worst.name} give the same "
        "value for every row",
        "try a learning rate ten times lower, or an activation that always passes a gradient (gelu, silu)",
    )


def no_gradient(norm_sum: float) -> Advice | None:
    """Whether the gradient was exactly zero in every step of an epoch."""
    if norm_sum != 0.0:
        return None
    return Advice(
        "dead network",
        "every gradient of the epoch was zero: the network cannot learn any more",
        "try a learning rate ten times lower, or an activation that always passes a gradient (gelu, silu)",
    )


def no_better_than_constant(best: float | None, trivial: float, epochs: int) -> Advice | None:
    """Whether the best validation loss is no better than that of the best constant answer.

    Args:
        best: the lowest validation loss so far.
        trivial: validation loss of the best constant outputs.
        epochs: epochs so far.
    """
    if not isfinite(trivial):
        return None
    if best is not None and best < trivial * (1 - 1e-3 if trivial > 0 else 1 + 1e-3):
        return None
    said = "not finite" if best is None else f"{best:.4g}"
    return Advice(
        "no better than a constant",
        f"after {epochs} epochs the best validation loss is {said}; the same answer for every row gives {trivial:.4g}",
        "look at limpid inspect DATA --target COL: are the right columns there? then try another learning rate "
        "(--set train.lr=range) and more epochs (--set train.epochs=N)",
    )
