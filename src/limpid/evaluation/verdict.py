"""Who won, in plain words; where a baseline did, that comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from limpid.core.contracts import Metric, Prediction
from limpid.evaluation.baselines import Baseline
from limpid.evaluation.intervals import paired

Interval = tuple[float, float]


def verdict(
    metric: Metric,
    figures: Mapping[str, float | None],
    intervals: Mapping[str, Interval],
    baselines: Sequence[Baseline],
    *,
    part: str = "test",
    gaps: Mapping[str, Interval] | None = None,
) -> str:
    """One or two sentences on how the network compares with the baselines.

    Args:
        metric: the figure that decides.
        figures: of the network on `part`.
        intervals: 95 % intervals of the network's figures.
        baselines: what it is compared with.
        part: the part of the data that is judged by.
        gaps: baseline -> 95 % interval of network minus baseline on the same rows, from `differences`; without it,
            the network's own interval says what is too close to call.

    Example:
        >>> from limpid.core.contracts import Metric
        >>> rmse = Metric("rmse", False, lambda *_: 0.0)
        >>> verdict(rmse, {"rmse": 2.0}, {}, [Baseline("linear", {"test": {"rmse": 1.5}}, 1.0)])
        'A baseline wins: the linear baseline has rmse 1.5 on test rows, the network 2.'
    """
    name = metric.name
    own = figures.get(name)
    if own is None or not math.isfinite(own):
        return f"The {name} of the network is not defined on {part} rows, so nothing can be compared."
    scored = [(b, value) for b in baselines if (value := _of(b, part, name)) is not None]
    if not scored:
        absent = " (no baseline has that figure)" if baselines else " (no baseline was trained)"
        return f"The network has {name} {_short(own)}{_between(intervals.get(name))} on {part} rows{absent}."
    best, value = _best(scored, metric)
    close = _too_close(metric, own, value, intervals.get(name), None if gaps is None else gaps.get(best.name))
    theirs = f"the {best.name} baseline has {name} {_short(value)}"
    if own != value and (value > own) == metric.greater_is_better:
        first = "A baseline wins" if not close else "A baseline is ahead, though by less than luck could explain"
        return f"{first}: {theirs} on {part} rows, the network {_short(own)}{_between(intervals.get(name))}."
    ours = f"the network has {name} {_short(own)}{_between(intervals.get(name))} on {part} rows"
    if close:
        return f"Too close to call: {ours}, {theirs}."
    return f"The network wins: {ours}, {theirs}, the best of {len(scored)}."


def differences(
    metric: Metric,
    target: np.ndarray,
    prediction: Prediction,
    weight: np.ndarray | None,
    baselines: Sequence[Baseline],
    seed: int,
    *,
    part: str = "test",
    repeats: int = 400,
) -> dict[str, Interval]:
    """Paired bootstrap intervals of network minus baseline, for the baselines that kept their answers.

    Args:
        metric: the figure.
        target, prediction, weight: of the rows of `part`.
        baselines: what the network is compared with.
        seed: of the samples.
        part: which part the rows are.
        repeats: bootstrap samples.
    """
    found = {}
    for baseline in baselines:
        answer = baseline.answers.get(part)
        if answer is None or len(answer.values) != len(target):
            continue
        gap = paired(metric, target, prediction, answer, weight, seed, repeats)
        if gap is not None:
            found[baseline.name] = gap
    return found


def _of(baseline: Baseline, part: str, name: str) -> float | None:
    value = baseline.metrics.get(part, {}).get(name)
    return value if value is not None and math.isfinite(value) else None


def _best(scored: Sequence[tuple[Baseline, float]], metric: Metric) -> tuple[Baseline, float]:
    return (max if metric.greater_is_better else min)(scored, key=lambda pair: pair[1])


def _too_close(metric: Metric, own: float, other: float, interval: Interval | None, gap: Interval | None) -> bool:
    if gap is not None:
        return gap[0] <= 0 <= gap[1]
    if own == other:
        return True
    return interval is not None and interval[0] <= other <= interval[1]


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f" (95 % interval {_short(interval[0])} to {_short(interval[1])})"


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
