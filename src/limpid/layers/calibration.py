"""Probabilities that mean what they say, and the cut between two classes, both found on validation rows.

Legend of shapes: N rows, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_TINY = 1e-30
_PRIOR_ROWS = 5.0
_SHARPEST = 100.0
_MOST_SCORES = 4_000_000
_FEWEST = 10


def temper(probability: Array, temperature: float) -> Floats:
    """(N,K) probabilities to the power 1/temperature, summing to 1 again; 1 leaves them as they are."""
    chance = np.asarray(probability, dtype=np.float64)
    if temperature == 1.0:
        return chance
    return _softmax(_log(chance) / temperature)


def temper_binary(probability: Array, temperature: Array) -> Floats:
    """(N,K) probabilities of K labels, each sharpened or softened on its own by `temperature` (K,)."""
    chance = np.asarray(probability, dtype=np.float64)
    return _sigmoid((_log(chance) - _log(1 - chance)) / temperature)


def fit_temperature(probability: Array, target: Array, weight: Array | None) -> float:
    """The temperature that makes the log loss of pooled probabilities least (Guo et al. 2017).

    Members are averaged first and the average is tempered (Rahaman and Thiery 2021). The log loss is convex in
    1/temperature; a penalty of five rows' worth keeps it from running away where every validation row is right.
    Order and argmax of the probabilities do not change.

    Args:
        probability: (N,K) pooled probabilities.
        target: (N,) classes.
        weight: (N,) sample weights or None.
    """
    keep = _sample(len(target), probability.shape[1])
    logits = _log(np.asarray(probability[keep], dtype=np.float64))
    true = logits[np.arange(len(keep)), target[keep]]
    share, rows = _shares(len(target), weight, keep)
    if rows <= 0 or not np.isfinite(logits).all():
        return 1.0

    def slope(sharpness: float) -> tuple[float, float]:
        chance = _softmax(logits * sharpness)
        expected = np.einsum("nk,nk->n", chance, logits)
        spread = np.einsum("nk,nk,nk->n", chance, logits, logits) - expected**2
        return rows * float(share @ (expected - true)), rows * float(share @ spread)

    return 1 / _balance(slope)


def fit_binary_temperature(probability: Array, target: Array, weight: Array | None) -> float:
    """`fit_temperature` for one label: (N,) probabilities against 0 or 1."""
    return fit_temperature(np.stack([1 - probability, probability], axis=1), (target > 0.5).astype(np.int64), weight)


def best_cut(
    score: Array, positive: Array, weight: Array | None, aim: Literal["f1", "balanced"]
) -> tuple[float, float] | None:
    """The threshold above which a row is called positive.

    Args:
        score: (N,) probability of the positive class.
        positive: (N,) bool.
        weight: (N,) sample weights or None.
        aim: "f1" makes the mean F1 of both classes greatest, "balanced" the mean recall.

    Returns:
        the threshold, half way between two scores that occur, and what it reaches; None where either class has fewer
        than ten rows to choose by, or a score is not finite.
    """
    if min(int(positive.sum()), int((~positive).sum())) < _FEWEST or not np.isfinite(score).all():
        return None
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    mass = np.ones(len(score)) if weight is None else np.asarray(weight, dtype=np.float64)[order]
    of_positive = mass * positive[order]
    ends = np.flatnonzero(ranked[1:] != ranked[:-1])
    total, positives = mass.sum(), of_positive.sum()
    negatives = total - positives
    if len(ends) == 0 or positives <= 0 or negatives <= 0:
        return None
    missed = np.cumsum(of_positive)[ends]
    spared = np.cumsum(mass)[ends] - missed
    if aim == "balanced":
        reached = ((positives - missed) / positives + spared / negatives) / 2
    else:
        hits, alarms = positives - missed, negatives - spared
        reached = hits / (2 * hits + alarms + missed) + spared / (2 * spared + alarms + missed)
    best = int(reached.argmax())
    return float((ranked[ends[best]] + ranked[ends[best] + 1]) / 2), float(reached[best])


def _balance(slope: Callable[[float], tuple[float, float]]) -> float:
    """Root of slope(s) + prior * (1 - 1/s), which grows with s: Newton's steps in log s, halved where they leave the
    bracket."""
    low, high = -np.log(_SHARPEST), np.log(_SHARPEST)
    place = 0.0
    for _ in range(60):
        sharpness = float(np.exp(place))
        value, growth = slope(sharpness)
        value += _PRIOR_ROWS * (1 - 1 / sharpness)
        growth += _PRIOR_ROWS / sharpness**2
        if value > 0:
            high = place
        else:
            low = place
        step = place - value / max(growth * sharpness, 1e-300)
        following = step if low < step < high else (low + high) / 2
        if abs(following - place) < 1e-6:
            break
        place = following
    return float(np.exp(place))


def _sample(rows: int, classes: int) -> npt.NDArray[np.int64]:
    """Evenly spread rows, few enough that forty passes over their scores are quick."""
    most = max(1_000, _MOST_SCORES // max(classes, 1) // 10)
    return np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).astype(np.int64)


def _shares(rows: int, weight: Array | None, keep: Array) -> tuple[Floats, float]:
    """Weights that sum to 1, and the number of equal rows that they are worth (Kish)."""
    mass = np.ones(len(keep)) if weight is None else np.asarray(weight, dtype=np.float64)[keep]
    total = float(mass.sum())
    if total <= 0:
        return mass, 0.0
    return mass / total, rows / len(keep) * total**2 / float((mass**2).sum())


def _log(chance: Floats) -> Floats:
    logs: Floats = np.log(np.maximum(chance, _TINY))
    return logs


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(logits: Floats) -> Floats:
    # Both branches stay below overflow, whatever the sign.
    raised = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + raised), raised / (1 + raised))
