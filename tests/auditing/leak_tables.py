"""Twenty synthetic tables without a leak, and twelve ways to plant one in any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from limpid.core.schema import ColumnSpec

WORDS = (
    "the a of with under river stone paper engine quiet morning window yellow letter garden market travel doctor "
    "number valley winter silver bridge corner summer ticket animal village music camera planet forest island pepper "
    "castle danger farmer finger ground harbor insect jacket kitchen ladder mirror needle office parcel quarter rocket"
).split()
ROWS = 900


@dataclass(frozen=True)
class Case:
    """A table with its split."""

    frame: pl.DataFrame
    specs: dict[str, ColumnSpec]
    part: np.ndarray
    regression: bool

    @property
    def target(self) -> np.ndarray:
        return self.frame["y"].to_numpy()


def clean(n: int) -> Case:
    """A table whose target follows, with noise, from some of its columns; every fourth has a text, odd ones a number
    to predict."""
    g = np.random.default_rng(1_000 + n)
    regression = n % 2 == 1
    numbers = g.normal(size=(ROWS, 3 + n % 4))
    if n % 3 == 0:  # columns that go together
        numbers[:, 1] = numbers[:, 0] * 0.95 + 0.2 * numbers[:, 1]
        numbers[:, 2] = np.round(numbers[:, 2] * 3)
    kind = g.choice(["red", "green", "blue", "grey"], ROWS, p=[0.4, 0.3, 0.2, 0.1])
    columns: dict[str, object] = {f"n{k}": numbers[:, k] for k in range(numbers.shape[1])}
    columns["kind"] = kind
    specs = {name: ColumnSpec(kind="number") for name in columns}
    specs["kind"] = ColumnSpec(kind="category")
    if n % 4 == 0:
        columns["note"] = [" ".join(g.choice(WORDS, 10)) for _ in range(ROWS)]
        specs["note"] = ColumnSpec(kind="text")
    days = g.integers(0, 2_000, ROWS)
    columns["day"] = [str(np.datetime64("2015-01-01") + int(d)) for d in days]
    specs["day"] = ColumnSpec(kind="date", options={"format": "iso"})
    score = numbers[:, 0] + 0.7 * numbers[:, 1] + 0.8 * (kind == "red") + g.normal(0, 0.8, ROWS)
    columns["y"] = score if regression else np.where(score > 0.4, "accepted", "refused")
    specs["y"] = ColumnSpec(kind="number" if regression else "category")
    part = g.choice(["train", "valid", "test"], ROWS, p=[0.7, 0.15, 0.15])
    return Case(pl.DataFrame(columns), specs, part, regression)


def with_column(case: Case, name: str, values: object, kind: str) -> Case:
    """The table with one more column."""
    spec = ColumnSpec(kind=kind, options={"format": "iso"} if kind == "date" else {})
    return replace(case, frame=case.frame.with_columns(pl.Series(name, values)), specs={**case.specs, name: spec})


def copy(case: Case, g: np.random.Generator) -> Case:
    return with_column(case, "leak", case.target, "number" if case.regression else "category")


def renamed(case: Case, g: np.random.Generator) -> Case:
    if case.regression:
        return with_column(case, "leak", case.target * -3.2 + 40, "number")
    return with_column(case, "leak", np.where(case.target == "accepted", "A7", "B2"), "category")


def almost(case: Case, g: np.random.Generator) -> Case:
    """Known only afterwards, and nearly the target."""
    if case.regression:
        return with_column(case, "leak", case.target + g.normal(0, 0.03, ROWS), "number")
    return with_column(case, "leak", (case.target == "accepted") * 2.0 + g.normal(0, 0.3, ROWS), "number")


def gaps(case: Case, g: np.random.Generator) -> Case:
    """A cell is filled only for one class, or tells a number in bands."""
    filled = case.target > np.median(case.target) if case.regression else case.target == "accepted"
    if case.regression:
        return with_column(case, "leak", np.round(case.target, 1) + g.uniform(0, 1e-3, ROWS), "number")
    return with_column(
        case, "leak", [float(v) if f else None for f, v in zip(filled, g.normal(size=ROWS), strict=True)], "number"
    )


def parts(case: Case, g: np.random.Generator) -> Case:
    """Numbers that add up to the target; for classes, a code with a letter for each."""
    if case.regression:
        first = g.normal(size=ROWS)
        return with_column(with_column(case, "part_a", first, "number"), "part_b", case.target - first, "number")
    codes = [f"{'X' if t == 'accepted' else 'Y'}{k}" for t, k in zip(case.target, g.integers(0, 4, ROWS), strict=True)]
    return with_column(case, "leak", codes, "category")


def told(case: Case, g: np.random.Generator) -> Case:
    """The answer stands in a text."""
    said = [f"{t:.3f}" if case.regression else str(t) for t in case.target]
    texts = [" ".join([*g.choice(WORDS, 5), s, *g.choice(WORDS, 4)]) for s in said]
    return with_column(case, "remark", texts, "text")


def word(case: Case, g: np.random.Generator) -> Case:
    """A word that only one class has; for numbers, the number within a sentence with its unit."""
    if case.regression:
        texts = [f"file {g.integers(1000, 9999)} closed at {t:.2f} euro in total" for t in case.target]
    else:
        marks = [("payout", "") if t == "accepted" else ("", "appeal") for t in case.target]
        texts = [" ".join([*g.choice(WORDS, 4), *[m for m in mark if m], *g.choice(WORDS, 4)]) for mark in marks]
    return with_column(case, "remark", texts, "text")


def copies(case: Case, g: np.random.Generator) -> Case:
    """One held-out row of ten is a training row."""
    return _from_training(case, g, 0.1, jitter=0.0)


def nearly(case: Case, g: np.random.Generator) -> Case:
    """One held-out row of ten is a training row with its numbers measured again."""
    return _from_training(case, g, 0.1, jitter=2e-3)


def _from_training(case: Case, g: np.random.Generator, share: float, jitter: float) -> Case:
    held, train = np.flatnonzero(case.part != "train"), np.flatnonzero(case.part == "train")
    index = np.arange(ROWS)
    changed = g.choice(held, int(share * len(held)), replace=False)
    index[changed] = g.choice(train, len(changed), replace=False)
    frame = case.frame[index]
    numbers = [n for n, s in case.specs.items() if s.kind == "number" and (n != "y" or jitter)]
    touched = np.isin(np.arange(ROWS), changed)
    frame = frame.with_columns(
        pl.Series(n, frame[n].to_numpy() + touched * jitter * g.normal(size=ROWS)) for n in numbers if jitter
    )
    return replace(case, frame=frame)


def people(case: Case, g: np.random.Generator) -> Case:
    """Several rows of each person, who has one answer, on both sides of the split."""
    person = g.integers(0, ROWS // 5, ROWS)
    if case.regression:
        own = g.normal(size=ROWS // 5)[person]
        target: object = case.target * 0.1 + own * 2
    else:
        target = np.where(g.random(ROWS // 5)[person] > 0.5, "accepted", "refused")
    changed = replace(case, frame=case.frame.with_columns(pl.Series("y", target)))
    return with_column(changed, "person", [f"p{p:04d}" for p in person], "category")


def in_order(case: Case, g: np.random.Generator) -> Case:
    """The file is sorted by the target."""
    order = np.argsort(case.target, kind="stable")
    return replace(case, frame=case.frame[order])


def in_time(case: Case, g: np.random.Generator) -> Case:
    """The target drifts slowly over time, and the split is random."""
    days = np.argsort(np.argsort(g.random(ROWS)))
    drift = np.cumsum(g.normal(size=ROWS))
    drift = (drift - drift.mean()) / drift.std()
    value = drift[days] * 2.0 + g.normal(0, 0.3, ROWS)
    target = value if case.regression else np.where(value > np.median(value), "accepted", "refused")
    changed = replace(case, frame=case.frame.drop("day").with_columns(pl.Series("y", target)))
    stamps = [str(np.datetime64("2012-01-01") + int(d)) for d in days]
    return with_column(changed, "day", stamps, "date")


KINDS: dict[str, tuple[Callable[[Case, np.random.Generator], Case], set[str]]] = {
    "copy": (copy, {"copy"}),
    "renamed": (renamed, {"copy"}),
    "almost": (almost, {"copy", "predicts"}),
    "gaps": (gaps, {"copy", "predicts"}),
    "parts": (parts, {"sum", "copy", "predicts"}),
    "told": (told, {"text"}),
    "word": (word, {"text"}),
    "copies": (copies, {"duplicates"}),
    "nearly": (nearly, {"near_duplicates"}),
    "people": (people, {"group", "predicts"}),
    "in_order": (in_order, {"order"}),
    "in_time": (in_time, {"time"}),
}
