"""Baselines of a forecast against their closed forms."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.core.spec import parse
from limpid.data.cutoffs import origins, past_scales, thin
from limpid.data.encoded import Encoded
from limpid.data.frequency import Frequency
from limpid.data.table import open_table
from limpid.data.timelines import Layout
from limpid.data.windows import Cutting, Windows
from limpid.evaluation.forecast_baselines import _ridge, carried, run
from limpid.planning.forecast import window_targets
from limpid.tasks.forecasting import Forecasting, ForecastingSpec

random = np.random.default_rng(0)


def setting(values, history=8, horizon=4, period=4):
    columns = {n: ColumnSpec(kind="number") for n in ("t", "y")}
    layout = Layout.model_validate({"clock": "count", "time": ("t",), "target": "y", "columns": columns})
    plan = Cutting(layout, Frequency("count", 1), history, horizon, (), period, history)
    book = plan.book([open_table({"t": np.arange(len(values)), "y": values})], Repairs())
    part = np.repeat([0, 1, 2], [len(values) - 80, 40, 40]).astype(np.int8)
    found = origins(book, plan, part)
    table = Windows(book, plan, found.series, found.cutoff)
    scales = past_scales(book, period, part)
    spec, _ = Forecasting.plan(parse(ForecastingSpec, {"horizon": horizon, "period": period}, where="task"), [], [], 9)
    task = Forecasting.fit(spec, window_targets(table, np.arange(len(table)), scales), None)
    encoded = {}
    for code, name in enumerate(("train", "valid", "test")):
        rows = thin(found, code, 1)
        encoded[name] = Encoded({}, rows, task.encode(window_targets(table, rows, scales)))
    return run({name: table for name in encoded}, encoded, task, None), table, encoded


def test_a_pure_season_is_continued_exactly():
    found, _, _ = setting(np.tile([1.0, 5.0, 2.0, 8.0], 60))
    assert [b.name for b in found] == ["seasonal naive", "drift", "linear"]
    assert found[0].metrics["test"]["mae"] == pytest.approx(0.0, abs=1e-5)
    assert found[2].metrics["test"]["mae"] == pytest.approx(0.0, abs=0.05)


def test_a_straight_line_is_continued_by_the_drift():
    found, _, _ = setting(3.0 + 0.5 * np.arange(240))
    assert found[1].metrics["test"]["mae"] == pytest.approx(0.0, abs=1e-4)
    assert found[0].metrics["test"]["mae"] == pytest.approx(2.0, abs=1e-4)  # four steps of 0.5
    assert found[0].metrics["test"]["mase"] == pytest.approx(1.0, abs=1e-4)


def test_gaps_are_bridged_and_bands_hold():
    values = 10 + np.cumsum(random.normal(size=800)) * 0.1 + random.normal(size=800)
    values[random.choice(800, 100, replace=False)] = np.nan
    found, _, _ = setting(values)
    for baseline in found:
        assert baseline.metrics["valid"]["coverage"] == pytest.approx(0.9, abs=0.03)
        assert np.isfinite(list(baseline.metrics["test"].values())).all()
        assert set(baseline.answers) == {"valid", "test"}


def test_the_ridge_is_scikit_learns():
    matrix, wanted = random.normal(size=(200, 6)), random.normal(size=(200, 3))
    matrix -= matrix.mean(axis=0)
    own = _ridge(np.concatenate([matrix, np.ones((200, 1))], axis=1), wanted)
    theirs = Ridge(alpha=1.0).fit(matrix, wanted)
    assert pytest.approx(theirs.coef_) == own[:-1].T
    assert own[-1] == pytest.approx(theirs.intercept_)
    holes = wanted.copy()
    holes[:150, 0] = np.nan
    part = _ridge(np.concatenate([matrix, np.ones((200, 1))], axis=1), holes)
    assert np.isfinite(part).all()


def test_gaps_hold_the_last_known_value():
    nan = np.nan
    got = carried(np.array([[nan, 1.0, nan, 3.0, nan], [nan] * 5]))
    assert got.tolist() == [[1, 1, 1, 3, 3], [0] * 5]
