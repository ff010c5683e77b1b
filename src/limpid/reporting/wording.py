"""How values are written for people: short, with units, and harmless whatever the data hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

# Control characters break XML and steer terminals; the directional marks of Unicode make text read as what it is not;
# lone surrogates cannot be written as UTF-8.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

# The line separators break JavaScript's strings.
_HARMFUL_HERE = re.compile(_HARMFUL.pattern[:-1] + "\u2028\u2029]")

LOWER_IS_BETTER = frozenset(
    (
        "log_loss brier ece rmse mae mse median_absolute_error median_error pinball smape mape mase quantile_loss wer "
        "loss"
    ).split()
)


def plain(value: object, limit: int = 80) -> str:
    """Any value as one short line: breaks become spaces, harmful characters a visible mark, the middle is cut out.

    Args:
        value: what to show.
        limit: the most characters.

    Example:
        >>> plain("a" * 100, 9)
        'aaaa…aaaa'
    """
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if len(text) > 4 * limit:
        text = text[: 2 * limit] + text[-2 * limit :]
    text = _HARMFUL.sub("\ufffd", " ".join(text.split()))
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def label(value: object, columns: int = 22) -> str:
    """A value as a label of a figure, cut to a width: letters of East Asia and pictures count twice.

    Figures never cut labels themselves: Vega cuts between the two halves of a character, which no SVG can hold.

    Example:
        >>> label("a" * 50, 5), label("\u6771" * 50, 5)
        ('aa…aa', '\u6771…\u6771')
    """
    text = plain(value, columns)
    while sum(2 if east_asian_width(c) in "WF" else 1 for c in text) > columns:
        text = plain(text.replace("…", ""), len(text.replace("…", "")) - 1)
    return text


def harmless(text: str) -> str:
    """The text at its full length, with harmful characters as a visible mark."""
    return _HARMFUL_HERE.sub("\ufffd", text)


def real(value: object) -> float | None:
    """The value as a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def number(value: object, digits: int = 4) -> str:
    """A number with `digits` significant digits and thousands separators; a dash for none.

    Example:
        >>> number(48123.4), number(0.92651), number(0.00001234)
        ('48,123', '0.9265', '1.234e-05')
    """
    x = real(value)
    if x is None:
        return "–"
    if x == 0:
        return "0"
    size = math.floor(math.log10(abs(x)))
    if size >= 15 or size < -4:
        return f"{x:.{digits - 1}e}"
    if x == int(x) and size < 15:
        return f"{int(x):,}"
    return f"{x:,.{max(0, digits - 1 - size)}f}"


def score(value: object) -> str:
    """A metric: four decimals below 10, as `number` above."""
    x = real(value)
    if x is None:
        return "–"
    return f"{x:.4f}" if 0.001 <= abs(x) < 10 else number(x)


def percent(share: object) -> str:
    """A share as a percentage.

    Example:
        >>> percent(0.051), percent(0.00001)
        ('5.1 %', '< 0.1 %')
    """
    x = real(share)
    if x is None:
        return "–"
    if 0 < x < 0.001:
        return "< 0.1 %"
    if 0.999 < x < 1:
        return "> 99.9 %"
    return f"{100 * x:.3g} %"


def duration(seconds: object) -> str:
    """A length of time.

    Example:
        >>> duration(0.5), duration(75), duration(7300)
        ('0.5 s', '1 min 15 s', '2 h 1 min')
    """
    x = real(seconds)
    if x is None:
        return "–"
    if x < 60:
        return f"{x:.3g} s"
    if x < 3600:
        return f"{int(x) // 60} min {int(x) % 60} s"
    return f"{int(x) // 3600} h {int(x) % 3600 // 60} min"


def plural(count: int, noun: str, many: str = "") -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "row"), plural(1200, "row")
        ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def metric_title(name: str) -> str:
    """A metric's name as people say it."""
    titles = {
        "roc_auc": "ROC AUC",
        "average_precision": "average precision",
        "balanced_accuracy": "balanced accuracy",
        "f1": "F1 of the positive class",
        "f1_macro": "F1 (macro)",
        "log_loss": "log loss",
        "brier": "Brier score",
        "ece": "calibration error (ECE)",
        "rmse": "RMSE",
        "mae": "MAE",
        "r2": "R²",
        "smape": "sMAPE",
        "mase": "MASE",
    }
    return titles.get(name, plain(name, 40).replace("_", " "))


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: a run folder may be older, cut short or edited."""
    return value if isinstance(value, Mapping) else {}


def listing(value: object) -> Sequence[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else []


def capped(items: Sequence[Any], limit: int) -> tuple[list[Any], int]:
    """The first `limit` items, and how many more there are."""
    return list(items[:limit]), max(0, len(items) - limit)


def cell(value: object, limit: int = 90) -> str:
    """A target or an answer in a table's cell: numbers in four figures, of lists and labels the first few.

    Example:
        >>> cell([0.5, "yes"]), cell({"a": 2.0})
        ('0.5000, yes', 'a 2')
    """
    if isinstance(value, Mapping):
        return plain(", ".join(f"{plain(k, 20)} {cell(v)}" for k, v in list(value.items())[:5]), limit)
    if isinstance(value, (list, tuple)):
        return plain(", ".join(cell(v) for v in value[:8]), limit)
    return number(value) if real(value) is not None else plain(value, limit)


def turned(record: Mapping[str, Any]) -> str:
    """How far another answer is one: its probability, or the interval beyond which it lies.

    Example:
        >>> turned({"probability": 0.75}), turned({"interval": [1.0, 2.0]})
        ('probability 0.7500', 'beyond the interval from 1 to 2')
    """
    ends = listing(record.get("interval"))
    if len(ends) == 2:
        return f"beyond the interval from {number(ends[0])} to {number(ends[1])}"
    return f"probability {score(record.get('probability'))}"
