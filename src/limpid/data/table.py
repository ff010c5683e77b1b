"""Which source is this? One way in for files of every kind, folders, patterns, samples, frames and arrays."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from limpid.core.errors import DataError, RequestError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.samples import open_sample
from limpid.data.sources.archives import is_archive, open_archive
from limpid.data.sources.base import Table
from limpid.data.sources.columnar import open_arrow, open_arrow_stream, open_parquet
from limpid.data.sources.delimited import open_delimited
from limpid.data.sources.files import NamedFiles, file_tables, load_file, majority, name_columns, walk
from limpid.data.sources.jsonlines import open_jsonlines
from limpid.data.sources.memory import open_memory
from limpid.data.sources.several import SeveralTable, inside, is_pattern, matching
from limpid.data.sources.sqlite import open_sqlite
from limpid.data.sources.store import Room
from limpid.data.sources.stream import LATIN, Stream, as_utf8, check_file, encoding_of, packing_of
from limpid.data.sources.ts import is_ts, open_ts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Table", "open_parts", "open_table", "with_files"]

SUFFIXES = frozenset("csv tsv tab data parquet pq arrow feather ipc jsonl ndjson sqlite sqlite3 db ts gz zst".split())
_JSON = re.compile(r"\.(jsonl|ndjson|json)(\.(gz|zst))?$")
_TS = re.compile(r"\.ts(\.(gz|zst))?$")
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save the table as CSV"),
    (b"%PDF", "a PDF document", "export the table as CSV"),
    (b"FEA1", "a Feather file of version 1", "write it again as Parquet or Feather version 2"),
    (b"\x93NUMPY", "a numpy array", "load it and pass the array in Python, or write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write the table as Parquet or CSV"),
    (b"\x80\x04\x95", "a pickle, which limpid never opens since it can run code", "write the table as Parquet or CSV"),
    (b"\x80\x05\x95", "a pickle, which limpid never opens since it can run code", "write the table as Parquet or CSV"),
    (b"BZh", "packed with bzip2", "unpack it (bunzip2), or pack it with gzip or zstd"),
    (b"\xfd7zXZ", "packed with xz", "unpack it (unxz), or pack it with gzip or zstd"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"\x89PNG", "a picture", "name its folder, or a table"),
    (b"\xff\xd8\xff", "a picture", "name its folder, or a table"),
)


def open_table(
    data: str | os.PathLike[str] | pl.DataFrame | pd.DataFrame | np.ndarray | Mapping[str, Any] | Table,
    *,
    what: str = "DATA",
    header: bool | None = None,
    lenient: bool = False,
) -> Table:
    """Open what a person calls their data as one table.

    A file is known by its content first and its suffix second. Text tables larger than what may stay in memory are
    read once into the cache folder.

    Args:
        data: a file, a folder or a pattern of files of one kind, `file.sqlite::table`, `sample:NAME`, a polars or
            pandas frame, an array of two dimensions, or a mapping of columns.
        what: the option that it was given for, for the messages.
        header: for text tables, whether the first row holds the names; found out by default.
        lenient: for text tables, whether a row that cannot be read keeps its place as a row of nulls, with the reason
            in the table's `unreadable`, rather than being an error.

    Raises:
        DataError: for data that cannot be read, naming file, line and column.
        RequestError: for a sample that does not exist, or what is no data at all.

    Example:
        >>> open_table({"age": [39, 50], "income": ["<=50K", ">50K"]}).columns
        ('age', 'income')
    """
    if isinstance(data, Table):
        return data
    if not isinstance(data, (str, os.PathLike)):
        table = open_memory(data, what if what != "DATA" else "frame")
        if table is None:
            raise RequestError(
                f"{type(data).__name__} is no table",
                where=what,
                expected="a path, sample:NAME, a polars or pandas frame, a 2-D array, or a mapping of columns",
                fix="turn it into a frame first",
            )
        return table
    text = os.fspath(data)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if text.startswith("sample:"):
        return open_sample(text.removeprefix("sample:"), what)
    return _open_path(text, what, header, lenient)


def open_parts(data: Any, *, what: str = "DATA", lenient: bool = False) -> dict[str, Table]:
    """The same as `open_table`, for data that may say themselves which rows are for which part.

    Args:
        data: as for `open_table`; a folder or an archive may hold folders called train, valid and test.
        what: the option that it was given for.
        lenient: as for `open_table`.

    Returns:
        "train" alone, or a table for each part that is there.

    Raises:
        DataError, RequestError: as for `open_table`.
    """
    if isinstance(data, (str, os.PathLike)):
        path = Path(os.fsdecode(data)).expanduser()
        if _exists(path) and path.is_dir() and not _has_tables(path):
            return _open_files(path, str(data), what)
        if _exists(path) and path.is_file() and is_archive(path):
            return open_archive(path, str(data), what)
    return {"train": open_table(data, what=what, lenient=lenient)}


def with_files(table: Table, columns: Sequence[str], base: Path | None = None) -> Table:
    """The table with columns of file names read as the files, where they are text.

    Args:
        table: any table.
        columns: those that hold pictures or recordings.
        base: folder that the names start from; the working folder by default.
    """
    named = {c: base or Path() for c in columns if c in table.columns and table.schema[c] == pl.String}
    return NamedFiles(table, named) if named else table


def _has_tables(path: Path) -> bool:
    try:
        return any(e.is_file() and e.suffix.lower().lstrip(".") in SUFFIXES for e in path.iterdir())
    except OSError:
        return True  # read as a table's folder, which says what is wrong with it


def _open_files(path: Path, text: str, what: str) -> dict[str, Table]:
    members = walk(path, what)
    if majority(members) is None:  # for the error of a folder without tables
        inside(path, SUFFIXES, what)
    return file_tables(text, members, lambda name: load_file(path / name), str(path.resolve()), what)


def _together(tables: dict[str, Table], text: str) -> Table:
    """All parts as one table, for verbs that do not tell them apart."""
    parts = list(tables.values())
    if len(parts) == 1:
        return parts[0]
    whole = SeveralTable(text, parts, Repairs(), [f"folders {', '.join(tables)} taken together"])
    whole.target, whole.places = parts[0].target, parts[0].places
    return whole


def _open_path(text: str, what: str, header: bool | None, lenient: bool) -> Table:
    if not text or "\0" in text:
        raise DataError("the path is empty or holds a NUL", where=what, expected="a path", fix=f"name the {what}")
    room = Room()
    path = Path(text).expanduser()
    if _exists(path):
        if path.is_dir():
            if not _has_tables(path):
                return _together(_open_files(path, text, what), text)
            return _named(_open_folder(path, text, what, room, header, lenient), path)
        if path.is_file() and is_archive(path):
            return _together(open_archive(path, text, what), text)
        return _named(_open_file(path, None, text, what, room, header, lenient), path.parent)
    before, colons, table = text.partition("::")
    if colons and _exists(Path(before).expanduser()):
        return _open_file(Path(before).expanduser(), table, text, what, room, header, lenient)
    if is_pattern(text):
        files = matching(str(path), what)
        return _named(_open_several(files, text, what, room, header, [], lenient), files[0].parent)
    if re.match(r"[a-z][a-z0-9+]*://", text):
        raise DataError(
            "this is an address, and limpid fetches nothing",
            where=f"{what} {text}",
            expected="a file on this machine",
            fix="fetch it first (curl -O, aws s3 cp, ...)",
        )
    raise DataError(
        "there is no such file or folder",
        where=f"{what} {text}",
        expected="a file, a folder, a pattern in quotes, or sample:NAME",
        fix=_neighbour(path),
    )


def _named(table: Table, base: Path) -> Table:
    """The table with the pictures or recordings that it names."""
    found = name_columns(table, base)
    return NamedFiles(table, found) if found else table


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def _neighbour(path: Path) -> str:
    try:
        names = sorted(os.listdir(path.parent))[:1000]
    except (OSError, ValueError):
        return "check the path"
    near = did_you_mean(path.name, names) if names else ""
    return near if near.startswith("did") else "check the path"


def _open_folder(path: Path, text: str, what: str, room: Room, header: bool | None, lenient: bool) -> Table:
    files, others = inside(path, SUFFIXES, what)
    notes = [f"{others} entries of the folder that are no tables were passed over"] if others else []
    return _open_several(files, text, what, room, header, notes, lenient)


def _open_several(
    files: list[Path], text: str, what: str, room: Room, header: bool | None, notes: list[str], lenient: bool
) -> Table:
    tables: list[Table] = []
    kinds: dict[str, Path] = {}
    for file in files:
        check_file(file, what)
        kinds.setdefault(_kind(file, what), file)
        if len(kinds) > 1:
            (one, first), (other, second) = kinds.items()
            raise DataError(
                f"the files are of several kinds: {first.name} is {one}, {second.name} is {other}",
                where=f"{what} {text}",
                expected="files of one kind",
                fix=f'name one kind with a pattern in quotes, such as "{first.parent / ("*" + first.suffix)}"',
            )
    for file in files:
        tables.append(_open_file(file, None, str(file), what, room, header, lenient))
        # The first file decides, so that a later one whose rows look like names is read the same way.
        if header is None and tables[0].notes and "delimited text" in kinds:
            header = not any(n.startswith("no header") for n in tables[0].notes)
    if len(tables) == 1:
        return tables[0]
    return SeveralTable(text, tables, Repairs(), [f"{len(tables)} files", *notes])


def _open_file(
    path: Path, table: str | None, text: str, what: str, room: Room, header: bool | None, lenient: bool
) -> Table:
    check_file(path, what)
    kind = _kind(path, what)
    if table is not None and kind != "SQLite":
        raise DataError(
            f"{path.name} is {kind}, which holds a single table",
            where=f"{what} {text}",
            expected="FILE::TABLE with an SQLite file",
            fix=f"leave out ::{table}",
        )
    if kind == "Parquet":
        return open_parquet(path, text)
    if kind == "Arrow":
        return open_arrow(path, text)
    if kind == "an Arrow stream":
        return open_arrow_stream(path, text, room)
    if kind == "SQLite":
        return open_sqlite(path, table or None, text, room)
    if kind == "series (.ts)":
        return open_ts(path, text, room, lenient=lenient)
    if kind == "JSON lines":
        return open_jsonlines(path, text, room, lenient=lenient)
    return open_delimited(path, text, room, header=header, lenient=lenient)


def _kind(path: Path, what: str) -> str:
    """What a file is, by its first bytes and, where these are plain text, by its suffix."""
    with path.open("rb") as file:
        head = file.read(1 << 12)
    if head.startswith(b"PAR1"):
        return "Parquet"
    if head.startswith(b"ARROW1"):
        return "Arrow"
    if head.startswith(b"\xff\xff\xff\xff") and path.suffix.lower() in (".arrow", ".arrows", ".ipc", ".feather"):
        return "an Arrow stream"
    if head.startswith(b"SQLite format 3\0"):
        return "SQLite"
    for magic, meaning, fix in _FOREIGN:
        if head.startswith(magic):
            raise DataError(
                f"{path.name} is {meaning}",
                where=f"{what} {path}",
                expected="CSV, TSV, JSON lines, Parquet, Arrow or SQLite",
                fix=fix,
            )
    if path.suffix.lower() in (".parquet", ".pq", ".arrow", ".feather", ".ipc", ".sqlite", ".sqlite3") and head:
        raise DataError(
            f"{path.name} does not begin as a {path.suffix} file does",
            where=f"{what} {path}",
            expected=f"a whole {path.suffix} file",
            fix="fetch or make the file again; a text table should end in .csv, .tsv or .jsonl",
        )
    if is_ts(_unpacked(path, head)):
        return "series (.ts)"
    if _TS.search(path.name.lower()):
        raise DataError(
            f"{path.name} does not begin as a .ts file of the UCR and UEA archives does",
            where=f"{what} {path}",
            expected="header lines such as @problemName and @data, then a line for each series",
            fix="fetch the file again; a text table should end in .csv, .tsv or .jsonl",
        )
    return "JSON lines" if _is_json(path, head) else "delimited text"


def _unpacked(path: Path, head: bytes) -> bytes:
    return next(Stream(path, str(path)).blocks(), b"")[: 1 << 16] if packing_of(head) else head


def _is_json(path: Path, head: bytes) -> bool:
    named = _JSON.search(path.name.lower()) is not None
    head = _unpacked(path, head)
    encoding = encoding_of(head)[0]
    text = b"".join(as_utf8(iter([head]), encoding or LATIN, str(path), Repairs())).lstrip()
    if named and text[:1] == b"[":
        raise DataError(
            "the file is one JSON list",
            where=str(path),
            expected="JSON lines: one object a line",
            fix=f"write one object a line: jq -c '.[]' {path.name} > {path.stem}.jsonl",
        )
    if named:
        return True
    first, feed, _ = text.partition(b"\n")
    if not first.startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return not feed  # the line is longer than what was read
