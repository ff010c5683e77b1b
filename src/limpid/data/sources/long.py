"""Tables with a row for each time step, grouped into a row for each series."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256

import numpy as np
import polars as pl

from limpid.core.errors import DataError, RequestError
from limpid.core.names import did_you_mean, unknown_column
from limpid.core.repairs import Repairs
from limpid.data.cleaning import parse_dates, parse_numbers
from limpid.data.dates import detect_format
from limpid.data.sources.base import FrameTable, Table

MOST_CELLS = 200_000_000
"""Rows times columns that are grouped in memory."""

_FORMAT_ROWS = 400


class GroupedTable(FrameTable):
    """A row for each series; its digest is that of the table it was made of, with the columns' roles."""


def changing(table: Table, id_: str, time: str, left_out: Collection[str]) -> tuple[list[str], str]:
    """The columns of numbers that change within a series, and a sentence on them.

    Args:
        table: a row for each time step.
        id_, time: columns of the series and of its time steps.
        left_out: columns that are surely the same within a series, such as the target.

    Raises:
        RequestError: id or time is no column, or no column changes within a series.
    """
    for field, name in (("data.series.id", id_), ("data.series.time", time)):
        if name not in table.columns:
            raise unknown_column(name, table.columns, where=field)
    _check_size(table)
    others = [c for c in table.columns if c not in (id_, time, *left_out)]
    frame = table.read([id_, *others]).drop_nulls(id_)
    varied = frame.group_by(id_).agg(pl.col(c).n_unique().alias(c) for c in others)
    moving = [c for c in others if bool((varied[c] > 1).any())]
    values: list[str] = []
    words: list[str] = []
    for name in moving:
        _, bad = parse_numbers(frame[name])
        (values if float(np.asarray(bad).mean()) <= 0.05 else words).append(name)
    if not values:
        raise RequestError(
            f"no column of numbers changes within the rows of one {id_!r}",
            where="data.series",
            expected="a long table: several rows for each series, with one or more columns of values",
            fix="check the names of data.series.id and data.series.time, or leave them out",
        )
    said = f"values that change within a series: {', '.join(values[:8])}" + (", ..." if len(values) > 8 else "")
    return values, said + (f"; first cell of {', '.join(words[:5])}, which are no numbers" if words else "")


def group_rows(table: Table, id_: str, time: str, values: Sequence[str], name: str, decimal: str = ".") -> Table:
    """One row for each series, in the order in which they begin; the other columns keep their first cell.

    Args:
        table: a row for each time step.
        id_, time: columns of the series and of its time steps; rows are put in the order of time.
        values: columns that become the channels of the series.
        name: of the column of series.
        decimal: sign that begins the fraction in text.

    Raises:
        DataError: a column is missing, a time cannot be read, or the table is too large.
    """
    absent = [c for c in (id_, time, *values) if c not in table.columns]
    if absent:
        raise DataError(
            f"{table.name} has no column {absent[0]!r}",
            where=f"columns of {table.name}",
            expected=f"a row for each time step, with {id_!r}, {time!r} and the values of the series",
            fix=did_you_mean(absent[0], table.columns),
        )
    _check_size(table)
    repairs = Repairs()
    repairs.merge(table.repairs)
    frame = table.read().with_row_index("row of the source")
    known = frame[id_].is_not_null()
    repairs.add(table.name, f"had no {id_} and were left out", int((~known).sum()))
    frame = frame.filter(known)
    if not frame.height:
        raise DataError(
            f"no row has a value in {id_!r}",
            where=f"column {id_} of {table.name}",
            expected="the series that each row belongs to",
            fix="check data.series.id",
        )
    order = _moments(frame[time], table.name)
    steps = [parse_numbers(frame[c], decimal)[0].alias(f"value {k}") for k, c in enumerate(values)]
    cells = steps[0] if len(steps) == 1 else pl.DataFrame(steps).select(pl.concat_list(pl.all())).to_series()
    others = [c for c in table.columns if c not in (id_, time, *values)]
    ordered = frame.select(id_, *others).with_columns(
        order.alias("moment of the row"), cells.alias("series of the row"), frame["row of the source"]
    )
    firsts = ordered.group_by(id_, maintain_order=True).agg(pl.col(c).drop_nulls().first() for c in others)
    lists = ordered.sort("moment of the row", maintain_order=True, nulls_last=True)
    lists = lists.group_by(id_, maintain_order=True).agg("series of the row")
    joined = firsts.join(lists, on=id_, how="left", maintain_order="left").rename({"series of the row": name})
    clashes = ordered.select(id_, "moment of the row").is_duplicated().sum()
    repairs.add(table.name, "share their time with another row of their series, kept in their order", int(clashes))
    notes = [f"{frame.height:,} rows are {joined.height:,} series by {id_!r}, in the order of {time!r}"]
    digest = sha256(f"long {table.digest()} {id_} {time} {tuple(values)} {name} {decimal}".encode()).hexdigest()
    made = GroupedTable(table.name, joined, repairs, [*table.notes, *notes], digest)
    made.target, made.task, made.places = table.target, table.task, (id_,)
    return made


def _check_size(table: Table) -> None:
    if table.rows * len(table.columns) > MOST_CELLS:
        raise DataError(
            f"{table.rows:,} rows of {len(table.columns)} columns are too many to be grouped in memory",
            where=table.name,
            expected=f"at most {MOST_CELLS:,} cells",
            fix="group them first, into one row for each series with its values in lists (Parquet)",
        )


def _moments(column: pl.Series, name: str) -> pl.Series:
    """(N,) float64 that orders the rows: numbers as they are, dates by their moment.

    Raises:
        DataError: a cell is neither.
    """
    numbers, bad = parse_numbers(column) if column.dtype.is_numeric() or column.dtype == pl.String else (column, None)
    if bad is not None and not np.asarray(bad).any():
        return numbers.cast(pl.Float64)
    texts = column.drop_nulls().head(_FORMAT_ROWS)
    form = detect_format(texts.to_list())[0] if column.dtype == pl.String and len(texts) else "iso"
    dates, wrong = parse_dates(column, form)
    if np.asarray(wrong).any():
        row = int(np.flatnonzero(np.asarray(wrong))[0])
        raise DataError(
            f"{str(column[row])[:60]!r} is neither a number nor a date",
            where=f"{name}, column {column.name}",
            expected="numbers or dates that order the rows of each series",
            fix="name another column with --set data.series.time=COLUMN, or correct the cell",
        )
    return dates.to_physical().cast(pl.Float64)
