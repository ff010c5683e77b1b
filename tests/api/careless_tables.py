"""Tables as careless and hostile people bring them, and the quickest training there is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import limpid

ROWS = 80
TINY = {
    "train.epochs": 1,
    "train.threads": 1,
    "train.precision": "fp32",
    "train.batch": 32,
    "train.folds": 0,
    "evaluate.baselines": False,
    "net.name": "mlp",
    "net.width": 8,
    "net.depth": 1,
}


def plain(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Rows of a number, a category and a target that follows from the number."""
    g = np.random.default_rng(seed)
    a = g.normal(size=rows)
    return pl.DataFrame({"a": a.round(4), "b": g.choice(["x", "y", "z"], rows), "y": np.where(a > 0, "yes", "no")})


def beside(values: Any) -> pl.DataFrame:
    """The plain table with a further column."""
    return plain().with_columns(c=values if isinstance(values, (pl.Series, pl.Expr)) else pl.Series(values))


def target(values: Any) -> pl.DataFrame:
    """The plain table with another target."""
    return plain().with_columns(y=values if isinstance(values, (pl.Series, pl.Expr)) else pl.Series(values))


def fit(data: Any, out: Path, y: Any = "y", **options: Any) -> limpid.Run:
    """A training that takes no time."""
    settings = {**TINY, **options.pop("set", {})}
    return limpid.train(data, target=y, out=out, quiet=True, set=settings, **options)


@contextmanager
def refused(what: str) -> Iterator[None]:
    """An error with those words and all four parts."""
    with pytest.raises(limpid.LimpidError) as caught:
        yield
    assert what in caught.value.what
    assert all(part.strip() for part in caught.value.parts().values())


def repairs(run: limpid.Run) -> dict[str, int]:
    """What was mended in a run, and how often."""
    return {r["what"]: r["count"] for r in run.record["repairs"]}


def day(n: int) -> dt.date:
    """The n-th day of 2020."""
    return dt.date(2020, 1, 1) + dt.timedelta(days=n)


SIX = ["2024-01-05", "05/01/2024", "5 Jan 2024", "Jan-2024", "20240105", "2024-01-05T10:00", "nonsense", None]
COUNT = range(ROWS)
COLUMNS: Mapping[str, Any] = {
    "null floats": pl.lit(None, dtype=pl.Float64),
    "null text": pl.lit(None, dtype=pl.String),
    "nulls without a type": [None] * ROWS,
    "only NaN": [float("nan")] * ROWS,
    "1e308 of both signs": [1e308 * (-1) ** i for i in COUNT],
    "one 1e308": [1e308 if i == 3 else float(i) for i in COUNT],
    "denormal numbers": [1e-320 * i for i in COUNT],
    "the largest int64": [2**63 - 1 - i for i in COUNT],
    "the largest uint64": pl.Series([2**64 - 1 - i * 1000 for i in COUNT], dtype=pl.UInt64),
    "int128": pl.Series([2**100 + i for i in COUNT], dtype=pl.Int128),
    "decimals": pl.Series([f"{i / 7:.3f}" for i in COUNT]).cast(pl.Decimal(10, 3)),
    "dates": [day(i) for i in COUNT],
    "dates backwards": [str(day(-i)) for i in COUNT],
    "dates from the year 1 on": [dt.date(1, 1, 1) + dt.timedelta(days=i * 9000) for i in COUNT],
    "dates in six formats": SIX * 10,
    "times of day": [dt.time(i % 24) for i in COUNT],
    "lengths of time": [dt.timedelta(hours=i) for i in COUNT],
    "bytes": [bytes([i]) for i in COUNT],
    "lists": [[i % 3, i % 5] for i in COUNT],
    "lists of lists": [[[i]] for i in COUNT],
    "structs": [{"p": i} for i in COUNT],
    "a cell of 100,000 characters": ["word " * 20_000 if i == 0 else f"t{i}" for i in COUNT],
}
"""Columns that give a training and no repair."""

COUNTED: Mapping[str, tuple[Any, str, int]] = {
    "inf": ([float("inf") if i % 5 == 0 else float(i) for i in COUNT], "infinite, taken as missing", 16),
    "text in numbers": ([f"oops{i}" if i % 20 == 3 else str(i / 3) for i in COUNT], "could not be read as a number", 4),
    "objects of several types": (
        pl.Series([i if i % 2 else str(i) for i in COUNT], dtype=pl.Object),
        "several types, taken as text",
        40,
    ),
}
"""Columns that give a training and a repair: values, what is said, how often."""

TARGETS: Mapping[str, tuple[pl.DataFrame, str]] = {
    "true and false": (target([i % 2 == 0 for i in COUNT]), "classification"),
    "-1 and 1": (target([1 if i % 2 else -1 for i in COUNT]), "classification"),
    "whole numbers 0, 1, 2": (target([i % 3 for i in COUNT]), "classification"),
    "a class with one row": (target(["rare" if i == 7 else "no" if i % 2 else "yes" for i in COUNT]), "classification"),
    "two classes, one with one row": (target(["rare" if i == 7 else "no" for i in COUNT]), "classification"),
    "two hundred classes": (
        plain(600).with_columns(y=pl.Series([f"k{i % 200}" for i in range(600)])),
        "classification",
    ),
    "sets of labels": (target([["p", "q"][: 1 + i % 2] for i in COUNT]), "classification"),
    "a running number": (target(list(COUNT)), "regression"),
    "six rows with a target": (target([None if i > 5 else "yn"[i % 2] for i in COUNT]), "classification"),
    "rows that all stand ten times": (pl.concat([plain(20)] * 10), "classification"),
    "five rows": (plain(5), "classification"),
}
"""Targets that can be learnt."""

REFUSED: Mapping[str, tuple[pl.DataFrame, dict[str, Any], str]] = {
    "a single class": (target(["yes"] * ROWS), {}, "only the class 'yes'"),
    "a single number": (target([3.5] * ROWS), {}, "3.5 in all 56 training rows"),
    "no target anywhere": (target(pl.Series([None] * ROWS, dtype=pl.String)), {}, "no row has a value in 'y'"),
    "a date as target": (target([day(i) for i in COUNT]), {}, "which no task predicts"),
    "an id as target": (target([f"id{i}" for i in COUNT]), {}, "which no task predicts"),
    "an id as class": (target([f"id{i}" for i in COUNT]), {"task": "classification"}, "no valid row has a class"),
    "free text as target": (target([f"a long sentence, number {i}, and more" for i in COUNT]), {}, "no task predicts"),
    "structs as target": (target([{"p": i} for i in COUNT]), {}, "no task predicts"),
    "an infinite target": (target([float("inf") if i == 4 else i / 3 for i in COUNT]), {}, "infinite in 1 rows"),
    "a target of 1e308": (target([1e308 if i == 4 else i / 3 for i in COUNT]), {}, "too large to compute with"),
    "targets of 1e308": (target([1.7e308 * (i / ROWS) * (-1) ** i for i in COUNT]), {}, "too large to compute with"),
    "denormal targets": (target([1e-310 * i for i in COUNT]), {}, "too small to compute with"),
    "int64 at its end": (target([2**63 - 1 - 7 * i for i in COUNT]), {}, "single precision cannot tell apart"),
    "two targets of two kinds": (plain(), {"y": ["y", "a"]}, "several targets must be of one kind"),
    "no target named": (plain(), {"y": ""}, "no target column was named"),
    "a number as target name": (plain(), {"y": 2}, "2 is no column name"),
    "every column a target": (plain().select("a", d=pl.col("a") * 2), {"y": ["a", "d"]}, "no column is left"),
    "two rows": (plain(2), {}, "2 rows, too few for 3 parts"),
    "one row": (plain(1), {}, "no column is left"),
    "no rows": (plain(0), {}, "there are no rows"),
    "one column": (plain().select("y"), {}, "no column is left"),
    "no columns": (pl.DataFrame(), {}, "there are no rows"),
    "the target as group": (plain(), {"set": {"split.group": "y"}}, "cannot be split.group too"),
    "the target as weight": (plain(), {"set": {"data.weight": "y"}}, "cannot be data.weight too"),
    "too few groups": (plain().with_columns(c=pl.col("a") > 0), {"set": {"split.group": "c"}}, "2 groups, too few"),
    "weights of zero": (beside(pl.lit(0.0)), {"set": {"data.weight": "c"}}, "all sample weights are zero"),
    "negative weights": (beside(pl.lit(-1.0)), {"set": {"data.weight": "c"}}, "80 sample weights are missing, neg"),
    "weights of 1e300": (beside(pl.lit(1e300)), {"set": {"data.weight": "c"}}, "largest sample weight is 1e+300"),
    "weights in two rows": (
        beside([1.0 if i < 2 else 0.0 for i in COUNT]), {"set": {"data.weight": "c"}}, "rows are zero"
    ),
    "shares beyond one": (plain(), {"set": {"split.valid": 0.6, "split.test": 0.6}}, "leave no rows to train on"),
    "a negative share": (plain(), {"set": {"split.valid": -1}}, "split.valid cannot be -1"),
    "no validation rows": (plain(), {"set": {"split.valid": 0}}, "no validation rows"),
    "a test file without the target": (plain(), {"test": plain().drop("y")}, "no column 'y'"),
    "a test file without a column": (plain(), {"test": plain().drop("a")}, "no column 'a'"),
    "an empty test file": (plain(), {"test": plain(0)}, "no rows"),
    "a test file of other classes": (plain(), {"test": target(["maybe"] * ROWS)}, "no test row has a class"),
    "a negative seed": (plain(), {"seed": -1}, "seed cannot be -1"),
    "a seed of 71 bits": (plain(), {"seed": 2**70}, "seed cannot be"),
    "half a seed": (plain(), {"seed": 1.5}, "seed cannot be 1.5"),
    "no budget at all": (plain(), {"budget": 0}, "not a length of time"),
    "a negative budget": (plain(), {"budget": "-3s"}, "not a length of time"),
    "a NUL in the path": (plain(), {"out": Path("a\0b")}, "NUL"),
    "a path of 300 characters": (plain(), {"out": Path("/tmp/" + "x" * 300)}, "cannot be written"),
}  # fmt: skip
"""What is refused: the table, the options of `fit`, words of the message."""

NAMES = [
    "fields", "target", "weight", "prediction", "error", "name", "tokens", "numbers", "missing", "row", "part",
    "a.b", "a,b", 'a"b', "a'b", "a`b", "a\\b", "a[0]", "a\nb", "a\x1b[31mred", "\N{GRINNING FACE}", "\u202ecba",
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "{{7*7}}", "${a}", "%s", "[red]a[/red]",
    "[/]", "[x](javascript:1)", "../../etc", "__class__", "data.columns.x", "datum.x", "null", "true", "~", " ",
    "NaN", "x" * 2000,
]  # fmt: skip
"""Column names that mean something elsewhere."""

NONSENSE: list[dict[str, Any]] = [
    {"split": 3}, {"train": 3}, {"net": 3}, {"nets": 3}, {"data.columns": 3}, {"data.columns.a.options": 3},
    {"data.columns.a.options.foo": 3}, {"data.columns.a.missing": 3}, {"data.columns.a.kind": "picture"},
    {"data.target": 3}, {"data.drop": "zzz"}, {"task.name": 3}, {"task.metric": "zzz"}, {"task.positive": "zzz"},
    {"": 3}, {".": 3}, {"train..lr": 3}, {"train.lr": "fast"}, {"train.lr": float("inf")}, {"train.lr": 0},
    {"train.epochs": 0}, {"train.epochs": 1.5}, {"train.batch": 0}, {"train.threads": 10**30}, {"net.width": 10**9},
    {"net.depth": 10**4}, {"nets.zzz": "mlp"}, {"train.optimiser": "adam; rm -rf /"}, {"evaluate.baselines": "perhaps"},
    {"train.lr": 1e30}, {"seed": "x"}, {"data.columns.zzz": "number"}, {"split.how": "group"},
]  # fmt: skip
"""Settings that mean nothing."""
