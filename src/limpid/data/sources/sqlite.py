"""Tables in an SQLite file, read without running anything that the file may hold: no views, triggers or functions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import polars as pl

from limpid.core.errors import DataError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.sources.base import Table, tidy
from limpid.data.sources.dialect import unique_names
from limpid.data.sources.records import Place, column_of
from limpid.data.sources.store import Room, Sink, key_of, open_stored
from limpid.data.sources.stream import file_digest

_ROWS = 16_384
_SECONDS_LOCKED = 5.0
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_INFORMS = {"table_list", "table_xinfo"}


def open_sqlite(path: Path, table: str | None, name: str, room: Room) -> Table:
    """Read one table of an SQLite file; a large one is read into the cache folder, once.

    Args:
        path: the file.
        table: the table's name; None where the file holds only one.
        name: what messages call it.
        room: what may stay in memory.

    Raises:
        DataError: for a damaged file, or a table that is not there.
    """
    key = key_of(path, "sqlite", table, _journal(path))
    stored = open_stored(name, key)
    if stored is not None:
        return stored
    repairs = Repairs()
    with _reading(path, name), closing(_connect(path, repairs, name)) as connection:
        chosen = _choose(connection, table, path, name)
        columns = _columns(connection, chosen, name, repairs)
        listing = ", ".join(_quoted(c) for c in columns)
        names = unique_names(columns, name, repairs)
        with Sink(name, key, room, 4 * path.stat().st_size) as sink:
            cursor = connection.execute(f"SELECT {listing} FROM {_quoted(chosen)}")
            done = 0
            while rows := cursor.fetchmany(_ROWS):
                place = _placer(name, done)
                cells = zip(*rows, strict=True)
                series = [column_of(n, c, repairs, place) for n, c in zip(names, cells, strict=True)]
                sink.add(tidy(pl.DataFrame(series)))
                done += len(rows)
            if not done:
                raise DataError(
                    f"the table {chosen!r} has no rows",
                    where=name,
                    expected="at least one row",
                    fix="check that this is the right table",
                )
            return sink.finish(repairs, [f"table {chosen!r} of an SQLite file"], file_digest(path), names)


def _placer(name: str, done: int) -> Place:
    return lambda index: f"{name}, row {done + index + 1:,}"


def _journal(path: Path) -> tuple[int, int]:
    """State of the write-ahead log, whose rows belong to the table too."""
    log = path.with_name(path.name + "-wal")
    try:
        state = log.stat()
    except OSError:
        return (0, 0)
    return (state.st_size, state.st_mtime_ns)


@contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        locked = "locked" in str(error)
        raise DataError(
            f"the SQLite file cannot be read: {error}",
            where=name,
            expected="a whole SQLite file that no program is writing to",
            fix="wait until the other program ends" if locked else "check it: sqlite3 FILE 'PRAGMA integrity_check'",
        ) from error
    except UnicodeEncodeError as error:
        raise DataError(
            f"the table's name is no text: {error}",
            where=name,
            expected="a table's name in Unicode",
            fix="check the name after ::",
        ) from error


def _connect(path: Path, repairs: Repairs, name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=_SECONDS_LOCKED)

    def text(raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            repairs.add(name, "held broken characters, replaced by \N{REPLACEMENT CHARACTER}", 1, raw[:40])
            return raw.decode("utf-8", "replace")

    connection.text_factory = text
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.set_authorizer(_authorise)
    return connection


def _authorise(action: int, one: str | None, two: str | None, database: str | None, inner: str | None) -> int:
    """Reading columns of tables is all that is allowed; what a view or a trigger asks for is not."""
    if action == sqlite3.SQLITE_PRAGMA and one in _INFORMS:
        return sqlite3.SQLITE_OK
    if action in _ALLOWED and inner is None:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _choose(connection: sqlite3.Connection, table: str | None, path: Path, name: str) -> str:
    listed = connection.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
    plain = [n for n, kind, sql in listed if kind == "table" and _is_plain(n, sql)]
    others = [n for n, kind, sql in listed if kind in ("table", "view") and n not in plain]
    if table is None and len(plain) == 1:
        return str(plain[0])
    if table in plain:
        return str(table)
    if table is not None and table in others:
        raise DataError(
            f"{table!r} is a view or a virtual table, which would run what the file says",
            where=name,
            expected=f"a plain table: {', '.join(map(repr, plain)) or 'there is none'}",
            fix=f"make a table of it: CREATE TABLE rows AS SELECT * FROM {table}",
        )
    if not plain:
        raise DataError(
            "the SQLite file holds no table", where=name, expected="at least one table", fix="check the file"
        )
    shown = ", ".join(map(repr, plain[:20]))
    if table is None:
        raise DataError(
            f"the SQLite file holds {len(plain)} tables",
            where=name,
            expected=f"the name of one of {shown}",
            fix=f"pass it after two colons: {path}::{plain[0]}",
        )
    raise DataError(
        f"there is no table {table!r}", where=name, expected=f"one of {shown}", fix=did_you_mean(table, plain)
    )


def _is_plain(table: str, sql: str | None) -> bool:
    return not table.startswith("sqlite_") and not (sql or "").lstrip().upper().startswith("CREATE VIRTUAL")


def _columns(connection: sqlite3.Connection, table: str, name: str, repairs: Repairs) -> list[str]:
    listed = connection.execute(f"PRAGMA table_xinfo({_quoted(table)})").fetchall()
    computed = [row[1] for row in listed if row[6] == 2]
    if computed:
        repairs.add(name, "had columns computed by the file itself, which were left out", len(computed), computed[0])
    columns = [str(row[1]) for row in listed if row[6] in (0, 3)]
    if not columns:
        raise DataError(
            f"the table {table!r} has no columns that hold data",
            where=name,
            expected="at least one column",
            fix="check that this is the right table",
        )
    return columns


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
