"""Columns that hold one of several values: every frequent value gets a code, the others share one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import FieldsShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.cleaning import LONGEST_CATEGORY, canonical, canonical_text, plain
from limpid.data.stored import Stored, decided
from limpid.data.vocabulary import LARGEST, MISSING, OTHER, codes_of, learn_vocabulary

_CODE_WORDS = frozenset({"id", "zip", "zipcode", "postal", "postcode", "plz", "code", "sku", "fips", "phone"})
_FEW = 256
_MANY = 10_000  # most values that the plan gives a code of their own


class CategorySpec(Spec):
    """How categories get their codes."""

    min_count: Auto | Annotated[int, Field(ge=1)] = Field(
        AUTO, description="training rows that a value needs for a code of its own; rarer ones share one"
    )
    max_categories: Auto | Annotated[int, Field(ge=1, le=LARGEST)] = Field(
        AUTO, description="most values with a code of their own, the most frequent ones first"
    )


class Category:
    """Codes: 0 missing, 1 unseen or rare, then the known values by their frequency.

    Values of any type are compared by one spelling, so that 1, 1.0 and "1" are the same category.
    """

    Spec: ClassVar[type[Spec]] = CategorySpec
    form: ClassVar[str | None] = "fields"

    def __init__(self, name: str, vocabulary: list[str]) -> None:
        self.name = name
        self.vocabulary = vocabulary
        self._codes = codes_of(vocabulary)

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim truth values, codes written in digits, and words that recur."""
        if facts.present == 0 or facts.dtype in ("list", "binary", "date") or facts.date_share >= 0.95:
            return None
        if facts.dtype == "boolean":
            return Recognition(0.9, "true or false")
        if facts.distinct == 1:
            return Recognition(0.85, f"one value in {facts.present:,} cells and {facts.missing:,} missing ones")
        if facts.number_share == 1.0:
            return _digits(facts)
        if facts.distinct <= 50 and facts.distinct_share <= 0.5:
            return Recognition(0.85, f"{facts.distinct} different values in {facts.present:,} cells")
        if facts.number_share < 0.95 and facts.distinct_share <= 0.2 and facts.mean_words <= 4 and not facts.separator:
            return Recognition(
                0.7, f"{facts.distinct:,} different values of {facts.mean_words:.1f} words in {facts.present:,} cells"
            )
        return None

    @classmethod
    def plan(cls, spec: CategorySpec, facts: ColumnFacts, size: Size) -> tuple[CategorySpec, Reasons]:
        """Decide from how many rows on a value is learnt by itself."""
        changes: dict[str, int] = {}
        reasons: Reasons = {}
        if spec.min_count == AUTO:
            changes["min_count"] = int(min(max(size.rows // 5_000, 2), 20))
            reasons["min_count"] = (
                f"1 in 5,000 of {size.rows:,} rows, within 2 to 20; fewer rows teach nothing of a value"
            )
        if spec.max_categories == AUTO:
            changes["max_categories"] = _MANY
            reasons["max_categories"] = f"a bound for size; the column has {facts.distinct:,} values"
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: CategorySpec, column: pl.Series) -> Self:
        """Count the values of training rows."""
        assert spec.min_count != AUTO and spec.max_categories != AUTO, "fit before plan"
        return cls(column.name, learn_vocabulary(canonical(column), spec.min_count, spec.max_categories))

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`categories` (N,1) int64."""
        column = plain(column)
        if column.dtype == pl.Float32:
            column = canonical(column)
        if len(column) <= _FEW or column.dtype in (pl.List, pl.Binary):
            codes = np.array([self._code(v) for v in column.to_list()], np.int64)
        else:
            different = column.unique().drop_nulls()
            answers = pl.Series([self._code(v) for v in different.to_list()], dtype=pl.Int64)
            codes = column.replace_strict(different, answers, default=MISSING, return_dtype=pl.Int64).to_numpy()
        return {"categories": codes.reshape(-1, 1)}

    def _code(self, value: Any) -> int:
        return MISSING if value is None else self._codes.get(canonical_text(value), OTHER)

    def decode(self, codes: np.ndarray) -> list[str | None]:
        """The values of codes: null for a missing one, "(other)" for an unseen or rare one."""
        table = [None, "(other)", *self.vocabulary]
        return [table[c] for c in codes.reshape(-1).tolist()]

    def value_of(self, code: int) -> str:
        """What a code stands for, for people."""
        return "(missing)" if code == MISSING else str(self.decode(np.array([code]))[0])

    def shape(self) -> FieldsShape:
        """One categorical feature."""
        return FieldsShape(categories=(self.name,), cardinalities=(len(self.vocabulary) + 2,))

    def state(self) -> dict[str, Any]:
        """Name and vocabulary."""
        return {"name": self.name, "vocabulary": self.vocabulary}

    @classmethod
    def from_state(cls, spec: CategorySpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, or too long.
        """
        decided(spec, "a category column")
        stored = Stored(state, where="a category column")
        assert spec.max_categories != AUTO
        vocabulary = stored.texts("vocabulary", limit=spec.max_categories, characters=LONGEST_CATEGORY + 17)
        result = cls(stored.text("name"), vocabulary)
        stored.done()
        return result


def _digits(facts: ColumnFacts) -> Recognition | None:
    """Numbers that are codes: with needless zeros, of two neighbouring values, or named like codes."""
    if facts.integer_share < 1 or facts.minimum is None or facts.maximum is None:
        return None
    if facts.leading_zero_share >= 0.005:
        return Recognition(
            0.9, f"{facts.distinct:,} codes of digits, {facts.leading_zero_share:.1%} of them beginning with a zero"
        )
    if facts.distinct == 2 and (facts.maximum - facts.minimum == 1 or (facts.minimum, facts.maximum) == (-1, 1)):
        return Recognition(0.85, f"two values, {facts.minimum:.0f} and {facts.maximum:.0f}")
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", facts.name).lower()))
    if words & _CODE_WORDS and facts.minimum >= 0 and facts.distinct_share <= 0.5:
        return Recognition(0.85, f"{facts.distinct:,} whole numbers that recur, in a column named like a code")
    return None
