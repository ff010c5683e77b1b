"""How cells become series: lists of numbers, or of time steps with several numbers, read as one ragged array.

A polars column of one channel is List(Float64), one of several is List(List(Float64)), time steps outside and the
channels of a step inside; arrays of a fixed length are read alike, and so is text such as "0.1, 0.4, 0.2". Facts,
encoders and drawings all read series through this file.

Legend of shapes: N cells, S time steps of all cells one after the other, D channels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.schema import SeriesFacts
from limpid.data.cleaning import plain

MOST_CHANNELS = 4_096
"""A time step with more numbers than this is none."""

LONGEST_TEXT = 4 << 20
"""Characters of a text cell that is read as a series; a longer one is none."""

_LEAST_IN_TEXT = 3
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
_GAP = r"(?:\?|[nN][aA][nN]|NA|null|None)"
_SERIES = re.compile(rf"[\[(]?\s*(?:{_NUMBER}|{_GAP})(?:(?:\s*[,;|]\s*|\s+)(?:{_NUMBER}|{_GAP}))*\s*[\])]?")
_BREAK = re.compile(r"\s*[,;|]\s*|\s+")


@dataclass(frozen=True)
class Ragged:
    """N series of unequal lengths.

    Args:
        values: (S,D) float64, NaN where a number is absent.
        lengths: (N,) int64, time steps of each cell; 0 where it is missing.
        missing: (N,) whether the cell is null, or no series at all.
        bad: (N,) whether the cell holds something that is no series of this number of channels.
        uneven: (N,) whether a time step had more or fewer numbers than channels; they were cut, or filled with gaps.
        endless: (N,) whether a number was infinite, which is a gap.
    """

    values: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    missing: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]
    uneven: npt.NDArray[np.bool_]
    endless: npt.NDArray[np.bool_]

    @property
    def channels(self) -> int:
        """D."""
        return int(self.values.shape[1])

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """(S,) the cell that each time step belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """(N,) where each cell's time steps begin."""
        return np.asarray(np.cumsum(self.lengths) - self.lengths)


def holds_series(dtype: pl.DataType) -> bool:
    """Whether cells of this type are lists of numbers, or lists of such lists.

    Example:
        >>> holds_series(pl.List(pl.Float64)), holds_series(pl.List(pl.String))
        (True, False)
    """
    return _depth(dtype) > 0 and _leaf(dtype).is_numeric()


def read_series(column: pl.Series, channels: int | None = None) -> Ragged:
    """Read cells as series.

    Args:
        column: lists, lists of lists, or text with numbers between commas, semicolons, bars or blanks.
        channels: D of the model; by default what most time steps have.

    Example:
        >>> read = read_series(pl.Series("x", [[1.0, 2.0], None, [3.0]]))
        >>> read.values.ravel().tolist(), read.lengths.tolist()
        ([1.0, 2.0, 3.0], [2, 0, 1])
    """
    column = plain(column)
    given = ~column.is_null().to_numpy()
    if column.dtype == pl.String:
        column = _parsed(column)
    depth = _depth(column.dtype)
    leaf = _leaf(column.dtype)
    readable = depth > 0 and (leaf.is_numeric() or leaf in (pl.String, pl.Boolean, pl.Null))
    if not readable or (depth == 1 and channels not in (None, 1)):
        return _nothing(len(column), given, channels or 1)
    lengths = _lengths(column)
    steps = column.filter(pl.Series(lengths > 0)).explode()
    owner = np.repeat(np.arange(len(column)), lengths)
    uneven = np.zeros(len(column), bool)
    if depth == 1:
        values = _floats(steps).reshape(-1, 1)
    else:
        values, wrong = _channels(steps, channels)
        uneven[owner[wrong]] = True
    endless = np.zeros(len(column), bool)
    infinite = np.isinf(values)
    if infinite.any():
        endless[owner[infinite.any(axis=1)]] = True
        values = np.where(infinite, np.nan, values)
    missing = column.is_null().to_numpy() if column.null_count() else np.zeros(len(column), bool)
    return Ragged(values, lengths, missing, missing & given, uneven, endless)


def series_facts(read: Ragged) -> SeriesFacts | None:
    """Count what is needed to say whether these are series, and how to read them; None where there is none."""
    lengths = read.lengths[~read.missing]
    if not len(lengths):
        return None
    gaps = np.isnan(read.values)
    present = int((~gaps).sum())
    owner = read.owner
    with_gap = len(np.unique(owner[gaps.any(axis=1)]))
    known = read.values[~gaps]
    mean, deviation, count = moments(read)
    quantiles = np.quantile(lengths, [0, 0.05, 0.5, 0.95, 1], method="nearest").astype(int).tolist()
    return SeriesFacts(
        channels=read.channels,
        lengths=(quantiles[0], quantiles[1], quantiles[2], quantiles[3], quantiles[4]),
        gap_share=float(gaps.mean()) if gaps.size else 0.0,
        gap_series=with_gap / len(lengths),
        repeat_share=_repeat_share(read),
        whole_share=float((known == np.floor(known)).mean()) if present else 0.0,
        level_share=_level_share(mean, deviation, count),
        unit_share=_unit_share(mean, deviation, count),
        uneven=int(read.uneven.sum()),
    )


def moments(
    read: Ragged,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(N,D) mean, standard deviation and number of the present values of each series; 0 where there is none."""
    rows, starts, there = len(read.lengths), read.starts, read.lengths > 0
    known = ~np.isnan(read.values)
    filled = np.where(known, np.clip(read.values, -1e150, 1e150), 0.0)  # beyond it a square would be infinite
    count = np.zeros((rows, read.channels), np.int64)
    mean, deviation = np.zeros((rows, read.channels)), np.zeros((rows, read.channels))
    if not there.any():
        return mean, deviation, count
    first = starts[there]
    count[there] = np.add.reduceat(known.astype(np.int64), first, axis=0)
    mean[there] = np.add.reduceat(filled, first, axis=0) / np.maximum(count[there], 1)
    apart = np.where(known, filled - mean[read.owner], 0.0)
    deviation[there] = np.sqrt(np.add.reduceat(apart**2, first, axis=0) / np.maximum(count[there], 1))
    return mean, deviation, count


def _nothing(rows: int, given: npt.NDArray[np.bool_], channels: int) -> Ragged:
    none = np.zeros(rows, bool)
    return Ragged(np.zeros((0, channels)), np.zeros(rows, np.int64), np.ones(rows, bool), given, none, none)


def _depth(dtype: pl.DataType) -> int:
    """1 for lists of scalars, 2 for lists of lists, 0 for anything else."""
    if not isinstance(dtype, pl.List | pl.Array):
        return 0
    inner = dtype.inner
    if not isinstance(inner, pl.List | pl.Array):
        return 0 if inner.is_nested() else 1
    return 2 if not inner.inner.is_nested() else 0


def _leaf(dtype: pl.DataType) -> pl.DataType:
    inner: object = dtype
    while isinstance(inner, pl.List | pl.Array):
        inner = inner.inner
    assert isinstance(inner, pl.DataType)
    return inner


def _lengths(lists: pl.Series) -> npt.NDArray[np.int64]:
    counts = lists.arr.len() if isinstance(lists.dtype, pl.Array) else lists.list.len()
    return np.asarray(counts.fill_null(0).to_numpy().astype(np.int64))


def _floats(cells: pl.Series) -> npt.NDArray[np.float64]:
    return np.array(cells.cast(pl.Float64, strict=False).to_numpy(), np.float64)


def _channels(steps: pl.Series, channels: int | None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(S,D) values of time steps that are lists, and which of them have another number of values."""
    there = ~steps.is_null().to_numpy() if len(steps) else np.zeros(0, bool)
    counts = _lengths(steps)
    if channels is None:
        found = np.bincount(np.minimum(counts[there & (counts > 0)], MOST_CHANNELS), minlength=2)
        channels = max(1, int(found.argmax()))
    values = np.full((len(steps), channels), np.nan)
    flat = _floats(steps.filter(pl.Series(counts > 0)).explode())
    step = np.repeat(np.arange(len(steps)), counts)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < channels
    values[step[kept], place[kept]] = flat[kept]
    return values, there & (counts != channels)


def _parsed(texts: pl.Series) -> pl.Series:
    """Text cells as lists of numbers; null where a cell is something else."""
    cells = [None if t is None else _numbers(t) for t in texts.to_list()]
    return pl.Series(texts.name, cells, dtype=pl.List(pl.Float64))


def _numbers(text: str) -> list[float] | None:
    text = text.strip()
    if len(text) > LONGEST_TEXT or _SERIES.fullmatch(text) is None:
        return None
    found = [_number(p) for p in _BREAK.split(text.strip("[]() \t\r\n")) if p]
    return found if len(found) >= _LEAST_IN_TEXT else None


def _number(piece: str) -> float:
    try:
        return float(piece)
    except ValueError:  # one of the marks of a gap
        return float("nan")


def _repeat_share(read: Ragged) -> float:
    """Share of series in which a number of the first channel stands twice."""
    there = int((read.lengths > 0).sum())
    if not there:
        return 0.0
    owner, first = read.owner, read.values[:, 0]
    known = ~np.isnan(first)
    order = np.lexsort((first[known], owner[known]))
    cell, value = owner[known][order], first[known][order]
    again = (cell[1:] == cell[:-1]) & (value[1:] == value[:-1])
    return len(np.unique(cell[1:][again])) / there


def _level_share(
    mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64], count: npt.NDArray[np.int64]
) -> float:
    shares = []
    for channel in range(mean.shape[1]):
        known = count[:, channel] > 0
        if known.any():
            size = float(np.abs(mean[known, channel]).max() + deviation[known, channel].max()) or 1.0
            between = float((mean[known, channel] / size).var())
            within = float(((deviation[known, channel] / size) ** 2).mean())
            shares.append(between / (between + within) if between + within > 0 else 0.0)
    return float(np.mean(shares)) if shares else 0.0


def _unit_share(
    mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64], count: npt.NDArray[np.int64]
) -> float:
    there = (count > 1).all(axis=1)
    if not there.any():
        return 0.0
    # The archive's own normalisation divides by the deviation of the sample, n - 1, and rounds.
    factor = np.sqrt(np.maximum(count, 2) / np.maximum(count - 1, 1))
    flat = (np.abs(mean) < 0.01) & ((np.abs(deviation - 1) < 0.01) | (np.abs(deviation * factor - 1) < 0.01))
    return float(flat[there].all(axis=1).mean())
