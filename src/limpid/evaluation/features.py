"""The encoded rows as classical models read them: one matrix, from fields, token sequences and small grey grids.

Legend of shapes: N rows, F numeric and G categorical features, T tokens, C columns of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.forms import FieldsShape
from limpid.data.encoded import Encoded
from limpid.evaluation.grid_features import SmallGrey, grid_inputs
from limpid.evaluation.series_features import SeriesFeatures

Array = npt.NDArray[Any]

_DENSE_COLUMNS = 200  # up to here one-hot columns are kept dense, which is faster
_MOST_BINS = 255  # categories that the histogram booster takes as such
_TOP_TOKENS = 200


def boostable(part: Encoded) -> bool:
    """Whether there is anything that trees read well: a table's columns or words, but no raw pixels or values."""
    return any(name.endswith((".numbers", ".tokens")) for name in part.arrays)


class LinearFeatures:
    """Standardised numbers, flags of missing ones, one-hot categories, tokens weighted by rarity, values of series.

    Args:
        part: training rows.
        rows: positions of the rows to learn means, spreads and rarities from.
        shape: of the table's columns, or None.
    """

    def __init__(self, part: Encoded, rows: Array, shape: FieldsShape | None) -> None:
        self._shape = shape
        if shape is not None:
            numbers, missing = _numbers(part, rows)
            present = ~missing
            count = np.maximum(present.sum(axis=0), 1)
            self._mean = np.where(present, numbers, 0.0).sum(axis=0) / count
            self._std = np.sqrt(np.where(present, (numbers - self._mean) ** 2, 0.0).sum(axis=0) / count)
            self._std[self._std < 1e-9] = 1.0
        self._series = SeriesFeatures(part, rows)
        self._rarity: dict[str, Array] = {}
        for name in _token_inputs(part):
            tokens = np.asarray(part.arrays[name][rows], dtype=np.int64)
            counted = np.zeros(int(tokens.max(initial=0)) + 1)
            for row in tokens:
                counted[np.unique(row)] += 1
            self._rarity[name] = np.log((1 + len(tokens)) / (1 + counted)) + 1
            self._rarity[name][counted == 0] = 0.0
        self._grids = {name: SmallGrey(part.arrays[name], rows) for name in grid_inputs(part)}

    def matrix(self, part: Encoded, rows: Array) -> Any:
        """(N,C), dense or sparse."""
        from scipy import sparse

        blocks: list[Any] = []
        if self._shape is not None:
            numbers, missing = _numbers(part, rows)
            scaled = np.where(missing, 0.0, (numbers - self._mean) / self._std)
            flags = missing[:, np.array(self._shape.can_miss, dtype=bool)]
            blocks += [np.clip(scaled, -10, 10), flags.astype(np.float64)]
            blocks += [
                self._one_hot(np.asarray(part.arrays["fields.categories"][rows, place]), size)
                for place, size in enumerate(self._shape.cardinalities)
            ]
        blocks += [self._bag(part, name, rows) for name in self._rarity]
        blocks.append(self._series.matrix(part, rows))
        blocks += [small(part.arrays[name], rows) for name, small in self._grids.items()]
        if any(sparse.issparse(b) for b in blocks):
            return sparse.hstack([sparse.csr_matrix(b) for b in blocks], format="csr")
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(rows), 0))

    def _one_hot(self, codes: Array, size: int) -> Any:
        from scipy import sparse

        assert self._shape is not None
        if sum(self._shape.cardinalities) <= _DENSE_COLUMNS:
            hot = np.zeros((len(codes), size))
            hot[np.arange(len(codes)), codes] = 1.0
            return hot
        ones = np.ones(len(codes))
        return sparse.csr_matrix((ones, codes, np.arange(len(codes) + 1)), shape=(len(codes), size))

    def _bag(self, part: Encoded, name: str, rows: Array) -> Any:
        from scipy import sparse

        rarity = self._rarity[name]
        tokens = np.asarray(part.arrays[name][rows], dtype=np.int64)
        place, column = np.nonzero((tokens > 0) & (tokens < len(rarity)))
        ids = tokens[place, column]
        bag = sparse.csr_matrix((np.ones(len(ids)), (place, ids)), shape=(len(tokens), len(rarity)))
        bag.data[:] = 1.0  # several times the same token counts once
        bag = bag.multiply(rarity[None, :]).tocsr()
        length = np.sqrt(np.asarray(bag.multiply(bag).sum(axis=1)).ravel())
        return sparse.diags(1 / np.maximum(length, 1e-12)) @ bag


class BoostedFeatures:
    """Numbers with NaN where missing, categories as codes, and how often each of the most frequent tokens occurs.

    Args:
        part: training rows.
        rows: positions of the rows to choose tokens from.
        shape: of the table's columns, or None.
    """

    def __init__(self, part: Encoded, rows: Array, shape: FieldsShape | None) -> None:
        self._shape = shape
        self._tokens: dict[str, Array] = {}
        for name in _token_inputs(part):
            tokens = np.asarray(part.arrays[name][rows], dtype=np.int64)
            counted = np.bincount(tokens[tokens > 0], minlength=1)
            top = np.argsort(-counted, kind="stable")[:_TOP_TOKENS]
            self._tokens[name] = np.sort(top[counted[top] > 0])
        sizes: Sequence[int] = shape.cardinalities if shape is not None else ()
        wide = sum(len(t) for t in self._tokens.values())
        self.categorical = np.array(
            [False] * (len(shape.numbers) if shape is not None else 0)
            + [size <= _MOST_BINS for size in sizes]
            + [False] * wide,
            dtype=bool,
        )

    def matrix(self, part: Encoded, rows: Array) -> Array:
        """(N,C) float64."""
        blocks: list[Array] = []
        if self._shape is not None:
            numbers, missing = _numbers(part, rows)
            blocks.append(np.where(missing, np.nan, numbers))
            codes = np.asarray(part.arrays["fields.categories"][rows], dtype=np.float64)
            blocks.append(np.where(codes == 0, np.nan, codes))
        for name, top in self._tokens.items():
            tokens = np.asarray(part.arrays[name][rows], dtype=np.int64)
            counts = np.zeros((len(tokens), len(top)))
            found = np.searchsorted(top, tokens)
            known = (found < len(top)) & (top[np.minimum(found, len(top) - 1)] == tokens) if len(top) else tokens < 0
            place, column = np.nonzero(known)
            np.add.at(counts, (place, found[place, column]), 1.0)
            blocks.append(counts)
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(rows), 0))


def _numbers(part: Encoded, rows: Array) -> tuple[Array, Array]:
    numbers = np.asarray(part.arrays["fields.numbers"][rows], dtype=np.float64)
    return numbers, np.asarray(part.arrays["fields.missing"][rows]) > 0.5


def _token_inputs(part: Encoded) -> list[str]:
    return sorted(name for name in part.arrays if name.endswith(".tokens"))
