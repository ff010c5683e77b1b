"""Plans, losses, probabilities, thresholds and figures of classification."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from limpid.core.contracts import Prediction
from limpid.core.errors import BundleError, DataError, RequestError
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.tasks.classification import Classification, ClassificationSpec


def make(values, *, weight=None, kind="category", **settings):
    frame = values if isinstance(values, pl.DataFrame) else pl.DataFrame({"t": values})
    facts = [column_facts(c) for c in frame.get_columns()]
    spec, reasons = Classification.plan(ClassificationSpec(**settings), facts, [kind] * frame.width, frame.height)
    assert not spec.autos()
    return Classification.fit(spec, frame, weight), frame, reasons


def softmax(z):
    raised = np.exp(z - z.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def noisy(codes, classes, *, seed=0, scale=2.0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(len(codes), classes)) + scale * np.eye(classes)[codes]).astype(np.float32)


def test_every_choice_has_a_reason():
    _, _, reasons = make(["a", "b"] * 50)
    assert set(reasons) == {
        "multi_label",
        "separator",
        "loss",
        "label_smoothing",
        "class_weights",
        "threshold",
        "metric",
    }
    assert all(len(r) > 10 for r in reasons.values())


@pytest.mark.parametrize(
    ("rare", "rows", "threshold"), [(0.5, 1000, 0.5), (0.11, 1000, 0.5), (0.05, 4000, "f1"), (0.05, 200, 0.5)]
)
def test_a_threshold_is_chosen_for_a_rare_class_only(rare, rows, threshold):
    few = int(rare * rows)
    task, _, reasons = make(["yes"] * few + ["no"] * (rows - few))
    assert task.spec.threshold == threshold
    assert "threshold" in reasons


def test_what_the_user_set_stays_and_needs_no_reason():
    task, _, reasons = make(["a", "b"] * 9, loss="focal", threshold=0.3, metric="roc_auc", label_smoothing=0.2)
    assert (task.spec.loss, task.spec.threshold, task.spec.metric) == ("focal", 0.3, "roc_auc")
    assert not {"loss", "threshold", "metric", "label_smoothing"} & set(reasons)
    assert task.metrics[0].name == "roc_auc" and task.threshold.tolist() == [0.3]


def test_settings_that_contradict_each_other_are_refused():
    lists = pl.Series([["a"], ["b", "a"]])
    with pytest.raises(RequestError, match="exclude each other"):
        make(lists, kind="labels", loss="cross_entropy")
    with pytest.raises(RequestError, match="not defined for sets of labels"):
        make(lists, kind="labels", metric="balanced_accuracy")
    with pytest.raises(RequestError, match="one class against another, and there are 3"):
        make(["a", "b", "c"] * 9, metric="f1")
    with pytest.raises(RequestError, match="class_weights names 'c'"):
        make(["a", "b"], class_weights={"c": 2.0})
    with pytest.raises(RequestError, match="2 target columns"):
        make(pl.DataFrame({"a": [0, 1], "b": [0, 1]}), multi_label=False)


def test_one_class_is_a_clear_error():
    with pytest.raises(DataError, match="only the class 'a'") as caught:
        make(["a", "a"])
    assert "column t" in caught.value.where


def test_training_rows_without_a_class_are_passed_over():
    make([1.0, 2.0, float("inf"), float("nan")])
    task, _, _ = make(["a", "b", None, "b", " "])
    outputs = task.head(2, None)(torch.zeros(1, 2)).detach().numpy()
    assert task.predict(outputs).values == pytest.approx(np.array([[1 / 3, 2 / 3]]))


def test_an_unseen_class_is_an_error_or_a_counted_row():
    task, _, _ = make(["cat", "dog"] * 5)
    held = pl.DataFrame({"t": ["cat", "cow", "dog", "hen"]})
    with pytest.raises(DataError, match="'cow' is no class") as caught:
        task.encode(held, rows=np.array([10, 20, 30, 40]))
    assert "row 21" in caught.value.where and "column t" in caught.value.where and "cat" in caught.value.expected
    repairs = Repairs()
    codes = task.encode(held, repairs, unseen="drop")
    assert codes.tolist() == [0, -1, 1, -1] and codes.dtype == np.int64
    assert task.usable(codes).tolist() == [True, False, True, False]
    assert [r.count for r in repairs] == [2]


def test_the_head_begins_at_the_class_shares():
    task, _, _ = make(["a"] * 90 + ["b"] * 10)
    for members in (None, 3):
        shape = (1, 4) if members is None else (1, members, 4)
        outputs = task.head(4, members)(torch.zeros(shape)).detach().numpy()
        assert task.predict(outputs).values == pytest.approx(np.array([[0.9, 0.1]]), abs=1e-6)
    lists, _, _ = make(pl.Series([["a"]] * 9 + [["a", "b"]]), kind="labels")
    outputs = lists.head(4, None)(torch.zeros(1, 4)).detach().numpy()
    assert lists.predict(outputs).values[0, 1] == pytest.approx(0.1, abs=1e-4)
    one, _, _ = make(["a"] * 90 + ["b"] * 10, loss="bce")
    outputs = one.head(4, None)(torch.zeros(1, 4)).detach().numpy()
    assert one.predict(outputs).values == pytest.approx(np.array([[0.9, 0.1]]), abs=1e-6)


def test_members_are_averaged_as_probabilities():
    task, _, _ = make(["a", "b", "c"] * 4)
    outputs = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    assert task.predict(outputs).values == pytest.approx(softmax(outputs).mean(axis=1), abs=1e-6)
    assert task.predict(outputs[:, 0]).values == pytest.approx(softmax(outputs[:, 0]), abs=1e-6)
    assert task.predict(outputs[:0]).values.shape == (0, 3)


def test_many_rows_are_turned_into_probabilities_in_pieces(monkeypatch):
    task, _, _ = make(["a", "b", "c"] * 4)
    outputs = np.random.default_rng(0).normal(size=(100, 4, 3)).astype(np.float32)
    whole = task.predict(outputs).values
    monkeypatch.setattr("limpid.tasks.classification._CHUNK", 50)
    assert (task.predict(outputs).values == whole).all()


def test_class_weights_multiply_the_loss_and_leave_the_probabilities_honest():
    values = ["a"] * 900 + ["b"] * 100
    plain, frame, _ = make(values)
    balanced, _, _ = make(values, class_weights="balanced")
    target = torch.from_numpy(balanced.encode(frame))
    outputs = torch.zeros(1000, 2)
    ratio = balanced.loss(outputs, target) / plain.loss(outputs, target)
    assert ratio[-1].item() / ratio[0].item() == pytest.approx(9.0)
    assert ratio.mean().item() == pytest.approx(1.0, rel=1e-5)
    # The logits that are best under the weighted loss say half and half; the answer says nine in ten, and decides evenly.
    assert balanced.predict(np.zeros((1, 2), dtype=np.float32)).values == pytest.approx(np.array([[0.9, 0.1]]))
    assert balanced.decide(np.array([[0.85, 0.15], [0.95, 0.05]])).tolist() == [1, 0]
    named, _, _ = make(values, class_weights={"b": 9.0})
    assert named.loss(outputs, target) == pytest.approx(balanced.loss(outputs, target))


def test_balanced_weights_of_a_class_with_one_row_are_bounded():
    task, frame, _ = make(["a"] * 100_000 + ["b"], class_weights="balanced")
    loss = task.loss(torch.zeros(len(frame), 2), torch.from_numpy(task.encode(frame)))
    assert loss[-1] / loss[0] == pytest.approx(100.0)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "bce"])
def test_every_loss_learns_the_shares(loss):
    values = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    task, frame, _ = make(values, loss=loss)
    target = task.prepare_target(torch.from_numpy(task.encode(frame)))
    logits = torch.zeros(1, 3, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=100)

    def closure():
        optimiser.zero_grad()
        total = task.loss(logits.expand(100, 3), target).mean()
        total.backward()
        return total

    optimiser.step(closure)
    values = task.predict(logits.detach().numpy()).values[0]
    assert values.sum() == pytest.approx(1.0)
    assert np.argsort(values).tolist() == [2, 1, 0]
    if loss != "focal":  # the focal loss is known to flatten them, which calibration mends
        assert values == pytest.approx([0.6, 0.3, 0.1], abs=1e-3)


def test_calibration_lowers_the_log_loss_and_keeps_the_ranking():
    random = np.random.default_rng(0)
    codes = random.integers(0, 2, 3000)
    task, _, _ = make(["n", "y"] * 10)
    outputs = np.stack([noisy(codes, 2, seed=s) * 4 for s in range(3)], axis=1)
    before = task.predict(outputs).values
    reasons = task.calibrate(outputs, codes, None)
    after = task.predict(outputs).values
    assert log_loss(codes, after) < log_loss(codes, before) - 0.02
    assert roc_auc_score(codes, after[:, 1]) == pytest.approx(roc_auc_score(codes, before[:, 1]))
    assert "temperature" in reasons and "threshold" not in reasons


def test_f1_is_of_the_positive_class():
    names = ["spam", "ham"] * 9
    for positive in (None, "ham"):
        task, frame, _ = make(names, positive=positive)
        codes = task.encode(frame)
        values = np.tile([0.4, 0.6], (18, 1))  # always the positive class
        values[:2] = [0.9, 0.1]
        found = {m.name: m.compute(codes, Prediction(values), None) for m in task.metrics}
        assert found["f1"] == pytest.approx(f1_score(codes, values[:, 1] > 0.5))
    three, _, _ = make(["a", "b", "c"] * 9)
    assert "f1" not in {m.name for m in three.metrics}


def test_the_threshold_of_a_rare_class_is_found_on_validation_rows():
    random = np.random.default_rng(1)
    codes = (random.random(4000) < 0.04).astype(int)
    task, _, _ = make(["no"] * 3840 + ["yes"] * 160)
    outputs = noisy(codes, 2, scale=1.0)
    outputs[:, 0] += 3
    reasons = task.calibrate(outputs, codes, None)
    values = task.predict(outputs).values
    assert task.threshold[0] < 0.4 and "F1" in reasons["threshold"]
    plain = f1_score(codes, values[:, 1] > 0.5, average="macro")
    assert f1_score(codes, task.decide(values), average="macro") > plain + 0.05
    figure = {m.name: m.compute(codes, Prediction(values), None) for m in task.metrics}
    assert figure["f1_macro"] == pytest.approx(f1_score(codes, task.decide(values), average="macro"))
    assert figure["f1"] == pytest.approx(f1_score(codes, task.decide(values)))


def test_outputs_that_are_not_finite_do_not_crash_anything():
    task, _, _ = make(["a", "b"] * 10)
    outputs = np.full((10, 2), np.nan, dtype=np.float32)
    target = np.arange(10) % 2
    assert "no validation row" in task.calibrate(outputs, target, None)["temperature"]
    prediction = task.predict(outputs)
    for metric in task.metrics:
        value = metric.compute(target, prediction, None)
        assert np.isnan(value) or metric.name in ("accuracy", "f1", "f1_macro", "balanced_accuracy")
    assert not task.figures(target, prediction)["reliability"]
    huge = np.array([[3e38, -3e38], [np.inf, 0.0]], dtype=np.float32)
    task.predict(huge)


def test_labels_have_a_temperature_and_a_threshold_each():
    random = np.random.default_rng(0)
    target = (random.random((2000, 2)) < [0.5, 0.1]).astype(np.float32)
    rows = [[n for n, v in zip("ab", row, strict=True) if v] for row in target]
    task, frame, _ = make(pl.Series(rows), kind="labels", threshold="f1")
    assert task.multi_label and task.outputs == 2
    assert (task.encode(frame) == target).all()
    outputs = (random.normal(size=(2000, 2)) + 2 * target - [0.5, 3.0]).astype(np.float32) * [5.0, 1.0]
    task.calibrate(outputs, target, None)
    assert task.temperature[0] > 1.5 * task.temperature[1]
    assert task.threshold[1] < 0.5
    answer = task.decode(task.predict(outputs[:3]))
    assert answer.columns == ["prediction", "probability_a", "probability_b"]
    assert answer["prediction"].dtype == pl.List(pl.String)
    loss = task.loss(torch.from_numpy(outputs).float(), task.prepare_target(torch.from_numpy(target)))
    assert loss.shape == (2000,)
    figures = task.figures(target, task.predict(outputs))
    assert [entry["label"] for entry in figures["labels"]] == ["a", "b"] and "confusion" not in figures


def test_answers_are_written_in_the_type_of_the_target():
    task, _, _ = make([3, 1, 1])
    answer = task.decode(Prediction(np.array([[0.2, 0.8], [0.9, 0.1]])))
    assert answer.to_dict(as_series=False) == {
        "prediction": [3, 1],
        "probability_1": [0.2, 0.9],
        "probability_3": [0.8, 0.1],
    }


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_probabilities_of_other_models_pass_through_unchanged(loss, weights):
    task, _, _ = make(["a"] * 8 + ["b"] * 3 + ["c"], loss=loss, class_weights=weights)
    chance = softmax(np.random.default_rng(0).normal(size=(20, 3)))
    assert task.predict(task.outputs_of(chance)).values == pytest.approx(
        chance, abs=1e-6 if loss == "cross_entropy" else 1e-4
    )


def test_figures_are_bounded_json():
    codes = np.arange(2000) % 50
    task, _, _ = make([f"c{c:02}" for c in codes])
    prediction = task.predict(noisy(codes, 50))
    figures = task.figures(codes, prediction)
    text = json.dumps(figures, allow_nan=False)
    assert len(text) < 50_000
    assert len(figures["classes"]) == 31 and figures["classes"][-1] == "other"
    assert sum(map(sum, figures["confusion"])) == 2000
    assert figures["threshold"] is None
    two, _, _ = make(["a", "b"] * 10)
    figures = two.figures(codes % 2, two.predict(noisy(codes % 2, 2)))
    assert figures["positive"] == "b" and figures["threshold"] == 0.5
    assert len(figures["roc"]["fpr"]) <= 200 and figures["pr"]["recall"][-1] == 1
    json.dumps(two.figures(np.zeros(5, dtype=int), two.predict(noisy(np.zeros(5, dtype=int), 2))), allow_nan=False)


def test_sample_weights_count_in_the_shares():
    task, _, _ = make(["a", "b"], weight=np.array([3.0, 1.0]))
    outputs = task.head(2, None)(torch.zeros(1, 2)).detach().numpy()
    assert task.predict(outputs).values == pytest.approx(np.array([[0.75, 0.25]]))


def test_a_hostile_state_is_refused():
    task, _, _ = make(["a", "b", "c"] * 5)
    state = task.state()
    for change in (
        {"temperature": [0.0]},
        {"temperature": [1.0, 1.0]},
        {"temperature": ["1"]},
        {"temperature": float("nan")},
        {"threshold": [2.0]},
        {"threshold": []},
        {"shares": [0.5, 0.5]},
        {"shares": [2.0, -1.0, 0.0]},
        {"shares": [1, None, 0]},
        {"target": {"mode": "classes", "classes": {"names": ["a"], "kind": "text"}}},
        {"target": {"mode": "sets", "separator": "", "labels": {"names": ["a", "b", "c"], "kind": "text"}}},
        {"target": 3},
        {"extra": 1},
    ):
        with pytest.raises(BundleError):
            Classification.from_state(task.spec, {**state, **change})
    with pytest.raises(BundleError):
        Classification.from_state(ClassificationSpec(), state)
    with pytest.raises(BundleError):
        Classification.from_state(task.spec.with_(class_weights={"z": 1.0}), state)
    with pytest.raises(BundleError):
        Classification.from_state(task.spec, [])


def test_adult_is_read_from_its_two_files(real_data):
    train = pl.read_csv(real_data("adult/adult-train.csv"), has_header=False, columns=[14]).drop_nulls()
    test = pl.read_csv(real_data("adult/adult-test.csv"), has_header=False, columns=[14]).drop_nulls()
    task, _, _ = make(train.rename({train.columns[0]: "t"}))
    repairs = Repairs()
    codes = task.encode(test, repairs)
    assert task.classes == ("<=50K", ">50K")
    assert codes.mean() == pytest.approx(0.2362, abs=1e-4)
    assert sum(r.count for r in repairs) == len(codes) == 16281
