"""What is wanted: the target columns, the task they ask for, and the rows that can be learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from limpid.core.errors import DataError, RequestError
from limpid.core.names import unknown_column
from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.tasks import CATALOGUE

_LIKELY_NAMES = ("target", "label", "class", "y", "outcome", "price", "value", "churn", "species", "result", "survived")
_MOST_CLASSES = 20
_SIZES = (1e-30, 1e30)
_SINGLE = 2.0**-24


def split_names(target: str | Sequence[str] | None) -> list[str]:
    """Target names from `--target a,b` or a list.

    Raises:
        RequestError: they are no names.

    Example:
        >>> split_names("a, b")
        ['a', 'b']
    """
    if target is None:
        return []
    if not isinstance(target, str) and not (isinstance(target, Sequence) and all(isinstance(t, str) for t in target)):
        raise RequestError(
            f"{target!r} is no column name",
            where="--target",
            expected="the name of a column, or a list of names",
            fix="write the name as text; an array's columns are called column_1, column_2, ...",
        )
    given = [target] if isinstance(target, str) else list(target)
    return list(dict.fromkeys(part.strip() for name in given for part in str(name).split(",") if part.strip()))


def resolve_names(target: str | Sequence[str] | None, columns: Sequence[str]) -> list[str]:
    """Target names that exist; a column whose name holds a comma is found too.

    Raises:
        RequestError: a name is not a column.
    """
    if isinstance(target, str) and target in columns:
        return [target]
    names = split_names(target)
    if target is not None and not isinstance(target, str) and all(t in columns for t in target):
        return list(dict.fromkeys(target))
    for name in names:
        if name not in columns:
            raise unknown_column(name, columns, where="--target")
    return names


def likely_targets(facts: Mapping[str, ColumnFacts], kinds: Mapping[str, str]) -> list[str]:
    """Columns that look like something to predict, likeliest first, at most five."""

    def score(name: str) -> float:
        fact, kind = facts[name], kinds[name]
        if kind in ("key", "constant", "text", "date"):
            return -1.0
        points = 2.0 * any(word in name.casefold() for word in _LIKELY_NAMES)
        points += 1.0 * (name == list(facts)[-1]) + 0.3 * (name == next(iter(facts)))
        points += 0.5 * (kind == "category" and fact.distinct == 2) + 0.3 * (fact.missing == 0)
        return points

    ranked = sorted((n for n in facts if score(n) >= 0), key=score, reverse=True)
    return ranked[:5]


def no_target(source: str, facts: Mapping[str, ColumnFacts], kinds: Mapping[str, str]) -> RequestError:
    """The error for a table without a named target."""
    likely = likely_targets(facts, kinds)
    shown = ", ".join(f"{name} ({kinds[name]})" for name in likely) or "none looks like one"
    return RequestError(
        "no target column was named",
        where="--target",
        expected=f"the column to predict; likely ones: {shown}",
        fix=f"limpid train {source} --target {likely[0] if likely else 'COLUMN'}",
    )


def choose_task(
    asked: str | None, names: Sequence[str], specs: Mapping[str, ColumnSpec], facts: Mapping[str, ColumnFacts]
) -> tuple[str, str]:
    """The task for the target columns, and why.

    Args:
        asked: `--task`, or None.
        names: the target columns.
        specs, facts: of all columns.

    Raises:
        RequestError: the task asked for does not exist or cannot predict such a column.
        DataError: no task predicts such a column.
    """
    kinds = [specs[name].kind for name in names]
    if asked is not None:
        CATALOGUE.load(asked, where="--task")
        return asked, "as asked"
    if len(names) > 1:
        if all(kind == "number" for kind in kinds):
            return "regression", f"{len(names)} numeric targets"
        if all(facts[name].distinct <= 2 for name in names):
            return "classification", f"{len(names)} yes-or-no targets, each on its own (multi-label)"
        raise RequestError(
            "several targets must be of one kind",
            where="--target",
            expected="all numbers, or all with two values",
            fix="train one model for each target: "
            + ", ".join(f"{n} is {k}" for n, k in zip(names, kinds, strict=True)),
        )
    name, kind, fact = names[0], kinds[0], facts[names[0]]
    if kind == "labels":
        return "classification", "the target holds sets of labels"
    if kind in ("category", "constant") and fact.number_share < 1:
        return "classification", f"{name} has {fact.distinct:,} different values that are not numbers"
    if fact.number_share >= 0.95:
        whole = fact.integer_share >= 1.0
        if whole and fact.distinct <= _MOST_CLASSES and fact.minimum in (0.0, 1.0, -1.0) and _dense(fact):
            return (
                "classification",
                f"{name} holds {fact.distinct} whole numbers from {fact.minimum:g} to {fact.maximum:g}, which look "
                "like classes; --task regression predicts them as a quantity",
            )
        if kind == "category" and fact.distinct <= _MOST_CLASSES:
            return "classification", f"{name} is a category of {fact.distinct} values"
        return "regression", f"{name} is a number with {fact.distinct:,} different values"
    if fact.distinct <= max(_MOST_CLASSES, 0.5 * fact.present):
        return "classification", f"{name} has {fact.distinct:,} different values"
    raise DataError(
        f"{name!r} is {kind} with {fact.distinct:,} different values in {fact.present:,} rows, which no task predicts",
        where=f"column {name}",
        expected="a number, a category that repeats, or a set of labels",
        fix="choose another --target",
    )


def _dense(fact: ColumnFacts) -> bool:
    """Whether the whole numbers fill their range, as class codes do (0..9), or are few (-1 and 1)."""
    assert fact.minimum is not None and fact.maximum is not None
    return fact.distinct <= 3 or fact.distinct >= 0.8 * (fact.maximum - fact.minimum + 1)


def target_kind(task: str, name: str, spec: ColumnSpec, fact: ColumnFacts) -> ColumnSpec:
    """The target column read as its task needs it: a class column of whole numbers is a category.

    Raises:
        RequestError: the task cannot predict such a column.
    """
    if task == "classification":
        return spec if spec.kind in ("category", "labels") else spec.with_(kind="category", options={})
    if task == "regression" and spec.kind != "number":
        if fact.number_share < 0.95:
            raise RequestError(
                f"{name!r} is not numeric: {fact.number_share:.0%} of its cells read as numbers",
                where="--task regression",
                expected="a numeric target",
                fix="leave --task out, or use --task classification",
            )
        return spec.with_(kind="number", options={"decimal": fact.decimal})
    return spec


def check_numbers(target: pl.DataFrame, rows: np.ndarray, source: str) -> None:
    """Refuse numeric targets that single precision cannot tell apart, or that teach nothing.

    Args:
        target: the target columns of the training rows, finite numbers.
        rows: (n,) their row numbers in the source.
        source: name of the table.

    Raises:
        DataError: naming the column, and the row of a number that is too large.
    """
    for column in target.iter_columns():
        values = column.cast(pl.Float64).to_numpy()
        sizes = np.abs(values)
        largest, worst = float(sizes.max()), int(sizes.argmax())
        where = f"{source}, column {column.name}"
        if not values.any() or float(values.min()) == float(values.max()):
            raise DataError(
                f"the target {column.name!r} is {values[0]:g} in all {len(values):,} training rows",
                where=where,
                expected="a target that varies",
                fix="choose another --target, or more rows",
            )
        if not _SIZES[0] <= largest <= _SIZES[1]:
            raise DataError(
                f"the target {column.name!r} is {values[worst]:g}, "
                + (
                    "too large to compute with"
                    if largest > 1
                    else "and no row has a larger one: too small to compute with"
                ),
                where=f"{source}, row {int(rows[worst]) + 1}, column {column.name}",
                expected=f"numbers between {_SIZES[0]:g} and {_SIZES[1]:g} in size",
                fix="correct the cell, or give the column another unit",
            )
        if largest * _SINGLE > 0.01 * float(values.std()):
            raise DataError(
                f"the target {column.name!r} varies by {values.std():.3g} around {values.mean():.6g}, which single "
                "precision cannot tell apart",
                where=where,
                expected="a target whose differences are not small beside its size",
                fix="subtract a constant from the column, such as its smallest value",
            )
