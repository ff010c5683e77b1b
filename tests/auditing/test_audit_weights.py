"""Sample weights: rates are fairlearn's, intervals follow from Kish's effective rows, a run's weight column is used."""

import math
from pathlib import Path

import fairlearn.metrics as oracle
import numpy as np
import polars as pl
import pytest
from audit_tables import fit, people
from sklearn.metrics import accuracy_score, brier_score_loss, precision_score

import limpid
from limpid.auditing import calibration, fairness, spans
from limpid.data.groups import Grouping

pytestmark = pytest.mark.slow


def drawn(rows: int = 3_000) -> tuple[np.ndarray, ...]:
    g = np.random.default_rng(3)
    codes, chance = g.choice(3, rows, p=[0.5, 0.3, 0.2]), g.beta(2, 3, rows)
    weight = g.exponential(1, rows) * (codes + 1)
    weight[:100] = 0.0
    return codes, g.random(rows) < chance, chance > np.where(codes == 2, 0.6, 0.4), chance, weight


def test_weighted_rates_and_gaps_are_fairlearns() -> None:
    codes, true, said, chance, weight = drawn()
    grouping = Grouping("g", codes, ("g0", "g1", "g2"))
    right = (said == true).astype(float)
    table = fairness.of_class(grouping, true, said, chance, right, 1 - right, "yes", weight=weight)
    metrics = {
        "selection_rate": oracle.selection_rate,
        "accuracy": accuracy_score,
        "tpr": oracle.true_positive_rate,
        "fpr": oracle.false_positive_rate,
        "precision": precision_score,
    }
    frame = oracle.MetricFrame(
        metrics=metrics,
        y_true=true.astype(int),
        y_pred=said.astype(int),
        sensitive_features=codes,
        sample_params={name: {"sample_weight": weight} for name in metrics},
    )
    for group in table.groups:
        inside = codes == int(group.name[1:])
        for name, value in frame.by_group.loc[int(group.name[1:])].items():
            assert group.figures[name].value == pytest.approx(value, abs=1e-12), (group.name, name)
        assert group.figures["predicted"].value == pytest.approx(np.average(chance[inside], weights=weight[inside]))
        assert group.figures["accuracy"].size == pytest.approx(weight[inside].sum() ** 2 / (weight[inside] ** 2).sum())
    known = {"y_true": true.astype(int), "y_pred": said.astype(int), "sensitive_features": codes}
    wanted = {
        "demographic_parity": oracle.demographic_parity_difference(**known, sample_weight=weight),
        "demographic_parity_ratio": oracle.demographic_parity_ratio(**known, sample_weight=weight),
        "equalised_odds": oracle.equalized_odds_difference(**known, sample_weight=weight),
        "accuracy": frame.difference()["accuracy"],
    }
    assert {n: table.gaps[n].value for n in wanted} == pytest.approx(wanted, abs=1e-12)


def test_equal_weights_change_nothing_and_unequal_ones_widen() -> None:
    g = np.random.default_rng(0)
    a, b, marks = g.normal(1, 2, 40), g.normal(0, 5, 25), g.random(40) < 0.3
    fours = np.full(40, 4.0), np.full(25, 4.0)
    pairs = [
        (spans.share(marks, fours[0]), spans.share(marks)),
        (spans.mean(a, weight=fours[0]), spans.mean(a)),
        (spans.mean_gap(a, b, weights=fours), spans.mean_gap(a, b)),
        (spans.rate_gap(*(spans.share(m, w) for m, w in ((marks, fours[0]), (b > 0, fours[1])))),
         spans.rate_gap(spans.share(marks), spans.share(b > 0))),
        (spans.rate_ratio(spans.share(marks, fours[0]), spans.share(a > 0, fours[0])),
         spans.rate_ratio(spans.share(marks), spans.share(a > 0))),
    ]  # fmt: skip
    for weighted, plain in pairs:
        assert (weighted.value, weighted.low, weighted.high) == pytest.approx((plain.value, plain.low, plain.high))
        assert weighted.size == pytest.approx(plain.count) and plain.effective is None
    unequal = np.exp(g.normal(0, 1.5, 40))
    wide, narrow = spans.mean(a, weight=unequal), spans.mean(a)
    assert wide.value == pytest.approx(np.average(a, weights=unequal))
    assert wide.high - wide.low > narrow.high - narrow.low  # type: ignore[operator]
    # The variance in closed form: with two rows of weights 3 and 1, s^2 = .1875 d^2 * 1.6 / .6.
    two = spans.mean(np.array([0.0, 1.0]), weight=np.array([3.0, 1.0]))
    assert two.value == 0.25 and two.effective == pytest.approx(1.6)
    from scipy.stats import t

    reach = float(t.ppf(0.975, 0.6)) * math.sqrt(0.1875 / 0.6)
    assert two.high == pytest.approx(0.25 + reach)


def test_no_weight_at_all_is_no_figure() -> None:
    none = np.zeros(5)
    assert spans.share(np.ones(5, dtype=bool), none) == spans.mean(np.ones(5), weight=none) == spans.NONE
    assert spans.mean_gap(np.ones(5), np.ones(5), weights=(none, np.ones(5))) == spans.NONE


def test_calibration_counts_a_row_of_weight_two_as_two_rows() -> None:
    _, true, _, chance, _ = drawn(600)
    weight = 1.0 + (np.arange(600) % 3 == 0)
    twice = np.repeat(np.arange(600), weight.astype(int))
    bins = calibration.cuts(chance)
    by_hand = sum(abs((weight * (chance - true))[bins == b].sum()) for b in np.unique(bins)) / weight.sum()
    assert calibration.ece_of(chance, true.astype(float), weight) == pytest.approx(by_hand)
    found = calibration.reliability(chance, true.astype(float), weight)
    shares = [true[twice][bins[twice] == b].mean() for b in np.unique(bins)]
    assert [b.came.value for b in found] == pytest.approx(shares)


def test_a_runs_weight_column_weighs_its_audit(tmp_path: Path) -> None:
    g = np.random.default_rng(1)
    frame = people(600).drop("amount", "note").with_columns(pl.Series("w", g.exponential(1, 600).round(3) + 0.01))
    run = fit(frame, "answer", tmp_path / "all", **{"data.weight": "w"})
    data = str(tmp_path / "all/data.csv")
    found = limpid.audit(run, data, group=["team"])
    kept = pl.read_parquet(run.path / "predictions.parquet").filter(pl.col("part") == "test")
    rows = frame[kept["row"].to_list()]
    true, weight = (rows["answer"] == "yes").to_numpy(), rows["w"].to_numpy()
    chance = kept["probability_yes"].to_numpy()
    wanted = brier_score_loss(true, chance, sample_weight=weight)
    assert (
        found.calibration.brier
        == pytest.approx(wanted, abs=1e-6)
        != pytest.approx(brier_score_loss(true, chance), abs=1e-6)
    )
    assert found.calibration.brier == pytest.approx(run.metrics["test"]["brier"], abs=1e-6)
    frames = oracle.MetricFrame(
        metrics=accuracy_score,
        y_true=true,
        y_pred=(kept["prediction"] == "yes").to_numpy(),
        sensitive_features=rows["team"].to_numpy(),
        sample_params={"sample_weight": weight},
    )
    accuracy = {group.name: group.figures["accuracy"].value for group in found.fairness[0].groups}
    assert accuracy == pytest.approx(frames.by_group.to_dict())
    assert any(f.topic == "coverage" and "weighted by w" in f.what for f in found.findings)
    without = limpid.audit(run, frame.drop("w"))
    assert any("DATA has no column w" in f.what for f in without.findings)
