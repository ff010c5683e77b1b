"""Can the group be guessed from what the model reads? Then leaving the group's column out hides nothing from it.

A small boosted classifier learns the group from the model's other inputs on one half of the rows and is judged on the
other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing import spans
from limpid.auditing.features import Features, features
from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged
from limpid.auditing.spans import Span
from limpid.core.seeds import generator
from limpid.data.groups import SMALLEST, Grouping
from limpid.data.probe import Wanted, halves, score
from limpid.data.views import View, view

Array = npt.NDArray[Any]

MOST_ROWS = 20_000
_MOST_GROUPS = 10
_STRONG, _WEAK = 0.8, 0.65  # ROC AUC from which a group can be guessed well, or somewhat
_SHOWN = 3


def findings_of(judged: Judged, groupings: Sequence[Grouping], seed: int = 0) -> list[Finding]:
    """One finding for each grouping of a single column that can be judged.

    Args:
        judged: rows with what the model reads.
        groupings: of the same rows.
        seed: of the halves.
    """
    index = np.arange(len(judged))
    if len(index) > MOST_ROWS:
        index = np.sort(generator(seed, "audit", "proxies").choice(len(index), MOST_ROWS, replace=False))
    some = judged.take(index)
    every = features(judged.bundle, some.arrays)
    found = []
    for grouping in groupings:
        finding = _finding(some, grouping.take(index), every.without([grouping.name]), seed)
        if finding is not None:
            found.append(finding)
    return found


def _finding(judged: Judged, grouping: Grouping, inputs: Features, seed: int) -> Finding | None:
    sizes = np.bincount(grouping.codes, minlength=len(grouping.names))
    large = np.flatnonzero(sizes >= SMALLEST)[:_MOST_GROUPS]
    keep = np.flatnonzero(np.isin(grouping.codes, large))
    if len(large) < 2 or inputs.values.shape[1] == 0:
        return None
    codes = np.searchsorted(large, grouping.codes[keep])
    area, balanced = guess(inputs, codes, keep, seed)
    if area.value is None or area.low is None:
        return None
    strongest = _strongest(judged.take(keep), codes, grouping.name, seed)
    evidence = (
        f"from the model's other inputs the group is guessed with ROC AUC {area} and balanced accuracy {balanced:.3f} "
        f"(by chance 0.5, {1 / len(large):.3f}), on {len(keep) - len(keep) // 2:,} rows that it had not learnt from"
    )
    if strongest:
        evidence += "; most of it alone tells " + ", ".join(f"{name} (ROC AUC {v:.3f})" for name, v in strongest)
    if area.low < _WEAK:
        return Finding("proxies", "ok", f"{grouping.name} can hardly be guessed from what the model reads", evidence)
    strong = area.low >= _STRONG
    return Finding(
        "proxies",
        "look",
        f"{grouping.name} can be guessed {'well' if strong else 'somewhat'} from what the model reads",
        evidence,
        f"leaving {grouping.name} out does not make the model blind to it; judge it by the gaps between groups",
    )


def guess(inputs: Features, codes: Array, rows: Array, seed: int) -> tuple[Span, float]:
    """How well a small classifier tells groups: ROC AUC (of several groups, the mean of one against the rest, weighted
    by their sizes) and balanced accuracy, on the half that it did not learn from.

    Args:
        inputs: of all rows.
        codes: (n,) group of each of `rows`.
        rows: (n,) positions.
        seed: of the halves.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    groups = int(codes.max()) + 1
    learn = halves(len(rows), generator(seed, "audit", "proxy halves"))
    if any(len(np.unique(codes[half])) < groups for half in (learn, ~learn)):
        return spans.NONE, 0.0
    x = inputs.values[rows]
    # A category of very many values is cut to those that the boosting can take; the others are taken as missing.
    discrete = np.array(inputs.discrete, dtype=bool)
    x[:, discrete] = np.where(x[:, discrete] < 250, x[:, discrete], np.nan)
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.15, early_stopping=False, categorical_features=discrete, random_state=seed
    )
    # Two threads that wait for one another take ten times as long as one where other work has the processor.
    with threadpool_limits(1):
        model.fit(x[learn], codes[learn])
        chance = model.predict_proba(x[~learn])
    true = codes[~learn]
    hits = [float((chance.argmax(axis=1)[true == g] == g).mean()) for g in range(groups)]
    if groups == 2:
        return spans.auc(true == 1, chance[:, 1]), float(np.mean(hits))
    each = [spans.auc(true == g, chance[:, g]) for g in range(groups)]
    weight = np.bincount(true, minlength=groups) / len(true)

    def mean(values: list[float | None]) -> float:
        return float(sum(w * (v or 0.0) for w, v in zip(weight, values, strict=True)))

    area = Span(mean([s.value for s in each]), mean([s.low for s in each]), mean([s.high for s in each]), len(true))
    return area, float(np.mean(hits))


def _strongest(judged: Judged, codes: Array, own: str, seed: int) -> list[tuple[str, float]]:
    """The single columns that tell most of the group."""
    wanted = Wanted(own, classes=codes.astype(np.int64))
    fold = halves(len(codes), generator(seed, "audit", "proxy columns"))
    found = []
    for name, spec in judged.bundle.encoders.columns.items():
        if name == own or spec.kind not in ("number", "category", "date", "labels"):
            continue
        column: View = view(judged.frame.get_column(name), spec)
        found.append((name, score(column, wanted, fold)))
    return [(n, v) for n, v in sorted(found, key=lambda pair: -pair[1])[:_SHOWN] if v > 0.55]
