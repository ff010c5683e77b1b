"""Scales, losses, answers and intervals of regression."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from limpid.core.contracts import Prediction
from limpid.core.errors import BundleError, DataError
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.tasks.regression import Regression, RegressionSpec
from limpid.tasks.target_scale import TargetScale


def make(values, **settings):
    frame = values if isinstance(values, pl.DataFrame) else pl.DataFrame({"y": values})
    facts = [column_facts(c) for c in frame.get_columns()]
    spec, reasons = Regression.plan(RegressionSpec(**settings), facts, ["number"] * frame.width, frame.height)
    assert not spec.autos()
    return Regression.fit(spec, frame, None), frame, reasons


def skewed(rows=4000, seed=0):
    return np.exp(np.random.default_rng(seed).normal(3, 1.5, rows))


def test_plain_numbers_are_standardised_and_squared():
    task, _, reasons = make(np.random.default_rng(0).normal(5, 2, 500))
    assert (task.spec.transform, task.spec.loss, task.spec.metric) == ("standard", "mse", "rmse")
    assert set(reasons) == {"transform", "loss", "metric", "decimal"}


def test_a_wild_value_calls_for_huber_and_a_robust_scale():
    values = np.append(np.random.default_rng(0).normal(0, 1, 500), 1e6)
    task, _, reasons = make(values)
    assert task.spec.loss == "huber" and "1e+06" in reasons["loss"]
    scaled = task.prepare_target(torch.from_numpy(task.encode(pl.DataFrame({"y": values}))))
    assert scaled[:500].std().item() == pytest.approx(1.0, abs=0.15)


def test_medians_of_long_tails_are_learnt_on_a_log_scale_and_means_are_not():
    assert make(skewed(), metric="mae")[0].spec.transform == "log"
    assert make(skewed(), loss="quantile")[0].spec.transform == "log"
    assert make(skewed(), loss="mse")[0].spec.transform == "standard"


def test_several_targets_are_judged_by_a_figure_without_units():
    task, frame, _ = make(pl.DataFrame({"a": [1.0, 2, 3, 9], "b": [1e6, 2e6, 5e6, 4e6]}))
    assert task.spec.metric == "r2" and task.metrics[0].name == "r2" and task.outputs == 2
    scaled = task.prepare_target(torch.from_numpy(task.encode(frame)))
    assert scaled.mean(0).tolist() == pytest.approx([0, 0], abs=1e-5) and scaled.std(0, correction=0) == pytest.approx(
        1
    )
    answer = task.decode(task.predict(np.zeros((2, 2), dtype=np.float32)))
    assert answer.columns == ["prediction_a", "prediction_b"]


def test_numbers_in_text_are_read():
    task, frame, _ = make(["1.234,5", "2,0", "7"], decimal=",")
    assert task.encode(frame)[:, 0].tolist() == [1234.5, 2.0, 7.0]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), None, 1e300])
def test_a_target_that_is_no_finite_number_names_its_row(value):
    task, _, _ = make([1.0, 2.0, 3.0])
    held = pl.DataFrame({"y": [1.0, value, 2.0]})
    with pytest.raises(DataError) as caught:
        task.encode(held, rows=np.array([5, 6, 7]))
    assert "row 7, column y" in caught.value.where
    repairs = Repairs()
    encoded = task.encode(held, repairs, unseen="drop")
    assert task.usable(encoded).tolist() == [True, False, True]
    assert [r.count for r in repairs] == [1]


def test_differences_that_float32_cannot_hold_are_an_error():
    with pytest.raises(DataError, match="drown"):
        make(1.7e9 + np.random.default_rng(0).normal(size=100))


@pytest.mark.parametrize("kind", ["standard", "log", "quantile"])
def test_a_scale_there_and_back_is_the_same_value(kind):
    values = np.round(skewed(500), 3)
    values[:20] = 0.0
    scale = TargetScale.fit(kind, values, robust=False, name="y")
    back = scale.inverse(scale.forward(torch.from_numpy(values)).numpy())
    assert back == pytest.approx(values, rel=1e-4, abs=1e-3)
    assert TargetScale.from_state(json.loads(json.dumps(scale.state()))) == scale
    ends = scale.inverse(np.array([-1e9, 1e9]))
    assert np.isfinite(ends).all() and ends[0] >= 0 and ends[1] <= values.max() * 1.11
    assert torch.isfinite(scale.forward(torch.tensor([-5.0, 1e30]))).all()


def test_normal_scores_are_normal():
    scale = TargetScale.fit("quantile", skewed(3000), robust=False, name="y")
    scaled = scale.forward(torch.from_numpy(skewed(3000)))
    assert scaled.mean().item() == pytest.approx(0, abs=0.01) and scaled.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", ["standard", "log", "quantile"])
def test_a_constant_target_is_answered_by_itself(kind):
    task, frame, _ = make([3.0] * 20, transform=kind)
    assert task.prepare_target(torch.from_numpy(task.encode(frame))).abs().max() < 1e-5
    assert task.predict(np.zeros((2, 1), dtype=np.float32)).values == pytest.approx(3.0)


def test_a_log_scale_refuses_negative_targets():
    with pytest.raises(DataError, match="log scale"):
        make([-1.0, 2.0, 3.0], transform="log")


def test_members_are_averaged_in_the_targets_units():
    task, _, _ = make(skewed(), transform="log", loss="mse")
    outputs = np.random.default_rng(0).normal(size=(6, 5, 1)).astype(np.float32)
    single = np.stack([task.predict(outputs[:, m]).values for m in range(5)], axis=1)
    assert task.predict(outputs).values == pytest.approx(single.mean(axis=1))


def test_answers_stay_near_the_training_range():
    task, _, _ = make([0.0, 5.0, 10.0])
    values = task.predict(np.array([[-50.0], [0.0], [50.0]], dtype=np.float32)).values[:, 0]
    assert values == pytest.approx([0.0, 5.0, 11.0], abs=1e-5)


def test_a_log_scale_is_brought_back_to_the_mean():
    random = np.random.default_rng(0)
    x = random.normal(size=6000)
    y = np.exp(1 + 0.5 * x + 0.8 * random.normal(size=6000))
    task, frame, _ = make(y, transform="log", loss="mse")
    target = task.encode(frame)
    perfect = task.outputs_of(np.exp(1 + 0.5 * x)[:, None])  # what the squared error on the log scale converges to
    plain = {m.name: m.compute(target, task.predict(perfect), None) for m in task.metrics}
    reasons = task.calibrate(perfect, target, None)
    mended = {m.name: m.compute(target, task.predict(perfect), None) for m in task.metrics}
    assert "stretch" in reasons and mended["rmse"] < 0.98 * plain["rmse"]
    assert task.predict(perfect).values.mean() == pytest.approx(y.mean(), rel=0.06)


@pytest.mark.parametrize("loss", ["mse", "quantile"])
def test_intervals_hold_nine_in_ten(loss):
    held = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        x = random.uniform(1, 3, 4000)
        y = x + 0.3 * x * random.normal(size=4000)
        task, frame, _ = make(y, loss=loss, transform="standard")
        target = task.encode(frame)
        if loss == "quantile":  # heads that are far too sure of themselves
            scaled = task.outputs_of(x[:, None])
            outputs = scaled + np.array([-0.05, 0.0, 0.05])
        else:
            outputs = np.stack(
                [task.outputs_of((x + 0.1 * x * random.normal(size=4000))[:, None]) for _ in range(4)], 1
            )
        task.calibrate(outputs[:800], target[:800], None)
        answer = task.predict(outputs[800:])
        truth = target[800:]
        assert (answer.lower <= answer.values).all() and (answer.values <= answer.upper).all()
        held.append(((answer.lower <= truth) & (truth <= answer.upper)).mean())
    assert 0.89 < np.mean(held) < 0.925


def test_quantile_heads_never_cross():
    task, _, _ = make(skewed(), loss="quantile", transform="standard")
    assert task.outputs == 3
    answer = task.predict(np.random.default_rng(0).normal(size=(200, 2, 3)).astype(np.float32))
    assert (answer.lower <= answer.values).all() and (answer.values <= answer.upper).all()
    loss = task.loss(torch.zeros(5, 3), torch.ones(5, 1))
    assert loss.shape == (5,) and loss[0].item() == pytest.approx((0.05 + 0.5 + 0.95) / 3)


@pytest.mark.parametrize(("loss", "expected"), [("mse", 4.0), ("mae", 2.0), ("huber", 1.5)])
def test_losses_are_those_of_the_scale(loss, expected):
    task, _, _ = make([1.0, 2.0, 3.0], loss=loss)
    assert task.loss(torch.zeros(3, 1), torch.full((3, 1), 2.0)).tolist() == [expected] * 3


def test_few_validation_rows_promise_less():
    task, frame, _ = make(np.arange(10.0))
    target = task.encode(frame)
    outputs = np.zeros((10, 1), dtype=np.float32)
    assert "less than 90 %" in task.calibrate(outputs, target, None)["intervals"]
    assert "none" in task.calibrate(outputs[:0], target[:0], None)["intervals"]
    assert "none" in task.calibrate(np.full((10, 1), np.nan, dtype=np.float32), target, None)["intervals"]


def test_answers_and_figures_are_bounded_json():
    values = np.random.default_rng(0).normal(10, 2, 3000)
    task, frame, _ = make(values)
    target = task.encode(frame)
    outputs = task.outputs_of(values[:, None]) + np.random.default_rng(1).normal(size=(3000, 1)).astype(np.float32)
    bare = task.figures(target, task.predict(outputs))
    assert bare["coverage"] is None
    task.calibrate(outputs, target, None)
    figures = task.figures(target, task.predict(outputs))
    assert len(json.dumps(figures, allow_nan=False)) < 20_000
    assert 0.87 < figures["coverage"] < 0.93
    assert sum(b["count"] for b in figures["intervals"]) == 3000
    assert sum(map(sum, figures["predicted_actual"]["counts"])) == sum(figures["residuals"]["counts"]) == 3000
    answer = task.decode(task.predict(outputs[:2]))
    assert answer.columns == ["prediction", "lower", "upper"]
    assert task.readable(target[:1]) == [pytest.approx(values[0], rel=1e-5)]
    assert task.example_loss(target, task.predict(outputs)).shape == (3000,)


def test_pinball_judges_the_interval_too():
    task, _, _ = make(skewed(), loss="quantile", metric="pinball")
    assert task.metrics[0].name == "pinball"
    target = np.array([[2.0]])
    answer = Prediction(np.array([[1.0]]), np.array([[0.0]]), np.array([[4.0]]))
    expected = (0.5 * 1 + 0.05 * 2 + 0.05 * 2) / 3
    assert task.metrics[0].compute(target, answer, None) == pytest.approx(expected)


def test_a_hostile_state_is_refused():
    task, frame, _ = make(np.random.default_rng(0).normal(size=400), transform="quantile")
    task.calibrate(np.zeros((400, 1)), task.encode(frame), None)
    state = json.loads(json.dumps(task.state()))
    assert Regression.from_state(task.spec, state).state() == task.state()
    scale = state["scales"][0]
    for change in (
        {"names": []},
        {"names": ["a", "b"]},
        {"names": [1]},
        {"names": "y"},
        {"stretch": [1e9]},
        {"stretch": [None]},
        {"widths": []},
        {"widths": [{}]},
        {"scales": [{**scale, "knots": scale["knots"][::-1]}]},
        {"scales": [{**scale, "knots": [1.0] * 100_000}]},
        {"scales": [{**scale, "kind": "standard"}]},
        {"scales": [{**scale, "kind": "os.system"}]},
        {"scales": [{**scale, "width": 0.0}]},
        {"scales": [{**scale, "low": 1e400}]},
        {"scales": [{**scale, "centre": 10**400}]},
        {"scales": [{**scale, "low": 5.0, "high": 1.0}]},
        {"scales": [{}]},
        {"extra": 1},
    ):
        with pytest.raises(BundleError):
            Regression.from_state(task.spec, {**state, **change})
    with pytest.raises(BundleError):
        Regression.from_state(RegressionSpec(), state)
