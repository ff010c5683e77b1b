"""Overfitting, membership, mitigation, the parts that a run remembers, and the card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import limpid
from limpid.api.audit_rows import Subject
from limpid.auditing import card, cuts, mitigation, overfit
from limpid.auditing.findings import Finding, gravest_first, worst
from limpid.auditing.known_rows import parts_of
from limpid.core.run import RunFolder
from limpid.core.schema import ColumnSpec
from limpid.data.groups import Grouping, by_column
from limpid.data.table import open_table


def test_rows_of_the_run_are_known_whatever_the_file_is_called(classified: limpid.Run, tmp_path: Path) -> None:
    folder = RunFolder(classified.path)
    frame = pl.read_csv(classified.path.parent / "data.csv", infer_schema=False)
    kept = pl.read_parquet(folder.rows)
    frame.write_csv(tmp_path / "moved.csv")
    known = parts_of(folder, open_table(str(tmp_path / "moved.csv")), 10)
    assert (known.part[kept["row"].to_numpy()] == kept["part"].cast(pl.String).to_numpy()).all()
    assert known.training
    assert known.why == ""
    shuffled = parts_of(folder, open_table(frame.sample(fraction=1.0, shuffle=True, seed=1)), 10)
    assert not shuffled.training
    assert "none of the files" in shuffled.why
    refitted = parts_of(folder, open_table(str(tmp_path / "moved.csv")), kept.height)
    assert set(refitted.part) == {"train", "test"}, "the model was fitted to validation rows in the end"


def test_the_gap_and_membership_of_a_model_that_memorised(subject: Subject) -> None:
    everything, held = subject.everything, subject.held
    alike = replace(everything, loss=np.random.default_rng(0).exponential(size=len(everything)))
    quiet = {f.topic: f.level for f in overfit.findings_of(alike, alike.parts("test"), known=True)}
    assert (quiet["overfitting"], quiet["privacy"]) == ("ok", "ok")
    memorised = replace(everything, loss=np.where(everything.part == "train", 0.01, everything.loss + 0.5))
    loud = {f.topic: f for f in overfit.findings_of(memorised, memorised.parts("test"), known=True)}
    assert (loud["overfitting"].level, loud["privacy"].level) == ("warning", "warning")
    assert "ROC AUC 1.000" in loud["privacy"].evidence
    unknown = overfit.findings_of(everything, held, known=False)
    assert "could not be compared" in unknown[0].what


def test_the_weakest_slice_is_named(subject: Subject) -> None:
    held = subject.everything
    x = held.arrays["fields.numbers"][:, 0]
    worse = replace(held, loss=held.loss + 2.0 * (x > np.quantile(x, 0.75)))
    (slice_,) = [f for f in overfit.findings_of(worse, worse, known=False) if f.topic == "slices"]
    assert slice_.what == "it is weakest where x is highest quarter"


def unequal_rows(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated probabilities of two groups whose shares differ."""
    g = np.random.default_rng(seed)
    codes = (g.random(rows) < 0.35).astype(int)
    chance = np.where(codes == 0, g.beta(2.0, 2.5, rows), g.beta(0.8, 2.5, rows))
    return codes, chance, g.random(rows) < chance


def odds_gap(codes: np.ndarray, chance: np.ndarray, true: np.ndarray, threshold: np.ndarray) -> tuple[float, float]:
    said = chance > threshold[codes]
    rates = [[said[(codes == k) & (true == t)].mean() for k in (0, 1)] for t in (True, False)]
    return max(abs(a - b) for a, b in rates), float((said == true).mean())


def test_thresholds_halve_the_gap_for_at_most_a_point_of_accuracy() -> None:
    halved, cost = [], []
    for seed in range(10):
        codes, chance, true = unequal_rows(5_000, seed)
        found = cuts.choose(chance, true, codes, 2, 0.5)
        assert found is not None
        later = unequal_rows(20_000, 100 + seed)
        (before, right), (after, kept) = odds_gap(*later, np.array([0.5, 0.5])), odds_gap(*later, found)
        halved.append(after <= before / 2)
        cost.append(right - kept)
    assert sum(halved) >= 8
    assert np.mean(cost) <= 0.01
    assert max(cost) <= 0.015, "a single draw of rows may cost a little more"


def test_calibration_within_a_group_is_platts() -> None:
    g = np.random.default_rng(0)
    chance = g.beta(1, 1, 50_000)
    odds = np.log(chance / (1 - chance))
    truth = 1 / (1 + np.exp(-(0.4 + 1.5 * odds)))
    fitted = cuts.calibrated(chance, g.random(50_000) < truth, chance)
    assert np.abs(fitted - truth).max() < 0.02
    few = cuts.calibrated(chance[:15], g.random(15) < truth[:15], chance[:15])
    assert np.abs(few - chance[:15]).max() < 0.05, "few rows change little"


def test_groups_that_are_too_small_keep_the_models_threshold() -> None:
    codes, chance, true = unequal_rows(600, 0)
    assert cuts.choose(chance[codes == 0], true[codes == 0], codes[codes == 0], 2, 0.5) is None
    codes[:5] = 2
    found = cuts.choose(chance, true, codes, 3, 0.37)
    assert found is not None
    assert found[2] == 0.37


def test_a_trade_is_measured_on_other_rows(subject: Subject) -> None:
    everything = subject.everything
    grouping = by_column(everything.frame, "team", ColumnSpec(kind="category"), "t")
    held, valid = np.flatnonzero(everything.part != "valid"), np.flatnonzero(everything.part == "valid")
    trade = mitigation.thresholds(
        everything.take(held), grouping.take(held), (everything.take(valid), grouping.take(valid))
    )
    assert trade is not None
    assert trade.chosen_on == f"{len(valid)} validation rows"
    rows = everything.take(held)
    codes, chance, true = grouping.codes[held], rows.prediction.values[:, 1], rows.target == 1
    own = np.array([trade.thresholds[name] for name in grouping.names])
    assert (trade.gap[1], trade.accuracy[1]) == pytest.approx(odds_gap(codes, chance, true, own))
    assert trade.accuracy[0] == pytest.approx((rows.decided == rows.target).mean())
    half = mitigation.thresholds(rows, grouping.take(held), None)
    assert half is not None
    assert half.chosen_on.startswith("a random half")
    assert mitigation.finding_of(trade).level == "ok"


def test_only_two_classes_have_thresholds(values_subject: Subject) -> None:
    held = values_subject.held
    grouping = Grouping("g", np.arange(len(held)) % 2, ("a", "b"))
    assert mitigation.thresholds(held, grouping, None) is None


def test_findings_are_ordered_by_gravity() -> None:
    every = [Finding("t", level, level, "e") for level in ("ok", "warning", "look", "fault")]  # type: ignore[arg-type]
    assert [f.level for f in gravest_first(every)] == ["fault", "warning", "look", "ok"]
    assert worst(every) == "fault"
    assert worst([]) == "ok"


def test_the_section_of_the_card_replaces_the_older_one() -> None:
    old = f"# Model\n\n## Limits\n\n- A limit.\n{card.NOT_AUDITED}\n"
    finding = Finding("fairness", "warning", "a *bold* <b> claim", "0.2")
    once = card.with_section(old, card.section([finding], 300, "test", ["sex"]), groups=True)
    assert once.count("## Audit") == 1
    assert card.NOT_AUDITED not in once
    assert "a \\*bold\\* &lt;b> claim" in once
    assert "300 test rows" in once
    twice = card.with_section(once, card.section([], 7, "", []), groups=False)
    assert twice.count("## Audit") == 1
    assert "7 rows of the data that it was given" in twice
    assert "claim" not in twice
    assert "- A limit." in twice
    assert card.NOT_AUDITED in card.with_section(old, card.section([], 7, "", []), groups=False)
