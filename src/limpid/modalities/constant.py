"""Columns that say nothing because every row holds the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import FieldsShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import Spec
from limpid.data.stored import Stored


class ConstantSpec(Spec):
    """A constant has no settings."""


class Constant:
    """A column that is left out because it is empty or the same everywhere."""

    Spec: ClassVar[type[Spec]] = ConstantSpec
    form: ClassVar[str | None] = None

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim a column without a value, or with one value and no missing cell."""
        if facts.present == 0:
            return Recognition(1.0, f"all {facts.rows:,} cells are missing")
        if facts.distinct == 1 and facts.missing == 0:
            return Recognition(1.0, f"all {facts.rows:,} cells hold {_shown(facts)}")
        return None

    @classmethod
    def plan(cls, spec: ConstantSpec, facts: ColumnFacts, size: Size) -> tuple[ConstantSpec, Reasons]:
        """Nothing to decide."""
        return spec, {}

    @classmethod
    def fit(cls, spec: ConstantSpec, column: pl.Series) -> Self:
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
    def from_state(cls, spec: ConstantSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: the state holds something.
        """
        Stored(state, where="a constant column").done()
        return cls()


def _shown(facts: ColumnFacts) -> str:
    return repr(facts.top[0][0]) if facts.top else "the same"
