"""Columns that name the row and say nothing about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import FieldsShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import Spec
from limpid.data.facts import QUANTILES
from limpid.data.stored import Stored

_KEY_WORDS = frozenset(
    {"id", "ids", "key", "uuid", "guid", "index", "idx", "rownames", "rowname", "row", "rowid", "rownum", "no", "nr"}
    | {"instant", "unnamed", "serial", "record", "identifier", "column0"}
)
_TIME_WORDS = frozenset({"year", "years", "month", "day", "date", "time", "week", "hour", "age", "yr"})
_UNIQUE = 0.999  # distinct share of whole numbers
_UNIQUE_WORD = 0.99  # distinct share of text; a few rows may be copies


class KeySpec(Spec):
    """A key has no settings."""


class Key:
    """An identifier: a different value in (almost) every row, without a meaning of its own."""

    Spec: ClassVar[type[Spec]] = KeySpec
    form: ClassVar[str | None] = None

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim running numbers, unique numbers that are named like keys, unique single words, and raw bytes."""
        if facts.dtype == "binary":
            return Recognition(0.5, "bytes or nested values, which no kind of column here reads")
        if facts.dtype in ("float", "date", "boolean", "list") or facts.date_share >= 0.95 or facts.present < 5:
            return None
        if facts.number_share >= 0.95:
            return _number_key(facts)
        return _text_key(facts)

    @classmethod
    def plan(cls, spec: KeySpec, facts: ColumnFacts, size: Size) -> tuple[KeySpec, Reasons]:
        """Nothing to decide."""
        return spec, {}

    @classmethod
    def fit(cls, spec: KeySpec, column: pl.Series) -> Self:
        """Nothing to learn."""
        return cls()

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """No parts."""
        return {}

    def shape(self) -> FieldsShape:
        """A fields form without features."""
        return FieldsShape()

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    @classmethod
    def from_state(cls, spec: KeySpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: the state holds something.
        """
        Stored(state, where="a key column").done()
        return cls()


def _name_words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+[0-9]*", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))


def _number_key(facts: ColumnFacts) -> Recognition | None:
    low, high = facts.minimum, facts.maximum
    if facts.integer_share < 1 or facts.distinct_share < _UNIQUE or low is None or high is None:
        return None
    if any("." in text or "," in text for text in facts.examples):
        return None  # written as fractions
    span = f"{facts.distinct:,} different whole numbers from {low:.0f} to {high:.0f}"
    words = _name_words(facts.name)
    if words & _KEY_WORDS:
        return Recognition(0.95, f"{span}, none twice, in a column named like a key")
    if words & _TIME_WORDS or facts.missing:
        return None
    # "row, row + 1": sequential in the file, or the same numbers in another order
    if high - low + 1 == facts.present:
        return Recognition(0.95, f"{span}, each exactly once: a running number")
    if facts.sorted_share == 1.0 and facts.present >= 50 and _even(facts):
        return Recognition(0.9, f"{span}, rising evenly from row to row, none twice: a running number with gaps")
    if facts.present >= 1_000 and high - low < 2 * facts.present and _even(facts):
        return Recognition(0.85, f"{span}, spread evenly, none twice: running numbers in another order")
    return None


def _even(facts: ColumnFacts) -> bool:
    """Whether the quantiles lie within 3 % of the line from the smallest to the largest."""
    if not facts.quantiles or facts.minimum is None or facts.maximum is None:
        return False
    width = facts.maximum - facts.minimum
    if width <= 0:  # different whole numbers beyond 2^53 may be one and the same float
        return False
    return all(
        abs((q - facts.minimum) / width - share) <= 0.03 for q, share in zip(facts.quantiles, QUANTILES, strict=True)
    )


def _text_key(facts: ColumnFacts) -> Recognition | None:
    if facts.dtype != "text" or facts.present < 10 or facts.distinct_share < _UNIQUE_WORD or facts.separator:
        return None
    if facts.mean_words > 1.2 and not (_name_words(facts.name) & _KEY_WORDS and facts.mean_words <= 3):
        return None
    if facts.mean_characters > 8 and not all(text.isascii() for text in facts.examples):
        return None  # scripts that write sentences without blanks
    return Recognition(0.95, f"{facts.distinct:,} different words in {facts.present:,} cells: a name for each row")
