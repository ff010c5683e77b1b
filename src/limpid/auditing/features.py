"""What the model reads, as plain numbers for small classical models: table columns, frequent words, small pictures.

Legend of shapes: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.bundle.model import Model
from limpid.core.forms import FIELDS, FieldsShape
from limpid.data.vocabulary import OTHER
from limpid.evaluation.grid_features import small_grey
from limpid.planning.encoders import input_of

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_WORDS = 200  # the most frequent ids of a sequence of tokens
_SIDE = 8  # of a small picture
_STEPS = 16  # of a shortened series


@dataclass(frozen=True)
class Features:
    """Columns of numbers.

    Args:
        values: (N,F).
        columns: (F,) the raw column that each comes from.
        discrete: (F,) whether its numbers are codes.
    """

    values: Floats
    columns: tuple[str, ...]
    discrete: tuple[bool, ...]

    def without(self, names: Sequence[str]) -> Features:
        """The same without what comes from some raw columns."""
        keep = [n for n, column in enumerate(self.columns) if column not in names]
        return Features(
            self.values[:, keep], tuple(self.columns[n] for n in keep), tuple(self.discrete[n] for n in keep)
        )


def features(bundle: Model, arrays: Mapping[str, Array]) -> Features:
    """Everything that the model reads, narrowed down.

    Args:
        bundle: the model.
        arrays: N encoded rows.
    """
    pieces: list[Floats] = []
    columns: list[str] = []
    discrete: list[bool] = []
    for name, shape in bundle.encoders.shapes().items():
        if isinstance(shape, FieldsShape):
            numbers = np.where(arrays[f"{FIELDS}.missing"] > 0, np.nan, arrays[f"{FIELDS}.numbers"])
            pieces += [numbers.astype(np.float64), arrays[f"{FIELDS}.categories"].astype(np.float64)]
            columns += [column for part in columns_of(bundle) for column in part]
            discrete += [False] * len(shape.numbers) + [True] * len(shape.categories)
            continue
        raw = next((c for c in bundle.encoders.columns if input_of(c) == name), name)
        piece = _narrow({part: arrays[f"{name}.{part}"] for part in _parts(arrays, name)})
        pieces.append(piece)
        columns += [raw] * piece.shape[1]
        discrete += [False] * piece.shape[1]
    rows = len(next(iter(arrays.values())))
    return Features(np.concatenate(pieces, axis=1) if pieces else np.zeros((rows, 0)), tuple(columns), tuple(discrete))


def columns_of(bundle: Model) -> tuple[list[str], list[str]]:
    """The raw column behind each number and behind each category of the table ("date" for "date.year")."""
    shape = bundle.encoders.shapes()[FIELDS]
    assert isinstance(shape, FieldsShape)
    owner: dict[str, str] = {}
    for column in bundle.encoders.columns:
        own = bundle.encoders.modality(column).shape()
        if isinstance(own, FieldsShape):
            owner.update(dict.fromkeys((*own.numbers, *own.categories), column))
    return [owner[feature] for feature in shape.numbers], [owner[feature] for feature in shape.categories]


def _parts(arrays: Mapping[str, Array], name: str) -> list[str]:
    return [key[len(name) + 1 :] for key in arrays if key.startswith(name + ".") and "." not in key[len(name) + 1 :]]


def _narrow(parts: Mapping[str, Array]) -> Floats:
    """(N,F) of one input that is no table."""
    if "tokens" in parts:
        return presence(parts["tokens"], _WORDS)
    if "pixels" in parts:
        return small(parts["pixels"])
    values = np.asarray(parts["values"], dtype=np.float64)
    at = np.unique(np.linspace(0, values.shape[1] - 1, _STEPS).astype(np.int64))
    return np.nan_to_num(values[:, at].reshape(len(values), -1))


def presence(tokens: Array, most: int) -> Floats:
    """(N,F) whether each of the most frequent ids stands in a row; padding and the id of rare words are no words."""
    ids, counts = np.unique(tokens, return_counts=True)
    usual = ids > OTHER
    ids, counts = ids[usual], counts[usual]
    ids = np.sort(ids[np.argsort(-counts, kind="stable")[:most]])
    found = np.zeros((len(tokens), len(ids)))
    place = np.searchsorted(ids, tokens).clip(0, max(len(ids) - 1, 0))
    if len(ids):
        row, step = np.nonzero(ids[place] == tokens)
        found[row, place[row, step]] = 1.0
    return found


def small(pixels: Array) -> Floats:
    """(N,F) pictures as grey 8x8 ones, by the mean of blocks."""
    return np.asarray(small_grey(pixels, side=_SIDE), dtype=np.float64)
