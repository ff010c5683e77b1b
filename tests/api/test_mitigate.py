"""`limpid audit --mitigate`: trainings that treat groups alike, on the same rows, with nothing written but the audit."""

import io
import json

import numpy as np
import polars as pl
import pytest
from api_tables import FAIR, biased

import limpid
from limpid.auditing.trades import Answered, findings_of, weigh
from limpid.data.groups import Grouping
from limpid.reporting.trade_figures import trade_figures

pytestmark = pytest.mark.slow


def table():
    return biased(6000).select("skill", "sex", "hired", "pay")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mitigate") / "people.parquet"
    table().drop("pay").write_parquet(path)
    return path


def quick(data, out, target="hired", net="mlp", **sets):
    return limpid.train(data, target=target, net=net, out=out, quiet=True, set={**FAIR, **sets})


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    return quick(file, tmp_path_factory.mktemp("mitigate") / "r")


@pytest.fixture(scope="module")
def audit(run, file):
    before = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    found = limpid.audit(run, file, group=["sex"], mitigate=True)
    after = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    assert {n for n in after if before.get(n) != after[n]} == {"audit.json", "report.html"}
    return found


def test_the_first_way_is_the_run_itself_once_more(audit, run):
    (trades,) = audit.trained
    assert trades.ways[0].name == "the same training without"
    assert trades.ways[0].score == pytest.approx(run.metrics["test"]["accuracy"], abs=1e-9)
    assert trades.ways[0].cost == (0.0, 0.0) and trades.ways[0].narrowed == (0.0, 0.0)


def test_penalties_narrow_the_gap_and_one_is_recommended(audit):
    (trades,) = audit.trained
    ways = {w.name: w for w in trades.ways}
    assert list(ways)[1:] == ["reweighed rows", "a penalty of 1", "a penalty of 3", "a penalty of 10"]
    assert trades.ways[0].gap > 0.2
    assert ways["a penalty of 10"].gap < 0.5 * trades.ways[0].gap
    assert ways["a penalty of 10"].narrowed[0] > 0
    best = trades.ways[trades.best]
    assert trades.best and best.chosen_score >= trades.ways[0].chosen_score - 0.01
    told = next(f for f in audit.findings if f.what.startswith("training with"))
    assert "train.fairness=sex" in told.advice and best.name in told.what


def test_all_faces_tell_the_same(audit, run):
    kept = json.loads((run.path / "audit.json").read_text(encoding="utf-8"))["trained"]
    assert kept == json.loads(json.dumps([t.as_dict() for t in audit.trained]))
    page = run.report.read_text(encoding="utf-8")
    assert "Accuracy against gap, sex" in page and "thresholds by group" in page
    card = (run.path / "model" / "card.md").read_text(encoding="utf-8")
    assert "gap between groups of sex" in card
    from rich.console import Console

    console = Console(width=140, record=True, file=io.StringIO())
    audit.show(console)
    said = console.export_text()
    assert "Trainings that treat groups of sex alike" in said and "a penalty of 3" in said


def test_numbers_are_traded_by_their_errors(tmp_path):
    path = tmp_path / "pay.parquet"
    table().drop("hired").write_parquet(path)
    run = quick(path, tmp_path / "r", "pay", **{"data.columns.sex.use": False})
    (trades,) = limpid.audit(run, path, group=["sex"], mitigate=True).trained
    assert trades.metric == "mean absolute error" and "mean errors" in trades.of
    assert [w.name for w in trades.ways][1:] == ["a penalty of 1", "a penalty of 3", "a penalty of 10"]


def test_what_is_in_the_way_is_said(run, file, tmp_path):
    with pytest.raises(limpid.LimpidError, match="no groups were named"):
        limpid.audit(run, file, mitigate=True)
    with pytest.raises(limpid.LimpidError, match="nothing to train anew"):
        limpid.audit(run.path / "model", file, group=["sex"], mitigate=True)
    frame = table().drop("pay")
    of_frame = quick(frame, tmp_path / "frame")
    other = frame.with_columns(pl.col("skill") + 1.0)
    found = limpid.audit(of_frame, other, group=["sex"], mitigate=True)
    assert found.trained[0].why and not found.trained[0].ways
    assert any("were not run" in f.what for f in found.findings)


class Made:
    """Rows with answers, as much of a `Judged` as is asked for."""

    def __init__(self, target, said):
        self.classes, self.target, self.decided = ("no", "yes"), np.asarray(target), np.asarray(said)

    def __len__(self):
        return len(self.target)


def test_figures_are_those_of_a_hand_count():
    draw = np.random.default_rng(1)
    n = 600
    group, target = draw.integers(0, 2, n), draw.integers(0, 2, n)
    said = np.where(draw.random(n) < 0.8 - 0.3 * group * target, target, 1 - target)
    fair = np.where(draw.random(n) < 0.75, target, 1 - target)
    grouping = Grouping("g", group, ("a", "b"))
    answers = [
        Answered(name, {"train.fairness": "g"}, Made(target, s), Made(target, s))
        for name, s in (("as", said), ("fair", fair))
    ]
    found = weigh(answers, grouping, grouping)

    def gap(s):
        rates = [[(s == target)[(group == g) & (target == c)].mean() for g in (0, 1)] for c in (0, 1)]
        return max(abs(a - b) for a, b in rates)

    for way, s in zip(found.ways, (said, fair), strict=True):
        assert way.score == pytest.approx((s == target).mean())
        assert way.gap == pytest.approx(gap(s))
        shares = [(s == 1)[group == g].mean() for g in (0, 1)]
        assert way.selection == pytest.approx(abs(shares[0] - shares[1]))
    (finding,) = findings_of(found)
    assert finding.level == "ok"


def test_too_small_groups_are_not_compared():
    target, group = np.tile([0, 1], 50), np.r_[np.zeros(90), np.ones(10)].astype(int)
    grouping = Grouping("g", group, ("a", "b"))
    found = weigh([Answered("as", {}, Made(target, target), Made(target, target))], grouping, grouping)
    assert "fewer than two groups" in found.why and findings_of(found)[0].level == "look"


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [None], [{"ways": [None, 3, {"score": "x"}]}]])
def test_damaged_records_give_no_figure(value):
    assert set(trade_figures({"trained": value, "mitigation": value}).values()) == {None}
