"""Temperature against a grid search, thresholds against trying every one, intervals against their promise."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from limpid.core.errors import BundleError
from limpid.layers import calibration, curves
from limpid.layers.conformal import Widths, upper_quantile
from limpid.layers.heads import linear_head


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_temperature_is_where_the_log_loss_is_least(classes: int, true: float):
    random = np.random.default_rng(classes)
    logits = random.normal(size=(4000, classes)) * 2
    target = np.array([random.choice(classes, p=p) for p in softmax(logits / true)])
    found = calibration.fit_temperature(softmax(logits), target, None)
    best = minimize_scalar(
        lambda t: log_loss(target, softmax(logits / t), labels=range(classes)), bounds=(0.05, 20), method="bounded"
    ).x
    assert found == pytest.approx(best, rel=0.04)  # the penalty draws it a little towards 1
    assert found == pytest.approx(true, rel=0.2)


def test_temperature_keeps_order_and_sums():
    chance = softmax(np.random.default_rng(0).normal(size=(50, 4)))
    tempered = calibration.temper(chance, 0.5)
    assert (tempered.argmax(axis=1) == chance.argmax(axis=1)).all()
    assert tempered.sum(axis=1) == pytest.approx(np.ones(50))
    assert calibration.temper_binary(np.array([[0.2, 0.9]]), np.array([1.0, 2.0])) == pytest.approx(
        np.array([[0.2, 0.75]])
    )


def test_temperature_does_not_run_away_where_every_row_is_right():
    target = np.arange(22) % 3
    chance = softmax(np.eye(3)[target] * 3.0)
    assert 0.2 < calibration.fit_temperature(chance, target, None) < 1.0
    certain = np.eye(3)[target]
    assert 0.01 <= calibration.fit_temperature(certain, target, None) <= 1.0
    assert 1.0 < calibration.fit_temperature(certain, (target + 1) % 3, None) <= 100.0


def test_temperature_follows_the_weights_and_ignores_their_scale():
    random = np.random.default_rng(1)
    chance = softmax(random.normal(size=(600, 3)) * 3)
    target = np.array([random.choice(3, p=p) for p in calibration.temper(chance, 2.0)])
    weight = random.integers(0, 3, 600).astype(float)
    again = np.repeat(np.arange(600), weight.astype(int))
    found = calibration.fit_temperature(chance, target, weight)
    assert found == pytest.approx(calibration.fit_temperature(chance, target, 10 * weight))
    assert found == pytest.approx(calibration.fit_temperature(chance[again], target[again], None), rel=0.02)


@pytest.mark.parametrize(("aim", "reference"), [("f1", f1_score), ("balanced", balanced_accuracy_score)])
def test_the_cut_is_the_best_of_all(aim, reference):
    random = np.random.default_rng(2)
    positive = random.random(400) < 0.1
    score = np.round(np.clip(0.2 + 0.2 * positive + 0.15 * random.normal(size=400), 0, 1), 2)
    threshold, reached = calibration.best_cut(score, positive, None, aim)
    extra = {"average": "macro"} if aim == "f1" else {}
    values = np.unique(score)
    tried = [reference(positive, score > (a + b) / 2, **extra) for a, b in pairwise(values)]
    assert reached == pytest.approx(max(tried))
    assert reference(positive, score > threshold, **extra) == pytest.approx(max(tried))


def test_no_cut_is_chosen_from_too_few_rows():
    positive = np.arange(100) < 9
    assert calibration.best_cut(np.linspace(0, 1, 100), positive, None, "f1") is None
    assert calibration.best_cut(np.zeros(100), np.arange(100) < 50, None, "f1") is None


def test_the_quantile_counts_one_more_row():
    score = np.arange(1.0, 20.0)  # 19 of them: the 18th is the ceil(20 * .9)-th
    assert upper_quantile(score, 0.9) == 18.0
    assert upper_quantile(np.arange(1.0, 10.0), 0.9) == 9.0
    assert upper_quantile(np.arange(1.0, 4.0), 0.9) == 3.0
    assert upper_quantile(np.zeros(0), 0.9) == 0.0
    assert upper_quantile(score, 0.9, np.full(19, 7.0)) == 18.0


@pytest.mark.parametrize("rows", [30, 150, 1500])
@pytest.mark.parametrize("members", [False, True])
def test_intervals_hold_nine_in_ten_rows_on_average(rows: int, members: bool):
    held = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        x = random.uniform(0, 1, rows + 500)
        noise = (0.2 + 2 * x) * (random.exponential(size=len(x)) - 1)  # skewed, and wider on the right
        value, truth = 10 * x, 10 * x + noise
        spread = 0.1 * (0.2 + 2 * x) if members else None
        widths = Widths.fit(value[:rows], truth[:rows], None if spread is None else spread[:rows], None)
        lower, upper = widths.bounds(value[rows:], None if spread is None else spread[rows:])
        held.append(((lower <= truth[rows:]) & (truth[rows:] <= upper)).mean())
    error = np.std(held) / np.sqrt(len(held))
    assert np.mean(held) > 0.9 - 3 * error
    assert np.mean(held) < 0.9 + 2.5 / rows + 0.02 + 3 * error


def test_intervals_are_wider_where_errors_are():
    random = np.random.default_rng(0)
    value = random.uniform(0, 1, 4000)
    truth = value + (0.05 + value) * random.normal(size=4000)
    widths = Widths.fit(value, truth, None, None)
    lower, upper = widths.bounds(np.array([0.1, 0.9]), None)
    assert (upper - lower)[1] > 3 * (upper - lower)[0]
    ends = np.digitize(value, [0.25, 0.5, 0.75])
    low, high = widths.bounds(value, None)
    for quarter in range(4):
        inside = ends == quarter
        assert 0.84 < ((low <= truth) & (truth <= high))[inside].mean() < 0.96


def test_widths_survive_json_and_refuse_nonsense():
    random = np.random.default_rng(0)
    value = random.normal(size=500)
    widths = Widths.fit(value, value + random.normal(size=500), np.abs(random.normal(size=500)), None)
    assert Widths.from_state(widths.state()) == widths
    good = widths.state()
    for change in (
        {"low": float("nan")},
        {"low": "1"},
        {"high": True},
        {"knots": [1.0]},
        {"knots": good["knots"][::-1]},
        {"knots": [0.0] * 10_000, "at_knots": [0.0] * 10_000},
        {"spread_floor": 0.0},
        {"rows": 1.5},
        {"more": 1},
    ):
        with pytest.raises(BundleError):
            Widths.from_state({**good, **change})
    with pytest.raises(BundleError):
        Widths.from_state([1])


def test_a_perfect_model_has_intervals_without_width():
    value = np.arange(300.0)
    widths = Widths.fit(value, value, None, None)
    lower, upper = widths.bounds(value, None)
    assert (lower == value).all() and (upper == value).all()


def test_curves_end_where_they_must_and_stay_short():
    random = np.random.default_rng(0)
    positive = random.random(5000) < 0.3
    score = random.normal(size=5000) + positive
    roc = curves.roc_points(positive, score)
    assert (
        len(roc["fpr"]) <= 200
        and (roc["fpr"][0], roc["tpr"][0]) == (0, 0)
        and (roc["fpr"][-1], roc["tpr"][-1]) == (1, 1)
    )
    assert roc["fpr"] == sorted(roc["fpr"]) and roc["tpr"] == sorted(roc["tpr"])
    area = np.trapezoid(roc["tpr"], roc["fpr"])
    from sklearn.metrics import roc_auc_score

    assert area == pytest.approx(roc_auc_score(positive, score), abs=2e-3)
    pr = curves.precision_recall_points(positive, score)
    assert (
        len(pr["recall"]) <= 200
        and pr["recall"][-1] == 1
        and pr["precision"][-1] == pytest.approx(positive.mean(), rel=1e-4)
    )
    assert curves.roc_points(np.ones(3, dtype=bool), np.arange(3.0)) == {"fpr": [], "tpr": []}


def test_histograms_count_every_row():
    values = np.random.default_rng(0).normal(size=1000)
    assert sum(curves.histogram(values, low=-1.0, high=1.0)["counts"]) == 1000
    assert sum(map(sum, curves.histogram2d(values, values[::-1])["counts"])) == 1000
    assert sum(curves.histogram(np.full(5, 3.0))["counts"]) == 5
    assert sum(curves.histogram(np.zeros(0))["counts"]) == 0
    assert curves.confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist() == [[1, 0], [1, 1]]
    bins = curves.reliability(np.array([0.05, 0.95, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert [b["count"] for b in bins] == [1, 2] and bins[1]["share"] == 1.0


def test_heads_begin_at_their_bias():
    import torch

    assert linear_head(4, 2, None, bias=[0.5, -0.5])(torch.zeros(1, 4)).tolist() == [[0.5, -0.5]]
    several = linear_head(4, 2, 3, bias=[0.5, -0.5])(torch.zeros(1, 3, 4))
    assert several.tolist() == [[[0.5, -0.5]] * 3]
