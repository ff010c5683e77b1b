"""Tables written as JSON lines: one object a line, keys are columns, a key that is absent is a missing value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.sources.base import Table, tidy
from limpid.data.sources.records import column_of
from limpid.data.sources.store import Room, Sink, key_of, open_stored
from limpid.data.sources.stream import LATIN, NotUtf8, Stream, as_utf8, encoding_of, valid

LINE_BYTES = 32 << 20
_ROWS = 16_384
_COLUMNS = 100_000


def open_jsonlines(path: Path, name: str, room: Room, *, lenient: bool = False) -> Table:
    """Read JSON lines; a file that is large is read into the cache folder, once.

    Args:
        path: the file.
        name: what messages call it.
        room: what may stay in memory.
        lenient: whether a line that is no object keeps its place as a row of nulls, with the reason in `unreadable`.

    Raises:
        DataError: naming file, line and key.
    """
    key = key_of(path, "jsonlines")
    stored = open_stored(name, key)
    if stored is None and lenient:
        key = key_of(path, "jsonlines", "lenient")
        stored = open_stored(name, key)
    if stored is not None:
        return stored
    try:
        return _read(path, name, key, room, None, lenient)
    except NotUtf8:
        return _read(path, name, key, room, LATIN, lenient)


def _read(path: Path, name: str, key: str, room: Room, encoding: str | None, lenient: bool) -> Table:
    repairs = Repairs()
    stream = Stream(path, name)
    blocks = stream.blocks()
    first = next(blocks, b"")
    if encoding is None:
        encoding = encoding_of(first)[0] or "utf-8"
    columns: dict[str, None] = {}
    objects: list[dict[str, Any]] = []
    numbers: list[int] = []
    unreadable: dict[int, str] = {}
    rows = 0
    with Sink(name, key, room, 4 * path.stat().st_size) as sink:
        for number, line in _lines(as_utf8(_chain(first, blocks), encoding, name, repairs), name, repairs):
            try:
                objects.append(_object(line, number, name))
            except DataError as error:
                if not lenient:
                    raise
                objects.append({})
                unreadable[rows] = f"line {number:,}: {error.what}"
            rows += 1
            numbers.append(number)
            if len(objects) == _ROWS:
                sink.add(_frame(objects, numbers, columns, name, repairs))
                objects, numbers = [], []
        if objects:
            sink.add(_frame(objects, numbers, columns, name, repairs))
        if not columns:
            raise DataError(
                "the file holds no rows",
                where=name,
                expected="one JSON object a line",
                fix="check that this is the right file",
            )
        return sink.finish(repairs, [], stream.digest(), list(columns), unreadable)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines(blocks: Iterator[bytes], name: str, repairs: Repairs) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    carry = b""
    seen = False
    number = 0
    for block in blocks:
        data = carry + block
        cut = data.rfind(b"\n") + 1
        whole, carry = data[:cut], data[cut:]
        if len(carry) > LINE_BYTES:
            raise DataError(
                f"the line does not end within {LINE_BYTES >> 20} MB",
                where=f"{name}, line {number + whole.count(10) + 1:,}",
                expected="one JSON object a line",
                fix="write each object in one line of its own (jq -c '.[]' turns a JSON list into lines)",
            )
        whole, seen = valid(whole, seen, name, repairs)
        for line in whole.split(b"\n")[:-1]:
            number += 1
            if line.strip():
                yield number, line
    if carry.strip():
        yield number + 1, valid(carry, seen, name, repairs)[0]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    for key in result:
        key.encode()  # half a surrogate pair is no name in any encoding (UnicodeEncodeError is a ValueError)
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _object(line: bytes, number: int, name: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(line.decode())
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(
            f"this line is no JSON: {problem[:1].lower()}{problem[1:]}",
            where=f"{name}, line {number:,}",
            expected="one JSON object a line",
            fix="correct the line, or write the table anew, one object a line",
        ) from error
    if not isinstance(value, dict):
        raise DataError(
            f"this line holds {type(value).__name__} {str(value)[:40]}, not an object",
            where=f"{name}, line {number:,}",
            expected='one JSON object a line, such as {"age": 39, "income": 2174}',
            fix="write each row as an object with its column names",
        )
    return value


def _frame(
    objects: list[dict[str, Any]], numbers: list[int], columns: dict[str, None], name: str, repairs: Repairs
) -> pl.DataFrame:
    for found in objects:
        if found.keys() - columns.keys():
            columns.update(dict.fromkeys(found))
            if len(columns) > _COLUMNS:
                raise DataError(
                    f"the objects have more than {_COLUMNS:,} different keys",
                    where=name,
                    expected="the same keys in each object",
                    fix="write keys that are data as values",
                )
    series = [
        column_of(c, [o.get(c) for o in objects], repairs, lambda i: f"{name}, line {numbers[i]:,}") for c in columns
    ]
    return tidy(pl.DataFrame(series))
