"""How a text table is written: delimiter, quoting, header or none, each decided by evidence from its first rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.sources.base import BLANKS

DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}
"""In the order of trust: a comma also stands in prose and in numbers, a tab seldom does."""

RECORD_LINES = 10_000
_SAMPLE = 300
_NAME_LENGTH = 200
_RETRIES = 1_000
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d[\d.,]*([eE][-+]?\d+)?\s*%?|[-+]?(nan|inf|infinity)", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}(\1\d{1,4})?([T ]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2})?")
_MISSING = {"", "?", "na", "n/a", "nan", "null", "none", "-", "."}


@dataclass(frozen=True)
class Dialect:
    """How cells are told apart.

    Args:
        delimiter: one character, or "" where each line is one cell.
        quote: whether double quotes enclose cells.
        escape: whether a backslash stands before a quote inside a quoted cell.
    """

    delimiter: str
    quote: bool = True
    escape: bool = False


@dataclass(frozen=True)
class Layout:
    """What the first rows say.

    Args:
        dialect: how cells are told apart.
        names: a different name for each column.
        lines: physical lines before the first row of data.
        notes: the evidence, one sentence each.
    """

    dialect: Dialect
    names: tuple[str, ...]
    lines: int
    notes: tuple[str, ...]


class Malformed(Exception):
    """A record whose quotes cannot be read.

    Args:
        what: the problem, as a sentence.
        unclosed: whether a quote is open at the record's end.
    """

    def __init__(self, what: str, *, unclosed: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.unclosed = unclosed


@dataclass(frozen=True)
class Record:
    """One row of the text: its first physical line, how many lines it takes, its text, its cells or the problem."""

    line: int
    lines: int
    text: str
    cells: list[str]
    problem: Malformed | None = None


@cache
def _patterns(dialect: Dialect) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    blank = "[ ]" if dialect.delimiter == "\t" else "[ \t]"
    inner = r'(?:[^"\\]++|\\.|"")*+' if dialect.escape else r'(?:[^"]++|"")*+'
    return (
        re.compile(rf'{blank}*+"'),
        re.compile(rf'{blank}*+"({inner})"{blank}*+\r?', re.DOTALL),
        re.compile(rf'{inner}"', re.DOTALL),
    )


def cells_of(text: str, dialect: Dialect) -> list[str]:
    """The cells of one record.

    Raises:
        Malformed: for a quote that is not closed, or a cell that goes on after its closing quote.

    Example:
        >>> cells_of('1, "a, b",5" pipe', Dialect(","))
        ['1', 'a, b', '5" pipe']
    """
    mark = dialect.delimiter
    if not dialect.quote or '"' not in text:
        return text.split(mark) if mark else [text]
    opening, quoted, _ = _patterns(dialect)
    found: list[str] = []
    at = 0
    while True:
        if opening.match(text, at):
            cell = quoted.match(text, at)
            if cell is None:
                raise Malformed("a quote is opened and never closed", unclosed=True)
            inner = cell[1].replace('""', '"')
            found.append(re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if dialect.escape else inner)
            at = cell.end()
            if at < len(text) and text[at] != mark:
                raise Malformed(f"a cell goes on after its closing quote: {text[cell.start() : at + 10][-40:]!r}")
        else:
            end = text.find(mark, at) if mark else -1
            end = len(text) if end < 0 else end
            found.append(text[at:end])
            at = end
        if at >= len(text):
            return found
        at += 1


def records_of(text: str, dialect: Dialect, line: int, *, last: bool) -> Iterator[Record]:
    """The records of some whole lines, those with a problem included.

    A record that is still open at the end is only given where `last` says that nothing follows.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    closing = _patterns(dialect)[2]
    at = 0
    while at < len(lines):
        end, retries = at + 1, 0
        record = lines[at].removesuffix("\r")
        problem: Malformed | None = None
        cells: list[str] = []
        while True:
            try:
                cells = cells_of(record, dialect)
                problem = None
            except Malformed as error:
                problem = error
            if problem is None or not problem.unclosed:
                break
            # Only the new lines are searched for the end of the cell; the whole is parsed again once it is there.
            while end < len(lines) and end - at < RECORD_LINES and not closing.match(lines[end]):
                end += 1
            retries += 1
            if end >= len(lines) or end - at >= RECORD_LINES or retries > _RETRIES:
                break
            end += 1
            record = "\n".join(lines[at:end]).removesuffix("\r")
        if problem is not None and problem.unclosed:
            if not last and end - at < RECORD_LINES:
                return
            yield Record(line + at, 1, lines[at], [], problem)
            return
        yield Record(line + at, end - at, record, cells, problem)
        at = end


def swallows_rows(text: str, dialect: Dialect, width: int) -> bool:
    """Whether the lines inside a record look like rows of their own, as they do after a stray quote."""
    inner = text.split("\n")[1:-1]
    if width < 2 or len(inner) < 5:
        return False
    return sum(line.count(dialect.delimiter) == width - 1 for line in inner) >= 0.9 * len(inner)


def detect(text: str, name: str, repairs: Repairs, *, complete: bool, header: bool | None = None) -> Layout:
    """Find out how a table is written from the beginning of its text.

    Args:
        text: the beginning, at least one line.
        name: the file's name; its suffix decides where the text leaves a doubt.
        repairs: counts changed column names and skipped lines.
        complete: whether the text is the whole file.
        header: whether the first row holds names, where the user says so.

    Raises:
        DataError: where the quotes of the first row cannot be read.
    """
    skipped = re.match(r'(?:[ \t\r]*\n)*(?:"?sep=(.)"?[ \t\r]*(?:\n|$))?', text)
    assert skipped is not None
    lines = skipped[0].count("\n")
    body = text[skipped.end() :]
    marks = [skipped[1]] if skipped[1] else None
    dialect, share, sample = _dialect(body, name, marks, complete=complete)
    if not sample or sample[0].problem is not None:
        raise DataError(
            (sample[0].problem.what if sample and sample[0].problem else "the first row does not end"),
            where=f"{name}, line {lines + 1}",
            expected="a first row whose quotes are closed",
            fix="correct the line in the file, or export the table anew",
        )
    width = _usual_width(sample)
    sample, preamble = _after_preamble(sample, width)
    if preamble:
        repairs.add(name, "had lines before the table, which were left out", len(preamble), preamble[0].text[:60])
        lines += sum(r.lines for r in preamble)
    rows = [_plain(r.cells) for r in sample]
    notes = [_say(dialect, share, width)]
    named, because = _header(rows, width, name) if header is None else (header, "as asked for")
    notes.append(f"{'the first row holds the names' if named else 'no header'}: {because}")
    if not named:
        return Layout(dialect, tuple(f"column_{k}" for k in range(1, width + 1)), lines, tuple(notes))
    first = rows[0]
    if len(first) == width - 1 and width > 2:
        first = ["", *first]  # tables written with row names leave the corner out
    if len(first) > width and not any(first[width:]):
        first = first[:width]
    return Layout(dialect, unique_names(first, name, repairs), lines + sample[0].lines, tuple(notes))


def unique_names(cells: Sequence[str], where: str, repairs: Repairs) -> tuple[str, ...]:
    """Column names that are there, short, and all different; what had to be changed is counted.

    Example:
        >>> unique_names(["a", "", "a"], "people.csv", Repairs())
        ('a', 'column_2', 'a_2')
    """
    taken = {_tidy_name(c) for c in cells}
    given: set[str] = set()
    names = []
    for number, cell in enumerate(cells, 1):
        name = _tidy_name(cell)
        if not name:
            name = _free(f"column_{number}", taken | given)
            repairs.add(where, "had a column without a name, which got one", 1, name)
        elif name in given:
            name = _free(name, taken | given)
            repairs.add(where, "had two columns of one name, the later one was renamed", 1, name)
        elif name != cell.strip(BLANKS):
            repairs.add(where, "had a column name with line breaks or of great length, which was mended", 1, name)
        given.add(name)
        names.append(name)
    return tuple(names)


def _tidy_name(cell: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f\s]+", " ", cell).strip(BLANKS)[:_NAME_LENGTH]


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    count = 2
    while f"{name}_{count}" in taken:
        count += 1
    return f"{name}_{count}"


def _plain(cells: Sequence[str]) -> list[str]:
    return [c.strip(BLANKS) for c in cells]


def _say(dialect: Dialect, share: float, width: int) -> str:
    if not dialect.delimiter:
        return "one column: no delimiter divides the lines evenly"
    word = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    quoting = "" if dialect.quote else ", quotes are plain characters"
    return f"delimiter {word}: {share:.0%} of the first rows have {width} cells{quoting}"


def _sample(body: str, dialect: Dialect, *, complete: bool) -> list[Record]:
    found = []
    for record in records_of(body, dialect, 0, last=complete):
        found.append(record)
        if len(found) >= _SAMPLE:
            break
    return found


def _dialect(
    body: str, name: str, marks: Sequence[str] | None, *, complete: bool
) -> tuple[Dialect, float, list[Record]]:
    """The delimiter that gives most rows the same number of cells, and the sample read with it."""
    best: tuple[float, Dialect, list[Record]] | None = None
    for mark in marks or DELIMITERS:
        if mark not in body:
            continue
        dialect, sample = _quoting(body, mark, complete=complete)
        filled = [r for r in sample if r.text.strip()]
        widths = Counter(len(r.cells) for r in filled if r.problem is None)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        share = count / len(filled) if width > 1 else 0.0
        if share >= 0.95 and len(filled[0].cells) == width:
            return dialect, share, sample
        first_divided = len(filled[0].cells) > 1 and _says_table(name)
        score = share if share >= 0.5 else 0.1 * first_divided * max(share, 0.1)
        if score > 0 and (best is None or score > best[0]):
            best = (score, dialect, sample)
    if best is not None:
        return best[1], best[0], best[2]
    single = Dialect("", quote=False)
    quoted = Dialect("")
    sample = _sample(body, quoted, complete=complete)
    if sample and all(r.problem is None and r.text.lstrip().startswith('"') for r in sample[1:] or sample):
        return quoted, 1.0, sample
    return single, 1.0, _sample(body, single, complete=complete)


def _quoting(body: str, mark: str, *, complete: bool) -> tuple[Dialect, list[Record]]:
    """Whether quotes enclose cells, are escaped by backslashes, or are plain characters."""
    usual = Dialect(mark)
    sample = _sample(body, usual, complete=complete)
    if '"' not in body or (all(r.problem is None for r in sample) and len(sample) > 1):
        return usual, sample
    for other in (Dialect(mark, escape=True), Dialect(mark, quote=False)):
        if other.escape and '\\"' not in body:
            continue
        if not other.quote and any(len(c) > 1 and c[0] == c[-1] == '"' for c in _all_cells(body, other)):
            continue
        found = _sample(body, other, complete=complete)
        if len(found) > 1 and all(r.problem is None for r in found) and len({len(r.cells) for r in found}) == 1:
            return other, found
    return usual, sample


def _says_table(name: str) -> bool:
    return re.search(r"\.(csv|tsv|tab)(\.(gz|zst))?$", name.lower()) is not None


def _all_cells(body: str, dialect: Dialect) -> Iterator[str]:
    for record in _sample(body, dialect, complete=True):
        yield from _plain(record.cells)


def _usual_width(sample: Sequence[Record]) -> int:
    widths = Counter(len(r.cells) for r in sample if r.problem is None and r.text.strip())
    if not widths:
        return 1
    first = next(len(r.cells) for r in sample if r.problem is None and r.text.strip())
    most = max(widths.values())
    usual = first if widths[first] == most else max(w for w, count in widths.items() if count == most)
    if first > usual:
        filled = next(r for r in sample if r.problem is None and r.text.strip())
        usual = first if any(c.strip() for c in filled.cells[usual:]) else usual
    return usual


def _after_preamble(sample: list[Record], width: int) -> tuple[list[Record], list[Record]]:
    """Cut off title lines: up to 20 records of one filled cell before a table of three columns or more."""
    if width < 3:
        return sample, []
    number = next((k for k, r in enumerate(sample[:20]) if r.problem or sum(map(bool, _plain(r.cells))) > 1), 0)
    if not number or len(sample[number].cells) < width - 1:
        return sample, []
    if any(len(r.cells) > 1 for r in sample[:number]) and any(map(_quantity, _plain(sample[number].cells))):
        return sample, []  # a header of empty names rather than a title
    return sample[number:], sample[:number]


def _header(rows: Sequence[Sequence[str]], width: int, name: str) -> tuple[bool, str]:
    """Whether the first row holds names, and the evidence."""
    if not rows:
        return True, "there are no rows"
    first, body = rows[0], [r for r in rows[1:] if len(r) == width]
    numeric = [c for c in first if _quantity(c)]
    if not body:
        return (False, f"{numeric[0]!r} is a value, no name") if numeric else (True, "the only row holds words")
    if len(first) not in (width, width - 1) and len(first) < width:
        return not numeric, "it has fewer cells than the rows below it"
    corner = max(width - len(first), 0)
    columns = list(zip(*[r[corner:] for r in body], strict=True))
    if numeric:
        if _counts_up(first):
            return True, f"its numbers count up ({', '.join(numeric[:3])}, ...), as names do"
        return False, f"the first row holds {numeric[0]!r}, a value and no name"
    for cell, column in zip(first, columns, strict=False):
        filled = [c for c in column if c.lower() not in _MISSING]
        if cell and len(filled) >= 2 and all(_quantity(c) for c in filled):
            return True, f"{cell!r} stands above numbers or dates"
    if sum(not c for c in first) > max(1, len(first) // 2):
        return False, "most cells of the first row are empty"
    for cell, column in zip(first, columns, strict=False):
        if cell and cell in column:
            return False, f"{cell!r} of the first row comes again below it"
    if len(set(first)) < len(first):
        return False, "cells of the first row repeat"
    longest = max(len(c) for c in first)
    usual = sorted(max(map(len, r)) for r in body)[len(body) // 2]
    if longest > 60 or (longest > 30 and longest > 0.5 * usual) or any(c[-1:] in ".!?;" and " " in c for c in first):
        return False, "the first row reads like a value, not like names"
    if width == 1 and (not re.fullmatch(r"[A-Za-z_][\w .-]*", first[0]) or not _says_table(name)):
        return False, "the first line reads like a value, not like a name"
    return True, f"{first[0]!r} and the others are short, differ, and do not come again"


def _quantity(cell: str) -> bool:
    return len(cell) <= 40 and bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


def _counts_up(first: Sequence[str]) -> bool:
    """Names such as 0, 1, 2 or country, 2010, 2011: whole numbers that rise by one."""
    numbers = [c for c in first if c.isdecimal()]
    words = [c for c in first if not _quantity(c)]
    if len(numbers) + len(words) != len(first) or len(numbers) < (3 if len(words) < 2 else 2):
        return False
    values = [int(n) for n in numbers if len(n) < 10]
    rises = len(values) == len(numbers) and all(b - a == 1 for a, b in pairwise(values))
    return rises and (values[0] in (0, 1) or 1900 <= values[0] <= 2100)
