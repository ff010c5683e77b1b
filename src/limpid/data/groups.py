"""Which rows belong together? Groups by the values of a column, and by several columns at once.

Legend of shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.errors import RequestError
from limpid.core.names import unknown_column
from limpid.core.schema import ColumnSpec
from limpid.data.cleaning import canonical, clean

Array = npt.NDArray[Any]

SMALLEST = 30
"""Groups of fewer rows are shown but decide nothing."""

MOST = 20
"""A column with more values than this has its rarer ones joined."""

_FEW_NUMBERS = 10  # so many different numbers are groups of their own
_MISSING, _OTHERS = "missing", "all others"


@dataclass(frozen=True)
class Grouping:
    """A way to divide N rows.

    Args:
        name: the column, or several joined by " x ".
        codes: (N,) number of each row's group.
        names: what each group is called.
        note: how the values were joined, where they were.
    """

    name: str
    codes: Array
    names: tuple[str, ...]
    note: str = ""

    def take(self, index: Array) -> Grouping:
        """The same on some of the rows."""
        return Grouping(self.name, self.codes[index], self.names, self.note)

    @property
    def known(self) -> Array:
        """(N,) bool: which rows are in a group; others have a value that no row had by which the groups were found."""
        return np.asarray(self.codes >= 0)

    def members(self) -> list[tuple[str, Array]]:
        """Name and positions of each group that has a row."""
        found = [(name, np.flatnonzero(self.codes == code)) for code, name in enumerate(self.names)]
        return [(name, at) for name, at in found if len(at)]


def groupings(frame: pl.DataFrame, columns: Sequence[str], specs: dict[str, ColumnSpec], where: str) -> list[Grouping]:
    """A grouping for each column, and one for all of them together where there are several.

    Args:
        frame: raw cells, N rows.
        columns: names of columns.
        specs: what is known of columns, for their missing codes.
        where: name of the data, for messages.

    Raises:
        RequestError: a column does not exist, or holds the same value in every row.
    """
    chosen = list(dict.fromkeys(columns))
    single = [by_column(frame, name, specs.get(name, ColumnSpec(kind="category")), where) for name in chosen]
    return [*single, together(single)] if len(single) > 1 else single


def by_column(
    frame: pl.DataFrame, name: str, spec: ColumnSpec, where: str, *, by: Array | None = None, asked: str = "--group"
) -> Grouping:
    """Groups by one column: its values, or quarters of its range where it holds many numbers.

    Args:
        frame: raw cells, N rows.
        name: the column.
        spec: what is known of it, for its missing codes.
        where: name of the data, for messages.
        by: (N,) bool, the rows by which groups are found; all by default. Other rows with a value that none of these
            has are in no group (code -1), unless rarer values are joined.
        asked: the option that named the column, for messages.

    Raises:
        RequestError: the column does not exist, or holds the same value in every row.
    """
    if name not in frame.columns:
        raise unknown_column(name, frame.columns, where=f"{asked} {name}", of=where)
    cells = clean(frame[name], spec)
    numbers = _numbers(cells)
    by = np.ones(len(cells), dtype=bool) if by is None else by
    found = _levels(name, cells, by) if numbers is None else _quarters(name, numbers, by)
    if len(found.take(np.flatnonzero(by)).members()) < 2:
        raise RequestError(
            f"all rows of {where} have the same {name}",
            where=f"{asked} {name}",
            expected="a column with at least two values",
            fix="choose another column",
        )
    return found


def together(single: Sequence[Grouping], by: Array | None = None) -> Grouping:
    """The groups of several columns at once: those that have a row, the largest first.

    Args:
        single: of each column.
        by: (N,) bool, the rows by which groups are found; all by default.
    """
    names = np.stack([np.asarray(g.names, dtype=object)[g.codes] for g in single])
    joined = np.array([", ".join(cells) for cells in names.T], dtype=object)
    by = np.ones(len(joined), dtype=bool) if by is None else by
    found = _levels(" x ".join(g.name for g in single), pl.Series("joined", joined.tolist(), dtype=pl.String), by)
    codes = np.where(np.all([g.known for g in single], axis=0), found.codes, -1)
    return Grouping(found.name, codes, found.names, found.note)


def _numbers(cells: pl.Series) -> Array | None:
    """(N,) numbers, NaN where missing, of a column of many of them."""
    if cells.dtype == pl.Boolean or not (cells.dtype.is_numeric() or cells.dtype in (pl.String, pl.Categorical)):
        return None
    text = cells if cells.dtype.is_numeric() else cells.cast(pl.String)
    values = text.cast(pl.Float64, strict=False)
    if values.null_count() > cells.null_count() or values.drop_nulls().n_unique() <= _FEW_NUMBERS:
        return None
    return values.fill_null(np.nan).to_numpy()


def _levels(name: str, cells: pl.Series, by: Array) -> Grouping:
    text = canonical(cells).cast(pl.String).fill_null(_MISSING)
    counts = text.filter(pl.Series(by)).alias("level").value_counts().sort(["count", "level"], descending=[True, False])
    levels = counts["level"].to_list()
    note = ""
    if len(levels) > MOST:
        note = f"{len(levels) - MOST + 1} rarer values of {name} are taken together"
        kept = levels[: MOST - 1]
        text = pl.Series("level", [v if v in set(kept) else _OTHERS for v in text.to_list()], dtype=pl.String)
        levels = [*kept, _OTHERS]
    place = {level: n for n, level in enumerate(levels)}
    codes = np.fromiter((place.get(v, -1) for v in text.to_list()), dtype=np.int64, count=len(text))
    return Grouping(name, codes, tuple(levels), note)


def _quarters(name: str, numbers: Array, by: Array) -> Grouping:
    known = numbers[np.isfinite(numbers) & by]
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75]))
    codes = np.searchsorted(edges, numbers, side="left").astype(np.int64)
    ends = [float(known.min()), *edges.tolist(), float(known.max())]
    names = []
    for n in range(len(edges) + 1):
        names.append(f"{ends[n]:g} to {ends[n + 1]:g}" if n == 0 else f"above {ends[n]:g} to {ends[n + 1]:g}")
    gone = ~np.isfinite(numbers)
    codes[gone] = -1
    if (gone & by).any():
        codes[gone] = len(names)
        names.append(_MISSING)
    return Grouping(name, codes, tuple(names), f"{name} is cut into quarters of its range in these rows")
