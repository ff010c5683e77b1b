"""Does it do better on rows that it has seen, can one tell which those were, and where is it weakest?

Membership inference by a threshold on the loss (Yeom et al. 2018): the chance that a training row has a smaller loss
than another row. At 0.5 a loss says nothing about who was in the training data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing import spans
from limpid.auditing.findings import Finding, Level
from limpid.auditing.judged import Judged
from limpid.core.forms import FIELDS, FieldsShape
from limpid.evaluation.slices import weakest

Array = npt.NDArray[Any]

_LEAKS, _TELLS = 0.65, 0.55  # membership AUC
_FEWEST = 30
_SLICES = 3


_UNKNOWN = Finding(
    "overfitting",
    "look",
    "training and held-out rows could not be compared",
    "DATA does not hold both, or the run does not say which rows it learnt from",
    "audit the run folder with the file that it was trained on",
)


def findings_of(everything: Judged, held: Judged, *, known: bool) -> list[Finding]:
    """Gap, membership and weakest slices.

    Args:
        everything: rows with their parts.
        held: those that the model was not fitted to.
        known: whether the run says which rows it learnt from.
    """
    seen = everything.parts("train")
    found = []
    if held.stretches is not None and seen.stretches is not None:
        return [_of_windows(seen, held)] if known and len(seen) and len(held) else [_UNKNOWN]
    if known and min(len(seen), len(held)) >= _FEWEST:
        found += [_gap(seen, held), _membership(seen, held)]
    else:
        found.append(_UNKNOWN)
    return [*found, *_slices(held)]


def _gap(seen: Judged, held: Judged) -> Finding:
    metric = held.bundle.task.metrics[0]
    figures = [float(metric.compute(j.target, j.prediction, j.weight)) for j in (seen, held)]
    weights = None if held.weight is None or seen.weight is None else (held.weight, seen.weight)
    gap = spans.mean_gap(held.loss, seen.loss, weights=weights)
    means = [spans.mean(j.loss, weight=j.weight).value or 0.0 for j in (seen, held)]
    evidence = (
        f"{metric.name} {figures[0]:.4g} on {len(seen):,} training rows, {figures[1]:.4g} on {len(held):,} held-out "
        f"rows; mean loss of a row {means[0]:.4g} and {means[1]:.4g}, difference {gap}"
    )
    base = means[0]
    if gap.low is not None and gap.value is not None and gap.low > 0 and gap.value > 0.25 * abs(base):
        grave = gap.low > abs(base)
        return Finding(
            "overfitting",
            "warning" if grave else "look",
            "it does clearly better on the rows that it has seen",
            evidence,
            "believe only held-out figures; more rows, fewer columns or a smaller net narrow the gap",
        )
    return Finding("overfitting", "ok", "it does about as well on rows that it has not seen", evidence)


def _of_windows(seen: Judged, held: Judged) -> Finding:
    """Windows of the training against later ones, each measured in what a seasonal naive forecast is off there: later
    times may be harder for anyone."""
    assert seen.stretches is not None and held.stretches is not None
    blocks, naive = [], []
    for judged, stretches in ((seen, seen.stretches), (held, held.stretches)):
        naive.append(float(np.nanmean(stretches.mean(stretches.naive)[0])))
        blocks.append(stretches.mean(judged.loss)[0])
    relative = [losses / max(off, 1e-12) for losses, off in zip(blocks, naive, strict=True)]
    base = float(np.nanmean(relative[0]))
    gap = spans.mean_gap(relative[1], relative[0])
    evidence = (
        f"scaled error {np.nanmean(blocks[0]):.4g} in {len(seen):,} windows of the training ({len(blocks[0]):,} "
        "stretches), "
        f"{np.nanmean(blocks[1]):.4g} in {len(held):,} held-out ones ({len(blocks[1]):,}); a seasonal "
        f"naive forecast is off by {naive[0]:.4g} and {naive[1]:.4g}; relative to it the difference is {gap}"
    )
    if gap.low is not None and gap.value is not None and gap.low > 0 and gap.value > 0.25 * base:
        return Finding(
            "overfitting",
            "warning" if gap.low > base else "look",
            "it does clearly better in the times that it has seen",
            evidence,
            "believe only held-out figures; a smaller net, or a longer past, narrows the gap",
        )
    return Finding("overfitting", "ok", "it does about as well in later times as in those that it has seen", evidence)


def _membership(seen: Judged, held: Judged) -> Finding:
    member = np.concatenate([np.ones(len(seen), dtype=bool), np.zeros(len(held), dtype=bool)])
    loss = np.concatenate([seen.loss, held.loss])
    area = spans.auc(member, -np.nan_to_num(loss, nan=np.inf))
    evidence = f"membership inference by loss: ROC AUC {area} (0.5: it cannot be told)"
    assert area.low is not None
    level: Level = "warning" if area.low > _LEAKS else "look" if area.low > _TELLS else "ok"
    if level == "ok":
        return Finding("privacy", "ok", "its answers hardly tell who was in the training data", evidence)
    return Finding(
        "privacy",
        level,
        "its answers tell who was in the training data",
        evidence,
        "do not hand out its probabilities where being in the data is a secret; a less overfitted model tells less",
    )


def _slices(held: Judged) -> list[Finding]:
    shape = held.bundle.encoders.shapes().get(FIELDS)
    if not isinstance(shape, FieldsShape):
        return []
    weak = weakest(held.arrays, shape, held.loss, held.bundle.encoders.value_of, held.weight)
    if not weak:
        looked = f"{len(held):,} rows, {len(shape.numbers) + len(shape.categories)} features"
        return [Finding("slices", "ok", "no group of rows is surely worse off than the others", looked)]
    told = "; ".join(
        f"{s.said} ({s.rows:,} rows): mean loss {s.loss:.3g}, others {s.other:.3g}" for s in weak[:_SLICES]
    )
    return [
        Finding(
            "slices",
            "look",
            f"it is weakest where {weak[0].said}",
            told,
            "look at these rows: are they rarer, harder, or recorded otherwise? More rows like them help",
        )
    ]
