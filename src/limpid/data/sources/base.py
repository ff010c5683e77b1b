"""What every source of rows offers: named columns, a number of rows, reading by column, by row and in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b, sha256

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs

BLANKS = " \t\r\n\f\v\u00a0\ufeff"
"""What is taken off both ends of a text cell."""

_CELLS_PER_CHUNK = 16 << 20
_CHUNK_BYTES = 128 << 20
_HEAVY_ROWS = 512  # rows at a time where cells are whole files
_SIZED = 64  # cells whose size is looked at
_DIGESTED_ROWS = 300_000
_DIGESTED_BYTES = 512 << 20
_ROWS_PER_HASH = 1 << 16


class Table(ABC):
    """Rows under named columns, wherever they stand.

    Text cells come without surrounding blanks; a cell that is empty, or a float that is not a number, is null.

    Args:
        name: what messages call it: the path as the user gave it, or "frame".
        columns: the names, all different.
        rows: how many rows there are.
        repairs: what was mended while reading.
        notes: what was found out about how the table is written, one sentence each.

    Attributes:
        unreadable: row number -> why that row could not be read; its cells are null. Empty unless the table was opened
            leniently, since a row that cannot be read is an error otherwise.
        target: the column that such data are usually asked for, where the way they are laid out says it, such as class
            folders of pictures (several are separated by commas); None otherwise.
        task: the task that the source itself says is wanted of it, or None.
        places: columns that say where a row came from, which stay beside its answer.
        row_bytes: sorted names of columns -> mean size of their cells in a row, as far as that was measured.
    """

    target: str | None = None
    task: str | None = None

    def __init__(
        self, name: str, columns: Sequence[str], rows: int, repairs: Repairs, notes: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.rows = rows
        self.repairs = repairs
        self.notes = tuple(notes)
        self.unreadable: dict[int, str] = {}
        self.places: tuple[str, ...] = ()
        self.row_bytes: dict[tuple[str, ...], float] = {}
        self._stand_ins: dict[str, pl.Series] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, rows={self.rows}, columns={len(self.columns)})"

    def __len__(self) -> int:
        return self.rows

    @property
    @abstractmethod
    def schema(self) -> Mapping[str, pl.DataType]:
        """The type of each column; text files give String throughout."""

    @property
    def heavy(self) -> frozenset[str]:
        """Columns whose cells are whole files, such as pictures; reading them gives the bytes."""
        return frozenset(name for name, dtype in self.schema.items() if dtype == pl.Binary)

    @abstractmethod
    def digest(self) -> str:
        """A sha256 in hexadecimal that identifies the content: of a file its bytes, of a frame its names and values."""

    @abstractmethod
    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        """Rows `start` to `stop` in order, in frames of whatever length is cheap."""

    def _edges(self) -> np.ndarray:
        """Row numbers, 0 and `rows` included, between which reading is cheaper than across."""
        return np.array([0, self.rows], dtype=np.int64)

    def names_of(self, column: str) -> pl.Series:
        """(N,) what each cell of a heavy column is called, where it is not looked into."""
        return pl.Series(column, [f"{column} of row {row + 1}" for row in range(self.rows)], dtype=pl.String)

    def stand_ins(self, column: str) -> pl.Series:
        """(N,) a short text for each cell of a heavy column: a digest of its bytes, so that copies are found; the
        cells' names where there is too much to read."""
        if column not in self._stand_ins:
            few = self.sample([column], _SIZED)[column]
            mean = float(few.bin.size().mean() or 0.0)  # type: ignore[arg-type]
            if self.rows <= _DIGESTED_ROWS and mean * self.rows <= _DIGESTED_BYTES:
                pieces = [
                    pl.Series([None if c is None else blake2b(c, digest_size=12).hexdigest() for c in frame[column]])
                    for frame in self.chunks([column])
                ]
                found = pl.concat([p.cast(pl.String) for p in pieces]).alias(column)
            else:
                found = self.names_of(column)
            self._stand_ins[column] = found
        return self._stand_ins[column]

    def sample(self, columns: Sequence[str], rows: int) -> pl.DataFrame:
        """Up to `rows` rows, evenly spread, always the same ones."""
        if self.rows <= rows:
            return self.read(columns)
        return self.read(columns, rows=np.unique(np.linspace(0, self.rows - 1, rows).astype(np.int64)))

    def look(self, columns: Sequence[str] | None = None, rows: np.ndarray | None = None) -> pl.DataFrame:
        """The same as `read`, but with stand-ins for the cells of heavy columns."""
        wanted = self._wanted(columns)
        heavy = [c for c in wanted if c in self.heavy]
        if not heavy:
            return self.read(wanted, rows)
        some = [self.stand_ins(c) if rows is None else self.stand_ins(c)[np.asarray(rows)] for c in heavy]
        light = [c for c in wanted if c not in heavy]
        return pl.DataFrame([*(self.read(light, rows).iter_columns() if light else ()), *some]).select(wanted)

    def read(self, columns: Sequence[str] | None = None, rows: np.ndarray | None = None) -> pl.DataFrame:
        """Some columns of some rows as one frame.

        Args:
            columns: names in the order wanted; all by default.
            rows: row numbers of the source in rising order; all by default.

        Raises:
            DataError: for a column that is not there.

        Example:
            >>> from limpid.data.table import open_table
            >>> open_table({"a": np.arange(3), "b": np.arange(3)}).read(["b"], rows=np.array([0, 2]))["b"].to_list()
            [0, 2]
        """
        wanted = self._wanted(columns)
        if rows is None:
            return self._together(list(self._pieces(wanted, 0, self.rows)), wanted)
        rows = np.asarray(rows, dtype=np.int64)
        if not len(rows):
            return self._empty(wanted)
        if not wanted:
            return pl.DataFrame()
        return self._together(list(self._chosen(wanted, rows)), wanted)

    def gather(self, columns: Sequence[str], rows: np.ndarray, rows_per_chunk: int = 65_536) -> Iterator[pl.DataFrame]:
        """Some rows in rising order, in frames of at most `rows_per_chunk` rows, read in one go from first to last."""
        wanted = self._wanted(columns)
        yield from self._even(self._chosen(wanted, np.asarray(rows, dtype=np.int64)), wanted, rows_per_chunk)

    def _chosen(self, wanted: Sequence[str], rows: np.ndarray) -> Iterator[pl.DataFrame]:
        """The wanted rows of each piece that holds some."""
        if not len(rows):
            return
        assert rows[0] >= 0 and rows[-1] < self.rows, f"rows outside of 0..{self.rows - 1}"
        assert bool((np.diff(rows) >= 0).all()), "rows must be in rising order"
        for start, stop in self._runs(rows):
            at = start
            for piece in self._pieces(wanted, start, stop):
                low, high = np.searchsorted(rows, [at, at + piece.height])
                if high > low:
                    yield piece[rows[low:high] - at]
                at += piece.height

    def chunks(self, columns: Sequence[str] | None = None, rows_per_chunk: int = 65_536) -> Iterator[pl.DataFrame]:
        """The rows in order, in frames of `rows_per_chunk` rows, fewer where there are very many columns.

        Args:
            columns: names in the order wanted; all by default.
            rows_per_chunk: rows in each frame but the last.

        Raises:
            DataError: for a column that is not there.

        Example:
            >>> from limpid.data.table import open_table
            >>> [c.height for c in open_table({"a": np.arange(5)}).chunks(rows_per_chunk=2)]
            [2, 2, 1]
        """
        wanted = self._wanted(columns)
        yield from self._even(self._pieces(wanted, 0, self.rows), wanted, rows_per_chunk)

    def _even(
        self, pieces: Iterator[pl.DataFrame], wanted: Sequence[str], rows_per_chunk: int
    ) -> Iterator[pl.DataFrame]:
        """The same rows in frames of one length."""
        size = max(1, min(rows_per_chunk, _CELLS_PER_CHUNK // max(len(wanted), 1)))
        if not self.heavy.isdisjoint(wanted):
            size = min(size, _HEAVY_ROWS)
        waiting: list[pl.DataFrame] = []
        height = held = 0
        for piece in pieces:
            waiting.append(piece)
            height += piece.height
            held += int(piece.estimated_size())
            if height < size and held < _CHUNK_BYTES:
                continue
            whole = self._together(waiting, wanted)
            # Frames of the length asked for, or shorter ones where cells are long.
            length = size if held < 2 * _CHUNK_BYTES else max(1, min(size, height * _CHUNK_BYTES // held))
            cut = height - height % length if height >= length else height
            for start in range(0, cut, length):
                yield whole[start : start + length]
            waiting, height = [whole[cut:]], height - cut
            held = int(waiting[0].estimated_size())
        if height:
            yield self._together(waiting, wanted)

    def _wanted(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return list(self.columns)
        for column in columns:
            if column not in self.columns:
                raise DataError(
                    f"there is no column {column!r}",
                    where=self.name,
                    expected="one of the table's columns",
                    fix=did_you_mean(column, self.columns),
                )
        return list(columns)

    def _runs(self, rows: np.ndarray) -> Iterator[tuple[int, int]]:
        """Stretches between edges that hold a wanted row, neighbours joined."""
        edges = self._edges()
        hit = np.unique(np.searchsorted(edges, rows, side="right") - 1)
        breaks = np.flatnonzero(np.diff(hit) > 1)
        firsts = hit[np.r_[0, breaks + 1]]
        lasts = hit[np.r_[breaks, len(hit) - 1]]
        for first, last in zip(firsts, lasts, strict=True):
            yield int(edges[first]), int(edges[last + 1])

    def _empty(self, columns: Sequence[str]) -> pl.DataFrame:
        return pl.DataFrame(schema={c: self.schema[c] for c in columns})

    def _together(self, pieces: Sequence[pl.DataFrame], columns: Sequence[str]) -> pl.DataFrame:
        if not pieces:
            return self._empty(columns)
        return pieces[0] if len(pieces) == 1 else pl.concat(pieces, rechunk=True)


class FrameTable(Table):
    """A table that is in memory.

    Args:
        frame: the tidy rows.
        digest: of the file it came from; without it the values are hashed when asked.
    """

    def __init__(
        self, name: str, frame: pl.DataFrame, repairs: Repairs, notes: Sequence[str] = (), digest: str | None = None
    ) -> None:
        super().__init__(name, frame.columns, frame.height, repairs, notes)
        self._frame = frame
        self._digest = digest

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The type of each column."""
        return self._frame.schema

    def digest(self) -> str:
        """The file's sha256, or one over names, types and values."""
        if self._digest is None:
            self._digest = frame_digest(self._frame)
        return self._digest

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        yield self._frame.select(columns)[start:stop]


def tidy(frame: pl.DataFrame, *, strip: bool = True) -> pl.DataFrame:
    """Bring cells into the one form that every source gives.

    Text loses surrounding blanks and empty text becomes null, a float that is not a number becomes null, categories
    become text and decimals become floats, so that a model trained on one way of writing a table down reads another.

    Args:
        frame: rows as a reader gave them.
        strip: whether text cells may have surrounding blanks at all.

    Example:
        >>> tidy(pl.DataFrame({"a": [" x", ""], "b": [1.0, float("nan")]})).rows()
        [('x', 1.0), (None, None)]
    """
    changes = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if isinstance(dtype, (pl.Categorical, pl.Enum)):
            column, dtype = column.cast(pl.String), pl.String()
        elif isinstance(dtype, pl.Decimal):
            column = column.cast(pl.Float64)
        elif dtype == pl.Null:
            column = column.cast(pl.String)
        elif not isinstance(dtype, (pl.String, pl.Float32, pl.Float64)):
            continue
        if isinstance(dtype, pl.String):
            text = column.str.strip_chars(BLANKS) if strip else column
            column = pl.when(text != "").then(text)
        elif isinstance(dtype, (pl.Float32, pl.Float64)):
            column = column.fill_nan(None)
        changes.append(column.alias(name))
    return frame.with_columns(changes) if changes else frame


def frame_digest(frame: pl.DataFrame) -> str:
    """A sha256 of names, types and values that depends on neither memory layout nor library version."""
    state = sha256()
    for column in frame.iter_columns():
        state.update(repr((column.name, str(column.dtype), len(column))).encode())
        for start in range(0, len(column), _ROWS_PER_HASH):
            for part in _bytes_of(column.slice(start, _ROWS_PER_HASH)):
                state.update(part)
    return state.hexdigest()


_NUMPY_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


def _bytes_of(column: pl.Series) -> Iterator[bytes]:
    if column.null_count():
        yield column.is_null().to_numpy().tobytes()
    dtype = column.dtype
    if isinstance(dtype, (pl.List, pl.Array)):
        lists = column.cast(pl.List(dtype.inner)) if isinstance(dtype, pl.Array) else column
        yield lists.list.len().fill_null(0).cast(pl.Int64).to_numpy().tobytes()
        yield from _bytes_of(lists.drop_nulls().explode(empty_as_null=False))
    elif isinstance(dtype, pl.Struct):
        for field in column.struct.fields:
            yield field.encode()
            yield from _bytes_of(column.struct.field(field))
    elif isinstance(dtype, pl.Binary):
        cells = [b if b is not None else b"" for b in column.to_list()]
        yield np.array([len(c) for c in cells], dtype=np.int64).tobytes()
        yield b"".join(cells)
    elif isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        text = column.cast(pl.String).fill_null("")
        yield text.str.len_bytes().cast(pl.Int64).to_numpy().tobytes()
        yield (text.str.join("").item() or "").encode()
    elif dtype == pl.Null:
        yield b""
    elif (values := column.to_physical()).dtype.is_integer() and values.dtype not in _NUMPY_INTEGERS:
        yield from _bytes_of(values.cast(pl.String))  # 128 bits, for which numpy has no type
    else:
        yield values.fill_null(False if values.dtype == pl.Boolean else 0).to_numpy().tobytes()
