"""Tables that are in memory already: polars and pandas frames, arrays of numpy, a mapping of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.sources.base import FrameTable, Table, tidy
from limpid.data.sources.dialect import unique_names
from limpid.data.sources.records import column_of

_SIMPLE = "biuf"


def open_memory(data: Any, what: str) -> Table | None:
    """The table that `data` is, or None where it is nothing of the kind.

    Args:
        data: a polars or pandas frame, an array of two dimensions, or columns by name.
        what: what messages call it.

    Raises:
        DataError: for what has no rows, or a column that is no column.
    """
    repairs = Repairs()
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pl.DataFrame):
        columns, names = list(data.iter_columns()), data.columns
        series = [_from_objects(c, what, repairs) if c.dtype == pl.Object else c for c in columns]
    elif is_pandas(data):
        names = [str(c) if not isinstance(c, tuple) else ".".join(map(str, c)) for c in data.columns]
        series = [_from_pandas(data.iloc[:, k], name, what, repairs) for k, name in enumerate(names)]
    elif isinstance(data, np.ndarray):
        names, series = _from_array(data, what, repairs)
    elif isinstance(data, Mapping):
        names = [str(n) for n in data]
        series = [_from_values(v, n, what, repairs) for n, v in zip(names, data.values(), strict=True)]
    else:
        return None
    _check(names, series, what)
    unique = unique_names(names, what, repairs)
    return FrameTable(what, tidy(pl.DataFrame([s.alias(n) for n, s in zip(unique, series, strict=True)])), repairs)


def is_pandas(data: Any) -> bool:
    """Whether this is a pandas frame; pandas itself is not imported for the question.

    Example:
        >>> is_pandas({"a": [1]})
        False
    """
    return any(c.__module__.split(".")[0] == "pandas" and c.__name__ == "DataFrame" for c in type(data).__mro__)


def _check(names: Sequence[str], series: Sequence[pl.Series], what: str) -> None:
    if not series or not len(series[0]):
        raise DataError(
            "there are no rows", where=what, expected="at least one row and one column", fix="check the data"
        )
    for name, column in zip(names, series, strict=True):
        if len(column) != len(series[0]):
            raise DataError(
                f"column {name!r} has {len(column)} rows, {names[0]!r} has {len(series[0])}",
                where=what,
                expected="columns of one length",
                fix="bring the columns to one length",
            )


def _from_array(data: np.ndarray, what: str, repairs: Repairs) -> tuple[list[str], list[pl.Series]]:
    if data.dtype.names:
        names = list(data.dtype.names)
        return names, [_from_values(data[n], n, what, repairs) for n in names]
    if data.ndim in (3, 4):
        name = "image" if _holds_pictures(data) else "series"
        return [name], [_from_numpy(data, name, what, repairs)]
    if data.ndim != 2:
        raise DataError(
            f"the array has {data.ndim} dimension{'s' * (data.ndim != 1)}",
            where=what,
            expected="an array of two dimensions, rows and columns, or of three or four that holds pictures",
            fix="reshape it (a single column: array.reshape(-1, 1)), or pass a mapping of columns",
        )
    names = [f"column_{k}" for k in range(1, data.shape[1] + 1)]
    return names, [_from_values(data[:, k], n, what, repairs) for k, n in enumerate(names)]


def _from_values(values: Any, name: str, what: str, repairs: Repairs) -> pl.Series:
    if isinstance(values, pl.Series):
        return _from_objects(values, what, repairs) if values.dtype == pl.Object else values
    if type(values).__module__.split(".")[0] == "pandas":
        return _from_pandas(values, name, what, repairs)
    if isinstance(values, np.ma.MaskedArray):
        values = [None if m else v for v, m in zip(values.tolist(), np.ma.getmaskarray(values), strict=True)]
    if isinstance(values, np.ndarray):
        return _from_numpy(values, name, what, repairs)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise DataError(
            f"column {name!r} is {type(values).__name__} {str(values)[:40]!r}",
            where=what,
            expected="an array or a list in each column",
            fix="for a single row write lists of one: {'age': [39]}",
        )
    return _plain(name, list(values), what, repairs)


def _holds_pictures(values: np.ndarray) -> bool:
    """Whether an array of N cells holds pictures: bytes of two or three dimensions each, or any of three."""
    return values.ndim == 4 or (values.ndim == 3 and values.dtype in (np.uint8, np.bool_))


def _from_numpy(values: np.ndarray, name: str, what: str, repairs: Repairs) -> pl.Series:
    if values.dtype.kind in _SIMPLE and _holds_pictures(values):
        return pl.Series(name, [_npy(cell) for cell in values], dtype=pl.Binary)
    if values.dtype.kind in _SIMPLE and values.ndim in (2, 3):
        floats = np.ascontiguousarray(values, dtype=np.float64)
        kind = pl.List(pl.Float64) if values.ndim == 2 else pl.List(pl.List(pl.Float64))
        return pl.Series(name, floats, dtype=pl.Array(pl.Float64, values.shape[1:])).cast(kind)
    if values.ndim != 1:
        raise DataError(
            f"column {name!r} has {values.ndim} dimensions",
            where=what,
            expected="one dimension in each column",
            fix="give each part a column of its own",
        )
    if values.dtype.kind in _SIMPLE:
        if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
            values = values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        return pl.Series(name, np.ascontiguousarray(native))
    if values.dtype.kind == "M":
        return pl.Series(name, values.astype("datetime64[us]"))
    return _plain(name, values.tolist(), what, repairs)


def _npy(cell: np.ndarray) -> bytes:
    """A picture's array as the bytes of an .npy file, which modalities read like any other format."""
    file = BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(cell), allow_pickle=False)
    return file.getvalue()


def _from_objects(column: pl.Series, what: str, repairs: Repairs) -> pl.Series:
    return _plain(column.name, column.to_list(), what, repairs)


def _plain(name: str, values: list[Any], what: str, repairs: Repairs) -> pl.Series:
    """A series of Python values; what numpy and pandas mean by missing becomes null."""
    cells = [_scalar(v) for v in values]
    kinds = {type(v) for v in cells} - {type(None)}
    if kinds and all(k.__module__ == "datetime" for k in kinds):
        try:
            return pl.Series(name, cells, strict=True)
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"column {name!r} mixes dates of different kinds",
                where=f"{what}, column {name!r}",
                expected="dates or times of one kind",
                fix="bring them to one kind first",
            ) from error
    other = [v for v in cells if not isinstance(v, (bool, int, float, str, bytes, list, dict, type(None)))]
    if other:
        cells = [v if isinstance(v, (bool, int, float, str, bytes, list, dict, type(None))) else str(v) for v in cells]
        repairs.add(name, f"held objects ({type(other[0]).__name__}), taken as their text", len(other), other[0])
    return column_of(name, cells, repairs, lambda i: f"{what}, row {i + 1:,}")


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (np.ndarray, tuple, set, frozenset)):
        value = list(value.tolist() if isinstance(value, np.ndarray) else value)
    if (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value


def _from_pandas(column: Any, name: str, what: str, repairs: Repairs) -> pl.Series:
    """A pandas series without the help of pyarrow, which limpid does not ask for."""
    dtype = column.dtype
    absent = column.isna().to_numpy()
    if isinstance(dtype, np.dtype) and dtype.kind in _SIMPLE:
        series = _from_numpy(column.to_numpy(), name, what, repairs)
    elif getattr(dtype, "tz", None) is not None:
        utc = column.dt.tz_convert("UTC").dt.tz_localize(None)
        series = _from_numpy(utc.to_numpy(), name, what, repairs)
        repairs.add(name, "held times with a time zone, read as UTC", int((~absent).sum()), column.iloc[0])
    elif isinstance(dtype, np.dtype) and dtype.kind == "M":
        series = _from_numpy(column.to_numpy(), name, what, repairs)
    elif hasattr(dtype, "numpy_dtype") and dtype.numpy_dtype.kind in _SIMPLE:  # nullable numbers and booleans
        series = pl.Series(name, column.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0)))
    else:
        return _plain(name, [None if m else v for v, m in zip(column.tolist(), absent, strict=True)], what, repairs)
    if absent.any():
        series = pl.select(pl.when(pl.Series(~absent)).then(series)).to_series().alias(name)
    return series
