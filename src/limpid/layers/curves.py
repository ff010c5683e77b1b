"""What a report draws of predictions, in numpy and already aggregated: curves, bins, tables of counts.

Legend of shapes: N rows, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def roc_points(positive: Array, score: Array, most: int = 200) -> dict[str, list[float]]:
    """The ROC curve, thinned to at most `most` points with both ends kept; empty where one class is missing.

    Args:
        positive: (N,) bool.
        score: (N,), the higher the likelier.

    Returns:
        {"fpr": [...], "tpr": [...]}
    """
    found, seen, _ = _climb(positive, score)
    positives, negatives = int(positive.sum()), int(len(positive) - positive.sum())
    if not positives or not negatives:
        return {"fpr": [], "tpr": []}
    fpr = np.r_[0.0, (seen - found) / negatives]
    tpr = np.r_[0.0, found / positives]
    keep = _thin_along(fpr + tpr, most)
    return {"fpr": _short(fpr[keep]), "tpr": _short(tpr[keep])}


def precision_recall_points(positive: Array, score: Array, most: int = 200) -> dict[str, list[float]]:
    """Precision over recall, thinned to at most `most` points; empty where nothing is positive.

    Returns:
        {"recall": [...], "precision": [...]}
    """
    found, seen, _ = _climb(positive, score)
    if not positive.any():
        return {"recall": [], "precision": []}
    recall = found / positive.sum()
    precision = found / seen
    keep = _thin_along(recall, most)
    return {"recall": _short(recall[keep]), "precision": _short(precision[keep])}


def reliability(said: Array, true: Array, bins: int = 10) -> list[dict[str, float | int]]:
    """How often what was said with a probability came true, in equal bins that hold anything.

    Args:
        said: (N,) stated probabilities.
        true: (N,) 0 or 1.

    Returns:
        [{"low", "high", "mean": mean stated probability, "share": share that came true, "count"}]
    """
    place = np.clip(np.nan_to_num(said, posinf=1.0, neginf=0.0) * bins, 0, bins - 1).astype(np.int64)
    count = np.bincount(place, minlength=bins)
    stated = np.bincount(place, said, minlength=bins)
    came = np.bincount(place, true, minlength=bins)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "mean": round(float(stated[b] / count[b]), 6),
            "share": round(float(came[b] / count[b]), 6),
            "count": int(count[b]),
        }
        for b in range(bins)
        if count[b]
    ]


def confusion(target: Array, decided: Array, classes: int) -> npt.NDArray[np.int64]:
    """(K,K) counts, a row for each true class and a column for each given one."""
    return np.bincount(target * classes + decided, minlength=classes * classes).reshape(classes, classes)


def histogram(values: Array, bins: int = 40, *, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """Counts in equal bins; values beyond the ends are counted in the end bins.

    Returns:
        {"edges": bins + 1 numbers, "counts": bins numbers}
    """
    low, high = _ends(values, low, high)
    edges = np.linspace(low, high, bins + 1)
    counts = np.bincount(_place(values, low, high, bins), minlength=bins)
    return {"edges": _short(edges), "counts": [int(c) for c in counts]}


def histogram2d(across: Array, up: Array, bins: int = 40) -> dict[str, Any]:
    """Counts in a square grid over the central 99 % of both values, the rest counted at its border.

    Returns:
        {"edges": bins + 1 numbers for both axes, "counts": [across][up]}
    """
    both = np.concatenate([across, up])
    low, high = _ends(both, *np.quantile(both, [0.005, 0.995])) if len(both) else (0.0, 1.0)
    flat = _place(across, low, high, bins) * bins + _place(up, low, high, bins)
    counts = np.bincount(flat, minlength=bins * bins).reshape(bins, bins)
    return {"edges": _short(np.linspace(low, high, bins + 1)), "counts": counts.tolist()}


def _climb(positive: Array, score: Array) -> tuple[Array, Array, Array]:
    """Positives found and rows seen, the highest scores first, at each different score."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True]) if len(ranked) else np.zeros(0, dtype=np.int64)
    return np.cumsum(positive[order])[ends], ends + 1, ranked[ends]


def _thin_along(travelled: Array, most: int) -> Array:
    """Indices of at most `most` points spread evenly along a growing length, first and last included."""
    if len(travelled) <= most:
        return np.arange(len(travelled))
    wanted = np.linspace(travelled[0], travelled[-1], most)
    return np.unique(np.r_[0, np.searchsorted(travelled, wanted[:-1]), len(travelled) - 1])[:most]


def _ends(values: Array, low: float | None, high: float | None) -> tuple[float, float]:
    if len(values) == 0:
        return 0.0, 1.0
    first = float(values.min()) if low is None else float(low)
    last = float(values.max()) if high is None else float(high)
    if first < last:
        return first, last
    margin = max(abs(first) * 1e-3, 0.5)
    return first - margin, first + margin


def _place(values: Array, low: float, high: float, bins: int) -> Array:
    return np.clip((values - low) / (high - low) * bins, 0, bins - 1).astype(np.int64)


def _short(values: Array) -> list[float]:
    return [float(f"{v:.6g}") for v in values.tolist()]
