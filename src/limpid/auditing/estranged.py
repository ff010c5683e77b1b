"""Rows made unlike all training rows on purpose, one kind of change at a time.

Unlike the small changes of `changes`, these leave nothing that an answer could stand on: a model should say so. Only
what the model reads is changed, and of several inputs only those of one modality.

Legend of shapes: N rows, T steps or tokens, C channels, H and W of a picture, D values of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.auditing.changes import Arrays, Change, encoded, like, number_features, of_grids
from limpid.auditing.features import columns_of
from limpid.auditing.judged import Judged
from limpid.core.forms import FIELDS, SeqShape

Array = npt.NDArray[Any]

_FAR = (2.0, 5.0)  # ranges of a number beyond its range
_PATCHES = 4  # patches along each side of a picture
_MOVED = 5.0  # standard deviations of a series
_NEVER = "zq\N{MIDDLE DOT}never"
_ALPHABETS = ("აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ", "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔ", "абвгдежзиклмнопрстуфхцчшщ")


def dealt(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Each column of the table dealt out anew by itself: every cell is usual, and no row is."""
    if f"{FIELDS}.numbers" not in judged.arrays:
        return None
    of_numbers, of_categories = columns_of(judged.bundle)
    owners = {"numbers": of_numbers, "missing": of_numbers, "categories": of_categories}
    columns = sorted({c for names in owners.values() for c in names})
    if len(columns) < 2:
        return None
    found = dict(judged.arrays)
    order = {column: random.permutation(len(judged)) for column in columns}
    for part, names in owners.items():
        array = np.array(judged.arrays[f"{FIELDS}.{part}"])
        for place, column in enumerate(names):
            array[:, place] = array[order[column], place]
        found[f"{FIELDS}.{part}"] = array
    return found


def far(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Every number of the table moved two to five times its column's range beyond its end, up or down."""
    if f"{FIELDS}.numbers" not in judged.arrays or not number_features(judged).any():
        return None
    numbers = [n for n, s in judged.bundle.encoders.columns.items() if s.kind == "number" and n in judged.frame.columns]
    cells = []
    for name in numbers:
        known = judged.frame[name].cast(pl.Float64, strict=False).to_numpy()
        known = known[np.isfinite(known)]
        if not len(known):
            continue
        reach = float(np.ptp(known)) or max(1.0, abs(float(known[0])))
        steps = random.uniform(*_FAR, len(judged)) * reach
        up = random.random(len(judged)) < 0.5
        moved = np.where(up, known.max() + steps, known.min() - steps)
        cells.append(pl.Series(name, np.rint(moved) if (known == np.rint(known)).all() else moved))
    return encoded(judged, judged.frame.with_columns(cells)) if cells else None


def unseen(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Every category of the table replaced by a value that no row has."""
    kinds = judged.bundle.encoders.columns
    names = [n for n, s in kinds.items() if s.kind == "category" and n in judged.frame.columns]
    if not names:
        return None
    return encoded(judged, judged.frame.with_columns(pl.lit(_NEVER).alias(n) for n in names))


def patches(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Pictures cut into four by four patches that are put together in another order, one order for each picture."""

    def mixed(pixels: Array) -> Array:
        height, width = (n // _PATCHES for n in pixels.shape[2:])
        if min(height, width) < 1:
            return pixels
        inner = pixels[:, :, : height * _PATCHES, : width * _PATCHES]
        cut = inner.reshape(len(pixels), -1, _PATCHES, height, _PATCHES, width).transpose(0, 2, 4, 1, 3, 5)
        cut = cut.reshape(len(pixels), _PATCHES**2, -1, height, width)
        order = random.random(cut.shape[:2]).argsort(axis=1)
        cut = np.take_along_axis(cut, order[:, :, None, None, None], axis=1)
        cut = cut.reshape(len(pixels), _PATCHES, _PATCHES, -1, height, width).transpose(0, 3, 1, 4, 2, 5)
        found = pixels.copy()
        found[:, :, : height * _PATCHES, : width * _PATCHES] = cut.reshape(inner.shape)
        return found

    return of_grids(judged, mixed)


def snow(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Pictures and spectrograms replaced by normal noise of each one's own mean and spread."""

    def noise(pixels: Array) -> Array:
        wide = pixels.astype(np.float32)
        mean, spread = (f(wide, axis=(2, 3), keepdims=True) for f in (np.mean, np.std))
        return like(mean + spread * random.normal(size=pixels.shape).astype(np.float32), pixels)

    return of_grids(judged, noise)


def inverted(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Pictures with light and dark exchanged, between the least and the greatest value of each."""

    def turned(pixels: Array) -> Array:
        wide = pixels.astype(np.float32)
        low, high = (f(wide, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
        return like(low + high - wide, pixels)

    return of_grids(judged, turned)


def scrambled(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Texts of words that do not exist, of letters of the texts themselves: as many words, as long."""
    letters = sorted({c for text in _texts(judged)[:200] for c in text.casefold() if c.isalpha()})
    return _spelt(judged, "".join(letters), random)


def foreign(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """The same in an alphabet that the texts do not use."""
    used = {c for text in _texts(judged)[:200] for c in text.casefold()}
    alphabet = min(_ALPHABETS, key=lambda a: sum(c in used for c in a.casefold()))
    return _spelt(judged, alphabet, random)


def jumbled(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Texts of as many words as before, each word drawn from all texts: usual words without sense."""

    def mixed(texts: list[str | None]) -> list[str | None]:
        words = [w for t in texts if t for w in t.split()]
        return [
            None if t is None else " ".join(words[n] for n in random.integers(0, len(words), len(t.split())))
            for t in texts
        ]

    return _of_texts(judged, mixed)


def backwards(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Series in the opposite order of time; of a forecast's window what lies before the cutoff."""

    def turned(values: Array, known: Array) -> Array:
        found = values.copy()
        for n, steps in enumerate(known):
            found[n, :steps] = values[n, :steps][::-1]
        return found

    return _of_series(judged, turned)


def hiss(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Series replaced by normal noise of each one's own mean and spread, channel by channel."""

    def noise(values: Array, known: Array) -> Array:
        found = values.copy()
        for n, steps in enumerate(known):
            own = values[n, :steps].astype(np.float64)
            if len(own):
                found[n, :steps] = own.mean(axis=0) + own.std(axis=0) * random.normal(size=own.shape)
        return found

    return _of_series(judged, noise)


def moved(judged: Judged, random: np.random.Generator) -> Arrays | None:
    """Series as the network reads them moved up or down by five standard deviations of all of them."""

    def shifted(values: Array, known: Array) -> Array:
        step = _MOVED * values.astype(np.float64).std(axis=(0, 1))
        found = values.astype(np.float64)
        for n, steps in enumerate(known):
            found[n, :steps] += step * (1.0 if random.random() < 0.5 else -1.0)
        return found.astype(values.dtype)

    return _of_series(judged, shifted)


KINDS: tuple[tuple[str, str, Change], ...] = (
    ("dealt", "columns dealt out anew, each by itself", dealt),
    ("far", "numbers far outside their range", far),
    ("unseen", "categories never seen", unseen),
    ("patches", "pictures or spectrograms with their patches in another order", patches),
    ("snow", "pictures or spectrograms of noise", snow),
    ("inverted", "pictures or spectrograms with light and dark exchanged", inverted),
    ("jumbled", "texts of usual words without sense", jumbled),
    ("scrambled", "texts of words that do not exist", scrambled),
    ("foreign", "texts in another alphabet", foreign),
    ("backwards", "series backwards in time", backwards),
    ("hiss", "series of noise", hiss),
    ("moved", "series moved by five standard deviations", moved),
)
"""Name, what is done, and how."""


def _texts(judged: Judged) -> list[str]:
    found: list[str] = []
    for name in _text_columns(judged):
        found += [str(t) for t in judged.frame[name].to_list() if t is not None]
    return found


def _text_columns(judged: Judged) -> list[str]:
    return [n for n, s in judged.bundle.encoders.columns.items() if s.kind == "text" and n in judged.frame.columns]


def _of_texts(judged: Judged, change: Callable[[list[str | None]], list[str | None]]) -> Arrays | None:
    names = [n for n in _text_columns(judged) if judged.frame[n].dtype == pl.String]
    if not names or not any(t.split() for t in _texts(judged)):
        return None
    cells = [pl.Series(n, change(judged.frame[n].to_list()), dtype=pl.String) for n in names]
    return encoded(judged, judged.frame.with_columns(cells))


def _spelt(judged: Judged, letters: str, random: np.random.Generator) -> Arrays | None:
    if not letters:
        return None
    pool = np.array(list(letters))

    def anew(texts: list[str | None]) -> list[str | None]:
        return [
            None if t is None else " ".join("".join(random.choice(pool, max(2, len(w)))) for w in t.split())
            for t in texts
        ]

    return _of_texts(judged, anew)


def _of_series(judged: Judged, change: Callable[[Array, Array], Array]) -> Arrays | None:
    found = dict(judged.arrays)
    shapes = judged.bundle.encoders.shapes()
    for name, shape in shapes.items():
        if not isinstance(shape, SeqShape) or f"{name}.values" not in judged.arrays:
            continue
        values = judged.arrays[f"{name}.values"]
        lengths = judged.arrays.get(f"{name}.length")
        steps = np.full(len(values), values.shape[1]) if lengths is None else np.asarray(lengths).reshape(-1)
        found[f"{name}.values"] = change(np.asarray(values), np.minimum(steps, values.shape[1] - shape.ahead))
    return found if found.keys() and any(found[k] is not judged.arrays[k] for k in found) else None
