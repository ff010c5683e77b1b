"""What do ways of treating groups alike cost? Accuracy against gap of models that were trained so, on the same rows.

Legend of shapes: N rows, G groups, K classes, S bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged
from limpid.core.seeds import generator
from limpid.data.groups import SMALLEST, Grouping

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_REPEATS, _MOST_CLASSES = 400, 10
POINT = 0.01
"""How much of the accuracy (of the error, relative to it) a way may cost to be recommended."""


@dataclass(frozen=True)
class Way:
    """One model on the judged rows.

    Args:
        name: how it was made.
        settings: with which `limpid train` makes it; empty for the model as it is.
        score, gap: on the judged rows; score is accuracy, or for numbers the mean absolute error.
        selection: the gap of the shares that are answered with a class; for numbers the same as `gap`.
        cost: 95 % interval of how much worse the score is than that of the same training without any of it (bootstrap).
        narrowed: the same of how much smaller the gap is.
        chosen_score, chosen_gap: on validation rows, by which one is recommended.
    """

    name: str
    settings: dict[str, Any]
    score: float
    gap: float
    selection: float
    cost: tuple[float, float]
    narrowed: tuple[float, float]
    chosen_score: float
    chosen_gap: float

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "name": self.name,
            "settings": self.settings,
            "score": self.score,
            "gap": self.gap,
            "selection_gap": self.selection,
            "cost": list(self.cost),
            "narrowed": list(self.narrowed),
            "valid": {"score": self.chosen_score, "gap": self.chosen_gap},
        }


@dataclass(frozen=True)
class Trades:
    """All ways beside each other.

    Args:
        column: what the rows are grouped by.
        ways: the first one is the same training without any of it.
        rows: that the figures are measured on: those of groups that are large enough.
        metric: "accuracy" or "mean absolute error".
        of: what the gap is of, in words.
        best: the place of the way that is recommended by validation rows; 0 where none is.
        why: why nothing was trained; "" where it was.
    """

    column: str
    ways: tuple[Way, ...] = ()
    rows: int = 0
    metric: str = ""
    of: str = ""
    best: int = 0
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "column": self.column,
            "metric": self.metric,
            "gap_of": self.of,
            "rows": self.rows,
            "ways": [w.as_dict() for w in self.ways],
            "best": self.ways[self.best].name if self.ways and self.best else None,
            "why": self.why,
        }


@dataclass(frozen=True)
class Answered:
    """How one model answers the judged rows and the validation rows.

    Args:
        name, settings: as a `Way` has them.
        judged, valid: the same rows for each model.
    """

    name: str
    settings: dict[str, Any]
    judged: Judged
    valid: Judged


def weigh(answers: Sequence[Answered], grouping: Grouping, valid_groups: Grouping, seed: int = 0) -> Trades:
    """Every way on the same rows.

    Args:
        answers: of the models; the first was trained without any of it.
        grouping: of the judged rows.
        valid_groups: of the validation rows.
        seed: of the bootstrap.
    """
    tables = [_Table(a.judged, grouping) for a in answers]
    by = [_Table(a.valid, valid_groups) for a in answers]
    first = tables[0]
    if len(first.large) < 2 or len(by[0].large) < 2:
        why = f"fewer than two groups of {grouping.name} have {SMALLEST} judged rows and validation rows of each class"
        return Trades(grouping.name, why=why)
    weights = _samples(first.count, seed)
    ones = np.ones((1, first.count))
    whole = [t.figures(ones)[0] for t in tables]
    drawn = [t.figures(weights) for t in tables]
    chosen = [t.figures(np.ones((1, t.count)))[0] for t in by]
    sign = 1.0 if first.classes else -1.0  # a smaller error is the better one
    ways = []
    for place, answer in enumerate(answers):
        cost = np.nanquantile(sign * (drawn[0][:, 0] - drawn[place][:, 0]), [0.025, 0.975])
        narrowed = np.nanquantile(drawn[0][:, 1] - drawn[place][:, 1], [0.025, 0.975])
        ways.append(
            Way(
                answer.name,
                answer.settings,
                float(whole[place][0]),
                float(whole[place][1]),
                float(whole[place][2]),
                (float(cost[0]), float(cost[1])),
                (float(narrowed[0]), float(narrowed[1])),
                float(chosen[place][0]),
                float(chosen[place][1]),
            )
        )
    metric = "accuracy" if first.classes else "mean absolute error"
    of = "rates of right answers, class by class (equalised odds)" if first.classes else "mean errors"
    if first.classes and first.cells == 1:
        of = "accuracies"
    return Trades(grouping.name, tuple(ways), first.count, metric, of, _best(ways, bool(first.classes)))


def _best(ways: Sequence[Way], classes: bool) -> int:
    """The smallest gap on validation rows among those that cost a point at most there."""
    first = ways[0]
    allowed = [
        n
        for n, w in enumerate(ways)
        if (
            first.chosen_score - w.chosen_score <= POINT
            if classes
            else w.chosen_score <= (1 + POINT) * first.chosen_score
        )
    ]
    return min(allowed, key=lambda n: (ways[n].chosen_gap, n), default=0)


class _Table:
    """Rows in cells of group and truth, and how they were answered."""

    def __init__(self, judged: Judged, grouping: Grouping) -> None:
        self.classes = len(judged.classes)
        codes = grouping.codes
        if self.classes:
            truth: Array = np.asarray(judged.target, dtype=np.int64)
            self.cells = self.classes if self.classes <= _MOST_CLASSES else 1
            cell = truth if self.cells > 1 else np.zeros_like(truth)
            said = judged.decided
            self._value = (said == truth).astype(np.float64)
            self._score = self._value
            self._said = said if self.cells > 1 else np.zeros_like(said)
        else:
            truth = np.asarray(judged.target, dtype=np.float64).reshape(len(judged), -1)
            error = np.asarray(judged.prediction.values, dtype=np.float64).reshape(len(judged), -1) - truth
            self.cells = 1
            cell = np.zeros(len(judged), dtype=np.int64)
            self._value, self._score = error.mean(axis=1), np.abs(error).mean(axis=1)
            self._said = cell
        groups = len(grouping.names)
        inside = codes >= 0
        count = np.bincount(codes[inside] * self.cells + cell[inside], minlength=groups * self.cells)
        self.large = np.flatnonzero(count.reshape(groups, self.cells).min(axis=1) >= SMALLEST)
        kept = np.isin(codes, self.large)
        self.count = int(kept.sum())
        self._value, self._score, self._said = self._value[kept], self._score[kept], self._said[kept]
        dense = np.searchsorted(self.large, codes[kept])
        self._cell = _one_hot(dense * self.cells + cell[kept], len(self.large) * self.cells)
        self._group = _one_hot(dense, len(self.large))

    def figures(self, weights: Floats) -> Floats:
        """(S,3) score, gap, gap of shares from weights (S,N)."""
        score = weights @ self._score / weights.sum(axis=1)
        rates = _ratio(weights @ (self._cell * self._value[:, None]), weights @ self._cell)
        gap = np.ptp(rates.reshape(len(weights), len(self.large), self.cells), axis=1).max(axis=1)
        selection = gap
        if self.classes and self.cells > 1:
            shares = [
                np.ptp(_ratio(weights @ (self._group * (self._said == k)[:, None]), weights @ self._group), axis=1)
                for k in range(self.cells)
            ]
            selection = np.max(shares, axis=0)
        return np.stack([score, gap, selection], axis=1)


def _one_hot(codes: Array, count: int) -> Floats:
    found = np.zeros((len(codes), count))
    found[np.arange(len(codes)), codes] = 1.0
    return found


def _ratio(above: Floats, below: Floats) -> Floats:
    ratio: Floats = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return ratio


def _samples(rows: int, seed: int) -> Floats:
    random = generator(seed, "audit", "trades")
    repeats = _REPEATS if rows <= 20_000 else 100
    return np.stack([np.bincount(random.integers(0, rows, rows), minlength=rows) for _ in range(repeats)]).astype(float)


def findings_of(found: Trades) -> list[Finding]:
    """What the trade means."""
    if found.why:
        text = f"trainings that treat groups of {found.column} alike were not run"
        return [Finding("mitigation", "look", text, found.why)]
    first, best = found.ways[0], found.ways[found.best]
    told = "; ".join(f"{w.name}: {found.metric} {w.score:.4g}, gap {w.gap:.3f}" for w in found.ways)
    evidence = f"on {found.rows:,} rows, gap of {found.of}: {told}; chosen by validation rows: {best.name}"
    if found.best == 0:
        what = f"no training that treats groups of {found.column} alike narrows the gap at little cost"
        return [Finding("mitigation", "ok", what, evidence)]
    sets = " ".join(f"--set {path}={value}" for path, value in best.settings.items())
    sure = "" if best.narrowed[0] > 0 else ", which may be luck"
    what = (
        f"training with {best.name} takes the gap between groups of {found.column} from {first.gap:.3f} to "
        f"{best.gap:.3f}{sure}, {found.metric} from {first.score:.4g} to {best.score:.4g}"
    )
    return [Finding("mitigation", "ok", what, evidence, f"limpid train DATA {sets}")]
