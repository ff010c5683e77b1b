"""How did the loss of each training example go? The hardest ones, those that were forgotten, those learnt by heart.

The losses are those that the training computes anyway: with dropout, as augmentation showed the example, by the weights
of that step. They are kept at sixteen passes at most, of 200,000 examples at most, in half precision, so that memory is
bounded; when there is no room for a further pass, every second one is dropped. What is recorded changes nothing.

Legend: N watched examples, P recorded passes, B examples of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_PASSES = 16
MOST_ROWS = 200_000
_LISTED = 12
_LARGEST = 6e4  # near the end of half precision
_FEWEST_PASSES = 3
_HALF = 0.5

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Course:
    """How the loss of one example went.

    Args:
        place: its position among the training rows.
        losses: at each recorded pass, None where it was not seen.
        right: whether the answer was right there, None where it was not seen; None where nothing tells.
    """

    place: int
    losses: list[float | None]
    right: list[bool | None] | None


class RowWatch:
    """Records losses of examples as they are computed.

    Args:
        rows: number of training rows; of more than `MOST_ROWS` evenly spread ones are watched.
    """

    def __init__(self, rows: int) -> None:
        self.stride = max(1, -(-rows // MOST_ROWS))
        self.passes: list[int] = []
        self._every = 1
        self._rows = rows
        self._losses: Array = np.full((MOST_PASSES, -(-rows // self.stride)), np.nan, dtype=np.float16)
        self._right: Array | None = None

    @property
    def judged(self) -> bool:
        """Whether it was told which answers were right."""
        return self._right is not None

    def wants(self, number: int) -> bool:
        """Whether losses of this pass are recorded."""
        if number in self.passes:
            return True
        if number % self._every or (self.passes and number < self.passes[-1]):
            return False
        if len(self.passes) == MOST_PASSES:
            self._thin()
            if number % self._every:
                return False
        return True

    def saw(self, number: int, index: Array, losses: Array, right: Array | None) -> None:
        """Record examples of a pass that `wants` said yes to.

        Args:
            number: of the pass, from 0.
            index: (B,) positions among the training rows.
            losses: (B,); NaN for examples of which nothing is to be recorded.
            right: (B,) bool, or None.
        """
        if number not in self.passes:
            self.passes.append(number)
            self._losses[len(self.passes) - 1] = np.nan
        column = self.passes.index(number)
        watched = np.flatnonzero(index % self.stride == 0) if self.stride > 1 else slice(None)
        where = index[watched] // self.stride
        self._losses[column, where] = np.clip(losses[watched], -_LARGEST, _LARGEST)
        if right is not None:
            if self._right is None:
                self._right = np.zeros(self._losses.shape, dtype=np.bool_)
            self._right[column, where] = right[watched]

    def arrays(self) -> dict[str, Array]:
        """What a checkpoint keeps beside `state`."""
        used = max(1, len(self.passes))
        found = {"losses": self._losses[:used]}
        return found if self._right is None else {**found, "right": self._right[:used]}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"passes": list(self.passes), "every": self._every}

    def restore(self, state: dict[str, Any], arrays: dict[str, Array]) -> None:
        """The inverse of `state` and `arrays`.

        Raises:
            KeyError, TypeError, ValueError: they are of something else.
        """
        passes = [int(p) for p in state["passes"]]
        used = max(1, len(passes))
        if used > MOST_PASSES or arrays["losses"].shape != (used, self._losses.shape[1]):
            raise ValueError(f"{used} passes of {arrays['losses'].shape} losses")
        self._losses[:used] = arrays["losses"]
        if "right" in arrays:
            self._right = np.zeros(self._losses.shape, dtype=np.bool_)
            self._right[:used] = arrays["right"]
        self.passes, self._every = passes, max(1, int(state["every"]))

    def concluded(self, level: float | None) -> dict[str, Any] | None:
        """What is to be said of the examples; None where none was seen.

        Args:
            level: the loss below which an answer counts as right, where nothing else says so.

        Returns:
            {"passes": recorded ones, counted from 1, "watched": N, "rows": of all, "level", "hardest": up to twelve
            `Course`s}; where right and wrong can be told also "right": the share of right answers at each pass; and
            after three passes "always", "late", "forgotten", "never": shares of examples (those that are left were
            learnt in between), "late_rows", "forgotten_rows": up to twelve `Course`s each.
        """
        if not self.passes:
            return None
        losses = self._losses[: len(self.passes)].astype(np.float32)
        seen = np.isfinite(losses)
        right = None
        if self._right is not None:
            right = self._right[: len(self.passes)]
        elif level is not None:
            right = np.less(losses, level, where=seen, out=np.zeros_like(seen))
        found: dict[str, Any] = {
            "passes": [p + 1 for p in self.passes],
            "watched": int(losses.shape[1]),
            "rows": self._rows,
            "level": level if self._right is None else None,
        }
        hardness = hardest(losses, seen)
        ranked = np.argsort(-hardness, kind="stable")

        def courses(chosen: Array) -> list[Course]:
            return [self._course(int(n), losses, right, seen) for n in chosen[:_LISTED]]

        found["hardest"] = courses(ranked[np.isfinite(hardness[ranked])])
        if right is None:
            return found
        found["right"] = [_share(right[p], seen[p]) for p in range(len(self.passes))]
        if len(self.passes) < _FEWEST_PASSES:
            return found
        kinds = sorted_out(right, seen)
        known = seen.sum(axis=0) >= _FEWEST_PASSES
        for name in ("always", "late", "forgotten", "never"):
            found[name] = _share(kinds[name], known)
        for name in ("late", "forgotten"):
            # The surest cases first: those that were wrong longest, or fell back most often, and then the hardest.
            order = np.lexsort((-hardness, -kinds[f"{name}_by"]))
            found[f"{name}_rows"] = courses(order[(kinds[name] & known)[order]])
        return found

    def _course(self, place: int, losses: Array, right: Array | None, seen: Array) -> Course:
        there = seen[:, place]
        return Course(
            place * self.stride,
            [float(f"{v:.4g}") if s else None for v, s in zip(losses[:, place], there, strict=True)],
            None if right is None else [bool(v) if s else None for v, s in zip(right[:, place], there, strict=True)],
        )

    def _thin(self) -> None:
        """Make room: every second recorded pass is dropped."""
        self._losses[: MOST_PASSES // 2] = self._losses[::2].copy()
        self._losses[MOST_PASSES // 2 :] = np.nan
        if self._right is not None:
            self._right[: MOST_PASSES // 2] = self._right[::2].copy()
        self.passes = self.passes[::2]
        self._every *= 2


def hardest(losses: Array, seen: Array) -> Array:
    """(N,) mean loss over the later half of the recorded passes, -inf where an example was not seen in them.

    Args:
        losses: (P,N).
        seen: (P,N) bool.
    """
    late = slice(len(losses) // 2, None)
    count = seen[late].sum(axis=0)
    total = np.where(seen[late], losses[late], 0.0).sum(axis=0)
    mean: Array = np.where(count > 0, total / np.maximum(count, 1), -np.inf)
    return mean


def sorted_out(right: Array, seen: Array) -> dict[str, Array]:
    """Which examples were always right, learnt late, forgotten, or never right.

    Late ones are right to the end but were wrong at more than half of the passes: what a network fits so late is more
    often learnt by heart than by rule (Jiang et al. 2021, "Characterizing structural regularities of labeled data").
    Forgotten ones were right and then wrong again (Toneva et al. 2019), and wrong at the last pass or twice.

    Args:
        right: (P,N) bool.
        seen: (P,N) bool; what was not seen counts as it was seen last, or first.

    Returns:
        (N,) bool "always", "late", "forgotten", "never"; (N,) numbers "late_by" (passes at which it was wrong),
        "forgotten_by" (how often right turned to wrong).

    Example:
        >>> right = np.array([[True, False], [False, False], [True, True], [False, True]])
        >>> found = sorted_out(right, np.ones((4, 2), bool))
        >>> found["forgotten"].tolist(), found["forgotten_by"].tolist()
        ([True, False], [2, 0])
    """
    filled = _filled(right, seen)
    falls = (filled[:-1] & ~filled[1:]).sum(axis=0)
    wrong = (~filled).sum(axis=0)
    forgotten = (falls >= 2) | ((falls >= 1) & ~filled[-1])
    return {
        "always": wrong == 0,
        "never": wrong == len(filled),
        "forgotten": forgotten,
        "late": filled[-1] & (wrong > _HALF * len(filled)) & ~forgotten,
        "late_by": wrong,
        "forgotten_by": falls,
    }


def _filled(right: Array, seen: Array) -> Array:
    """Unseen passes take the value of the last seen one before them, or else of the first one."""
    filled = right.copy()
    for p in range(1, len(filled)):
        filled[p] = np.where(seen[p], filled[p], filled[p - 1])
    known = np.where(seen.any(axis=0), seen.argmax(axis=0), 0)
    first = np.take_along_axis(right, known[None], axis=0)[0]
    early = np.arange(len(filled))[:, None] < known[None]
    return np.where(early, first[None], filled)


def _share(which: Array, among: Array) -> float:
    count = int(among.sum())
    return float((which & among).sum() / count) if count else 0.0
