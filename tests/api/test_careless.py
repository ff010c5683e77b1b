"""Whatever table or setting a person brings: a model with every repair counted, or an error with four parts."""

from __future__ import annotations

import io
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
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
    target,
)
from rich.console import Console

import limpid
from limpid.core.run import RunFolder


@contextmanager
def refused(what: str) -> Iterator[None]:
    with pytest.raises(limpid.LimpidError) as caught:
        yield
    assert what in caught.value.what
    assert all(part.strip() for part in caught.value.parts().values())


def repairs(run: limpid.Run) -> dict[str, int]:
    return {r["what"]: r["count"] for r in run.record["repairs"]}


# -- training ---------------------------------------------------------------------------------------------------------


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


# -- names ------------------------------------------------------------------------------------------------------------


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


def test_kept_columns_never_clash_with_answers(model: limpid.Model) -> None:
    frame = plain().with_columns(prediction=1, probability_no=2, prediction_model=3, error=4)
    kept = ["prediction", "probability_no", "prediction_model", "error"]
    answer = model.predict(frame, keep=[*kept, "error"])
    assert answer.columns[:4] == kept and answer.width == 7
    assert answer["prediction_model_model"].to_list() == model.predict(plain())["prediction"].to_list()


# -- predicting and evaluating ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    frame = plain().with_columns(d=pl.Series([f"2020-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(ROWS)]))
    return fit(frame, tmp_path_factory.mktemp("careless") / "first")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> limpid.Model:
    return fit(plain(), tmp_path_factory.mktemp("careless") / "plain").model


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return plain().drop("y").with_columns(d=pl.Series([f"2020-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(ROWS)]))


SAME = {
    "reordered columns": lambda x: x.select("d", "b", "a"),
    "extra columns": lambda x: x.with_columns(zz=pl.lit("new"), y=pl.lit(3)),
    "numbers as text": lambda x: x.with_columns(pl.col("a").cast(pl.String)),
    "dates as dates": lambda x: x.with_columns(pl.col("d").str.to_date()),
    "dates with times": lambda x: x.with_columns(pl.col("d").str.to_datetime("%Y-%m-%d")),
    "categories as such": lambda x: x.with_columns(pl.col("b").cast(pl.Categorical)),
    "a lazy frame": lambda x: x.lazy(),
    "a mapping": lambda x: x.to_dict(as_series=False),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_rows_written_otherwise_get_the_same_answers(first: limpid.Run, rows: pl.DataFrame, case: str) -> None:
    model = first.model
    assert model.predict(SAME[case](rows)).equals(model.predict(rows))
    assert len(model.repairs) == 0


CELLS = {
    "an unseen category": ("b", pl.lit("martian"), "never or too seldom"),
    "a category in other letters": ("b", pl.lit("X"), "never or too seldom"),
    "a number as category": ("b", pl.lit(3.5), "never or too seldom"),
    "text as number": ("a", pl.lit("oops"), "could not be read as a number"),
    "a date as number": ("a", pl.date(2020, 1, 1), "could not be read as a number"),
    "a list as number": ("a", pl.lit([1.0]), "could not be read as a number"),
    "infinity": ("a", pl.lit(float("inf")), "infinite, taken as missing"),
    "a day that is none": ("d", pl.lit("2020-13-45"), "could not be read as a date"),
    "a date in another format": ("d", pl.lit("05/01/2020"), "could not be read as a date"),
    "a flag as date": ("d", pl.lit(True), "could not be read as a date"),
}


@pytest.mark.parametrize("case", CELLS)
def test_cells_unlike_those_of_training_are_counted(first: limpid.Run, rows: pl.DataFrame, case: str) -> None:
    column, value, what = CELLS[case]
    model = first.model
    answer = model.predict(rows.with_columns(value.alias(column)))
    assert answer.height == ROWS
    assert answer["probability_yes"].is_finite().all()
    [(where, said, count)] = [(r.where, r.what, r.count) for r in model.repairs]
    assert (where, count) == (column, ROWS) and what in said


NO_ROWS = {
    "a missing column": (lambda x: x.drop("a"), "a column is missing: 'a'"),
    "a renamed column": (lambda x: x.rename({"a": "A"}), "a column is missing: 'a'"),
    "an array": (lambda x: np.zeros((5, 3)), "columns are missing: 'a', 'b', 'd'"),
    "no rows": (lambda x: x[:0], "no rows"),
    "a single number": (lambda x: 5, "int is no table"),
    "nothing": (lambda x: None, "NoneType is no table"),
    "a path that is not there": (lambda x: "-", "no such file"),
    "columns of two lengths": (lambda x: {"a": [1, 2], "b": ["x"]}, "has 1 rows"),
}


@pytest.mark.parametrize("verb", ["predict", "evaluate", "predict_proba"])
@pytest.mark.parametrize("case", NO_ROWS)
def test_rows_that_cannot_be_answered_are_refused(first: limpid.Run, rows: pl.DataFrame, case: str, verb: str) -> None:
    make, what = NO_ROWS[case]
    with_target = rows.with_columns(y=pl.lit("yes"))
    with refused("no column 'y'" if case == "an array" and verb == "evaluate" else what):
        getattr(first.model, verb)(make(with_target))


@pytest.mark.parametrize(
    ("values", "what"),
    [("maybe", "'maybe' is no class"), (3, "'3' is no class"), (None, "no row has a target"), ([1], "")],
)
def test_targets_that_cannot_be_evaluated_are_refused(model: limpid.Model, values: Any, what: str) -> None:
    with refused(what):
        model.evaluate(plain().with_columns(y=pl.lit(values)))


def test_some_unknown_classes_are_counted_when_evaluating(model: limpid.Model) -> None:
    some = plain().with_columns(y=pl.Series(["maybe" if i < 5 else "yes" if i % 2 else "no" for i in range(ROWS)]))
    found = limpid.evaluate(model, some)
    assert found.rows == 75
    assert [r.count for r in found.repairs if "no class" in r.what] == [5]


@pytest.mark.parametrize("name", ["p.xlsx", "p", ".csv", "-", "", "a\0.csv", "x" * 300 + ".csv", "folder.csv"])
def test_answers_that_cannot_be_written_are_refused(model: limpid.Model, name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with refused(""):
        limpid.predict(model, plain(), out=tmp_path / name if name else "")


def test_answers_go_into_folders_that_are_made_and_never_over_the_data(model: limpid.Model, tmp_path: Path) -> None:
    limpid.predict(model, plain(), out=tmp_path / "no" / "such" / "p.csv")
    assert pl.read_csv(tmp_path / "no" / "such" / "p.csv").height == ROWS
    data = tmp_path / "d.csv"
    plain().write_csv(data)
    with refused("written over the data"):
        limpid.predict(model, data, out=data)
    assert pl.read_csv(data).equals(plain())


# -- rows that cannot be read -----------------------------------------------------------------------------------------


def lines_of(frame: pl.DataFrame) -> list[str]:
    return frame.write_csv().splitlines()


def test_a_row_that_cannot_be_read_keeps_its_place_and_says_why(model: limpid.Model, tmp_path: Path) -> None:
    frame = plain().drop("y").with_columns(n=pl.int_range(pl.len()))
    lines = lines_of(frame)
    lines[6] += ",9,9"
    lines[12] = '0.5,"x",11'
    lines[21] = 'he said "hi",x,20'
    lines[22] = '"he said "hi" to me",x,21'
    lines[-1] += ",oops"
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    found = limpid.predict(model, tmp_path / "d.csv", out=tmp_path / "p.csv", keep=["n"])
    written = pl.read_csv(tmp_path / "p.csv")
    bad = [5, 21, ROWS - 1]
    assert written.columns == ["n", "prediction", "probability_no", "probability_yes", "error"]
    assert np.flatnonzero(written["error"].is_not_null()).tolist() == bad
    assert written["n"].to_list() == [None if i in bad else i for i in range(ROWS)]
    assert written["prediction"].null_count() == len(bad)
    assert written["error"].drop_nulls().str.starts_with("line ").all()
    assert written["error"][5] == "line 7: the row has 5 cells, the table 3 columns"
    good = [i for i in range(ROWS) if i not in [*bad, 11, 20]]
    assert written["prediction"].gather(good).equals(model.predict(frame)["prediction"].gather(good))
    assert [(r.count, r.what) for r in found.repairs if "error" in r.what] == [
        (3, "rows could not be read; column 'error' says why")
    ]
    with refused("3 problems"):
        fit(tmp_path / "d.csv", tmp_path / "r", "b")


def test_lines_of_json_that_cannot_be_read_keep_their_places(model: limpid.Model, tmp_path: Path) -> None:
    lines = plain().drop("y").write_ndjson().splitlines()
    lines[7], lines[9] = "{broken", "[1]"
    (tmp_path / "d.jsonl").write_text("\n".join(lines) + "\n")
    answer = model.predict(tmp_path / "d.jsonl")
    assert np.flatnonzero(answer["error"].is_not_null()).tolist() == [7, 9]
    assert answer.height == ROWS


def test_places_count_over_all_files_of_a_folder(model: limpid.Model, tmp_path: Path) -> None:
    lines = lines_of(plain().drop("y"))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("\n".join([*lines[:5], lines[5] + ",9", *lines[6:]]) + "\n")
    answer = model.predict(tmp_path)
    assert np.flatnonzero(answer["error"].is_not_null()).tolist() == [4, ROWS + 4]
    assert "b.csv, line 6" in answer["error"][ROWS + 4]


def test_unreadable_rows_are_remembered_by_the_cache(
    model: limpid.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limpid.data.sources import store

    monkeypatch.setattr(store.Room, "__init__", lambda self: setattr(self, "left_bytes", 0))
    lines = lines_of(plain().drop("y"))
    lines[6] += ",9"
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    once, again = (model.predict(tmp_path / "d.csv") for _ in range(2))
    assert once.equals(again)
    assert np.flatnonzero(again["error"].is_not_null()).tolist() == [5]


def test_a_file_of_which_most_rows_cannot_be_read_is_refused(model: limpid.Model, tmp_path: Path) -> None:
    lines = lines_of(plain().drop("y"))
    (tmp_path / "d.csv").write_text("\n".join(lines + lines[1:] * 4 + [f"{line},1" for line in lines] * 6) + "\n")
    with refused("rows cannot be read"):
        model.predict(tmp_path / "d.csv")


def test_exactly_the_damaged_tenth_is_reported_and_costs_at_most_a_point(tmp_path: Path) -> None:
    g = np.random.default_rng(3)
    frame = plain(1500, seed=3).with_columns(c=pl.Series(g.normal(size=1500).round(4)))
    damaged = set(g.choice(1500, 150, replace=False).tolist())
    lines = lines_of(frame)
    test, settings = plain(1500, seed=4).with_columns(c=pl.lit(0.0)), {"train.epochs": 6}
    broken = [lines[0]] + ["?!" if k in damaged else line for k, line in enumerate(lines[1:])]
    kept = [lines[0]] + [line for k, line in enumerate(lines[1:]) if k not in damaged]
    (tmp_path / "broken.csv").write_text("\n".join(broken) + "\n")
    (tmp_path / "kept.csv").write_text("\n".join(kept) + "\n")
    one = fit(tmp_path / "broken.csv", tmp_path / "a", test=test, set=settings)
    other = fit(tmp_path / "kept.csv", tmp_path / "b", test=test, set=settings)
    found = repairs(one)
    assert found["had rows with too few cells, filled with missing values"] == 150
    assert found["had no target and were left out"] == 150
    trained = pl.read_parquet(one.path / "rows.parquet").filter(pl.col("file").cast(pl.String).str.ends_with("n.csv"))
    assert set(range(1500)) - set(trained["row"].to_list()) == damaged
    assert one.metrics["test"]["accuracy"] >= other.metrics["test"]["accuracy"] - 0.01


def test_changing_test_rows_of_a_csv_leaves_the_models_bytes_unchanged(tmp_path: Path) -> None:
    plain().write_csv(tmp_path / "train.csv")
    runs = []
    for name, test in {"a": plain(40, seed=1), "b": plain(55, seed=2).with_columns(a=pl.col("a") * 9)}.items():
        test.write_csv(tmp_path / f"{name}.csv")
        runs.append(fit(tmp_path / "train.csv", tmp_path / name, test=tmp_path / f"{name}.csv"))
    for member in ("spec.json", "encoders.json", "weights.safetensors"):
        one, other = ((run.path / "model" / member).read_bytes() for run in runs)
        assert one == other


# -- recipes, resuming, interruption, full disks ----------------------------------------------------------------------

EDITS: list[tuple[str, Any]] = [
    ("split.how", None), ("split", []), ("train", "x"), ("train.lr", None), ("net.name", None), ("net.name", ["x"]),
    ("net.width", "wide"), ("task.name", "regression"), ("task.loss", 3), ("data", None), ("data.target", {"a": 1}),
    ("data.columns.a.kind", 7), ("data.columns.a.use", "maybe"), ("data.columns.a.options", [1]), ("seed", -1),
    ("seed", True), ("format", 99), ("budget_seconds", "long"), ("because", 3), ("evaluate", 3), ("extra", 1),
    ("data.weight", "b"), ("data.test", "nope.csv"), ("split.group", "zzz"), ("data.drop", ["everything"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), EDITS, ids=lambda v: str(v)[:20])
def test_a_plan_edited_to_nonsense_is_refused(first: limpid.Run, path: str, value: Any, tmp_path: Path) -> None:
    tree = yaml.safe_load((first.path / "plan.yaml").read_text())
    node = tree
    *way, last = path.split(".")
    for step in way:
        node = node[step]
    node[last] = value
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(tree))
    frame = plain().with_columns(d=pl.lit("2020-01-01"))
    with refused(""):
        limpid.train(frame, recipe=tmp_path / "plan.yaml", out=tmp_path / "r", quiet=True)


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "\0{{{", "a: &a [1]\nb: *a\n", "seed: 1\nseed: 2\n", "seed: " + "[" * 5000, "3: 4\n"]
)
def test_a_recipe_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with refused(""):
        limpid.train(plain(), target="y", recipe=tmp_path / "plan.yaml", out=tmp_path / "r", quiet=True)


def test_a_recipe_of_another_table_is_refused(first: limpid.Run, tmp_path: Path) -> None:
    other = pl.DataFrame({"u": [0.5, 1.5] * 20, "v": ["k", "l"] * 20, "z": ["p", "q"] * 20})
    with refused("no column"):
        limpid.train(other, recipe=first.path / "plan.yaml", out=tmp_path / "r", quiet=True)
    assert not (tmp_path / "r").exists()
    with refused("3 problems"):
        limpid.train(other, target="z", recipe=first.path / "plan.yaml", out=tmp_path / "r", quiet=True)


def interrupted(data: Any, out: Path) -> None:
    """A training that gets a SIGINT after its second epoch."""
    epochs = []

    def listen(event: Any) -> None:
        if event.as_dict()["event"] == "EpochEnded":
            epochs.append(event)
            if len(epochs) == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(data, out, set={"train.epochs": 6, "train.patience": 6}, listen=listen)


def test_an_interrupted_run_goes_on_to_the_same_bytes_and_with_nothing_else(tmp_path: Path) -> None:
    plain().write_csv(tmp_path / "d.csv")
    whole = fit(tmp_path / "d.csv", tmp_path / "whole", set={"train.epochs": 6, "train.patience": 6})
    interrupted(tmp_path / "d.csv", tmp_path / "r")
    assert list((tmp_path / "r" / "checkpoint").iterdir())
    for other in (
        {"data": plain(seed=9)},
        {"data": plain(60)},
        {"seed": 7},
        {"net": "tabm"},
        {"set": {"train.lr": 0.5}},
        {"target": "b"},
    ):
        with refused(""):
            limpid.train(**{"data": tmp_path / "d.csv", **other}, out=tmp_path / "r", resume=True, quiet=True)
    resumed = limpid.train(tmp_path / "d.csv", out=tmp_path / "r", resume=True, quiet=True)
    for member in ("spec.json", "encoders.json", "weights.safetensors"):
        assert (resumed.path / "model" / member).read_bytes() == (whole.path / "model" / member).read_bytes()


def test_damaged_checkpoints_are_said_and_the_training_begins_anew(tmp_path: Path) -> None:
    interrupted(plain(), tmp_path / "r")
    for file in (tmp_path / "r" / "checkpoint").rglob("*"):
        if file.is_file():
            file.write_bytes(b"x")
    (tmp_path / "r" / "events.jsonl").write_bytes(b"\xff\xfe garbage")
    run = limpid.train(plain(), out=tmp_path / "r", resume=True, quiet=True)
    assert any("begins anew" in str(event.get("text", event)) for event in run.events())


@pytest.mark.parametrize(("name", "text"), [("plan.yaml", "nonsense: ["), ("metrics.json", "{")])
def test_damaged_files_of_a_run_are_refused(name: str, text: str, tmp_path: Path) -> None:
    run = fit(plain(), tmp_path / "r")
    if name == "plan.yaml":
        run.path.joinpath("metrics.json").unlink()
    run.path.joinpath(name).write_text(text)
    with refused(""):
        _ = limpid.train(plain(), out=run.path, resume=True, quiet=True).metrics


def test_two_processes_never_share_a_run_folder(tmp_path: Path) -> None:
    held = RunFolder(tmp_path / "r")
    held.open_new(resume=False)
    try:
        with refused("another process"):
            fit(plain(), tmp_path / "r", resume=True)
    finally:
        held.close()
    assert fit(plain(), tmp_path / "r", resume=True).metrics


@pytest.mark.parametrize("limit", [0, 2_000, 6_000, 60_000])
def test_a_disk_that_is_full_is_said(limit: int, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with refused("could not be written"):
            fit(plain(300), tmp_path / "r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert limpid.train(plain(300), target="y", out=tmp_path / "r", resume=True, set=TINY, quiet=True).metrics


def test_a_run_folder_that_is_a_file_or_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    for out, what in ((tmp_path / "file", "is a file"), (tmp_path / "folder", "not empty")):
        with refused(what):
            fit(plain(), out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "mine.txt"]


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
