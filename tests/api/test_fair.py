"""`train.fairness`: columns that need not be read, groups by training rows alone, refusals, and runs that end well."""

import numpy as np
import polars as pl
import pytest
from api_tables import FAIR, biased

import limpid
from limpid.core.schema import ColumnSpec
from limpid.data.groups import by_column, together

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frame():
    return biased(5000)


def quick(frame, out, target="hired", **sets):
    other = "pay" if target == "hired" else "hired"
    return limpid.train(frame.drop(other), target=target, net="mlp", out=out, quiet=True, set={**FAIR, **sets})


def gap(run, frame):
    """The equalised-odds gap of the held-out rows, counted by hand."""
    said = pl.read_parquet(run.path / "predictions.parquet")
    male = (frame["sex"].gather(said["row"].to_list()) == "m").to_numpy()
    yes, true = ((said[c] == "yes").to_numpy() for c in ("prediction", "target_hired"))
    return max(abs(yes[(true == t) & male].mean() - yes[(true == t) & ~male].mean()) for t in (True, False))


def test_the_gap_shrinks_by_either_way(frame, tmp_path):
    plain = quick(frame, tmp_path / "plain")
    paid = quick(frame, tmp_path / "paid", **{"train.fairness": "sex", "train.fairness_weight": 10.0})
    weighed = quick(frame, tmp_path / "weighed", **{"train.fairness": "sex", "train.fairness_by": "reweigh"})
    assert gap(plain, frame) > 0.2
    assert gap(paid, frame) < 0.6 * gap(plain, frame)
    assert gap(weighed, frame) < gap(plain, frame)
    told = paid.plan["because"]["train.fairness"]
    assert "groups of sex are to be treated alike: " in told and "f (" in told and "m (" in told
    assert paid.plan["train"]["fairness"] == ["sex"]
    assert "groups of sex are to be treated alike" in paid.report.read_text(encoding="utf-8")


def test_a_column_that_is_not_read_counts_too(frame, tmp_path):
    run = quick(frame, tmp_path / "r", **{"train.fairness": "sex", "data.columns.sex.use": False})
    assert "sex" not in run.model.bundle.encoders.columns
    assert run.plan["train"]["fairness"] == ["sex"]


@pytest.mark.parametrize(
    "sets",
    [{"train.folds": 3}, {"train.refit": True}, {"train.folds": 3, "train.fairness_by": "reweigh"}],
    ids=["folds", "refit", "reweighed folds"],
)
def test_later_fits_keep_the_groups(frame, tmp_path, sets):
    run = quick(frame[:300], tmp_path / "r", **{"train.fairness": "sex,age", "train.epochs": 3, **sets})
    assert "groups of sex x age" in run.plan["because"]["train.fairness"]
    assert run.metrics["test"]["accuracy"] is not None


def test_numbers_are_treated_alike_by_their_errors(frame, tmp_path):
    unread = {"data.columns.sex.use": False}
    alone = quick(frame, tmp_path / "alone", "pay", **unread)
    run = quick(frame, tmp_path / "r", "pay", **unread, **{"train.fairness": "sex", "train.fairness_weight": 30.0})

    def bias(run):
        said = pl.read_parquet(run.path / "predictions.parquet")
        male = (frame["sex"].gather(said["row"].to_list()) == "m").to_numpy()
        error = (said["prediction"] - said["target_pay"]).to_numpy()
        return abs(error[male].mean() - error[~male].mean())

    assert bias(alone) > 1
    assert bias(run) < 0.6 * bias(alone)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"train.fairness": "sxe"}, "no column 'sxe'"),
        ({"train.fairness": "hired"}, "is the target"),
        ({"train.fairness": "one"}, "have the same one"),
        ({"train.fairness": "sex", "train.fairness_by": "wish"}, "fairness_by"),
        ({"train.fairness": "sex", "train.fairness_weight": -1}, "fairness_weight"),
    ],
)
def test_what_cannot_be_is_refused(frame, tmp_path, sets, said):
    with pytest.raises(limpid.LimpidError) as caught:
        quick(frame.with_columns(one=pl.lit("x")), tmp_path / "r", **sets)
    error = caught.value
    assert said in f"{error.what} {error.where}"
    assert (error.fix and not (tmp_path / "r").exists()) or said == "have the same one"


def test_numbers_cannot_be_reweighed(frame, tmp_path):
    with pytest.raises(limpid.LimpidError, match="reweighed for one class each"):
        quick(frame, tmp_path / "r", "pay", **{"train.fairness": "sex", "train.fairness_by": "reweigh"})


def test_groups_are_found_by_the_rows_that_are_given():
    cells = pl.DataFrame({"g": ["a", "a", "b", "c", None], "n": [float(x) for x in range(5)]})
    by = np.array([True, True, True, False, False])
    found = by_column(cells, "g", ColumnSpec(kind="category"), "here", by=by)
    assert found.names == ("a", "b") and found.codes.tolist() == [0, 0, 1, -1, -1]
    assert found.known.tolist() == [True, True, True, False, False]
    many = pl.DataFrame({"n": [*map(float, range(40)), 1e9]})
    numbers = by_column(many, "n", ColumnSpec(kind="number"), "here", by=np.arange(41) < 40)
    assert numbers.names[-1].endswith("to 39") and numbers.codes[-1] == 3
    both = together([found, found.take(np.arange(5))], by)
    assert both.names == ("a, a", "b, b") and both.codes.tolist() == [0, 0, 1, -1, -1]
