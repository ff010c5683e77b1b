"""Series as values and lengths: scales, padding, gaps, strides."""

import numpy as np
import polars as pl
import pytest

from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.series import Series, SeriesSpec

RNG = np.random.default_rng(8)
SIZE = Size(rows=100, outputs=2, task="classification")


def encoder(column: pl.Series, **settings: object) -> Series:
    spec, _ = Series.plan(SeriesSpec(**settings), column_facts(column), SIZE)  # type: ignore[arg-type]
    return Series.fit(spec, column)


def test_channels_are_standardised_over_training_rows() -> None:
    cube = RNG.normal(size=(50, 12, 3)) * [1.0, 10.0, 1e6] + [0.0, -5.0, 3e6]
    parts = encoder(pl.Series("x", cube)).encode(pl.Series("x", cube), Repairs())
    assert parts["values"].shape == (50, 12, 3)
    assert np.allclose(parts["values"].mean(axis=(0, 1)), 0, atol=1e-5)
    assert np.allclose(parts["values"].std(axis=(0, 1)), 1, atol=1e-5)


def test_each_series_by_itself() -> None:
    series = [RNG.normal(size=n) * s + m for n, s, m in ((9, 5, 100), (4, 0.1, -3), (7, 1, 0))]
    column = pl.Series("x", [s.tolist() for s in series])
    parts = encoder(column, standardise="series").encode(column, Repairs())
    for row, one in enumerate(series):
        expected = (one - one.mean()) / one.std()
        assert np.allclose(parts["values"][row, : len(one), 0], expected, atol=1e-5)
        assert not parts["values"][row, len(one) :].any()
    flat = encoder(column, standardise="series").encode(pl.Series("x", [[7.0, 7.0, 7.0]]), Repairs())
    assert not flat["values"].any() and flat["length"].tolist() == [3]


def test_levels_decide_the_scale() -> None:
    shapes = RNG.normal(size=(40, 20))
    cases = {"channel": shapes, "series": shapes + 100 * RNG.normal(size=(40, 1))}
    for expected, values in cases.items():
        spec, because = Series.plan(SeriesSpec(), column_facts(pl.Series("x", values)), SIZE)
        assert spec.standardise == expected and "%" in because["standardise"]
    z = (shapes - shapes.mean(axis=1, keepdims=True)) / shapes.std(axis=1, keepdims=True)
    _, because = Series.plan(SeriesSpec(), column_facts(pl.Series("x", z)), SIZE)
    assert "already" in because["standardise"]
    level = Size(rows=100, outputs=1, task="regression")
    assert Series.plan(SeriesSpec(), column_facts(pl.Series("x", cases["series"])), level)[0].standardise == "channel"


def test_gaps_are_filled_and_marked() -> None:
    column = pl.Series("x", [[0.0, None, None, 3.0, float("nan")], [None, None], [1.0]])
    made = encoder(column, standardise="none")
    assert made.shape().width == 2
    values = made.encode(column, Repairs())["values"]
    assert values[0, :, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 3.0]
    assert values[0, :, 1].tolist() == [0.0, 1.0, 1.0, 0.0, 1.0]
    assert values[1].tolist() == [[0.0, 1.0]] * 2 + [[0.0, 0.0]] * 3
    zero = encoder(column, standardise="none", gaps="zero").encode(column, Repairs())["values"]
    assert zero[0, :, 0].tolist() == [0.0, 0.0, 0.0, 3.0, 0.0]


def test_gaps_that_training_never_had_are_counted() -> None:
    made = encoder(pl.Series("x", [[1.0, 2.0, 3.0]] * 9 + [[3.0, 1.0, 2.5]]))
    repairs = Repairs()
    values = made.encode(pl.Series("x", [[1.0, None, 3.0], [1.0, 2.0, 3.0]]), repairs)["values"]
    assert values[0, :, 0] == pytest.approx(values[1, :, 0], abs=1e-6)
    assert [(r.count, "gaps" in r.what) for r in repairs] == [(1, True)]


def test_long_series_are_averaged_or_cut() -> None:
    long = [RNG.normal(size=5_000).cumsum().tolist() for _ in range(20)]
    column = pl.Series("x", long)
    spec, because = Series.plan(SeriesSpec(), column_facts(column), SIZE)
    assert spec.stride == 3 and spec.length == 1_667 and "averaged" in because["stride"]
    made = encoder(column, standardise="none")
    parts = made.encode(column, Repairs())
    first = np.array(long[0])
    assert parts["values"][0, :1_666, 0] == pytest.approx(first[:4_998].reshape(-1, 3).mean(axis=1), rel=1e-5, abs=1e-4)
    assert parts["values"][0, 1_666, 0] == pytest.approx(first[4_998:].mean(), rel=1e-5)
    usual = pl.Series("x", [RNG.normal(size=50).tolist() for _ in range(30)] + [RNG.normal(size=9_000).tolist()])
    spec, because = Series.plan(SeriesSpec(), column_facts(usual), SIZE)
    assert (spec.stride, spec.length) == (1, 200) and "exception" in because["length"]
    repairs = Repairs()
    Series.fit(spec, usual).encode(usual, repairs)
    assert ["cut" in r.what for r in repairs] == [True]


def test_extremes_stay_finite() -> None:
    column = pl.Series("x", [[1e308, -1e308, 0.0, 5.0]] * 3 + [[1.0, 2.0, 3.0, 4.0]])
    for how in ("channel", "series", "none"):
        values = encoder(column, standardise=how).encode(column, Repairs())["values"]
        assert np.isfinite(values).all() and np.abs(values).max() <= 1_000


def test_augmentation_is_for_nets_that_learn() -> None:
    facts = column_facts(pl.Series("x", RNG.normal(size=(40, 20))))
    sizes = [
        Size(rows=r, outputs=2, task="classification", net=n) for r, n in ((100, None), (100, "tcn"), (9_000, "tcn"))
    ]
    plans = [Series.plan(SeriesSpec(), facts, size)[0].augment for size in sizes]
    assert [p.any for p in plans] == [False, True, False]  # type: ignore[union-attr]
