"""Where is the model weakest? Groups of held-out rows whose loss is above the others' by more than luck.

A group is one value of a category, a quarter of a number's range, or "missing". Each is compared with all other rows
(Welch 1947); groups rank by how much worse they are *at the least*, at a level that is shared out over all groups
looked at (Bonferroni), so that looking at many groups does not find weak ones by chance.

Legend of shapes: N rows, F numeric and G categorical features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.forms import FieldsShape

Array = npt.NDArray[Any]

SMALLEST = 30  # rows
_LEVEL = 0.05
_MOST = 10
_MOST_VALUES = 50  # of one category
_MOST_ROWS = 200_000
_SAME = 0.9  # overlap above which two groups are the same rows
_QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")


@dataclass(frozen=True)
class Slice:
    """A group of rows.

    Args:
        column: the feature.
        value: which rows, readable.
        rows: how many.
        loss: mean loss of its rows.
        other: mean loss of all other rows.
        sure: by how much its loss is higher at the least, at the shared level.
        index: positions of its rows.
    """

    column: str
    value: str
    rows: int
    loss: float
    other: float
    sure: float
    index: npt.NDArray[np.int64]


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
    groups = list(_groups(arrays, shape, where, labels))
    if not groups:
        return []
    z = NormalDist().inv_cdf(1 - _LEVEL / len(groups))
    total, squares = float(value.sum()), float((value**2).sum())
    found = []
    for column, name, inside in groups:
        count, rest = len(inside), len(value) - len(inside)
        if count < SMALLEST or rest < SMALLEST:
            continue
        own = value[inside]
        mean, other = float(own.mean()), (total - float(own.sum())) / rest
        spread = max(squares - float((own**2).sum()) - rest * other**2, 0.0) / (rest - 1)
        error = math.sqrt(float(own.var(ddof=1)) / count + spread / rest)
        sure = mean - other - z * error
        if sure > 0:
            found.append(Slice(column, name, count, mean, other, sure, where[inside]))
    return _different(sorted(found, key=lambda s: -s.sure), len(loss))


def _groups(
    arrays: Mapping[str, Array], shape: FieldsShape, where: Array, labels: Callable[[str, int], str] | None
) -> Iterator[tuple[str, str, Array]]:
    """(column, value, positions within `where`) of every group."""
    for place, column in enumerate(shape.categories):
        codes = arrays["fields.categories"][:, place][where]
        values, counts = np.unique(codes, return_counts=True)
        for code in values[np.argsort(-counts, kind="stable")][:_MOST_VALUES]:
            yield column, _readable(column, int(code), labels), np.flatnonzero(codes == code)
    for place, column in enumerate(shape.numbers):
        absent = arrays["fields.missing"][:, place][where] > 0.5
        if absent.any():
            yield column, "missing", np.flatnonzero(absent)
        there = np.flatnonzero(~absent)
        if len(there) < SMALLEST:
            continue
        numbers = np.asarray(arrays["fields.numbers"][:, place][where][there], dtype=np.float64)
        quarter = _quarters(numbers)
        for q in np.unique(quarter):
            name = _QUARTERS[q] if len(np.unique(quarter)) == 4 else _span(quarter, q)
            yield column, name, there[quarter == q]


def _quarters(numbers: Array) -> Array:
    """(N,) 0 to 3; equal numbers stay together, so that a column of few values has fewer groups."""
    return np.searchsorted(np.unique(np.quantile(numbers, [0.25, 0.5, 0.75])), numbers, side="left")


def _span(quarter: Array, q: int) -> str:
    """Name of a group where ties have joined some quarters."""
    below, inside = float((quarter < q).mean()), float((quarter == q).mean())
    if below == 0:
        return f"lowest {inside:.0%}"
    if below + inside > 1 - 1e-9:
        return f"highest {inside:.0%}"
    return f"from {below:.0%} to {below + inside:.0%} of the rows in order"


def _readable(column: str, code: int, labels: Callable[[str, int], str] | None) -> str:
    if code == 0:
        return "missing"
    if code == 1:
        return "rare or unseen"
    return labels(column, code) if labels is not None else f"code {code}"


def _different(ranked: Sequence[Slice], rows: int) -> list[Slice]:
    """The first ten that are not nearly the same rows as a better one."""
    kept: list[Slice] = []
    masks: list[npt.NDArray[np.bool_]] = []
    for candidate in ranked:
        mask = np.zeros(rows, dtype=bool)
        mask[candidate.index] = True
        if any((mask & m).sum() > _SAME * (mask | m).sum() for m in masks):
            continue
        kept.append(candidate)
        masks.append(mask)
        if len(kept) == _MOST:
            break
    return kept
