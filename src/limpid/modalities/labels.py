"""Columns that hold a set of labels: every frequent label becomes a yes or no."""

from __future__ import annotations

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
from limpid.data.cleaning import LONGEST_CATEGORY, split_labels
from limpid.data.stored import Stored, decided
from limpid.data.vocabulary import learn_vocabulary

_MOST = 1_000  # features that one column may become


class LabelsSpec(Spec):
    """How label sets are read and which labels become features."""

    separator: Auto | Annotated[str, Field(max_length=8)] = Field(
        AUTO, description="what stands between two labels of a cell; empty for columns that hold lists"
    )
    min_count: Auto | Annotated[int, Field(ge=1)] = Field(AUTO, description="training rows that a label needs")
    max_labels: Auto | Annotated[int, Field(ge=1, le=_MOST)] = Field(
        AUTO, description="most labels that become features, the most frequent ones first"
    )


class Labels:
    """A feature of 0 or 1 for each known label, and the count of all others with the flag of a missing cell."""

    Spec: ClassVar[type[Spec]] = LabelsSpec
    form: ClassVar[str | None] = "fields"

    def __init__(self, name: str, separator: str, vocabulary: list[str], can_miss: bool) -> None:
        self.name = name
        self.separator = separator
        self.vocabulary = vocabulary
        self.can_miss = can_miss
        self._features = {label: i for i, label in enumerate(vocabulary)}

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim lists, and text whose pieces recur in many combinations."""
        if facts.present == 0 or facts.labels > 20_000:
            return None
        if facts.dtype == "list" and facts.series is not None and facts.series.ordered:
            return None
        if facts.dtype == "list":
            return Recognition(0.9, f"lists of {facts.labels:,} different labels", {"separator": ""})
        if facts.separator:
            because = f"{facts.labels:,} labels in {facts.distinct:,} combinations, separated by {facts.separator!r}"
            return Recognition(0.86, because, {"separator": facts.separator})
        return None

    @classmethod
    def plan(cls, spec: LabelsSpec, facts: ColumnFacts, size: Size) -> tuple[LabelsSpec, Reasons]:
        """Decide the separator and how many labels become features."""
        changes: dict[str, Any] = {}
        reasons: Reasons = {}
        if spec.separator == AUTO:
            changes["separator"] = facts.separator if facts.dtype != "list" else ""
            reasons["separator"] = "what the cells show"
        if spec.min_count == AUTO:
            changes["min_count"] = int(min(max(size.rows // 2_000, 2), 20))
            reasons["min_count"] = f"1 in 2,000 of {size.rows:,} rows, within 2 to 20"
        if spec.max_labels == AUTO:
            changes["max_labels"] = 64
            reasons["max_labels"] = "each label is a feature; the others are counted together"
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: LabelsSpec, column: pl.Series) -> Self:
        """Count the labels of training rows."""
        assert spec.separator != AUTO and spec.min_count != AUTO and spec.max_labels != AUTO, "fit before plan"
        labels = split_labels(column, spec.separator).explode()
        vocabulary = learn_vocabulary(labels, spec.min_count, spec.max_labels)
        return cls(column.name, spec.separator, vocabulary, column.null_count() > 0)

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`numbers` and `missing`, both (N, labels + 1) float32."""
        width = len(self.vocabulary)
        numbers = np.zeros((len(column), width + 1), np.float32)
        missing = np.zeros_like(numbers)
        if not len(column):
            return {"numbers": numbers, "missing": missing}
        sets = split_labels(column, self.separator)
        missing[:, width] = sets.is_null().to_numpy()
        counts = sets.list.len().fill_null(0).to_numpy()
        labels = sets.filter(pl.Series(counts > 0)).explode().to_list()
        features = np.array([self._features.get(label, width) for label in labels], np.int64)
        # The labels of a cell are different ones, so adding puts a 1 for each known one and counts the others.
        np.add.at(numbers, (np.repeat(np.arange(len(column)), counts), features), 1)
        return {"numbers": numbers, "missing": missing}

    def shape(self) -> FieldsShape:
        """A numeric feature for each label, and one for all others."""
        names = (*(f"{self.name}={label}" for label in self.vocabulary), f"{self.name} (others)")
        return FieldsShape(numbers=names, can_miss=(*[False] * len(self.vocabulary), self.can_miss))

    def state(self) -> dict[str, Any]:
        """Name, separator and labels."""
        return {"name": self.name, "vocabulary": self.vocabulary, "can_miss": self.can_miss}

    @classmethod
    def from_state(cls, spec: LabelsSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, or too long.
        """
        decided(spec, "a labels column")
        stored = Stored(state, where="a labels column")
        assert spec.max_labels != AUTO and spec.separator != AUTO
        vocabulary = stored.texts("vocabulary", limit=spec.max_labels, characters=LONGEST_CATEGORY + 17)
        result = cls(stored.text("name"), spec.separator, vocabulary, stored.flag("can_miss"))
        stored.done()
        return result
