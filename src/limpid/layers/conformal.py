"""Intervals that hold the truth nine times out of ten, whatever the model: split conformal prediction.

The width follows how hard a row looks (Papadopoulos et al. 2002; Lei et al. 2018): a small regression of the size of
errors on the predicted value and on the members' disagreement, fitted on one half of the validation rows; the other
half only counts how wide it must be, which is what makes the coverage valid for rows drawn alike. Both sides have a
quantile of their own, so that skewed errors get skewed intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from limpid.core.errors import BundleError
from limpid.core.seeds import generator

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
_ADAPTIVE_FROM = 200  # validation rows; below, all of them count a constant width
_TWO_SIDED_FROM = 40  # rows that a tail of 5 % needs at the least
_KNOTS = 5
_MOST_STRETCH = 10.0


@dataclass(frozen=True)
class Widths:
    """What was found on validation rows for one target.

    Args:
        low, high: offsets of the bounds, in units of the difficulty.
        knots: predicted values between which the difficulty bends, empty for a constant one.
        at_knots: log of the difficulty at each knot.
        by_spread: power of the members' spread (standard deviation) in the difficulty.
        spread_floor: spread below which members count as agreeing; with it, 0 spread is defined.
        rows: validation rows that counted the offsets.
    """

    low: float
    high: float
    knots: tuple[float, ...]
    at_knots: tuple[float, ...]
    by_spread: float
    spread_floor: float
    rows: int

    @classmethod
    def fit(cls, value: Floats, truth: Floats, spread: Floats | None, weight: Floats | None) -> Self:
        """Find the widths.

        Args:
            value: (N,) predictions of validation rows, in the target's units.
            truth: (N,) their targets.
            spread: (N,) standard deviation over members, or None without members.
            weight: (N,) sample weights or None.
        """
        mass = np.ones(len(value)) if weight is None else np.asarray(weight, dtype=np.float64)
        known = np.isfinite(value) & np.isfinite(truth) & (mass > 0)
        value, truth, mass = value[known], truth[known], mass[known]
        spread = None if spread is None else spread[known]
        if len(value) < _ADAPTIVE_FROM:
            return cls._count(cls(0.0, 0.0, (), (), 0.0, 1.0, 0), value, truth, spread, mass)
        order = generator(0, "conformal", len(value)).permutation(len(value))
        first, second = order[: len(order) // 2], order[len(order) // 2 :]
        shape = cls._shape(value[first], truth[first], None if spread is None else spread[first], mass[first])
        return cls._count(shape, value[second], truth[second], None if spread is None else spread[second], mass[second])

    @classmethod
    def around(cls, lower: Floats, upper: Floats, truth: Floats, weight: Floats | None) -> Self:
        """Offsets that move predicted quantiles until they hold the truth (Romano et al. 2019)."""
        mass = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=np.float64)
        known = np.isfinite(lower) & np.isfinite(upper) & (mass > 0)
        outside = np.maximum(lower - truth, truth - upper)[known]
        shift = upper_quantile(outside, COVERAGE, mass[known])
        return cls(-shift, shift, (), (), 0.0, 1.0, len(outside))

    @classmethod
    def _shape(cls, value: Floats, truth: Floats, spread: Floats | None, mass: Floats) -> Self:
        error = np.abs(truth - value)
        typical = float(np.average(error, weights=mass))
        if typical <= 0:
            return cls(0.0, 0.0, (), (), 0.0, 1.0, 0)
        knots = np.unique(np.quantile(value, np.linspace(0.02, 0.98, _KNOTS)))
        floor = 1.0 if spread is None else float(np.median(spread)) * 0.05 or 1.0
        columns = _hats(value, knots)
        if spread is not None:
            columns = np.column_stack([columns, _log_spread(spread, floor)])
        # log|error| of a normal error is skewed and lies .635 below log sigma; the offsets absorb the constant.
        wanted = np.log(error + 0.05 * typical)
        middle = float(np.average(wanted, weights=mass))
        ridge = 2.0 * float(mass.mean()) * np.eye(columns.shape[1])
        scaled = columns * mass[:, None]
        found = np.linalg.solve(columns.T @ scaled + ridge, scaled.T @ (wanted - middle))
        by_spread = 0.0 if spread is None else float(np.clip(found[-1], 0.0, 1.0))
        at_knots = tuple(float(v) for v in found[: len(knots)])
        return cls(0.0, 0.0, tuple(float(k) for k in knots), at_knots, by_spread, floor, 0)

    @classmethod
    def _count(cls, shape: Self, value: Floats, truth: Floats, spread: Floats | None, mass: Floats) -> Self:
        score = (truth - value) / shape.difficulty(value, spread)
        if len(score) >= _TWO_SIDED_FROM:
            tail = (1 + COVERAGE) / 2
            low, high = -upper_quantile(-score, tail, mass), upper_quantile(score, tail, mass)
        else:
            high = upper_quantile(np.abs(score), COVERAGE, mass)
            low = -high
        return cls(low, high, shape.knots, shape.at_knots, shape.by_spread, shape.spread_floor, len(score))

    def difficulty(self, value: Floats, spread: Floats | None) -> Floats:
        """(N,) relative size of the errors to expect."""
        if not self.knots:
            return np.ones(len(value))
        log = np.interp(value, self.knots, self.at_knots)
        if spread is not None and self.by_spread:
            log = log + self.by_spread * _log_spread(spread, self.spread_floor)
        bound = math.log(_MOST_STRETCH)
        return np.exp(np.clip(log, -bound, bound))

    def bounds(self, value: Floats, spread: Floats | None) -> tuple[Floats, Floats]:
        """(N,) lower and upper bounds of the 90 % interval."""
        unit = self.difficulty(value, spread)
        return value + unit * min(self.low, 0.0), value + unit * max(self.high, 0.0)

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "low": self.low,
            "high": self.high,
            "knots": list(self.knots),
            "at_knots": list(self.at_knots),
            "by_spread": self.by_spread,
            "spread_floor": self.spread_floor,
            "rows": self.rows,
        }

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing or of the wrong kind.
        """
        names = {"low", "high", "knots", "at_knots", "by_spread", "spread_floor", "rows"}
        if not isinstance(state, Mapping) or set(state) != names:
            raise _damaged("the interval widths lack their parts")
        knots, at_knots = finite_list(state["knots"], 100), finite_list(state["at_knots"], 100)
        singles = finite_list([state[n] for n in ("low", "high", "by_spread", "spread_floor")], 4)
        rows = state["rows"]
        if knots is None or at_knots is None or singles is None or len(knots) != len(at_knots):
            raise _damaged("the interval widths hold something that is no number")
        if sorted(knots) != knots or not isinstance(rows, int) or isinstance(rows, bool) or not singles[3] > 0:
            raise _damaged("the interval widths are out of order")
        return cls(singles[0], singles[1], tuple(knots), tuple(at_knots), singles[2], singles[3], rows)


def upper_quantile(score: Floats, level: float, mass: Floats | None = None) -> float:
    """The smallest score that at least `level` of a new row's scores stay below, counted for a finite sample.

    With n equal rows it is the ceil((n+1) level)-th smallest (Vovk et al. 2005). Where the sample is too small for
    the level, the largest score: the coverage is then n/(n+1). No rows give 0.
    """
    if len(score) == 0:
        return 0.0
    order = np.argsort(score, kind="stable")
    heap = np.cumsum(np.ones(len(score)) if mass is None else mass[order])
    # The new row counts as one more of the mean weight, and lies at infinity.
    wanted = level * (heap[-1] + heap[-1] / len(score))
    place = int(np.searchsorted(heap, wanted * (1 - 1e-12), side="left"))
    return float(score[order[min(place, len(score) - 1)]])


def finite_list(value: Any, most: int) -> list[float] | None:
    """A list of at most `most` finite numbers, or None for anything else."""
    if not isinstance(value, (list, tuple)) or len(value) > most:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        return None
    try:
        numbers = [float(v) for v in value]
    except OverflowError:
        return None
    return numbers if all(math.isfinite(v) for v in numbers) else None


def _hats(value: Floats, knots: Floats) -> Floats:
    """(N,knots) weights of linear interpolation between the knots."""
    eye = np.eye(len(knots))
    return np.stack([np.interp(value, knots, eye[k]) for k in range(len(knots))], axis=1)


def _log_spread(spread: Floats, floor: float) -> Floats:
    logs: Floats = np.log((np.nan_to_num(spread) + floor) / (20 * floor))
    return logs


def _damaged(what: str) -> BundleError:
    return BundleError(
        what,
        where="encoders.json: task",
        expected="what limpid writes after training",
        fix="restore the bundle from a copy or train again",
    )
