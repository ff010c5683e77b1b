"""explained.json: which answers are shown, that they are those of the model, and that they stay cheap."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from api_tables import quick

import limpid
from limpid.api.single_answers import _smaller, affordable, telling

pytestmark = pytest.mark.slow

LONGER = {"train.epochs": 100, "train.batch": 32, "train.patience": 100, "train.refit": False, "evaluate.intervals": 0}


@pytest.fixture(scope="module")
def long(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    return quick(table.drop("score", "note", "since"), "answer", tmp_path_factory.mktemp("single") / "run", net="mlp",
                 set=LONGER)  # fmt: skip


def test_telling_answers_are_explained_and_shown(long: limpid.Run, table: pl.DataFrame) -> None:
    found = json.loads((long.path / "explained.json").read_text())
    assert found["part"] == "test"
    assert len(found["answers"]) > 1
    assert found["answers"][0]["why"] == "the surest right answer"
    held = pl.read_parquet(long.path / "predictions.parquet").filter(pl.col("part") == "test")
    sure = held.with_columns(sure=pl.max_horizontal("probability_yes", "probability_no"))
    for one in found["answers"]:
        own = sure.filter(pl.col("row") == one["row"])
        assert one["truth"] == table["answer"][one["row"]] == own["target_answer"][0]
        assert one["answer"]["prediction"] == own["prediction"][0]
        assert one["answer"]["probability_yes"] == pytest.approx(own["probability_yes"][0], abs=1e-5)
        right = own["prediction"][0] == own["target_answer"][0]
        alike = sure.filter((pl.col("prediction") == pl.col("target_answer")) == right)
        if one["why"] == "the most undecided answer":
            assert own["sure"][0] == pytest.approx(sure["sure"].min())
        else:
            assert right is (one["why"] == "the surest right answer")
            assert own["sure"][0] == pytest.approx(alike["sure"].max())
        said = limpid.explain(long.path, table, row=one["row"]).as_dict()
        ours = {m["method"]: m["units"] for m in one["methods"]}
        assert {"integrated gradients", "occlusion"} == set(ours)
        assert [u["name"] for u in one["units"]] == [u["name"] for u in said["units"]]
    page = (long.path / "report.html").read_text(encoding="utf-8")
    assert "Single answers, explained" in page
    assert f"row {found['answers'][0]['row']}" in page


def test_it_can_be_left_out_and_is_where_it_would_cost_too_much(table: pl.DataFrame, tmp_path) -> None:
    asked = quick(table.drop("score", "note", "since"), "answer", tmp_path / "off", net="mlp",
                  set={**LONGER, "evaluate.explained": False})  # fmt: skip
    short = quick(table.drop("score", "note", "since"), "answer", tmp_path / "short", net="mlp")
    for run in (asked, short):
        assert not (run.path / "explained.json").exists()
        assert 'id="singles"' not in (run.path / "report.html").read_text(encoding="utf-8")


def test_no_clock_is_read_without_a_budget(
    monkeypatch: pytest.MonkeyPatch, long: limpid.Run, table: pl.DataFrame, tmp_path
) -> None:
    monkeypatch.setattr("limpid.api.single_answers.time", SimpleNamespace(monotonic=_broken))
    second = quick(table.drop("score", "note", "since"), "answer", tmp_path / "b", net="mlp", set=LONGER)
    assert (long.path / "explained.json").read_text() == (second.path / "explained.json").read_text()


def _broken() -> float:
    raise AssertionError("a clock was read")


def test_values_are_chosen_by_their_error() -> None:
    loss = np.array([3.0, 0.5, 9.0, 1.0, 2.0])
    task = SimpleNamespace(name="regression", example_loss=lambda target, prediction: loss)
    part = SimpleNamespace(target=np.zeros(5))
    found = telling(SimpleNamespace(task=task), part, None)
    assert found == [("the best answer", 1), ("the median answer", 4), ("the worst answer", 2)]


def test_what_may_be_spent_is_a_fifth_less_what_was_spent() -> None:
    # 10 passes of 10 steps of 100 rows, of which a forward and a backward pass cost three
    assert affordable(1_000, 100, 10, 0, 0) == 3 * 10 * 10 * 100 / 5
    assert affordable(1_000, 100, 10, 20, 200) == 6_000 - 4_000
    assert affordable(64, 8, 1, 0, 0) == 3 * 8 * 64 / 5


def test_large_pictures_are_made_small_with_their_sums_in_place() -> None:
    draws = np.random.default_rng(0)
    heat, pixels = draws.normal(size=(200, 120)), draws.uniform(0, 255, size=(3, 200, 120))
    small = _smaller({"kind": "grid", "heat": heat.tolist(), "pixels": pixels.tolist()})
    assert np.asarray(small["heat"]).shape == (66, 40)
    assert np.asarray(small["pixels"]).shape == (3, 66, 40)
    assert small["heat"][0][0] == pytest.approx(heat[:3, :3].mean(), abs=1e-6)
    series = {"kind": "series", "heat": [1.0], "line": [2.0]}
    assert _smaller(series) == series


@pytest.mark.parametrize("error", [RuntimeError("it gave up"), ValueError("it gave up")])
def test_an_explanation_that_fails_costs_the_section_and_not_the_run(
    table: pl.DataFrame, tmp_path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_given: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr("limpid.explanation.answer.explain_row", fails)
    run = quick(table.drop("score", "note", "since"), "answer", tmp_path / "run", net="mlp", set=LONGER)
    assert not (run.path / "explained.json").exists()
    assert run.report.is_file() and run.metrics["test"]
    said = [e["text"] for e in run.events() if e["event"] == "Noted"]
    assert any("no single answer is explained in the report: it gave up" in text for text in said)
