"""What gives the answer away, and which rows stand on both sides of the split?

`limpid.data.leaks` knows copies of the target, columns that alone predict it, sums, duplicates, orders and groups; this
adds what can only be seen once the split is known, or takes longer: near duplicates, groups and times that lie on both
sides, answers within texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.auditing import near, text_copies
from limpid.auditing.findings import Finding, Level
from limpid.core.schema import ColumnSpec
from limpid.data.leaks import MIN_ROWS, Leak, duplicates_across, find_leaks, neighbours, wanted
from limpid.data.views import View, view

Array = npt.NDArray[Any]

_OF_INPUTS = ("copy", "predicts", "sum", "text")
_CROSSING = 0.2  # share of held-out rows whose group is known from training
_MANY = 50  # values of a column that may stand for people or things
_ALIKE, _SIGMA = 0.3, 8.0
_HELD = ("valid", "test")


def find(
    frame: pl.DataFrame,
    specs: Mapping[str, ColumnSpec],
    target: Sequence[str],
    part: Array | None,
    *,
    pictures: Mapping[str, npt.NDArray[np.float64]] | None = None,
    seed: int = 0,
) -> list[Leak]:
    """Suspects in a table whose split is known, or not.

    Args:
        frame: raw cells, N rows in the order of the source.
        specs: what each column is, targets included; others are passed over.
        target: names of the target columns.
        part: (N,) "train", "valid", "test" or ""; None where it is not known, and then nothing is said of the split.
        pictures: column -> (N,F) of columns that are no values, to find near copies by.
        seed: of samples.
    """
    views = {n: view(frame.get_column(n), s) for n, s in specs.items() if n in frame.columns and s.kind in _READABLE}
    split = part is not None and bool((part == "train").any()) and bool(np.isin(part, _HELD).any())
    learnt = np.flatnonzero(part == "train") if part is not None and split else np.arange(frame.height)
    others = [v for n, v in views.items() if n not in target]
    found: list[Leak] = []
    if split:
        assert part is not None
        readable = [n for n in views if specs[n].kind not in ("key", "constant")]
        found += duplicates_across(frame.select(readable), part, target)
        found += _near(frame, others, specs, readable, target, part, pictures or {}, seed)
    for name in target:
        if name not in views:
            continue
        answer = views[name]
        found += _of_target(frame, others, answer, learnt, part if split else None, specs, seed)
    return _different(found)


_READABLE = ("number", "category", "labels", "date", "text", "key", "series")


def _of_target(
    frame: pl.DataFrame,
    others: Sequence[View],
    answer: View,
    learnt: Array,
    part: Array | None,
    specs: Mapping[str, ColumnSpec],
    seed: int,
) -> list[Leak]:
    found = [
        leak
        for leak in find_leaks([v.take(learnt) for v in others], answer.take(learnt), seed=seed)
        if not (
            leak.kind == "order" and part is not None and leak.level == "look" and _later(np.arange(len(part)), part)
        )
    ]
    have = learnt[~answer.missing[learnt]]
    truth = wanted(answer.take(have)) if len(have) >= MIN_ROWS else None
    if truth is None:
        return found
    for column in others:
        if column.kind in ("text", "category"):
            texts = frame.get_column(column.name).cast(pl.String, strict=False)[have]
            leak = text_copies.find(texts, truth, seed)
            found += [leak] if leak is not None and not _flagged(found, column.name) else []
    if part is None:
        return found
    columns = {v.name: v for v in others}
    found = [_crossing(leak, columns, part) if _of_groups(leak, columns) else leak for leak in found]
    for column in others:
        if column.kind == "date" and column.numbers is not None:
            leak = _time(column, answer, part)
            found += [leak] if leak is not None else []
    return found


def _flagged(found: Sequence[Leak], column: str) -> bool:
    return any(leak.kind in ("copy", "predicts") and column in leak.columns for leak in found)


def _of_groups(leak: Leak, columns: Mapping[str, View]) -> bool:
    """Whether it is about the values of a column of very many, which a split may have kept apart."""
    return leak.kind == "group" or (leak.kind == "predicts" and len(columns[leak.columns[0]].levels) > _MANY)


def _crossing(leak: Leak, columns: Mapping[str, View], part: Array) -> Leak:
    """What the split made of groups whose rows share their target."""
    column = columns[leak.columns[0]]
    values = column.codes if column.codes is not None else column.numbers
    assert values is not None
    there = ~column.missing
    held = np.isin(part, _HELD) & there
    known = np.isin(values[held], np.unique(values[(part == "train") & there]))
    share = float(known.mean()) if held.any() else 0.0
    if share < _CROSSING:
        return replace(leak, level="none")
    if leak.kind != "group":
        return leak
    return replace(
        leak,
        level="warning",
        what=f"rows of the same {column.name} share their target and stand on both sides of the split",
        evidence=f"{leak.evidence}; {share:.1%} of the held-out rows belong to a group of the training part",
        advice=f"split so that a group is in one part, and train again: --set split.group={column.name}",
    )


def _later(moments: Array, part: Array) -> bool:
    """Whether nearly all held-out rows are later than nearly all training rows."""
    train, held = moments[part == "train"], moments[np.isin(part, _HELD)]
    train, held = train[np.isfinite(train)], held[np.isfinite(held)]
    if min(len(train), len(held)) == 0:
        return False
    return bool(np.quantile(train, 0.99) <= np.quantile(held, 0.01) + 1e-9)


def _time(column: View, answer: View, part: Array) -> Leak | None:
    """Rows near in time have alike targets, and held-out rows lie between training rows in time."""
    assert column.numbers is not None
    if _later(column.numbers, part):
        return None
    rows = np.flatnonzero(~column.missing & ~answer.missing)
    if len(rows) < MIN_ROWS:
        return None
    rows = rows[np.argsort(column.numbers[rows], kind="stable")]
    truth = wanted(answer.take(rows))
    if truth is None:
        return None
    alike, chance, sigma = neighbours(truth)
    if (alike - chance) / (1.0 - chance) < _ALIKE or sigma < _SIGMA:
        return None
    return Leak(
        "time",
        "warning",
        (column.name,),
        f"rows near in {column.name} have alike targets, and held-out rows lie between training rows in time",
        f"in order of {column.name} neighbouring rows agree {alike:.3f}, {chance:.3f} by chance",
        f"if the model is to foretell, hold out the latest rows: --set split.how=time --set split.time={column.name}",
        round(float(alike), 6),
    )


def _near(
    frame: pl.DataFrame,
    others: Sequence[View],
    specs: Mapping[str, ColumnSpec],
    readable: Sequence[str],
    target: Sequence[str],
    part: Array,
    pictures: Mapping[str, npt.NDArray[np.float64]],
    seed: int,
) -> list[Leak]:
    held, train = np.flatnonzero(np.isin(part, _HELD)), np.flatnonzero(part == "train")
    inputs = [n for n in readable if n not in target]
    copies = np.zeros(0, dtype=np.int64)
    if inputs:
        marks = frame.select(inputs).hash_rows(seed=0).to_numpy()
        copies = held[np.isin(marks[held], marks[train])]
    looked: list[tuple[str, tuple[int, int], tuple[str, ...]]] = [
        ("rows", near.near_rows(others, held, train, copies, seed), ())
    ]
    for name, values in pictures.items():
        looked.append((f"cells of {name}", near.near_vectors(values, held, train, copies, seed), (name,)))
    for column in others:
        if column.kind == "text":
            texts = frame.get_column(column.name)
            looked.append((f"texts of {column.name}", near.near_texts(texts, held, train, seed), (column.name,)))
    found = []
    for noun, (count, of), columns in looked:
        if near.surely_many(count, of):
            found.append(
                Leak(
                    "near_duplicates",
                    "warning",
                    columns,
                    f"{noun} of the held-out part are nearly the same as training {noun.split()[0]}",
                    f"{count:,} of {of:,} that were looked at, without exact copies; about {of * 0.004:.0f} by chance",
                    "keep rows that were made from one another in one part: --set split.group=COLUMN; read the score "
                    "as one on partly known rows",
                    round(count / of, 6),
                )
            )
    return found


def _different(found: Sequence[Leak]) -> list[Leak]:
    """Each suspect once, and none that the split has settled."""
    kept: dict[tuple[str, tuple[str, ...], str], Leak] = {}
    for leak in found:
        if leak.level != "none":
            kept.setdefault((leak.kind, leak.columns, leak.what), leak)
    return list(kept.values())


def findings_of(leaks: Sequence[Leak], inputs: Sequence[str], why: str) -> list[Finding]:
    """What suspects mean for a model.

    Args:
        leaks: the suspects.
        inputs: columns that the model reads; a column that gives the answer away harms only who reads it.
        why: where the split is not known, the reason.
    """
    found = []
    for leak in leaks:
        if leak.kind in _OF_INPUTS and not any(name in inputs for name in leak.columns):
            continue
        level: Level = "warning" if leak.level == "warning" else "look"
        if leak.kind == "copy":
            level = "fault"
        found.append(Finding("leaks", level, leak.what, leak.evidence, leak.advice))
    if why:
        found.append(
            Finding(
                "leaks",
                "look",
                "copies, groups and times across training and held-out rows could not be checked",
                why,
                "audit the run folder with the file that it was trained on",
            )
        )
    if not found:
        found.append(
            Finding("leaks", "ok", "nothing in the data gives the answer away", f"{len(inputs):,} input columns")
        )
    return found
