"""How cells become values: missing ones, numbers, dates, labels and the one spelling of a category.

Facts, encoders and tasks all read cells through this file, so that they cannot disagree. Everything works on whole
columns; on a few cells (one row to predict) plain Python is used, by the same rules, because it starts faster.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl

from limpid.core.schema import ColumnSpec
from limpid.data.dates import read_dates

BLANKS = " \t\r\n\v\f\u00a0\u2007\u202f\u3000\ufeff\u200b"
"""What is stripped from both ends of a cell."""

LONGEST_CATEGORY = 200
"""Characters; a longer category is cut and ends in a digest of the whole."""

_FEW = 64  # below it, Python costs less than starting a polars query
_LONGEST_NUMBER = 64
_CURRENCY = "$€£¥₹₩₽₺"
_INFINITE = {"inf": math.inf, "infinity": math.inf}


def plain(column: pl.Series) -> pl.Series:
    """The column in one of the few types that limpid works with.

    Enumerations become text, decimals floats, durations seconds, zoned times UTC without a zone, times of day the
    time on 1970-01-01, and a column of nothing but nulls text.
    """
    dtype = column.dtype
    if dtype.is_float() or dtype.is_integer() or dtype in (pl.String, pl.Boolean, pl.Date, pl.List, pl.Binary):
        return column
    if isinstance(dtype, pl.Categorical | pl.Enum) or dtype == pl.Null:
        return column.cast(pl.String)
    if dtype.is_decimal():
        return column.cast(pl.Float64)
    if dtype == pl.Duration:
        return (column.cast(pl.Duration("us")).to_physical() / 1e6).alias(column.name)
    if dtype == pl.Time:
        return (column.to_physical() // 1000).cast(pl.Datetime("us")).alias(column.name)
    if isinstance(dtype, pl.Datetime):
        return column.cast(pl.Datetime("us", dtype.time_zone)).to_physical().cast(pl.Datetime("us"))
    if dtype == pl.Array:
        return column.arr.to_list()
    return column


def clean(column: pl.Series, spec: ColumnSpec) -> pl.Series:
    """The column with its missing cells as null: empty ones, NaN, and the codes of the spec.

    Args:
        column: as it was read.
        spec: what was decided of the column.

    Example:
        >>> clean(pl.Series("age", ["39", " ?", ""]), ColumnSpec(kind="number", missing=("?",))).to_list()
        ['39', None, None]
    """
    column = plain(column)
    if column.dtype == pl.String:
        return _clean_text(column, spec.missing)
    column = _nan_to_null(column)
    if not spec.missing:
        return column
    if column.dtype.is_numeric():
        codes = _as_numbers(spec.missing)
        return _without(column, np.isin(column.cast(pl.Float64).to_numpy(), codes)) if codes else column
    if column.dtype in (pl.Date, pl.Datetime):
        micros, good = read_dates(pl.Series(spec.missing, dtype=pl.String), "iso")
        cells = column.cast(pl.Datetime("us")).to_physical().fill_null(0).to_numpy()
        return _without(column, np.isin(cells, micros[good]))
    if column.dtype == pl.Boolean:
        return _without(column, np.array([canonical_text(v) in spec.missing for v in column.to_list()], bool))
    return column


def _clean_text(column: pl.Series, codes: Sequence[str]) -> pl.Series:
    numbers = _as_numbers(codes)
    if len(column) <= _FEW:
        gone = {"", *codes}
        cells = [None if v is None else v.strip(BLANKS) for v in column.to_list()]
        column = pl.Series(column.name, [None if v in gone else v for v in cells], dtype=pl.String)
    else:
        column = column.str.strip_chars(BLANKS)
        gone_mask = column.is_in(["", *codes]).fill_null(False)
        if gone_mask.any():
            column = _without(column, gone_mask.to_numpy())
    if numbers:  # "-999.0" where the code was seen as "-999"
        column = _without(column, np.isin(column.cast(pl.Float64, strict=False).to_numpy(), numbers))
    return column


def _without(column: pl.Series, mask: np.ndarray) -> pl.Series:
    if not mask.any():
        return column
    return column.zip_with(pl.Series(~mask), pl.Series(column.name, [None] * len(column), dtype=column.dtype))


def _nan_to_null(column: pl.Series) -> pl.Series:
    if not column.dtype.is_float() or not np.isnan(column.to_numpy()).any():
        return column
    return column.fill_nan(None)


def _as_numbers(codes: Sequence[str]) -> list[float]:
    values = (read_number(c) for c in codes)
    return [v for v in values if v is not None and math.isfinite(v)]


def parse_numbers(column: pl.Series, decimal: str = ".") -> tuple[pl.Series, np.ndarray]:
    """Read cells as numbers: thousands separators, percent and currency signs, exponents, accounting brackets.

    The percent sign is dropped ("12 %" is 12). Infinities stay; NaN is null. What is no number at all is null and bad.

    Args:
        column: cleaned cells of any type.
        decimal: "." or ",", which sign begins the fraction.

    Returns:
        The values (Float64, null where missing or bad), and the mask of bad cells.

    Example:
        >>> values, bad = parse_numbers(pl.Series("x", ["1,234.5", "$7", "many", None]))
        >>> values.to_list(), bad.tolist()
        ([1234.5, 7.0, None, None], [False, False, True, False])
    """
    column = plain(column)
    rows = len(column)
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return _nan_to_null(column.cast(pl.Float64)), np.zeros(rows, bool)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * rows, dtype=pl.Float64), ~column.is_null().to_numpy()
    present = ~column.is_null().to_numpy() if column.null_count() else np.ones(rows, bool)
    if decimal == ".":
        cells = column.cast(pl.Float64, strict=False).to_numpy()
        hard = np.isnan(cells) & present
    else:
        cells = np.full(rows, np.nan)
        hard = present
    if not hard.any():
        return _numbers(column.name, cells), np.zeros(rows, bool)
    cells = cells.copy()
    rest = column if hard.all() else column.filter(pl.Series(hard))
    cells[hard] = _read_numbers(rest, decimal)
    bad = np.isnan(cells) & present
    if bad.any():  # a written NaN is missing, not wrong
        bad[bad] = [t.lower().lstrip("+-") != "nan" for t in column.filter(pl.Series(bad)).to_list()]
    return _numbers(column.name, cells), bad


def _numbers(name: str, cells: np.ndarray) -> pl.Series:
    return pl.Series(name, cells, nan_to_null=True, dtype=pl.Float64)


def _read_numbers(texts: pl.Series, decimal: str) -> np.ndarray:
    """`read_number` of every text, NaN for none; the commonest spellings of a long column are read by polars."""
    cells = np.full(len(texts), np.nan)
    if len(texts) > _FEW:
        easy = texts.str.contains(_EASY[decimal]).to_numpy()
        if easy.any():
            digits = texts.filter(pl.Series(easy)).str.replace_all(rf"[{_CURRENCY}% {_GROUP[decimal]}]", "")
            cells[easy] = digits.str.replace(decimal, ".", literal=True).cast(pl.Float64).to_numpy()
        texts = texts.filter(pl.Series(~easy))
    else:
        easy = np.zeros(len(texts), bool)
    cells[~easy] = _mapped(texts, lambda t: _or_nan(read_number(t, decimal)), pl.Float64).to_numpy()
    return cells


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _number_pattern(decimal: str, group: str) -> re.Pattern[str]:
    whole = rf"(?:[1-9][0-9]{{0,2}}(?:[{group}][0-9]{{3}})+|[1-9][0-9]{{0,2}}(?:[ '’][0-9]{{3}})+|[0-9]+)"
    fraction = rf"(?:{re.escape(decimal)}[0-9]*)"
    body = rf"(?P<body>(?:{whole}{fraction}?|{re.escape(decimal)}[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    sign = "(?P<sign>[+-]?)"
    return re.compile(rf"(?:{sign} ?[{_CURRENCY}]? ?(?P<sign2>[+-]?){body} ?[{_CURRENCY}%‰]?)")


_PATTERNS = {".": _number_pattern(".", ","), ",": _number_pattern(",", ".")}
_GROUP = {".": ",", ",": "."}
# A part of what the patterns above read, and what polars reads too once the signs are taken out.
_EASY = {
    d: rf"^[+-]?[{_CURRENCY}]?(?:[1-9][0-9]{{0,2}}(?:[{g}][0-9]{{3}}){{1,8}}|[0-9]{{1,25}})"
    rf"(?:[{d}][0-9]{{0,20}})?[{_CURRENCY}%]?$"
    for d, g in _GROUP.items()
}
_SPELLINGS = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "})


def read_number(text: str, decimal: str = ".") -> float | None:
    """One text as a number, or None.

    Example:
        >>> read_number("(1.234,50 €)", ",")
        -1234.5
    """
    if len(text) > _LONGEST_NUMBER:
        return None
    text = text.translate(_SPELLINGS).strip()
    negative = text[:1] == "(" and text[-1:] == ")"
    if negative:
        text = text[1:-1].strip()
    found = _PATTERNS[decimal].fullmatch(text)
    if found is None:
        word = text.lower().lstrip("+-")
        value = _INFINITE.get(word) if len(text) - len(word) <= 1 else None
        return None if value is None or negative else (-value if text[0] == "-" else value)
    if found["sign"] and found["sign2"]:
        return None
    body = re.sub("[ '’" + ("," if decimal == "." else ".") + "]", "", found["body"]).replace(decimal, ".")
    value = float(body)
    return -value if (found["sign"] or found["sign2"]) == "-" or negative else value


def parse_dates(column: pl.Series, format: str = "iso") -> tuple[pl.Series, np.ndarray]:
    """Read cells as dates.

    A cell that the format does not fit is tried with other formats that cannot contradict its order of day and month.

    Args:
        column: cleaned cells: text, whole numbers (compact dates and time stamps) or typed dates.
        format: see `limpid.data.dates`; typed dates need none.

    Returns:
        The values (Datetime in microseconds, UTC without a zone), and the mask of bad cells.

    Example:
        >>> values, bad = parse_dates(pl.Series("d", ["Mar-2018", "2018-04-01", "soon"]), "%b-%Y")
        >>> [str(v)[:10] for v in values], bad.tolist()
        (['2018-03-01', '2018-04-01', 'None'], [False, False, True])
    """
    column = plain(column)
    rows = len(column)
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")), np.zeros(rows, bool)
    present = ~column.is_null().to_numpy() if column.null_count() else np.ones(rows, bool)
    if not (column.dtype == pl.String or column.dtype.is_numeric()):
        return pl.Series(column.name, [None] * rows, dtype=pl.Datetime("us")), present
    texts = column if column.dtype == pl.String else _mapped(column, canonical_text, pl.String)
    different = _present_texts(texts)
    found, fits = read_dates(different, format)
    if rows <= _FEW:
        answers = iter([int(f) if fit else None for f, fit in zip(found, fits, strict=True)])
        cells = pl.Series([next(answers) if p else None for p in present], dtype=pl.Int64)
    else:
        known = pl.Series(found).zip_with(pl.Series(fits), pl.Series([None] * len(found), dtype=pl.Int64))
        cells = texts.replace_strict(different, known, default=None, return_dtype=pl.Int64)
    bad = np.zeros(rows, bool) if fits.all() else present & cells.is_null().to_numpy()
    return cells.cast(pl.Datetime("us")).alias(column.name), bad


def _present_texts(texts: pl.Series) -> pl.Series:
    texts = texts if len(texts) <= _FEW else texts.unique()
    return texts.drop_nulls() if texts.null_count() else texts


def canonical_text(value: Any) -> str:
    """The one spelling of a category, whatever type it was stored in: 1, 1.0, "1" and "1.0" are alike, and so are
    True, "True" and "true".

    Example:
        >>> canonical_text(1.0), canonical_text("TRUE"), canonical_text("007"), canonical_text(0.5)
        ('1', 'true', '007', '0.5')
    """
    if isinstance(value, str):
        text = value
        if text in ("True", "TRUE", "False", "FALSE"):
            return text.lower()
        if text[-1:] == "0" and _WHOLE_FLOAT.fullmatch(text):
            return text.partition(".")[0]
        if len(text) > LONGEST_CATEGORY:
            return text[:LONGEST_CATEGORY] + "…" + blake2b(text.encode(), digest_size=8).hexdigest()
        return text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, list | tuple):
        return canonical_text("|".join(canonical_text(v) for v in value if v is not None))
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = str(value)
    return canonical_text(text.removesuffix(" 00:00:00"))


_WHOLE_FLOAT = re.compile(r"-?[0-9]+\.0+")


def canonical(column: pl.Series) -> pl.Series:
    """`canonical_text` of every cell; null stays null."""
    column = plain(column)
    if column.dtype == pl.Float32:  # as float64, 0.1 would read 0.10000000149011612
        texts = [None if v is None else canonical_text(float(str(np.float32(v)))) for v in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return _mapped(column, canonical_text, pl.String)


def _mapped(column: pl.Series, change: Callable[[Any], Any], dtype: Any) -> pl.Series:
    """Apply a function to every different value once."""
    if len(column) <= _FEW or column.dtype in (pl.List, pl.Binary):
        cells = [None if v is None else change(v) for v in column.to_list()]
        return pl.Series(column.name, cells, dtype=dtype)
    different = column.unique().drop_nulls()
    answers = pl.Series([change(v) for v in different.to_list()], dtype=dtype)
    return column.replace_strict(different, answers, default=None, return_dtype=dtype)


def split_labels(column: pl.Series, separator: str) -> pl.Series:
    """The labels of each cell as a list of different texts in their order; null stays null.

    Args:
        column: text with labels between separators, or lists.
        separator: the separator; unused for lists.

    Example:
        >>> split_labels(pl.Series("genre", ["drama| comedy", None, ""]), "|").to_list()
        [['drama', 'comedy'], None, []]
    """
    column = plain(column)
    dtype = pl.List(pl.String)
    if len(column) <= _FEW or column.dtype == pl.List:
        cells = [None if v is None else _labels(v, separator) for v in column.to_list()]
        return pl.Series(column.name, cells, dtype=dtype)
    different = column.unique()
    answers = pl.Series([None if v is None else _labels(v, separator) for v in different.to_list()], dtype=dtype)
    index = pl.Series(np.arange(len(different), dtype=np.int64))
    return answers.gather(column.replace_strict(different, index, return_dtype=pl.Int64)).alias(column.name)


def _labels(value: Any, separator: str) -> list[str]:
    if isinstance(value, list):
        pieces = [v for v in value if v is not None]
    else:
        text = value if isinstance(value, str) else canonical_text(value)
        pieces = text.split(separator) if separator else [text]
    texts = (canonical_text(p.strip(BLANKS) if isinstance(p, str) else p) for p in pieces)
    return list(dict.fromkeys(t for t in texts if t))
