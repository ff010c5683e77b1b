"""Does the model treat one group worse than another? Rates of each group, the gaps between them, and what is no luck.

For two classes the rates are of the second one (the one that the task calls positive); for more classes, or labels,
each class is taken against the rest. Measures: demographic parity (difference and ratio, four-fifths rule of the US
Uniform Guidelines 1978), equalised odds and equal opportunity (Hardt et al. 2016), calibration within groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing import spans
from limpid.auditing.judged import Judged, finite_mean
from limpid.auditing.spans import NONE, Span
from limpid.data.groups import SMALLEST, Grouping

Array = npt.NDArray[Any]

RATES = ("selection_rate", "accuracy", "tpr", "fpr", "precision")
MOST_CLASSES = 10
"""With more classes than this only accuracy and error are compared."""


@dataclass(frozen=True)
class Group:
    """One group of rows.

    Args:
        name: its value.
        rows: how many.
        decides: whether it is large enough to be compared.
        figures: name of a figure -> value with interval. Classification: selection_rate, accuracy, tpr, fpr,
            precision, predicted (mean probability), observed (share), loss (log loss, nats). Regression: predicted and
            observed (means), bias (their difference), error (mean absolute error), coverage (of the 90 % interval).
            Forecasts: also mae, the error in the target's own units.
    """

    name: str
    rows: int
    decides: bool
    figures: dict[str, Span]

    def as_dict(self) -> dict[str, Any]:
        """The group as JSON."""
        return {
            "name": self.name,
            "rows": self.rows,
            "decides": self.decides,
            **{name: span.as_dict() for name, span in self.figures.items()},
        }


@dataclass(frozen=True)
class Fairness:
    """Groups side by side.

    Args:
        column: what the rows are grouped by.
        positive: the class whose selection is compared; "" for regression, or where only accuracy is compared.
        groups: the largest first.
        gaps: name -> how far the furthest groups are apart, with the interval of that pair, shared out over all pairs.
        pairs: name -> (group with the lower figure, group with the higher one).
        surest: where the furthest groups may differ by luck, but two others do not: their gap and who they are.
        note: how values were joined, and what was left out.
        is_input: whether the model reads the column.
    """

    column: str
    positive: str
    groups: tuple[Group, ...]
    gaps: dict[str, Span]
    pairs: dict[str, tuple[str, str]] = field(default_factory=dict)
    surest: dict[str, tuple[Span, tuple[str, str]]] = field(default_factory=dict)
    note: str = ""
    is_input: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The table as JSON."""
        return {
            "column": self.column,
            "positive": self.positive,
            "groups": [g.as_dict() for g in self.groups],
            "gaps": {name: span.as_dict() for name, span in self.gaps.items()},
            "pairs": {name: list(pair) for name, pair in self.pairs.items()},
            "surest": {name: {"groups": list(pair), **span.as_dict()} for name, (span, pair) in self.surest.items()},
            "note": self.note,
            "is_input": self.is_input,
        }


def compare(judged: Judged, grouping: Grouping, *, smallest: int = SMALLEST) -> list[Fairness]:
    """Tables of one grouping: one for two classes or for regression, one for each class of up to ten.

    Args:
        judged: N rows that the model was not fitted to.
        grouping: of the same rows.
        smallest: groups of fewer rows are not compared.
    """
    is_input = all(name in judged.bundle.encoders.columns for name in grouping.name.split(" x "))
    if judged.stretches is not None:
        return [_forecast(judged, grouping, smallest, is_input)]
    if not judged.classes:
        return [_regression(judged, grouping, smallest, is_input)]
    decided, target, chance = judged.decided, judged.target, judged.prediction.values
    if target.ndim == 1:
        right = (decided == target).astype(np.float64)
    else:
        right = (decided == (target > 0.5)).all(axis=1).astype(np.float64)
    classes = judged.classes
    if len(classes) > MOST_CLASSES:
        return [_accuracy_only(grouping, right, judged.loss, judged.weight, smallest, is_input, len(classes))]
    places = [judged.positive] if len(classes) == 2 and target.ndim == 1 else list(range(len(classes)))
    tables = []
    for k in places:
        true = target == k if target.ndim == 1 else target[:, k] > 0.5
        said = decided == k if target.ndim == 1 else np.asarray(decided[:, k])
        tables.append(
            of_class(grouping, true, said, chance[:, k], right, judged.loss, classes[k], weight=judged.weight,
                     smallest=smallest, is_input=is_input)
        )  # fmt: skip
    return tables


def of_class(
    grouping: Grouping,
    true: Array,
    said: Array,
    chance: Array,
    right: Array,
    loss: Array,
    positive: str,
    *,
    weight: Array | None = None,
    smallest: int = SMALLEST,
    is_input: bool = False,
) -> Fairness:
    """Rates and gaps of one class against the rest.

    Args:
        grouping: of N rows.
        true: (N,) bool, whether a row is of the class.
        said: (N,) bool, whether the model says so.
        chance: (N,) probability that it gives the class.
        right: (N,) 1 where the whole answer is right.
        loss: (N,) how wrong each answer is.
        positive: name of the class.
        weight: (N,) sample weights, or None.
        smallest: groups of fewer rows are not compared.
        is_input: whether the model reads the column.
    """
    groups = []
    for name, at in grouping.members():
        t, s = true[at], said[at]
        figures = {
            "selection_rate": _share(said, at, weight),
            "accuracy": _share(right > 0.5, at, weight),
            "tpr": _share(said, at[t], weight),
            "fpr": _share(said, at[~t], weight),
            "precision": _share(true, at[s], weight),
            "predicted": _mean(chance, at, weight),
            "observed": _share(true, at, weight),
            "calibration": _mean(chance - true, at, weight),
            "loss": _mean(loss, at, weight),
        }
        groups.append(Group(name, len(at), _size(at, weight) >= smallest, figures))
    table = _Gaps(_shared(groups), smallest)
    for gap, rate in _RATES_OF.items():
        table.of_rates(gap, groups, rate)
    worse = max(("equal_opportunity", "fpr"), key=lambda n: -1.0 if (v := table.gaps[n].value) is None else v)
    table.copy("equalised_odds", worse)
    table.gaps["demographic_parity_ratio"] = NONE
    if "demographic_parity" in table.pairs:
        ends = table.pairs["demographic_parity_ratio"] = table.pairs["demographic_parity"]
        low, high = (next(g for g in groups if g.name == n).figures["selection_rate"] for n in ends)
        table.gaps["demographic_parity_ratio"] = spans.rate_ratio(low, high, table.level)
    table.of_means("loss", grouping, groups, loss, weight)
    return table.finish(grouping, positive, groups, grouping.note, is_input)


def _share(marks: Array, at: Array, weight: Array | None) -> Span:
    return spans.share(marks[at], None if weight is None else weight[at])


def _mean(values: Array, at: Array, weight: Array | None) -> Span:
    return spans.mean(values[at], weight=None if weight is None else weight[at])


def _size(at: Array, weight: Array | None) -> float:
    """As how many rows without weights those of a group count."""
    return len(at) if weight is None else spans.effective(weight[at])


_RATES_OF = {
    "demographic_parity": "selection_rate",
    "equal_opportunity": "tpr",
    "fpr": "fpr",
    "accuracy": "accuracy",
    "precision": "precision",
    "observed": "observed",
}
"""Gap -> the rate that it is between."""


def _shared(groups: Sequence[Group]) -> float:
    """The level of one pair when all pairs together are to keep to 95 % (Bonferroni)."""
    large = sum(g.decides for g in groups)
    return 1 - (1 - spans.LEVEL) / max(1, large * (large - 1) // 2)


class _Gaps:
    """Gaps as they are found.

    Args:
        level: of the interval of one pair.
        smallest: a rate of fewer rows is not compared.
    """

    def __init__(self, level: float, smallest: int) -> None:
        self.level, self.smallest = level, smallest
        self.gaps: dict[str, Span] = {}
        self.pairs: dict[str, tuple[str, str]] = {}
        self.surest: dict[str, tuple[Span, tuple[str, str]]] = {}

    def of_rates(self, gap: str, groups: Sequence[Group], rate: str) -> None:
        """The gap of a rate between the groups that are large enough."""
        known = {g.name: g.figures[rate] for g in groups if g.decides and g.figures[rate].size >= self.smallest}
        values = {name: span.value for name, span in known.items() if span.value is not None}
        self._between(gap, values, lambda a, b: spans.rate_gap(known[a], known[b], self.level))

    def of_means(
        self, gap: str, grouping: Grouping, groups: Sequence[Group], values: Array, weight: Array | None
    ) -> None:
        """The gap of the mean of a value for each row."""
        large = {g.name for g in groups if g.decides}
        rows = {name: at[np.isfinite(values[at])] for name, at in grouping.members() if name in large}
        found = {name: _mean(values, at, weight).value for name, at in rows.items()}
        means = {name: value for name, value in found.items() if value is not None}

        def between(a: str, b: str) -> Span:
            weights = None if weight is None else (weight[rows[a]], weight[rows[b]])
            return spans.mean_gap(values[rows[a]], values[rows[b]], self.level, weights)

        self._between(gap, means, between)

    def copy(self, gap: str, other: str) -> None:
        """One gap is another one."""
        self.gaps[gap] = self.gaps[other]
        if other in self.pairs:
            self.pairs[gap] = self.pairs[other]

    def _between(self, gap: str, values: dict[str, float], compare: Callable[[str, str], Span]) -> None:
        if len(values) < 2:
            self.gaps[gap] = NONE
            return
        ranked = sorted(values, key=lambda name: values[name])
        self.gaps[gap] = compare(ranked[-1], ranked[0])
        self.pairs[gap] = (ranked[0], ranked[-1])
        if (self.gaps[gap].low or 0.0) > 0:
            return
        each = [(compare(high, low), (low, high)) for low, high in combinations(ranked, 2)]
        best = max(each, key=lambda pair: -1.0 if pair[0].low is None else pair[0].low)
        if (best[0].low or 0.0) > 0:
            self.surest[gap] = best

    def finish(self, grouping: Grouping, positive: str, groups: Sequence[Group], note: str, is_input: bool) -> Fairness:
        """The table."""
        return Fairness(grouping.name, positive, tuple(groups), self.gaps, self.pairs, self.surest, note, is_input)


def _accuracy_only(
    grouping: Grouping,
    right: Array,
    loss: Array,
    weight: Array | None,
    smallest: int,
    is_input: bool,
    classes: int,
) -> Fairness:
    groups = [
        Group(
            name,
            len(at),
            _size(at, weight) >= smallest,
            {"accuracy": _share(right > 0.5, at, weight), "loss": _mean(loss, at, weight)},
        )
        for name, at in grouping.members()
    ]
    table = _Gaps(_shared(groups), smallest)
    table.of_rates("accuracy", groups, "accuracy")
    table.of_means("loss", grouping, groups, loss, weight)
    note = "; ".join(n for n in (grouping.note, f"{classes} classes are too many to take each against the rest") if n)
    return table.finish(grouping, "", groups, note, is_input)


def _regression(judged: Judged, grouping: Grouping, smallest: int, is_input: bool) -> Fairness:
    said = np.asarray(judged.prediction.values, dtype=np.float64)
    true = np.asarray(judged.target, dtype=np.float64).reshape(said.shape)
    miss = said - true
    # Several targets are of several units; each is measured in its own spread before they are averaged.
    scale = np.nanstd(true, axis=0) if said.shape[1] > 1 else np.ones(1)
    scale = np.where(scale > 0, scale, 1.0)
    error = np.abs(miss / scale).mean(axis=1)
    inside = None
    if judged.prediction.lower is not None and judged.prediction.upper is not None:
        inside = (true >= judged.prediction.lower) & (true <= judged.prediction.upper)
    observed, predicted, bias = ((values / scale).mean(axis=1) for values in (true, said, miss))
    weight = judged.weight
    groups = []
    for name, at in grouping.members():
        figures = {
            "observed": _mean(observed, at, weight),
            "predicted": _mean(predicted, at, weight),
            "bias": _mean(bias, at, weight),
            "error": _mean(error, at, weight),
        }
        if inside is not None:
            figures["coverage"] = _share(inside[:, 0], at, weight)
        groups.append(Group(name, len(at), _size(at, weight) >= smallest, figures))
    table = _Gaps(_shared(groups), smallest)
    table.of_means("error", grouping, groups, error, weight)
    table.of_means("bias", grouping, groups, bias, weight)
    if inside is not None:
        table.of_rates("coverage", groups, "coverage")
    note = grouping.note
    if said.shape[1] > 1:
        own = "each target is measured in its own standard deviation"
        note = f"{note}; {own}" if note else own
    return table.finish(grouping, "", groups, note, is_input)


def _forecast(judged: Judged, grouping: Grouping, smallest: int, is_input: bool) -> Fairness:
    """Errors of windows, over the scale of their series; windows that overlap count as one."""
    assert judged.stretches is not None
    said = np.asarray(judged.prediction.values, dtype=np.float64)
    target = np.asarray(judged.target, dtype=np.float64)
    true, scale = target[:, : said.shape[1]], np.where(target[:, -1:] > 0, target[:, -1:], 1.0)
    miss = said - true  # NaN where nothing is known
    values = {
        "observed": finite_mean(true),
        "predicted": finite_mean(np.where(np.isfinite(true), said, np.nan)),
        "mae": finite_mean(np.abs(miss)),
        "bias": finite_mean(miss / scale),
        "error": finite_mean(np.abs(miss) / scale),
    }
    lower, upper = judged.prediction.lower, judged.prediction.upper
    if lower is not None and upper is not None:
        values["coverage"] = finite_mean(np.where(np.isfinite(true), (true >= lower) & (true <= upper), np.nan))
    first = judged.stretches.mean(values["error"])[1]
    each = {name: judged.stretches.mean(v)[0] for name, v in values.items()}
    blocks = grouping.take(first)
    windows = {name: len(at) for name, at in grouping.members()}
    groups = []
    for name, at in blocks.members():
        figures = {figure: spans.mean(v[at]) for figure, v in each.items()}
        if "coverage" in figures:
            figures["coverage"] = spans.within(figures["coverage"], 0.0, 1.0)
        groups.append(Group(name, windows[name], windows[name] >= smallest, figures))
    table = _Gaps(_shared(groups), smallest)
    for gap in ("error", "bias", "coverage"):
        if gap in each:
            table.of_means(gap, blocks, groups, each[gap], None)
    own = "rows are windows; errors are divided by the seasonal naive error of the series' past, mae is not"
    return table.finish(grouping, "", groups, f"{grouping.note}; {own}" if grouping.note else own, is_input)
