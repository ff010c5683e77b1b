"""Which held-out rows are nearly a training row: copied with rounded or jittered numbers, or a word changed?

Two rows agree by chance with a probability that follows from each column: how often its value occurs, or how many rows
lie between two numbers. For rows that fell independently, the chances of the nearest and of the fifth nearest neighbour
are in a ratio whose distribution does not depend on the data: P(ratio < r) = 1 - (1 - r)^4, once a factor for columns
that go together is taken from the fifth and the tenth (the idea of Facco et al. 2017, who estimate the dimension so).
Far more rows with a tiny ratio than that are near copies.

Legend of shapes: N rows, F columns, V neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.seeds import generator
from limpid.data.views import View

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

MOST_HELD, MOST_TRAIN = 1_500, 30_000
FEWEST_TRAIN = 50
_NEIGHBOURS = 12
_TINY = 1e-3
_EXPECTED = 1 - (1 - _TINY) ** 4
_MEAN_LOG = sum(1 / j for j in range(5, 10))  # of the chances of the tenth and the fifth neighbour
_TEXT_HELD, _TEXT_TRAIN = 800, 8_000
_LIKE, _APART = 0.8, 0.4  # cosine of two texts, and how near the nearest is against the fifth
_FEWEST_WORDS = 5


def near_rows(views: Sequence[View], held: Array, train: Array, copies: Array, seed: int) -> tuple[int, int]:
    """How many held-out rows of a table are near copies, and how many were looked at.

    Args:
        views: columns of N rows.
        held, train: positions of the rows of both parts.
        copies: positions of held-out rows that are exact copies, which are not counted.
        seed: of the sample.
    """
    numbers = [v.numbers for v in views if v.numbers is not None and v.kind in ("number", "date")]
    codes = [v.codes for v in views if v.codes is not None and v.kind in ("category", "labels")]
    if not numbers or len(train) < FEWEST_TRAIN:
        return 0, 0
    return _near(np.stack(numbers, axis=1), codes, held, train, copies, seed)


def near_vectors(values: Floats, held: Array, train: Array, copies: Array, seed: int) -> tuple[int, int]:
    """The same for vectors (N,F), such as small pictures."""
    if values.shape[1] == 0 or len(train) < FEWEST_TRAIN:
        return 0, 0
    return _near(values, [], held, train, copies, seed)


def _near(
    numbers: Floats, codes: Sequence[Array], held: Array, train: Array, copies: Array, seed: int
) -> tuple[int, int]:
    from sklearn.neighbors import NearestNeighbors

    random = generator(seed, "audit", "near")
    own = np.setdiff1d(held, copies)
    if len(own) > MOST_HELD:
        own = np.sort(random.choice(own, MOST_HELD, replace=False))
    base = train if len(train) <= MOST_TRAIN else np.sort(random.choice(train, MOST_TRAIN, replace=False))
    if len(own) < 10:
        return 0, len(own)
    places = np.empty((len(own) + len(base), numbers.shape[1]))
    shares = np.empty_like(places)
    both = np.concatenate([own, base])
    for f in range(numbers.shape[1]):
        places[:, f], shares[:, f] = _ranks(numbers[both, f], numbers[base, f])
    flags = [_one_hot(c[both]) for c in codes]
    joined = np.concatenate([places, *flags], axis=1)
    finder = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(base) - 1)).fit(joined[len(own) :])
    near = finder.kneighbors(joined[: len(own)], return_distance=False)
    chance = np.zeros(near.shape)
    for f in range(places.shape[1]):
        a, b = places[: len(own), f, None], places[len(own) :, f][near]
        share = np.maximum(shares[: len(own), f, None], 1 / len(base))
        chance += np.log(np.clip(np.maximum(2 * np.abs(a - b), share), None, 1.0))
    for c in codes:
        mine, theirs = c[own][:, None], c[base][near]
        often = np.bincount(c[base] + 1, minlength=int(c.max()) + 2)
        share = np.maximum(often[mine + 1], 1) / len(base)
        chance += np.where(mine == theirs, np.log(share), 0.0)
    chance.sort(axis=1)
    return _tiny(chance), len(own)


def _tiny(chance: Floats) -> int:
    """Rows whose nearest neighbour is far nearer than chance allows; (N,V) log chances, the smallest first."""
    if chance.shape[1] < 10:
        return 0
    together = max(1.0, float((chance[:, 9] - chance[:, 4]).mean()) / _MEAN_LOG)
    return int(((chance[:, 0] - chance[:, 4]) / together < math.log(_TINY)).sum())


def surely_many(found: int, looked: int) -> bool:
    """Whether so many tiny ratios are no luck: at least one in a hundred, and far more than independent rows have."""
    if looked == 0 or found < 5 or found < 0.01 * looked:
        return False
    expected = _EXPECTED * looked
    return found > expected + 4 * math.sqrt(expected)


def _ranks(values: Floats, base: Floats) -> tuple[Floats, Floats]:
    """(N,) place of each value among the base rows, from 0 to 1 with ties in their middle, and the share that equals
    it; a missing value is put beyond the end."""
    known = np.sort(base[np.isfinite(base)])
    count = max(len(base), 1)
    low = np.searchsorted(known, values, side="left")
    high = np.searchsorted(known, values, side="right")
    gone = ~np.isfinite(values)
    place = np.where(gone, 1.5, (low + high) / 2 / count)
    share = np.where(gone, (len(base) - len(known)) / count, (high - low) / count)
    return place, share


def _one_hot(codes: Array) -> Floats:
    """(N,L) flags of the twenty most frequent levels; two different levels are 1 apart."""
    levels, counts = np.unique(codes, return_counts=True)
    levels = levels[np.argsort(-counts, kind="stable")][:20]
    flags: Floats = (codes[:, None] == levels[None, :]) / math.sqrt(2)
    return flags


def near_texts(texts: pl.Series, held: Array, train: Array, seed: int) -> tuple[int, int]:
    """How many held-out texts are nearly, but not exactly, a training text, and how many were looked at.

    A text counts that shares most of its words with one training text and far fewer with the fifth nearest, so that
    texts written after one pattern do not count.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    random = generator(seed, "audit", "near texts")
    held = held if len(held) <= _TEXT_HELD else np.sort(random.choice(held, _TEXT_HELD, replace=False))
    train = train if len(train) <= _TEXT_TRAIN else np.sort(random.choice(train, _TEXT_TRAIN, replace=False))
    words = texts.cast(pl.String).fill_null("")
    if len(train) < FEWEST_TRAIN or float(words.str.split(" ").list.len().mean() or 0) < _FEWEST_WORDS:  # type: ignore[arg-type]
        return 0, 0
    mine, theirs = words[held].to_list(), words[train].to_list()
    counter = CountVectorizer(binary=True, max_df=0.3, token_pattern=r"(?u)\b\w+\b")
    try:
        base = normalize(counter.fit_transform(theirs).astype(np.float64))
    except ValueError:  # no word is left
        return 0, 0
    own = normalize(counter.transform(mine).astype(np.float64))
    known, found = set(theirs), 0
    for start in range(0, len(mine), 100):
        likeness = (own[start : start + 100] @ base.T).toarray()
        top = -np.sort(-likeness, axis=1)[:, :5]
        enough = np.diff(own[start : start + 100].indptr) >= _FEWEST_WORDS
        close = enough & (top[:, 0] >= _LIKE) & (1 - top[:, 0] <= _APART * (1 - top[:, 4]))
        found += sum(bool(c) and mine[start + n] not in known for n, c in enumerate(close))
    return found, len(mine)
