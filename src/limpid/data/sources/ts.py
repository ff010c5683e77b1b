"""Series in the `.ts` format of the UCR and UEA archives: a header, then a line for each case.

    @problemName, @univariate, @dimensions, @equalLength, ...   what the case lines are like
    @classLabel true A B        each line ends in a class; @targetLabel true: in a number; false: in neither
    @data
    1.0,2.0,3.0:4.0,5.0,6.0:A   channels between colons, values between commas, ? for one that is missing

The table has the column `series` and, as its own target, `class` or `target`. Channels of unequal lengths are filled
up with missing values behind the shorter one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.series import MOST_CHANNELS
from limpid.data.sources.base import Table
from limpid.data.sources.store import Room, Sink, key_of, open_stored
from limpid.data.sources.stream import LATIN, NotUtf8, Stream, as_utf8, encoding_of

LINE_BYTES = 256 << 20
_CELLS = 2_000_000  # values of one frame
_HEADER_LINES = 100_000
_FLAGS = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")
_KNOWN = (*_FLAGS, "problemname", "dimension", "dimensions", "serieslength", "data")
_MARK = re.compile(rb"\s*(#[^\n]*\n\s*)*@(" + "|".join(_KNOWN).encode() + rb")\b", re.I)


def is_ts(head: bytes) -> bool:
    """Whether a file that begins so is of this format.

    Example:
        >>> is_ts(b"# made up\\n@problemName Gun\\n"), is_ts(b"a,b\\n1,2\\n")
        (True, False)
    """
    return _MARK.match(head) is not None


@dataclass
class _Header:
    """What the lines before the data say."""

    label: str | None = None  # "class", "target" or None
    classes: frozenset[str] = frozenset()
    channels: int | None = None
    stamps: bool = False
    seen: set[str] = field(default_factory=set)


@dataclass
class _Rows:
    """Cases that were read and are not yet a frame."""

    steps: list[np.ndarray | None] = field(default_factory=list)  # (T,D) each
    labels: list[str | None] = field(default_factory=list)
    cells: int = 0


def open_ts(path: Path, name: str, room: Room, *, lenient: bool = False) -> Table:
    """Read a `.ts` file; one that is large is read into the cache folder, once.

    Args:
        path: the file, perhaps packed with gzip or zstd.
        name: what messages call it.
        room: what may stay in memory.
        lenient: whether a line that cannot be read keeps its place as a row of nulls, with the reason in `unreadable`.

    Raises:
        DataError: naming the file and the line.
    """
    key = key_of(path, "ts", "lenient" if lenient else "")
    stored: Table | None = open_stored(name, key)
    if stored is None:
        try:
            stored = _read(path, name, key, room, None, lenient)
        except NotUtf8:
            stored = _read(path, name, key, room, LATIN, lenient)
    if "class" in stored.columns:
        stored.target, stored.task = "class", "classification"
    elif "target" in stored.columns:
        stored.target, stored.task = "target", "regression"
    return stored


def _read(path: Path, name: str, key: str, room: Room, encoding: str | None, lenient: bool) -> Table:
    repairs = Repairs()
    stream = Stream(path, name)
    blocks = stream.blocks()
    first = next(blocks, b"")
    encoding = encoding or encoding_of(first)[0] or "utf-8"
    lines = _lines(as_utf8(_chain(first, blocks), encoding, name, repairs), name)
    header = _read_header(lines, name)
    unreadable: dict[int, str] = {}
    rows = _Rows()
    count = 0
    with Sink(name, key, room, 4 * path.stat().st_size) as sink:
        for number, line in lines:
            try:
                steps, label = _case(line, header, f"{name}, line {number:,}")
                _check_channels(steps, header, f"{name}, line {number:,}")
            except DataError as error:
                if not lenient:
                    raise
                steps, label = None, None
                unreadable[count] = f"line {number:,}: {error.what}"
            rows.steps.append(steps)
            rows.labels.append(label)
            rows.cells += 0 if steps is None else steps.size
            count += 1
            if rows.cells >= _CELLS:
                sink.add(_frame(rows, header))
                rows = _Rows()
        if rows.steps:
            sink.add(_frame(rows, header))
        if not count:
            raise DataError(
                "the file holds no cases",
                where=name,
                expected="a line for each series after @data",
                fix="check that this is the right file, and that it is whole",
            )
        columns = ["series", *([header.label] if header.label else [])]
        channels = header.channels or 1
        notes = [
            f"a .ts file: {channels} channel{'s' * (channels != 1)}, {header.label or 'no label'} behind each case"
        ]
        return sink.finish(repairs, notes, stream.digest(), columns, unreadable)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines(blocks: Iterator[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are neither blank nor comments, with their numbers from 1."""
    carry: list[bytes] = []
    waiting = 0
    number = 0
    for block in blocks:
        *whole, rest = block.split(b"\n")
        for piece in whole:
            line = b"".join([*carry, piece]).strip()
            carry, waiting = [], 0
            number += 1
            if line and not line.startswith(b"#"):
                yield number, line
        carry.append(rest)
        waiting += len(rest)
        if waiting > LINE_BYTES:
            raise DataError(
                f"the line does not end within {LINE_BYTES >> 20} MB",
                where=f"{name}, line {number + 1:,}",
                expected="one series a line",
                fix="write each case in one line of its own",
            )
    line = b"".join(carry).strip()
    if line and not line.startswith(b"#"):
        yield number + 1, line


def _read_header(lines: Iterator[tuple[int, bytes]], name: str) -> _Header:
    header = _Header()
    for count, (number, line) in enumerate(lines):
        where = f"{name}, line {number:,}"
        if not line.startswith(b"@") or count > _HEADER_LINES:
            raise DataError(
                f"the header ends without @data: {line[:60].decode(errors='replace')!r}",
                where=where,
                expected="lines that begin with @ up to @data, then the cases",
                fix="add a line @data before the first case",
            )
        word, _, rest = line[1:].decode(errors="replace").partition(" ")
        word, values = word.strip().lower(), rest.split()
        if word not in _KNOWN:
            raise DataError(
                f"@{word[:60]} is no word of this format",
                where=where,
                expected=f"one of {', '.join('@' + k for k in _KNOWN)}",
                fix=did_you_mean(word[:60], _KNOWN),
            )
        if word == "data":
            return header
        _take_word(header, word, values, where)
    raise DataError(
        "the file ends before @data",
        where=name,
        expected="a header, a line @data, and a line for each series",
        fix="fetch or make the file again",
    )


def _take_word(header: _Header, word: str, values: list[str], where: str) -> None:
    if word in _FLAGS and (not values or values[0].lower() not in ("true", "false")):
        raise DataError(
            f"@{word} is followed by {' '.join(values)[:40]!r}",
            where=where,
            expected="true or false",
            fix=f"write @{word} true, or @{word} false",
        )
    yes = bool(values) and values[0].lower() == "true"
    if word == "timestamps" and yes:
        raise DataError(
            "the values come with time stamps, which limpid does not read from .ts files",
            where=where,
            expected="@timeStamps false: values between commas, at even distances in time",
            fix="write the series as a long table (id, time, values) and name its columns with "
            "--set data.series.id=COL --set data.series.time=COL",
        )
    if word == "classlabel" and yes:
        header.label, header.classes = "class", frozenset(values[1:])
    elif word == "targetlabel" and yes:
        header.label = "target"
    elif word in ("dimension", "dimensions"):
        if not values or not values[0].isdecimal() or not 1 <= int(values[0][:9]) <= MOST_CHANNELS:
            raise DataError(
                f"@{word} is followed by {' '.join(values)[:40]!r}",
                where=where,
                expected=f"the number of channels, 1 to {MOST_CHANNELS:,}",
                fix="correct the header",
            )
        header.channels = int(values[0])
    elif word == "univariate" and yes:
        header.channels = 1


def _case(line: bytes, header: _Header, where: str) -> tuple[np.ndarray, str | None]:
    """(T,D) values of one case, and its label."""
    text = line.decode(errors="replace")
    if text.startswith("("):
        raise DataError(
            "the values come with time stamps, which limpid does not read from .ts files",
            where=where,
            expected="values between commas, at even distances in time",
            fix="write the series as a long table (id, time, values)",
        )
    pieces = text.split(":")
    label = None
    if header.label is not None:
        label = pieces.pop().strip()
        if header.label == "target":
            _number(label, where)
        if header.classes and label not in header.classes:
            known = ", ".join(sorted(header.classes)[:20])
            raise DataError(
                f"{label[:60]!r} is no class of this file",
                where=where,
                expected=f"a class of the line @classLabel behind the last colon: {known}",
                fix="correct the line, or add the class to @classLabel",
            )
    if not pieces:
        raise DataError(
            "the line holds a label and no series",
            where=where,
            expected="values between commas, then a colon and the label",
            fix="correct the line, or write @classLabel false",
        )
    if len(pieces) > MOST_CHANNELS:
        raise DataError(
            f"the line holds {len(pieces):,} channels",
            where=where,
            expected=f"at most {MOST_CHANNELS:,}",
            fix="check that values stand between commas and channels between colons",
        )
    channels = [_values(piece, where) for piece in pieces]
    steps = np.full((max(len(c) for c in channels), len(channels)), np.nan)
    for place, values in enumerate(channels):
        steps[: len(values), place] = values
    return steps, label


def _values(piece: str, where: str) -> np.ndarray:
    cells = [cell.strip() for cell in piece.split(",")] if piece.strip() else []
    try:
        return np.array([np.nan if cell in ("?", "") else float(cell) for cell in cells], np.float64)
    except ValueError:
        wrong = next(cell for cell in cells if cell not in ("?", "") and _unread(cell))
        raise DataError(
            f"{wrong[:60]!r} is no number",
            where=where,
            expected="numbers between commas, ? for one that is missing",
            fix="correct the line",
        ) from None


def _unread(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _number(label: str, where: str) -> None:
    if label not in ("?", "") and _unread(label):
        raise DataError(
            f"the target {label[:60]!r} is no number",
            where=where,
            expected="a number behind the last colon, as @targetLabel true says",
            fix="correct the line",
        )


def _check_channels(steps: np.ndarray, header: _Header, where: str) -> None:
    if header.channels is None:
        header.channels = steps.shape[1]
    if steps.shape[1] != header.channels:
        raise DataError(
            f"the line holds {steps.shape[1]} channel{'s' * (steps.shape[1] != 1)} instead of {header.channels}",
            where=where,
            expected="the same number of channels in each line, as the header says",
            fix="correct the line, or the header",
        )


def _frame(rows: _Rows, header: _Header) -> pl.DataFrame:
    """The cases as a frame, made from flat arrays."""
    present = [s for s in rows.steps if s is not None]
    channels = header.channels or 1
    flat = np.concatenate([s.ravel() for s in present]) if present else np.zeros(0)
    values = pl.Series("series", flat, dtype=pl.Float64, nan_to_null=True)
    lengths = [0 if s is None else len(s) for s in rows.steps]
    if channels > 1:
        values = (
            values.reshape((-1, channels)).arr.to_list() if len(values) else pl.Series([], dtype=pl.List(pl.Float64))
        )
    owner = pl.Series("row", np.repeat(np.arange(len(lengths)), lengths))
    grouped = pl.DataFrame({"row": owner, "series": values}).group_by("row", maintain_order=True).agg("series")
    every = pl.DataFrame({"row": np.arange(len(lengths)), "read": [s is not None for s in rows.steps]})
    joined = every.join(grouped, on="row", how="left", maintain_order="left")
    empty = pl.lit([], dtype=joined.schema["series"])
    column = joined.select(
        pl.when(pl.col("read") & pl.col("series").is_null()).then(empty).otherwise(pl.col("series")).alias("series")
    )
    if header.label is None:
        return column
    labels: list[str | None] = [None if v in (None, "", "?") else v for v in rows.labels]
    if header.label == "class":
        return column.with_columns(pl.Series("class", labels, dtype=pl.String))
    return column.with_columns(pl.Series("target", labels, dtype=pl.String).cast(pl.Float64, strict=False))
