"""How far along its schedule is a training, if the clock has moved its end?

A schedule falls to its lowest rate at the last planned step. Where the machine turns out slower than it was measured,
that step would never come: the clock would stop the training with its rate still high, which costs more than the steps
that are missing. So the rest of the schedule is compressed into the steps that still fit.
"""

from __future__ import annotations

from collections.abc import Sequence

Turn = tuple[int, int]
"""A step, and the number of steps of the whole training that is aimed at from then on."""

_CHECKS = 40  # looks at the clock in a training
_LEAST_STEPS = 20  # between two of them, for a mean that a single slow step does not move much
_TOLERANCE = 0.02  # of the steps, that the end may be off before it is moved


class Course:
    """Steps as they are taken, and where they stand on the planned schedule.

    Args:
        steps: planned, all together.
        turns: where the end was moved, in their order.

    Example:
        >>> course = Course(100, [(50, 75)])
        >>> course.place(40), course.place(50), course.place(60), course.end
        (40.0, 50.0, 70.0, 75)
    """

    def __init__(self, steps: int, turns: Sequence[Turn] = ()) -> None:
        self.steps = steps
        self.turns = [(int(step), int(end)) for step, end in turns]
        self.check_every = max(_LEAST_STEPS, steps // _CHECKS)

    @property
    def end(self) -> int:
        """The step at which the training is over."""
        return self.turns[-1][1] if self.turns else self.steps

    def place(self, step: int) -> float:
        """Where a step stands on the planned schedule, in planned steps."""
        at, place, end = 0, 0.0, self.steps
        for turn, later in self.turns:
            if turn > step:
                break
            place = self._along(place, at, end, turn)
            at, end = turn, later
        return self._along(place, at, end, step)

    def _along(self, place: float, at: int, end: int, step: int) -> float:
        if step >= end:
            return float(self.steps)
        return place + (self.steps - place) * (step - at) / (end - at)

    def fit(self, step: int, room: int) -> bool:
        """Move the end to where `room` more steps lead, if that differs; never beyond the plan.

        Args:
            step: steps done.
            room: further steps that there is time for.

        Returns:
            whether the end was moved.
        """
        end = min(self.steps, step + max(room, 1))
        if step >= self.end or abs(end - self.end) <= _TOLERANCE * self.steps:
            return False
        self.turns = [turn for turn in self.turns if turn[0] < step] + [(step, end)]
        return True
