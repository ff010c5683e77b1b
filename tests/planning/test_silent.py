"""Texts beside a table whose words say nothing of the target are left out, and no others."""

import numpy as np
import polars as pl
import pytest

import limpid

pytestmark = pytest.mark.slow

WORDS = ["oak", "elm", "ash", "fir", "yew", "box", "bay", "may"]


def table(rows=1600, seed=0, *, speaks=0.0):
    g = np.random.default_rng(seed)
    chosen = g.choice(WORDS, (rows, 6))
    a = g.normal(size=rows)
    y = a + speaks * (chosen == "oak").sum(axis=1) + 0.5 * g.normal(size=rows)
    notes = [" ".join(row) + f" number {n}" for n, row in enumerate(chosen)]
    return pl.DataFrame({"a": a, "note": notes, "y": y.round(3)})


def plan(frame, **sets):
    return limpid.plan(frame, target="y", set={"data.columns.note": "text", **sets}).as_dict()


def is_used(found):
    return found["data"]["columns"]["note"].get("use", True)


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize(("speaks", "kept"), [(0.0, False), (0.5, True)])
def test_words_that_say_nothing_are_left_out(classes, speaks, kept):
    frame = table(speaks=speaks)
    if classes:
        high = pl.col("y") > frame["y"].median()
        frame = frame.with_columns(y=pl.when(high).then(pl.lit("up")).otherwise(pl.lit("down")))
    found = plan(frame)
    assert is_used(found) is kept
    assert ("say nothing of the target" in found["because"].get("data.columns.note.use", "")) is not kept


def test_a_user_keeps_what_he_asks_for():
    assert is_used(plan(table(), **{"data.columns.note": {"kind": "text", "use": True}}))
    assert is_used(plan(table(), **{"data.drop": ["constant", "key"]}))


def test_of_few_rows_and_without_a_table_nothing_is_left_out():
    assert is_used(plan(table(900)))
    assert is_used(plan(table().drop("a")))
