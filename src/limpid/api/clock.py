"""How much of the user's wall time is left."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Wall time of one call, from its first instruction.

    Args:
        started: `time.monotonic()` at the start; the command line passes the start of its process.
        budget: seconds, or None.
    """

    started: float
    budget: float | None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds until the budget ends, never below 0; None without a budget."""
        return None if self.budget is None else max(0.0, self.budget - self.elapsed)

    def deadline(self, reserve: float) -> float | None:
        """The `time.monotonic()` value `reserve` seconds before the budget ends; None without a budget."""
        return None if self.budget is None else self.started + self.budget - reserve
