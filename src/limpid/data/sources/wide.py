"""Tables with a row for each series and a column for each time step, read as one column of series."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.names import did_you_mean
from limpid.data.cleaning import parse_numbers
from limpid.data.sources.base import Table

_LEAST_STEPS = 16
_ROWS = 2_000  # looked at
_FEWEST_ROWS = 10
_NEIGHBOURS = 0.6  # median correlation of neighbouring columns
_FAR = 0.15  # by which columns far apart must go together less
_NUMBERED = re.compile(r"(.*?)([0-9]+)")
_PICTURES = re.compile(r"pix|px|img|image", re.I)


class WideTable(Table):
    """A table whose time steps stand in columns.

    Args:
        table: the rows.
        steps: names of these columns, in the order of time.
        name: of the column of lists that takes their place.
        decimal: sign that begins the fraction in text.

    Raises:
        DataError: a column is missing.
    """

    def __init__(self, table: Table, steps: Sequence[str], name: str, decimal: str = ".") -> None:
        absent = [c for c in steps if c not in table.columns]
        if absent or not steps:
            what = f"{len(absent):,} of the {len(steps):,} columns of the series are missing: {absent[:5]}"
            raise DataError(
                what if steps else "no column is a time step of the series",
                where=f"columns of {table.name}",
                expected="a column for each time step, or a column of lists",
                fix=did_you_mean(absent[0], table.columns) if absent else "leave data.series out",
            )
        inside = set(steps)
        others = [c for c in table.columns if c not in inside]
        at = min(table.columns.index(c) for c in steps)
        before = [c for c in table.columns[:at] if c not in inside]
        self._name = name
        columns = [*before, name, *others[len(before) :]]
        notes = [f"{len(steps):,} columns from {steps[0]!r} to {steps[-1]!r} are the time steps of {name!r}"]
        super().__init__(table.name, columns, table.rows, table.repairs, [*table.notes, *notes])
        self.unreadable = dict(table.unreadable)
        self.places = table.places
        self.target, self.task = table.target, table.task
        self._table, self._steps, self._decimal = table, tuple(steps), decimal

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The table's, with a list of numbers."""
        known = self._table.schema
        return {c: pl.List(pl.Float64()) if c == self._name else known[c] for c in self.columns}

    def digest(self) -> str:
        """The table's digest with the names of the time steps."""
        return sha256(f"wide {self._table.digest()} {self._steps} {self._name} {self._decimal}".encode()).hexdigest()

    def _edges(self) -> np.ndarray:
        return self._table._edges()

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        plain = [c for c in columns if c != self._name]
        wanted = plain if len(plain) == len(columns) else [*plain, *self._steps]
        for piece in self._table._pieces(wanted, start, stop):
            if len(plain) == len(columns):
                yield piece
                continue
            cells = [parse_numbers(piece[c], self._decimal)[0].to_numpy() for c in self._steps]
            grid = np.stack(cells, axis=1) if piece.height else np.zeros((0, len(self._steps)))
            lists = pl.Series(self._name, grid, dtype=pl.Array(pl.Float64, len(self._steps)))
            series = lists.arr.to_list().list.eval(pl.element().fill_nan(None))
            yield pl.DataFrame([series.alias(self._name) if c == self._name else piece[c] for c in columns])


def numbered(columns: Sequence[str], left_out: Collection[str] = ()) -> list[str]:
    """The longest run of column names that differ by a number that counts up by one (t1, t2, ... or 0, 1, ...).

    Example:
        >>> numbered(["id", "t1", "t2", "t3", "class"])
        ['t1', 't2', 't3']
    """
    best: list[str] = []
    run: list[str] = []
    last: tuple[str, int] | None = None
    for name in columns:
        found = None if name in left_out else _NUMBERED.fullmatch(name)
        here = None if found is None else (found[1], int(found[2]))
        follows = last is not None and here == (last[0], last[1] + 1)
        run = [*run, name] if follows else ([name] if here is not None else [])
        last = here
        if len(run) > len(best):
            best = run
    return best


def find_wide(table: Table, left_out: Collection[str]) -> tuple[list[str], str] | None:
    """Columns that are surely the time steps of a series, with the evidence; None where there is any doubt.

    Their names count up, they hold numbers, neighbours go together, and columns far apart less so. Names that speak of
    pictures are left alone: their neighbours go together too.

    Args:
        table: the rows.
        left_out: columns of another role, such as the target.
    """
    steps = numbered(table.columns, left_out)
    if len(steps) < _LEAST_STEPS or _PICTURES.search(steps[0]) or table.rows < _FEWEST_ROWS:
        return None
    grid = numbers_of(table, steps)
    if grid is None or len(grid) < _FEWEST_ROWS:
        return None
    near, far = _together(grid, 1), _together(grid, len(steps) // 2)
    if near < _NEIGHBOURS or far > near - _FAR:
        return None
    because = (
        f"{len(steps):,} columns from {steps[0]!r} to {steps[-1]!r} are read as one series: neighbours correlate by "
        f"{near:.2f}, columns half a series apart by {far:.2f}; --set data.series=none reads them one by one"
    )
    return steps, because


def numbers_of(table: Table, steps: Sequence[str]) -> np.ndarray | None:
    """(N,T) some rows of the columns as numbers, NaN where a cell is missing; None where a column is no number."""
    rows = None
    if table.rows > _ROWS:
        rows = np.unique(np.linspace(0, table.rows - 1, _ROWS).astype(np.int64))
    frame = table.read(list(steps), rows=rows)
    if not all(t.is_numeric() or t == pl.String for t in frame.dtypes):
        return None
    cells = []
    for column in frame.iter_columns():
        values, bad = parse_numbers(column)
        if np.asarray(bad).mean() > 0.01:
            return None
        cells.append(values.to_numpy())
    return np.stack(cells, axis=1)


def _together(grid: np.ndarray, distance: int) -> float:
    """Median absolute correlation of columns that are so far apart."""
    found = []
    for first in range(grid.shape[1] - distance):
        one, other = grid[:, first], grid[:, first + distance]
        known = np.isfinite(one) & np.isfinite(other)
        one, other = one[known], other[known]
        if known.sum() < _FEWEST_ROWS or one.std() == 0 or other.std() == 0:
            continue
        found.append(abs(float(np.corrcoef(one, other)[0, 1])))
    return float(np.median(found)) if found else 0.0
