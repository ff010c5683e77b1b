"""Baselines against scikit-learn fitted by hand, and their behaviour where something is missing."""

import json
import time

import numpy as np
import pytest
from evaluation_tables import build

from limpid.core.forms import FieldsShape
from limpid.data.encoded import Encoded
from limpid.evaluation import baselines
from limpid.evaluation.features import BoostedFeatures, LinearFeatures

pytestmark = pytest.mark.slow


def run(table, seconds=None, **changes):
    parts = {"train": table.train, "valid": table.valid, "test": table.test, "shape": table.shape} | changes
    return baselines.run(parts["train"], parts["valid"], parts["test"], table.task, parts["shape"], seconds, 0)


def test_two_classes(two_classes):
    before = json.dumps(two_classes.task.state())
    trivial, linear, boosted = run(two_classes)
    assert [b.name for b in (trivial, linear, boosted)] == ["trivial", "linear", "boosted"]
    share = np.bincount(two_classes.train.target) / len(two_classes.train)
    assert trivial.answers["test"].values[0] == pytest.approx(share)
    assert trivial.metrics["test"]["roc_auc"] == 0.5
    assert linear.metrics["test"]["roc_auc"] > 0.85 and boosted.metrics["test"]["roc_auc"] > 0.85
    assert set(linear.metrics) == {"valid", "test"}
    assert linear.note == "" and boosted.note == ""
    assert json.dumps(two_classes.task.state()) == before, "the network's task was changed"
    json.dumps([b.as_dict() for b in (trivial, linear, boosted)], allow_nan=False)


def test_linear_is_logistic_regression_of_the_same_matrix(two_classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    linear = run(two_classes)[1]
    everything = np.arange(len(two_classes.train))
    features = LinearFeatures(two_classes.train, everything, two_classes.shape)
    matrix = features.matrix(two_classes.train, everything)
    assert matrix.shape == (750, 2 + 1 + 12)
    assert matrix[:, :2].std(axis=0) == pytest.approx([1.0, np.sqrt(0.8)], abs=0.02)
    model = LogisticRegression(max_iter=200).fit(matrix, two_classes.train.target)
    held = model.predict_proba(features.matrix(two_classes.test, np.arange(len(two_classes.test))))[:, 1]
    assert linear.metrics["test"]["roc_auc"] == pytest.approx(roc_auc_score(two_classes.test.target, held), abs=1e-6)


def test_boosted_is_the_booster_at_its_defaults(two_classes):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    boosted = run(two_classes)[2]
    everything = np.arange(len(two_classes.train))
    features = BoostedFeatures(two_classes.train, everything, two_classes.shape)
    assert features.categorical.tolist() == [False, False, True, True]
    matrix = features.matrix(two_classes.train, everything)
    assert np.isnan(matrix).any()
    model = HistGradientBoostingClassifier(categorical_features=features.categorical)
    model.fit(matrix, two_classes.train.target)
    held = model.predict_proba(features.matrix(two_classes.test, np.arange(len(two_classes.test))))[:, 1]
    assert boosted.metrics["test"]["roc_auc"] == pytest.approx(roc_auc_score(two_classes.test.target, held), abs=1e-6)


def test_numbers(numbers):
    trivial, linear, boosted = run(numbers)
    assert trivial.metrics["test"]["r2"] == pytest.approx(0.0, abs=0.02)
    assert boosted.metrics["test"]["rmse"] < linear.metrics["test"]["rmse"] < trivial.metrics["test"]["rmse"]
    assert boosted.answers["test"].lower is not None


def test_the_median_where_absolute_errors_count():
    table = build(lambda n, m, c, r: {"y": np.exp(2 * n[:, 0])}, task="regression", kind="number", metric="mae")
    trivial = run(table)[0]
    assert trivial.answers["test"].values[0, 0] == pytest.approx(np.median(table.train.target), rel=0.02)
    assert "median" in trivial.note


def test_several_targets_and_labels():
    several = build(lambda n, m, c, r: {"a": n[:, 0] * 3, "b": c[:, 1] * 100.0}, task="regression", kind="number")
    trivial, linear, boosted = run(several)
    assert linear.metrics["test"]["r2"] > 0.5 > trivial.metrics["test"]["r2"]
    assert boosted.answers["valid"].values.shape == (375, 2)
    labels = build(
        lambda n, m, c, r: {
            "t": [["p"] * int(x > 0) + ["q"] * int(k == 3) for x, k in zip(n[:, 0], c[:, 0], strict=True)]
        },
        kind="labels",
    )
    trivial, linear, boosted = run(labels)
    assert linear.metrics["test"]["roc_auc"] > 0.95 and boosted.metrics["test"]["roc_auc"] > 0.95


def test_a_label_that_never_changes_is_no_failure():
    table = build(lambda n, m, c, r: {"a": n[:, 0] > 0, "b": np.arange(len(n)) < 2}, kind="category")
    for baseline in run(table, train=table.train.take(slice(2, None))):
        assert baseline.metrics["test"]["log_loss"] is not None, baseline.note


def test_a_class_that_the_sample_lacks_has_no_probability(monkeypatch):
    table = build(lambda n, m, c, r: {"t": np.where(np.arange(len(n)) == 3, "rare", np.where(n[:, 0] > 0, "a", "b"))})
    for baseline in run(table):
        assert baseline.answers["test"].values.shape == (375, 3)
        assert baseline.metrics["test"]["accuracy"] is not None, baseline.note


def test_weights_are_heard():
    def target(n, m, c, r):
        return {"t": np.where(r.random(len(n)) < 0.5, "x", "y")}

    table = build(target)
    heavy = np.where(table.train.target == 1, 9.0, 1.0).astype(np.float32)
    for baseline in run(table, train=Encoded(table.train.arrays, table.train.rows, table.train.target, heavy)):
        if baseline.name == "trivial":
            assert baseline.answers["test"].values[0, 1] > 0.85


def test_tokens_alone_are_enough():
    random = np.random.default_rng(0)
    tokens = random.integers(1, 400, size=(900, 12)).astype(np.int32)
    tokens[random.random((900, 12)) < 0.3] = 0
    said = (tokens == 7).any(axis=1) | (random.random(900) < 0.5)
    tokens[said, 0] = 7
    table = build(lambda n, m, c, r: {"t": np.where(said, "spam", "ham")}, rows=900)
    words = Encoded({"note.tokens": tokens}, np.arange(900), table.task.encode(_frame(said)))
    parts = {
        "train": words.take(slice(0, 450)),
        "valid": words.take(slice(450, 675)),
        "test": words.take(slice(675, 900)),
    }
    for baseline in run(table, shape=None, **parts)[1:]:
        assert baseline.metrics["test"]["roc_auc"] > 0.9, baseline.name


def _frame(said):
    import polars as pl

    return pl.DataFrame({"t": np.where(said, "spam", "ham")})


def test_many_categories_stay_sparse():
    from scipy import sparse

    random = np.random.default_rng(0)
    part = Encoded(
        {
            "fields.numbers": np.zeros((200, 0), dtype=np.float32),
            "fields.missing": np.zeros((200, 0), dtype=np.uint8),
            "fields.categories": random.integers(0, 5000, size=(200, 1)),
        },
        np.arange(200),
    )
    shape = FieldsShape(categories=("zip",), cardinalities=(5000,))
    matrix = LinearFeatures(part, np.arange(200), shape).matrix(part, np.arange(200))
    assert sparse.issparse(matrix) and matrix.shape == (200, 5000) and matrix.nnz == 200
    assert BoostedFeatures(part, np.arange(200), shape).categorical.tolist() == [False]


def test_a_failure_is_noted_and_the_others_go_on(two_classes, monkeypatch):
    def fail(*_):
        raise ValueError("no such luck\nand more")

    monkeypatch.setattr(baselines.LinearFeatures, "matrix", fail)
    trivial, linear, boosted = run(two_classes)
    assert linear.metrics == {} and linear.note == "failed: no such luck"
    assert trivial.metrics and boosted.metrics


def test_very_many_rows_are_sampled_and_said(two_classes, monkeypatch):
    monkeypatch.setattr(baselines, "_LINEAR_ROWS", 200)
    monkeypatch.setattr(baselines, "_BOOSTED_ROWS", 300)
    _, linear, boosted = run(two_classes)
    assert "on a sample of 200 of 750" in linear.note and "on a sample of 300 of 750" in boosted.note


def test_many_classes_take_fewer_iterations(two_classes, monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_TREES", 40)
    assert "40 iterations instead of 100" in run(two_classes)[2].note


def test_without_time_only_the_trivial_one_is_left(two_classes):
    trivial, linear, boosted = run(two_classes, seconds=0.5)
    assert trivial.metrics and not linear.metrics and not boosted.metrics
    assert "left out" in linear.note and "left out" in boosted.note


def test_a_clock_that_runs_out_stops_a_fit_between_two_strides(two_classes, monkeypatch):
    pace = baselines._Pace(100, 10, time.monotonic() - 1, cumulative=True)
    booster = baselines._booster(_work(two_classes), np.zeros(4, dtype=bool), False)
    matrix = BoostedFeatures(two_classes.train, np.arange(750), two_classes.shape).matrix(
        two_classes.train, np.arange(750)
    )
    pace.fit(booster, matrix, two_classes.train.target, None, pace.limit)
    assert (pace.reached, pace.finished) == (10, False)


def test_strides_end_where_one_fit_ends(two_classes):
    matrix = BoostedFeatures(two_classes.train, np.arange(750), two_classes.shape).matrix(
        two_classes.train, np.arange(750)
    )
    answers = []
    for limit in (None, time.monotonic() + 1000):
        pace = baselines._Pace(20, 5, limit, cumulative=True)
        booster = baselines._booster(_work(two_classes), np.zeros(4, dtype=bool), False)
        pace.fit(booster, matrix, two_classes.train.target, None, limit)
        assert (pace.reached, pace.finished) == (20, True)
        answers.append(booster.predict_proba(matrix))
    assert answers[0] == pytest.approx(answers[1])


def _work(table):
    return baselines._Work(table.train, table.train.target, table.task, table.shape, 0, None)


def test_with_time_enough_all_three_are_there(two_classes):
    for baseline in run(two_classes, seconds=60.0):
        assert baseline.metrics["test"]["log_loss"] is not None, baseline.note


def test_a_missing_test_part_is_no_error(two_classes):
    assert set(run(two_classes, test=None)[1].metrics) == {"valid"}
