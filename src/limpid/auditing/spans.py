"""How far could a rate, a mean or a gap be off by luck? Intervals in closed form, at 95 % unless said otherwise.

Wilson (1927) for rates, Newcombe (1998) for differences of two rates, Katz et al. (1978) for their ratio, Student's t
for means, Welch (1947) for differences of two means, Newcombe (2006) for an area under the ROC curve.

Rows may have weights. They then count for as many as would say the same without weights, sum(w)^2 / sum(w^2) of them
(Kish 1965), so that intervals get wider where few rows have most of the weight.

Legend of shapes: N rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.explanation.statistics import mean_and_interval

Array = npt.NDArray[Any]

LEVEL = 0.95


@dataclass(frozen=True)
class Span:
    """A figure with its interval.

    Args:
        value: the figure; None where it is not defined.
        low, high: ends of its interval; None where there is none.
        count: rows that it is about.
        effective: for how many rows without weights they count; None where rows have no weights.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0
    effective: float | None = None

    @property
    def size(self) -> float:
        """How many rows without weights say as much."""
        return self.count if self.effective is None else self.effective

    def as_dict(self) -> dict[str, float | int | None]:
        """The figure as JSON."""
        found = {"value": self.value, "low": self.low, "high": self.high, "rows": self.count}
        return found if self.effective is None else {**found, "effective_rows": self.effective}

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
    return Span(hits / count, *_wilson(hits / count, count, level), count)


def share(marks: Array, weight: Array | None = None, level: float = LEVEL) -> Span:
    """The share of rows with a mark, as `rate` has it; with weights, their share of the weight.

    Args:
        marks: (N,) bool.
        weight: (N,) of each row, or None.
        level: of the interval.

    Example:
        >>> print(share(np.array([True, False]), np.array([3.0, 1.0])))
        0.750 (0.167 to 0.978)
    """
    if weight is None:
        return rate(int(marks.sum()), len(marks), level)
    size = effective(weight)
    if size == 0:
        return NONE
    value = min(1.0, float(weight[np.asarray(marks, dtype=bool)].sum() / weight.sum()))
    return Span(value, *_wilson(value, size, level), int((weight > 0).sum()), size)


def effective(weight: Array) -> float:
    """As how many rows without weights these rows count (Kish 1965).

    Example:
        >>> effective(np.array([2.0, 2.0, 2.0])), effective(np.array([1.0, 0.0]))
        (3.0, 1.0)
    """
    largest = float(weight.max()) if len(weight) else 0.0
    if largest <= 0:
        return 0.0
    shares = np.asarray(weight, dtype=np.float64) / largest
    return float(shares.sum() ** 2 / (shares**2).sum())


def _wilson(value: float, size: float, level: float) -> tuple[float, float]:
    z = quantile(level)
    middle = (value + z * z / (2 * size)) / (1 + z * z / size)
    reach = z / (1 + z * z / size) * math.sqrt(value * (1 - value) / size + z * z / (4 * size * size))
    # Rounding must not put the share itself outside.
    return min(value, max(0.0, middle - reach)), max(value, min(1.0, middle + reach))


def mean(values: Array, level: float = LEVEL, weight: Array | None = None) -> Span:
    """A mean with Student's interval; values that are not finite are left out.

    Args:
        values: (N,) of each row.
        level: of the interval.
        weight: (N,) of each row, or None.
    """
    known = np.asarray(values, dtype=np.float64)
    if weight is not None:
        from scipy.special import stdtrit

        value, variance, size, count = _weighted(known, weight)
        if count == 0:
            return NONE
        if size <= 1:
            return Span(value, count=count, effective=size)
        reach = float(stdtrit(size - 1, (1 + level) / 2)) * math.sqrt(variance / size)
        return Span(value, value - reach, value + reach, count, size)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return NONE
    if len(known) == 1:
        return Span(float(known[0]), count=1)
    return Span(*mean_and_interval(known, level), len(known))


def _weighted(values: Array, weight: Array) -> tuple[float, float, float, int]:
    """Weighted mean and variance of values that are finite, their effective number, and their number."""
    counts = np.isfinite(values) & (weight > 0)
    known, shares = values[counts], weight[counts]
    size = effective(shares)
    if size == 0:
        return 0.0, 0.0, 0.0, 0
    shares = shares / shares.sum()
    value = float((shares * known).sum())
    spread = float((shares * (known - value) ** 2).sum())
    return value, spread * size / (size - 1) if size > 1 else 0.0, size, len(known)


def within(span: Span, low: float, high: float) -> Span:
    """The same with an interval that stays within bounds."""
    if span.low is None or span.high is None:
        return span
    return replace(span, low=max(low, span.low), high=min(high, span.high))


def rate_gap(first: Span, second: Span, level: float = LEVEL) -> Span:
    """The first rate minus the second, with Newcombe's interval."""
    if first.value is None or second.value is None:
        return NONE
    (a_low, a_high), (b_low, b_high) = (_wilson(s.value, s.size, level) for s in (first, second) if s.value is not None)
    value = first.value - second.value
    low = value - math.hypot(first.value - a_low, b_high - second.value)
    high = value + math.hypot(a_high - first.value, second.value - b_low)
    return Span(value, low, high, first.count + second.count, _both(first, second))


def _both(first: Span, second: Span) -> float | None:
    """The effective rows of two figures together; None without weights."""
    return None if first.effective is None and second.effective is None else first.size + second.size


def mean_gap(first: Array, second: Array, level: float = LEVEL, weights: tuple[Array, Array] | None = None) -> Span:
    """The first mean minus the second, with Welch's interval.

    Args:
        first, second: a value for each row; values that are not finite are left out.
        level: of the interval.
        weights: of the rows of both, or None.
    """
    from scipy.stats import t

    if weights is not None:
        (m1, v1, n1, c1), (m2, v2, n2, c2) = (
            _weighted(np.asarray(v, dtype=np.float64), w) for v, w in zip((first, second), weights, strict=True)
        )
        if min(c1, c2) == 0:
            return NONE
        if min(n1, n2) <= 1:
            return Span(m1 - m2, count=c1 + c2, effective=n1 + n2)
        e1, e2 = v1 / n1, v2 / n2
        reach = 0.0
        if e1 + e2 > 0:
            freedom = (e1 + e2) ** 2 / (e1**2 / (n1 - 1) + e2**2 / (n2 - 1))
            reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(e1 + e2)
        return Span(m1 - m2, m1 - m2 - reach, m1 - m2 + reach, c1 + c2, n1 + n2)
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
    a = max(low.value * low.size, 0.5)
    b = max(high.value * high.size, 0.5)
    reach = quantile(level) * math.sqrt(max(1 / a - 1 / low.size + 1 / b - 1 / high.size, 0.0))
    centre = math.log((a / low.size) / (b / high.size))
    ends = min(value, math.exp(centre - reach)), max(value, math.exp(centre + reach))
    return Span(value, *ends, low.count + high.count, _both(low, high))


def auc(positive: Array, score: Array, level: float = LEVEL) -> Span:
    """Chance that a positive row scores above another, ties counting half, with Newcombe's interval.

    Its ends are the areas from which the one that was found is just within the variance of Hanley and McNeil (1982), so
    that it holds near 0 and 1 too, where the variance at the area itself vanishes.
    """
    from scipy.stats import rankdata

    mark = np.asarray(positive, dtype=bool)
    up, down = int(mark.sum()), int((~mark).sum())
    if min(up, down) == 0:
        return NONE
    area = (float(rankdata(score)[mark].sum()) - up * (up + 1) / 2) / (up * down)
    return Span(area, 1 - _highest(1 - area, up, down, level), _highest(area, up, down, level), up + down)


def _highest(area: float, up: int, down: int, level: float) -> float:
    """The greatest area from which the one that was found is no further off than luck may bring it, by bisection."""
    others, z = (up + down) / 2 - 1, quantile(level)
    low, high = area, 1.0
    for _ in range(60):
        tried = (low + high) / 2
        pairs = 1 + others * ((1 - tried) / (2 - tried) + tried / (1 + tried))
        if tried - area <= z * math.sqrt(tried * (1 - tried) * pairs / (up * down)):
            low = tried
        else:
            high = tried
    return low
