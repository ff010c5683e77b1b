"""Every task of the catalogue keeps the contract of `limpid.core.contracts.Task`."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from limpid.core.contracts import Prediction
from limpid.core.errors import BundleError
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.tasks import CATALOGUE

ROWS = 400
random = np.random.default_rng(0)
NUMBER = random.gamma(2.0, 3.0, ROWS)


@dataclass(frozen=True)
class Case:
    """A target that a task serves.

    Args:
        task: its name.
        target: the columns.
        kind: of the columns.
        settings: of the spec.
    """

    task: str
    target: dict[str, Any]
    kind: str
    settings: dict[str, Any]


LETTERS = [("no", "yes")[int(v)] for v in NUMBER > 6]
CASES = {
    "two classes": Case("classification", {"t": LETTERS}, "category", {}),
    "rare class": Case("classification", {"t": NUMBER > 16}, "category", {"threshold": "f1"}),
    "weighted classes": Case("classification", {"t": LETTERS}, "category", {"class_weights": "balanced"}),
    "whole numbers": Case("classification", {"t": (NUMBER // 3).astype(int)}, "category", {}),
    "focal": Case("classification", {"t": (NUMBER // 3).astype(int)}, "category", {"loss": "focal"}),
    "one against the rest": Case("classification", {"t": LETTERS}, "category", {"loss": "bce"}),
    "label sets": Case(
        "classification", {"t": [["a"] * int(v > 3) + ["b"] * int(v > 8) for v in NUMBER]}, "labels", {}
    ),
    "label text": Case(
        "classification", {"t": ["a|b" if v > 9 else "b" for v in NUMBER]}, "labels", {"separator": "|"}
    ),
    "two yes-or-no columns": Case("classification", {"s": NUMBER > 3, "t": NUMBER > 8}, "category", {}),
    "one number": Case("regression", {"t": NUMBER}, "number", {}),
    "log scale": Case("regression", {"t": NUMBER}, "number", {"transform": "log"}),
    "rank scale": Case("regression", {"t": NUMBER}, "number", {"transform": "quantile"}),
    "quantile heads": Case("regression", {"t": NUMBER}, "number", {"loss": "quantile"}),
    "huber": Case("regression", {"t": NUMBER}, "number", {"loss": "huber"}),
    "steps to come": Case(
        "forecasting", {"t": [[v, v + 1, 2 * v, None if v > 10 else v / 2] for v in NUMBER]}, "number", {"horizon": 4}
    ),
    "steps on a log scale": Case(
        "forecasting", {"t": [[v, v * v] for v in NUMBER]}, "number", {"horizon": 2, "transform": "log"}
    ),
    "three numbers": Case("regression", {"r": NUMBER, "s": -NUMBER, "t": NUMBER**2}, "number", {}),
}


def frame_of(case: Case) -> pl.DataFrame:
    return pl.DataFrame(case.target)


def fitted(case: Case):
    kind = CATALOGUE.load(case.task, where="--task")
    frame = frame_of(case)
    facts = [column_facts(c) for c in frame.get_columns()]
    spec, reasons = kind.plan(kind.Spec(**case.settings), facts, [case.kind] * frame.width, ROWS)
    return kind.fit(spec, frame, None), frame, reasons


def learnt_outputs(task, encoded, members: int | None) -> np.ndarray:
    """Raw outputs of a head that was trained on noisy looks at the target."""
    torch.manual_seed(0)
    target = task.prepare_target(torch.from_numpy(encoded))
    seen = torch.from_numpy(NUMBER[:, None]).float() + 0.3 * torch.randn(ROWS, 1)
    features = torch.cat([torch.ones(ROWS, 1), seen / 5, (seen / 5) ** 2, torch.log1p(seen.abs())], dim=1)
    features = features if members is None else features[:, None].expand(-1, members, -1)
    head = task.head(4, members)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(120):
        optimiser.zero_grad()
        outputs = head(features)
        folded, repeated = (outputs, target) if members is None else (
            outputs.flatten(0, 1), target.repeat_interleave(members, dim=0)
        )  # fmt: skip
        task.loss(folded, repeated).mean().backward()
        optimiser.step()
    return head(features).detach().numpy()


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def ready(request):
    """(task, frame, encoded, outputs) with outputs of three members, calibrated on the first half of the rows."""
    case = CASES[request.param]
    task, frame, _ = fitted(case)
    encoded = task.encode(frame)
    outputs = learnt_outputs(task, encoded, 3)
    task.calibrate(outputs[::2], encoded[::2], None)
    return task, frame, encoded, outputs


def test_every_task_has_a_case():
    assert {case.task for case in CASES.values()} == set(CATALOGUE.names)


@pytest.mark.parametrize("entry", list(CATALOGUE), ids=lambda e: e.name)
def test_what_a_task_says_of_itself(entry):
    kind = CATALOGUE.load(entry.name, where="--task")
    assert kind.name == entry.name
    assert kind.loop in ("supervised", "adversarial", "rollout")
    assert kind.needs in ("fields", "vec", "seq", "grid", "pyramid")
    assert kind.target_kinds and entry.sentence
    for name, field in kind.Spec.model_fields.items():
        assert field.description, f"{name} has no description"


@pytest.mark.parametrize("name", CASES)
def test_the_plan_decides_everything_and_says_why(name):
    case = CASES[name]
    kind = CATALOGUE.load(case.task, where="--task")
    task, _, reasons = fitted(case)
    assert not task.spec.autos()
    assert set(reasons) == set(kind.Spec(**case.settings).autos())
    assert all(reasons.values())
    assert kind.Spec.model_validate(json.loads(task.spec.model_dump_json())) == task.spec


def test_a_target_is_encoded_row_by_row(ready):
    task, frame, encoded, _ = ready
    assert len(encoded) == ROWS
    assert encoded.dtype == (np.int64 if encoded.ndim == 1 else np.float32)
    assert task.usable(encoded).all()
    one = np.concatenate([task.encode(frame[i : i + 1]) for i in range(5)])
    assert np.array_equal(one, encoded[:5], equal_nan=one.dtype.kind == "f")


def test_what_cannot_be_a_target_is_marked_and_counted(ready):
    task, frame, _, _ = ready
    nulls = pl.DataFrame({c: pl.Series([None], dtype=frame[c].dtype) for c in frame.columns})
    held = pl.concat([frame[:3], nulls, frame[3:5]])
    repairs = Repairs()
    assert task.usable(task.encode(held, repairs, unseen="drop")).tolist() == [True] * 3 + [False] + [True] * 2
    assert sum(r.count for r in repairs) >= 1


@pytest.mark.parametrize("members", [None, 2])
def test_the_head_has_a_bias_and_the_right_shape(ready, members):
    task = ready[0]
    vec = torch.randn(5, 8) if members is None else torch.randn(5, members, 8)
    outputs = task.head(8, members)(vec)
    assert outputs.shape == (*vec.shape[:-1], task.outputs)
    with torch.device("meta"):
        assert all(p.is_meta for p in task.head(8, members).parameters())


def test_the_loss_is_one_finite_number_for_each_example_with_a_gradient(ready):
    task, _, encoded, outputs = ready
    raw = torch.from_numpy(outputs[:, 0]).clone().requires_grad_(True)
    target = task.prepare_target(torch.from_numpy(encoded))
    loss = task.loss(raw, target)
    assert loss.shape == (ROWS,) and loss.dtype == torch.float32
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(raw.grad).all()
    some = task.loss(raw[10:20], target[10:20])
    assert torch.allclose(some, loss[10:20], atol=1e-6)


def test_learning_beats_a_constant(ready):
    task, _, encoded, outputs = ready
    metric = task.metrics[0]
    learnt = metric.compute(encoded, task.predict(outputs), None)
    constant = task.predict(np.repeat(outputs.mean(axis=(0, 1), keepdims=True), ROWS, axis=0))
    dull = metric.compute(encoded, constant, None)
    assert learnt > dull if metric.greater_is_better else learnt < dull


def test_a_prediction_does_not_depend_on_its_neighbours(ready):
    task, _, _, outputs = ready
    whole = task.predict(outputs)
    part = task.predict(outputs[7:9])
    assert part.values == pytest.approx(whole.values[7:9], rel=1e-12)
    if whole.lower is not None:
        assert part.lower == pytest.approx(whole.lower[7:9], rel=1e-12)
        assert (whole.lower <= whole.values).all() and (whole.values <= whole.upper).all()
    single = task.predict(outputs[:, 0])
    assert single.values.shape == whole.values.shape


def test_answers_are_one_row_each_and_never_null(ready):
    task, frame, _, outputs = ready
    answer = task.decode(task.predict(outputs))
    assert answer.height == ROWS
    assert "prediction" in answer.columns or all(f"prediction_{c}" in answer.columns for c in frame.columns)
    assert answer.null_count().sum_horizontal().item() == 0
    assert task.decode(task.predict(outputs[:0])).height == 0


def test_figures_have_names_and_both_forms_agree(ready):
    task, _, encoded, outputs = ready
    prediction = task.predict(outputs)
    names = [m.name for m in task.metrics]
    assert len(set(names)) == len(names) and task.spec.metric == names[0]
    counts = np.random.default_rng(0).integers(0, 3, size=(4, ROWS)).astype(float)
    again = np.repeat(np.arange(ROWS), counts[0].astype(int))
    repeated = Prediction(
        *(
            None if a is None else a[again]
            for a in (prediction.values, prediction.lower, prediction.upper, prediction.quantiles)
        )
    )
    for metric in task.metrics:
        value = metric.compute(encoded, prediction, counts[0])
        assert metric.prepare(encoded, prediction)(counts)[0] == pytest.approx(value)
        assert metric.compute(encoded[again], repeated, None) == pytest.approx(value, rel=1e-9)


def test_hard_rows_and_drawings_are_there(ready):
    task, _, encoded, outputs = ready
    prediction = task.predict(outputs)
    loss = task.example_loss(encoded, prediction)
    assert loss.shape == (ROWS,) and (loss >= 0).all() and loss.std() > 0
    assert len(task.readable(encoded[:7])) == 7
    json.dumps([task.figures(encoded, prediction), task.readable(encoded[:7])], allow_nan=False)


@pytest.mark.parametrize("name", CASES)
def test_answers_of_other_models_are_judged_alike(name):
    task, _, _ = fitted(CASES[name])
    outputs = np.random.default_rng(1).normal(size=(50, task.outputs)).astype(np.float32)
    values = task.predict(outputs).values
    assert task.predict(task.outputs_of(values)).values == pytest.approx(values, rel=2e-3, abs=2e-4)


def test_the_state_is_json_and_brings_everything_back(ready):
    task, _, encoded, outputs = ready
    state = json.loads(json.dumps(task.state(), allow_nan=False))
    twin = type(task).from_state(task.spec, state)
    assert twin.outputs == task.outputs and twin.state() == task.state()
    assert (twin.predict(outputs).values == task.predict(outputs).values).all()
    assert twin.decode(twin.predict(outputs)).equals(task.decode(task.predict(outputs)))
    assert [m.name for m in twin.metrics] == [m.name for m in task.metrics]
    target = torch.from_numpy(encoded)
    prepared = [t.prepare_target(target) for t in (twin, task)]
    torch.testing.assert_close(*prepared, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("broken", [None, [], {}, {"a": 1}, "x", 3])
def test_a_state_that_is_none_is_refused(ready, broken):
    task = ready[0]
    with pytest.raises(BundleError):
        type(task).from_state(task.spec, broken)


def test_a_state_with_any_part_spoilt_is_refused_or_harmless(ready):
    task, _, _, outputs = ready
    state = json.loads(json.dumps(task.state()))
    spoilt = 0
    for path in paths(state):
        for value in (None, "x", -1, [], {}, 1e308, [[]], True):
            copy = json.loads(json.dumps(state))
            put(copy, path, value)
            if copy == state:
                continue
            try:
                twin = type(task).from_state(task.spec, copy)
            except BundleError:
                spoilt += 1
                continue
            with np.errstate(all="ignore"):
                twin.decode(twin.predict(outputs[:3]))
    assert spoilt > 10


def paths(tree, prefix=()):
    """Places in a state, of long lists the first alone."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


def put(tree, path, value) -> None:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


@pytest.mark.parametrize("name", CASES)
def test_calibration_is_repeatable(name):
    states = []
    for _ in range(2):
        task, frame, _ = fitted(CASES[name])
        encoded = task.encode(frame)
        rng = np.random.default_rng(3)
        reasons = task.calibrate(rng.normal(size=(ROWS, 2, task.outputs)).astype(np.float32), encoded, None)
        assert reasons and all(isinstance(r, str) and r for r in reasons.values())
        states.append(json.dumps(task.state()))
    assert states[0] == states[1]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_loss_written_out_is_the_loss(case: Case) -> None:
    task, frame, _ = fitted(case)
    encoded = task.encode(frame)
    outputs = torch.from_numpy(learnt_outputs(task, encoded, None))[:20]
    target = task.prepare_target(torch.from_numpy(encoded[:20]))
    expected = task.loss(outputs, target)
    for n in range(20):
        written = task.written_loss(outputs[n], target[n])
        assert written.value == pytest.approx(float(expected[n]), rel=1e-5, abs=1e-6)
        assert written.formula
        assert written.steps
