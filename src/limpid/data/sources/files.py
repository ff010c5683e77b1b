"""Files as rows: a folder or an archive of pictures, recordings or texts, and tables that name such files in a column.

A row is a file: its `path`, its content (`image`, `audio` or `text`), and its `label` where the files lie in a folder
for each class. Names of archive members are labels only: nothing is ever written under such a name.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.sources.base import BLANKS, Table

SUFFIXES: Mapping[str, frozenset[str]] = {
    "image": frozenset("jpg jpeg jpe jfif png webp bmp dib tif tiff pgm ppm pbm pnm gif".split()),
    "audio": frozenset("wav wave flac ogg oga opus mp3 aif aiff".split()),
    "text": frozenset(["txt"]),
}
"""Kind of content -> suffixes of its files."""

PARTS: Mapping[str, frozenset[str]] = {
    "train": frozenset(("train", "training")),
    "valid": frozenset(("valid", "validation", "val", "dev")),
    "test": frozenset(("test", "testing")),
}
"""Part -> names of folders that hold it."""

MOST_FILES = 2_000_000
LARGEST_FILE = 256 << 20
_READERS = 4
_AT_ONCE = 64


@dataclass(frozen=True)
class Member:
    """One file.

    Args:
        path: where it lies under its base, with / between the parts.
        size: in bytes.
        stamp: when it was changed, 0 where that is not known.
    """

    path: str
    size: int
    stamp: int = 0

    @property
    def kind(self) -> str | None:
        """image, audio or text, by its suffix."""
        return kind_of(self.path)


def kind_of(path: str) -> str | None:
    """image, audio or text, by the suffix of a file's name; None for others.

    Example:
        >>> kind_of("cats/1.JPG"), kind_of("labels.csv")
        ('image', None)
    """
    suffix = PurePosixPath(path).suffix.lower().lstrip(".")
    return next((kind for kind, known in SUFFIXES.items() if suffix in known), None)


def walk(base: Path, what: str) -> list[Member]:
    """All files under a folder, sorted by path; links to folders are not followed, hidden names are passed over.

    Raises:
        DataError: there are too many, or the folder cannot be read.
    """
    found: list[Member] = []
    try:
        for folder, folders, names in os.walk(base, onerror=_raise):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in names:
                if name.startswith("."):
                    continue
                state = os.stat(os.path.join(folder, name))
                if stat.S_ISREG(state.st_mode):
                    path = Path(folder, name).relative_to(base).as_posix()
                    found.append(Member(path, state.st_size, state.st_mtime_ns))
            if len(found) > MOST_FILES:
                raise DataError(
                    f"there are more than {MOST_FILES:,} files",
                    where=f"{what} {base}",
                    expected=f"at most {MOST_FILES:,} files",
                    fix="divide the folder, or write the files into Parquet",
                )
    except OSError as error:
        raise DataError(
            f"the folder cannot be read: {error.strerror or error}",
            where=f"{what} {error.filename or base}",
            expected="a folder that can be read",
            fix="check the path and your rights to it",
        ) from error
    return sorted(found, key=lambda m: m.path)


def _raise(error: OSError) -> None:
    raise error


class FilesTable(Table):
    """Files of one kind as rows.

    Args:
        name: what messages call them.
        members: the files, in order.
        kind: image, audio or text; the name of the column with the content.
        load: path -> bytes; None for what is not there any more.
        labels: the class of each file, or None where they are in no folders of classes.
        repairs, notes: of the finding.
        origin: identifies where the bytes come from, for the digest.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        kind: str,
        load: Callable[[str], bytes | None],
        labels: Sequence[str] | None,
        repairs: Repairs,
        notes: Sequence[str],
        origin: str,
    ) -> None:
        columns = ["path", kind, *(["label"] if labels is not None else [])]
        super().__init__(name, columns, len(members), repairs, notes)
        self.kind = kind
        self._members = list(members)
        self._load = load
        self._labels = None if labels is None else pl.Series("label", labels, dtype=pl.String)
        self._origin = origin
        self.target = "label" if labels is not None else None
        self.places = ("path",)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Binary for pictures and recordings, otherwise String."""
        return {c: pl.Binary() if c == self.kind and self.kind != "text" else pl.String() for c in self.columns}

    def names_of(self, column: str) -> pl.Series:
        """The files' paths."""
        return pl.Series(column, [m.path for m in self._members], dtype=pl.String)

    def digest(self) -> str:
        """A sha256 over the files' paths, sizes and times, which is quick; the bytes are not read for it."""
        state = sha256(self._origin.encode())
        for member in self._members:
            state.update(repr((member.path, member.size, member.stamp)).encode())
        return state.hexdigest()

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        yield from self._chosen(columns, np.arange(start, stop))

    def _chosen(self, wanted: Sequence[str], rows: np.ndarray) -> Iterator[pl.DataFrame]:
        size = _AT_ONCE if self.kind in wanted else max(len(rows), 1)
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(rows), size):
                places = rows[start : start + size]
                some = [self._members[row] for row in places.tolist()]
                series = []
                for column in wanted:
                    if column == "path":
                        series.append(pl.Series(column, [m.path for m in some], dtype=pl.String))
                    elif column == "label":
                        assert self._labels is not None
                        series.append(self._labels[places])
                    else:
                        series.append(self._content(list(pool.map(lambda m: self._load(m.path), some))))
                yield pl.DataFrame(series)

    def _content(self, cells: Sequence[bytes | None]) -> pl.Series:
        if self.kind == "text":
            texts = [None if c is None else as_text(c) for c in cells]
            return pl.Series(self.kind, [t or None for t in texts], dtype=pl.String)
        return pl.Series(self.kind, cells, dtype=pl.Binary)


def as_text(content: bytes) -> str:
    """A text file's words: UTF-8 or UTF-16 by its mark, otherwise Latin-1, as every byte is some letter of that."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, errors="replace").replace("\0", " ").strip(BLANKS)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\0", " ").strip(BLANKS)


def load_file(path: str | Path) -> bytes | None:
    """The bytes of a regular file; None where there is none, or it is too large to be a picture or a recording."""
    try:
        with open(path, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST_FILE:
                return None
            return file.read(LARGEST_FILE)
    except (OSError, ValueError):
        return None


def majority(members: Sequence[Member]) -> str | None:
    """The kind that most of the files with content are of; pictures and recordings go before texts beside them."""
    counts = Counter(m.kind for m in members if m.kind is not None)
    for kind in ("image", "audio", "text"):
        if counts[kind] and (kind != "text" or len(counts) == 1):
            best = max(("image", "audio"), key=lambda k: counts[k])
            return best if counts[best] else "text"
    return None


def part_of(path: str) -> str | None:
    """train, valid or test, by the first folder of a path.

    Example:
        >>> part_of("val/cat/1.png"), part_of("cat/1.png")
        ('valid', None)
    """
    first = path.partition("/")[0].casefold() if "/" in path else ""
    return next((part for part, names in PARTS.items() if first in names), None)


def file_tables(
    name: str,
    members: Sequence[Member],
    load: Callable[[str], bytes | None],
    origin: str,
    what: str,
) -> dict[str, Table]:
    """Files as tables: "train" for all of them, or one for each part where the first folders are named so.

    Args:
        name: what messages call the folder or archive.
        members: all files in it.
        load: path -> bytes.
        origin: identifies the folder or archive and its state.
        what: the option that it was given for.

    Raises:
        DataError: no file is a picture, a recording or a text.
    """
    kind = majority(members)
    if kind is None:
        raise no_files(name, what)
    files = [m for m in members if m.kind == kind]
    others = len(members) - len(files)
    notes = [f"{others:,} other files were passed over"] if others else []
    parts = {part for m in files if (part := part_of(m.path)) is not None}
    divided = "train" in parts and len(parts) > 1 and all(part_of(m.path) for m in files)
    tables: dict[str, Table] = {}
    for part in sorted(parts, key=list(PARTS).index) if divided else ["train"]:
        own = [m for m in files if part_of(m.path) == part] if divided else files
        depth = 1 if divided else 0
        labels = _labels(own, depth)
        said = [f"{len(own):,} files of kind {kind}", *notes]
        if labels is not None:
            said.append(f"a folder for each of {len(set(labels)):,} classes")
        tables[part] = FilesTable(
            f"{name} ({part})" if divided else name, own, kind, load, labels, Repairs(), said, origin
        )
    return tables


def _labels(members: Sequence[Member], depth: int) -> list[str] | None:
    """The class of each file by the folder at that depth; None where some lie in none, or all in one."""
    folders = [m.path.split("/") for m in members]
    if any(len(f) < depth + 2 for f in folders):
        return None
    labels = [f[depth] for f in folders]
    return labels if len(set(labels)) > 1 else None


def no_files(name: str, what: str) -> DataError:
    """The error for a folder or an archive in which nothing can be read."""
    known = ", ".join(f"{kind} (.{', .'.join(sorted(s)[:4])} ...)" for kind, s in SUFFIXES.items())
    return DataError(
        "it holds no tables and no files that limpid reads",
        where=f"{what} {name}",
        expected=f"tables (.csv, .parquet, ...) or files of one kind: {known}",
        fix="name a file, or a folder with such files",
    )


class NamedFiles(Table):
    """A table of which some columns name files: read, they give the files' bytes.

    Args:
        table: with the names.
        bases: column -> folder that its names start from.
    """

    def __init__(self, table: Table, bases: Mapping[str, Path]) -> None:
        notes = [f"column {c} names files, which are read from {b}" for c, b in bases.items()]
        super().__init__(table.name, table.columns, table.rows, table.repairs, [*table.notes, *notes])
        self.unreadable = dict(table.unreadable)
        self.target, self.places = table.target, table.places
        self._table = table
        self._bases = dict(bases)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The table's, with Binary for the files."""
        return {c: pl.Binary() if c in self._bases else t for c, t in self._table.schema.items()}

    def names_of(self, column: str) -> pl.Series:
        """The names as they are written."""
        return self._table.read([column])[column] if column in self._bases else super().names_of(column)

    def digest(self) -> str:
        """The table's digest with the folders."""
        return sha256(
            f"{self._table.digest()} {sorted((c, str(b)) for c, b in self._bases.items())}".encode()
        ).hexdigest()

    def _edges(self) -> np.ndarray:
        return self._table._edges()

    def _pieces(self, columns: Sequence[str], start: int, stop: int) -> Iterator[pl.DataFrame]:
        named = [c for c in columns if c in self._bases]
        for piece in self._table._pieces(columns, start, stop):
            if not named:
                yield piece
                continue
            for low in range(0, piece.height, _AT_ONCE):
                yield piece[low : low + _AT_ONCE].with_columns(
                    self._contents(piece[c][low : low + _AT_ONCE]) for c in named
                )

    def _chosen(self, wanted: Sequence[str], rows: np.ndarray) -> Iterator[pl.DataFrame]:
        # The names are cheap to read and the files are not: only those of wanted rows are opened.
        named = [c for c in wanted if c in self._bases]
        for piece in self._table._chosen(wanted, rows):
            for low in range(0, piece.height, _AT_ONCE):
                part = piece[low : low + _AT_ONCE]
                yield part.with_columns(self._contents(part[c]) for c in named) if named else part

    def _contents(self, names: pl.Series) -> pl.Series:
        base = self._bases[names.name]
        with ThreadPoolExecutor(_READERS) as pool:
            cells = list(pool.map(lambda n: None if n is None else load_file(base / str(n)) or b"", names.to_list()))
        return pl.Series(names.name, cells, dtype=pl.Binary)


def name_columns(table: Table, base: Path) -> dict[str, Path]:
    """Text columns that name pictures or recordings which are there, with the folder that the names start from."""
    texts = [c for c, t in table.schema.items() if t == pl.String]
    if not texts or not table.rows:
        return {}
    few = table.sample(texts, 50)
    found: dict[str, Path] = {}
    for column in texts:
        names = [n for n in few[column].to_list() if n]
        if not names or any(kind_of(n) not in ("image", "audio") for n in names):
            continue
        if any(os.path.isfile(base / n) for n in names):
            found[column] = base
    return found
