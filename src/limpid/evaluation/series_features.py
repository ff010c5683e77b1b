"""Series as classical models read them: the values side by side for a linear model, and the nearest training series.

Nearest neighbour by Euclidean distance is the archive's own baseline (Dau et al. 2019, arXiv 1810.07758). Nothing is
boosted on raw values: a tree that asks for one moment's value learns where a series happened to begin.

Legend of shapes: N rows, T time steps, D channels, C columns of the matrix, K classes, labels or values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.seeds import generator
from limpid.data.encoded import Encoded

Array = npt.NDArray[Any]

_LINEAR_COLUMNS = 1_000
_NEAREST_COLUMNS = 4_096
_NEAREST_ROWS = 5_000
_CHUNK = 512


def series_inputs(part: Encoded) -> list[str]:
    """Names of the arrays that hold series."""
    return sorted(name for name in part.arrays if name.endswith(".values"))


class SeriesFeatures:
    """The values of all series side by side, standardised column by column; neighbours averaged where they are many.

    Args:
        part: training rows.
        rows: positions of the rows to learn means and spreads from.
        most: columns at most.
    """

    def __init__(self, part: Encoded, rows: Array, most: int = _LINEAR_COLUMNS) -> None:
        self._strides = _strides(part, most)
        raw = self._raw(part, rows)
        self._mean = raw.mean(axis=0) if len(raw) else np.zeros(raw.shape[1])
        self._std = raw.std(axis=0) if len(raw) else np.ones(raw.shape[1])
        self._std[self._std < 1e-9] = 1.0

    def matrix(self, part: Encoded, rows: Array) -> Array:
        """(N,C) float64."""
        return np.asarray(np.clip((self._raw(part, rows) - self._mean) / self._std, -10, 10))

    def _raw(self, part: Encoded, rows: Array) -> Array:
        return flat(part, rows, self._strides)


def _strides(part: Encoded, most: int) -> dict[str, int]:
    """How many neighbours of each input are averaged, so that all of them together have at most so many columns."""
    names = series_inputs(part)
    found = {}
    for name in names:
        _, steps, channels = part.arrays[name].shape
        found[name] = -(-steps // max(1, most // len(names) // channels))
    return found


def flat(part: Encoded, rows: Array, strides: dict[str, int]) -> Array:
    """(N,C) values of all series, with means of so many neighbours of each; padding is 0."""
    blocks = []
    for name, stride in strides.items():
        values = np.asarray(part.arrays[name][rows], dtype=np.float64)
        starts = np.arange(0, values.shape[1], stride)
        counts = np.diff(starts, append=values.shape[1])[None, :, None]
        means = values if stride == 1 else np.add.reduceat(values, starts, axis=1) / counts
        blocks.append(means.reshape(len(values), -1))
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(rows), 0))


def nearest(
    train: Encoded, target: Array, classes: int | None, labels: bool, seed: int, notes: list[str]
) -> Callable[[Encoded], Array]:
    """The answer of the training series that is nearest by Euclidean distance, as it was encoded.

    Args:
        train: training rows.
        target: their encoded targets.
        classes: K of exclusive classes, None for labels and values.
        labels: whether the targets are labels of 0 and 1.
        seed: of the sample, where there are more rows than can be compared.
        notes: takes a sentence on the sample.

    Returns:
        from rows to (N,K) probabilities or values. How sure a class is follows from how often the nearest other
        training series has the wrong one.
    """
    rows = np.arange(len(target))
    if len(rows) > _NEAREST_ROWS:
        rows = np.sort(generator(seed, "nearest").choice(len(rows), _NEAREST_ROWS, replace=False))
        notes.append(f"among a sample of {len(rows):,} of {len(target):,} training rows")
    strides = _strides(train, _NEAREST_COLUMNS)
    known = flat(train, rows, strides)
    wanted = np.eye(classes)[target[rows]] if classes is not None else np.asarray(target[rows], np.float64)
    doubt = np.zeros(wanted.shape[1])
    if classes is not None or labels:
        others = wanted[_closest(known, known, alone=True)] if len(known) > 1 else wanted
        wrong = (others != wanted).any(axis=1, keepdims=True) if classes is not None else others != wanted
        # However often it is wrong, the nearest series' answer stays the likeliest one.
        most = 0.99 * (classes - 1) / classes if classes is not None else 0.49
        doubt = np.minimum((wrong.sum(axis=0) + 1) / (len(known) + 2), most)

    def answer(part: Encoded) -> Array:
        found = []
        for start in range(0, max(len(part.rows), 1), _CHUNK):
            some = np.arange(start, min(start + _CHUNK, len(part.rows)))
            found.append(wanted[_closest(flat(part, some, strides), known, alone=False)])
        given = np.concatenate(found)
        if classes is not None:
            return np.where(given > 0, 1 - doubt, doubt / max(classes - 1, 1))
        return np.where(given > 0.5, 1 - doubt, doubt) if labels else given

    return answer


def _closest(queries: Array, known: Array, *, alone: bool) -> Array:
    """(N,) position of the nearest known row; with `alone` the rows are the same and none is its own neighbour."""
    squares = (known**2).sum(axis=1)
    found = np.zeros(len(queries), np.int64)
    for start in range(0, len(queries), _CHUNK):
        some = queries[start : start + _CHUNK]
        distance = squares[None, :] - 2 * some @ known.T
        if alone:
            distance[np.arange(len(some)), start + np.arange(len(some))] = np.inf
        found[start : start + len(some)] = distance.argmin(axis=1)
    return found
