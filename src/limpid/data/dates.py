"""How dates and times are read from text, and which format a column of text is written in.

A format is "iso" (year first, with or without a time), "unix_s", "unix_ms" or "unix_us" (time stamps), or a strptime
format made of %Y %y %m %d %b %B %a %A %H %I %M %S %f %p %z. Month and weekday names are English, short or long, in
any case. A time zone is converted to UTC; the result has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache

import numpy as np
import polars as pl

from limpid.core.errors import RequestError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS = {"unix_s": 1_000_000.0, "unix_ms": 1_000.0, "unix_us": 1.0}  # microseconds in one
_PIECES = {
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "m": "(?P<m>[0-9]{1,2})",
    "d": "(?P<d>[0-9]{1,2})",
    "b": "(?P<b>[A-Za-z]{3})[A-Za-z]{0,6}[.]?",
    "a": "[A-Za-z]{2,9}",
    "H": "(?P<H>[0-9]{1,2})",
    "I": "(?P<I>[0-9]{1,2})",
    "M": "(?P<M>[0-9]{2})",
    "S": "(?P<S>[0-9]{2})",
    "f": "(?P<f>[0-9]{1,9})",
    "p": "(?P<p>[AaPp])[.]?[Mm][.]?",
    "z": "(?P<z>Z|z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})",
}
_PIECES |= {"B": _PIECES["b"], "A": _PIECES["a"]}
_ISO = (
    "(?P<Y>[0-9]{4})[-/.](?P<m>[0-9]{1,2})(?:[-/.](?P<d>[0-9]{1,2})"
    "(?:[Tt ] *(?P<H>[0-9]{1,2})(?::(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?)?"
    " *(?P<z>Z|z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?)?)?"
)
# "%~" is ours: a time that may follow a date, tried on cells that the column's own format does not fit.
_PIECES["~"] = (
    "(?:[Tt ] *(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?"
    "(?: *(?P<p>[AaPp])[.]?[Mm][.]?)?)?"
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y", "%m-%d-%y", "%m.%d.%y")
_NAMED = ("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d-%b-%y", "%d %b %y", "%b %d, %Y", "%b %d %Y", "%Y-%b-%d", "%Y %b %d")
_MONTHLY = ("%b-%Y", "%b %Y", "%b, %Y", "%b/%Y", "%b-%y", "%b %y", "%Y-%b", "%Y %b", "%m/%Y", "%m-%Y")
_WHOLE = (
    "%a, %d %b %Y %H:%M:%S %z",
    "%d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y",
    "%a, %b %d, %Y",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%S%z",
    "%H:%M",
    "%H:%M:%S",
    "%I:%M %p",
)
_LONGEST = 48  # characters
_EPOCH = date(1970, 1, 1).toordinal()
_DIGIT = frozenset("0123456789")
_FEW = 64  # below it, Python's own regular expressions cost less than starting a polars query


def _candidates() -> tuple[str, ...]:
    dated = [base + time for base in (*_DAY_FIRST, *_MONTH_FIRST, *_NAMED) for time in _TIMES]
    return ("iso", *dated, *_MONTHLY, *_WHOLE)


CANDIDATES = _candidates()
"""Formats tried on text, "iso" first."""


@cache
def pattern(format: str) -> str:
    """The regular expression of a format, the same for Python and for polars.

    Args:
        format: "iso" or a strptime format.

    Raises:
        RequestError: for a directive that is not supported.
    """
    if format == "iso":
        return f"^{_ISO}$"
    pieces, seen = [], set()
    # A run of blanks is one piece: " + + +" would try all ways to share out the blanks of a cell.
    for piece in re.findall(r"%.?| +|[^%]", format, flags=re.DOTALL):
        if piece[0] == " ":
            pieces.append(" +")
        elif piece[0] != "%":
            pieces.append(re.escape(piece))
        else:
            name = piece[1:]
            if name not in _PIECES or name in seen:
                raise RequestError(
                    f"the date format {format!r} cannot be used because of {piece!r}",
                    where="the column's option 'format'",
                    expected="'iso', 'unix_s', 'unix_ms', 'unix_us' or a format of "
                    + " ".join(f"%{n}" for n in _PIECES)
                    + ", each at most once",
                    fix="write for example %d/%m/%Y %H:%M",
                )
            # "%Y%m%d" without separators needs full widths, or 2011111 would have two readings.
            seen.add(name)
            pieces.append(_PIECES[name])
    text = "".join(pieces)
    if re.search(r"%[YmdH]%[mdHM]", format):
        text = text.replace("[0-9]{1,2}", "[0-9]{2}")
    return f"^{text}$"


def check_format(format: str) -> str:
    """Return the format if it can be read with, else say why not.

    Raises:
        RequestError: for a directive that is not supported.
    """
    if format and format not in _UNITS:
        pattern(format)
    return format


_DEFAULTS = {"Y": 1970, "y": 70, "m": 1, "b": 1, "d": 1, "H": 0, "I": 12, "M": 0, "S": 0, "f": 0, "p": -1, "z": 0}


def _meaning(name: str, text: str | None) -> int:
    """The number that a captured piece stands for: month 1-12 (0 for no month), microseconds, seconds east of UTC."""
    if text is None:
        return _DEFAULTS[name]
    if name == "b":
        return MONTHS.index(text.lower()) + 1 if text.lower() in MONTHS else 0
    if name == "f":
        return int((text + "000000")[:6])
    if name == "p":
        return int(text in "pP")
    if name == "z":
        if text[0] not in "+-":
            return 0
        digits = text[1:].replace(":", "")
        return (-1 if text[0] == "-" else 1) * (int(digits[:2]) * 3_600 + int(digits[2:]) * 60)
    return int(text)


def _micros(pieces: dict[str, np.ndarray], matched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since 1970 of captured pieces, and which of them are a real date."""
    year, month, day, hour, minute, second, fraction, offset = (
        pieces.get(name, np.int64(_DEFAULTS[name])) for name in "YmdHMSfz"
    )
    if "y" in pieces:
        year = np.where(pieces["y"] < 69, 2000, 1900) + pieces["y"]  # as POSIX has it
    month = pieces.get("b", month)
    hour = pieces.get("I", hour)
    half = pieces.get("p", np.int64(-1))
    hour = np.where(half < 0, hour, np.where((hour >= 1) & (hour <= 12), hour % 12 + 12 * half, 99))
    good = matched & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour <= 23) & (minute <= 59) & (second <= 60)
    months = np.where(good, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + np.where(good, day - 1, 0)
    good &= days.astype("M8[M]") == months
    seconds = days.astype(np.int64) * 86_400 + hour * 3_600 + minute * 60 + second - offset
    return np.where(good, seconds * 1_000_000 + fraction, 0), good


def _exact(found: re.Match[str] | None) -> int | None:
    """What `_micros` does, for one text, where numpy would take longer to start than to work."""
    if found is None:
        return None
    pieces = {n: _meaning(n, t) for n, t in found.groupdict().items()}
    year = pieces.get("Y", 1970)
    if "y" in pieces:
        year = (2000 if pieces["y"] < 69 else 1900) + pieces["y"]
    hour = pieces.get("I", pieces.get("H", 0))
    half = pieces.get("p", -1)
    if half >= 0:
        hour = hour % 12 + 12 * half if 1 <= hour <= 12 else 99
    minute, second = pieces.get("M", 0), pieces.get("S", 0)
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        day = date(year, pieces.get("b", pieces.get("m", 1)), pieces.get("d", 1)).toordinal() - _EPOCH
    except ValueError:
        return None
    seconds = day * 86_400 + hour * 3_600 + minute * 60 + second - pieces.get("z", 0)
    return seconds * 1_000_000 + pieces.get("f", 0)


def _match(texts: pl.Series, format: str) -> tuple[np.ndarray, np.ndarray]:
    """Read texts without nulls with one format: microseconds, and which could be read."""
    expression = pattern(format)
    if len(texts) <= _FEW:
        compiled = _compiled(expression)
        fit = (compiled.match(t) if len(t) <= _LONGEST and t[-1:] != "\n" else None for t in texts.to_list())
        micros = [_exact(f) for f in fit]
        return np.array([m or 0 for m in micros], np.int64), np.array([m is not None for m in micros], bool)
    names = re.findall(r"\?P<(\w)>", expression)
    frame = texts.alias("t").to_frame()
    frame = frame.select(
        matched=(pl.col("t").str.len_chars() <= _LONGEST) & pl.col("t").str.contains(expression),
        groups=pl.col("t").str.extract_groups(expression),
    )
    fields = frame["groups"].struct.unnest()
    return _micros({n: _meanings(n, fields[n]) for n in names}, frame["matched"].to_numpy().astype(bool))


def _meanings(name: str, captured: pl.Series) -> np.ndarray:
    different = captured.unique()
    meanings = pl.Series([_meaning(name, t) for t in different.to_list()], dtype=pl.Int64)
    return captured.replace_strict(different, meanings, return_dtype=pl.Int64).to_numpy()


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _chain(format: str) -> list[str]:
    """Formats to try where `format` does not fit; none of them has another order of day and month."""
    first_month = bool(re.search(r"%m.*%d", format)) and not format.startswith("%Y")
    first_day = bool(re.search(r"%d.*%m", format))
    orders = _MONTH_FIRST if first_month else _DAY_FIRST if first_day else ()
    return ["iso", *(base + "%~" for base in (*orders, *_NAMED)), *_WHOLE[:5]]


def read_dates(texts: pl.Series, format: str) -> tuple[np.ndarray, np.ndarray]:
    """Read distinct texts; cells that the format does not fit are tried with formats of the same order.

    Args:
        texts: strings without nulls.
        format: see the module.

    Returns:
        Microseconds since 1970 (int64), and which texts could be read.
    """
    if format in _UNITS:
        values = texts.cast(pl.Float64, strict=False).to_numpy() * _UNITS[format]
        good = np.isfinite(values) & (np.abs(values) < 2.5e17)
        return np.where(good, values, 0.0).astype(np.int64), good
    format = format or "iso"
    micros, good = _match(texts, format)
    if good.all():
        return micros, good
    # What holds no digit, or is very long, is no date in any format.
    left = np.array([len(t) <= _LONGEST and not _DIGIT.isdisjoint(t) for t in texts.to_list()], bool) & ~good
    for other in _chain(format):
        rows = np.flatnonzero(left)
        if not len(rows):
            break
        found, fits = _match(texts.gather(rows), other)
        micros[rows[fits]], good[rows[fits]], left[rows[fits]] = found[fits], True, False
    return micros, good


def detect_format(texts: Sequence[str]) -> tuple[str, float, bool]:
    """The format that reads most of some texts.

    Day before month and month before day are told apart by the texts that only one of them can read; where every text
    can be read both ways, "/" is taken as month first and "." and "-" as day first, and that is said.

    Args:
        texts: a sample of different texts.

    Returns:
        The format ("" for none), the share of texts that it reads, and whether day and month could be exchanged.
    """
    if not texts:
        return "", 0.0, False
    sample = pl.Series("t", list(texts), dtype=pl.String)
    probe = sample.gather(np.unique(np.linspace(0, len(sample) - 1, 16).astype(np.int64)))
    likely = [f for f in CANDIDATES if _match(probe, f)[1].any()]
    shares = {f: float(_match(sample, f)[1].mean()) for f in likely}
    if not shares:
        return "", 0.0, False
    best = max(shares, key=lambda f: (shares[f], -CANDIDATES.index(f)))
    twin = _twin(best)
    ambiguous = twin is not None and shares.get(twin, 0.0) == shares[best]
    if ambiguous and twin is not None and best.startswith("%d/"):
        best = twin
    return best, shares[best], ambiguous


def _twin(format: str) -> str | None:
    """The same format with day and month exchanged."""
    if not re.match(r"%[dm][-/.]%[dm]", format):
        return None
    return format.translate(str.maketrans("dm", "md"))
