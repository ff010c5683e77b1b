"""How far could a rate, a mean or a gap be off by luck? Intervals in closed form, at 95 % unless said otherwise.

Wilson (1927) for rates, Newcombe (1998) for differences of two rates, Katz et al. (1978) for their ratio, Student's t
for means, Welch (1947) for differences of two means, Hanley and McNeil (1982) for an area under the ROC curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LEVEL = 0.95


@dataclass(frozen=True)
class Span:
    """A figure with its interval.

    Args:
        value: the figure; None where it is not defined.
        low, high: ends of its interval; None where there is none.
        count: rows that it is about.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0

    def as_dict(self) -> dict[str, float | int | None]:
        """The figure as JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "rows": self.count}

    def __str__(self) -> str:
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.3g}"
        form = ".3f" if abs(self.value) < 100 else ",.0f"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


NONE = Span(None)
"""A figure that is not defined."""


def quantile(level: float) -> float:
    """How many standard deviations around the mean hold this share of a normal distribution."""
    return NormalDist().inv_cdf((1 + level) / 2)


def rate(hits: int, count: int, level: float = LEVEL) -> Span:
    """A share of rows with Wilson's interval, which holds for few rows and for shares near 0 and 1.

    Example:
        >>> print(rate(8, 10))
        0.800 (0.490 to 0.943)
    """
    if count == 0:
        return NONE
    z, share = quantile(level), hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # Rounding must not put the share itself outside.
    return Span(share, min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach)), count)


def mean(values: Array, level: float = LEVEL) -> Span:
    """A mean with Student's interval; values that are not finite are left out."""
    from scipy.stats import t

    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return NONE
    value = float(known.mean())
    if len(known) == 1:
        return Span(value, count=1)
    reach = float(t.ppf((1 + level) / 2, len(known) - 1)) * float(known.std(ddof=1)) / math.sqrt(len(known))
    return Span(value, value - reach, value + reach, len(known))


def rate_gap(first: Span, second: Span, level: float = LEVEL) -> Span:
    """The first rate minus the second, with Newcombe's interval."""
    if first.value is None or second.value is None:
        return NONE
    a = rate(round(first.value * first.count), first.count, level)
    b = rate(round(second.value * second.count), second.count, level)
    assert a.low is not None and a.high is not None and b.low is not None and b.high is not None
    value = first.value - second.value
    low = value - math.hypot(first.value - a.low, b.high - second.value)
    high = value + math.hypot(a.high - first.value, second.value - b.low)
    return Span(value, low, high, first.count + second.count)


def mean_gap(first: Array, second: Array, level: float = LEVEL) -> Span:
    """The first mean minus the second, with Welch's interval."""
    from scipy.stats import t

    a, b = (np.asarray(v, dtype=np.float64)[np.isfinite(v)] for v in (first, second))
    if min(len(a), len(b)) == 0:
        return NONE
    value = float(a.mean() - b.mean())
    if min(len(a), len(b)) == 1:
        return Span(value, count=len(a) + len(b))
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    if va + vb == 0:
        return Span(value, value, value, len(a) + len(b))
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(va + vb)
    return Span(value, value - reach, value + reach, len(a) + len(b))


def rate_ratio(low: Span, high: Span, level: float = LEVEL) -> Span:
    """The lower rate over the higher one, with Katz's interval; a rate of 0 counts as half a row."""
    if low.value is None or high.value is None or high.value == 0:
        return NONE
    value = low.value / high.value
    a = max(low.value * low.count, 0.5)
    b = max(high.value * high.count, 0.5)
    reach = quantile(level) * math.sqrt(max(1 / a - 1 / low.count + 1 / b - 1 / high.count, 0.0))
    centre = math.log((a / low.count) / (b / high.count))
    return Span(
        value, min(value, math.exp(centre - reach)), max(value, math.exp(centre + reach)), low.count + high.count
    )


def auc(positive: Array, score: Array, level: float = LEVEL) -> Span:
    """Chance that a positive row scores above another, ties counting half, with Hanley and McNeil's interval."""
    from scipy.stats import rankdata

    mark = np.asarray(positive, dtype=bool)
    up, down = int(mark.sum()), int((~mark).sum())
    if min(up, down) == 0:
        return NONE
    area = (float(rankdata(score)[mark].sum()) - up * (up + 1) / 2) / (up * down)
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (up - 1) * (q1 - area * area) + (down - 1) * (q2 - area * area)
    reach = quantile(level) * math.sqrt(max(spread, 0.0) / (up * down))
    return Span(area, max(0.0, area - reach), min(1.0, area + reach), up + down)
