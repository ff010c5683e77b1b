"""The profile counts rightly, says what it leaves out, and stays small and finite whatever the cells hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpid.core.schema import ColumnSpec
from limpid.data.facts import column_facts
from limpid.data.profile import MAX_ROWS, profile
from limpid.data.views import view


def make(
    frame: pl.DataFrame, kinds: dict[str, str | ColumnSpec], target: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    specs = {n: ColumnSpec(kind=k) if isinstance(k, str) else k for n, k in kinds.items()}
    seen = frame.filter(pl.Series(more["parts"] == "train")) if "parts" in more else frame
    facts = {n: column_facts(seen.get_column(n)) for n in frame.columns}
    record = profile(frame, specs, facts, target, **more)
    json.dumps(record, allow_nan=False)
    return record


def column(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in record["columns"] if c["name"] == name)


def test_numbers_are_counted_as_numpy_counts_them() -> None:
    rng = np.random.default_rng(0)
    x = rng.gamma(2, 3, 4_000)
    x[:40] = np.nan
    got = column(make(pl.DataFrame({"x": x}), {"x": "number"}), "x")
    known = x[40:]
    assert got["missing"] == 40 and got["missing_share"] == 0.01 and got["distinct"] == 3_960
    assert got["min"] == known.min() and got["max"] == known.max()
    assert got["mean"] == pytest.approx(known.mean()) and got["std"] == pytest.approx(known.std())
    for q in ("0.05", "0.5", "0.99"):
        assert got["quantiles"][q] == pytest.approx(np.quantile(known, float(q)))
    lower, upper = np.quantile(known, [0.25, 0.75])
    far = (known < lower - 3 * (upper - lower)) | (known > upper + 3 * (upper - lower))
    assert got["outliers"] == far.sum() > 0
    histogram = got["histogram"]
    assert sum(histogram["counts"]) + histogram["below"] + histogram["above"] == 3_960
    inside, _ = np.histogram(known, histogram["edges"])
    assert histogram["counts"][:-1] == inside[:-1].tolist()


@pytest.mark.parametrize("spread", [1, 2, 23, 24, 73, 98, 365, 100_000])
def test_whole_numbers_get_bins_of_equal_width_that_hold_them_all(spread: int) -> None:
    values = np.arange(5, 5 + spread, dtype=float)
    histogram = column(make(pl.DataFrame({"x": np.repeat(values, 2)}), {"x": "number"}), "x")["histogram"]
    edges = np.array(histogram["edges"])
    assert sum(histogram["counts"]) == 2 * spread
    assert len(histogram["counts"]) == len(edges) - 1 <= 24
    if spread > 1:
        assert np.all(np.diff(edges) == np.diff(edges)[0])
        assert np.histogram(np.repeat(values, 2), np.append(edges[:-1], np.inf))[0].tolist() == histogram["counts"]


def test_a_few_far_values_do_not_squeeze_the_histogram() -> None:
    x = np.append(np.random.default_rng(0).normal(size=5_000), [1e9, -1e9])
    got = column(make(pl.DataFrame({"x": x}), {"x": "number"}), "x")
    assert got["histogram"]["edges"][0] > -10 and got["histogram"]["edges"][-1] < 10
    assert got["histogram"]["below"] >= 1 and got["histogram"]["above"] >= 1
    assert got["outliers"] >= 2


def test_categories_labels_dates_and_keys() -> None:
    frame = pl.DataFrame(
        {
            "town": ["Rome", "Oslo", "Rome", "?", None, "Rome"] * 20,
            "day": ["2020-01-01", "2020-01-31", None, "2020-01-15", "2020-01-02", "soon"] * 20,
            "id": [f"k{i}" for i in range(120)],
            "same": ["a"] * 119 + ["b"],
        }
    )
    kinds = {"town": ColumnSpec(kind="category", missing=("?",)), "day": "date", "id": "key", "same": "category"}
    record = make(frame, kinds, because={"data.columns.town": "few words", "id": "all different"})
    town, day, key, same = (column(record, n) for n in frame.columns)
    assert town["top"] == [["Rome", 60], ["Oslo", 20]] and town["missing"] == 40 and town["distinct"] == 2
    assert town["evidence"] == "few words" and key["evidence"] == "all different" and day["evidence"] == ""
    assert (
        day["min"] == "2020-01-01" and day["max"] == "2020-01-31" and day["missing"] == 40 and day["unreadable"] == 20
    )
    assert day["histogram"]["edges"][0].startswith("2020-01-01")
    assert key["distinct"] == 120 and key["others"] == 100 and len(key["top"]) == 20
    assert same["near_constant"] and same["most_common_share"] == pytest.approx(119 / 120)
    assert not town["near_constant"]


def test_the_target_has_its_balance_and_the_other_columns_their_association() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=900)
    frame = pl.DataFrame({"x": x, "noise": rng.normal(size=900), "y": np.where(x > 0.7, "yes", "no")})
    record = make(frame, {"x": "number", "noise": "number", "y": "category"}, ("y",))
    (target,) = record["target"]["columns"]
    shares = {b["value"]: b["share"] for b in target["balance"]}
    assert shares["yes"] == pytest.approx((x > 0.7).mean()) and target["classes"] == 2
    assert target["imbalance"] == pytest.approx((x <= 0.7).sum() / (x > 0.7).sum())
    assert column(record, "x")["association"]["value"] > 0.6 > 0.1 > column(record, "noise")["association"]["value"]
    assert [leak["columns"] for leak in record["leaks"]] == [["x"]]
    first = record["correlations"][0]
    assert ({first["a"], first["b"]}, first["measure"]) == ({"x", "y"}, "eta")


def test_several_targets_are_each_checked() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=300), rng.normal(size=300)
    frame = pl.DataFrame({"twice_b": 2 * b, "noise": rng.normal(size=300), "a": a, "b": b})
    record = make(frame, dict.fromkeys(frame.columns, "number"), ("a", "b"))
    assert [t["name"] for t in record["target"]["columns"]] == ["a", "b"]
    assert [(leak["columns"], "of b" in leak["what"]) for leak in record["leaks"]] == [(["twice_b"], True)]


def test_duplicates_and_contradictions_leave_keys_aside() -> None:
    frame = pl.DataFrame({"id": range(8), "x": [1, 1, 2, 2, 3, 3, 3, 4], "y": ["a", "a", "a", "b", "a", "a", "a", "b"]})
    record = make(frame, {"id": "key", "x": "number", "y": "category"}, ("y",))
    assert record["duplicates"] == {"rows": 3, "share": 3 / 8, "contradictions": 2}


def test_other_parts_are_only_compared_for_duplicates() -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"x": rng.normal(size=400), "y": rng.normal(size=400)})
    frame = pl.concat([frame[:300], frame[:50], frame[350:]])
    parts = np.array(["train"] * 300 + ["test"] * 100)
    record = make(frame, {"x": "number", "y": "number"}, ("y",), parts=parts)
    assert record["rows"] == 300
    assert [(leak["kind"], leak["score"]) for leak in record["leaks"]] == [("duplicates", 0.5)]
    changed = frame.with_columns(x=pl.when(pl.Series(parts == "test")).then(9e9).otherwise(pl.col("x")))
    again = make(changed, {"x": "number", "y": "number"}, ("y",), parts=parts)
    assert again["columns"][0]["histogram"] == record["columns"][0]["histogram"]
    assert {**again, "leaks": []} == {**record, "leaks": []}


def test_large_tables_are_sampled_and_say_so() -> None:
    n = MAX_ROWS + 1_000
    frame = pl.DataFrame({"x": np.arange(n), "y": np.arange(n) % 3})
    record = make(frame, {"x": "number", "y": "category"}, seed=1)
    assert (record["rows"], record["sampled_rows"]) == (n, MAX_ROWS)
    assert record["notes"] == [f"counts and figures are of a random sample of {MAX_ROWS:,} of {n:,} rows"]
    assert record == make(frame, {"x": "number", "y": "category"}, seed=1)


def test_very_wide_tables_are_capped_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limpid.data.profile.MAX_COLUMNS", 200)
    rng = np.random.default_rng(4)
    frame = pl.DataFrame(rng.normal(size=(60, 250)), schema=[f"c{i}" for i in range(250)])
    record = make(frame, dict.fromkeys(frame.columns, "number"), ("c240",))
    assert len(record["columns"]) == 250
    assert "histogram" in column(record, "c240"), "the target is described wherever it stands"
    assert "histogram" not in column(record, "c249")
    assert any("50 of 250 columns" in note for note in record["notes"])
    assert any("correlations are among 120 columns" in note for note in record["notes"])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_tiny_and_empty_tables(rows: int) -> None:
    frame = pl.DataFrame(
        {"x": [1.5, None][:rows], "t": ["a", ""][:rows], "d": ["2020-01-01", "2021-01-01"][:rows]},
        schema={"x": pl.Float64, "t": pl.String, "d": pl.String},
    )
    record = make(frame, {"x": "number", "t": "category", "d": "date"}, ("t",))
    assert record["rows"] == rows and record["leaks"] == []


def test_long_values_are_cut() -> None:
    frame = pl.DataFrame({"note": ["x" * 1_000_000, "y"]})
    record = make(frame, {"note": "text"})
    assert len(json.dumps(record)) < 5_000


cell = st.one_of(
    st.none(), st.text(max_size=8), st.sampled_from(["", "?", "1e308", "-1e308", "nan", "inf", "1,5", "9999-12-31"])
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(cell, cell, st.one_of(st.none(), st.floats())), min_size=1, max_size=80),
    st.sampled_from(["number", "category", "date", "text", "key"]),
)
def test_any_cells_give_plain_json(rows: list[tuple[Any, ...]], kind: str) -> None:
    frame = pl.DataFrame(
        {"a": [r[0] for r in rows], "b": [r[1] for r in rows], "c": [r[2] for r in rows]},
        schema={"a": pl.String, "b": pl.String, "c": pl.Float64},
    )
    record = make(frame, {"a": kind, "b": "category", "c": "number"}, ("b",))
    for described in record["columns"]:
        histogram = described.get("histogram")
        counted = sum(histogram["counts"]) + histogram["below"] + histogram["above"] if histogram else 0
        counted += sum(n for _, n in described.get("top", [])) + described.get("others", 0)
        assert counted + described["missing"] == len(rows)


def test_a_view_reads_lists_booleans_and_small_integers_as_categories() -> None:
    spec = ColumnSpec(kind="category")
    assert view(pl.Series("x", [1.0, 2.0, 1.0, None]), spec).levels == ("1", "2")
    assert view(pl.Series("x", [True, False, True]), spec).levels == ("true", "false")
    listed = view(pl.Series("x", [["a", "b"], ["a", "b"], []]), ColumnSpec(kind="labels"))
    assert listed.codes is not None and listed.codes.tolist() == [0, 0, 1]


def test_adult_as_it_is_published(real_data: Any) -> None:
    path: Path = real_data("adult/adult-train.csv")
    names = (
        "age workclass fnlwgt education education_num marital_status occupation relationship race sex "
        "capital_gain capital_loss hours_per_week native_country income"
    ).split()
    frame = pl.read_csv(path, has_header=False, new_columns=names, infer_schema=False)
    frame = frame.filter(pl.col("age").str.strip_chars().str.contains(r"^\d+$"))
    numbers = {"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"}
    kinds = {n: ColumnSpec(kind="number" if n in numbers else "category", missing=("?",)) for n in names}
    record = make(frame, kinds, ("income",))
    assert record["rows"] == 32_561
    assert column(record, "occupation")["missing"] == 1_843
    assert record["duplicates"]["rows"] == 24
    assert record["leaks"] == [], "adult has no leak"
    assert [record["correlations"][0][k] for k in ("a", "b", "measure")] == ["education", "education_num", "eta"]
    assert record["target"]["columns"][0]["balance"][0] == {"value": "<=50K", "count": 24_720, "share": 24_720 / 32_561}


def test_loans_give_their_grade_away(real_data: Any) -> None:
    frame = pl.read_csv(next(real_data("lending-loans").glob("*.csv")), infer_schema=False)
    frame = frame.select("sub_grade", "grade", "interest_rate", "loan_amount", "annual_income", "homeownership")
    kinds = dict.fromkeys(frame.columns, "number") | dict.fromkeys(("sub_grade", "grade", "homeownership"), "category")
    record = make(frame, kinds, ("interest_rate",))
    assert [(leak["kind"], leak["level"], leak["columns"]) for leak in record["leaks"]] == [
        ("predicts", "warning", ["sub_grade"])
    ]
    graded = make(frame, kinds, ("grade",))
    assert {c for leak in graded["leaks"] for c in leak["columns"]} == {"sub_grade", "interest_rate"}
