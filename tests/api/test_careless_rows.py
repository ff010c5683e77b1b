"""Whatever rows a model is asked about: as many answers in their order, each oddity counted, or four parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from careless_tables import ROWS, fit, plain, refused, repairs

import limpid

pytestmark = pytest.mark.slow

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
def test_the_same_rows_written_otherwise_get_the_same_answers(
    first: limpid.Run, dated_rows: pl.DataFrame, case: str
) -> None:
    model = first.model
    assert model.predict(SAME[case](dated_rows)).equals(model.predict(dated_rows))
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
def test_cells_unlike_those_of_training_are_counted(first: limpid.Run, dated_rows: pl.DataFrame, case: str) -> None:
    column, value, what = CELLS[case]
    model = first.model
    answer = model.predict(dated_rows.with_columns(value.alias(column)))
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
def test_rows_that_cannot_be_answered_are_refused(
    first: limpid.Run, dated_rows: pl.DataFrame, case: str, verb: str
) -> None:
    make, what = NO_ROWS[case]
    with_target = dated_rows.with_columns(y=pl.lit("yes"))
    with refused("no column 'y'" if case == "an array" and verb == "evaluate" else what):
        getattr(first.model, verb)(make(with_target))


@pytest.mark.parametrize(
    ("values", "what"),
    [("maybe", "'maybe' is no class"), (3, "'3' is no class"), (None, "no row has a target"), ([1], "")],
)
def test_targets_that_cannot_be_evaluated_are_refused(plain_model: limpid.Model, values: Any, what: str) -> None:
    with refused(what):
        plain_model.evaluate(plain().with_columns(y=pl.lit(values)))


def test_some_unknown_classes_are_counted_when_evaluating(plain_model: limpid.Model) -> None:
    some = plain().with_columns(y=pl.Series(["maybe" if i < 5 else "yes" if i % 2 else "no" for i in range(ROWS)]))
    found = limpid.evaluate(plain_model, some)
    assert found.rows == 75
    assert [r.count for r in found.repairs if "no class" in r.what] == [5]


@pytest.mark.parametrize("name", ["p.xlsx", "p", ".csv", "-", "", "a\0.csv", "x" * 300 + ".csv", "folder.csv"])
def test_answers_that_cannot_be_written_are_refused(plain_model: limpid.Model, name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with refused(""):
        limpid.predict(plain_model, plain(), out=tmp_path / name if name else "")


def test_answers_go_into_folders_that_are_made_and_never_over_the_data(
    plain_model: limpid.Model, tmp_path: Path
) -> None:
    limpid.predict(plain_model, plain(), out=tmp_path / "no" / "such" / "p.csv")
    assert pl.read_csv(tmp_path / "no" / "such" / "p.csv").height == ROWS
    data = tmp_path / "d.csv"
    plain().write_csv(data)
    with refused("written over the data"):
        limpid.predict(plain_model, data, out=data)
    assert pl.read_csv(data).equals(plain())


def lines_of(frame: pl.DataFrame) -> list[str]:
    return frame.write_csv().splitlines()


def test_a_row_that_cannot_be_read_keeps_its_place_and_says_why(plain_model: limpid.Model, tmp_path: Path) -> None:
    frame = plain().drop("y").with_columns(n=pl.int_range(pl.len()))
    lines = lines_of(frame)
    lines[6] += ",9,9"
    lines[12] = '0.5,"x",11'
    lines[21] = 'he said "hi",x,20'
    lines[22] = '"he said "hi" to me",x,21'
    lines[-1] += ",oops"
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    found = limpid.predict(plain_model, tmp_path / "d.csv", out=tmp_path / "p.csv", keep=["n"])
    written = pl.read_csv(tmp_path / "p.csv")
    bad = [5, 21, ROWS - 1]
    assert written.columns == ["n", "prediction", "probability_no", "probability_yes", "error"]
    assert np.flatnonzero(written["error"].is_not_null()).tolist() == bad
    assert written["n"].to_list() == [None if i in bad else i for i in range(ROWS)]
    assert written["prediction"].null_count() == len(bad)
    assert written["error"].drop_nulls().str.starts_with("line ").all()
    assert written["error"][5] == "line 7: the row has 5 cells, the table 3 columns"
    good = [i for i in range(ROWS) if i not in [*bad, 11, 20]]
    assert written["prediction"].gather(good).equals(plain_model.predict(frame)["prediction"].gather(good))
    assert [(r.count, r.what) for r in found.repairs if "error" in r.what] == [
        (3, "rows could not be read; column 'error' says why")
    ]
    with refused("3 problems"):
        fit(tmp_path / "d.csv", tmp_path / "r", "b")


def test_lines_of_json_that_cannot_be_read_keep_their_places(plain_model: limpid.Model, tmp_path: Path) -> None:
    lines = plain().drop("y").write_ndjson().splitlines()
    lines[7], lines[9] = "{broken", "[1]"
    (tmp_path / "d.jsonl").write_text("\n".join(lines) + "\n")
    answer = plain_model.predict(tmp_path / "d.jsonl")
    assert np.flatnonzero(answer["error"].is_not_null()).tolist() == [7, 9]
    assert answer.height == ROWS


def test_places_count_over_all_files_of_a_folder(plain_model: limpid.Model, tmp_path: Path) -> None:
    lines = lines_of(plain().drop("y"))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("\n".join([*lines[:5], lines[5] + ",9", *lines[6:]]) + "\n")
    answer = plain_model.predict(tmp_path)
    assert np.flatnonzero(answer["error"].is_not_null()).tolist() == [4, ROWS + 4]
    assert "b.csv, line 6" in answer["error"][ROWS + 4]


def test_unreadable_rows_are_remembered_by_the_cache(
    plain_model: limpid.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limpid.data.sources import store

    monkeypatch.setattr(store.Room, "__init__", lambda self: setattr(self, "left_bytes", 0))
    lines = lines_of(plain().drop("y"))
    lines[6] += ",9"
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    once, again = (plain_model.predict(tmp_path / "d.csv") for _ in range(2))
    assert once.equals(again)
    assert np.flatnonzero(again["error"].is_not_null()).tolist() == [5]


def test_a_file_of_which_most_rows_cannot_be_read_is_refused(plain_model: limpid.Model, tmp_path: Path) -> None:
    lines = lines_of(plain().drop("y"))
    (tmp_path / "d.csv").write_text("\n".join(lines + lines[1:] * 4 + [f"{line},1" for line in lines] * 6) + "\n")
    with refused("rows cannot be read"):
        plain_model.predict(tmp_path / "d.csv")


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
