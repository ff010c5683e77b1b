"""Calibration against closed forms and scikit-learn, and what its levels mean."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from limpid.api.audit_rows import Subject
from limpid.auditing import calibration, spans
from limpid.core.contracts import Prediction


def with_chances(subject: Subject, chance: np.ndarray, true: np.ndarray) -> calibration.Calibration:
    held = subject.everything.take(np.arange(len(true)) % len(subject.everything))
    values = np.stack([1 - chance, chance], axis=1)
    return calibration.measure(replace(held, target=true.astype(np.int64), prediction=Prediction(values)))


def test_perfect_probabilities_pass_and_crooked_ones_do_not(subject: Subject) -> None:
    g = np.random.default_rng(0)
    chance = g.beta(1, 1, 5_000)
    true = g.random(5_000) < chance
    good = with_chances(subject, chance, true)
    assert {f.level for f in calibration.findings_of(good, 5_000)} == {"ok"}
    assert good.brier == pytest.approx(brier_score_loss(true, chance))
    sharp = with_chances(subject, chance**3 / (chance**3 + (1 - chance) ** 3), true)
    assert {f.level for f in calibration.findings_of(sharp, 5_000)} == {"warning"}
    assert sharp.wrong_confidence is not None
    assert sharp.wrong_confidence > 0.7


def test_luck_alone_passes_nineteen_times_in_twenty(subject: Subject) -> None:
    g = np.random.default_rng(1)
    passed = 0
    for _ in range(100):
        chance = g.beta(2, 2, 300)
        said = calibration.ece_of(chance, (g.random(300) < chance).astype(float))
        passed += said <= calibration.ece_by_luck(chance, 0)
    assert passed >= 92


def test_ece_in_closed_form() -> None:
    said = np.repeat([0.1, 0.4, 0.8], 100)
    true = np.concatenate([np.arange(100) < 10, np.arange(100) < 60, np.arange(100) < 80]).astype(float)
    assert calibration.ece_of(said, true) == pytest.approx(0.2 / 3)
    bins = calibration.reliability(said, true)
    assert [b.said for b in bins] == pytest.approx([0.1, 0.4, 0.8])
    assert [b.came.value for b in bins] == pytest.approx([0.1, 0.6, 0.8])
    assert bins[1].came == spans.rate(60, 100)


def test_bins_are_of_equal_mass() -> None:
    said = np.random.default_rng(0).random(3_000) ** 4
    counts = np.bincount(calibration.cuts(said))
    assert len(counts) == calibration.BINS
    assert counts.min() >= 199
    assert len(np.bincount(calibration.cuts(said[:90]))) == 4, "twenty rows a bin at least"


def test_coverage_of_a_regression(values_subject: Subject) -> None:
    held = values_subject.held
    assert held.prediction.lower is not None
    assert held.prediction.upper is not None
    found = calibration.measure(held)
    inside = (held.target >= held.prediction.lower) & (held.target <= held.prediction.upper)
    assert found.coverage == spans.rate(int(inside.sum()), inside.size)
    middle = held.prediction.values
    narrow = replace(held, prediction=Prediction(middle, middle - 0.1, middle + 0.1))
    (finding,) = calibration.findings_of(calibration.measure(narrow), len(held))
    assert (finding.level, "less often" in finding.what) == ("warning", True)
    wide = replace(held, prediction=Prediction(middle, middle - 100, middle + 100))
    (finding,) = calibration.findings_of(calibration.measure(wide), len(held))
    assert finding.level == "look"
