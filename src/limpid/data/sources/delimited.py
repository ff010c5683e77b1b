"""Tables written as text: CSV, TSV and their kin, in bounded memory, every odd row mended and counted or named.

A block of whole records is checked with numpy: are the quotes well placed, has every record as many cells as there are
columns, is it UTF-8? What passes goes to the parser of polars as it is. Records that do not pass are rewritten one by
one, or refused with their line. So the fast parser only sees text on which all parsers agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from limpid.core.errors import DataError, raise_together
from limpid.core.repairs import Repairs
from limpid.data.sources.base import BLANKS, Table, tidy
from limpid.data.sources.dialect import Dialect, Layout, cells_of, detect, records_of, swallows_rows
from limpid.data.sources.store import Room, Sink, key_of, open_stored
from limpid.data.sources.stream import LATIN, NotUtf8, Stream, as_utf8, encoding_of, packing_of, valid

RECORD_BYTES = 32 << 20
COLUMNS = 100_000
_BEGINNING = 1 << 20
_SHOWN = 5
_HOLE = "\0"  # begins the first cell of a row that cannot be read; no cell of a file holds a NUL any more
_NOTHING = "\x1f"  # the unit separator stands in for "no delimiter", since polars wants one


def open_delimited(path: Path, name: str, room: Room, *, header: bool | None = None, lenient: bool = False) -> Table:
    """Read a text table; one that is large is read into the cache folder, once.

    Args:
        path: the file.
        name: what messages call it.
        room: what may stay in memory.
        header: whether the first row holds names, where the user says so.
        lenient: whether a row that cannot be read keeps its place as a row of nulls, with the reason in `unreadable`.

    Raises:
        DataError: naming file and line.
    """
    key = key_of(path, "delimited", header)
    stored = open_stored(name, key)
    if stored is None and lenient:
        key = key_of(path, "delimited", header, "lenient")
        stored = open_stored(name, key)
    if stored is not None:
        return stored
    encoding, plain = None, False
    while True:
        try:
            return _read(path, name, key, room, header, encoding, plain, lenient)
        except NotUtf8:
            encoding = LATIN
        except PlainQuotes:
            plain = True


class PlainQuotes(Exception):
    """Quotes proved to be plain characters after all; read the file again with that."""


def _read(
    path: Path,
    name: str,
    key: str,
    room: Room,
    header: bool | None,
    encoding: str | None,
    plain: bool,
    lenient: bool,
) -> Table:
    repairs = Repairs()
    stream = Stream(path, name)
    blocks = stream.blocks()
    first = _beginning(blocks)
    if not first:
        raise _empty(name, "the file is empty")
    if encoding is None:
        encoding, because = encoding_of(first)
    else:
        because = "a character further down is not UTF-8"
    if not encoding:
        raise DataError(
            f"this does not look like a table: {because}",
            where=name,
            expected="text (CSV, TSV, JSON lines), Parquet, Arrow or SQLite",
            fix="check that this is the right file; export it as CSV or Parquet",
        )
    notes = [] if encoding == "utf-8" else [f"read as {encoding}: {because}"]
    texts = as_utf8(_chain(first, blocks), encoding, name, repairs)
    head = next(texts, b"")
    rest = next(texts, b"")
    if not head.strip():
        raise _empty(name, "the file holds nothing but blanks")
    layout = detect(head.decode("utf-8", "replace"), name, repairs, complete=not rest, header=header)
    if plain:
        layout = replace(layout, dialect=replace(layout.dialect, quote=False))
        notes.append("quotes are plain characters: they enclose no cell, and do not pair up")
    if len(layout.names) > COLUMNS:
        raise DataError(
            f"the first rows have {len(layout.names):,} cells",
            where=name,
            expected=f"at most {COLUMNS:,} columns",
            fix="check the delimiter and the line breaks of the file",
        )
    growth = 4 if packing_of(first[:4]) or stream.path.stat().st_size < len(first) else 1
    with Sink(name, key, room, growth * path.stat().st_size) as sink:
        reader = _Reader(name, layout, repairs, lenient=lenient)
        for block in _chain(_after(head, layout.lines), _chain(rest, texts)):
            for frame in reader.feed(block):
                sink.add(frame)
        for frame in reader.feed(b"", last=True):
            sink.add(frame)
        if not reader.rows:
            raise _empty(name, "the file has a header and no rows")
        unreadable = reader.unreadable
        if len(unreadable) > reader.rows / 2:
            raise _unlike(name, reader.rows, unreadable)
        return sink.finish(repairs, [*notes, *layout.notes], stream.digest(), layout.names, unreadable)


def _beginning(blocks: Iterator[bytes]) -> bytes:
    """The first block, with more where a packing gives it in small pieces."""
    first = b""
    for block in blocks:
        first = first + block if first else block
        if len(first) >= _BEGINNING:
            break
    return first


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _after(block: bytes, lines: int) -> bytes:
    at = 0
    for _ in range(lines):
        at = block.find(b"\n", at) + 1
        if not at:
            return b""
    return block[at:]


def _empty(name: str, what: str) -> DataError:
    return DataError(
        what, where=name, expected="a header and at least one row", fix="check that this is the right file"
    )


def _unlike(name: str, rows: int, unreadable: Mapping[int, str]) -> DataError:
    return DataError(
        f"{len(unreadable):,} of {rows:,} rows cannot be read, the first: {next(iter(unreadable.values()))}",
        where=name,
        expected="a table of which most rows can be read",
        fix="check the delimiter and the quotes of the file, or export the table anew",
    )


@dataclass
class _Marks:
    """Where the records of a block are.

    Args:
        ends: position of the line feed that ends each whole record.
        counts: delimiters in each.
        feeds: positions of all line feeds, where some stand inside quotes; otherwise None.
    """

    ends: np.ndarray
    counts: np.ndarray
    feeds: np.ndarray | None


class _Reader:
    """Turns blocks of text into frames of String columns.

    Args:
        name: the file's name.
        layout: how it is written.
        repairs: counts what was mended.
        lenient: whether a row that cannot be read becomes a row of nulls.
    """

    def __init__(self, name: str, layout: Layout, repairs: Repairs, *, lenient: bool = False) -> None:
        self.rows = 0
        self.unreadable: dict[int, str] = {}
        self._lenient = lenient
        self._reasons: list[str] = []
        self._name = name
        self._dialect = layout.dialect
        self._names = layout.names
        self._width = len(layout.names)
        self._repairs = repairs
        self._line = layout.lines + 1
        self._carry = b""
        self._seen = False  # a character beyond ASCII
        self._blank = 0  # blank lines that may turn out to be the file's end
        self._strip = False
        self._quoted = False  # quotes have stood where they should
        self._problems: list[DataError] = []
        self._bad = 0
        mark = layout.dialect.delimiter or _NOTHING
        self._mark = ord(mark)

    def feed(self, block: bytes, *, last: bool = False) -> Iterator[pl.DataFrame]:
        """The rows that are complete now.

        Raises:
            DataError: for rows that cannot be mended, with their lines.
        """
        data = self._carry + block if self._carry else block
        self._carry = b""
        if last and data and not data.endswith(b"\n"):
            data += b"\n"
        if not data:
            return
        marks = None if self._dialect.escape else self._marks(data, last=last)
        if marks is None:
            text, rows, used = self._carefully(data, last=last)
        else:
            used = int(marks.ends[-1]) + 1 if len(marks.ends) else 0
            text, rows = self._mended(data[:used], marks) if used else (b"", 0)
        if self._problems or len(self._reasons) > len(self.unreadable):
            self._check_quotes(data)
        if self._problems:
            self._raise_problems()
        self._quoted = self._quoted or (self._dialect.quote and b'"' in data[:used])
        self._carry = data[used:]
        if len(self._carry) > RECORD_BYTES or (last and self._carry):
            raise self._endless()
        self._line += data.count(b"\n", 0, used)
        if rows:
            frame = self._parse(text, rows)
            self.rows += rows
            yield frame

    def _marks(self, data: bytes, *, last: bool) -> _Marks | None:
        """Find records and count their cells; None where the quotes need a careful look."""
        letters = np.frombuffer(data, dtype=np.uint8)
        feeds = letters == 10
        marks = letters == self._mark
        everywhere = None
        if self._dialect.quote and b'"' in data:
            quotes = np.flatnonzero(letters == 34)
            if not self._well_quoted(letters, quotes, last=last):
                return None
            stretches = np.diff(quotes, prepend=0, append=len(letters))
            inside = np.repeat(np.arange(len(stretches)) % 2 == 1, stretches)
            if (feeds & inside).any():
                everywhere = np.flatnonzero(feeds)
            feeds = feeds & ~inside
            marks = marks & ~inside
        ends = np.flatnonzero(feeds)
        if not len(ends):
            return _Marks(ends, ends, everywhere)
        counts = np.diff(np.searchsorted(np.flatnonzero(marks), ends), prepend=0)
        return _Marks(ends, counts, everywhere)

    def _well_quoted(self, letters: np.ndarray, quotes: np.ndarray, *, last: bool) -> bool:
        """Whether every quote opens a cell, closes one, or is one of a pair inside."""
        opening, closing = quotes[::2], quotes[1::2]
        if last and len(opening) != len(closing):
            return False
        before = letters[np.maximum(opening - 1, 0)]
        fine = (before == self._mark) | (before == 10) | (before == 34) | (opening == 0)
        after = letters[np.minimum(closing + 1, len(letters) - 1)]
        further = letters[np.minimum(closing + 2, len(letters) - 1)]
        ended = (after == self._mark) | (after == 10) | (after == 34) | (after == 13) & (further == 10)
        return bool(fine.all() and (ended | (closing + 1 >= len(letters))).all())

    def _mended(self, data: bytes, marks: _Marks) -> tuple[bytes, int]:
        """Whole records as the fast parser wants them, and how many there are."""
        checked, self._seen = valid(data, self._seen, self._name, self._repairs)
        if checked is not data:
            again = self._marks(checked, last=True)
            assert again is not None, "replacing broken characters moved a quote"
            data, marks = checked, again
        starts = np.concatenate([[0], marks.ends[:-1] + 1])
        lines = np.arange(len(starts)) if marks.feeds is None else np.searchsorted(marks.feeds, starts)
        if marks.feeds is not None:
            self._look_for_rows(data, starts, marks.ends, lines)
        odd = marks.counts != self._width - 1
        if self._width == 1:
            odd |= marks.ends - starts <= 1
        out = _Output(self, len(starts) - int(odd.sum()))
        done = 0
        for k in np.flatnonzero(odd).tolist():
            start, end = int(starts[k]), int(marks.ends[k])
            if start > done:
                out.keep(data[done:start])
            done = end + 1
            text = data[start:end].decode().removesuffix("\r")
            out.mend(text, cells_of(text, self._dialect), self._line + int(lines[k]))
        if not done and not self._blank:
            return data, len(starts)
        if done < len(data):
            out.keep(data[done:])
        return b"".join(out.pieces), out.rows

    def _carefully(self, data: bytes, *, last: bool) -> tuple[bytes, int, int]:
        """The same, record by record, and how many bytes were used."""
        whole = data[: data.rfind(b"\n") + 1]
        checked, self._seen = valid(whole, self._seen, self._name, self._repairs)
        out = _Output(self, 0)
        feeds = 0
        for record in records_of(checked.decode(), self._dialect, self._line, last=last):
            feeds += record.lines
            if record.problem is not None:
                own = record.lines == 1 and not record.problem.unclosed
                expected = 'quotes inside a quoted cell written twice ("")'
                out.add(self.problem(record.line, record.problem.what, expected, own=own))
            elif swallows_rows(record.text, self._dialect, self._width):
                self._swallowed(record.line, record.lines)
            else:
                out.mend(None, record.cells, record.line)
        if not feeds:
            return b"", 0, 0
        ends = np.flatnonzero(np.frombuffer(whole, dtype=np.uint8) == 10)
        return b"".join(out.pieces), out.rows, int(ends[feeds - 1]) + 1

    def _look_for_rows(self, data: bytes, starts: np.ndarray, ends: np.ndarray, lines: np.ndarray) -> None:
        for k in np.flatnonzero(np.diff(lines) > 5).tolist():
            text = data[starts[k] : ends[k]].decode()
            if swallows_rows(text, self._dialect, self._width):
                self._swallowed(self._line + int(lines[k]), int(lines[k + 1] - lines[k]))

    def _swallowed(self, line: int, count: int) -> None:
        what = f"a quote makes one cell of {count} lines that look like rows"
        self.problem(line, what, "a quote that is closed in its own row")

    def problem(self, line: int, what: str, expected: str, *, own: bool = False) -> bytes | None:
        """Remember a row that cannot be mended; a lenient reader puts the row that is given back in its place.

        Args:
            line: its first line.
            what, expected: for the message.
            own: whether it is known where the row ends.
        """
        if own and self._lenient:
            self._reasons.append(f"line {line:,}: {what}")
            return f"{_HOLE}{len(self._reasons) - 1}{chr(self._mark) * (self._width - 1)}\n".encode()
        self._bad += 1
        if len(self._problems) < _SHOWN:
            self._problems.append(
                DataError(
                    what,
                    where=f"{self._name}, line {line:,}",
                    expected=expected,
                    fix="correct the line in the file, or export the table anew (Parquet has no such doubts)",
                )
            )
        return None

    def _check_quotes(self, data: bytes) -> None:
        """Are the quotes of this text the reason for its problems, since they are plain characters?"""
        mark = re.escape(chr(self._mark))
        enclosed = re.compile(rf'(?:^|{mark})"[^"\n{mark}]*"(?:{mark}|\r?$)'.encode(), re.MULTILINE)
        if self._dialect.quote and not self._quoted and b'"' in data and not enclosed.search(data):
            raise PlainQuotes

    def _raise_problems(self) -> None:
        if self._bad > len(self._problems):
            more = f"and {self._bad - len(self._problems):,} more rows of the same stretch"
            self._problems.append(DataError(more, where=self._name, expected="as above", fix="correct these too"))
        raise_together(self._problems)

    def _endless(self) -> DataError:
        open_quote = self._dialect.quote and b'"' in self._carry
        what = "a quote is opened and not closed" if open_quote else "the line does not end"
        return DataError(
            f"{what} within {RECORD_BYTES >> 20} MB",
            where=f"{self._name}, line {self._line:,}",
            expected=f"rows of at most {RECORD_BYTES >> 20} MB",
            fix="correct the line in the file; where quotes are plain characters, write them twice inside quotes",
        )

    def settle_blanks(self) -> bytes:
        """Blank lines were followed by rows: in a single column they are missing values, elsewhere left out."""
        count, self._blank = self._blank, 0
        if self._width == 1:
            return b"\n" * count
        self._repairs.add(self._name, "had blank lines between rows, which were left out", count)
        return b""

    def row(self, text: str | None, cells: list[str], line: int) -> bytes | None:
        """One record with as many cells as there are columns, or None for a blank line or a problem.

        Args:
            text: the record where it may be kept as it is but for missing cells.
            cells: its cells.
            line: its first line.
        """
        if len(cells) == 1 and not cells[0].strip(BLANKS):
            self._blank += 1
            return None
        short = self._width - len(cells)
        if short > 0:
            example = f"line {line}: {len(cells)} of {self._width}"
            self._repairs.add(self._name, "had rows with too few cells, filled with missing values", 1, example)
        elif short < 0:
            if any(c.strip(BLANKS) for c in cells[self._width :]):
                what = f"the row has {len(cells)} cells, the table {self._width} columns"
                expected = f"{self._width} cells, with the delimiter only inside quotes otherwise"
                return self.problem(line, what, expected, own=True)
            example = f"line {line}: {len(cells)} of {self._width}"
            self._repairs.add(self._name, "had rows with surplus empty cells, which were left out", 1, example)
        mark = chr(self._mark)
        if text is not None and short >= 0:
            return (text + mark * short + "\n").encode()
        full = cells[: self._width] + [""] * short
        if self._dialect.quote:
            full = [_quoted(c, mark) for c in full]
        return (mark.join(full) + "\n").encode()

    def _parse(self, text: bytes, rows: int) -> pl.DataFrame:
        mark, quote = chr(self._mark), '"' if self._dialect.quote else None
        if mark == _NOTHING and _NOTHING.encode() in text:
            self._repairs.add(self._name, "held control characters, which were left out", text.count(b"\x1f"))
            text = text.replace(b"\x1f", b"")
        schema = dict.fromkeys(self._names, pl.String)
        try:
            frame = pl.read_csv(
                text, has_header=False, separator=mark, quote_char=quote, schema=schema, raise_if_empty=False
            )
        except pl.exceptions.PolarsError:
            frame = pl.DataFrame(schema=schema)
        if frame.height != rows:  # no text is known for which the parsers differ; here they would
            dialect = Dialect(mark, quote=quote is not None)
            cells = [r.cells for r in records_of(text.decode(), dialect, 0, last=True)]
            frame = pl.DataFrame(list(zip(*cells, strict=True)), schema=schema, orient="col")
            assert frame.height == rows, "two readings of one text differ"
        if _HOLE.encode() in text:
            frame = self._without_holes(frame)
        self._strip = self._strip or self._has_blanks(text, rows)
        return tidy(frame, strip=self._strip) if self._strip or b'""' in text else frame

    def _without_holes(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that could not be read as rows of nulls, their reasons noted by row number."""
        first = frame.to_series(0)
        hole = first.str.starts_with(_HOLE).fill_null(False)
        for row in np.flatnonzero(hole.to_numpy()).tolist():
            self.unreadable[self.rows + row] = self._reasons[int(first[row][1:])]
        return frame.with_columns(pl.when(~hole).then(first).alias(first.name))

    def _has_blanks(self, text: bytes, rows: int) -> bool:
        """Whether a cell may begin or end with a blank."""
        if text.count(b"\n") != rows:
            return True
        if not text.isascii() and (b"\xc2\xa0" in text or b"\xef\xbb\xbf" in text):
            return True
        if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
            return True
        if self._mark == 9 and b'"' in text:
            return True  # a tab inside of quotes is a blank, and looks like the mark between cells
        letters = np.frombuffer(text, dtype=np.uint8)
        blank = (letters == 32) | (letters == 11) | (letters == 12)
        if self._mark != 9:
            blank |= letters == 9
        border = (letters == self._mark) | (letters == 10) | (letters == 34) | (letters == 13)
        return bool(blank[0] or (blank[1:] & border[:-1]).any() or (blank[:-1] & border[1:]).any())


class _Output:
    """The records of a block on their way to the parser."""

    def __init__(self, reader: _Reader, rows: int) -> None:
        self.pieces: list[bytes] = []
        self.rows = rows
        self._reader = reader

    def keep(self, text: bytes) -> None:
        """Pass whole records on as they are; the caller has counted them."""
        late = self._reader.settle_blanks()
        self.rows += len(late)
        self.pieces += [late, text]

    def mend(self, text: str | None, cells: list[str], line: int) -> None:
        """Pass one record on after mending."""
        self.add(self._reader.row(text, cells, line))

    def add(self, row: bytes | None) -> None:
        """Pass one row on, where there is one."""
        if row is not None:
            self.keep(row)
            self.rows += 1


def _quoted(cell: str, mark: str) -> str:
    if mark in cell or '"' in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell
