"""Tables in Parquet and Arrow files (Feather too), read where they are, a stretch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.sources.base import Table, tidy
from limpid.data.sources.dialect import unique_names
from limpid.data.sources.store import Room, Sink, key_of, open_stored
from limpid.data.sources.stream import file_digest

_ROWS_PER_STRETCH = 1 << 18
_ROWS_PER_BATCH = 1 << 16
_HEAVY_BATCH = 1 << 9


def open_parquet(path: Path, name: str) -> Table:
    """A Parquet file.

    Raises:
        DataError: for a damaged or empty file.
    """
    return _ScannedTable(path, name, "Parquet")


def open_arrow(path: Path, name: str) -> Table:
    """An Arrow file (Feather version 2).

    Raises:
        DataError: for a damaged or empty file.
    """
    return _ScannedTable(path, name, "Arrow")


def open_arrow_stream(path: Path, name: str, room: Room) -> Table:
    """A stream of Arrow batches without the footer of a file; read as a whole.

    Raises:
        DataError: for a damaged or empty stream.
    """
    key = key_of(path, "arrow-stream")
    stored = open_stored(name, key)
    if stored is not None:
        return stored
    repairs = Repairs()
    with _guarded(name, "Arrow"):
        frame = pl.read_ipc_stream(path)
    if not frame.height:
        raise _no_rows(name)
    frame.columns = list(unique_names(frame.columns, name, repairs))
    with Sink(name, key, room, 2 * path.stat().st_size) as sink:
        for start in range(0, frame.height, _ROWS_PER_BATCH):
            sink.add(tidy(frame[start : start + _ROWS_PER_BATCH]))
        return sink.finish(repairs, ["a stream of Arrow batches"], file_digest(path))


@contextmanager
def _guarded(name: str, kind: str) -> Iterator[None]:
    """Turn every complaint about a file, a panic of the parser included, into one of ours."""
    try:
        yield
    except (OSError, ValueError, MemoryError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        problem = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(
            f"the {kind} file cannot be read: {problem[:200]}",
            where=name,
            expected=f"a whole {kind} file",
            fix="fetch or make the file again",
        ) from error


def _no_rows(name: str) -> DataError:
    return DataError("the file has no rows", where=name, expected="at least one row", fix="check the file")


class _ScannedTable(Table):
    """A file that can be read by column and by stretches of rows.

    Args:
        path: the file.
        name: what messages call it.
        kind: "Parquet" or "Arrow".
    """

    def __init__(self, path: Path, name: str, kind: str) -> None:
        self._path = path
        self._kind = kind
        self._digest: str | None = None
        repairs = Repairs()
        with _guarded(name, kind):
            state = path.stat()
            there = self._scan().collect_schema()
            rows = int(self._scan().select(pl.len()).collect().item())
        if not rows or not there:
            raise _no_rows(name)
        names = unique_names(list(there), name, repairs)
        self._inner = {n: _cell(column, dtype) for n, (column, dtype) in zip(names, there.items(), strict=True)}
        self._as_is = (state.st_size, state.st_mtime_ns)
        with _guarded(name, kind):
            self._schema = dict(tidy(self._scan().select(self._renamed(names)).head(0).collect()).schema)
        super().__init__(name, names, rows, repairs, [f"{kind} file"])

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The type of each column."""
        return self._schema

    def digest(self) -> str:
        """The sha256 of the file."""
        if self._digest is None:
            self._check_unchanged()
            self._digest = file_digest(self._path)
        return self._digest

    def _scan(self) -> pl.LazyFrame:
        if self._kind == "Arrow":
            return pl.scan_ipc(self._path, glob=False)
        return pl.scan_parquet(self._path, glob=False, hive_partitioning=False)

    def _edges(self) -> np.ndarray:
        return np.append(np.arange(0, self.rows, _ROWS_PER_STRETCH), self.rows)

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        self._check_unchanged()
        if not columns:
            yield pl.DataFrame()
            return
        lazy = self._scan().slice(start, stop - start).select(self._renamed(columns))
        size = _ROWS_PER_BATCH if self.heavy.isdisjoint(columns) else _HEAVY_BATCH
        height = 0
        with _guarded(self.name, self._kind):
            for batch in lazy.collect_batches(chunk_size=size, maintain_order=True):
                height += batch.height
                yield tidy(batch)
            if height != stop - start:
                raise OSError(f"{stop - start:,} rows were promised and {height:,} are there")

    def _renamed(self, columns: Sequence[str]) -> list[pl.Expr]:
        return [self._inner[c].alias(c) for c in columns]

    def _check_unchanged(self) -> None:
        with _guarded(self.name, self._kind):
            state = self._path.stat()
        if (state.st_size, state.st_mtime_ns) != self._as_is:
            raise DataError(
                "the file changed after it was opened",
                where=self.name,
                expected="a file that nobody writes to",
                fix="work on a copy, and run the command again",
            )


def _cell(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column as it is read: of a struct of a file's bytes and path, as hubs write pictures and sounds, the bytes."""
    fields = {f.name: f.dtype for f in dtype.fields} if isinstance(dtype, pl.Struct) else {}
    if fields.get("bytes") == pl.Binary and set(fields) <= {"bytes", "path"}:
        return pl.col(column).struct.field("bytes")
    return pl.col(column)
