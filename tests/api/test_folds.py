"""Networks without each part of the rows in turn: what they say of a line, and what a run keeps of them."""

import json

import numpy as np
import polars as pl
import pytest
import yaml
from api_tables import QUICK, people

import limpid
from limpid.api import again
from limpid.data.encoded import Encoded

pytestmark = pytest.mark.slow

FOLDS = {**QUICK, "train.folds": 3, "train.epochs": 20}


def numbers(kind, rows=240, seed=0):
    g = np.random.default_rng(seed)
    x = g.normal(size=(rows, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] if kind == "straight" else 3 * np.sign(x[:, 0]) * np.abs(x[:, 1])
    frame = {f"x{n}": x[:, n] for n in range(4)}
    return pl.DataFrame({**frame, "y": y + g.normal(size=rows) * (2.0 if kind == "straight" else 0.1)})


def fit(frame, out, target="y", **options):
    sets = {**FOLDS, **options.pop("set", {})}
    return limpid.train(frame, target=target, out=out, quiet=True, set=sets, **options)


def plan_of(run):
    return yaml.safe_load((run.path / "plan.yaml").read_text())


def bundle(run):
    return {n: (run.path / "model" / n).read_bytes() for n in ("spec.json", "encoders.json", "weights.safetensors")}


def share_of(run):
    return float(run.model.bundle.network.head.share)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return fit(numbers("straight"), tmp_path_factory.mktemp("folds") / "straight")


def test_a_line_gets_most_where_there_is_nothing_else(straight):
    assert share_of(straight) < 0.5
    told = plan_of(straight)["because"]["net.line"]
    assert "rows that were left out" in told and "% line" in told
    test = numbers("straight", 2000, seed=1)
    answers = straight.model.predict(test)["prediction"].to_numpy()
    assert np.sqrt(np.mean((answers - test["y"].to_numpy()) ** 2)) < 2.15  # the noise alone is 2


def test_the_network_gets_most_where_a_line_says_nothing(tmp_path):
    run = fit(numbers("bent"), tmp_path / "r", set={"train.epochs": 40})
    assert share_of(run) > 0.8


def test_the_model_is_the_mean_of_the_networks(straight):
    model = straight.model.bundle
    assert len(model.more) == 2
    assert not any(p.requires_grad for network in model.more for p in network.parameters())
    kept = pl.read_parquet(straight.path / "predictions.parquet").filter(pl.col("part") == "test")
    again = straight.model.predict(numbers("straight")[kept["row"].to_list()])
    np.testing.assert_allclose(kept["prediction"], again["prediction"], rtol=1e-5)
    assert json.loads((straight.path / "model" / "spec.json").read_text())["networks"] == 3


def test_the_report_says_what_the_model_holds(straight):
    page = " ".join((straight.path / "report.html").read_text().split())
    share = round(100 * share_of(straight))
    assert "The model holds 3 of these" in page and "3 networks of" in page
    assert f"{share} % network and {100 - share} % line" in page
    assert "These are the curves of the first fit" in page


def test_a_replayed_plan_gives_the_same_bytes(straight, tmp_path):
    again = limpid.train(numbers("straight"), recipe=straight.path / "plan.yaml", out=tmp_path / "r", quiet=True)
    assert bundle(again) == bundle(straight)


@pytest.mark.parametrize("fold", ["fold-0", "fold-2"])
def test_stopped_between_two_networks_it_goes_on_to_the_same_bytes(straight, fold, tmp_path, monkeypatch):
    real = again.repeated

    def cut(*words, **options):
        found = real(*words, **options)
        if words[-1] == fold:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(again, "repeated", cut)
    with pytest.raises(KeyboardInterrupt):
        fit(numbers("straight"), tmp_path / "r")
    monkeypatch.undo()
    done = limpid.train(numbers("straight"), out=tmp_path / "r", resume=True, quiet=True)
    assert bundle(done) == bundle(straight)


def test_a_short_budget_leaves_nothing_out_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(again, "reserve", lambda _budget, _rows: 1e6)
    run = fit(numbers("straight"), tmp_path / "r", budget="20s")
    plan = plan_of(run)
    assert plan["train"]["folds"] == 0 and "the budget leaves" in plan["because"]["train.folds"]
    assert not run.model.bundle.more and share_of(run) == 1.0


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_any_table_of_few_rows_is_weighed(task, tmp_path):
    target, other = ("answer", "score") if task == "classification" else ("score", "answer")
    run = fit(people(200).drop(other), tmp_path / "r", target, set={"train.epochs": 3})
    plan = plan_of(run)
    assert plan["net"]["line"] is True and plan["train"]["folds"] == 3
    assert 0 <= share_of(run) <= 1
    assert run.model.predict(people(5, seed=3)).height == 5


def test_of_more_rows_nothing_is_left_out_unasked(tmp_path):
    plan = limpid.plan(people(1200).drop("score"), target="answer").as_dict()
    assert plan["net"]["line"] is False
    few = limpid.plan(people(200).drop("score"), target="answer").as_dict()
    assert few["net"]["line"] is True


def test_of_shares_that_rows_cannot_tell_apart_the_simplest_counts():
    losses = np.array([3.0, 1.2, 1.0, 1.1])
    assert again.simplest(losses, lambda place, best: 0.0) == (2, 2)
    assert again.simplest(losses, lambda place, best: 0.41) == (1, 2), "0.2 worse, and half of 0.41 is more"
    assert again.simplest(losses, lambda place, best: 5.0) == (0, 2)
    assert again.simplest(np.ones(4), lambda place, best: 0.0) == (0, 3), "none is worse than another"
    assert again.simplest(np.array([1.0, np.inf]), lambda place, best: 0.1) == (0, 0)


def test_copies_of_a_row_are_left_out_together():
    x = np.repeat(np.arange(40.0), 3).reshape(-1, 1).astype(np.float32)
    order = np.random.default_rng(0).permutation(120)
    rows = Encoded({"fields.numbers": x[order], "fields.missing": np.zeros((120, 1))}, np.arange(120), x[order])
    place = again.places(rows, 5, 4)
    assert np.bincount(place).tolist() == [30, 30, 30, 30]
    for value in range(40):
        assert len(set(place[rows.arrays["fields.numbers"][:, 0] == value])) == 1
    assert np.array_equal(place, again.places(rows, 5, 4))
    assert not np.array_equal(place, again.places(rows, 6, 4))


def test_rows_of_a_group_are_not_torn_apart(tmp_path):
    frame = people(200).drop("score").with_columns(g=pl.Series(np.arange(200) // 4))
    run = fit(frame, tmp_path / "r", "answer", set={"split.group": "g", "train.epochs": 1})
    plan = plan_of(run)
    assert plan["train"]["folds"] == 0 and "hang together" in plan["because"]["train.folds"]
    assert share_of(run) == 1.0


def test_a_net_without_a_line_is_a_mean_too(tmp_path):
    words = pl.DataFrame({"t": [f"{w} film {n}" for n in range(60) for w in ("good", "bad")], "y": ["yes", "no"] * 60})
    sets = {"net.name": "textcnn", "train.epochs": 1}
    run = fit(words, tmp_path / "r", set={**sets, "data.columns.t": "text"})
    assert len(run.model.bundle.more) == 2
    assert "rows that were left out" in plan_of(run)["because"]["train.folds"]


def test_a_run_starts_from_one_of_several_networks(straight, tmp_path):
    frame = numbers("straight", seed=5)
    run = fit(frame, tmp_path / "r", set={"net.start": str(straight.path), "train.epochs": 1, "train.folds": 0})
    assert share_of(run) == 1.0, "what the start was weighed with says nothing of these rows"
