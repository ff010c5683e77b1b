"""Where should the bins of a numeric feature end, so that the target differs between them?

Piecewise-linear encodings (Gorishniy et al. 2022, arXiv 2203.05556) need bin edges. Edges at quantiles lose the tail of
a column that is mostly one value; the thresholds of a small decision tree on that column alone do not. The tree here
is grown best-first on sorted values with prefix sums, by reduction of the summed squared error; on one-hot classes
that is the Gini reduction. Numpy only.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MAX_OUTPUTS = 16
_EMPTY_EDGES = (0.0, 1.0)


def target_matrix(target: NDArray[np.generic]) -> Floats:
    """The target as columns whose squared error a tree can reduce.

    Args:
        target: (N,) classes as integers, (N,K) labels, (N,R) or (N,) values.

    Shapes and units:
        (N,Q), each column scaled to unit variance for floats; for integers one-hot columns of the most frequent
        classes, at most 16 of them (the rest share the last one).

    Example:
        >>> target_matrix(np.array([0, 1, 1])).tolist()
        [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]
    """
    if target.ndim == 1 and np.issubdtype(target.dtype, np.integer):
        classes, codes, counts = np.unique(target, return_inverse=True, return_counts=True)
        rank = np.empty(len(classes), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(classes))
        columns = min(len(classes), _MAX_OUTPUTS)
        hot = np.zeros((len(target), max(columns, 1)))
        hot[np.arange(len(target)), np.minimum(rank[codes], columns - 1)] = 1.0
        return hot
    values = target.reshape(len(target), -1).astype(np.float64)
    spread = values.std(axis=0) if len(values) else np.ones(values.shape[1])
    scaled: Floats = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0) if len(values) else values
    return scaled[:, :_MAX_OUTPUTS]


def tree_edges(values: Floats, target: Floats, *, bins: int, min_leaf: int) -> Floats:
    """Bin edges of one feature at the thresholds of a best-first regression tree.

    A feature with at most `bins` + 1 different values gets an edge at each of them instead, so that every value can
    have an effect of its own.

    Args:
        values: (N,) finite.
        target: (N,Q) from `target_matrix`.
        bins: the largest number of bins.
        min_leaf: rows that a bin holds at least.

    Shapes and units:
        Ascending, from the smallest to the largest value; between 2 and `bins` + 1 edges.

    Example:
        >>> x = np.arange(100.0)
        >>> tree_edges(x, (x > 30)[:, None].astype(float), bins=2, min_leaf=1).tolist()
        [0.0, 30.5, 99.0]
    """
    distinct, start = _groups(values, bins)
    if distinct is not None:
        return distinct
    order = np.argsort(values, kind="stable")
    sums = np.add.reduceat(target[order], start, axis=0)
    counts = np.diff(np.append(start, len(values))).astype(np.float64)
    unique = values[order][start]
    cuts = _grow(counts, sums, leaves=bins, min_leaf=min_leaf)
    thresholds = (unique[cuts - 1] + unique[cuts]) / 2
    return np.unique(np.concatenate([unique[:1], thresholds, unique[-1:]]))


def quantile_edges(values: Floats, *, bins: int) -> Floats:
    """Bin edges of one feature at quantiles, without looking at the target.

    Args:
        values: (N,) finite.
        bins: the largest number of bins.

    Example:
        >>> quantile_edges(np.arange(101.0), bins=4).tolist()
        [0.0, 25.0, 50.0, 75.0, 100.0]
    """
    distinct, _ = _groups(values, bins)
    if distinct is not None:
        return distinct
    return np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)))


def _groups(values: Floats, bins: int) -> tuple[Floats | None, NDArray[np.int64]]:
    """The edges where there are few different values, and where each run of equal sorted values starts."""
    ordered = np.sort(values, kind="stable")
    start = np.flatnonzero(np.append(True, ordered[1:] > ordered[:-1])) if len(ordered) else np.zeros(0, dtype=np.int64)
    unique = ordered[start]
    if len(unique) == 0:
        return np.array(_EMPTY_EDGES), start
    if len(unique) == 1:
        return np.array([unique[0], unique[0] + 1.0]), start
    return (unique if len(unique) <= bins + 1 else None), start


def _grow(counts: Floats, sums: Floats, *, leaves: int, min_leaf: int) -> NDArray[np.int64]:
    """Positions that cut G groups of equal values into at most `leaves` runs, the best cut first.

    Args:
        counts: (G,) rows of each group.
        sums: (G,Q) sums of the target in each group.
    """
    count = np.concatenate([[0.0], np.cumsum(counts)])
    total = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(sums, axis=0)])
    heap: list[tuple[float, int, int, int]] = []

    def propose(low: int, high: int) -> None:
        left_count = count[low + 1 : high] - count[low]
        right_count = count[high] - count[low + 1 : high]
        allowed = (left_count >= min_leaf) & (right_count >= min_leaf)
        if not allowed.any():
            return
        left = total[low + 1 : high] - total[low]
        whole = total[high] - total[low]
        score = (left**2).sum(axis=1) / left_count + ((whole - left) ** 2).sum(axis=1) / right_count
        best = int(np.argmax(np.where(allowed, score, -np.inf)))
        parent = float((whole**2).sum() / (count[high] - count[low]))
        # Gains below rounding error are no gains: the target does not differ within this run.
        if score[best] - parent > 1e-9 * max(count[high] - count[low], 1.0):
            heapq.heappush(heap, (parent - float(score[best]), low, low + 1 + best, high))

    propose(0, len(counts))
    cuts: list[int] = []
    while heap and len(cuts) < leaves - 1:
        _, low, cut, high = heapq.heappop(heap)
        cuts.append(cut)
        propose(low, cut)
        propose(cut, high)
    return np.array(sorted(cuts), dtype=np.int64)
