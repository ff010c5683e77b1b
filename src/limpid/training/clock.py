"""What in a training may depend on the time: when it stops under a budget, when it saves, how often it reports.

None of it changes the numbers of a step. Without a deadline no decision reads the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_REPORTS_PER_SECOND = 4
_CAUTION = 1.25
_MEMORY = 0.1


class Clock:
    """Measures steps and validations and says what still fits.

    Args:
        deadline: `time.monotonic()` value that must not be passed, or None.
        checkpoint_seconds: time between two checkpoints.
        now: reads the time; tests hand in their own.
    """

    def __init__(
        self, deadline: float | None, checkpoint_seconds: float, now: Callable[[], float] | None = None
    ) -> None:
        self.now = now or time.monotonic
        self.deadline = deadline
        self.started = self.now()
        self._checkpoint_seconds = checkpoint_seconds
        self._saved = self.started
        self._save_seconds = 0.0
        self._reported = float("-inf")
        self._step_seconds: float | None = None
        self._steady: float | None = None
        self._mark: tuple[float, int, float] | None = None
        self._looked = 0.0
        self._valid_seconds: float | None = None
        self._steps = 0
        self.rate = 0.0

    def step_took(self, seconds: float, rows: int) -> None:
        """Note the length of a step; the first one, which warms up, is forgotten as soon as there is a second."""
        self._steps += 1
        if self._step_seconds is None or self._steps == 2:
            self._step_seconds = seconds
        else:
            self._step_seconds += _MEMORY * (seconds - self._step_seconds)
        if seconds > 0:
            rate = rows / seconds
            self.rate = rate if self._steps <= 2 else self.rate + _MEMORY * (rate - self.rate)

    def validation_took(self, seconds: float) -> None:
        """Note the length of a validation."""
        self._valid_seconds = seconds
        self._looked += seconds

    def save_took(self, seconds: float) -> None:
        """Note the length of a save, and that it has just happened."""
        self._save_seconds = seconds
        self._saved = self.now()

    def must_stop(self, *, valid_to_train: float) -> bool:
        """Whether one more step, the validation after it and a last save would go past the deadline.

        Args:
            valid_to_train: validation rows per row of a step, from which a first validation's length is guessed.
        """
        if self.deadline is None or self._steps == 0:
            return False
        step = self._step_seconds or 0.0
        # A forward pass is about a third of a step; the guess is on the safe side.
        valid = self._valid_seconds if self._valid_seconds is not None else 0.5 * step * valid_to_train
        return self.now() + _CAUTION * (step + valid + self._save_seconds) > self.deadline

    def room(self, looks: int) -> int | None:
        """How many further steps fit before the deadline, from their mean length since this was last asked.

        None without a deadline, and when it is asked for the first time.

        Args:
            looks: at the validation rows, that are still to come.
        """
        if self.deadline is None:
            return None
        now, since = self.now(), self._mark
        self._mark = (now, self._steps, self._looked)
        if since is None or self._steps == since[1]:
            return None
        # All that steps bring with them counts, such as reports; what looks took is known by itself.
        step = (now - since[0] - (self._looked - since[2])) / (self._steps - since[1])
        self._steady = step if self._steady is None else 0.5 * (self._steady + step)
        other = looks * (self._valid_seconds or 0.0) + _CAUTION * self._save_seconds
        return int((self.deadline - now - other) / max(self._steady, 1e-9))

    def save_is_due(self, *, epoch_ended: bool) -> bool:
        """Whether it is time for a checkpoint: every `checkpoint_seconds`, a little earlier at the end of an epoch."""
        waited = self.now() - self._saved
        return waited >= self._checkpoint_seconds * (0.5 if epoch_ended else 1.0)

    def report_is_due(self) -> bool:
        """Whether a step may be reported, a few times a second at most."""
        now = self.now()
        if now - self._reported < 1 / _REPORTS_PER_SECOND:
            return False
        self._reported = now
        return True

    def seconds(self) -> float:
        """Time since the loop began."""
        return self.now() - self.started

    def seconds_left(self, steps_left: int) -> float | None:
        """Time that is left: for the steps that are left, or until the deadline if that is sooner."""
        if self._step_seconds is None:
            return None
        need = steps_left * self._step_seconds
        return need if self.deadline is None else max(0.0, min(need, self.deadline - self.now()))
