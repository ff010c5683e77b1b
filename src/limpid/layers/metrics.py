"""Figures of merit in numpy, weighted, and fast when the same rows are weighted anew many times (bootstrap).

Every figure is a *scorer*: what is costly and does not depend on the weights (sorting, logarithms, comparing) is done
once when the scorer is made; calling it with S weightings of the N rows gives S values. A figure that is not defined
for a weighting (one class only, a constant target, no weight at all) is NaN there, without a warning.

Legend of shapes: N rows, K classes, R targets, S weightings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Scorer = Callable[[Floats], Floats]
"""From weights (S,N) to values (S,)."""

ECE_BINS = 15
_FEW_GROUPS = 16  # up to here one matrix product counts faster than a pass for each weighting


def once(scorer: Scorer, rows: int, weight: Array | None = None) -> float:
    """One value of a scorer.

    Args:
        scorer: the figure.
        rows: N.
        weight: (N,) sample weights; None counts every row once.

    Example:
        >>> once(accuracy(np.array([0, 1, 1]), np.array([0, 1, 0])), 3)
        0.6666666666666666
    """
    weights = np.ones((1, rows)) if weight is None else np.asarray(weight, dtype=np.float64)[None, :]
    return float(scorer(weights)[0])


def mean_of(values: Array) -> Scorer:
    """The weighted mean of a value for each row."""
    column = np.asarray(values, dtype=np.float64)

    def score(weights: Floats) -> Floats:
        # einsum and not a matrix product: a thin one costs more in handing it to the threads of the BLAS than in work.
        return _ratio(np.einsum("sn,n->s", weights, column), weights.sum(axis=1))

    return _finite_only(score, column)


def accuracy(target: Array, decided: Array) -> Scorer:
    """Share of right classes (N,), or of rows whose labels (N,K) are all right."""
    right = target == decided
    return mean_of(right if right.ndim == 1 else right.all(axis=1))


def balanced_accuracy(target: Array, decided: Array, classes: int) -> Scorer:
    """Mean recall over the classes that occur in the target."""
    true = _Groups(target, classes)
    hits = _Groups(target, classes, target == decided)

    def score(weights: Floats) -> Floats:
        return _mean_defined(_ratio(hits(weights), true(weights)))

    return score


def f1_macro(target: Array, decided: Array, classes: int) -> Scorer:
    """Mean F1 over the classes that occur in the target or among the decisions."""
    true = _Groups(target, classes)
    taken = _Groups(decided, classes)
    hits = _Groups(target, classes, target == decided)

    def score(weights: Floats) -> Floats:
        return _mean_defined(_ratio(2 * hits(weights), true(weights) + taken(weights)))

    return score


def f1_labels(target: Array, decided: Array) -> Scorer:
    """Mean F1 over labels (N,K); a label that neither occurs nor is given counts 0, as in scikit-learn."""
    true, taken = target.astype(np.float64), decided.astype(np.float64)
    hits = true * taken

    def score(weights: Floats) -> Floats:
        value = _ratio(2 * (weights @ hits), weights @ (true + taken))
        value = np.where(np.isnan(value), 0.0, value)
        return np.where(weights.sum(axis=1) > 0, value.mean(axis=1), np.nan)

    return score


def log_loss(target: Array, probability: Array) -> Scorer:
    """Mean of -log p of the true class in nats; for labels (N,K), the mean over labels of the binary log loss."""
    return mean_of(log_loss_rows(target, probability))


def log_loss_rows(target: Array, probability: Array) -> Floats:
    """(N,) the log loss of each row, in nats; a probability of zero counts as the smallest step above it."""
    chance = np.asarray(probability, dtype=np.float64)
    tiny = float(np.finfo(np.float64).eps)
    if target.ndim == 1:
        taken = chance[np.arange(len(target)), target]
        rows: Floats = -np.log(np.clip(taken, tiny, 1 - tiny))
        return rows
    of_truth = np.clip(np.where(target > 0.5, chance, 1 - chance), tiny, 1 - tiny)
    mean: Floats = -np.log(of_truth).mean(axis=1)
    return mean


def brier(target: Array, probability: Array) -> Scorer:
    """Mean squared error of probabilities: of the second class for two, summed over the classes for more, the mean
    over labels for labels."""
    chance = np.asarray(probability, dtype=np.float64)
    if target.ndim == 2:
        return mean_of(((chance - target) ** 2).mean(axis=1))
    if chance.shape[1] == 2:
        return mean_of((chance[:, 1] - (target == 1)) ** 2)
    taken = chance[np.arange(len(target)), target]
    return mean_of((chance**2).sum(axis=1) - taken**2 + (1 - taken) ** 2)


def ece(target: Array, probability: Array) -> Scorer:
    """Expected calibration error over 15 equal bins (Guo et al. 2017): of the second class's probability for two
    classes, of the likeliest class's for more, over all labels together for labels.

    A finite sample makes it positive even for perfect probabilities.
    """
    said, true = confidence(target, probability)
    bins = np.clip(np.nan_to_num(said, posinf=1.0, neginf=0.0) * ECE_BINS, 0, ECE_BINS - 1).astype(np.int64)
    gap = _Groups(bins, ECE_BINS, said - true)
    labels = target.shape[1] if target.ndim == 2 else 1

    def score(weights: Floats) -> Floats:
        spread = weights if labels == 1 else np.repeat(weights, labels, axis=1)
        return _ratio(np.abs(gap(spread)).sum(axis=1), spread.sum(axis=1))

    return _finite_only(score, said)


def confidence(target: Array, probability: Array) -> tuple[Floats, Floats]:
    """What calibration compares: stated probabilities and what came true, (N,) or (N*K,) for labels."""
    chance = np.asarray(probability, dtype=np.float64)
    if target.ndim == 2:
        return chance.ravel(), target.astype(np.float64).ravel()
    if chance.shape[1] == 2:
        return chance[:, 1], (target == 1).astype(np.float64)
    best = chance.argmax(axis=1)
    return chance[np.arange(len(target)), best], (best == target).astype(np.float64)


def roc_auc(target: Array, probability: Array) -> Scorer:
    """Area under the ROC curve: of the second class for two, else the mean over one-versus-rest of the classes (or
    labels) that occur."""
    return _over_classes(target, probability, roc_auc_of)


def average_precision(target: Array, probability: Array) -> Scorer:
    """Average precision: of the second class for two, else the mean over one-versus-rest of the classes (or labels)
    that occur."""
    return _over_classes(target, probability, average_precision_of)


def roc_auc_of(positive: Array, score: Array) -> Scorer:
    """Chance that a positive row scores above a negative one, ties counting half.

    Args:
        positive: (N,) bool.
        score: (N,), the higher the likelier.
    """
    order = np.argsort(score, kind="stable")
    is_positive = positive[order].astype(np.float64)
    ends = _group_ends(score[order])

    def auc(weights: Floats) -> Floats:
        moved = np.take(weights, order, axis=1)
        above = moved * is_positive
        moved -= above
        ahead = np.cumsum(moved, axis=1)
        if ends is None:
            negatives = ahead[:, -1].copy()
            moved *= 0.5
            ahead -= moved
        else:
            above = _steps(np.take(np.cumsum(above, axis=1), ends, axis=1))
            reached = np.take(ahead, ends, axis=1)
            negatives = reached[:, -1]
            ahead = reached - _steps(reached) / 2
        return _ratio(np.einsum("sn,sn->s", above, ahead), above.sum(axis=1) * negatives)

    return _finite_only(auc, score)


def average_precision_of(positive: Array, score: Array) -> Scorer:
    """Precision averaged over the steps of recall, the highest scores first.

    Args:
        positive: (N,) bool.
        score: (N,), the higher the likelier.
    """
    order = np.argsort(-score, kind="stable")
    is_positive = positive[order].astype(np.float64)
    ends = _group_ends(score[order])

    def mean_precision(weights: Floats) -> Floats:
        seen = np.take(weights, order, axis=1)
        hits = seen * is_positive
        found = np.cumsum(hits, axis=1)
        seen = np.cumsum(seen, axis=1, out=seen)
        if ends is not None:
            found, seen = np.take(found, ends, axis=1), np.take(seen, ends, axis=1)
            hits = _steps(found)
        total = found[:, -1]
        # Where nothing was seen yet, nothing was found either, and the precision does not count.
        precision = found / np.maximum(seen, np.finfo(np.float64).tiny)
        return _ratio(np.einsum("sn,sn->s", hits, precision), total)

    return _finite_only(mean_precision, score)


def rmse(target: Array, value: Array) -> Scorer:
    """Root of the mean squared error, averaged over the targets (N,R)."""
    squares = (_table(value) - _table(target)) ** 2

    def score(weights: Floats) -> Floats:
        each = np.sqrt(_ratio(weights @ squares, weights.sum(axis=1, keepdims=True)))
        mean: Floats = each.mean(axis=1)
        return mean

    return _finite_only(score, squares)


def mae(target: Array, value: Array) -> Scorer:
    """Mean absolute error, averaged over the targets (N,R)."""
    return mean_of(np.abs(_table(value) - _table(target)).mean(axis=1))


def r2(target: Array, value: Array) -> Scorer:
    """Share of the variance explained, averaged over the targets that vary."""
    truth = _table(target)
    squares = (_table(value) - truth) ** 2
    # Moments about the plain mean, since those about zero lose all digits where the mean is far from it.
    middle = truth.mean(axis=0) if len(truth) else np.zeros(truth.shape[1])
    centred = truth - middle
    floor = 1e-12 * (np.abs(middle) + np.abs(centred).max(axis=0, initial=0.0)) ** 2

    def score(weights: Floats) -> Floats:
        total = weights.sum(axis=1, keepdims=True)
        mean = _ratio(weights @ centred, total)
        spread = _ratio(weights @ centred**2, total) - mean**2
        left = _ratio(weights @ squares, total)
        return _mean_defined(np.where(spread > floor, 1 - _ratio(left, np.where(spread > floor, spread, 1.0)), np.nan))

    return _finite_only(score, squares)


def median_absolute_error(target: Array, value: Array) -> Scorer:
    """Weighted median of the absolute errors, averaged over the targets (N,R)."""
    errors = np.abs(_table(value) - _table(target))
    orders = np.argsort(errors, axis=0, kind="stable")

    def score(weights: Floats) -> Floats:
        result: Floats = np.zeros(len(weights))
        for column in range(errors.shape[1]):
            order = orders[:, column]
            ranked = errors[order, column]
            result += np.array([_weighted_median(ranked, w) for w in weights[:, order]])
        result /= errors.shape[1]
        return result

    return _finite_only(score, errors)


def pinball(target: Array, value: Array, quantile: float) -> Scorer:
    """Mean pinball loss of a quantile, averaged over the targets (N,R)."""
    under = _table(target) - _table(value)
    return mean_of(np.maximum(quantile * under, (quantile - 1) * under).mean(axis=1))


class _Groups:
    """Sums of weights (times a value) in groups of rows, for many weightings."""

    def __init__(self, group: Array, groups: int, value: Array | None = None) -> None:
        self._group = group
        self._groups = groups
        self._value = None if value is None else np.asarray(value, dtype=np.float64)
        self._matrix: Floats | None = None
        if groups <= _FEW_GROUPS:
            self._matrix = np.zeros((len(group), groups))
            self._matrix[np.arange(len(group)), group] = 1.0 if self._value is None else self._value

    def __call__(self, weights: Floats) -> Floats:
        """(S,groups)."""
        if self._matrix is not None:
            product: Floats = weights @ self._matrix
            return product
        return np.stack(
            [
                np.bincount(self._group, w if self._value is None else w * self._value, minlength=self._groups)
                for w in weights
            ]
        )


def _over_classes(target: Array, probability: Array, figure: Callable[[Array, Array], Scorer]) -> Scorer:
    chance = np.asarray(probability, dtype=np.float64)
    if target.ndim == 1 and chance.shape[1] == 2:
        return figure(target == 1, chance[:, 1])
    columns = range(chance.shape[1])
    positives = [target == k if target.ndim == 1 else target[:, k] > 0.5 for k in columns]
    scorers = [figure(p, chance[:, k]) for k, p in enumerate(positives) if p.any()]

    def score(weights: Floats) -> Floats:
        if not scorers:
            return np.full(len(weights), np.nan)
        return _mean_defined(np.stack([s(weights) for s in scorers], axis=1))

    return score


def _finite_only(scorer: Scorer, values: Array) -> Scorer:
    # A net that diverged gives NaN; sorting or binning them would yield a figure that looks sound.
    if np.isfinite(values).all():
        return scorer
    return lambda weights: np.full(len(weights), np.nan)


def _group_ends(ranked: Array) -> npt.NDArray[np.int64] | None:
    """Where runs of equal values end; None where all differ."""
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    return None if len(ends) == len(ranked) else ends


def _steps(sums: Floats) -> Floats:
    """What each column of running sums adds."""
    added: Floats = np.diff(sums, axis=1, prepend=0.0)
    return added


def _ratio(above: Array, below: Array) -> Floats:
    """Division that gives NaN where there is nothing to divide by."""
    above, below = np.broadcast_arrays(above, below)
    out: Floats = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _mean_defined(values: Floats) -> Floats:
    """(S,) means over the columns (S,K) that are not NaN; NaN where none is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _table(values: Array) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _weighted_median(ranked: Floats, weight: Floats) -> float:
    heap = np.cumsum(weight)
    if len(heap) == 0 or heap[-1] <= 0:
        return float("nan")
    half = heap[-1] / 2
    low = int(np.searchsorted(heap, half, side="left"))
    high = int(np.searchsorted(heap, half, side="right"))
    return float((ranked[low] + ranked[min(high, len(ranked) - 1)]) / 2)
