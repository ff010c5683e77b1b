"""`limpid.explain` without a row, neighbours and what turns an answer: on a model whose truth is known."""

from __future__ import annotations

import io
import json

import numpy as np
import polars as pl
import pytest
from api_tables import quick
from rich.console import Console

import limpid
from limpid.core.repairs import Repairs
from limpid.explanation.importance import accumulated, dependence, interaction, permutation_importance
from limpid.explanation.neighbours import counterfactual, features, nearest
from limpid.explanation.surface import surface

pytestmark = pytest.mark.slow

ROWS = 400


class Known:
    """A model whose answer is a formula of its columns, with the encoders of a real one."""

    def __init__(self, bundle, formula) -> None:
        self.encoders, self.task, self.target, self._formula = bundle.encoders, bundle.task, bundle.target, formula
        self._names = bundle.encoders.shapes()["fields"].numbers
        self._state = bundle.encoders

    def raw(self, arrays):
        return self._formula({n: arrays["fields.numbers"][:, k] for k, n in enumerate(self._names)})[:, None]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    draws = np.random.default_rng(0)
    columns = {name: draws.normal(size=ROWS) for name in "abcd"}
    return pl.DataFrame(columns).with_columns(y=pl.col("a") * 2 + pl.col("b") * pl.col("c"))


@pytest.fixture(scope="module")
def fitted(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    return quick(
        frame,
        "y",
        tmp_path_factory.mktemp("whole") / "run",
        net="mlp",
        set={f"data.columns.{n}.options.scale": "standard" for n in "abcd"},
    )


def known(fitted: limpid.Run, formula) -> Known:
    return Known(fitted.model.bundle, formula)


def test_what_is_not_used_is_not_important(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    model = known(fitted, lambda x: 2 * x["a"] + x["b"])
    arrays = model.encoders.encode(frame, Repairs())
    target = model.task.predict(model.raw(arrays)).values
    found = permutation_importance(model, arrays, target)
    by_name = {e["column"]: e for e in found["importance"]}
    assert [e["column"] for e in found["importance"]][:2] == ["a", "b"]
    assert by_name["c"]["loss"] == by_name["d"]["loss"] == by_name["c"]["low"] == 0
    assert by_name["b"]["low"] > 0
    # Shuffling one of two independent terms makes a squared error of twice its variance.
    assert found["metric"] == "rmse"
    assert by_name["a"]["loss"] / by_name["b"]["loss"] == pytest.approx(2, rel=0.15)


def test_a_straight_line_is_drawn_as_one(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    model = known(fitted, lambda x: 0.2 * x["a"] + 0.1 * x["b"] * x["c"])
    found = dependence(model, frame, "a", 0)
    value = np.array([p["value"] for p in found["points"]])
    mean = np.array([p["mean"] for p in found["points"]])
    effect = np.array([p["effect"] for p in found["points"]])
    slope = np.polyfit(value, mean, 1)
    assert np.allclose(np.polyval(slope, value), mean, atol=1e-4)
    assert np.polyfit(value, effect, 1)[0] == pytest.approx(slope[0], rel=1e-4)
    assert np.allclose(np.diff(found["single"], axis=1), np.diff(mean), atol=1e-4)


def test_local_effects_leave_out_what_comes_with_a_column(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    both = frame.with_columns(b=pl.col("a") + 0.01 * pl.col("b"))
    model = known(fitted, lambda x: x["b"])
    points = np.quantile(both["a"], [0.1, 0.5, 0.9]).tolist()
    assert np.allclose(accumulated(model, both, "a", 0, points), 0, atol=1e-6)


def test_interaction_is_none_of_a_sum_and_all_of_a_product(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    assert interaction(known(fitted, lambda x: 0.1 * x["a"] + 0.1 * x["b"] ** 2), frame, "a", "b", 0) == pytest.approx(
        0, abs=1e-3
    )
    product = interaction(known(fitted, lambda x: 0.1 * x["b"] * x["c"]), frame, "b", "c", 0)
    assert product > 0.9
    assert interaction(known(fitted, lambda x: 0.1 * x["b"] * x["c"]), frame, "a", "d", 0) == 0


def test_the_whole_model_by_name(fitted: limpid.Run, frame: pl.DataFrame, tmp_path) -> None:
    found = limpid.explain(fitted.path, frame)
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert {e["column"] for e in record["importance"]} == set("abcd")
    assert len(record["curves"]) == 4
    assert len(record["pairs"]) == 3
    console = Console(width=140, file=io.StringIO())
    found.show(console)
    assert "how much worse" in console.file.getvalue()
    page = found.html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count('class="rows"') + page.count('class="bars"') == 5
    assert page.count('class="point"') == len(record["map"]["points"]) == 400
    kept = record["prototypes"]
    assert [g["rows"] for g in kept["groups"]] == [100] * 4
    assert all(1 <= len(g["prototypes"]) <= 3 for g in kept["groups"])
    assert page.count('<figure class="known') == sum(len(g["prototypes"]) for g in kept["groups"]) + len(
        kept["outliers"] + kept["strangers"]
    )
    assert "rows that stand for the others" in console.file.getvalue()


def test_a_row_is_nearest_to_itself_and_to_its_copies(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    bundle = fitted.model.bundle
    arrays = bundle.encoders.encode(pl.concat([frame, frame[3:4]]), Repairs())
    one = {k: v[3:4] for k, v in arrays.items()}
    found = nearest(bundle, one, arrays, 3)
    assert {found[0][0], found[1][0]} == {3, ROWS}
    assert found[0][1] == pytest.approx(0, abs=1e-6)
    assert found[2][1] > 0
    assert features(bundle, arrays).shape[0] == ROWS + 1


def test_what_turns_an_answer_turns_it(run: limpid.Run, table: pl.DataFrame) -> None:
    bundle = run.model.bundle
    turned = 0
    for n in range(6):
        row, others = table[n : n + 1], table[10:300]
        found = counterfactual(bundle, row, others, fixed=["job"])
        if found is None:
            continue
        turned += 1
        assert found["before"] != found["after"]
        assert "job" not in {c["column"] for c in found["changes"]}
        changed = row.with_columns(
            [pl.lit(c["to"]).cast(row[c["column"]].dtype, strict=False).alias(c["column"]) for c in found["changes"]]
        )
        assert run.model.predict(changed)["prediction"][0] == found["after"]
        assert run.model.predict(row)["prediction"][0] == found["before"]
    assert turned >= 3


def test_what_moves_a_number_beyond_its_interval_does(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    model = fitted.model
    moved = 0
    for n in range(5):
        row = frame[n : n + 1]
        found = counterfactual(model.bundle, row, frame[10:], fixed=["a"])
        if found is None:
            continue
        moved += 1
        before = model.predict(row)
        low, high = found["interval"]
        assert [before["lower"][0], before["upper"][0]] == pytest.approx([low, high], rel=1e-5)
        assert float(found["before"]) == pytest.approx(before["prediction"][0], rel=1e-4)
        assert "a" not in {c["column"] for c in found["changes"]}
        changed = row.with_columns([pl.lit(float(c["to"])).alias(c["column"]) for c in found["changes"]])
        after = model.predict(changed)["prediction"][0]
        assert after == pytest.approx(float(found["after"]), rel=1e-4)
        assert not low <= after <= high
        for c in found["changes"]:
            kept = changed.with_columns(row[c["column"]])
            if len(found["changes"]) > 1:
                assert low <= model.predict(kept)["prediction"][0] <= high, "each change is needed"
    assert moved >= 1


def test_a_column_that_the_model_does_not_read_cannot_be_fixed(run: limpid.Run, table: pl.DataFrame) -> None:
    with pytest.raises(limpid.LimpidError, match="reads no column 'jobb'") as caught:
        limpid.explain(run.path, table, row=0, fixed=["jobb"])
    assert "job" in caught.value.fix


def test_the_map_is_that_of_principal_components() -> None:
    from sklearn.decomposition import PCA

    from limpid.explanation.landscape import projected

    found = np.random.default_rng(0).normal(size=(60, 7)) * np.arange(1, 8)
    place, share = projected(found)
    theirs = PCA(2).fit(found)
    expected = theirs.transform(found)
    assert share == pytest.approx(theirs.explained_variance_ratio_.sum())
    for axis in range(2):
        assert abs(np.corrcoef(place[:, axis], expected[:, axis])[0, 1]) == pytest.approx(1)
    assert place.min() == 0
    assert place.max() == 1


def test_the_map_marks_wrong_answers(run: limpid.Run, table: pl.DataFrame) -> None:
    found = limpid.explain(run.path, table).as_dict()["map"]
    answers = run.model.predict(table)["prediction"].to_list()
    for point in found["points"]:
        assert point["wrong"] == (answers[point["row"]] != table["answer"][point["row"]])
        assert found["groups"][point["group"]] == point["truth"] == table["answer"][point["row"]]


def test_a_row_of_another_kind_is_told_as_an_outlier(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    odd = frame.with_columns(a=pl.when(pl.int_range(pl.len()) == 7).then(40.0).otherwise("a"))
    found = limpid.explain(fitted.path, odd).as_dict()["prototypes"]
    assert found["outliers"][0]["row"] == 7
    assert found["outliers"][0]["cells"]["a"] == "40.0"
    assert found["outliers"][0]["distance"] > 2


def test_prototypes_are_rows_of_their_class_with_their_answer(run: limpid.Run, table: pl.DataFrame) -> None:
    found = limpid.explain(run.path, table).as_dict()["prototypes"]
    answers = run.model.predict(table)["prediction"].to_list()
    assert {g["group"]: g["rows"] for g in found["groups"]} == dict(table["answer"].value_counts().iter_rows())
    for group in found["groups"]:
        for row in group["prototypes"]:
            assert row["answer"] == answers[row["row"]]
            assert row["truth"] == group["group"] == table["answer"][row["row"]]
            assert row["wrong"] == (row["answer"] != row["truth"])


def test_the_surface_of_a_plane_holds_its_values_and_straight_contours(fitted: limpid.Run, frame: pl.DataFrame) -> None:
    model = known(fitted, lambda x: 0.3 * x["a"] - 0.2 * x["b"] + 5 * x["c"])
    found = surface(model, frame, ["a", "b"])
    x, y, values = (np.array(found[k]) for k in ("x", "y", "values"))
    assert values.shape == (40, 40)
    assert [x[0], x[-1]] == pytest.approx(np.quantile(frame["a"], [0.01, 0.99]).tolist())
    grid = pl.DataFrame({"a": np.tile(x, 40), "b": np.repeat(y, 40)}).with_columns(
        c=pl.lit(frame["c"].median()), d=pl.lit(frame["d"].median())
    )
    expected = model.task.predict(model.raw(model.encoders.encode(grid, Repairs()))).values[:, 0]
    assert np.allclose(values.ravel(), expected, atol=1e-6)
    slope, *_ = np.linalg.lstsq(np.column_stack([grid["a"], grid["b"], np.ones(1600)]), expected, rcond=None)
    for level in found["levels"]:
        own = [c for c in found["contours"] if c["level"] == level]
        ends = np.array([(c["x"], c["y"], 1) for c in own] + [(c["x2"], c["y2"], 1) for c in own])
        assert len(own) > 20
        assert np.allclose(ends @ slope, level, atol=1e-4 * np.ptp(values))
    assert found["outside"] + sum(c["n"] for c in found["counts"]) == ROWS
    assert {h["column"]: float(h["value"]) for h in found["held"]} == pytest.approx(
        {n: frame[n].median() for n in "cd"}, rel=1e-4
    )


def test_a_surface_of_a_number_and_a_category(run: limpid.Run, table: pl.DataFrame, tmp_path) -> None:
    explained = limpid.explain(run.path, table, surface=("job", "age"))
    found = explained.as_dict()["surface"]
    assert found["columns"] == ["age", "job"]
    assert sorted(found["y"]) == ["clerk", "nurse", "pilot", "smith"]
    asked = pl.DataFrame({"age": found["x"]}).with_columns(
        job=pl.lit("pilot"),
        income=table["income"].median(),
    )
    held = {h["column"]: h["value"] for h in found["held"]}
    assert set(held) == {"income", "since", "note"}
    assert table["note"].value_counts().filter(pl.col("note") == held["note"])["count"][0] == (
        table["note"].value_counts()["count"].max()
    )
    asked = asked.with_columns([pl.lit(held[n]).alias(n) for n in ("since", "note")])
    theirs = run.model.predict(asked)
    assert np.allclose(found["values"][found["y"].index("pilot")], theirs["probability_yes"], atol=1e-4)
    assert "surface" in explained.html(tmp_path / "page.html").read_text(encoding="utf-8")
    for crossing in found["contours"]:
        line = np.array(found["values"][found["y"].index(crossing["y"])])
        assert np.interp(crossing["x"], found["x"], line) == pytest.approx(crossing["level"], abs=1e-9)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("age", "agee"), "no column 'agee'"),
        (("age", "age"), "two different columns"),
        (("age", "since"), "is of kind date, which has no axis"),
        (("age",), "two different columns"),
    ],
)
def test_a_surface_that_cannot_be_drawn_is_refused(
    run: limpid.Run, table: pl.DataFrame, asked: tuple[str, ...], says: str
) -> None:
    with pytest.raises(limpid.LimpidError, match=says):
        limpid.explain(run.path, table, surface=asked)


def test_a_surface_is_not_of_one_row(run: limpid.Run, table: pl.DataFrame) -> None:
    with pytest.raises(limpid.LimpidError, match="of the whole model"):
        limpid.explain(run.path, table, row=1, surface=("age", "job"))
