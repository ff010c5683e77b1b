"""Which values of a column stand for a missing one: words, impossible numbers and placeholder dates."""

from __future__ import annotations

import numpy as np

WORDS = frozenset(
    {"?", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "null", "(null)", "#null!", "nan", "-nan", "nat", "\\n"}
    | {"missing", "not available", "#value!", "#div/0!", "#ref!", "#name?"}
)
"""Words that stand for a missing value in any column, in lower case."""

WORDS_AMONG_NUMBERS = frozenset(
    {"none", "nil", "-", "--", "---", ".", "..", "...", "*", "x", "_", "unknown", "unk", "void", "tbd"}
)
"""Words that stand for a missing value where the others are numbers or dates; among words they may mean something."""

_LIMITS = frozenset({-(2**63), -(2**31), -(2**15), 2**63, 2**63 - 1, 2**31 - 1, 2**15 - 1})
_PLACEHOLDERS = np.array(
    [
        *(f"{year:04}-01-01" for year in (1, 1753, 1900, 1970, 9999)),
        *(f"{year:04}-12-31" for year in (1899, 2099, 2999, 9999)),
        "1899-12-30",
    ],
    dtype="M8[D]",
)
_IMPOSSIBLE = np.array(["0001-01-01", "9999-01-01", "9999-12-31"], dtype="M8[D]")


def _nines(value: float) -> bool:
    """Whether the number is written in nines alone: -99, 999, -9999.0, or 9999.99."""
    digits = f"{abs(value):.2f}".rstrip("0").rstrip(".")
    return len(digits) >= 2 and set(digits) <= {"9", "."}


def number_codes(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mask of numbers that stand for a missing one.

    A value is taken as a code where it is the smallest or the largest, repeats, and lies far outside the rest: by the
    width of the rest for values written in nines and for limits of integer types (a negative one among numbers that
    are never negative may be nearer), by three times that width for any other value with at least 2 % of the cells.
    A positive 9s value must hold 1 % of the cells, since it is often a ceiling. Zero is never taken.

    Args:
        values: different finite numbers in rising order.
        counts: how often each appears.
    """
    codes = np.zeros(len(values), bool)
    for _ in range(4):
        rest = np.flatnonzero(~codes)
        if len(rest) < 6:
            break
        found = [end for end in (0, -1) if _is_code(values[rest], counts[rest], end, float(counts.sum()))]
        if not found:
            break
        codes[rest[found]] = True
    return codes


def _is_code(values: np.ndarray, counts: np.ndarray, end: int, total: float) -> bool:
    value, count = float(values[end]), float(counts[end])
    rest, others = (values[1:], counts[1:]) if end == 0 else (values[:-1], counts[:-1])
    first, last = float(rest[0]), float(rest[-1])
    width, gap = last - first, abs((first if end == 0 else last) - value)
    share, usual = count / total, float(others.mean())
    if value == 0 or count < 2 or width <= 0:
        return False
    never_negative = value < 0 and rest[0] >= 0
    if _nines(value) or value in _LIMITS:
        if value < 0:
            return never_negative or gap >= width
        return share >= 0.01 and count >= usual and gap >= width
    if len(rest) < 10 or share < 0.02 or count < usual:
        return False
    return gap >= 3 * width or (never_negative and value <= -50 and gap >= 0.5 * width)


def date_codes(micros: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mask of dates that stand for a missing one: 0001-01-01 and 9999-12-31, and repeated placeholders such as
    1900-01-01 or 1970-01-01 that lie further outside the others than half their span, and at least five years.

    Args:
        micros: different dates, microseconds since 1970.
        counts: how often each appears.
    """
    days = micros.astype("M8[us]").astype("M8[D]")
    codes = np.isin(days, _IMPOSSIBLE)
    suspects = np.isin(days, _PLACEHOLDERS) & (micros % 86_400_000_000 == 0) & (counts >= 2) & ~codes
    rest = micros[~suspects & ~codes]
    if len(rest) >= 5:
        low, high = int(rest.min()), int(rest.max())
        far = max((high - low) / 2, 5 * 365.25 * 86_400e6)
        codes |= suspects & ((micros < low - far) | (micros > high + far))
    return codes
