"""From rows to series on a regular grid: read the stamps, put every row on its step, count what had to be mended.

Legend of shapes: N rows of the source, S series, G steps of all series one after the other, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.core.spec import Spec
from limpid.data.cleaning import canonical, clean, parse_dates, parse_numbers
from limpid.data.frequency import Frequency, Stamps
from limpid.data.table import Table

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PARTS = ("year", "month", "day", "hour", "minute", "second")
"""Words that columns are named by where a moment is written over several of them."""

_MOST_FOLD = 50  # steps of the grid for each row, beyond which a stamp must be wrong
_SMALL_GRID = 100_000
_ORDER = "step"


class Layout(Spec):
    """Which columns of a table make up its series, and on which grid they lie."""

    clock: Literal["date", "parts", "count", "order"] = Field(
        description="how the time is written: a date, parts of a date in several columns, whole numbers, or not at all"
    )
    time: tuple[str, ...] = Field(default=(), description="the columns that tell the time")
    ids: tuple[str, ...] = Field(default=(), description="the columns that tell the series apart")
    target: str = Field(description="the column that is forecast")
    past: tuple[str, ...] = Field(default=(), description="columns that are known up to the cutoff")
    known: tuple[str, ...] = Field(default=(), description="columns that are known for the steps to come")
    static: tuple[str, ...] = Field(default=(), description="columns that never change within a series")
    columns: dict[str, ColumnSpec] = Field(default_factory=dict, description="what each of these columns is")
    levels: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="values of the category columns")

    @property
    def needed(self) -> list[str]:
        """All columns, the target among them."""
        return list(dict.fromkeys([*self.time, *self.ids, *self.static, *self.known, *self.past, self.target]))

    def channels(self, names: Sequence[str]) -> list[str]:
        """Channels of some covariates: one of a number, one for each level of a category."""
        return [c for n in names for c in ([f"{n}={level}" for level in self.levels[n]] if n in self.levels else [n])]


@dataclass(frozen=True)
class Book:
    """Series on their grid.

    Args:
        name: of the data, for messages.
        layout: what the columns are.
        frequency: of the grid.
        names: S rows of the id and static columns.
        starts: (S+1,) where each series begins among the G steps.
        first: (S,) index of each series' first step on the grid.
        values: (G,C) the target, then past and known channels; NaN where nothing is known.
        row: (G,) row of the source that a step came from, -1 for steps that no row has.
        part: (G,) which table each step came from, the next one's for steps that no row has.
    """

    name: str
    layout: Layout
    frequency: Frequency
    names: pl.DataFrame
    starts: Stamps
    first: Stamps
    values: Floats
    row: Stamps
    part: npt.NDArray[np.int8]

    @property
    def series(self) -> Stamps:
        """(G,) code of the series that each step belongs to."""
        return np.repeat(np.arange(len(self.first)), np.diff(self.starts))

    @property
    def index(self) -> Stamps:
        """(G,) place of each step on the grid."""
        codes = self.series
        return np.asarray(np.arange(len(self.values)) - self.starts[codes] + self.first[codes])

    @property
    def ends(self) -> Stamps:
        """(S,) steps up to and with the last known target, counted from the series' first step."""
        known = np.flatnonzero(np.isfinite(self.values[:, 0]))
        ends = np.zeros(len(self.first), dtype=np.int64)
        codes = self.series[known]
        np.maximum.at(ends, codes, known - self.starts[codes] + 1)
        return ends


def read_stamps(frame: pl.DataFrame, layout: Layout) -> tuple[Stamps, Bools]:
    """(N,) the time of each row as microseconds or counts, and which rows have one that can be read."""
    if layout.clock == "order":
        return np.arange(frame.height, dtype=np.int64), np.ones(frame.height, dtype=bool)
    cells = {name: clean(frame[name], layout.columns[name]) for name in layout.time}
    if layout.clock == "date":
        name = layout.time[0]
        moments, _ = parse_dates(cells[name], str(layout.columns[name].options.get("format", "")) or "iso")
        return moments.to_physical().fill_null(0).to_numpy().astype(np.int64), ~moments.is_null().to_numpy()
    numbers = {}
    for name, column in cells.items():
        values, _ = parse_numbers(column, str(layout.columns[name].options.get("decimal", ".")))
        numbers[name] = values.fill_null(float("nan")).to_numpy().astype(np.float64)
    if layout.clock == "count":
        counts = numbers[layout.time[0]]
        return _whole(np.where(counts == np.round(counts), counts, np.nan))
    return _from_parts({part_word(name): values for name, values in numbers.items()})


def part_word(name: str) -> str:
    """The part of a moment that a column is named by, or "".

    Example:
        >>> part_word("Hour"), part_word("price")
        ('hour', '')
    """
    word = name.strip().casefold()
    return word if word in PARTS else ""


def _whole(values: Floats) -> tuple[Stamps, Bools]:
    good = np.abs(values) < 2.0**53
    return np.where(good, values, 0.0).astype(np.int64), good


def _from_parts(parts: Mapping[str, Floats]) -> tuple[Stamps, Bools]:
    lowest = {"year": 1970, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
    rows = len(next(iter(parts.values())))
    taken = {word: parts.get(word, np.full(rows, float(low))) for word, low in lowest.items()}
    limits = {
        "year": (1, 9999),
        "month": (1, 12),
        "day": (1, 31),
        "hour": (0, 23),
        "minute": (0, 59),
        "second": (0, 59),
    }
    good = np.ones(rows, dtype=bool)
    for word, (low, high) in limits.items():
        good &= (taken[word] >= low) & (taken[word] <= high) & (taken[word] == np.round(taken[word]))
    whole = {word: np.where(good, values, lowest[word]).astype(np.int64) for word, values in taken.items()}
    months = ((whole["year"] - 1970) * 12 + whole["month"] - 1).astype("M8[M]")
    days = months.astype("M8[D]") + (whole["day"] - 1)
    good &= days.astype("M8[M]") == months
    seconds = days.astype(np.int64) * 86_400 + whole["hour"] * 3_600 + whole["minute"] * 60 + whole["second"]
    return seconds * 1_000_000, good


def written_stamps(layout: Layout, stamps: Stamps, sample: pl.DataFrame) -> list[pl.Series]:
    """The time columns of steps to come, written as the source writes them.

    Args:
        layout: which columns they are.
        stamps: (N,) microseconds or counts.
        sample: some rows of the source: typed dates stay typed, text keeps its format.
    """
    if layout.clock == "order":
        return [pl.Series(_ORDER, stamps)]
    if layout.clock == "count":
        return [pl.Series(layout.time[0], stamps)]
    moments = stamps.astype("M8[us]")
    if layout.clock == "date":
        name = layout.time[0]
        form = str(layout.columns[name].options.get("format", "")) or "iso"
        return [_as_written(pl.Series(name, moments), sample[name], form)]
    written = []
    for name in layout.time:
        unit = pl.Series(name, moments).dt
        written.append(getattr(unit, part_word(name))().cast(pl.Int64).alias(name))
    return written


def _as_written(moments: pl.Series, cells: pl.Series, form: str) -> pl.Series:
    """Moments in the type and the format of some cells."""
    if cells.dtype == pl.Date:
        return moments.cast(pl.Date)
    if cells.dtype.is_temporal() or form in ("unix_s", "unix_ms", "unix_us"):
        ticks = {"unix_s": 1_000_000, "unix_ms": 1_000, "unix_us": 1}.get(form)
        return moments if ticks is None or cells.dtype.is_temporal() else moments.to_physical() // ticks
    if form == "iso":
        lengths = cells.drop_nulls().cast(pl.String).str.len_chars()
        longest = int(lengths.max() or 0)  # type: ignore[arg-type]
        form = "%Y-%m" if longest <= 7 else "%Y-%m-%d" if longest <= 10 else "%Y-%m-%d %H:%M:%S"
    text = moments.dt.strftime(form.replace("%z", "+0000"))
    return text.cast(pl.Int64, strict=False) if cells.dtype.is_integer() else text


@dataclass(frozen=True)
class Rows:
    """The rows of one or several tables, read but not yet on a grid.

    Args:
        stamps, codes, part, row: (N,) time, series, table and row number within it.
        names: S rows of the id and static columns.
        values: (N,C) channels.
    """

    stamps: Stamps
    codes: Stamps
    part: npt.NDArray[np.int8]
    row: Stamps
    names: pl.DataFrame
    values: Floats


def read_rows(tables: Sequence[Table], layout: Layout, repairs: Repairs, *, target: bool = True) -> Rows:
    """Read what the layout names; rows without a time are counted and left out.

    Args:
        tables: of one layout; rows of one series may stand in several.
        layout: what the columns are.
        repairs: tally of what had to be mended.
        target: whether the tables must hold the target.

    Raises:
        DataError: no row has a time.
    """
    pieces = []
    for place, table in enumerate(tables):
        names = [n for n in layout.needed if target or n in table.columns]
        frame = table.read(names)
        stamps, good = read_stamps(frame, layout)
        shown = ", ".join(layout.time) or "the rows"
        if not good.all():
            first = int(np.flatnonzero(~good)[0])
            cell = ", ".join(str(frame[n][first]) for n in layout.time)
            repairs.add(
                f"{table.name}, {shown}", "rows have no time that can be read and were left out", int((~good).sum()),
                f"row {first + 1}: {cell}",
            )  # fmt: skip
        if not good.any():
            raise DataError(
                "no row has a time that can be read",
                where=f"{table.name}, {shown}",
                expected="a moment in each row",
                fix="name the column that tells the time with --set task.time=COLUMN",
            )
        rows = np.flatnonzero(good)
        pieces.append((frame[rows], stamps[rows], np.full(len(rows), place, dtype=np.int8), rows))
    frame = pl.concat([p[0] for p in pieces], how="vertical_relaxed")
    keys = [*layout.ids]
    codes = np.zeros(frame.height, dtype=np.int64)
    labels = frame.select([canonical(clean(frame[n], layout.columns[n])).alias(n) for n in keys]) if keys else None
    first_rows = np.zeros(1, dtype=np.int64)
    if labels is not None:
        different = labels.with_row_index("row").unique(keys, keep="first", maintain_order=True)
        numbered = different.select(keys).with_columns(code=pl.int_range(pl.len(), dtype=pl.Int64))
        codes = labels.join(numbered, on=keys, how="left", nulls_equal=True, maintain_order="left")["code"].to_numpy()
        first_rows = different["row"].to_numpy().astype(np.int64)
    return Rows(
        np.concatenate([p[1] for p in pieces]),
        codes,
        np.concatenate([p[2] for p in pieces]),
        np.concatenate([p[3] for p in pieces]),
        frame.select([*keys, *layout.static])[first_rows] if keys else pl.DataFrame(),
        _channels(frame, layout, repairs),
    )


def _channels(frame: pl.DataFrame, layout: Layout, repairs: Repairs) -> Floats:
    columns = [_number(frame, layout.target, layout, repairs)]
    for name in (*layout.past, *layout.known):
        if name in layout.levels:
            if name not in frame.columns:
                columns += [np.full(frame.height, np.nan)] * len(layout.levels[name])
                continue
            text = canonical(clean(frame[name], layout.columns[name]))
            missing = text.is_null().to_numpy()
            for level in layout.levels[name]:
                columns.append(np.where(missing, np.nan, (text == level).fill_null(False).to_numpy()))
        else:
            columns.append(_number(frame, name, layout, repairs))
    return np.stack(columns, axis=1)


def _number(frame: pl.DataFrame, name: str, layout: Layout, repairs: Repairs) -> Floats:
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    cells = clean(frame[name], layout.columns[name])
    values, bad = parse_numbers(cells, str(layout.columns[name].options.get("decimal", ".")))
    numbers = values.fill_null(float("nan")).to_numpy().astype(np.float64)
    wrong = np.asarray(bad, dtype=bool) | np.isinf(numbers) | (np.abs(numbers) > 1e30)
    if wrong.any():
        first = cells[int(np.flatnonzero(wrong)[0])]
        repairs.add(name, "is no finite number, taken as missing", int(wrong.sum()), first)
    return np.where(wrong, np.nan, numbers)


def in_order(rows: Rows) -> tuple[Stamps, Stamps]:
    """Stamps sorted within each series, and the codes of the series beside them."""
    order = np.lexsort((rows.stamps, rows.codes))
    return rows.stamps[order], rows.codes[order]


def regularise(rows: Rows, layout: Layout, frequency: Frequency, name: str, repairs: Repairs) -> Book:
    """Put the rows on the grid: sorted by time, rows of one step joined, steps without a row left empty.

    Numbers of rows that share a step are averaged; counted are rows out of order, rows that share a step and steps
    that no row has.

    Raises:
        DataError: a stamp lies so far from the others that the grid would be mostly empty.
    """
    where = f"{name}, {', '.join(layout.time) or 'order of the rows'}"
    by_series = np.argsort(rows.codes, kind="stable")
    back = (np.diff(rows.stamps[by_series]) < 0) & (np.diff(rows.codes[by_series]) == 0)
    if back.any():
        early = int(rows.row[by_series[1:][back][0]])
        repairs.add(where, "rows are earlier than the one before; sorted by time", int(back.sum()), f"row {early + 1}")
    index = frequency.index(rows.stamps)
    order = np.lexsort((np.arange(len(index)), index, rows.codes))
    codes, index = rows.codes[order], index[order]
    fresh = np.r_[True, (np.diff(codes) != 0) | (np.diff(index) != 0)]
    shared = len(fresh) - int(fresh.sum())
    if shared:
        example = int(rows.row[order[~fresh][0]])
        repairs.add(where, f"rows share a step of {frequency} with another of their series; averaged", shared,
                    f"row {example + 1}")  # fmt: skip
    begins = np.flatnonzero(fresh)
    values = _joined(rows.values[order], begins) if shared else rows.values[order]
    codes, index, source = codes[begins], index[begins], order[begins]
    count = len(rows.names) if len(rows.names.columns) else 1
    first_at = np.searchsorted(codes, np.arange(count))
    last_at = np.searchsorted(codes, np.arange(count), side="right") - 1
    first = index[first_at]
    lengths = index[last_at] - first + 1
    _check_grid(lengths, len(rows.stamps), rows, frequency, name, where)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = starts[codes] + index - first[codes]
    grid = np.full((int(starts[-1]), values.shape[1]), np.nan)
    grid[place] = values
    row = np.full(len(grid), -1, dtype=np.int64)
    row[place] = rows.row[source]
    part = np.zeros(len(grid), dtype=np.int8)
    part[place] = rows.part[source]
    gaps = row < 0
    if gaps.any():
        repairs.add(where, f"steps of {frequency} have no row; the model sees them as gaps", int(gaps.sum()))
        following = np.minimum.accumulate(np.where(gaps, len(grid), np.arange(len(grid)))[::-1])[::-1]
        part = part[np.minimum(following, len(grid) - 1)]
    return Book(name, layout, frequency, rows.names, starts, first.astype(np.int64), grid, row, part)


def _joined(values: Floats, begins: Stamps) -> Floats:
    """Means over the rows of a step, of the values that are there."""
    known = np.isfinite(values)
    totals = np.add.reduceat(np.where(known, values, 0.0), begins, axis=0)
    counts = np.add.reduceat(known, begins, axis=0)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def _check_grid(lengths: Stamps, rows: int, found: Rows, frequency: Frequency, name: str, where: str) -> None:
    total = int(lengths.astype(object).sum())
    if total <= max(_SMALL_GRID, _MOST_FOLD * rows):
        return
    code = int(lengths.argmax())
    own = np.flatnonzero(found.codes == code)
    own = own[np.argsort(found.stamps[own], kind="stable")]
    gap = int(np.argmax(np.diff(found.stamps[own])))
    lonely = own[gap + 1] if gap >= len(own) // 2 else own[gap]
    raise DataError(
        f"a grid of {frequency} would have {total:,} steps for {rows:,} rows",
        where=f"{name}, row {int(found.row[lonely]) + 1}, {where.rpartition(', ')[2]}",
        expected="rows that lie within some steps of one another",
        fix="correct the stamp of that row, or name a longer step with --set task.frequency=1d",
    )
