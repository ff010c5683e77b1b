"""Rows in cells of group and truth: how good answers are, and how far groups lie apart, for many weightings at once.

Legend of shapes: N rows, S weightings, such as the counts of bootstrap samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.data.groups import SMALLEST

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_REPEATS, _FEW_REPEATS, _MANY_ROWS = 400, 100, 20_000


class Crossed:
    """Groups that have enough rows in every cell, and how their rows were answered.

    Args:
        value: (N,) what groups are compared by within a cell: whether the answer is right, or an error.
        score: (N,) what the answers are judged by.
        cell: (N,) number of each row's cell, such as its true class.
        cells: how many there are.
        codes: (N,) number of each row's group; rows below 0 and those of small groups are left out.
        groups: how many there are.
    """

    def __init__(self, value: Array, score: Array, cell: Array, cells: int, codes: Array, groups: int) -> None:
        inside = codes >= 0
        count = np.bincount(codes[inside] * cells + cell[inside], minlength=groups * cells)
        self.large = np.flatnonzero(count.reshape(groups, cells).min(axis=1) >= SMALLEST)
        self.kept = np.isin(codes, self.large)
        self.count = int(self.kept.sum())
        self.cells = cells
        self._value, self._score = value[self.kept].astype(np.float64), score[self.kept].astype(np.float64)
        dense = np.searchsorted(self.large, codes[self.kept])
        self._cell = _one_hot(dense * cells + cell[self.kept], len(self.large) * cells)
        self._group = _one_hot(dense, len(self.large))

    def figures(self, weights: Floats) -> Floats:
        """(S,2) mean score, and the largest difference between groups of their mean values within a cell.

        Args:
            weights: (S,N) of the rows that are kept.
        """
        score = weights @ self._score / weights.sum(axis=1)
        rates = _ratio(weights @ (self._cell * self._value[:, None]), weights @ self._cell)
        gap = np.ptp(rates.reshape(len(weights), len(self.large), self.cells), axis=1).max(axis=1)
        return np.stack([score, gap], axis=1)

    def gap_of_shares(self, said: Array, classes: int) -> float:
        """The largest difference between groups of the shares of their rows that are answered with a class.

        Args:
            said: (N,) the class of each answer.
            classes: how many there are.
        """
        rows = self._group.sum(axis=0)
        return max(float(np.ptp(_ratio((said[self.kept] == k) @ self._group, rows))) for k in range(classes))


def samples(rows: int, random: np.random.Generator) -> Floats:
    """(S,N) counts of bootstrap samples."""
    repeats = _REPEATS if rows <= _MANY_ROWS else _FEW_REPEATS
    return np.stack([np.bincount(random.integers(0, rows, rows), minlength=rows) for _ in range(repeats)]).astype(float)


def _one_hot(codes: Array, count: int) -> Floats:
    found = np.zeros((len(codes), count))
    found[np.arange(len(codes)), codes] = 1.0
    return found


def _ratio(above: Floats, below: Floats) -> Floats:
    ratio: Floats = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return ratio
