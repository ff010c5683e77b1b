"""Several files that together are one table: a folder, or a pattern with * and ?."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.sources.base import Table
from limpid.data.sources.records import supertype

FILES = 100_000
_MAGIC = re.compile(r"[*?\[]")


def is_pattern(text: str) -> bool:
    """Whether a path is a pattern for several files.

    Example:
        >>> is_pattern("2011-*.csv"), is_pattern("2011.csv")
        (True, False)
    """
    return _MAGIC.search(text) is not None


def matching(pattern: str, what: str) -> list[Path]:
    """The files that a pattern means, in the order of their names; links to folders are not followed.

    Args:
        pattern: a path with *, ?, [...] and ** (folders of any depth).
        what: the option that it was given for.

    Raises:
        DataError: for none, or very many.
    """
    parts = Path(pattern).parts
    fixed = next(k for k, part in enumerate(parts) if _MAGIC.search(part))
    base = Path(*parts[:fixed]) if fixed else Path(".")
    rest = parts[fixed:]
    wanted = re.compile(_regex(rest))
    deep = "**" in rest
    found: list[Path] = []
    for folder, folders, names in os.walk(base):
        depth = len(Path(folder).relative_to(base).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if deep or depth < len(rest) - 1 else []
        for name in names:
            path = Path(folder) / name
            if not name.startswith(".") and wanted.fullmatch(path.relative_to(base).as_posix()):
                found.append(path)
                _bound(found, pattern, what)
    if not found:
        raise DataError(
            "no file matches the pattern",
            where=f"{what} {pattern}",
            expected="a pattern of existing files",
            fix="check the path; quote the pattern so that the shell does not change it",
        )
    return sorted(found)


def _bound(found: Sequence[Path], where: str, what: str) -> None:
    if len(found) > FILES:
        raise DataError(
            f"there are more than {FILES:,} files",
            where=f"{what} {where}",
            expected=f"at most {FILES:,} files",
            fix="join them into fewer, larger ones",
        )


def _regex(parts: Sequence[str]) -> str:
    pieces = []
    for number, part in enumerate(parts):
        if part == "**":
            pieces.append("(?:[^/]+/)*" if number < len(parts) - 1 else ".*")
            continue
        tokens = re.findall(r"\*+|\?|\[!?[^\]]+\]|[\s\S]", part)
        out = ""
        for token in tokens:
            if token[0] == "*":
                out += "[^/]*"
            elif token == "?":
                out += "[^/]"
            elif len(token) > 2:
                inner = token[1:-1].replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
                out += "[" + ("^" + inner[1:] if inner.startswith("!") else inner) + "]"
            else:
                out += re.escape(token)
        pieces.append(out + ("/" if number < len(parts) - 1 else ""))
    return "".join(pieces)


def inside(folder: Path, suffixes: frozenset[str], what: str) -> tuple[list[Path], int]:
    """The table files of a folder by their suffixes, and how many other files were passed over.

    Raises:
        DataError: for none, very many, or several formats.
    """
    try:
        entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"the folder cannot be read: {error.strerror or error}",
            where=f"{what} {folder}",
            expected="a folder that can be read",
            fix="check the path and your rights to it",
        ) from error
    tables = [e for e in entries if e.is_file() and e.suffix.lower().lstrip(".") in suffixes]
    _bound(tables, str(folder), what)
    if not tables:
        raise DataError(
            "the folder holds no tables",
            where=f"{what} {folder}",
            expected=f"files that end in {', '.join('.' + s for s in sorted(suffixes))}",
            fix="name a file, or a pattern in quotes",
        )
    return tables, len(entries) - len(tables)


class SeveralTable(Table):
    """Tables of the same columns, one after another.

    Args:
        name: what messages call the whole.
        tables: the parts, in order.
        repairs: further repairs.
        notes: further notes.

    Raises:
        DataError: naming file and column, where a part has other columns.
    """

    def __init__(self, name: str, tables: Sequence[Table], repairs: Repairs, notes: Sequence[str]) -> None:
        first = tables[0]
        self._schema = dict(first.schema)
        for table in tables:
            repairs.merge(table.repairs)
            _check_columns(first, table)
            if table.columns != first.columns:
                repairs.add(table.name, "had the columns in another order, which were put in that of the first file", 1)
            for column, dtype in table.schema.items():
                self._schema[column] = supertype(self._schema[column], dtype, table.name, column)
        super().__init__(name, first.columns, sum(t.rows for t in tables), repairs, [*notes, *first.notes])
        self.tables = tuple(tables)
        self._bounds = np.concatenate([[0], np.cumsum([t.rows for t in tables])]).astype(np.int64)
        self.unreadable = {
            int(start) + row: f"{table.name}, {reason}"
            for start, table in zip(self._bounds, tables, strict=False)
            for row, reason in table.unreadable.items()
        }

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The type of each column, wide enough for all files."""
        return self._schema

    def names_of(self, column: str) -> pl.Series:
        """The parts' names of their cells."""
        return pl.concat([t.names_of(column) for t in self.tables])

    def digest(self) -> str:
        """A sha256 over those of the parts."""
        return sha256("".join(t.digest() for t in self.tables).encode()).hexdigest()

    def _edges(self) -> np.ndarray:
        pieces = [t._edges()[:-1] + start for t, start in zip(self.tables, self._bounds, strict=False)]
        return np.unique(np.concatenate([*pieces, [self.rows]])).astype(np.int64)

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        casts = [pl.col(c).cast(self._schema[c]) for c in columns]
        for table, low, high in zip(self.tables, self._bounds, self._bounds[1:], strict=False):
            if high <= start or low >= stop:
                continue
            for piece in table._pieces(columns, max(0, start - int(low)), min(stop, int(high)) - int(low)):
                yield piece.select(casts)


def _check_columns(first: Table, other: Table) -> None:
    missing = [c for c in first.columns if c not in other.columns]
    extra = [c for c in other.columns if c not in first.columns]
    if not missing and not extra:
        return
    column = (missing or extra)[0]
    what = (
        f"the column {column!r} of {first.name} is not there" if missing else f"{first.name} has no column {column!r}"
    )
    raise DataError(
        what,
        where=f"{other.name}, column {column!r}",
        expected=f"the same {len(first.columns)} columns in every file",
        fix=did_you_mean(column, (extra if missing else missing) or first.columns),
    )
