"""One row for each series and cutoff: what was known up to it, and what is known of the steps to come.

A view on series that lie on a grid; windows are cut out when they are read, never all at once.

Legend of shapes: N windows, L steps of history, H steps ahead, T = L + H, C channels, S series, G steps of all series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.errors import RequestError
from limpid.core.repairs import Repairs
from limpid.core.spec import parse
from limpid.data.frequency import DAY, Frequency, Stamps
from limpid.data.sources.base import Table, frame_digest
from limpid.data.stored import Stored
from limpid.data.timelines import Book, Floats, Layout, read_rows, regularise

WINDOW = "window"
"""Name of the column that holds the windows."""

_AT_ONCE = 1 << 23  # numbers that are cut out at a time
_WAVES = {"hour": 2, "weekday": 2, "yearday": 2, "cycle": 2}


@dataclass(frozen=True)
class Cutting:
    """How windows are cut out of the rows of a table; enough to do it again with new rows.

    Args:
        layout: which columns make up the series.
        frequency: of the grid.
        history, horizon: L and H.
        calendar: cycles that the steps are told by: hour, weekday, yearday, or cycle for a clock without dates.
        period: steps in a season, and in the cycle of a clock without dates.
        least: steps of history that a window needs.
    """

    layout: Layout
    frequency: Frequency
    history: int
    horizon: int
    calendar: tuple[str, ...]
    period: int
    least: int

    @property
    def channels(self) -> list[str]:
        """C names: the target, past channels, known channels, waves of the calendar."""
        layout = self.layout
        own = [layout.target, *layout.channels(layout.past), *layout.channels(layout.known)]
        return [*own, *calendar_names(self.calendar)]

    @property
    def known(self) -> int:
        """Channels at the end that are known for the steps to come."""
        return len(self.layout.channels(self.layout.known)) + len(calendar_names(self.calendar))

    def book(self, tables: Sequence[Table], repairs: Repairs, *, target: bool = True) -> Book:
        """The series of some tables on the grid.

        Args:
            tables: with the columns of the layout.
            repairs: tally of what had to be mended.
            target: whether the target must be there.

        Raises:
            DataError: no row has a time, or one lies far from all others.
        """
        rows = read_rows(tables, self.layout, repairs, target=target)
        return regularise(rows, self.layout, self.frequency, tables[0].name, repairs)

    def state(self) -> dict[str, Any]:
        """As JSON, without what the task's settings say."""
        return {
            "layout": self.layout.model_dump(mode="json"),
            "frequency": self.frequency.state(),
            "calendar": list(self.calendar),
            "least": self.least,
        }

    @classmethod
    def from_state(cls, state: Any, history: int, horizon: int, period: int) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        stored = Stored(state, where="the series")
        calendar = stored.texts("calendar", limit=len(_WAVES), characters=16)
        if not set(calendar) <= set(_WAVES):
            stored.refuse("it names an unknown cycle", f"cycles of {', '.join(_WAVES)}")
        least = stored.integer("least", 1, history)
        given = stored.take("layout")
        try:
            layout = parse(Layout, given if isinstance(given, Mapping) else {}, where="layout")
        except RequestError as error:
            stored.refuse(error.what[:200], "the layout of the series")
        if not set(layout.needed) <= set(layout.columns):
            stored.refuse("a column of the series is not described", "a description of each column")
        frequency = Frequency.from_state(stored.take("frequency"))
        stored.done()
        return cls(layout, frequency, history, horizon, tuple(calendar), period, least)


class Windows(Table):
    """A table of windows.

    Columns: the ids and static columns of the series, and `window`, an array (T,C). What is not known at the cutoff is
    NaN.

    Args:
        book: the series.
        cutting: how they are cut.
        series, cutoff: (N,) which series, and how many of its steps are known; in rising order.
        part: (G,) the part of each step, where values to come beyond the border of their window's part are hidden.
    """

    def __init__(
        self,
        book: Book,
        cutting: Cutting,
        series: Stamps,
        cutoff: Stamps,
        part: npt.NDArray[np.int8] | None = None,
    ) -> None:
        self.book, self.cutting = book, cutting
        self._stop = None if part is None else borders(book, part)
        self.history, self.horizon = cutting.history, cutting.horizon
        self.series, self.cutoff = series, cutoff
        super().__init__(book.name, [*book.names.columns, WINDOW], len(series), Repairs())

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The type of each column."""
        shape = (self.history + self.horizon, len(self.cutting.channels))
        return {**self.book.names.schema, WINDOW: pl.Array(pl.Float64, shape)}

    def digest(self) -> str:
        """Of the series and the cutoffs."""
        state = sha256(frame_digest(self.book.names).encode())
        for array in (self.book.values, self.book.starts, self.book.first, self.series, self.cutoff):
            state.update(np.ascontiguousarray(array).tobytes())
        state.update(repr(self.cutting).encode())
        return state.hexdigest()

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        yield from self._cut(columns, np.arange(start, stop))

    def _chosen(self, wanted: Sequence[str], rows: Stamps) -> Iterator[pl.DataFrame]:
        yield from self._cut(wanted, rows)

    def _cut(self, columns: Sequence[str], rows: Stamps) -> Iterator[pl.DataFrame]:
        step = len(rows) or 1
        if WINDOW in columns:
            step = max(1, _AT_ONCE // ((self.history + self.horizon) * len(self.cutting.channels)))
        for at in range(0, len(rows), step):
            some = rows[at : at + step]
            names = self.book.names[self.series[some]] if self.book.names.columns else pl.DataFrame()
            yield pl.DataFrame([pl.Series(WINDOW, self.windows(some)) if c == WINDOW else names[c] for c in columns])

    def windows(self, rows: Stamps) -> Floats:
        """(N,T,C) float64, NaN where nothing is known at the cutoff."""
        book, layout = self.book, self.book.layout
        places, inside = self._places(rows, -self.history, self.horizon)
        own = 1 + len(layout.channels(layout.past))
        cells = np.where(inside[..., None], book.values[np.clip(places, 0, len(book.values) - 1)], np.nan)
        cells[:, self.history :, :own] = np.nan
        cutting = self.cutting
        if not cutting.calendar:
            return cells
        waves = calendar_waves(book.frequency, self.index(rows), cutting.calendar, cutting.period)
        return np.concatenate([cells, waves], axis=2)

    def targets(self, rows: Stamps) -> Floats:
        """(N,H) the values to come, NaN where they are missing or of another part."""
        places, inside = self._places(rows, 0, self.horizon)
        if self._stop is not None:
            inside &= places < self._stop[places[:, :1]]
        return np.where(inside, self.book.values[np.clip(places, 0, len(self.book.values) - 1), 0], np.nan)

    def past(self, rows: Stamps, steps: int) -> Floats:
        """(N,steps) the last known values of the target, NaN where they are missing."""
        places, inside = self._places(rows, -steps, 0)
        return np.where(inside, self.book.values[np.clip(places, 0, len(self.book.values) - 1), 0], np.nan)

    def index(self, rows: Stamps, low: int | None = None) -> Stamps:
        """(N,T) places on the grid, from `low` steps after the cutoff on; the whole window by default."""
        low = -self.history if low is None else low
        at = self.book.first[self.series[rows]] + self.cutoff[rows]
        return np.asarray(at[:, None] + np.arange(low, self.horizon))

    def stamps(self, rows: Stamps) -> Stamps:
        """(N,H) moments of the steps to come."""
        index = self.index(rows, 0)
        return self.book.frequency.stamps(index.ravel()).reshape(index.shape)

    def names_of_rows(self, rows: Stamps) -> list[str]:
        """What each window is called: its series and the last moment that it knows."""
        index = self.index(rows, -1)[:, 0]
        shown = self.book.frequency.written(self.book.frequency.stamps(index))
        ids = self.book.layout.ids
        series = [" ".join(str(v) for v in row) for row in self.book.names.select(ids).rows()] if ids else [""]
        codes = self.series[rows] if ids else np.zeros(len(rows), dtype=np.int64)
        return [f"{series[c]} after {s}".strip() for c, s in zip(codes.tolist(), shown, strict=True)]

    def _places(self, rows: Stamps, low: int, high: int) -> tuple[Stamps, npt.NDArray[np.bool_]]:
        """Places among the G steps from `low` to `high` after each cutoff, and which of them are of that series."""
        codes = self.series[rows]
        steps = self.cutoff[rows][:, None] + np.arange(low, high)
        lengths = np.diff(self.book.starts)[codes][:, None]
        return self.book.starts[codes][:, None] + steps, (steps >= 0) & (steps < lengths)


def borders(book: Book, part: npt.NDArray[np.int8]) -> Stamps:
    """(G,) the first step after each one that is of another part, or of another series."""
    codes = book.series
    ends = np.flatnonzero(np.r_[(np.diff(part) != 0) | (np.diff(codes) != 0), True]) + 1
    return np.asarray(ends[np.searchsorted(ends, np.arange(len(codes)), side="right")])


def choose_calendar(frequency: Frequency, steps: int, period: int) -> tuple[str, ...]:
    """Cycles that the steps of a grid can be told by, and that so many steps show at least once and a half."""
    if not frequency.dated:
        return ("cycle",) if period > 1 else ()
    span = steps * frequency.step_days
    found = []
    if frequency.kind == "time" and frequency.size < DAY:
        found.append("hour")
    if frequency.step_days < 7 and frequency.kind != "months" and span >= 14:
        found.append("weekday")
    if frequency.step_days < 360 and span >= 550:
        found.append("yearday")
    return tuple(found)


def calendar_names(calendar: Sequence[str]) -> list[str]:
    """Channels of some cycles."""
    return [f"{c}.{wave}{k}" for c in calendar for k in range(1, _WAVES[c] + 1) for wave in ("sin", "cos")]


def calendar_waves(frequency: Frequency, index: Stamps, calendar: Sequence[str], period: int) -> Floats:
    """(...,waves) sines and cosines of where each step lies in its cycles."""
    low, high = (int(index.min()), int(index.max())) if index.size else (0, 0)
    if high - low <= 2 * index.size:
        steps, place = np.arange(low, high + 1), index - low
    else:  # series that lie far apart
        steps, found = np.unique(index, return_inverse=True)
        place = found.reshape(index.shape)
    angles = []
    for cycle in calendar:
        phase = 2 * np.pi * _phase(frequency, steps, cycle, period)
        angles += [wave(k * phase) for k in range(1, _WAVES[cycle] + 1) for wave in (np.sin, np.cos)]
    table = np.stack(angles, axis=1) if angles else np.zeros((len(steps), 0))
    return np.asarray(table[place])


def _phase(frequency: Frequency, steps: Stamps, cycle: str, period: int) -> Floats:
    if cycle == "cycle":
        return np.asarray(np.mod(steps, period) / period)
    stamps = frequency.stamps(steps)
    days = np.floor_divide(stamps, DAY)
    if cycle == "hour":
        return np.asarray((stamps - days * DAY) / DAY)
    if cycle == "weekday":
        return np.asarray(((days + 3) % 7) / 7)  # 1970-01-01 was a Thursday; Monday is 0
    dates = days.astype("M8[D]")
    return np.asarray((dates - dates.astype("M8[Y]").astype("M8[D]")).astype(np.int64) / 365.25)
