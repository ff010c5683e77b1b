"""Whatever table, name or setting a person brings: a model with every repair counted, or an error with four parts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from careless_tables import (
    COLUMNS,
    COUNTED,
    NAMES,
    NONSENSE,
    REFUSED,
    ROWS,
    TARGETS,
    TINY,
    beside,
    fit,
    plain,
    refused,
    repairs,
    target,
)
from rich.console import Console

import limpid

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", COLUMNS)
def test_an_odd_column_is_learnt_from_or_left_out_with_a_reason(case: str, tmp_path: Path) -> None:
    run = fit(beside(COLUMNS[case]), tmp_path / "r")
    assert sum(run.record["rows"].values()) == ROWS
    assert repairs(run) == {}
    assert run.plan["data"]["columns"]["c"].get("use", True) or run.plan["because"]["data.columns.c.use"]
    assert np.isfinite(run.model.predict_proba(beside(COLUMNS[case]))).all()


@pytest.mark.parametrize("case", COUNTED)
def test_odd_cells_are_counted(case: str, tmp_path: Path) -> None:
    values, what, count = COUNTED[case]
    found = repairs(fit(beside(values), tmp_path / "r"))
    assert [n for said, n in found.items() if what in said] == [count]


@pytest.mark.parametrize("case", TARGETS)
def test_an_odd_target_is_learnt(case: str, tmp_path: Path) -> None:
    frame, task = TARGETS[case]
    run = fit(frame, tmp_path / "r")
    assert run.record["task"] == task
    left_out = repairs(run).get("had no target and were left out", 0)
    assert sum(run.record["rows"].values()) + left_out == frame.height
    assert run.model.predict(frame).height == frame.height


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_in_four_parts(case: str, tmp_path: Path) -> None:
    frame, options, what = REFUSED[case]
    with refused(what):
        fit(frame, **{"out": tmp_path / "r", **options})


@pytest.mark.parametrize("settings", NONSENSE, ids=lambda s: str(s)[:40])
def test_nonsense_settings_are_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(limpid.LimpidError) as caught:
        fit(plain(), tmp_path / "r", set=settings)
    assert all(part.strip() for part in caught.value.parts().values())
    assert "annotation=" not in str(caught.value) and "NoneType" not in str(caught.value)


@pytest.mark.parametrize("sets", ["train.lr", ["train.lr=!!python/object:os.system x"], [None], ["seed=[[[["]])
def test_nonsense_options_are_refused(sets: Any, tmp_path: Path) -> None:
    with refused(""):
        limpid.train(plain(), target="y", out=tmp_path / "r", set=sets, quiet=True)


def test_a_class_that_only_the_test_file_has_is_counted(tmp_path: Path) -> None:
    test = plain(40).with_columns(y=pl.Series(["maybe"] * 10 + ["yes", "no"] * 15))
    run = fit(plain(), tmp_path / "r", test=test)
    assert run.record["rows"]["test"] == 30
    assert repairs(run) == {"have a class that no training row has and were left out": 10}


def test_every_class_of_two_rows_is_trained_on(tmp_path: Path) -> None:
    frame = plain(60).with_columns(y=pl.Series([f"k{i % 30}" for i in range(60)]))
    run = fit(frame, tmp_path / "r")
    assert len(run.model.bundle.task.classes) == 30


def test_a_test_file_with_other_types_and_order_is_read_alike(tmp_path: Path) -> None:
    test = plain(40, seed=1)
    run = fit(plain(), tmp_path / "a", test=test)
    other = test.select("y", "b", pl.col("a").cast(pl.String), more=pl.lit(1))
    assert fit(plain(), tmp_path / "b", test=other).metrics == run.metrics


def test_a_target_named_twice_is_one_target(tmp_path: Path) -> None:
    assert fit(plain(), tmp_path / "r", ["y", "y"]).summary()["target"] == "y"


def test_a_hundredth_of_a_second_still_gives_a_model(tmp_path: Path) -> None:
    assert np.isfinite(fit(plain(), tmp_path / "r", budget=0.01).model.predict_proba(plain())).all()


def test_a_thousand_columns(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    frame = pl.DataFrame({f"c{i}": g.normal(size=40).round(3) for i in range(1000)} | {"y": ["p", "q"] * 20})
    assert len(fit(frame, tmp_path / "r").model.inputs) == 1000


def test_hostile_names_and_values_go_through_every_verb_and_run_nowhere(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    words = ["<b>p</b>", 'q"', "[/]"]
    frame = pl.DataFrame(
        {n: g.normal(size=ROWS) if k % 2 else g.choice(words, ROWS) for k, n in enumerate(NAMES)}
        | {"y": ["p<i>", "q"] * (ROWS // 2)}
    )
    run = fit(frame, tmp_path / "r")
    assert sum(repairs(run).values()) == 4  # the line break, the escape, the blank and the long name
    console = Console(file=io.StringIO())
    run.show(console)
    limpid.inspect(frame, target="y").show(console)
    limpid.inspect(frame, target="y").html(tmp_path / "i.html")
    for page in (run.report, tmp_path / "i.html"):
        text = page.read_text(encoding="utf-8")
        assert not [bad for bad in ("<script>alert(1)", "<img src=x", "<b>p</b>", "p<i>") if bad in text]
    assert run.model.predict(frame.drop("y"), keep=[NAMES[0], NAMES[22]]).height == ROWS
    again = limpid.train(frame, recipe=run.path / "plan.yaml", out=tmp_path / "again", quiet=True)
    assert again.metrics == run.metrics
    assert any("NaN" in str(event) for event in run.events())


@pytest.mark.parametrize("name", [n for n in NAMES if n.strip() and "\n" not in n and "\x1b" not in n and len(n) < 200])
def test_a_target_may_be_called_anything(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"zz": np.arange(40) % 7 * 0.3, name: ["p", "q"] * 20})
    run = fit(frame, tmp_path / "r", name)
    assert run.summary()["target"] == name
    assert "prediction" in run.model.predict(frame.drop(name), keep=["zz"]).columns


def test_kept_columns_never_clash_with_answers(plain_model: limpid.Model) -> None:
    frame = plain().with_columns(prediction=1, probability_no=2, prediction_model=3, error=4)
    kept = ["prediction", "probability_no", "prediction_model", "error"]
    answer = plain_model.predict(frame, keep=[*kept, "error"])
    assert answer.columns[:4] == kept and answer.width == 7
    assert answer["prediction_model_model"].to_list() == plain_model.predict(plain())["prediction"].to_list()


def test_looking_and_planning_say_the_same_of_odd_tables(tmp_path: Path) -> None:
    frame = plain().with_columns(**{f"c{k}": values for k, values in enumerate(_series(COLUMNS.values()))})
    limpid.inspect(frame, target="y").show(Console(file=io.StringIO()))
    assert "because" in limpid.plan(frame, target="y", set=TINY).text()
    with refused("no column 'zz'"):
        limpid.inspect(frame, target="zz")
    with refused("single precision"):
        limpid.plan(target([2**63 - 1 - 7 * i for i in range(ROWS)]), target="y", set=TINY)


def _series(columns: Any) -> list[Any]:
    return [c if isinstance(c, (pl.Series, pl.Expr)) else pl.Series(c) for c in columns]
