"""What is counted in a column before anything is decided about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from limpid.core.schema import ColumnFacts, SeriesFacts
from limpid.data.cleaning import (
    BLANKS,
    canonical,
    canonical_text,
    parse_dates,
    parse_numbers,
    plain,
    read_number,
    split_labels,
)
from limpid.data.dates import detect_format
from limpid.data.missing_codes import WORDS, WORDS_AMONG_NUMBERS, date_codes, number_codes
from limpid.data.series import holds_series, read_series, series_facts
from limpid.data.words import WORD

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""Shares at which `ColumnFacts.quantiles` are given."""

_SAMPLE = 2_000  # different values looked at where a share is enough
_CELLS = 256  # whole cells of a binary column that are kept as evidence
_SHOWN = 120  # characters of a value in `top` and `examples`
_STEPS_IN_TEXT = 8  # numbers in a text from which it may be a series
_SEVERAL_NUMBERS = r"^[\s\[(]*(?:[-+0-9.eE?]+|nan|NaN)(?:[\s,;|]+(?:[-+0-9.eE?]+|nan|NaN)){2}"
_STAMP_NAME = re.compile(
    r"(^|[^a-z])(time|date|timestamp|ts|stamp|created|updated|modified|epoch|unix|at|when)([^a-z]|$)"
)
_DATE_START = re.compile(r"[0-9]{1,4}[-/. T:][0-9A-Za-z]|[A-Za-z]{3,9}[.,]?[-/ ,]+[0-9]|[0-9]{1,2}[A-Za-z]{3}")


@dataclass
class _Counted:
    """The different values of a column with their counts, and what has been found of them so far."""

    name: str
    rows: int
    values: pl.Series
    counts: np.ndarray  # int64, beside `values`
    codes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def drop(self, mask: np.ndarray) -> None:
        """Take the values under the mask as missing."""
        for value, count in zip(self.values.filter(pl.Series(mask)).to_list(), self.counts[mask], strict=True):
            text = canonical_text(value) if not isinstance(value, str) else value
            self.codes[text] = self.codes.get(text, 0) + int(count)
        self.values, self.counts = self.values.filter(pl.Series(~mask)), self.counts[~mask]

    @property
    def present(self) -> int:
        return int(self.counts.sum())

    def share(self, mask: np.ndarray) -> float:
        """Share of the present cells whose value is under the mask."""
        return float(self.counts[mask].sum()) / self.present if self.present else 0.0

    def sample(self, size: int = _SAMPLE) -> _Counted:
        """Evenly spaced different values."""
        if len(self.values) <= size:
            return self
        index = np.linspace(0, len(self.values) - 1, size).astype(np.int64)
        return _Counted(self.name, self.rows, self.values.gather(index), self.counts[index])


def column_facts(column: pl.Series, total_rows: int | None = None, classes: pl.Series | None = None) -> ColumnFacts:
    """Count what is needed to say what a column is.

    Args:
        column: its cells, or a sample of them in file order; text may still be untouched text.
        total_rows: rows of the whole table where `column` is a sample.
        classes: of each cell the class of its row, for columns of whole files.

    Example:
        >>> facts = column_facts(pl.Series("age", ["39", "50", "?", "38"]))
        >>> facts.number_share, facts.missing, dict(facts.missing_codes)
        (1.0, 1, {'?': 1})
    """
    column = plain(column)
    stored = _dtype(column.dtype)
    notes = []
    if total_rows is not None and total_rows > len(column):
        notes.append(f"counted in {len(column):,} of {total_rows:,} rows")
    if stored == "binary":
        absent = column.null_count()
        chosen = _whole_cells(column) if column.dtype == pl.Binary else np.array([], dtype=np.int64)
        return ColumnFacts(
            column.name,
            len(column),
            absent,
            {},
            len(column) - absent,
            stored,
            notes=tuple(notes),
            cells=tuple(column.gather(chosen).to_list()),
            classes=() if classes is None else tuple(classes.gather(chosen).cast(pl.String).to_list()),
        )
    if column.dtype == pl.String:
        column = column.str.strip_chars(BLANKS)
    elif column.dtype.is_float():
        column = column.fill_nan(None)
    series = None
    if stored in ("series", "list") and holds_series(column.dtype):
        series = series_facts(read_series(column))
        if stored == "series" or (series is not None and series.ordered):
            return _series_column(column, series, notes)
    counted = _count(column)
    counted.notes += notes
    found: dict[str, Any] = {}
    if stored == "list":
        found = _label_facts(column) | {"series": series}
    elif stored == "date":
        counted.drop(date_codes(counted.values.cast(pl.Datetime("us")).to_physical().to_numpy(), counted.counts))
        in_order = _sorted_share(column.to_physical(), counted)
        found = {"date_share": 1.0 if counted.present else 0.0, "sorted_share": in_order}
    elif stored == "text":
        found = _text_facts(column, counted)
    elif stored != "boolean":
        found = _number_facts(column, counted, counted.values.cast(pl.Float64).to_numpy(), ".")
        found |= _stamp_facts(counted, stored, found)
    return ColumnFacts(
        name=column.name,
        rows=len(column),
        missing=len(column) - counted.present,
        missing_codes=counted.codes,
        distinct=len(counted.values),
        dtype=stored,
        top=_top(counted),
        examples=_examples(column, counted),
        notes=tuple(counted.notes),
        **found,
    )


def _whole_cells(column: pl.Series) -> np.ndarray:
    """Places of some cells that are there, evenly spread."""
    there = np.flatnonzero(column.is_not_null().to_numpy())
    if len(there) > _CELLS:
        there = there[np.linspace(0, len(there) - 1, _CELLS).astype(np.int64)]
    return there


def _dtype(dtype: pl.DataType) -> str:
    for name, test in (
        ("text", dtype == pl.String),
        ("boolean", dtype == pl.Boolean),
        ("integer", dtype.is_integer()),
        ("float", dtype.is_float()),
        ("date", dtype in (pl.Date, pl.Datetime)),
        ("series", dtype == pl.List and dtype.inner.is_nested() and holds_series(dtype)),  # type: ignore[attr-defined]
        ("list", dtype == pl.List and not dtype.inner.is_nested() and dtype.inner != pl.Binary),  # type: ignore[attr-defined]
    ):
        if test:
            return name
    return "binary"


def _count(column: pl.Series) -> _Counted:
    """Different values in a fixed order, so that nothing depends on how polars hashes."""
    cells = canonical(column) if column.dtype == pl.List else column
    table = cells.alias("value").value_counts(name="count").sort("value")
    table = table.filter(pl.col("value").is_not_null())
    values, counts = table["value"], table["count"].to_numpy().astype(np.int64)
    if column.dtype != pl.String:
        return _Counted(column.name, len(column), values, counts)
    filled = (values != "").to_numpy()
    counted = _Counted(column.name, len(column), values.filter(pl.Series(filled)), counts[filled])
    _drop_words(counted, WORDS)
    return counted


def _drop_words(counted: _Counted, words: frozenset[str]) -> None:
    short = counted.values.str.len_bytes() <= 16
    mask = np.asarray((short & counted.values.str.to_lowercase().is_in(list(words))).to_numpy())
    if mask.any() and _letter_codes(counted, mask):
        mask &= (counted.values != "NA").to_numpy()  # Namibia, North America
    if mask.any():
        counted.drop(mask)


def _letter_codes(counted: _Counted, mask: np.ndarray) -> bool:
    """Whether the other values are codes of two capitals, among which NA is one of them."""
    rest = counted.values.filter(pl.Series(~mask))
    return len(rest) >= 5 and bool(rest.str.contains("^[A-Z]{2}$").all())


def _text_facts(column: pl.Series, counted: _Counted) -> dict[str, Any]:
    sample = counted.sample()
    found: dict[str, Any] = {}
    if counted.present:
        weights = sample.counts / sample.counts.sum()
        characters = sample.values.str.len_chars().to_numpy()
        found["mean_characters"] = float((characters * weights).sum())
        beginning = sample.values.str.slice(0, 20_000)
        found["mean_words"] = float((beginning.str.count_matches(r"\S+").to_numpy() * weights).sum())
        words = beginning.str.count_matches(WORD).to_numpy()
        found["character_quantiles"] = _lengths(characters, sample.counts)
        found["word_quantiles"] = _lengths(words, sample.counts)
    decimal, share = _decimal(sample)
    if share >= 0.5:
        numbers = _drop_words_among_numbers(counted, decimal)
        found |= _number_facts(column, counted, numbers, decimal)
    elif share > 0:
        found |= {"number_share": share, "decimal": decimal}
    if found.get("number_share", 0.0) < 0.5 or found.get("integer_share", 0.0) > 0.99:
        found |= _date_facts(column, counted, found)
    if found.get("number_share", 0.0) < 0.5 and found.get("date_share", 0.0) < 0.5:
        series = _text_series(counted)
        found |= {"series": series}
        if series is None or not series.ordered or series.lengths[2] < _STEPS_IN_TEXT:
            found |= _separator_facts(counted)
    return found


def _lengths(values: np.ndarray, counts: np.ndarray) -> tuple[float, ...]:
    """Quantiles of lengths that occur so often."""
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(counts[order])
    at = np.searchsorted(ranks, np.array(QUANTILES) * (ranks[-1] - 1), side="right")
    return tuple(float(v) for v in values[order][at])


def _decimal(sample: _Counted) -> tuple[str, float]:
    """The decimal sign that reads most of the values, and the share that it reads."""
    point = sample.share(~_unread(sample.values, "."))
    if point == 1.0 or not sample.values.str.contains(",", literal=True).any():
        return ".", point
    comma = sample.share(~_unread(sample.values, ","))
    return (",", comma) if comma > point else (".", point)


def _unread(values: pl.Series, decimal: str) -> np.ndarray:
    numbers, bad = parse_numbers(values, decimal)
    return np.asarray(bad | numbers.is_null().to_numpy())


def _drop_words_among_numbers(counted: _Counted, decimal: str) -> np.ndarray:
    """Take words in a column of numbers as missing: the known ones, and few that repeat; return the numbers."""
    _drop_words(counted, WORDS_AMONG_NUMBERS)
    numbers, bad = parse_numbers(counted.values, decimal)
    rest, share = int(bad.sum()), counted.share(bad)
    readable = len(bad) - rest
    digits = counted.values.str.contains("[0-9]").to_numpy()
    if 0 < rest <= 3 and readable > 30 and not (bad & digits).any() and counted.counts[bad].min() >= 2 and share < 0.5:
        counted.drop(bad)
        numbers = numbers.filter(pl.Series(~bad))
    return np.asarray(numbers.to_numpy())


def _number_facts(column: pl.Series, counted: _Counted, numbers: np.ndarray, decimal: str) -> dict[str, Any]:
    """Shares, moments and quantiles of the numbers; `numbers` stands beside the counted values, NaN where unread."""
    finite = np.isfinite(numbers)
    order = np.argsort(numbers[finite], kind="stable")
    sorted_values = numbers[finite][order]
    values, first = np.unique(sorted_values, return_index=True)
    if len(values):
        counts = np.add.reduceat(counted.counts[finite][order], first)
        codes = values[number_codes(values, counts)]
        if len(codes):
            gone = np.isin(numbers, codes)
            counted.drop(gone)
            numbers, finite = numbers[~gone], finite[~gone]
    whole = finite & (np.floor(np.where(finite, numbers, 0.5)) == numbers)
    found: dict[str, Any] = {
        "number_share": counted.share(~np.isnan(numbers)),
        "integer_share": counted.share(whole),
        "decimal": decimal,
    }
    if counted.values.dtype == pl.String and whole.any():
        zeros = counted.values.str.contains("^-?0[0-9]").to_numpy() & whole
        found["leading_zero_share"] = float(counted.counts[zeros].sum() / counted.counts[whole].sum())
    if finite.any():
        found |= _moments(numbers[finite], counted.counts[finite])
        if found["number_share"] >= 0.5:
            found["sorted_share"] = _sorted_share(_in_file_order(column, counted, numbers), counted)
    return found


def _in_file_order(column: pl.Series, counted: _Counted, numbers: np.ndarray) -> pl.Series:
    """The numbers of all cells; codes of missing ones may be among them."""
    if column.dtype != pl.String:
        return column
    cells = column.cast(pl.Float64, strict=False)
    if cells.null_count() <= len(column) - counted.present:
        return cells
    return column.replace_strict(counted.values, pl.Series(numbers), default=None, return_dtype=pl.Float64)


def _moments(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    largest = float(np.abs(values).max()) or 1.0
    scaled = values / largest  # squares of numbers such as 1e300 would be infinite
    mean = float(np.average(scaled, weights=counts))
    spread = float(np.sqrt(np.average((scaled - mean) ** 2, weights=counts)))
    ranks = np.cumsum(counts)
    at = np.searchsorted(ranks, np.array(QUANTILES) * (ranks[-1] - 1), side="right")
    return {
        "minimum": float(values[0]),
        "maximum": float(values[-1]),
        "mean": mean * largest,
        "std": spread * largest,
        "quantiles": tuple(float(v) for v in values[np.minimum(at, len(values) - 1)]),
    }


def _sorted_share(cells: pl.Series, counted: _Counted) -> float:
    """Share of neighbouring cells that do not go down, codes of missing ones left out."""
    values = cells.cast(pl.Float64).drop_nulls().to_numpy()
    if counted.codes:
        codes = [v for v in (read_number(c) for c in counted.codes) if v is not None]
        values = values[~np.isin(values, codes)]
    return float((values[1:] >= values[:-1]).mean()) if len(values) > 1 else 0.0


def _date_facts(column: pl.Series, counted: _Counted, found: dict[str, Any]) -> dict[str, Any]:
    if found.get("number_share", 0.0) >= 0.5:
        return _stamp_facts(counted, "text", found)
    sample = counted.sample(400).values.to_list()
    if sum(bool(_DATE_START.match(t)) for t in sample) < 0.5 * len(sample) or not sample:
        return {}
    dates = [t for t in sample if t.lower() not in WORDS_AMONG_NUMBERS]
    format, share, ambiguous = detect_format(dates)
    if share < 0.5:
        return {}
    _drop_words(counted, WORDS_AMONG_NUMBERS)
    values, bad = parse_dates(counted.values, format)
    codes = ~bad & date_codes(values.to_physical().fill_null(0).to_numpy(), counted.counts)
    counted.drop(codes)
    if ambiguous:
        counted.notes.append(f"day and month could be exchanged in every date; read as {format}")
    cells = parse_dates(column, format)[0].to_physical()
    return {
        "date_share": counted.share(~bad[~codes]),
        "date_format": format,
        "sorted_share": _sorted_share(cells, _Counted("", 0, counted.values, counted.counts)),
    }


def _stamp_facts(counted: _Counted, stored: str, found: dict[str, Any]) -> dict[str, Any]:
    """Dates written as whole numbers: 20110131, and time stamps where the column's name speaks for them."""
    low, high = found.get("minimum"), found.get("maximum")
    if stored == "float" or low is None or high is None or found.get("integer_share") != 1.0 or len(counted.values) < 5:
        return {}
    if low >= 1.9e7 and high < 2.1e7:
        sample = canonical(counted.sample().values)
        share = counted.sample().share(~parse_dates(sample, "%Y%m%d")[1])
        # A quarter of the numbers in that range would be dates by chance.
        return {"date_share": share, "date_format": "%Y%m%d"} if share > 0.99 else {}
    for format, unit in (("unix_s", 1.0), ("unix_ms", 1e3), ("unix_us", 1e6)):
        # 2000-01-01 to 2040-01-01
        if 946_684_800 * unit <= low and high <= 2_208_988_800 * unit and _STAMP_NAME.search(_words(counted.name)):
            return {"date_share": 1.0, "date_format": format}
    return {}


def _words(name: str) -> str:
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _separator_facts(counted: _Counted) -> dict[str, Any]:
    """The separator of a column of label sets: few short labels that recur in many combinations."""
    sample = counted.sample()
    values = sample.values.str.slice(0, 2_000)
    for separator in ("|", ";", ","):
        having = values.str.contains(separator, literal=True).to_numpy()
        if len(values) < 3 or sample.share(having) < 0.2:
            continue
        sets = split_labels(values, separator)
        labels = sets.explode().drop_nulls()
        lengths = sets.list.len().to_numpy()
        different = labels.n_unique()
        recurring = labels.value_counts().filter(pl.col("count") > 1).height
        unequal = float((values.str.count_matches(separator, literal=True).to_numpy() + 1 == lengths).mean())
        varied = len(np.unique(lengths)) > 1
        short = float(labels.str.count_matches(r"\S+").mean() or 0.0) <= 3.0  # type: ignore[arg-type]
        if different < len(values) and recurring >= 0.5 * different and short and varied and unequal > 0.95:
            return {"separator": separator, "labels": different}
    return {}


def _series_column(column: pl.Series, found: SeriesFacts | None, notes: list[str]) -> ColumnFacts:
    """Facts of a column of series; as labels or categories they are not counted, which would take long."""
    return ColumnFacts(
        name=column.name,
        rows=len(column),
        missing=column.null_count(),
        missing_codes={},
        distinct=column.drop_nulls().n_unique(),
        dtype="list",
        examples=tuple(str(v)[:_SHOWN] for v in column.drop_nulls().head(2).to_list()),
        notes=tuple(notes),
        series=found,
    )


def _text_series(counted: _Counted) -> SeriesFacts | None:
    """Facts of text cells that hold several numbers each; None for other text."""
    head = counted.sample(50).values
    if not len(head) or not head.str.contains(_SEVERAL_NUMBERS).all() or read_series(head).bad.any():
        return None
    return series_facts(read_series(counted.values))


def _label_facts(column: pl.Series) -> dict[str, Any]:
    labels = split_labels(column, "").explode().drop_nulls()
    return {"separator": "", "labels": labels.n_unique()}


def _top(counted: _Counted) -> tuple[tuple[str, int], ...]:
    order = np.argsort(-counted.counts, kind="stable")[:20]
    values = _shown(counted.values.gather(order))
    return tuple((v[:_SHOWN], int(c)) for v, c in zip(values, counted.counts[order], strict=True))


def _shown(values: pl.Series) -> list[str]:
    """Values as text, and text as it was written."""
    return (values if values.dtype == pl.String else canonical(values)).to_list()


def _examples(column: pl.Series, counted: _Counted) -> tuple[str, ...]:
    head = _shown(column.drop_nulls().head(200))
    kept = (v for v in dict.fromkeys(head) if v != "" and v not in counted.codes)
    return tuple(v[:_SHOWN] for v, _ in zip(kept, range(5), strict=False))
