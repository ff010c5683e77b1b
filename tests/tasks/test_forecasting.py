"""Forecasting: quantiles of every step, bands that hold, figures over what is known."""

import numpy as np
import polars as pl
import pytest
import torch

from limpid.core.errors import BundleError, RequestError
from limpid.core.spec import parse
from limpid.layers.losses import pinball
from limpid.tasks.forecast_bands import Bands
from limpid.tasks.forecasting import Forecasting, ForecastingSpec

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
random = np.random.default_rng(0)


def task(values, **settings):
    frame = pl.DataFrame({"y": values.tolist()})
    spec, _ = Forecasting.plan(
        parse(ForecastingSpec, {"horizon": values.shape[1], **settings}, where="task"), [], [], 9
    )
    return Forecasting.fit(spec, frame, None), frame


def test_the_loss_is_the_pinball_loss_over_the_known_steps():
    values = random.normal(size=(20, 3))
    made, frame = task(values)
    outputs = torch.randn(20, 3 * 7)
    target = made.prepare_target(torch.from_numpy(made.encode(frame)))
    wanted = pinball(outputs.view(20, 3, 7), target[:, :3], made.quantiles) / target[:, 3]
    torch.testing.assert_close(made.loss(outputs, target), wanted)
    holes = values.copy()
    holes[:, 1] = np.nan
    part = made.prepare_target(torch.from_numpy(made.encode(pl.DataFrame({"y": holes.tolist()}))))
    kept = pinball(outputs.view(20, 3, 7)[:, [0, 2]], target[:, [0, 2]], made.quantiles) / target[:, 3]
    torch.testing.assert_close(made.loss(outputs, part), kept)


def test_series_of_different_size_weigh_alike():
    values = random.normal(size=(20, 3)) * 5
    made, _ = task(values)
    small = made.encode(pl.DataFrame({"y": values.tolist(), "scale": [5.0] * 20}))
    large = made.encode(pl.DataFrame({"y": (1e6 * values).tolist(), "scale": [5e6] * 20}))
    outputs = torch.randn(20, 21)
    one, two = (made.prepare_target(torch.from_numpy(e)) for e in (small, large))
    torch.testing.assert_close(made.loss(outputs, one), made.loss(1e6 * outputs, two), rtol=1e-4, atol=1e-5)


def test_answers_are_rising_quantiles_within_what_is_possible():
    values = random.gamma(2, 3, size=(30, 4))
    made, _ = task(values)
    prediction = made.predict(random.normal(size=(30, 28)) * 20)
    assert (np.diff(prediction.quantiles, axis=2) >= 0).all()
    assert prediction.lower.min() >= 0  # no training value is below zero
    assert (prediction.lower <= prediction.values).all() and (prediction.values <= prediction.upper).all()
    assert made.decode(prediction)["prediction"].to_list() == prediction.values.tolist()


def test_the_mean_is_answered_where_the_metric_aims_at_it():
    values = random.gamma(1, 3, size=(4_000, 1))
    levels = np.array((0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95))
    outputs = np.repeat(np.quantile(values, levels)[None], 10, axis=0)
    by_median, by_mean = task(values)[0], task(values, metric="rmse")[0]
    assert by_median.predict(outputs).values[0, 0] == pytest.approx(np.median(values))
    assert by_mean.predict(outputs).values[0, 0] == pytest.approx(values.mean(), rel=0.06)
    assert by_mean.metrics[0].name == "rmse"


@pytest.mark.parametrize("rows", [400, 12])
def test_bands_hold_nine_in_ten_after_calibration(rows):
    truth = 10 + random.normal(size=(rows + 3_000, 6)) * np.arange(1, 7)
    made, frame = task(truth)
    outputs = np.tile(10 + np.array([-0.4, -0.3, -0.1, 0, 0.1, 0.3, 0.4]), (len(truth), 6))  # far too narrow
    encoded = made.encode(frame)
    said = made.calibrate(outputs[:rows], encoded[:rows], None)
    assert "split conformal" in said["intervals"]
    held = next(m for m in made.metrics if m.name == "coverage").compute(
        encoded[rows:], made.predict(outputs[rows:]), None
    )
    assert held == pytest.approx(0.9, abs=0.03 if rows > 100 else 0.09)
    steps = made.figures(encoded[rows:], made.predict(outputs[rows:]))["horizon"]
    assert [s["step"] for s in steps] == [1, 2, 3, 4, 5, 6]
    if rows > 100:  # each step by its own factor
        assert all(s["coverage"] == pytest.approx(0.9, abs=0.04) for s in steps)


def test_bands_move_all_quantiles_and_keep_the_median():
    quantiles = np.sort(random.normal(size=(50, 2, 5)), axis=2)
    moved = Bands((2.0, 0.5)).apply(quantiles, LEVELS)
    assert moved[:, :, 2] == pytest.approx(quantiles[:, :, 2])
    assert moved[:, 0, 4] - moved[:, 0, 2] == pytest.approx(2 * (quantiles[:, 0, 4] - quantiles[:, 0, 2]))


def test_scaled_errors_use_the_scale_of_each_series():
    values = np.array([[1.0, 2.0], [10.0, 20.0]])
    made, _ = task(values)
    encoded = made.encode(pl.DataFrame({"y": values.tolist(), "scale": [1.0, 10.0]}))
    prediction = made.predict(made.outputs_of(np.array([[2.0, 2.0], [20.0, 20.0]])))
    mase = next(m for m in made.metrics if m.name == "mase").compute(encoded, prediction, None)
    assert mase == pytest.approx((1 + 0 + 1 + 0) / 4, rel=1e-5)
    assert made.example_loss(encoded, prediction) == pytest.approx([0.5, 0.5], rel=1e-5)


def test_names_may_be_written_with_commas():
    spec = parse(ForecastingSpec, {"id": "store, item", "time": "day", "known": "promo"}, where="task")
    assert (spec.id, spec.time, spec.known) == (("store", "item"), ("day",), ("promo",))


@pytest.mark.parametrize("settings", [{"horizon": 0}, {"quantiles": (0.5, 0.05, 0.95)}, {"quantiles": (0.1, 0.5, 0.9)},
                                      {"metric": "mape"}, {"horizons": 3}])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(RequestError, match=r"task\."):
        parse(ForecastingSpec, settings, where="task")


@pytest.mark.parametrize("spoilt", [{"stretch": [1.0]}, {"stretch": [-1.0, 1.0]}, {"width": 0.0}, {"low": 9.0, "high": 1.0},
                                    {"cutting": {"layout": {}}}, {"column": 3}])  # fmt: skip
def test_hostile_state_is_refused(spoilt):
    made, _ = task(random.normal(size=(9, 2)))
    with pytest.raises(BundleError):
        Forecasting.from_state(made.spec, {**made.state(), **spoilt})
