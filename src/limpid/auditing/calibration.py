"""Do the probabilities mean what they say, and how sure is the model where it is wrong?

The expected calibration error is taken over bins of equal mass. A finite sample makes it positive even for perfect
probabilities, so it is held against what they would give: outcomes drawn from the model's own probabilities
(consistency resampling, Vaicenavicius et al. 2019).

Legend of shapes: N rows, B bins, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing import spans
from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged, finite_mean
from limpid.auditing.spans import Span
from limpid.core.seeds import generator
from limpid.layers import metrics as merit

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

BINS = 15
ROWS_A_BIN = 20
_SAMPLES = 200
_LARGE_ERROR, _SMALL_ERROR = 0.05, 0.02  # of the ECE
_SURE = 0.9  # a probability from which the model counts as sure
_PROMISED = 0.9  # what the interval of a regression holds
_MOST_ROWS = 100_000


@dataclass(frozen=True)
class Bin:
    """Rows of about the same stated probability.

    Args:
        said: mean stated probability.
        came: share that came true, with its interval.
    """

    said: float
    came: Span

    def as_dict(self) -> dict[str, Any]:
        """The bin as JSON."""
        return {"said": self.said, "came": self.came.as_dict()}


@dataclass(frozen=True)
class Calibration:
    """What an audit says about probabilities, or about intervals.

    Args:
        ece: expected calibration error; None for regression.
        ece_by_luck: below this it is in 97.5 % of samples of perfect probabilities.
        brier: mean squared error of the probabilities.
        bins: reliability, from the lowest stated probability to the highest.
        sure_and_wrong: of the rows whose answer the model is at least 90 % sure of, the share that is wrong.
        promised_wrong: what those probabilities promise to be wrong.
        wrong_confidence: mean probability of the answer where it is wrong.
        coverage: share of targets inside the 90 % interval, for regression.
    """

    ece: float | None = None
    ece_by_luck: float | None = None
    brier: float | None = None
    bins: tuple[Bin, ...] = ()
    sure_and_wrong: Span | None = None
    promised_wrong: float | None = None
    wrong_confidence: float | None = None
    coverage: Span | None = None

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "ece": self.ece,
            "ece_by_luck": self.ece_by_luck,
            "brier": self.brier,
            "bins": [b.as_dict() for b in self.bins],
            "sure_and_wrong": self.sure_and_wrong.as_dict() if self.sure_and_wrong else None,
            "promised_wrong": self.promised_wrong,
            "wrong_confidence": self.wrong_confidence,
            "coverage": self.coverage.as_dict() if self.coverage else None,
        }


def measure(judged: Judged, seed: int = 0) -> Calibration:
    """Calibration on rows that the model was not fitted to.

    Args:
        judged: the rows.
        seed: of the resampling.
    """
    if not judged.classes:
        return Calibration(coverage=_coverage(judged))
    target, chance = judged.target, np.asarray(judged.prediction.values, dtype=np.float64)
    said, true = merit.confidence(target, chance)
    # Of labels each row gives several probabilities, all of its weight.
    weight = None if judged.weight is None else np.repeat(judged.weight, len(said) // max(len(target), 1))
    bins = reliability(said, true, weight)
    if target.ndim == 1:
        best = chance.max(axis=1)
        wrong = chance.argmax(axis=1) != target
    else:
        best = np.maximum(said, 1 - said)
        wrong = (said > 0.5) != (true > 0.5)
    sure = best >= _SURE
    return Calibration(
        ece=ece_of(said, true, weight),
        ece_by_luck=ece_by_luck(said, seed, weight),
        brier=merit.once(merit.brier(target, chance), len(target), judged.weight),
        bins=tuple(bins),
        sure_and_wrong=spans.share(wrong[sure], None if weight is None else weight[sure]),
        promised_wrong=_mean(1 - best, sure, weight),
        wrong_confidence=_mean(best, wrong, weight),
    )


def _mean(values: Floats, inside: Array, weight: Floats | None) -> float | None:
    """The mean of some rows; None where there are none."""
    if not inside.any() or (weight is not None and not weight[inside].any()):
        return None
    return float(np.average(values[inside], weights=None if weight is None else weight[inside]))


def cuts(said: Floats) -> Array:
    """(N,) bin of equal mass of each row; equal probabilities stay together."""
    count = max(1, min(BINS, len(said) // ROWS_A_BIN))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, count + 1)[1:-1])) if count > 1 else np.zeros(0)
    return np.searchsorted(edges, said, side="left")


def ece_of(said: Floats, true: Floats, weight: Floats | None = None) -> float:
    """Mean over rows of the distance between what a bin says and what comes true in it."""
    if len(said) == 0:
        return 0.0
    each = np.ones(len(said)) if weight is None else weight
    gap = np.abs(np.bincount(cuts(said), weights=each * (said - true)))
    return float(gap.sum() / each.sum())


def ece_by_luck(said: Floats, seed: int, weight: Floats | None = None) -> float:
    """The 97.5 % quantile of the ECE where every probability is right."""
    if len(said) == 0:
        return 0.0
    whole = len(said)
    each = np.ones(whole) if weight is None else weight
    if whole > _MOST_ROWS:
        some = np.linspace(0, whole - 1, _MOST_ROWS).astype(np.int64)
        said, each = said[some], each[some]
    if not each.any():
        return 0.0
    random = generator(seed, "audit", "calibration")
    place = cuts(said)
    found = []
    for _ in range(_SAMPLES):
        drawn = (random.random(len(said)) < said).astype(np.float64)
        found.append(np.abs(np.bincount(place, weights=each * (said - drawn))).sum() / each.sum())
    return float(np.quantile(found, 0.975)) * float(np.sqrt(len(said) / whole))


def reliability(said: Floats, true: Floats, weight: Floats | None = None) -> list[Bin]:
    """What each bin says and what came true."""
    place = cuts(said)
    found = []
    for b in np.unique(place):
        inside = place == b
        mean = _mean(said, inside, weight)
        if mean is not None:  # else all rows of the bin weigh nothing
            found.append(Bin(mean, spans.share(true[inside] > 0.5, None if weight is None else weight[inside])))
    return found


def _coverage(judged: Judged) -> Span | None:
    lower, upper = judged.prediction.lower, judged.prediction.upper
    if lower is None or upper is None:
        return None
    # A forecast's target has a scale behind its steps.
    true = np.asarray(judged.target, dtype=np.float64).reshape(len(lower), -1)[:, : lower.shape[1]]
    known = np.isfinite(true)
    if judged.stretches is not None:
        inside = np.where(known, (true >= lower) & (true <= upper), np.nan)
        each, _ = judged.stretches.mean(finite_mean(inside))
        span = spans.within(spans.mean(each), 0.0, 1.0)
        return replace(span, count=int(known.sum()), effective=float(span.count))
    weight = None if judged.weight is None else np.broadcast_to(judged.weight[:, None], true.shape)[known]
    return spans.share(((true >= lower) & (true <= upper))[known], weight)


def findings_of(found: Calibration, rows: int) -> list[Finding]:
    """What the figures mean.

    Args:
        found: the figures.
        rows: that they are of.
    """
    if found.ece is None or found.ece_by_luck is None:
        return _of_coverage(found.coverage)
    sure = found.ece > found.ece_by_luck
    evidence = (
        f"expected calibration error {found.ece:.4f} over {len(found.bins)} bins of equal mass, {rows:,} rows; perfect "
        f"probabilities stay below {found.ece_by_luck:.4f}; Brier score {found.brier:.4f}"
    )
    again = "calibrate again on recent rows: limpid train fits the temperature anew on its validation rows"
    if sure and found.ece >= _LARGE_ERROR:
        first = Finding("calibration", "warning", "the probabilities do not mean what they say", evidence, again)
    elif sure and found.ece >= _SMALL_ERROR:
        first = Finding("calibration", "look", "the probabilities are somewhat off", evidence, again)
    else:
        first = Finding("calibration", "ok", "the probabilities mean what they say", evidence)
    return [first, *_of_sureness(found)]


def _of_sureness(found: Calibration) -> list[Finding]:
    wrong, promised = found.sure_and_wrong, found.promised_wrong
    if wrong is None or wrong.value is None or wrong.low is None or promised is None:
        return []
    evidence = (
        f"of {wrong.count:,} answers that it is at least {100 * _SURE:.0f} % sure of {wrong} are wrong, "
        f"{promised:.3f} are promised"
    )
    if found.wrong_confidence is not None:
        evidence += f"; where an answer is wrong its mean probability is {found.wrong_confidence:.3f}"
    if wrong.low > promised and wrong.value > promised + 0.01:
        grave = wrong.low > 2 * promised and wrong.value > promised + 0.03
        return [
            Finding(
                "calibration",
                "warning" if grave else "look",
                "it is too sure where it is wrong",
                evidence,
                "do not act on high probabilities alone; have a person check some of them",
            )
        ]
    return [Finding("calibration", "ok", "where it is sure it is right as often as it promises", evidence)]


def _of_coverage(coverage: Span | None) -> list[Finding]:
    if coverage is None or coverage.value is None or coverage.low is None or coverage.high is None:
        return []
    evidence = f"{coverage} of {coverage.count:,} targets lie inside; {100 * _PROMISED:.0f} % are promised"
    if coverage.high < _PROMISED:
        return [
            Finding(
                "calibration",
                "warning" if coverage.value < _PROMISED - _LARGE_ERROR else "look",
                "the 90 % interval holds less often than it says",
                evidence,
                "widen it: train again with more validation rows, or rows like those that it will meet",
            )
        ]
    if coverage.low > _PROMISED + _LARGE_ERROR:
        return [Finding("calibration", "look", "the 90 % interval is wider than it need be", evidence)]
    return [Finding("calibration", "ok", "the 90 % interval holds as often as it says", evidence)]
