"""What an explanation speaks of: columns of a row, words of a text, regions of a picture, stretches of a series.

Legend of shapes: N rows that differ in what was taken away, U units, H and W of a grid, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.forms import FIELDS, FieldsShape, GridShape, SeqShape
from limpid.core.repairs import Repairs
from limpid.data.words import split_words
from limpid.planning.encoders import Encoders, input_of

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

REGIONS = 8
"""Regions of a picture along each side."""
STRETCHES = 24
"""Stretches of a series."""
_MOST_WORDS = 200


@dataclass(frozen=True)
class Unit:
    """A part of the row that can be taken away.

    Args:
        name: what it is called: a column, a word, a place.
        column: it belongs to.
        kind: column, word, region or stretch.
        value: the raw cell or word.
        where: of a region (top, left, bottom, right); of a word or a stretch (first, last + 1).
    """

    name: str
    column: str
    kind: str
    value: str
    where: tuple[int, ...] = ()

    @property
    def name_of_input(self) -> str:
        """The input that it is read from."""
        return FIELDS if self.kind == "column" else input_of(self.column)


class Row:
    """One example as units, and what is left of it without some of them.

    Args:
        encoders: of the model.
        frame: one raw row.
        arrays: the same encoded.
        baseline: one encoded row that stands for "nothing": what a column is set to when it is taken away.
    """

    def __init__(
        self, encoders: Encoders, frame: pl.DataFrame, arrays: Mapping[str, Array], baseline: Mapping[str, Array]
    ) -> None:
        self.encoders, self.frame = encoders, frame
        self.arrays, self.baseline = dict(arrays), dict(baseline)
        self.shapes = encoders.shapes()
        self.words: dict[str, list[str]] = {}
        self.owners: dict[str, Array] = {}  # input -> (T) which word each token belongs to, -1 for none
        self.places: dict[str, dict[str, list[int]]] = {}  # table's column -> where its features stand
        self.units: list[Unit] = []
        for name in encoders.columns:
            self._add(name)

    def _add(self, name: str) -> None:
        modality: Any = self.encoders.modality(name)
        shape = modality.shape()
        cell = self.frame[name][0]
        if isinstance(shape, FieldsShape):
            self.places[name] = self.encoders.places(name)
            self.units.append(Unit(name, name, "column", "missing" if cell is None else str(cell)))
        elif isinstance(shape, GridShape):
            high, wide = min(REGIONS, shape.height), min(REGIONS, shape.width)
            tops = np.linspace(0, shape.height, high + 1).astype(int).tolist()
            lefts = np.linspace(0, shape.width, wide + 1).astype(int).tolist()
            for top, bottom in pairwise(tops):
                for left, right in pairwise(lefts):
                    where = (top, left, bottom, right)
                    self.units.append(
                        Unit(f"rows {top} to {bottom}, columns {left} to {right}", name, "region", "", where)
                    )
        elif isinstance(shape, SeqShape) and f"{input_of(name)}.tokens" in self.arrays:
            self._add_words(name, shape, "" if cell is None else str(cell), modality)
        elif isinstance(shape, SeqShape):
            length = int(self.arrays[f"{input_of(name)}.length"][0])
            edges = np.unique(np.linspace(0, length, min(STRETCHES, max(length, 1)) + 1).astype(int)).tolist()
            for first, last in pairwise(edges):
                said = f"step {first}" if last == first + 1 else f"steps {first} to {last - 1}"
                self.units.append(Unit(said, name, "stretch", "", (first, last)))

    def _add_words(self, name: str, shape: SeqShape, text: str, modality: Any) -> None:
        found = split_words(pl.Series([text]), shape.length)
        words = [found.different[w] for w in found.word]
        tokens = self.arrays[f"{input_of(name)}.tokens"][0]
        self.words[name] = words
        self.owners[input_of(name)] = _owners(text, words, tokens, shape, modality)
        edges = np.unique(np.linspace(0, len(words), min(_MOST_WORDS, len(words)) + 1).astype(int)).tolist()
        for first, last in pairwise(edges):  # of a long text several neighbouring words are one unit
            said = " ".join(words[first:last])
            self.units.append(Unit(said, name, "word", said, (first, last)))

    def without(self, taken: npt.NDArray[np.bool_]) -> Arrays:
        """Encoded rows of which units were taken away.

        Args:
            taken: (N,U) true for what is taken away.

        Returns:
            arrays of N rows: columns hold the baseline's value, words are left out of the text, regions hold the
            picture's mean, stretches the series' mean.
        """
        rows = len(taken)
        arrays = {k: np.repeat(v[:1], rows, axis=0) for k, v in self.arrays.items()}
        texts: dict[str, list[tuple[int, Unit]]] = {}
        for place, unit in enumerate(self.units):
            gone = taken[:, place]
            if unit.kind == "word":
                texts.setdefault(unit.column, []).append((place, unit))
                continue
            if not gone.any():
                continue
            name = input_of(unit.column)
            if unit.kind == "column":
                for part, places in self.places[unit.column].items():
                    for n in places:
                        arrays[part][gone, n] = self.baseline[part][0, n]
            elif unit.kind == "region":
                top, left, bottom, right = unit.where
                shape = self.shapes[name]
                assert isinstance(shape, GridShape)
                mean = np.asarray(shape.mean).reshape(-1, 1, 1)
                arrays[f"{name}.pixels"][gone, :, top:bottom, left:right] = mean.astype(arrays[f"{name}.pixels"].dtype)
            else:
                first, last = unit.where
                length = int(self.arrays[f"{name}.length"][0])
                mean = self.arrays[f"{name}.values"][0, :length].astype(np.float64).mean(axis=0)
                arrays[f"{name}.values"][gone, first:last] = mean.astype(arrays[f"{name}.values"].dtype)
        for column, runs in texts.items():
            words = np.array(self.words[column], dtype=object)
            kept = np.ones((rows, len(words)), bool)
            for place, unit in runs:
                kept[:, unit.where[0] : unit.where[1]] = ~taken[:, place : place + 1]
            cells = pl.Series(column, [" ".join(words[row]) for row in kept], dtype=pl.String)
            tokens = self.encoders.modality(column).encode(cells, Repairs())["tokens"]
            whole = kept.all(axis=1)  # what was not cut may hold more than its words
            tokens[whole] = self.arrays[f"{input_of(column)}.tokens"][0]
            arrays[f"{input_of(column)}.tokens"] = tokens
        return arrays

    def gather(self, values: Mapping[str, Array]) -> npt.NDArray[np.float64]:
        """(U) attributions of units, from those of single values.

        Args:
            values: "fields.numbers" (F), "fields.missing" (F), "fields.categories" (G), "INPUT.tokens" (T),
                "INPUT.pixels" (C,H,W), "INPUT.values" (T,D); absent parts count as 0.
        """
        found = np.zeros(len(self.units))
        for place, unit in enumerate(self.units):
            name = input_of(unit.column)
            if unit.kind == "column":
                for part, places in self.places[unit.column].items():
                    if part in values and places:
                        found[place] += float(values[part][places].sum())
            elif unit.kind == "region":
                top, left, bottom, right = unit.where
                found[place] = float(values[f"{name}.pixels"][:, top:bottom, left:right].sum())
            elif unit.kind == "stretch":
                found[place] = float(values[f"{name}.values"][unit.where[0] : unit.where[1]].sum())
            else:
                own = (self.owners[name] >= unit.where[0]) & (self.owners[name] < unit.where[1])
                found[place] = float(values[f"{name}.tokens"][own].sum())
        return found


def _owners(text: str, words: Sequence[str], tokens: Array, shape: SeqShape, modality: Any) -> Array:
    """(T) the word that each token belongs to, -1 where that is not known."""
    owner = np.full(len(tokens), -1)
    if not words:
        return owner
    different = list(dict.fromkeys(words))
    tally = (modality.encode(pl.Series(different), Repairs())["tokens"] != 0).sum(axis=1)
    counts = tally[[different.index(w) for w in words]] if len(different) < len(words) else tally
    filled = int((tokens != 0).sum())
    letters = normalize("NFKC", text).casefold()[:filled]
    if len(letters) == filled and counts.sum() == sum(map(len, words)):  # a token for each character
        order = _of_letters(letters, words)
    elif shape.pieces is not None:  # all words first, then the pieces of each of them
        order = np.concatenate([np.arange(len(words)), np.repeat(np.arange(len(words)), counts - 1)])
    else:
        order = np.repeat(np.arange(len(words)), counts)
    if len(order) < filled:  # marks of beginning and end
        return owner
    owner[:filled] = order[:filled]
    return owner


def _of_letters(letters: str, words: Sequence[str]) -> Array:
    """The word that each character belongs to; what stands between two words belongs to the first."""
    order = np.zeros(len(letters), np.int64)
    place = 0
    for n, word in enumerate(words):
        place = letters.find(word, place)
        if place < 0:  # cut off
            break
        order[place:] = n
        place += len(word)
    return order


def typical(arrays: Mapping[str, Array]) -> Arrays:
    """One encoded row that stands for the middle of many: medians of numbers, the most frequent codes.

    Args:
        arrays: N encoded rows.
    """
    row: Arrays = {}
    for name, array in arrays.items():
        part = name.rpartition(".")[2]
        if part == "numbers":
            row[name] = np.median(array, axis=0, keepdims=True).astype(array.dtype)
        elif part in ("missing", "categories"):
            middle = [np.bincount(array[:, n].astype(np.int64)).argmax() for n in range(array.shape[1])]
            row[name] = np.array([middle], dtype=array.dtype).reshape(1, array.shape[1])
        else:
            row[name] = array[:1]
    return row
