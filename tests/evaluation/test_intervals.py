"""Bootstrap intervals against their promise, brute force, and each other."""

import numpy as np
import pytest

from limpid.core.contracts import Metric, Prediction
from limpid.evaluation import intervals
from limpid.layers import metrics


def merit(make, name="m", *, greater=True, batched=True) -> Metric:
    def compute(target, prediction, weight):
        return metrics.once(make(target, prediction.values), len(target), weight)

    return Metric(name, greater, compute, (lambda t, p: make(t, p.values)) if batched else None)


MAE = merit(metrics.mae, "mae", greater=False)
AUC = merit(lambda t, v: metrics.roc_auc_of(t > 0, v[:, 0]), "auc")


def test_the_interval_of_a_mean_is_the_textbook_one():
    random = np.random.default_rng(0)
    error = random.exponential(size=2000)
    low, high = intervals.bootstrap([MAE], np.zeros((2000, 1)), Prediction(error[:, None]), None, 1, repeats=2000)[
        "mae"
    ]
    half = 1.96 * error.std() / np.sqrt(2000)
    assert (low, high) == pytest.approx((error.mean() - half, error.mean() + half), abs=0.15 * half)


def test_intervals_hold_the_truth_about_nineteen_times_in_twenty():
    held = 0
    for seed in range(120):
        random = np.random.default_rng(seed)
        value = random.normal(size=(150, 1))
        low, high = intervals.bootstrap([MAE], np.zeros((150, 1)), Prediction(value), None, seed, repeats=200)["mae"]
        held += low <= np.sqrt(2 / np.pi) <= high
    assert 104 <= held <= 120  # 95 % of 120 is 114; four standard deviations are 9.5


def test_batched_and_plain_figures_give_the_same_interval():
    random = np.random.default_rng(0)
    target = (random.random(300) < 0.4).astype(int)
    answer = Prediction((target + random.normal(size=300))[:, None])
    weight = random.random(300)
    plain = merit(lambda t, v: metrics.roc_auc_of(t > 0, v[:, 0]), "auc", batched=False)
    one = intervals.bootstrap([AUC], target, answer, weight, 3, repeats=100)
    other = intervals.bootstrap([plain], target, answer, weight, 3, repeats=100)
    assert one["auc"] == pytest.approx(other["auc"])


def test_the_same_seed_gives_the_same_interval_and_another_another():
    answer = Prediction(np.random.default_rng(0).normal(size=(100, 1)))
    args = ([MAE], np.zeros((100, 1)), answer, None)
    assert intervals.bootstrap(*args, 1) == intervals.bootstrap(*args, 1) != intervals.bootstrap(*args, 2)


def test_no_interval_where_nothing_is_defined():
    answer = Prediction(np.random.default_rng(0).normal(size=(50, 1)))
    assert intervals.bootstrap([AUC], np.ones(50), answer, None, 0) == {}
    assert intervals.bootstrap([MAE], np.zeros((50, 1)), answer, None, 0, repeats=0) == {}
    assert intervals.bootstrap([MAE], np.zeros((0, 1)), Prediction(np.zeros((0, 1))), None, 0) == {}
    assert intervals.bootstrap([MAE], np.zeros((2, 1)), Prediction(np.full((2, 1), np.nan)), None, 0) == {}


def test_very_many_rows_are_sampled_and_the_interval_is_that_of_all(monkeypatch):
    random = np.random.default_rng(0)
    error = random.exponential(size=(4000, 1))
    args = ([MAE], np.zeros((4000, 1)), Prediction(error), None, 1)
    low, high = intervals.bootstrap(*args, repeats=800)["mae"]
    monkeypatch.setattr(intervals, "MOST_ROWS", 500)
    sampled_low, sampled_high = intervals.bootstrap(*args, repeats=800)["mae"]
    assert sampled_high - sampled_low == pytest.approx(high - low, rel=0.2)
    assert (sampled_low + sampled_high) / 2 == pytest.approx(error.mean(), abs=0.1 * (high - low))


def test_figures_by_rank_over_very_many_classes_are_passed_over(monkeypatch):
    random = np.random.default_rng(0)
    target = np.arange(300) % 6
    chance = random.dirichlet(np.ones(6), size=300)
    figures = [merit(metrics.roc_auc, "roc_auc"), merit(metrics.log_loss, "log_loss")]
    assert set(intervals.bootstrap(figures, target, Prediction(chance), None, 0, 60)) == {"roc_auc", "log_loss"}
    monkeypatch.setattr(intervals, "_MOST_SCORES", 300 * 6 * 40)
    assert set(intervals.bootstrap(figures, target, Prediction(chance), None, 0, 60)) == {"log_loss"}


def test_a_paired_difference_is_narrower_than_two_intervals():
    random = np.random.default_rng(0)
    hard = random.exponential(size=(1000, 1))
    first, second = Prediction(hard + 0.1), Prediction(hard + 0.05 * random.random((1000, 1)))
    low, high = intervals.paired(MAE, np.zeros((1000, 1)), first, second, None, 0)
    assert 0.06 < low < 0.075 < high < 0.09
    assert intervals.paired(MAE, np.zeros((1000, 1)), first, first, None, 0) == (0.0, 0.0)
    assert intervals.paired(AUC, np.ones(1000), first, second, None, 0) is None
