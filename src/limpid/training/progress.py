"""What does a person see while a network is trained? One live line in a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
from math import ceil, isfinite
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from limpid.core.events import (
    EpochEnded,
    Event,
    GuardActed,
    Noted,
    StageEnded,
    StageStarted,
    StepEnded,
    TrainingEnded,
    TrainingStarted,
)

_PLAIN_LINES = 20
_WHY = {
    "epochs": "all epochs done",
    "early": "stopped early, the score no longer improved",
    "budget": "the budget is used up",
    "interrupted": "interrupted",
}


class Progress:
    """A listener that shows how far the training is, on stderr.

    Args:
        quiet: show nothing at all.
        console: where to show it; stderr by default.

    Example:
        >>> with Progress(quiet=True) as progress:
        ...     progress(Noted("look", "nothing is shown"))
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._live: Live | None = None
        self._training: TrainingStarted | None = None
        self._epoch: EpochEnded | None = None
        self._best: EpochEnded | None = None
        self._printed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        if self._quiet:
            return
        match event:
            case TrainingStarted():
                self._started(event)
            case StepEnded():
                self._show(self._step_line(event))
            case EpochEnded():
                self._ended(event)
            case TrainingEnded():
                self._finished(event)
            case GuardActed():
                self._print(f"! {event.what} (step {event.step:,}): {event.did}")
            case Noted() if event.level != "info":
                self._print(f"{'!' if event.level == 'warning' else '·'} {event.text}")
            case StageStarted():
                line = f"{event.stage}: {event.detail}" if event.detail else event.stage
                if self._training is None or self._console.is_terminal:
                    self._show(line)
                elif event.detail:  # what follows a training may take as long as it, so a log must say so
                    self._print(line)
            case StageEnded():
                self.close()

    def _started(self, event: TrainingStarted) -> None:
        self._training, self._epoch, self._best, self._printed = event, None, None, 0
        begins = f"going on at step {event.step:,}: " if event.step else ""
        self._print(
            f"training: {begins}{event.rows:,} rows, {event.epochs:,} epochs of {event.steps_per_epoch:,} steps "
            f"at most, {event.parameters:,} parameters, {event.precision} on {event.device}"
        )

    def _ended(self, event: EpochEnded) -> None:
        self._epoch = event
        if event.best:
            self._best = event
        if self._console.is_terminal:
            return  # the live line shows it
        every = max(1, ceil(self._training.epochs / _PLAIN_LINES)) if self._training else 1
        if event.epoch == 1 or event.epoch % every == 0:
            self._print(self._epoch_line(event))

    def _finished(self, event: TrainingEnded) -> None:
        self.close()
        if self._epoch is not None and self._printed != self._epoch.epoch and not self._console.is_terminal:
            self._print(self._epoch_line(self._epoch))
        name = self._training.metric if self._training else "score"
        best = f", best {name} {number(event.metric)} in epoch {event.best_epoch:,}" if isfinite(event.metric) else ""
        why = _WHY.get(event.stopped, event.stopped)
        self._print(f"trained: {event.epoch:,} epochs, {event.step:,} steps in {duration(event.seconds)}{best} ({why})")

    def _step_line(self, event: StepEnded) -> str:
        epochs = f"/{self._training.epochs}" if self._training else ""
        left = "" if event.seconds_left is None else f"  {duration(event.seconds_left)} left"
        score = ""
        if self._epoch is not None and self._training is not None and isfinite(self._epoch.metric):
            score = f"  {self._training.metric} {number(self._epoch.metric)}"
            if self._best is not None and self._best is not self._epoch:
                score += f" (best {number(self._best.metric)})"
        return (
            f"epoch {event.epoch}{epochs}  loss {number(event.loss)}{score}  rate {event.lr:.2g}  "
            f"{event.rows_per_second:,.0f} rows/s{left}"
        )

    def _epoch_line(self, event: EpochEnded) -> str:
        self._printed = event.epoch
        epochs = f"/{self._training.epochs}" if self._training else ""
        name = self._training.metric if self._training else "score"
        score = f"  {name} {number(event.metric)}{' *' if event.best else ''}" if isfinite(event.metric) else ""
        valid = f"  valid {number(event.valid_loss)}" if isfinite(event.valid_loss) else ""
        return (
            f"epoch {event.epoch}{epochs}  loss {number(event.train_loss)}{valid}{score}  rate {event.lr:.2g}  "
            f"{event.rows_per_second:,.0f} rows/s"
        )

    def _print(self, line: str) -> None:
        # Text, not markup: names of columns may hold square brackets.
        self._console.print(Text(line), soft_wrap=True)

    def _show(self, line: str) -> None:
        if not self._console.is_terminal:
            return
        text = Text(line, no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = Live(text, console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(text, refresh=True)


def number(value: float) -> str:
    """A figure with about four digits, without an exponent where people would not write one.

    Example:
        >>> number(0.92714), number(47312.4), number(0.00001234)
        ('0.9271', '47,312', '1.23e-05')
    """
    if not isfinite(value):
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """A length of time.

    Example:
        >>> duration(7.25), duration(95), duration(7380)
        ('7.2 s', '1 min 35 s', '2 h 03 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
