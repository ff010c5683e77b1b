"""From Python values to typed columns, for sources whose cells carry their own types (JSON lines, SQLite, objects)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs

_LARGEST = 2**63 - 1
_NUMBERS = {int, float}
_MIXED = "held values of several types, taken as text"

Place = Callable[[int], str]
"""From the index of a value to where it stands, for messages."""


def column_of(name: str, values: Sequence[Any], repairs: Repairs, place: Place) -> pl.Series:
    """A typed series of scalars or of lists of scalars; None is null.

    Whole numbers, floats, booleans and text keep their type; whole numbers among floats become floats; other mixtures
    become text.

    Args:
        name: the column's name.
        values: its cells.
        repairs: counts what was changed.
        place: says where a cell stands.

    Raises:
        DataError: for nested values, naming the cell.
    """
    kinds = set(map(type, values)) - {type(None)}
    if list in kinds:
        return _lists(name, values, repairs, place)
    if kinds - {bool, int, float, str, bytes}:
        _refuse_nested(name, values, place)
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {bytes}:
        return pl.Series(name, values, dtype=pl.Binary)
    if kinds <= _NUMBERS:
        return _numbers(name, values, kinds, repairs)
    if bytes in kinds:
        first = next(i for i, v in enumerate(values) if isinstance(v, bytes))
        raise DataError(
            f"column {name!r} holds binary values beside others",
            where=f"{place(first)}, column {name!r}",
            expected="one type of value in a column",
            fix="store the column as text or as binary values throughout",
        )
    return _texts(name, values, kinds, repairs)


def _numbers(name: str, values: Sequence[Any], kinds: set[type], repairs: Repairs) -> pl.Series:
    large = 0
    if int in kinds:
        whole = [v for v in values if type(v) is int]
        if max(whole) > _LARGEST or min(whole) < -_LARGEST:
            large = sum(abs(v) > _LARGEST for v in whole)
            example = next(v for v in whole if abs(v) > _LARGEST)
            repairs.add(name, "held whole numbers beyond 64 bits, read as floats", large, f"{_float(example):g}")
    if kinds == {int} and not large:
        return pl.Series(name, values, dtype=pl.Int64)
    return pl.Series(name, [None if v is None else _float(v) for v in values], dtype=pl.Float64)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _texts(name: str, values: Sequence[Any], kinds: set[type], repairs: Repairs) -> pl.Series:
    if kinds != {str}:
        others = [v for v in values if v is not None and not isinstance(v, str)]
        repairs.add(name, _MIXED, len(others), others[0])
        values = [v if v is None or isinstance(v, str) else _as_text(v) for v in values]
    try:
        return pl.Series(name, values, dtype=pl.String)
    except (UnicodeEncodeError, pl.exceptions.PolarsError):
        # Half of a surrogate pair is legal in JSON and in Python, and is no text in any encoding.
        clean = [None if v is None else v.encode("utf-8", "replace").decode("utf-8") for v in values]
        bad = [c for v, c in zip(values, clean, strict=True) if v != c]
        repairs.add(name, "held broken characters, replaced by ?", len(bad), bad[0])
        return pl.Series(name, clean, dtype=pl.String)


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:  # a whole number of more digits than Python prints
        return f"{_float(value):g}"


def _lists(name: str, values: Sequence[Any], repairs: Repairs, place: Place) -> pl.Series:
    flat: list[Any] = []
    origin: list[int] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        if not isinstance(value, list):
            raise DataError(
                f"column {name!r} holds lists, but here {type(value).__name__} {str(value)[:40]!r}",
                where=f"{place(index)}, column {name!r}",
                expected="a list in every row, or in none",
                fix="write this value as a list too",
            )
        flat.extend(value)
        origin.extend([index] * len(value))
    if any(isinstance(v, (list, dict)) for v in flat):
        _refuse_nested(name, flat, lambda i: place(origin[i]))
    inner = column_of(name, flat, repairs, lambda i: place(origin[i]))
    items = inner.to_list()
    lists: list[list[Any] | None] = []
    at = 0
    for value in values:
        lists.append(None if value is None else items[at : at + len(value)])
        at += 0 if value is None else len(value)
    return pl.Series(name, lists, dtype=pl.List(pl.String if inner.dtype == pl.Null else inner.dtype))


def _refuse_nested(name: str, values: Sequence[Any], place: Place) -> None:
    simple = (bool, int, float, str, bytes, type(None))
    index, value = next((i, v) for i, v in enumerate(values) if not isinstance(v, simple))
    raise DataError(
        f"column {name!r} holds a nested value, {str(value)[:60]}",
        where=f"{place(index)}, column {name!r}",
        expected="numbers, text, true, false, null, or lists of these",
        fix='give each inner value a column of its own ({"size": {"x": 1}} becomes {"size.x": 1})',
    )


def supertype(one: pl.DataType, other: pl.DataType, where: str, column: str) -> pl.DataType:
    """The type that holds the values of both, by the rules of `column_of`.

    Raises:
        DataError: naming the column, where there is none.

    Example:
        >>> supertype(pl.Int64(), pl.Float64(), "people.jsonl", "age")
        Float64
    """
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if one.is_numeric() and other.is_numeric():
        if one.is_integer() and other.is_integer():
            signed = one.is_signed_integer() and other.is_signed_integer()
            return pl.Int64() if signed else _integers(one, other)
        return pl.Float64()
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        return pl.List(supertype(_instance(one.inner), _instance(other.inner), where, column))
    simple = (pl.String, pl.Boolean)
    if all(isinstance(t, simple) or t.is_numeric() for t in (one, other)):
        return pl.String()
    if {str(one).split("(")[0], str(other).split("(")[0]} <= {"Date", "Datetime"}:
        return pl.Datetime("us")
    raise DataError(
        f"column {column!r} is {_word(one)} in one place and {_word(other)} in another",
        where=f"{where}, column {column!r}",
        expected="one type in the whole column",
        fix="bring the values to one type before reading them",
    )


def _integers(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one.is_unsigned_integer() and other.is_unsigned_integer():
        return pl.UInt64()
    return pl.Float64() if pl.UInt64 in (one, other) else pl.Int64()


def _instance(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[no-any-return]


def _word(dtype: pl.DataType) -> str:
    return str(dtype).split("(")[0].lower()
