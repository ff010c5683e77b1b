"""How far apart do the stamps of a series lie, and which step of the grid is each of them?

A frequency is written as people write it: "15min", "1h", "1d", "1b" (business days), "1w", "1mo", "3mo", "1y", or a
bare number of counts ("1") where the time is a whole-number clock. Stamps are int64: microseconds since 1970, or the
clock itself.

Legend of shapes: N stamps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from limpid.core.errors import RequestError
from limpid.data.stored import Stored

Stamps = npt.NDArray[np.int64]

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
_UNITS = {"s": SECOND, "min": 60 * SECOND, "h": HOUR, "d": DAY, "w": 7 * DAY}
_MONTHS = {"mo": 1, "y": 12}
_NICE = [SECOND * n for n in (1, 2, 5, 10, 15, 20, 30)]
_NICE += [60 * SECOND * n for n in (1, 2, 5, 10, 15, 20, 30)]
_NICE += [HOUR * n for n in (1, 2, 3, 4, 6, 8, 12)] + [DAY, 7 * DAY]
_REGULAR = 0.5  # share of the distances that one step must explain, or the stamps count as irregular
_LARGEST = 2**53
_MOST_MONTHS = 1_200


@dataclass(frozen=True)
class Frequency:
    """A regular grid of moments.

    Args:
        kind: "time" (a fixed length), "months", "business" (Monday to Friday) or "count".
        size: microseconds, months, days or counts in a step.
        phase: where on the grid the moments lie: microseconds or counts after a multiple of `size`; for months, months
            after a multiple of `size`.
        within: for months and business days, microseconds between the start of the month or day and the moment; -1 for
            the last day of the month.
    """

    kind: str
    size: int
    phase: int = 0
    within: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a frequency as it is written.

        Raises:
            RequestError: it is none.

        Example:
            >>> Frequency.parse("15min").size, Frequency.parse("3mo").kind
            (900000000, 'months')
        """
        found = re.fullmatch(r"\s*([0-9]{0,9})\s*([a-z]*)\s*", text.casefold())
        number = int(found[1]) if found and found[1] else 1
        unit = found[2] if found else "?"
        if found and number > 0:
            if unit in _UNITS:
                return cls("time", number * _UNITS[unit])
            if unit in _MONTHS:
                return cls("months", number * _MONTHS[unit])
            if unit == "b" and number == 1:
                return cls("business", 1)
            if unit == "" and found[1]:
                return cls("count", number)
        raise RequestError(
            f"{text[:40]!r} is no frequency",
            where="task.frequency",
            expected="a number and a unit: s, min, h, d, b (business days), w, mo, y; a bare number for a clock",
            fix="for example --set task.frequency=1h",
        )

    def __str__(self) -> str:
        if self.kind == "months":
            return f"{self.size // 12}y" if self.size % 12 == 0 else f"{self.size}mo"
        if self.kind == "time":
            unit = next(u for u in ("w", "d", "h", "min", "s") if self.size % _UNITS[u] == 0)
            return f"{self.size // _UNITS[unit]}{unit}"
        return "1b" if self.kind == "business" else str(self.size)

    @property
    def dated(self) -> bool:
        """Whether stamps are moments, not counts."""
        return self.kind != "count"

    def fitted(self, stamps: Stamps) -> Frequency:
        """The same steps, lying where most of the stamps lie."""
        if not len(stamps):
            return self
        if self.kind in ("time", "count"):
            return Frequency(self.kind, self.size, _commonest(np.mod(stamps, self.size)))
        if self.kind == "business":
            return Frequency(self.kind, 1, 0, _commonest(np.mod(stamps, DAY)))
        months, into = _months(stamps)
        starts = (months + 1).astype("M8[M]").astype("M8[us]").astype(np.int64)
        last = (starts - stamps <= DAY).mean() > 0.9 and len(stamps) > 1 and len(np.unique(into)) > 1
        return Frequency("months", self.size, _commonest(np.mod(months, self.size)), -1 if last else _commonest(into))

    def index(self, stamps: Stamps) -> Stamps:
        """(N,) the step of the grid that each stamp is nearest to."""
        if self.kind in ("time", "count"):
            return np.asarray(np.floor_divide(stamps - self.phase + self.size // 2, self.size), dtype=np.int64)
        if self.kind == "business":
            days = np.floor_divide(stamps, DAY).astype("M8[D]")
            weekdays = np.busday_offset(days, 0, roll="backward")
            return np.asarray(np.busday_count(np.datetime64("1970-01-01"), weekdays), dtype=np.int64)
        return np.asarray(np.floor_divide(_months(stamps)[0] - self.phase, self.size), dtype=np.int64)

    def stamps(self, index: Stamps) -> Stamps:
        """(N,) the moment of each step."""
        if self.kind in ("time", "count"):
            return index * self.size + self.phase
        if self.kind == "business":
            days = np.busday_offset(np.datetime64("1970-01-01"), index)
            return np.asarray(days.astype("M8[us]").astype(np.int64) + self.within)
        months = index * self.size + self.phase
        starts = months.astype("M8[M]").astype("M8[us]").astype(np.int64)
        if self.within >= 0:
            return np.asarray(np.minimum(starts + self.within, _starts(months + 1) - SECOND))
        return np.asarray(_starts(months + 1) - DAY)

    def written(self, stamps: Stamps) -> list[str]:
        """Stamps for people: to the month, the day, the minute or the second, as the step asks for."""
        if not self.dated:
            return [str(s) for s in stamps.tolist()]
        digits = 7 if self.kind == "months" and self.within == 0 else 10 if self.step_days >= 1 else 16
        if self.kind == "time" and self.size < 60 * SECOND:
            digits = 19
        return [str(m.item())[:digits] for m in stamps.astype("M8[us]")]

    @property
    def step_days(self) -> float:
        """Days in a step, on average; 0 for a count."""
        return {
            "time": self.size / DAY, "months": self.size * 30.44, "business": 1.4, "count": 0.0
        }[self.kind]  # fmt: skip

    @property
    def seasons(self) -> list[int]:
        """Steps in the natural cycles that are longer than a step: the day, the week, the year; shortest first."""
        if self.kind == "count":
            return []
        if self.kind == "business":
            return [5]
        if self.kind == "months":
            return [12 // self.size] if 12 % self.size == 0 and self.size < 12 else []
        found = [length // self.size for length in (DAY, 7 * DAY) if length % self.size == 0 and length > self.size]
        return [*found, 52] if self.size == 7 * DAY else found

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": self.kind, "size": self.size, "phase": self.phase, "within": self.within}

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        stored = Stored(state, where="the frequency")
        kind = stored.text("kind", limit=16)
        if kind not in ("time", "months", "business", "count"):
            stored.refuse("its kind is unknown", "time, months, business or count")
        most = _MOST_MONTHS if kind == "months" else 1 if kind == "business" else _LARGEST
        size = stored.integer("size", 1, most)
        phase, within = stored.integer("phase", 0, size - 1), stored.integer("within", -1, 31 * DAY)
        stored.done()
        return cls(kind, size, phase, within)


def find_frequency(stamps: Stamps, series: Stamps, *, dated: bool) -> tuple[Frequency, str, bool]:
    """The frequency of stamps that rise within each series.

    Args:
        stamps: (N,) sorted within each series.
        series: (N,) codes of the series, neighbours alike.
        dated: whether stamps are microseconds, or counts.

    Returns:
        the frequency, the evidence, and whether the stamps are regular enough to be called so.
    """
    gaps = np.diff(stamps)[np.diff(series) == 0]
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return Frequency("time", DAY) if dated else Frequency("count", 1), "there is a single moment", False
    if not dated:
        size = int(_commonest(gaps))
        share = float((gaps == size).mean())
        return (
            Frequency("count", size).fitted(stamps),
            f"{share:.0%} of the neighbours are {size} apart",
            share >= _REGULAR,
        )
    if (found := _by_calendar(stamps, gaps)) is not None:
        return found
    size = int(_commonest(gaps))
    share = float((gaps % size == 0).mean())
    exact = float((gaps == size).mean())
    if exact >= _REGULAR or (share >= 0.9 and exact >= 0.2):
        frequency = Frequency("time", size) if size >= SECOND else Frequency("time", SECOND)
        return frequency.fitted(stamps), f"{exact:.0%} of the neighbours are {frequency} apart", True
    middle = float(np.median(gaps))
    nice = min(_NICE, key=lambda n: abs(np.log(n / middle)))
    frequency = Frequency("time", nice)
    return (
        frequency,
        f"the stamps are irregular, {_spoken(middle)} apart in the middle: rows of one {frequency} are averaged",
        False,
    )


def _by_calendar(stamps: Stamps, gaps: Stamps) -> tuple[Frequency, str, bool] | None:
    """Months, quarters, years and business days, whose steps differ in length."""
    days = gaps / DAY
    for months, low, high in ((1, 28, 31), (3, 89, 92), (6, 181, 184), (12, 365, 366)):
        share = float(((days >= low) & (days <= high)).mean())
        if (share >= 0.8 and len(np.unique(gaps)) > 1) or (share == 1 and months > 1):
            frequency = Frequency("months", months).fitted(stamps)
            return frequency, f"{share:.0%} of the neighbours are {frequency} apart", True
    if (days == 1).mean() >= 0.6:
        weekday = (np.floor_divide(stamps, DAY) + 3) % 7
        if (weekday < 5).all() and len(np.unique(weekday)) == 5 and (days == 3).mean() > 0.05:
            return Frequency("business", 1).fitted(stamps), "there are Mondays to Fridays and no weekends", True
    return None


def _commonest(values: Stamps) -> int:
    different, counts = np.unique(values, return_counts=True)
    return int(different[int(counts.argmax())])


def _months(stamps: Stamps) -> tuple[Stamps, Stamps]:
    """Months since 1970, and microseconds since the month began."""
    months = stamps.astype("M8[us]").astype("M8[M]")
    return months.astype(np.int64), stamps - months.astype("M8[us]").astype(np.int64)


def _starts(months: Stamps) -> Stamps:
    return np.asarray(months.astype("M8[M]").astype("M8[us]").astype(np.int64))


def _spoken(microseconds: float) -> str:
    for unit, size in (("days", DAY), ("hours", HOUR), ("minutes", 60 * SECOND)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds / SECOND:.3g} seconds"
