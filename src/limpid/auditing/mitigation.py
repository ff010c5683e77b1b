"""What would a threshold for each group buy, and what would it cost? Chosen on some rows, measured on others.

Post-processing after Hardt et al. 2016: a row counts as positive above a threshold of its group. Of all thresholds that
keep accuracy within one point, those with the smallest equalised-odds gap are taken. The model itself stays as it is.

Legend of shapes: N rows, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing.crossed import Crossed, samples
from limpid.auditing.cuts import choose
from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged
from limpid.core.seeds import generator
from limpid.data.groups import SMALLEST, Grouping

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Trade:
    """Accuracy against gap.

    Args:
        column: what the rows are grouped by.
        thresholds: group -> probability above which it is called positive.
        chosen_on: which rows the thresholds were chosen on.
        rows: number of rows that the figures are measured on.
        accuracy: before and after.
        gap: equalised-odds difference before and after.
        accuracy_cost: 95 % interval of accuracy before minus after (bootstrap).
        gap_narrowed: 95 % interval of the gap before minus after.
    """

    column: str
    thresholds: dict[str, float]
    chosen_on: str
    rows: int
    accuracy: tuple[float, float]
    gap: tuple[float, float]
    accuracy_cost: tuple[float, float]
    gap_narrowed: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """The trade as JSON."""
        return {
            "column": self.column,
            "thresholds": self.thresholds,
            "chosen_on": self.chosen_on,
            "rows": self.rows,
            "accuracy": list(self.accuracy),
            "equalised_odds": list(self.gap),
            "accuracy_cost": list(self.accuracy_cost),
            "gap_narrowed": list(self.gap_narrowed),
        }


def thresholds(
    judged: Judged,
    grouping: Grouping,
    by: tuple[Judged, Grouping] | None,
    beside: tuple[Judged, Grouping] | None = None,
    seed: int = 0,
) -> Trade | None:
    """Thresholds of each group, for two classes; None for other tasks and where groups are too small.

    Args:
        judged: rows to measure on.
        grouping: of the same rows.
        by: other rows to choose the thresholds by, grouped alike (validation rows); without them a random half of the
            rows is used to choose and the other half to measure.
        beside: further rows (training rows), of which only the probabilities are used, not what came true.
        seed: of the half.
    """
    if len(judged.classes) != 2 or judged.target.ndim != 1:
        return None
    chosen_on = "validation rows"
    if by is None:
        half = np.zeros(len(judged), dtype=bool)
        half[generator(seed, "audit", "thresholds").permutation(len(judged))[: len(judged) // 2]] = True
        by = judged.take(half), grouping.take(half)
        judged, grouping = judged.take(~half), grouping.take(~half)
        chosen_on = "a random half of the rows, measured on the other half"
    rows, groups = by
    k = judged.positive
    # Decisions follow from probabilities by the task's own rule, which may lean to a class; ours start from it.
    own = _own_threshold(rows)
    others = None if beside is None else (beside[0].prediction.values[:, k], beside[1].codes)
    found = choose(rows.prediction.values[:, k], rows.target == k, groups.codes, len(groups.names), own, others)
    if found is None:
        return None
    cuts = {name: found[code] for code, name in enumerate(groups.names)}
    codes = grouping.codes
    ours = np.array([cuts.get(name, own) for name in grouping.names])
    true, chance = judged.target == k, judged.prediction.values[:, k]
    before, after = judged.decided == k, chance > ours[codes]
    # The gap is between groups whose rates are known: the same that the tables of groups compare.
    ways = [
        Crossed(said == true, said == true, true.astype(np.int64), 2, codes, len(grouping.names))
        for said in (before, after)
    ]
    if len(ways[0].large) < 2:
        return None
    count = ways[0].count
    weights = samples(count, generator(seed, "audit", "trade"))
    whole = [way.figures(np.ones((1, count)))[0] for way in ways]
    drawn = [way.figures(weights) for way in ways]
    cost = np.quantile(drawn[0][:, 0] - drawn[1][:, 0], [0.025, 0.975])
    narrowed = np.nanquantile(drawn[0][:, 1] - drawn[1][:, 1], [0.025, 0.975])
    if not np.isfinite(whole).all():
        return None
    return Trade(
        grouping.name,
        {name: float(cuts.get(name, own)) for name, at in grouping.members() if len(at) >= SMALLEST},
        f"{len(rows):,} {chosen_on}" if chosen_on == "validation rows" else chosen_on,
        count,
        (float(whole[0][0]), float(whole[1][0])),
        (float(whole[0][1]), float(whole[1][1])),
        (float(cost[0]), float(cost[1])),
        (float(narrowed[0]), float(narrowed[1])),
    )


def _own_threshold(judged: Judged) -> float:
    """The probability above which the model itself says positive: half way between the nearest on both sides."""
    chance, said = judged.prediction.values[:, judged.positive], judged.decided == judged.positive
    if said.all() or not said.any():
        return 0.5
    low, high = float(chance[~said].max()), float(chance[said].min())
    return 0.5 if low < 0.5 <= high else (low + high) / 2


def finding_of(trade: Trade) -> Finding:
    """What the trade means."""
    (before, after), (wide, narrow) = trade.accuracy, trade.gap
    evidence = (
        f"equalised-odds difference {wide:.3f} -> {narrow:.3f} (narrowed by {trade.gap_narrowed[0]:.3f} to "
        f"{trade.gap_narrowed[1]:.3f}), accuracy {before:.4f} -> {after:.4f} on {trade.rows:,} rows; thresholds "
        + ", ".join(f"{name} {cut:.3f}" for name, cut in trade.thresholds.items())
        + f", chosen on {trade.chosen_on}"
    )
    if trade.gap_narrowed[0] > 0:
        return Finding(
            "mitigation",
            "ok",
            f"thresholds for each {trade.column} narrow the gap from {wide:.3f} to {narrow:.3f}, for "
            f"{100 * (before - after):+.2f} points of accuracy",
            evidence,
            "apply them to the probabilities of limpid predict, where different thresholds are lawful",
        )
    what = f"thresholds for each {trade.column} do not narrow the gap"
    if narrow < wide:
        what = f"thresholds for each {trade.column} narrow the gap from {wide:.3f} to {narrow:.3f}, which may be luck"
    return Finding("mitigation", "ok", what, evidence)
