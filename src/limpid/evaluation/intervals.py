"""How far could a figure be off by the luck of the draw? Percentile bootstrap over held-out rows (Efron 1979).

Legend of shapes: N rows, S bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.contracts import Metric, Prediction
from limpid.core.seeds import generator

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

LEVEL = 0.95
MOST_ROWS = 200_000
_CHUNK = 1 << 20  # weights held at a time
_SLOW_REPEATS = 100
_MOST_SCORES = 30_000_000  # rows times classes times samples that a figure by rank may cost
_FEWEST_REPEATS = 50
_BY_RANK = frozenset({"roc_auc", "average_precision"})


def bootstrap(
    metrics: Sequence[Metric],
    target: Array,
    prediction: Prediction,
    weight: Array | None,
    seed: int,
    repeats: int = 400,
) -> dict[str, tuple[float, float]]:
    """95 % intervals of figures.

    Above 200,000 rows the samples are of 200,000 of them, and the interval is narrowed to what all rows would give. A
    figure without a batched form is sampled 100 times at most; one by rank over very many classes as often as its
    cost allows, and not at all where that is below 50 times.

    Args:
        metrics: the figures.
        target: (N,...) encoded targets.
        prediction: of the same rows.
        weight: (N,) sample weights or None.
        seed: of the samples.
        repeats: bootstrap samples; 0 gives no intervals.

    Returns:
        name -> (low, high), for the figures that are defined; empty for a single row, of which all samples are alike.
    """
    rows = len(target)
    if repeats <= 0 or rows <= 1:
        return {}
    keep = _chosen(rows, seed)
    shrink = np.sqrt(len(keep) / rows)
    some, answers = target[keep], take(prediction, keep)
    mass = None if weight is None else np.asarray(weight, dtype=np.float64)[keep]
    result: dict[str, tuple[float, float]] = {}
    counts = {m.name: _repeats(m, repeats, prediction, len(keep)) for m in metrics}
    sampled = _samples([m for m in metrics if counts[m.name]], counts, some, answers, mass, seed, len(keep))
    for metric in metrics:
        values = sampled.get(metric.name)
        if values is None or np.isnan(values).all():
            continue
        low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        if len(keep) < rows:
            whole = float(metric.compute(target, prediction, weight))
            middle = float(metric.compute(some, answers, mass))
            low, high = whole + (low - middle) * shrink, whole + (high - middle) * shrink
        if np.isfinite(low) and np.isfinite(high):
            result[metric.name] = (float(low), float(high))
    return result


def paired(
    metric: Metric,
    target: Array,
    first: Prediction,
    second: Prediction,
    weight: Array | None,
    seed: int,
    repeats: int = 400,
) -> tuple[float, float] | None:
    """The 95 % interval of `first` minus `second`, both judged on the same samples of rows.

    Args:
        metric: the figure.
        target: (N,...) encoded targets.
        first, second: answers of two models for the same rows.
        weight: (N,) sample weights or None.
        seed: of the samples.
        repeats: bootstrap samples.

    Returns:
        (low, high), or None where the figure is not defined.
    """
    if repeats <= 0 or len(target) == 0:
        return None
    keep = _chosen(len(target), seed)
    mass = None if weight is None else np.asarray(weight, dtype=np.float64)[keep]
    drawn = []
    for prediction in (first, second):
        counts = {metric.name: _repeats(metric, repeats, prediction, len(keep))}
        if not counts[metric.name]:
            return None
        answers = take(prediction, keep)
        drawn.append(_samples([metric], counts, target[keep], answers, mass, seed, len(keep))[metric.name])
    gap = drawn[0] - drawn[1]
    if np.isnan(gap).all():
        return None
    low, high = np.nanquantile(gap, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if len(keep) < len(target):
        whole = metric.compute(target, first, weight) - metric.compute(target, second, weight)
        shrink, middle = np.sqrt(len(keep) / len(target)), float(np.nanmean(gap))
        low, high = whole + (low - middle) * shrink, whole + (high - middle) * shrink
    return float(low), float(high)


def _samples(
    metrics: Sequence[Metric],
    counts: dict[str, int],
    target: Array,
    prediction: Prediction,
    weight: Array | None,
    seed: int,
    rows: int,
) -> dict[str, Floats]:
    """Each figure on its first `counts` bootstrap samples."""
    scorers = {m.name: m.prepare(target, prediction) for m in metrics if m.prepare is not None}
    values: dict[str, list[Floats]] = {m.name: [] for m in metrics}
    done = 0
    for weights in _weights(rows, weight, max(counts[m.name] for m in metrics) if metrics else 0, seed):
        for metric in metrics:
            left = min(len(weights), counts[metric.name] - done)
            if left <= 0:
                continue
            part = weights[:left]
            if metric.name in scorers:
                values[metric.name].append(np.asarray(scorers[metric.name](part), dtype=np.float64))
            else:
                values[metric.name].append(np.array([metric.compute(target, prediction, w) for w in part], dtype=float))
        done += len(weights)
    return {name: np.concatenate(parts) for name, parts in values.items() if parts}


def _weights(rows: int, weight: Array | None, repeats: int, seed: int) -> Iterator[Floats]:
    """(S,N) multinomial counts of rows drawn with replacement, times the sample weights, a few samples at a time."""
    random = generator(seed, "bootstrap", rows)
    step = max(1, min(64, _CHUNK // rows))
    for start in range(0, repeats, step):
        size = min(step, repeats - start)
        drawn = random.integers(0, rows, size=(size, rows))
        drawn += np.arange(size)[:, None] * rows
        block = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)
        yield block if weight is None else block * weight


def _repeats(metric: Metric, repeats: int, prediction: Prediction, rows: int) -> int:
    if metric.prepare is None:
        return min(repeats, _SLOW_REPEATS)
    width = prediction.values.shape[1] if prediction.values.ndim > 1 else 1
    if metric.name not in _BY_RANK or width <= 2:
        return repeats
    affordable = _MOST_SCORES // max(1, rows * width)
    return min(repeats, affordable) if affordable >= min(repeats, _FEWEST_REPEATS) else 0


def _chosen(rows: int, seed: int) -> Array:
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(generator(seed, "bootstrap rows").choice(rows, MOST_ROWS, replace=False))


def take(prediction: Prediction, rows: Array) -> Prediction:
    """Some rows of a prediction, in the order of `rows`."""
    return Prediction(
        prediction.values[rows],
        None if prediction.lower is None else prediction.lower[rows],
        None if prediction.upper is None else prediction.upper[rows],
        None if prediction.quantiles is None else prediction.quantiles[rows],
    )
