"""Cells as series: what is read, what is counted, and when lists are series and not sets."""

import numpy as np
import polars as pl
import pytest

from limpid.data.facts import column_facts
from limpid.data.kinds import recognise
from limpid.data.series import read_series, series_facts
from limpid.data.series_shown import show_series
from limpid.modalities import CATALOGUE

RNG = np.random.default_rng(3)


def kind_of(column: pl.Series) -> str:
    recognisers = {e.name: CATALOGUE.load(e.name, where="test").recognise for e in CATALOGUE}
    return recognise(column_facts(column), recognisers)[0]


def test_lists_arrays_and_text_are_read_alike() -> None:
    cells = [[1.0, 2.5, -3.0], [4.0, 5.0, 6.0]]
    lists = read_series(pl.Series("x", cells))
    array = read_series(pl.Series("x", np.array(cells)))
    text = read_series(pl.Series("x", ["[1, 2.5, -3e0]", "4;5;6"]))
    for read in (array, text):
        assert np.array_equal(read.values, lists.values)
        assert read.lengths.tolist() == [3, 3] and not read.missing.any()


def test_channels_stand_inside_of_time_steps() -> None:
    cube = np.arange(24.0).reshape(2, 4, 3)
    for column in (pl.Series("x", cube), pl.Series("x", cube.tolist())):
        read = read_series(column)
        assert read.channels == 3
        assert np.array_equal(read.values.reshape(2, 4, 3), cube)


def test_gaps_ragged_steps_and_strangers_are_told() -> None:
    column = pl.Series("x", [[[1.0, 2.0], [3.0]], [[4.0, None], None, [5.0, float("inf")]], None, []])
    read = read_series(column, 2)
    assert read.lengths.tolist() == [2, 3, 0, 0]
    assert read.uneven.tolist() == [True, False, False, False]
    assert read.endless.tolist() == [False, True, False, False]
    assert read.missing.tolist() == [False, False, True, False] and not read.bad.any()
    assert np.isnan(read.values).sum() == 5  # 3 has no second channel; a null, a null step of two, an infinity
    strangers = read_series(pl.Series("x", ["words", "1,2,3", None, "1,2", "9" * 5_000_000]))
    assert strangers.bad.tolist() == [True, False, False, True, True]
    assert read_series(pl.Series("x", [[1.0, 2.0]]), 3).bad.tolist() == [True]


def test_long_text_is_refused_in_linear_time() -> None:
    for text in ("1" * 1_000_000 + "x", "1 " * 500_000 + "x", " " * 1_000_000 + "x", "1," * 500_000 + "x"):
        assert read_series(pl.Series("x", [text])).bad.all()


def test_facts_of_series() -> None:
    series = [RNG.normal(size=n) for n in (5, 9, 9, 20)]
    z = [((s - s.mean()) / s.std()).tolist() for s in series]
    facts = series_facts(read_series(pl.Series("x", z)))
    assert facts is not None
    assert facts.lengths == (5, 5, 9, 20, 20)
    assert facts.unit_share == 1.0 and facts.level_share < 1e-9 and facts.gap_share == 0
    levels = series_facts(read_series(pl.Series("x", [(s + 100 * k).tolist() for k, s in enumerate(series)])))
    assert levels is not None and levels.level_share > 0.99 and levels.unit_share < 1
    assert series_facts(read_series(pl.Series("x", [None], dtype=pl.List(pl.Float64)))) is None


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pl.Series("x", [RNG.normal(size=20).tolist() for _ in range(30)]), "series"),
        (pl.Series("x", [RNG.normal(size=(8, 2)).tolist() for _ in range(30)]), "series"),
        (pl.Series("x", [RNG.integers(0, 9, 50).tolist() for _ in range(30)]), "series"),
        (pl.Series("x", [" ".join(map(str, RNG.integers(0, 255, 64))) for _ in range(30)]), "series"),
        (pl.Series("x", [RNG.choice(list("abcdef"), 3, replace=False).tolist() for _ in range(30)]), "labels"),
        (pl.Series("x", [RNG.choice(40, k, replace=False).tolist() for k in RNG.integers(1, 12, 60)]), "labels"),
        (pl.Series("x", ["|".join(map(str, RNG.choice(20, k, replace=False))) for k in RNG.integers(1, 5, 60)]), "labels"),
    ],
    ids=["numbers", "channels", "whole numbers", "text", "words", "codes", "codes in text"],
)  # fmt: skip
def test_series_are_told_from_sets(column: pl.Series, kind: str) -> None:
    assert kind_of(column) == kind


def test_what_is_shown_of_series() -> None:
    column = pl.Series("x", [[1.0, None, 3.0]] * 5 + [[4.0] * 1_000] * 5)
    shown = show_series(read_series(column), ["a"] * 5 + ["b"] * 5)
    facts = dict(shown["facts"])
    assert facts["series"] == "10" and facts["time steps"].startswith("3 to 1,000") and facts["gaps"] != "none"
    assert [line["title"] for line in shown["lines"]] == ["a"] * 3 + ["b"] * 3
    assert shown["lines"][0]["values"] == [1.0, None, 3.0] and len(shown["lines"][3]["values"]) <= 150
    many = show_series(read_series(pl.Series("x", RNG.normal(size=(40, 9, 5)))), [str(k) for k in range(40)])
    assert len(many["lines"]) == 24 and many["lines"][0]["title"] == "0, channel 1"
    assert show_series(read_series(pl.Series("x", [None], dtype=pl.String)), None)["lines"] == []
