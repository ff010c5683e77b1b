"""What does a training tell its listeners, and when?"""

from __future__ import annotations

from torch import nn

from limpid.core.contracts import Metric
from limpid.core.events import FIRST_STEPS, EpochEnded, Listener, StepEnded, TrainingStarted
from limpid.training.batches import Order
from limpid.training.clock import Clock
from limpid.training.judge import Verdict
from limpid.training.state import Position

_MISSING = float("nan")


class Reporter:
    """Turns the figures of the loop into events.

    Args:
        tell: hears them.
        order: knows the steps of an epoch.
        epochs: epochs at most.
        metric: that the training is judged by.
        clock: says when a step may be reported.
    """

    def __init__(self, tell: Listener, order: Order, epochs: int, metric: Metric, clock: Clock) -> None:
        self._tell, self._order, self._epochs, self._metric, self._clock = tell, order, epochs, metric, clock

    def started(self, model: nn.Module, position: Position, rows: int, device: str, precision: str) -> None:
        """The loop begins, or goes on."""
        self._tell(
            TrainingStarted(
                rows=rows,
                steps=self._epochs * self._order.steps_per_epoch,
                steps_per_epoch=self._order.steps_per_epoch,
                epochs=self._epochs,
                step=position.step,
                parameters=sum(p.numel() for p in model.parameters()),
                device=device,
                precision=precision,
                metric=self._metric.name,
                greater_is_better=self._metric.greater_is_better,
            )
        )

    def step(self, step: int, loss: float, lr: float, seconds: float) -> None:
        """A step ended; most of them are passed over, the first ones never."""
        if not self._clock.report_is_due() and step > FIRST_STEPS:
            return
        self._tell(
            StepEnded(
                step=step,
                epoch=self._epoch(step),
                loss=loss,
                lr=lr,
                rows_per_second=self._clock.rate,
                seconds=seconds,
                seconds_left=self._clock.seconds_left(self._epochs * self._order.steps_per_epoch - step),
            )
        )

    def epoch(self, position: Position, verdict: Verdict | None, best: bool, lr: float, seconds: float) -> None:
        """An epoch ended, or the part of one that the budget allowed."""
        self._tell(
            EpochEnded(
                epoch=self._epoch(position.step),
                step=position.step,
                train_loss=position.loss_sum / position.row_sum if position.row_sum else _MISSING,
                valid_loss=_MISSING if verdict is None or verdict.loss is None else verdict.loss,
                metric=_MISSING if verdict is None or verdict.score is None else verdict.score,
                best=best,
                lr=lr,
                gradient_norm=position.norm_sum / max(position.step_count, 1),
                update_ratio=position.ratio_sum / max(position.ratio_count, 1),
                rows_per_second=self._clock.rate,
                seconds=seconds,
            )
        )

    def _epoch(self, step: int) -> int:
        return (step - 1) // self._order.steps_per_epoch + 1
