"""Where read rows go: into memory while they are few, into a column store in the cache folder when they are many."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.files import dump_json
from limpid.core.repairs import Repairs
from limpid.data import cache
from limpid.data.sources.base import FrameTable, Table
from limpid.data.sources.records import supertype

VERSION = 1
RESIDENT_BYTES = 128 << 20
_PART_BYTES = 32 << 20
_MANIFEST = "table.json"


@dataclass
class Room:
    """Memory that the tables of one request may fill together before they move into the cache folder."""

    left_bytes: int = field(default=RESIDENT_BYTES)


def key_of(path: Path, *how: object) -> str:
    """The cache key of a file as it is now, read in one particular way."""
    state = path.stat()
    with path.open("rb") as file:
        head = file.read(1 << 16)
        file.seek(max(0, state.st_size - (1 << 16)))
        tail = file.read(1 << 16)
    identity = repr((VERSION, str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino, how))
    return "table-" + sha256(identity.encode() + head + tail).hexdigest()[:40]


class Sink:
    """Takes tidy frames in order and ends as a table.

    Args:
        name: the table's name.
        key: cache key, should the rows move there.
        room: what may stay in memory.
        need_bytes: a guess of what the store will need.
    """

    def __init__(self, name: str, key: str, room: Room, need_bytes: int) -> None:
        self.name = name
        self._key = key
        self._room = room
        self._need_bytes = need_bytes
        self._waiting: list[pl.DataFrame] = []
        self._bytes = 0
        self._folder: Path | None = None
        self._parts: list[dict[str, int]] = []
        self._schema: dict[str, pl.DataType] = {}
        self._writing: Future[int] | None = None
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._exit.__exit__(*failure)

    def add(self, frame: pl.DataFrame) -> None:
        """Append rows; columns that were never seen before are null in what came earlier."""
        if not frame.height:
            return
        for column, dtype in frame.schema.items():
            known = self._schema.get(column)
            self._schema[column] = dtype if known is None else supertype(known, dtype, self.name, column)
        self._waiting.append(frame)
        self._bytes += int(frame.estimated_size())
        limit = _PART_BYTES if self._folder is not None else self._room.left_bytes
        if self._bytes > limit:
            self._spill()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = self._exit.enter_context(cache.making(self._key, self._need_bytes))
            self._pool = self._exit.enter_context(ThreadPoolExecutor(1))
        # Frames are grouped rather than joined in one, since what waited in memory may be many parts long.
        group: list[pl.DataFrame] = []
        size = 0
        for frame in self._waiting:
            group.append(frame)
            size += int(frame.estimated_size())
            if size >= _PART_BYTES:
                self._write(group)
                group, size = [], 0
        self._waiting, self._bytes = group, size

    def _write(self, frames: list[pl.DataFrame]) -> None:
        assert self._folder is not None
        self._settle()
        frame = pl.concat(frames, how="diagonal_relaxed")
        path = self._folder / f"{len(self._parts):06d}.parquet"
        self._parts.append({"rows": frame.height, "bytes": 0})
        self._writing = self._pool.submit(_write_part, frame, path)

    def _settle(self) -> None:
        """Wait for the part under way, so that at most one is."""
        if self._writing is not None:
            self._parts[-1]["bytes"] = self._writing.result()
            self._writing = None

    def finish(
        self,
        repairs: Repairs,
        notes: Sequence[str],
        digest: str | None = None,
        columns: Sequence[str] | None = None,
        unreadable: Mapping[int, str] | None = None,
    ) -> Table:
        """End the reading.

        Args:
            repairs: what was mended.
            notes: what was found out.
            digest: sha256 of the source.
            columns: all names, where there may be no rows.
            unreadable: rows that could not be read, and why.
        """
        names = list(columns if columns is not None else self._schema)
        schema = {c: self._schema.get(c, pl.String()) for c in names}
        if self._folder is None:
            frames = [_fit(f, schema) for f in self._waiting]
            frame = pl.concat(frames, rechunk=True) if frames else pl.DataFrame(schema=schema)
            self._room.left_bytes -= self._bytes
            table = FrameTable(self.name, frame, repairs, notes, digest)
            table.unreadable = dict(unreadable or {})
            return table
        if self._waiting:
            self._write(self._waiting)
            self._waiting = []
        self._settle()
        pl.DataFrame(schema=schema).write_parquet(self._folder / "schema.parquet")
        about: dict[str, Any] = {"version": VERSION, "digest": digest, "parts": self._parts, "notes": list(notes)}
        about["repairs"] = repairs.as_list()
        about["unreadable"] = list((unreadable or {}).items())
        (self._folder / _MANIFEST).write_text(dump_json(about), encoding="utf-8")
        self._exit.close()
        stored = open_stored(self.name, self._key)
        if stored is None:
            raise DataError(
                "the cached copy of this table was removed while it was being made",
                where=str(cache.folder()),
                expected="a cache folder that no other program empties",
                fix="run the command again",
            )
        return stored


def _write_part(frame: pl.DataFrame, path: Path) -> int:
    try:
        frame.write_parquet(path, compression="zstd", compression_level=1, statistics=False)
    except pl.exceptions.PolarsError as error:  # a full disk is one of these; cache.making says so in four parts
        raise OSError(str(error)) from error
    return path.stat().st_size


def _fit(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Bring a part to the types of the whole."""
    if list(frame.schema.items()) == list(schema.items()):
        return frame
    return frame.select(
        pl.col(c).cast(t).alias(c) if c in frame.columns else pl.lit(None, dtype=t).alias(c) for c, t in schema.items()
    )


class StoredTable(Table):
    """A table in the cache folder, read part by part."""

    def __init__(self, name: str, folder: Path, about: dict[str, Any]) -> None:
        repairs = Repairs()
        for repair in about["repairs"]:
            repairs.add(repair["where"], repair["what"], repair["count"], repair["example"])
        self._schema = dict(pl.read_parquet_schema(folder / "schema.parquet"))
        heights = [p["rows"] for p in about["parts"]]
        super().__init__(name, list(self._schema), sum(heights), repairs, about["notes"])
        self._folder = folder
        self._bounds = np.concatenate([[0], np.cumsum(heights)]).astype(np.int64)
        self._digest = str(about["digest"])
        self.unreadable = {int(row): str(reason) for row, reason in about.get("unreadable", ())}
        self._lock = cache.hold(folder)

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None:
            self._lock.close()  # type: ignore[union-attr]

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The type of each column."""
        return self._schema

    def digest(self) -> str:
        """The sha256 of the file that it was read from."""
        return self._digest

    def _edges(self) -> np.ndarray:
        return self._bounds

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        schema = {c: self._schema[c] for c in columns}
        for part in range(len(self._bounds) - 1):
            low, high = int(self._bounds[part]), int(self._bounds[part + 1])
            if high <= start or low >= stop:
                continue
            path = self._folder / f"{part:06d}.parquet"
            try:
                there = pl.read_parquet_schema(path)
                frame = pl.read_parquet(path, columns=[c for c in columns if c in there], memory_map=False)
            except (OSError, pl.exceptions.PolarsError) as error:
                raise DataError(
                    f"the cached copy of this table is damaged: {error}",
                    where=str(path),
                    expected="the part as it was written",
                    fix=f"delete the folder {self._folder} and run the command again",
                ) from error
            if not frame.width:  # none of the columns is in this part
                frame = pl.DataFrame({c: pl.Series([None] * (high - low), dtype=t) for c, t in schema.items()})
            yield _fit(frame, schema)[max(start - low, 0) : stop - low]


def open_stored(name: str, key: str) -> StoredTable | None:
    """The stored table of that key, or None where there is none or it is not whole."""
    folder = cache.find(key)
    if folder is None:
        return None
    try:
        about = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        sizes = [p["bytes"] for p in about["parts"]]
        whole = about["version"] == VERSION and all(
            (folder / f"{n:06d}.parquet").stat().st_size == size for n, size in enumerate(sizes)
        )
        if whole:
            return StoredTable(name, folder, about)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        pass  # a damaged entry is made anew below
    cache.remove(folder)
    return None
