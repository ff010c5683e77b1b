"""Where is the model weakest? Groups of held-out rows whose loss is above the others' by more than luck.

A group is one value of a category, a stretch of a number's range (up to half of its rows, in eighths), "missing", or
what two such groups of different columns have in common. Each is compared with all other rows (Welch 1947); groups rank
by how much worse they are *at the least*, at a level that is shared out over all groups that could have been looked at
(Bonferroni), so that looking at many groups does not find weak ones by chance. Two columns are named only where the
rows that they share are surely worse than the other rows of either, and a group is named after better ones only if it
is weak without their rows too.

Legend of shapes: N rows, F numeric and G categorical features, B bins of a column, K groups of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.forms import FieldsShape

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

SMALLEST = 30  # rows
_LEVEL = 0.05  # half of it for single columns, half for pairs
_MOST = 10
_MOST_VALUES, _MOST_PAIRED = 50, 12  # of one category
_MOST_COLUMNS = 16  # whose pairs are looked at: those with the weakest group of their own
_MOST_ROWS = 200_000
_EIGHTHS = 8
_WIDEST = 0.55  # share of the rows that a stretch of a range holds at most
_NAMES = {(0, 2): "lowest quarter", (2, 4): "second quarter", (4, 6): "third quarter", (6, 8): "highest quarter"}


@dataclass(frozen=True)
class Slice:
    """A group of rows.

    Args:
        column: the feature, or two of them, "age, job".
        value: which rows, readable, "highest quarter, clerk".
        said: both as words, "age is highest quarter and job is clerk".
        rows: how many.
        loss: mean loss of its rows.
        other: mean loss of all other rows.
        sure: by how much its loss is higher at the least, at the shared level.
        index: positions of its rows.
    """

    column: str
    value: str
    said: str
    rows: int
    loss: float
    other: float
    sure: float
    index: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Column:
    """A feature cut into bins, and its groups, which are runs of bins."""

    name: str
    bins: npt.NDArray[np.int64]  # (N,)
    groups: tuple[tuple[int, int, str], ...]  # first bin, bin behind the last, readable
    paired: tuple[int, ...]  # which groups are looked at together with those of other columns

    def runs(self, which: Sequence[int]) -> Floats:
        """(K,B) one where a bin is of a group."""
        found = np.zeros((len(which), int(self.bins.max()) + 1))
        for place, n in enumerate(which):
            found[place, self.groups[n][0] : self.groups[n][1]] = 1.0
        return found

    def mask(self, group: int) -> npt.NDArray[np.bool_]:
        """(N,) rows of a group."""
        first, behind, _ = self.groups[group]
        return (self.bins >= first) & (self.bins < behind)


@dataclass(frozen=True)
class _Sums:
    """Rows, summed loss and summed squared loss of many groups; arrays of one shape."""

    count: Floats
    total: Floats
    squares: Floats

    def less(self, other: _Sums) -> _Sums:
        """What is left without other rows, which are among these."""
        return _Sums(self.count - other.count, self.total - other.total, self.squares - other.squares)

    def mean(self) -> Floats:
        """Mean loss; 0 where there are no rows."""
        found: Floats = self.total / np.maximum(self.count, 1)
        return found

    def error(self) -> Floats:
        """Squared standard error of the mean."""
        spread = np.maximum(self.squares - self.count * self.mean() ** 2, 0.0) / np.maximum(self.count - 1, 1)
        found: Floats = spread / np.maximum(self.count, 1)
        return found


def weakest(
    arrays: Mapping[str, Array],
    shape: FieldsShape | None,
    loss: Array,
    labels: Callable[[str, int], str] | None = None,
    weight: Array | None = None,
) -> list[Slice]:
    """The groups of rows with the highest loss, the surest first; at most ten, none where none is surely worse.

    Above 200,000 rows, evenly spread ones of them are looked at.

    Args:
        arrays: "fields.numbers" (N,F), "fields.missing" (N,F), "fields.categories" (N,G) of held-out rows.
        shape: names of the features; None for a model without a table's columns.
        loss: (N,) loss of each row.
        labels: (column, code) -> readable value.
        weight: (N,) sample weights or None; rows of weight 0 are left out.
    """
    if shape is None or len(loss) < 2 * SMALLEST:
        return []
    known = np.isfinite(loss) if weight is None else np.isfinite(loss) & (weight > 0)
    where = np.flatnonzero(known)
    if len(where) > _MOST_ROWS:
        where = where[np.linspace(0, len(where) - 1, _MOST_ROWS).astype(np.int64)]
    value = np.asarray(loss, dtype=np.float64)[where]
    columns = _columns(arrays, shape, where, labels)
    if not columns or len(value) < 2 * SMALLEST:
        return []
    whole = _Sums(np.array(float(len(value))), np.array(value.sum()), np.array((value**2).sum()))
    found, order = _single(columns, value, whole)
    found += _pairs(columns, [columns[n] for n in order[:_MOST_COLUMNS]], value, whole)
    return _named(sorted(found, key=lambda c: -c[0]), value, where)


_Candidate = tuple[float, float, tuple[tuple[_Column, int], ...]]
"""By how much it is worse at the least, the level of that, and the groups whose common rows it is."""


def _single(columns: Sequence[_Column], value: Floats, whole: _Sums) -> tuple[list[_Candidate], list[int]]:
    """Surely weaker groups of one column, and the columns in the order of their weakest group."""
    level = _LEVEL / 2 / max(1, sum(len(c.groups) for c in columns))
    found: list[_Candidate] = []
    best = []
    for column in columns:
        runs = column.runs(range(len(column.groups)))
        sums = _Sums(*(runs @ t for t in _tables(column.bins, value, runs.shape[1])))
        sure = _surely(sums, whole.less(sums), level)
        found += [(float(sure[n]), level, ((column, int(n)),)) for n in np.flatnonzero(sure > 0)]
        best.append(
            float(np.max(_surely(sums, whole.less(sums), 0.5) / np.sqrt(sums.error() + 1e-300), initial=-1e300))
        )
    return found, [int(n) for n in np.argsort(-np.array(best), kind="stable")]


def _pairs(every: Sequence[_Column], some: Sequence[_Column], value: Floats, whole: _Sums) -> list[_Candidate]:
    """Surely weaker rows that groups of two columns share, surely weaker than the other rows of either group too."""
    sizes = np.array([len(c.paired) for c in every], dtype=np.float64)
    # Which columns are looked at depends on the losses, so the pairs of all of them count.
    level = _LEVEL / 2 / max(1.0, float(sizes.sum() ** 2 - (sizes**2).sum()) / 2)
    found: list[_Candidate] = []
    for one, two in combinations(some, 2):
        left, right = one.runs(one.paired), two.runs(two.paired)
        width = right.shape[1]
        flat = _tables(one.bins * width + two.bins, value, left.shape[1] * width)
        tables = [t.reshape(-1, width) for t in flat]
        both = _Sums(*(left @ t @ right.T for t in tables))
        first = _Sums(*((left @ t.sum(axis=1))[:, None] for t in tables))
        second = _Sums(*((right @ t.sum(axis=0))[None, :] for t in tables))
        sure = _surely(both, whole.less(both), level)
        for parent in (first, second):
            rest = parent.less(both)
            # Where all rows of one group are rows of the other, the pair is that group under a longer name.
            sure = np.where(_surely(both, rest, level) > 0, sure, -np.inf)
        for a, b in np.argwhere(sure > 0):
            found.append((float(sure[a, b]), level, ((one, one.paired[a]), (two, two.paired[b]))))
    return found


def _tables(bins: Array, value: Floats, size: int) -> tuple[Floats, Floats, Floats]:
    """(B,) rows, summed loss and summed squared loss of each bin."""
    each = (np.ones(len(bins)), value, value**2)
    count, total, squares = (np.bincount(bins, v, size).astype(np.float64) for v in each)
    return count, total, squares


def _surely(inside: _Sums, outside: _Sums, level: float) -> Floats:
    """By how much the mean inside is above that outside at the least; minus infinity where either has too few rows."""
    from scipy.special import stdtrit  # scipy.stats would take half a second to import

    enough = (inside.count >= SMALLEST) & (outside.count >= SMALLEST)
    reach = stdtrit(np.maximum(inside.count - 1, 1), 1 - level) * np.sqrt(inside.error() + outside.error())
    found: Floats = np.where(enough, inside.mean() - outside.mean() - reach, -np.inf)
    return found


def _columns(
    arrays: Mapping[str, Array], shape: FieldsShape, where: Array, labels: Callable[[str, int], str] | None
) -> list[_Column]:
    found = []
    for place, name in enumerate(shape.categories):
        found.append(_of_codes(name, np.asarray(arrays["fields.categories"][:, place])[where], labels))
    for place, name in enumerate(shape.numbers):
        absent = np.asarray(arrays["fields.missing"][:, place])[where] > 0.5
        found.append(_of_numbers(name, np.asarray(arrays["fields.numbers"][:, place])[where], absent))
    return [column for column in found if column.groups]


def _of_codes(name: str, codes: Array, labels: Callable[[str, int], str] | None) -> _Column:
    """A bin for each of the most frequent values, the last one for all others."""
    values, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    usual = np.argsort(-counts, kind="stable")[:_MOST_VALUES]
    bins = np.full(len(values), len(usual), dtype=np.int64)
    bins[usual] = np.arange(len(usual))
    groups = tuple((n, n + 1, _readable(name, int(values[v]), labels)) for n, v in enumerate(usual))
    return _Column(name, bins[place.reshape(-1)], groups, tuple(range(min(len(groups), _MOST_PAIRED))))


def _of_numbers(name: str, numbers: Array, absent: Array) -> _Column:
    """Bins of about an eighth of the rows, in order, and one for missing cells; equal numbers stay together."""
    there = np.asarray(numbers[~absent], dtype=np.float64)
    bins = np.zeros(len(numbers), dtype=np.int64)
    groups: list[tuple[int, int, str]] = []
    paired: list[int] = []
    count = 0
    if len(there) >= SMALLEST:
        edges = np.unique(np.quantile(there, np.arange(1, _EIGHTHS) / _EIGHTHS))
        _, place = np.unique(np.searchsorted(edges, there, side="left"), return_inverse=True)
        bins[~absent] = place.reshape(-1)
        shares = np.bincount(place.reshape(-1)) / len(there)
        count = len(shares)
        for first in range(count):
            for behind in range(first + 1, count + 1):
                inside = float(shares[first:behind].sum())
                if behind - first == count or (behind - first > 1 and inside > _WIDEST):
                    continue
                if count < _EIGHTHS or (first % 2 == 0 and behind - first in (2, 4)):
                    paired.append(len(groups))
                groups.append((first, behind, _stretch(shares, first, behind)))
    if absent.any():
        bins[absent] = count
        paired.append(len(groups))
        groups.append((count, count + 1, "missing"))
    return _Column(name, bins, tuple(groups), tuple(paired))


def _stretch(shares: Floats, first: int, behind: int) -> str:
    """Name of a run of bins."""
    if len(shares) == _EIGHTHS and (first, behind) in _NAMES:
        return _NAMES[first, behind]
    below, upto = float(shares[:first].sum()), float(shares[:behind].sum())
    if first == 0:
        return f"lowest {upto:.0%}"
    if behind == len(shares):
        return f"highest {1 - below:.0%}"
    return f"from {below:.0%} to {upto:.0%} of the rows in order"


def _readable(column: str, code: int, labels: Callable[[str, int], str] | None) -> str:
    if code == 0:
        return "missing"
    if code == 1:
        return "rare or unseen"
    return labels(column, code) if labels is not None else f"code {code}"


def _named(ranked: Sequence[_Candidate], value: Floats, where: Array) -> list[Slice]:
    """The first ten, each with something to add: weak without the rows of better ones too."""
    kept: list[Slice] = []
    told = np.zeros(len(value), dtype=bool)
    for sure, level, groups in ranked:
        inside = np.logical_and.reduce([column.mask(n) for column, n in groups])
        if kept:
            left, rest = value[inside & ~told], value[~inside & ~told]
            sums = [_Sums(*(np.array(v) for v in (float(len(x)), x.sum(), (x**2).sum()))) for x in (left, rest)]
            if not _surely(sums[0], sums[1], level) > 0:
                continue
        told |= inside
        parts = [(column.name, column.groups[n][2]) for column, n in groups]
        kept.append(
            Slice(
                ", ".join(name for name, _ in parts),
                ", ".join(said for _, said in parts),
                " and ".join(f"{name} is {said}" for name, said in parts),
                int(inside.sum()),
                float(value[inside].mean()),
                float(value[~inside].mean()),
                sure,
                where[inside],
            )
        )
        if len(kept) == _MOST:
            break
    return kept
