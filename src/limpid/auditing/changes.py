"""Small changes of cells that should hardly change an answer: noise, gaps, typos, blur, shifts.

Each takes rows and gives their encoded cells anew, or None where there is nothing of that kind to change.

Legend of shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.auditing.features import columns_of
from limpid.auditing.judged import Judged
from limpid.core.forms import FIELDS
from limpid.core.repairs import Repairs

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Change = Callable[[Judged, np.random.Generator], Arrays | None]

NOISE = 0.1  # of a column's standard deviation
_TYPO_SHARE = 0.1  # of the words


def noise(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Numbers, pixels and values of series with normal noise of a tenth of their standard deviation."""
    changed: Arrays = {}
    for key, array in judged.arrays.items():
        if key == f"{FIELDS}.numbers":
            free = number_features(judged)
            if not free.any():
                continue
            there = judged.arrays[f"{FIELDS}.missing"] == 0
            spread = np.nanstd(np.where(there, array, np.nan), axis=0) if there.any(axis=0).all() else array.std(axis=0)
            step = random.normal(size=array.shape) * spread * NOISE
            changed[key] = (array + np.where(there & free, step, 0.0)).astype(array.dtype)
        elif key.endswith((".pixels", ".values")):
            changed[key] = like(
                array + random.normal(size=array.shape) * float(array.std(dtype=np.float64)) * NOISE, array
            )
    return {**judged.arrays, **changed} if changed else None


def number_features(judged: Judged) -> Array:
    """(F,) whether a feature of the table is a number column's own."""
    columns = judged.bundle.encoders.columns
    return np.array([columns[name].kind == "number" for name in columns_of(judged.bundle)[0]], dtype=bool)


def gaps(share: float) -> Change:
    """That share of all cells made missing, each column on its own."""

    def change(judged: Judged, random: np.random.Generator) -> Arrays | None:
        columns = [n for n, s in judged.bundle.encoders.columns.items() if s.kind in _MAY_MISS]
        if not columns or any(n not in judged.frame.columns for n in columns):
            return None
        cells = []
        for name in columns:
            gone = pl.Series(random.random(len(judged)) < share)
            cells.append(pl.select(pl.when(~gone).then(judged.frame[name]).alias(name)).to_series())
        return encoded(judged, judged.frame.with_columns(cells))

    return change


_MAY_MISS = ("number", "category", "labels", "date", "text")


def typos(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Two neighbouring letters swapped in one of ten words."""
    columns = [n for n, s in judged.bundle.encoders.columns.items() if s.kind == "text" and n in judged.frame.columns]
    if not columns:
        return None
    cells = []
    for name in columns:
        texts = judged.frame[name].cast(pl.String, strict=False).to_list()
        cells.append(pl.Series(name, [None if t is None else misspelt(t, random) for t in texts], dtype=pl.String))
    return encoded(judged, judged.frame.with_columns(cells))


def misspelt(text: str, random: np.random.Generator) -> str:
    """A text with two letters swapped in about one of ten of its words."""
    words = text.split(" ")
    for n in np.flatnonzero(random.random(len(words)) < _TYPO_SHARE):
        word = words[n]
        if len(word) > 2:
            at = int(random.integers(0, len(word) - 1))
            words[n] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def blur(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Pictures with each pixel replaced by the mean of the 3x3 around it."""
    return of_grids(judged, _blurred)


def shift(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Pictures moved by a sixteenth of their width to the right, their edge repeated."""

    def moved(pixels: Array) -> Array:
        by = max(1, pixels.shape[3] // 16)
        return np.concatenate([np.repeat(pixels[..., :1], by, axis=3), pixels[..., :-by]], axis=3)

    return of_grids(judged, moved)


def of_grids(judged: Judged, change: Callable[[Array], Array]) -> Arrays | None:
    """All pictures and spectrograms changed, (N,C,H,W) to (N,C,H,W); None where there are none."""
    keys = [k for k in judged.arrays if k.endswith(".pixels")]
    if not keys:
        return None
    return {**judged.arrays, **{k: change(judged.arrays[k]) for k in keys}}


def _blurred(pixels: Array) -> Array:
    padded = np.pad(pixels.astype(np.float32), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = pixels.shape[2:]
    total = sum(padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return like(np.asarray(total) / 9, pixels)


def like(changed: Array, array: Array) -> Array:
    """In the storage type of what was changed."""
    if array.dtype == np.uint8:
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return changed.astype(array.dtype)


def encoded(judged: Judged, frame: pl.DataFrame) -> Arrays:
    """Raw cells encoded by the model's encoders; what they mend is no repair of the user's data."""
    return judged.bundle.encoders.encode(frame, Repairs())
