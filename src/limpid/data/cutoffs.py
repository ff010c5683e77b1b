"""Where series are cut: rolling origins in each part of the time, the end of what is given, and scales of the past.

A window belongs to the part in which its steps to come lie, so no value to come is in two parts: windows across a
border belong to none, or, where there are few, to the part in which they begin, and the values beyond it are hidden.
Histories may reach back over a border.

Legend of shapes: S series, G steps of all series, N windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limpid.data.frequency import Stamps
from limpid.data.timelines import Book, Floats
from limpid.data.windows import Cutting, borders

PARTS = ("train", "valid", "test")
_SHORT = 0.5  # share of the series that must reach into the last part, or each series is divided by itself


@dataclass(frozen=True)
class Origins:
    """Windows that can be cut.

    Args:
        series, cutoff: (N,) which series, and how many of its steps are known; in rising order.
        part: (N,) 0 train, 1 valid, 2 test.
        empty: windows that were left out because no value to come, or none of the last season, is known.
        short: series that are too short for any window.
    """

    series: Stamps
    cutoff: Stamps
    part: npt.NDArray[np.int8]
    empty: int
    short: int


def origins(book: Book, cutting: Cutting, part: npt.NDArray[np.int8], hidden: tuple[int, ...] = ()) -> Origins:
    """Every cutoff whose steps to come lie in one part.

    Args:
        book: the series.
        cutting: how windows are cut.
        part: (G,) the part of each step.
        hidden: parts whose windows may reach over their border, what lies beyond being hidden.
    """
    codes = book.series
    known = np.arange(len(codes)) - book.starts[codes]  # steps before this one, were it the first to come
    at = np.flatnonzero(known >= cutting.least)
    stop = borders(book, part)
    whole = stop[at] >= at + cutting.horizon
    at = at[whole | np.isin(part[at], hidden)]
    end = np.minimum(at + cutting.horizon, stop[at])
    there = np.concatenate([[0], np.cumsum(np.isfinite(book.values[:, 0]))])
    look_back = np.minimum(known[at], max(1, min(cutting.period, cutting.history)))
    usable = (there[end] > there[at]) & (there[at] > there[at - look_back])
    kept = at[usable]
    short = int(len(book.first) - len(np.unique(codes[at])))
    return Origins(codes[kept], known[kept], part[kept], int((~usable).sum()), short)


def thin(found: Origins, part: int, stride: int) -> Stamps:
    """(n,) places of the windows of a part, every `stride` steps back from the last cutoff of each series."""
    own = np.flatnonzero(found.part == part)
    if stride == 1 or not len(own):
        return own
    series, cutoff = found.series[own], found.cutoff[own]
    last = np.zeros(int(series.max()) + 1, dtype=np.int64)
    np.maximum.at(last, series, cutoff)
    return np.asarray(own[(last[series] - cutoff) % stride == 0])


def divide_steps(
    book: Book, cutting: Cutting, valid: float, test: float, *, within: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int8], str]:
    """The part of each step: the latest test, those before them validate.

    Args:
        book: the series.
        cutting: how windows are cut; a part that there is holds at least its horizon.
        valid, test: shares of the steps.
        within: (G,) the steps to divide; the others belong to other files.

    Returns:
        (G,) parts, and how they were divided, in words.
    """
    index, codes, horizon = book.index, book.series, cutting.horizon
    own = np.sort(index[within])
    ends = np.zeros(len(book.first), dtype=np.int64)  # steps of each series up to its last known one
    known = np.flatnonzero(within & np.isfinite(book.values[:, 0]))
    np.maximum.at(ends, codes[known], known - book.starts[codes[known]] + 1)
    stops = (book.first + ends)[ends > 0]  # indices may be negative, long ago
    latest = int(stops.max()) if len(stops) else 0
    test_from = _border(own, latest, test, horizon)
    valid_from = _border(own, test_from, valid, horizon)
    reach = stops >= (test_from if test else valid_from) + horizon
    if len(reach) < 2 or reach.mean() >= _SHORT:
        part = np.where(index >= test_from, 2, np.where(index >= valid_from, 1, 0))
        said = [
            f"{name} from {_moment(book, step)} on"
            for name, step, share in (("validation", valid_from, valid), ("test", test_from, test))
            if share
        ]
        return part.astype(np.int8), ", ".join(said)
    left = ends[codes] - (np.arange(len(codes)) - book.starts[codes])  # 1 at the last known step
    tests, valids = (np.maximum(horizon, np.rint(share * ends)) * (share > 0) for share in (test, valid))
    part = np.where(left <= tests[codes], 2, np.where(left <= (tests + valids)[codes], 1, 0))
    return part.astype(np.int8), "each series by its own end, since they end at different times"


def _border(own: Stamps, stop: int, share: float, horizon: int) -> int:
    """The first step of a part that ends before `stop`: so far back that it holds its share, and a horizon at least."""
    if not share:
        return stop
    before = own[own < stop]
    wanted = max(1, round(share * len(own)))
    start = int(before[max(0, len(before) - wanted)]) if len(before) else stop
    return min(start, stop - horizon)


def _moment(book: Book, step: int) -> str:
    return book.frequency.written(book.frequency.stamps(np.array([step])))[0]


def past_scales(book: Book, period: int, part: npt.NDArray[np.int8] | None) -> Floats:
    """(S,) mean absolute error of a seasonal naive forecast one season ahead, over the training steps of each series.

    Where a series has none, over all of its steps; where even those show nothing, the mean over the others, or 1.
    """
    count = len(book.first)
    codes = book.series
    found = np.full(count, np.nan)
    for chosen in (None if part is None else part == 0, np.ones(len(codes), dtype=bool)):
        for lag in dict.fromkeys((period, 1)):
            if chosen is None or lag >= len(codes):
                continue
            here, before = np.arange(lag, len(codes)), np.arange(len(codes) - lag)
            good = chosen[here] & (codes[here] == codes[before])
            gap = np.abs(book.values[here, 0] - book.values[before, 0])
            good &= np.isfinite(gap)
            total = np.bincount(codes[here][good], gap[good], minlength=count)
            number = np.bincount(codes[here][good], minlength=count)
            mean = np.divide(total, number, out=np.full(count, np.nan), where=number > 0)
            found = np.where(np.isnan(found) & (mean > 0), mean, found)
    several = found[np.isfinite(found)]
    return np.where(np.isfinite(found), found, float(several.mean()) if len(several) else 1.0)
