"""The verdict names the winner, a baseline first."""

import numpy as np

from limpid.core.contracts import Metric, Prediction
from limpid.evaluation.baselines import Baseline
from limpid.evaluation.verdict import differences, verdict
from limpid.layers import metrics

AUC = Metric("roc_auc", True, lambda t, p, w: 0.0)


def mae(target, prediction, weight):
    return metrics.once(metrics.mae(target, prediction.values), len(target), weight)


MAE = Metric("mae", False, mae, lambda t, p: metrics.mae(t, p.values))


def of(name, value, part="test"):
    return Baseline(name, {part: {"roc_auc": value, "mae": value}}, 1.0)


def test_a_baseline_that_wins_comes_first():
    said = verdict(AUC, {"roc_auc": 0.80}, {"roc_auc": (0.79, 0.81)}, [of("linear", 0.7), of("boosted", 0.9)])
    assert said.startswith("A baseline wins: the boosted baseline has roc_auc 0.9") and "0.8" in said
    said = verdict(MAE, {"mae": 12345.0}, {}, [of("linear", 10000.0)])
    assert said.startswith("A baseline wins") and "12,345" in said


def test_a_lead_within_luck_is_said_to_be_one():
    said = verdict(AUC, {"roc_auc": 0.90}, {"roc_auc": (0.89, 0.91)}, [of("boosted", 0.905)])
    assert said.startswith("A baseline is ahead, though by less than luck could explain")
    said = verdict(AUC, {"roc_auc": 0.905}, {"roc_auc": (0.89, 0.91)}, [of("boosted", 0.9)])
    assert said.startswith("Too close to call")
    certain = verdict(
        AUC, {"roc_auc": 0.905}, {"roc_auc": (0.89, 0.91)}, [of("boosted", 0.9)], gaps={"boosted": (0.001, 0.009)}
    )
    assert certain.startswith("The network wins")


def test_a_clear_win_says_over_whom():
    said = verdict(AUC, {"roc_auc": 0.95}, {"roc_auc": (0.94, 0.96)}, [of("linear", 0.7), of("boosted", 0.9)])
    assert said.startswith("The network wins") and "boosted" in said and "best of 2" in said


def test_missing_figures_are_said():
    assert "not defined" in verdict(AUC, {"roc_auc": None}, {}, [of("linear", 0.7)])
    assert "no baseline was trained" in verdict(AUC, {"roc_auc": 0.7}, {}, [])
    assert "no baseline has that figure" in verdict(AUC, {"roc_auc": 0.7}, {}, [Baseline("linear", {}, 0.0)])
    assert "on valid rows" in verdict(AUC, {"roc_auc": 0.7}, {}, [of("linear", 0.6, "valid")], part="valid")


def test_differences_are_paired():
    random = np.random.default_rng(0)
    target = random.normal(size=(500, 1))
    ours, theirs = Prediction(target + 0.1), Prediction(target + 0.1 + 0.02 * random.random((500, 1)))
    other = Baseline("linear", {"test": {"mae": 0.11}}, 1.0, answers={"test": theirs})
    gaps = differences(MAE, target, ours, None, [other, Baseline("boosted", {}, 0.0)], 0)
    assert set(gaps) == {"linear"} and gaps["linear"][1] < 0
    assert verdict(MAE, {"mae": 0.1}, {"mae": (0.05, 0.15)}, [other], gaps=gaps).startswith("The network wins")
