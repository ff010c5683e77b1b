"""Figures of forecasts against published values, closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, root_mean_squared_error

from limpid.layers import forecast_metrics as merit
from limpid.layers.metrics import once

TRUE = np.array([[3.0, -0.5, 2.0, 7.0, 2.0]])
SAID = np.array([[2.5, 0.0, 2.0, 8.0, 1.25]])
PAST = np.array([5.0, 0.5, 4.0, 6.0, 3.0, 5.0, 2.0])
LEVELS = (0.1, 0.5, 0.9)
random = np.random.default_rng(0)
TARGET = random.normal(5, 2, size=(40, 6))
VALUE = TARGET + random.normal(size=TARGET.shape)


def test_published_examples():
    # The worked examples of sktime's documentation for these figures.
    scale = np.array([np.abs(np.diff(PAST)).mean()])
    assert once(merit.mase(TRUE, SAID, scale), 1) == pytest.approx(0.18333333333333335)
    assert once(merit.smape(TRUE, SAID), 1) == pytest.approx(0.5553379953379953)
    assert once(merit.mae(TRUE, SAID), 1) == pytest.approx(0.55)


def test_against_scikit_learn():
    assert once(merit.mae(TARGET, VALUE), 40) == pytest.approx(mean_absolute_error(TARGET.ravel(), VALUE.ravel()))
    assert once(merit.rmse(TARGET, VALUE), 40) == pytest.approx(root_mean_squared_error(TARGET.ravel(), VALUE.ravel()))
    quantiles = np.stack([VALUE - 1, VALUE, VALUE + 1.5], axis=2)
    each = [
        2 * mean_pinball_loss(TARGET.ravel(), quantiles[:, :, k].ravel(), alpha=q) * TARGET.size / np.abs(TARGET).sum()
        for k, q in enumerate(LEVELS)
    ]
    assert once(merit.quantile_loss(TARGET, quantiles, LEVELS), 40) == pytest.approx(np.mean(each))


def test_a_median_alone_has_the_weighted_absolute_error():
    # The pinball loss of the median is half the absolute error, so the figure is the sum of errors over that of sizes.
    wape = np.abs(TARGET - VALUE).sum() / np.abs(TARGET).sum()
    assert once(merit.quantile_loss(TARGET, VALUE[:, :, None], (0.5,)), 40) == pytest.approx(wape)


def test_coverage_counts_both_ends():
    truth = np.array([[0.0, 1.0, 2.0, np.nan]])
    assert once(merit.coverage(truth, np.array([[0.0, 2, 0, 0]]), np.array([[1.0, 3, 2, 1]])), 1) == pytest.approx(
        2 / 3
    )


@pytest.mark.parametrize("name", ["mae", "rmse", "smape", "mase", "quantile_loss", "coverage"])
def test_missing_steps_and_weights(name):
    holes = TARGET.copy()
    holes[::2, :3] = np.nan
    holes[7] = np.nan

    def figure(target, value):
        if name == "mase":
            return merit.mase(target, value, np.full(len(target), 2.0))
        if name == "quantile_loss":
            return merit.quantile_loss(target, np.stack([value - 1, value, value + 1], axis=2), LEVELS)
        if name == "coverage":
            return merit.coverage(target, value - 1, value + 1)
        return getattr(merit, name)(target, value)

    counts = random.integers(0, 3, size=(5, 40)).astype(float)
    scores = figure(holes, VALUE)(counts)
    for weights, score in zip(counts, scores, strict=True):
        again = np.repeat(np.arange(40), weights.astype(int))
        assert once(figure(holes[again], VALUE[again]), len(again)) == pytest.approx(score)
    assert np.isnan(figure(holes, VALUE)(np.zeros((1, 40)))).all()
    broken = VALUE.copy()
    broken[0, 0] = np.nan
    assert np.isnan(once(figure(TARGET, broken), 40))
