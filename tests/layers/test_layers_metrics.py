"""Weighted figures against scikit-learn's; figures that are not defined are NaN, without a warning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from limpid.layers import metrics

ROWS = 300


def draw(seed: int, classes: int, *, ties: bool = True):
    random = np.random.default_rng(seed)
    target = np.concatenate([np.arange(classes), random.integers(0, classes, ROWS - classes)])
    scores = random.normal(size=(ROWS, classes)) + 1.5 * (target[:, None] == np.arange(classes))
    chance = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    if ties:
        chance = np.round(chance, 2) + 1e-3
        chance /= chance.sum(axis=1, keepdims=True)
    weight = random.choice([0.0, 1.0, 2.0, 0.37], ROWS)
    weight[:classes] = 1.0
    return target, chance, weight


def value(scorer, weight):
    return metrics.once(scorer, ROWS, weight)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_two_classes_agree_with_scikit_learn(seed: int, weighted: bool, ties: bool):
    target, chance, weight = draw(seed, 2, ties=ties)
    w = weight if weighted else None
    decided = (chance[:, 1] > 0.5).astype(int)
    expected = {
        "accuracy": sk.accuracy_score(target, decided, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(target, decided, sample_weight=w),
        "f1_macro": sk.f1_score(target, decided, average="macro", sample_weight=w),
        "roc_auc": sk.roc_auc_score(target, chance[:, 1], sample_weight=w),
        "average_precision": sk.average_precision_score(target, chance[:, 1], sample_weight=w),
        "log_loss": sk.log_loss(target, chance, sample_weight=w),
        "brier": sk.brier_score_loss(target, chance[:, 1], sample_weight=w),
    }
    found = {
        "accuracy": metrics.accuracy(target, decided),
        "balanced_accuracy": metrics.balanced_accuracy(target, decided, 2),
        "f1_macro": metrics.f1_macro(target, decided, 2),
        "roc_auc": metrics.roc_auc(target, chance),
        "average_precision": metrics.average_precision(target, chance),
        "log_loss": metrics.log_loss(target, chance),
        "brier": metrics.brier(target, chance),
    }
    for name, scorer in found.items():
        assert value(scorer, w) == pytest.approx(expected[name], abs=1e-12), name


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [3, 20])
def test_many_classes_agree_with_scikit_learn(classes: int, weighted: bool):
    target, chance, weight = draw(7, classes)
    w = weight if weighted else None
    decided = chance.argmax(axis=1)
    hot = np.eye(classes)[target]
    assert value(metrics.f1_macro(target, decided, classes), w) == pytest.approx(
        sk.f1_score(target, decided, average="macro", sample_weight=w)
    )
    assert value(metrics.balanced_accuracy(target, decided, classes), w) == pytest.approx(
        sk.balanced_accuracy_score(target, decided, sample_weight=w)
    )
    assert value(metrics.roc_auc(target, chance), w) == pytest.approx(
        sk.roc_auc_score(target, chance, multi_class="ovr", average="macro", sample_weight=w)
    )
    assert value(metrics.average_precision(target, chance), w) == pytest.approx(
        sk.average_precision_score(hot, chance, average="macro", sample_weight=w)
    )
    assert value(metrics.log_loss(target, chance), w) == pytest.approx(sk.log_loss(target, chance, sample_weight=w))
    assert value(metrics.brier(target, chance), w) == pytest.approx(
        sk.brier_score_loss(target, chance, sample_weight=w)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_labels_agree_with_scikit_learn(weighted: bool):
    random = np.random.default_rng(3)
    target = (random.random((ROWS, 4)) < [0.5, 0.2, 0.1, 0.6]).astype(float)
    chance = np.clip(0.5 * target + 0.6 * random.random((ROWS, 4)), 0.01, 0.99)
    w = random.random(ROWS) if weighted else None
    decided = chance > 0.5
    assert value(metrics.accuracy(target > 0.5, decided), w) == pytest.approx(
        sk.accuracy_score(target, decided, sample_weight=w)
    )
    assert value(metrics.f1_labels(target > 0.5, decided), w) == pytest.approx(
        sk.f1_score(target, decided, average="macro", sample_weight=w)
    )
    assert value(metrics.roc_auc(target, chance), w) == pytest.approx(
        sk.roc_auc_score(target, chance, average="macro", sample_weight=w)
    )
    expected = np.mean([sk.log_loss(target[:, k], chance[:, k], sample_weight=w) for k in range(4)])
    assert value(metrics.log_loss(target, chance), w) == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 3])
def test_regression_agrees_with_scikit_learn(targets: int, weighted: bool):
    random = np.random.default_rng(5)
    target = random.normal(100, 5, size=(ROWS, targets))
    answer = target + random.normal(size=(ROWS, targets))
    w = random.choice([0.0, 1.0, 3.0], ROWS) if weighted else None
    pairs = [
        (metrics.rmse(target, answer), sk.root_mean_squared_error),
        (metrics.mae(target, answer), sk.mean_absolute_error),
        (metrics.r2(target, answer), sk.r2_score),
        (metrics.median_absolute_error(target, answer), sk.median_absolute_error),
    ]
    for scorer, reference in pairs:
        assert value(scorer, w) == pytest.approx(reference(target, answer, sample_weight=w), rel=1e-10), reference
    assert value(metrics.pinball(target, answer, 0.2), w) == pytest.approx(
        sk.mean_pinball_loss(target, answer, alpha=0.2, sample_weight=w)
    )


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_weights_that_are_counts_equal_repeated_rows(seed: int, classes: int):
    target, chance, _ = draw(seed, classes)
    counts = np.random.default_rng(seed).integers(0, 3, ROWS)
    counts[:classes] = 1
    again = np.repeat(np.arange(ROWS), counts)
    decided = chance.argmax(axis=1)
    for make in (
        lambda i: metrics.roc_auc(target[i], chance[i]),
        lambda i: metrics.average_precision(target[i], chance[i]),
        lambda i: metrics.ece(target[i], chance[i]),
        lambda i: metrics.f1_macro(target[i], decided[i], classes),
        lambda i: metrics.r2(target[i].astype(float), chance[i][:, 0]),
        lambda i: metrics.median_absolute_error(target[i].astype(float), chance[i][:, 0]),
    ):
        whole = metrics.once(make(np.arange(ROWS)), ROWS, counts)
        assert whole == pytest.approx(metrics.once(make(again), len(again)), abs=1e-9)


def test_many_weightings_at_once_are_the_single_ones():
    target, chance, _ = draw(1, 3)
    weights = np.random.default_rng(0).integers(0, 4, size=(7, ROWS)).astype(float)
    decided = chance.argmax(axis=1)
    for scorer in (
        metrics.roc_auc(target, chance),
        metrics.average_precision(target, chance),
        metrics.ece(target, chance),
        metrics.balanced_accuracy(target, decided, 3),
        metrics.rmse(target, chance[:, 0]),
        metrics.median_absolute_error(target, chance[:, 0]),
    ):
        assert scorer(weights) == pytest.approx([metrics.once(scorer, ROWS, w) for w in weights])


def test_ece_is_zero_for_perfect_probabilities_and_the_gap_for_one_bin():
    target = np.array([1] * 7 + [0] * 3)
    said = np.full((10, 2), [0.3, 0.7])
    assert metrics.once(metrics.ece(target, said), 10) == pytest.approx(0.0, abs=1e-12)
    said = np.full((10, 2), [0.1, 0.9])
    assert metrics.once(metrics.ece(target, said), 10) == pytest.approx(0.2)


def test_what_is_not_defined_is_nan_without_a_warning():
    one_class = np.ones(5, dtype=int)
    chance = np.full((5, 2), 0.5)
    assert np.isnan(metrics.once(metrics.roc_auc(one_class, chance), 5))
    assert np.isnan(metrics.once(metrics.roc_auc(1 - one_class, chance), 5))
    assert np.isnan(metrics.once(metrics.average_precision(1 - one_class, chance), 5))
    assert np.isnan(metrics.once(metrics.r2(np.full(5, 0.1), np.arange(5.0)), 5))
    assert np.isnan(metrics.once(metrics.mae(np.arange(5.0), np.zeros(5)), 5, np.zeros(5)))
    broken = np.array([0.0, np.nan, np.inf, 1.0, 2.0])
    for scorer in (
        metrics.rmse(np.zeros(5), broken),
        metrics.mae(np.zeros(5), broken),
        metrics.r2(np.arange(5.0), broken),
        metrics.median_absolute_error(np.zeros(5), broken),
        metrics.roc_auc_of(np.array([True, False, True, False, True]), broken),
        metrics.ece(np.array([0, 1, 0, 1, 0]), np.stack([broken, broken], axis=1)),
    ):
        assert np.isnan(metrics.once(scorer, 5))


def test_classes_that_do_not_occur_are_passed_over():
    target = np.array([0, 0, 2, 2])
    chance = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7], [0.3, 0.1, 0.6]])
    assert metrics.once(metrics.roc_auc(target, chance), 4) == 1.0
    assert metrics.once(metrics.balanced_accuracy(target, chance.argmax(axis=1), 3), 4) == 1.0
