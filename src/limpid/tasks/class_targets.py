"""How classes and labels are read from target columns, matched again in held-out data, and written back.

There are three ways to write down classes: one column of classes, one column of label sets, and several columns of
two values each. Each reader turns its columns into codes, and codes back into cells of the columns' own type.

Legend of shapes: N rows, K classes or labels.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.errors import BundleError, DataError, RequestError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.cleaning import BLANKS, canonical, plain, split_labels

Array = npt.NDArray[Any]
Kind = Literal["text", "integer", "float", "boolean"]

_KINDS: tuple[Kind, ...] = ("text", "integer", "float", "boolean")
_WHOLE = re.compile(r"-?[0-9]{1,38}")
_TRUTH = {"true": "1", "false": "0", "1": "true", "0": "false"}
_LONGEST = 100_000  # characters of a class name in a bundle
_MOST = 10_000_000
_MENDED = "matched a class but for case, blanks or a full stop, taken as that class"


@dataclass(frozen=True)
class Misfit:
    """Rows whose cells are no target.

    Args:
        rows: (N,) bool.
        cell: what stands in the first of them.
        column: where it stands.
    """

    rows: npt.NDArray[np.bool_]
    cell: str
    column: str


@dataclass(frozen=True)
class Classes:
    """The different values of a column, as text in a fixed order, and the type to write them in.

    Args:
        names: each value in its canonical spelling ("1" for 1, 1.0 and "1.0").
        kind: type of the column.
    """

    names: tuple[str, ...]
    kind: Kind

    @classmethod
    def learn(cls, column: pl.Series) -> Self:
        """The values of a training column; numbers in order of size, everything else in alphabetical order.

        Raises:
            DataError: a cell can be no class.
        """
        names = as_text(column).drop_nulls().unique().to_list()
        if column.dtype == pl.Boolean:
            kind: Kind = "boolean"
        elif column.dtype.is_integer():
            kind = "integer"
        elif column.dtype.is_numeric():
            kind = "float"
        else:
            kind = "text"
        return cls(tuple(sorted(names, key=_order)), kind)

    def with_last(self, name: str) -> Self | None:
        """The same classes with `name` moved to the end; None where there is no such class."""
        code = self.find(name)[0]
        if code < 0:
            return None
        rest = [n for c, n in enumerate(self.names) if c != code]
        return type(self)((*rest, self.names[code]), self.kind)

    @cached_property
    def _exact(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names)}

    @cached_property
    def _loose(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for code, name in enumerate(self.names):
            loose = _loosen(name)
            # Two classes that differ only by case are two classes: neither is found loosely.
            found[loose] = -1 if loose in found else code
        return found

    def find(self, cell: str) -> tuple[int, bool]:
        """Code of a cell in canonical spelling (-1 for none), and whether it had to be mended to fit."""
        code = self._exact.get(cell)
        if code is not None:
            return code, False
        code = self._exact.get(_TRUTH.get(cell, ""))
        if code is not None:
            return code, False
        return self._loose.get(_loosen(cell), -1), True

    def codes(self, column: pl.Series, repairs: Repairs | None) -> npt.NDArray[np.int64]:
        """(N,) codes of a column, -1 where the cell is missing or no class; what was mended is counted."""
        texts = as_text(column)
        cells = texts.drop_nulls().unique().to_list()
        found = {cell: self.find(cell) for cell in cells}
        mended = [cell for cell, (code, loosely) in found.items() if loosely and code >= 0]
        if mended and repairs is not None:
            repairs.add(column.name, _MENDED, int(texts.is_in(mended).sum()), min(mended))
        if not found:
            return np.full(len(texts), -1, dtype=np.int64)
        codes = texts.replace_strict(
            list(found), [code for code, _ in found.values()], default=-1, return_dtype=pl.Int64
        )
        return codes.fill_null(-1).to_numpy().astype(np.int64)

    def cells(self, codes: Array, name: str) -> pl.Series:
        """Codes as cells of the column's own type; -1 is null."""
        if self.kind == "integer":
            values: list[Any] = [int(n) for n in self.names]
        elif self.kind == "float":
            values = [float(n) for n in self.names]
        elif self.kind == "boolean":
            values = [n == "true" for n in self.names]
        else:
            values = list(self.names)
        dtypes = {"integer": pl.Int64, "float": pl.Float64, "boolean": pl.Boolean, "text": pl.String}
        dtype: Any = pl.Int128 if self.kind == "integer" and any(abs(v) >= 2**63 for v in values) else dtypes[self.kind]
        table = pl.Series(name, [*values, None], dtype=dtype)
        return table.gather(np.where(codes < 0, len(values), codes))

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"names": list(self.names), "kind": self.kind}

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        if not isinstance(state, Mapping) or set(state) != {"names", "kind"} or state["kind"] not in _KINDS:
            raise damaged("the classes lack their parts")
        names = state["names"]
        if not isinstance(names, list) or not 1 <= len(names) <= _MOST:
            raise damaged("the classes are no list")
        if not all(isinstance(n, str) and len(n) <= _LONGEST for n in names) or len(set(names)) != len(names):
            raise damaged("a class has no name of its own")
        kind: Kind = state["kind"]
        fits = {
            "text": lambda n: True,
            "boolean": lambda n: n in ("true", "false"),
            "integer": lambda n: _WHOLE.fullmatch(n) is not None,
            "float": _is_finite,
        }[kind]
        if not all(fits(n) for n in names):
            raise damaged(f"a class is no {kind}")
        return cls(tuple(names), kind)


class Reader(Protocol):
    """One of the three ways to write down classes."""

    exclusive: ClassVar[bool]  # whether a row belongs to exactly one class

    @property
    def names(self) -> tuple[str, ...]:
        """The K classes or labels in the order of the outputs."""

    def encode(self, frame: pl.DataFrame, repairs: Repairs | None) -> tuple[Array, Misfit | None]:
        """(N,) int64 codes or (N,K) float32 0/1, -1 where a cell is no target, and which rows those are."""

    def cells(self, decided: Array) -> list[pl.Series]:
        """The columns `prediction...` for (N,) codes or (N,K) bool."""

    def readable(self, target: Array) -> list[Any]:
        """Encoded targets as a person would write them."""

    def state(self) -> dict[str, Any]:
        """As JSON."""


@dataclass(frozen=True)
class OneColumn:
    """A column in which each row has one class."""

    classes: Classes
    mode: ClassVar[str] = "classes"
    exclusive: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes.names

    def encode(self, frame: pl.DataFrame, repairs: Repairs | None) -> tuple[Array, Misfit | None]:
        """(N,) codes."""
        column = frame.to_series(0)
        codes = self.classes.codes(column, repairs)
        return codes, _misfit(codes < 0, column)

    def cells(self, decided: Array) -> list[pl.Series]:
        """One column."""
        return [self.classes.cells(decided, "prediction")]

    def readable(self, target: Array) -> list[Any]:
        """The class of each row."""
        return self.classes.cells(target, "target").to_list()

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"mode": self.mode, "classes": self.classes.state()}


@dataclass(frozen=True)
class LabelSets:
    """A column in which each row has a set of labels: a list, or text with a separator ("" for typed lists)."""

    labels: Classes
    separator: str
    mode: ClassVar[str] = "sets"
    exclusive: ClassVar[bool] = False

    @classmethod
    def learn(cls, column: pl.Series, separator: str) -> Self:
        """The labels of a training column."""
        dtype = plain(column).dtype
        found = Classes.learn(_flat(split_labels(column, separator)))
        kind: Kind = "text"
        if isinstance(dtype, pl.List) and (inner := dtype.inner.base_type()).is_numeric():
            kind = "integer" if inner.is_integer() else "float"
        return cls(Classes(found.names, kind), separator)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels.names

    def encode(self, frame: pl.DataFrame, repairs: Repairs | None) -> tuple[Array, Misfit | None]:
        """(N,K) 0/1."""
        column = frame.to_series(0)
        sets = split_labels(column, self.separator)
        place = np.repeat(np.arange(len(sets)), sets.list.len().fill_null(0).to_numpy())
        inner = _flat(sets)
        codes = self.labels.codes(inner, repairs)
        hot = np.zeros((len(sets), len(self.names)), dtype=np.float32)
        known = codes >= 0
        hot[place[known], codes[known]] = 1.0
        bad = sets.is_null().to_numpy().copy()
        bad[place[~known]] = True
        hot[bad] = -1.0
        if not bad.any():
            return hot, None
        strange = np.flatnonzero(~known & (place == int(bad.argmax())))
        return hot, Misfit(bad, inner[int(strange[0])] if len(strange) else "nothing", column.name)

    def cells(self, decided: Array) -> list[pl.Series]:
        """One column, of lists or of text as the target was."""
        sets = self.readable(decided)
        if self.separator:
            return [pl.Series("prediction", [self.separator.join(map(str, s)) for s in sets], dtype=pl.String)]
        inner = self.labels.cells(np.zeros(0, dtype=np.int64), "label").dtype
        return [pl.Series("prediction", sets, dtype=pl.List(inner))]

    def readable(self, target: Array) -> list[Any]:
        """The labels of each row."""
        values = self.labels.cells(np.arange(len(self.names)), "label").to_list()
        return [[values[k] for k in np.flatnonzero(row > 0.5)] for row in target]

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"mode": self.mode, "separator": self.separator, "labels": self.labels.state()}


@dataclass(frozen=True)
class YesNoColumns:
    """Several columns of two values each; the second value, in order, is the yes."""

    names: tuple[str, ...]
    values: tuple[Classes, ...]
    mode: ClassVar[str] = "columns"
    exclusive: ClassVar[bool] = False

    def encode(self, frame: pl.DataFrame, repairs: Repairs | None) -> tuple[Array, Misfit | None]:
        """(N,K) 0/1."""
        columns = [classes.codes(frame.to_series(place), repairs) for place, classes in enumerate(self.values)]
        hot = np.stack(columns, axis=1).astype(np.float32)
        bad = np.asarray((hot < 0).any(axis=1))
        hot[bad] = -1.0
        if not bad.any():
            return hot, None
        first = int(bad.argmax())
        place = next(p for p, codes in enumerate(columns) if codes[first] < 0)
        cell = frame.to_series(place)[first]
        return hot, Misfit(bad, "nothing" if cell is None else str(cell), self.names[place])

    def cells(self, decided: Array) -> list[pl.Series]:
        """One column for each target."""
        return [
            classes.cells(decided[:, place].astype(np.int64), f"prediction_{name}")
            for place, (name, classes) in enumerate(zip(self.names, self.values, strict=True))
        ]

    def readable(self, target: Array) -> list[Any]:
        """The names of the columns that say yes."""
        return [[self.names[k] for k in np.flatnonzero(row > 0.5)] for row in target]

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"mode": self.mode, "names": list(self.names), "values": [c.state() for c in self.values]}


def reader_from_state(state: Any) -> Reader:
    """The inverse of a reader's `state`.

    Raises:
        BundleError: it is damaged or hostile.
    """
    if not isinstance(state, Mapping):
        raise damaged("the classes lack their parts")
    mode = state.get("mode")
    if mode == "classes" and set(state) == {"mode", "classes"}:
        return OneColumn(Classes.from_state(state["classes"]))
    if mode == "sets" and set(state) == {"mode", "separator", "labels"}:
        separator = state["separator"]
        if not isinstance(separator, str) or len(separator) > 10:
            raise damaged("the separator of labels is none")
        return LabelSets(Classes.from_state(state["labels"]), separator)
    if mode == "columns" and set(state) == {"mode", "names", "values"}:
        names, values = state["names"], state["values"]
        if not isinstance(names, list) or not isinstance(values, list) or not 1 <= len(names) == len(values) <= _MOST:
            raise damaged("the target columns are no list")
        if not all(isinstance(n, str) and len(n) <= _LONGEST for n in names) or len(set(names)) != len(names):
            raise damaged("a target column has no name of its own")
        classes = tuple(Classes.from_state(v) for v in values)
        if any(len(c.names) != 2 for c in classes):
            raise damaged("a target column has not two values")
        return YesNoColumns(tuple(names), classes)
    raise damaged("the classes are written in a way that limpid does not know")


def learn_reader(target: pl.DataFrame, *, multi_label: bool, separator: str, positive: str | None) -> Reader:
    """The reader of the target columns of training rows.

    Raises:
        DataError: there are no two classes to tell apart.
        RequestError: `positive` is no class, or there are not two.
    """
    if target.width > 1:
        columns = tuple(Classes.learn(target.to_series(place)) for place in range(target.width))
        for name, classes in zip(target.columns, columns, strict=True):
            if len(classes.names) != 2:
                raise too_few(f"column {name!r} holds {len(classes.names)} different values, not two", name)
        return YesNoColumns(tuple(target.columns), columns)
    column = target.to_series(0)
    if multi_label:
        sets = LabelSets.learn(column, separator)
        if not sets.names:
            raise too_few("no training row has a label", column.name)
        return sets
    classes = Classes.learn(column)
    if len(classes.names) < 2:
        held = f"only the class {classes.names[0]!r}" if classes.names else "no class"
        raise too_few(f"the training rows hold {held}", column.name)
    if positive is not None:
        moved = classes.with_last(positive) if len(classes.names) == 2 else None
        if moved is None:
            raise RequestError(
                f"{positive!r} cannot be the positive class",
                where="task.positive",
                expected=f"one of two classes; there are {', '.join(classes.names[:5])}",
                fix=did_you_mean(positive, classes.names[:1000]),
            )
        classes = moved
    return OneColumn(classes)


def as_text(column: pl.Series) -> pl.Series:
    """A column in canonical spelling without blanks around it; what is empty, NaN or endless is null.

    Raises:
        DataError: its type can hold no classes.
    """
    column = plain(column)
    if column.dtype == pl.String:
        column = column.str.strip_chars(BLANKS)
    elif column.dtype.is_float():
        column = column.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series()
    elif column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"column {column.name!r} holds {column.dtype}, which can be no class",
            where=f"column {column.name}",
            expected="text, whole numbers or true and false",
            fix="choose another --target, or turn the column into text",
        )
    texts = canonical(column)
    return texts.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()


def too_few(what: str, column: str) -> DataError:
    """The error for a target without two classes."""
    return DataError(
        what,
        where=f"column {column}",
        expected="at least two classes, each in some training row",
        fix="choose another --target, or more rows; after a split by group or time, check that the training part "
        "holds both classes",
    )


def unseen_class(misfit: Misfit, classes: Sequence[str], rows: Array | None) -> DataError:
    """The error for cells that are no class of the training rows; `rows` are source row numbers from 0."""
    first, count = int(misfit.rows.argmax()), int(misfit.rows.sum())
    shown = ", ".join(classes[:10]) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    several = f", and {count - 1:,} more rows hold no class either" if count > 1 else ""
    return DataError(
        f"{misfit.cell[:100]!r} is no class of the training rows{several}",
        where=f"row {1 + (first if rows is None else int(rows[first]))}, column {misfit.column}",
        expected=f"one of {shown}",
        fix=f"correct the cell, or leave such rows out; {did_you_mean(misfit.cell[:100], classes[:1000])}",
    )


def damaged(what: str) -> BundleError:
    """The error for a task's state that limpid cannot have written."""
    return BundleError(
        what,
        where="encoders.json: task",
        expected="what limpid writes after training",
        fix="restore the bundle from a copy or train again",
    )


def _flat(sets: pl.Series) -> pl.Series:
    """All labels of all rows, one after the other."""
    return sets.list.explode(keep_nulls=False, empty_as_null=False)


def _misfit(bad: npt.NDArray[np.bool_], column: pl.Series) -> Misfit | None:
    if not bad.any():
        return None
    cell = column[int(bad.argmax())]
    return Misfit(bad, "nothing" if cell is None else str(cell), column.name)


def _loosen(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).casefold().strip(BLANKS).removesuffix(".").strip(BLANKS)


def _order(key: str) -> tuple[int, float, str]:
    number = _number(key)
    return (1, 0.0, key) if number is None else (0, number, key)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_finite(text: str) -> bool:
    return len(text) <= 400 and _number(text) is not None
