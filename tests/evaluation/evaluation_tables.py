"""Small encoded tables with a task, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from limpid.core.forms import FieldsShape
from limpid.data.encoded import Encoded
from limpid.data.facts import column_facts
from limpid.tasks import CATALOGUE


@dataclass(frozen=True)
class Table:
    """Encoded parts of a table, its task and its shape."""

    task: Any
    shape: FieldsShape
    train: Encoded
    valid: Encoded
    test: Encoded


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two numbers (one often missing), their flags, and two categories."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 2)).astype(np.float32)
    missing = np.zeros((rows, 2), dtype=np.uint8)
    missing[:, 1] = random.random(rows) < 0.2
    numbers[missing > 0] = 0
    return numbers, missing, random.integers(2, 6, size=(rows, 2)).astype(np.int32)


def build(
    target: Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], dict[str, Any]],
    *,
    task: str = "classification",
    kind: str = "category",
    rows: int = 1500,
    weighted: bool = False,
    **settings: Any,
) -> Table:
    """A table whose target follows from its columns."""
    random = np.random.default_rng(9)
    numbers, missing, categories = draw(rows, 1)
    frame = pl.DataFrame(target(numbers, missing, categories, random))
    maker = CATALOGUE.load(task, where="test")
    facts = [column_facts(c) for c in frame.get_columns()]
    spec, _ = maker.plan(maker.Spec(**settings), facts, [kind] * frame.width, rows)
    fitted = maker.fit(spec, frame[: rows // 2], None)
    arrays = {"fields.numbers": numbers, "fields.missing": missing, "fields.categories": categories}
    weight = random.choice([0.5, 1.0, 2.0], rows).astype(np.float32) if weighted else None
    whole = Encoded(arrays, np.arange(rows), fitted.encode(frame), weight)
    shape = FieldsShape(
        numbers=("age", "pay"), can_miss=(False, True), categories=("town", "job"), cardinalities=(6, 6)
    )
    half, quarter = rows // 2, rows // 4
    return Table(
        fitted,
        shape,
        whole.take(slice(0, half)),
        whole.take(slice(half, half + quarter)),
        whole.take(slice(half + quarter, rows)),
    )
