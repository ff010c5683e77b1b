"""What do ways of treating groups alike cost? Accuracy against gap of models that were trained so, on the same rows.

Legend of shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing.crossed import Crossed, samples
from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged
from limpid.core.seeds import generator
from limpid.data.groups import SMALLEST, Grouping

Array = npt.NDArray[Any]

_MOST_CLASSES = 10
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
    tables = [_crossed(a.judged, grouping) for a in answers]
    by = [_crossed(a.valid, valid_groups).crossed for a in answers]
    first, classes = tables[0].crossed, bool(tables[0].classes)
    if len(first.large) < 2 or len(by[0].large) < 2:
        why = f"fewer than two groups of {grouping.name} have {SMALLEST} judged rows and validation rows of each class"
        return Trades(grouping.name, why=why)
    ones = np.ones((1, first.count))
    weights = samples(first.count, generator(seed, "audit", "trades"))
    drawn = [t.crossed.figures(weights) for t in tables]
    sign = 1.0 if classes else -1.0  # a smaller error is the better one
    ways = []
    for answer, table, valid, each in zip(answers, tables, by, drawn, strict=True):
        score, gap = map(float, table.crossed.figures(ones)[0])
        chosen_score, chosen_gap = map(float, valid.figures(np.ones((1, valid.count)))[0])
        cost = np.nanquantile(sign * (drawn[0][:, 0] - each[:, 0]), [0.025, 0.975])
        narrowed = np.nanquantile(drawn[0][:, 1] - each[:, 1], [0.025, 0.975])
        shares = table.selection
        ways.append(
            Way(
                answer.name,
                answer.settings,
                score,
                gap,
                gap if shares is None else shares,
                (float(cost[0]), float(cost[1])),
                (float(narrowed[0]), float(narrowed[1])),
                chosen_score,
                chosen_gap,
            )
        )
    metric = "accuracy" if classes else "mean absolute error"
    of = "rates of right answers, class by class (equalised odds)" if classes else "mean errors"
    if classes and first.cells == 1:
        of = "accuracies"
    return Trades(grouping.name, tuple(ways), first.count, metric, of, _best(ways, classes))


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


@dataclass(frozen=True)
class _Table:
    """A model's answers, crossed with groups.

    Args:
        crossed: the answers.
        classes: how many there are, 0 for numbers.
        said: (N,) the class of each answer; empty for numbers.
    """

    crossed: Crossed
    classes: int
    said: Array

    @property
    def selection(self) -> float | None:
        """The gap of the shares that are answered with a class; None where that is not asked."""
        return self.crossed.gap_of_shares(self.said, self.classes) if self.crossed.cells > 1 else None


def _crossed(judged: Judged, grouping: Grouping) -> _Table:
    """Whether answers are right, true class by true class; numbers, and very many classes, are one cell."""
    classes, groups = len(judged.classes), len(grouping.names)
    if not classes:
        truth = np.asarray(judged.target, dtype=np.float64).reshape(len(judged), -1)
        error = np.asarray(judged.prediction.values, dtype=np.float64).reshape(len(judged), -1) - truth
        cell = np.zeros(len(judged), dtype=np.int64)
        crossed = Crossed(error.mean(axis=1), np.abs(error).mean(axis=1), cell, 1, grouping.codes, groups)
        return _Table(crossed, 0, cell[:0])
    target, said = np.asarray(judged.target, dtype=np.int64), judged.decided
    cells = classes if classes <= _MOST_CLASSES else 1
    cell = target if cells > 1 else np.zeros_like(target)
    right = said == target
    return _Table(Crossed(right, right, cell, cells, grouping.codes, groups), classes, said)


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
