"""Which windows does the audit of a forecast look at, and which of them did the model learn from?

The plan of the run, replayed on its data, says which windows were trained on. Windows of other data are held out where
their steps to come lie after what the model has seen of that series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from limpid.api.forecasts import cutting_of, judged_windows
from limpid.api.prepare import forecast_draft
from limpid.api.replay import known_request
from limpid.api.request import Request
from limpid.auditing.judged import Judged, Stretches, joined, judge
from limpid.bundle.model import Model as Bundle
from limpid.core.errors import LimpidError, RequestError
from limpid.core.names import unknown_column
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.data.table import Table
from limpid.data.timelines import Book
from limpid.data.windows import Windows

MOST_WINDOWS = 4_000
"""Of each part so many windows, spread evenly."""

_SHARED = "rows share a step"


@dataclass(frozen=True)
class Watched:
    """Windows of an audit.

    Args:
        everything: all of them, with their parts.
        held: those that the model was not fitted to.
        part: which these are: "test", "valid", or "" for windows of other data.
        why: why it is not known which windows the model learnt from, or "".
        only_training: whether DATA holds nothing else.
        book: the series of DATA.
        shared: rows of DATA that share a step with another of their series.
        left_out: windows of DATA whose steps to come the model has seen.
    """

    everything: Judged
    held: Judged
    part: str
    why: str
    only_training: bool
    book: Book
    shared: int
    left_out: int = 0


def read_windows(
    bundle: Bundle, data: Table, groups: Sequence[str], folder: RunFolder | None, repairs: Repairs
) -> Watched:
    """The windows of DATA, and those of the training where the run folder tells which these were.

    Args:
        bundle: a model that forecasts.
        data: the table.
        groups: columns that are asked for; each must be constant within a series.
        folder: of the run; None for a bundle.
        repairs: tally of what had to be mended.

    Raises:
        LimpidError: the data do not fit the model, or a group column does not exist or changes within a series.
    """
    for name in groups:
        if name not in data.columns:
            raise unknown_column(name, data.columns, where=f"--group {name}", of=data.name)
    own = None if folder is None else _of_run(bundle, folder, data)
    why = "a bundle does not say which windows it learnt from" if folder is None else ""
    if own is not None and data.digest() in {table.digest() for table in own.request.tables.values()}:
        return _same(bundle, own, groups, repairs)
    windows, target = judged_windows(bundle, data, repairs)
    shared = _count(repairs)
    index = np.arange(len(windows))
    if own is None:
        held = _judged(bundle, windows, index, target, "", [data], groups)
        why = why or "the data that the run was trained on are not where they were, or have been changed"
        return Watched(held, held, "", why, False, windows.book, shared)
    last = own.last_seen()
    begin = windows.index(index, 0)[:, 0]
    keys = _keys(windows.book)
    later = np.array([at > last.get(keys[c], -1 << 62) for at, c in zip(begin, windows.series, strict=True)])
    only = not later.any()
    index = index if only else np.flatnonzero(later)
    held = _judged(bundle, windows, index, target[index], "test", [data], groups)
    if only:
        return Watched(replace(held, part=np.full(len(held), "train")), held, "", "", True, windows.book, shared)
    seen = own.judged(bundle, "train", groups)
    return Watched(joined(held, seen), held, "", "", False, windows.book, shared, len(windows) - len(index))


@dataclass(frozen=True)
class _Run:
    """The windows of a run once more: part -> its table, rows and encoded target."""

    request: Request
    parts: Mapping[str, tuple[Windows, np.ndarray, np.ndarray]]
    repairs: Repairs

    def last_seen(self) -> dict[tuple[Any, ...], int]:
        """Place on the grid of the last step that the model was fitted to, by series."""
        table, rows, _ = self.parts["train"]
        last = table.index(rows, 0)[:, -1]
        codes = table.series[rows]
        keys = _keys(table.book)
        return {keys[c]: int(last[codes == c].max()) for c in np.unique(codes)}

    def judged(self, bundle: Bundle, part: str, groups: Sequence[str]) -> Judged:
        """The windows of a part, thinned to what an audit looks at."""
        table, rows, target = self.parts[part]
        return _judged(bundle, table, rows, target, part, list(self.request.tables.values()), groups)


def _of_run(bundle: Bundle, folder: RunFolder, data: Table) -> _Run | None:
    """None where the run's data are no longer what they were."""
    try:
        request = known_request(folder, (data, None))
        if request is None:
            return None
        draft = forecast_draft(request)
    except LimpidError:
        return None  # the audit says that the training windows are not known
    parts = {}
    for name, part in draft.parts.items():
        assert isinstance(part.table, Windows)
        parts[name] = (part.table, part.rows, bundle.task.encode(part.target))
    if bundle.rows > len(parts["train"][1]):  # fitted anew, on validation rows too
        table, rows, target = parts.pop("valid")
        parts["train"] = table, np.r_[parts["train"][1], rows], np.concatenate([parts["train"][2], target])
    return _Run(request, parts, draft.repairs)


def _same(bundle: Bundle, own: _Run, groups: Sequence[str], repairs: Repairs) -> Watched:
    repairs.merge(own.repairs)
    judged = {name: own.judged(bundle, name, groups) for name in own.parts}
    part = next((name for name in ("test", "valid") if name in judged), "train")
    held = judged[part]
    everything = held
    for name, other in judged.items():
        everything = everything if name == part else joined(everything, other)
    book = own.parts["train"][0].book
    only = part == "train"
    return Watched(everything, held, "" if only else part, "", only, book, _count(repairs))


def _judged(
    bundle: Bundle,
    table: Windows,
    rows: np.ndarray,
    target: np.ndarray,
    part: str,
    sources: Sequence[Table],
    groups: Sequence[str],
) -> Judged:
    if len(rows) > MOST_WINDOWS:
        some = np.unique(np.linspace(0, len(rows) - 1, MOST_WINDOWS).astype(np.int64))
        rows, target = rows[some], target[some]
    frame = table.read([n for n in table.columns if n in bundle.encoders.columns], rows=rows)
    arrays = bundle.encoders.encode(frame, Repairs(), where=table.name)
    beside = [_group(table.book, sources, name)[table.series[rows]] for name in groups if name not in frame.columns]
    found = judge(bundle, frame.with_columns(beside), arrays, target, rows, np.full(len(rows), part, dtype="<U5"))
    _, block = np.unique(
        np.stack([table.series[rows], table.index(rows, 0)[:, 0] // table.horizon]), axis=1, return_inverse=True
    )
    return replace(found, stretches=Stretches(block.reshape(-1), _naive(bundle, table, rows, target)))


def _naive(bundle: Bundle, table: Windows, rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) what the value of a season before is off by on average, over the scale of the series."""
    cutting = cutting_of(bundle)
    assert cutting is not None
    season = max(1, min(cutting.period, cutting.history))
    past = table.past(rows, season)
    said = past[:, np.arange(table.horizon) % season]
    miss = np.abs(said - target[:, : table.horizon])
    known = np.isfinite(miss)
    total, count = np.where(known, miss, 0.0).sum(axis=1), known.sum(axis=1)
    scale = np.where(target[:, -1] > 0, target[:, -1], 1.0)
    return np.asarray(np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0) / scale)


def _group(book: Book, sources: Sequence[Table], name: str) -> pl.Series:
    """(S,) the value of a column for each series.

    Raises:
        RequestError: it changes within a series.
    """
    if name in book.names.columns:
        return book.names[name]
    codes = book.series
    pieces = []
    for place, table in enumerate(sources):
        steps = np.flatnonzero((book.row >= 0) & (book.part == place))
        if name not in table.columns or not len(steps):
            continue
        cells = table.read([name])[name][book.row[steps]]
        pieces.append(pl.DataFrame({"series": codes[steps], "value": cells}))
    every = pl.DataFrame({"series": np.arange(len(book.first))})
    if not pieces:
        return pl.Series(name, [None] * len(every), dtype=pl.String)
    joint = pl.concat(pieces, how="vertical_relaxed").drop_nulls()
    found = joint.group_by("series").agg(pl.col("value").n_unique().alias("different"), pl.col("value").first())
    if (found["different"] > 1).any():
        raise RequestError(
            f"column {name!r} changes within a series",
            where=f"--group {name}",
            expected="a column with one value in each series, since a window reaches over many steps",
            fix=f"group by one of {', '.join(book.names.columns)}" if book.names.columns else "leave out --group",
        )
    return every.join(found, on="series", how="left", maintain_order="left")["value"].alias(name)


def _keys(book: Book) -> list[tuple[Any, ...]]:
    ids = book.layout.ids
    return [tuple(map(str, row)) for row in book.names.select(ids).rows()] if ids else [()] * len(book.first)


def _count(repairs: Repairs) -> int:
    return sum(repair.count for repair in repairs if repair.what.startswith(_SHARED))
