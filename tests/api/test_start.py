"""Runs that start from a trained model: what they take over, what they refuse, and that they replay and resume."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from api_tables import people, quick
from safetensors.torch import load_file

import limpid
from limpid.core.errors import BundleError, LimpidError, RequestError, RunError

pytestmark = pytest.mark.slow


def bundle(run: limpid.Run) -> dict[str, bytes]:
    return {n: (run.path / "model" / n).read_bytes() for n in ("spec.json", "encoders.json", "weights.safetensors")}


def plan_of(run: limpid.Run) -> dict:
    return yaml.safe_load((run.path / "plan.yaml").read_text())


def weights(run: limpid.Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "model" / "weights.safetensors")


@pytest.fixture(scope="module")
def later() -> pl.DataFrame:
    """Other people, of other ages and jobs: encoders fitted on them would read the same cells in another way."""
    return people(300, seed=5).drop("score").with_columns(pl.col("age") + 20, pl.col("job").replace("clerk", "baker"))


@pytest.fixture(scope="module")
def started(run, later, tmp_path_factory) -> limpid.Run:
    return quick(later, "answer", tmp_path_factory.mktemp("start") / "r", set={"net.start": str(run.path)})


@pytest.fixture(scope="module")
def tiny_step(run, later, tmp_path_factory) -> limpid.Run:
    """Started, and trained so gently that its weights are still those of the start."""
    gentle = {"net.start": str(run.path), "train.lr": 1e-12, "train.ema": 0, "train.epochs": 1}
    return quick(later, "answer", tmp_path_factory.mktemp("start") / "gentle", set=gentle)


def test_the_body_and_the_head_of_the_same_classes_come_from_the_start(run, tiny_step):
    old, new = weights(run), weights(tiny_step)
    assert old.keys() == new.keys()
    for name, value in old.items():
        torch.testing.assert_close(new[name], value, rtol=0, atol=1e-6, msg=name)


def test_encoders_are_those_of_the_start(run, tiny_step, later):
    theirs, ours = (json.loads((r.path / "model" / "encoders.json").read_text()) for r in (run, tiny_step))
    assert {n: c["state"] for n, c in ours["columns"].items()} == {n: c["state"] for n, c in theirs["columns"].items()}
    same, again = (limpid.load(r.path / "model").predict(later) for r in (run, tiny_step))
    # Only the calibration is its own: the order of the rows by probability is that of the start.
    assert same["probability_yes"].arg_sort().to_list() == again["probability_yes"].arg_sort().to_list()


def test_the_plan_says_what_was_taken_and_why(run, started):
    tree = plan_of(started)
    assert tree["net"]["start"]["run"] == str(run.path)
    assert len(tree["net"]["start"]["sha256"]) == 64
    theirs = plan_of(run)["net"]
    assert {k: v for k, v in tree["net"].items() if k != "start"} == theirs
    because = tree["because"]
    assert str(run.path) in because["net.name"] and str(run.path) in because["net.width"]
    assert "start" in because["data.columns.age"]
    assert 0 < tree["train"]["depth_decay"] <= 1 and len(because["train.depth_decay"]) > 10
    assert len(because["train.unfreeze"]) > 10
    notes = [
        e["text"] for e in map(json.loads, (started.path / "events.jsonl").read_text().splitlines()) if "text" in e
    ]
    assert any("weights of tabm on 'fields' come from" in text for text in notes)
    assert any("head" in text and "taken over" in text for text in notes)


def test_the_bundle_names_no_path_of_the_start(run, started):
    for name, content in bundle(started).items():
        assert str(run.path).encode() not in content, name
    card = (started.path / "model" / "card.md").read_text()
    assert str(run.path) not in card
    assert plan_of(started)["net"]["start"]["sha256"] in card
    assert limpid.load(started.path / "model").predict(people(3).drop("answer")).height == 3


def test_it_replays_and_resumes_to_the_same_bytes(started, later, tmp_path):
    replay = limpid.train(later, recipe=started.path / "plan.yaml", out=tmp_path / "replay", quiet=True)
    assert bundle(replay) == bundle(started)
    assert plan_of(replay)["because"] == plan_of(started)["because"]

    def stop(event):
        if event.as_dict()["event"] == "EpochEnded":
            raise KeyboardInterrupt

    sets = {"net.start": plan_of(started)["net"]["start"]["run"]}
    with pytest.raises(KeyboardInterrupt):
        quick(later, "answer", tmp_path / "cut", set=sets, listen=stop)
    assert bundle(limpid.train(later, out=tmp_path / "cut", resume=True, quiet=True)) == bundle(started)


def test_a_start_that_changed_since_the_plan_is_refused(run, table, later, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "model")
    first = quick(later, "answer", tmp_path / "first", set={"net.start": str(tmp_path / "model")})
    other = quick(table.drop("score"), "answer", tmp_path / "other", set={"train.epochs": 1})
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(other.path / "model", tmp_path / "model")
    with pytest.raises(RunError, match="other weights than when the plan was made") as caught:
        limpid.train(later, recipe=first.path / "plan.yaml", out=tmp_path / "again", quiet=True)
    assert "net.start" in caught.value.where and not (tmp_path / "again").exists()
    # Named anew, it is taken as it is now.
    sets = {"net.start": str(tmp_path / "model")}
    again = limpid.train(later, recipe=first.path / "plan.yaml", out=tmp_path / "again", quiet=True, set=sets)
    assert plan_of(again)["net"]["start"]["sha256"] != plan_of(first)["net"]["start"]["sha256"]


def test_other_classes_get_a_head_of_their_own(run, later, tmp_path):
    answers = pl.Series("answer", np.array(["no", "yes", "maybe"])[np.arange(later.height) % 3])
    gentle = {"net.start": str(run.path), "train.lr": 1e-12, "train.ema": 0, "train.epochs": 1}
    new = quick(later.with_columns(answers), "answer", tmp_path / "r", set=gentle)
    old, now = weights(run), weights(new)
    for name, value in old.items():
        if name == "head.share":
            assert float(now[name]) == 1.0, "what it starts from was weighed on other rows"
        elif name.startswith("head."):
            assert now[name].shape != value.shape, name
        else:
            torch.testing.assert_close(now[name], value, rtol=0, atol=1e-6, msg=name)


def test_another_task_starts_from_the_body_too(run, later, tmp_path):
    numbers = later.drop("answer").with_columns(score=pl.Series(np.arange(later.height) * 0.37 % 5))
    new = quick(numbers, "score", tmp_path / "r", set={"net.start": str(run.path)})
    assert new.summary()["task"] == "regression"
    notes = [e["text"] for e in map(json.loads, (new.path / "events.jsonl").read_text().splitlines()) if "text" in e]
    assert any("the head is new" in text for text in notes)


def test_settings_that_are_asked_for_win_and_weights_that_do_not_fit_are_new(run, later, tmp_path):
    sets = {"net.start": str(run.path), "net.dropout": 0.3, "net.bins": 3, "train.epochs": 1}
    new = quick(later, "answer", tmp_path / "r", set=sets)
    tree = plan_of(new)
    assert tree["net"]["dropout"] == 0.3 and tree["net"]["bins"] == 3
    assert "as asked; the start" in tree["because"]["net.bins"]
    notes = [e["text"] for e in map(json.loads, (new.path / "events.jsonl").read_text().splitlines()) if "text" in e]
    assert any("new, since their shapes differ: fields.number_embedding" in text for text in notes)


def test_further_columns_are_left_out_unless_asked_for(run, later, tmp_path):
    wider = later.with_columns(height=pl.Series(np.linspace(1.5, 2.0, later.height)))
    sets = {"net.start": str(run.path), "train.epochs": 1}
    left = quick(wider, "answer", tmp_path / "left", set=sets)
    assert plan_of(left)["data"]["columns"]["height"]["use"] is False
    assert "the start" in plan_of(left)["because"]["data.columns.height.use"]
    assert weights(left).keys() == weights(run).keys()
    taken = quick(wider, "answer", tmp_path / "taken", set={**sets, "data.columns.height": "number"})
    assert plan_of(taken)["data"]["columns"]["height"].get("use", True)
    replay = limpid.train(wider, recipe=taken.path / "plan.yaml", out=tmp_path / "replay", quiet=True)
    assert bundle(replay) == bundle(taken)


def test_a_constant_column_of_the_start_is_still_read(run, later, tmp_path):
    same = later.with_columns(job=pl.lit("pilot"))
    new = quick(same, "answer", tmp_path / "r", set={"net.start": str(run.path), "train.epochs": 1})
    assert weights(new).keys() == weights(run).keys()


def test_the_order_of_the_columns_does_not_matter(run, later, tmp_path):
    sets = {"net.start": str(run.path), "train.epochs": 1}
    one = quick(later, "answer", tmp_path / "one", set=sets)
    two = quick(later.select(reversed(later.columns)), "answer", tmp_path / "two", set=sets)
    assert bundle(one)["weights.safetensors"] == bundle(two)["weights.safetensors"]


def refused(data: pl.DataFrame, target: str, out: Path, kind: type[LimpidError], sets: dict, **options) -> LimpidError:
    with pytest.raises(kind) as caught:
        quick(data, target, out, set=sets, **options)
    assert not out.exists()
    return caught.value


def test_what_does_not_fit_is_an_error_in_four_parts(run, later, tmp_path):
    start = {"net.start": str(run.path)}
    out = tmp_path / "r"
    renamed = later.rename({"income": "incomes"})
    assert "'incomes' looks like 'income'" in refused(renamed, "answer", out, RequestError, start).fix
    assert "mlp" in refused(later, "answer", out, RequestError, start, net="mlp").what
    other_kind = {**start, "data.columns.age": "category"}
    assert "has number" in refused(later, "answer", out, RequestError, other_kind).what
    unused = {**start, "data.columns.age": {"use": False}}
    assert refused(later, "answer", out, RequestError, unused).where == "data.columns.age.use"
    scaled = {**start, "data.columns.age": {"options": {"scale": "robust"}}}
    assert "standard" in refused(later, "answer", out, RequestError, scaled).what
    assert "the target" in refused(later, "age", out, RequestError, start).what
    nowhere = {"net.start": str(tmp_path / "nowhere")}
    assert "no run and no model" in refused(later, "answer", out, RunError, nowhere).what
    assert "cannot be '3'" in refused(later, "answer", out, RequestError, {"net.start": 3}).what
    assert "'run'" in refused(later, "answer", out, RequestError, {"net.start": {"runs": "x"}}).fix
    texts = later.drop("age", "job", "income", "since").with_columns(
        note=pl.col("note") + pl.Series(map(str, range(300)))
    )
    words = {"data.columns.note": "text"}
    assert "do not have" in refused(texts, "answer", out, RequestError, {**start, **words}).what


def test_a_damaged_start_is_refused(run, later, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "model")
    file = tmp_path / "model" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    error = refused(later, "answer", tmp_path / "r", BundleError, {"net.start": str(tmp_path / "model")})
    assert "the start" in error.what and "changed after it was saved" in error.what


def test_a_module_of_ones_own_neither_starts_nor_is_started_from(run, later, tmp_path):
    def module(width: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(width, 8), torch.nn.ReLU())

    own = quick(later, "answer", tmp_path / "own", net=module)
    error = refused(later, "answer", tmp_path / "r", RequestError, {"net.start": str(own.path)})
    assert "module of the user's own" in error.what
    error = refused(later, "answer", tmp_path / "r", RequestError, {"net.start": str(run.path)}, net=module)
    assert "your own" in error.what


def reviews(rows: int, seed: int) -> pl.DataFrame:
    """A number and a text that both tell of the answer."""
    g = np.random.default_rng(seed)
    good = g.random(rows) < 0.5
    words = np.array([["poor plot and dull acting", "a waste of time"], ["great fun", "moving and clever"]], object)
    text = [f"{words[int(v), int(g.integers(2))]} {n}" for n, v in enumerate(good)]
    return pl.DataFrame(
        {"stars": good + g.normal(0, 1.0, rows), "review": text, "answer": np.where(good, "up", "down")}
    )


def test_nets_of_further_columns_are_started_too_or_alone(tmp_path):
    words = {"data.columns.review": "text", "train.epochs": 2}
    first = quick(reviews(300, 0), "answer", tmp_path / "first", set=words)
    gentle = {"train.lr": 1e-12, "train.ema": 0, "train.epochs": 1}
    both = quick(reviews(200, 1), "answer", tmp_path / "both", set={"net.start": str(first.path), **gentle})
    tree = plan_of(both)
    assert tree["nets"]["review"]["start"] == tree["net"]["start"]
    for name, value in weights(first).items():
        torch.testing.assert_close(weights(both)[name], value, rtol=0, atol=1e-6, msg=name)
    alone = {"nets.review.start": str(first.path), "data.columns.stars.use": False, **gentle}
    second = quick(reviews(200, 1), "answer", tmp_path / "second", set={"nets.review.start": str(first.path), **gentle})
    old, now = weights(first), weights(second)
    assert "start" not in plan_of(second)["net"]
    for name, value in old.items():
        if name.startswith("nets.input_1."):
            torch.testing.assert_close(now[name], value, rtol=0, atol=1e-6, msg=name)
    only = quick(reviews(200, 1), "answer", tmp_path / "only", set=alone)
    assert plan_of(only)["net"]["name"] == "bag"
    error = refused(reviews(200, 1), "answer", tmp_path / "r", RequestError, {"nets.reviews.start": str(first.path)})
    assert error.fix == "did you mean 'review'?"


def test_data_without_a_further_column_of_the_start_say_so(tmp_path):
    words = {"data.columns.review": "text", "train.epochs": 1}
    first = quick(reviews(200, 0), "answer", tmp_path / "first", set=words)
    new = quick(reviews(200, 1).drop("review"), "answer", tmp_path / "r", set={"net.start": str(first.path)})
    notes = [e["text"] for e in map(json.loads, (new.path / "events.jsonl").read_text().splitlines()) if "text" in e]
    assert any("also reads 'review'" in text for text in notes)
