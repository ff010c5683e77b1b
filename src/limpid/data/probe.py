"""How well does one column alone tell the target? A quick predictor, judged on rows that it has not seen.

Numbers are cut into bins of equal count, a missing cell being a bin of its own, and categories keep their levels; the
prediction is the mean target of the bin, learnt on one half of the rows and judged on the other, both ways round. A
level that the other half has not seen predicts the mean, so a key, unique in every row, predicts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limpid.data.association import ranks
from limpid.data.views import View

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MAX_BINS = 256
MIN_ROWS_A_BIN = 20
MAX_CLASSES = 20


@dataclass(frozen=True)
class Wanted:
    """The target of N rows that have one.

    Args:
        name: its column.
        classes: (N,) codes, or None for a number.
        numbers: (N,) values, or None for classes.
        levels: text of the codes.
    """

    name: str
    classes: Codes | None = None
    numbers: Floats | None = None
    levels: tuple[str, ...] = ()

    @property
    def measure(self) -> str:
        """What `score` gives: "roc_auc" or "r2"."""
        return "roc_auc" if self.classes is not None else "r2"

    def __len__(self) -> int:
        return len(self.classes) if self.classes is not None else len(self.numbers) if self.numbers is not None else 0

    def take(self, rows: Codes) -> Wanted:
        """The same target on some rows."""
        classes = None if self.classes is None else self.classes[rows]
        return Wanted(self.name, classes, None if self.numbers is None else self.numbers[rows], self.levels)

    def columns(self) -> Floats:
        """(C,N) what is to be predicted: 0/1 for each class, or the value beside its rank (so that a heavy tail does
        not hide a copy)."""
        if self.numbers is not None:
            return np.stack([self.numbers, ranks(self.numbers)])
        assert self.classes is not None
        counts = np.bincount(self.classes)
        order = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
        if len(counts) == 2:
            order = np.array([1])
        picked: Floats = (self.classes[None, :] == order[:, None]).astype(np.float64)
        return picked


def score(column: View, wanted: Wanted, fold: npt.NDArray[np.bool_]) -> float:
    """The out-of-sample ROC AUC (mean over classes, weighted by their frequency) or R2 of one column.

    Args:
        column: the column, on the same N rows.
        wanted: the target.
        fold: (N,) which half a row belongs to.

    Returns:
        About .5 (AUC) or 0 (R2) for a column that tells nothing.
    """
    target = wanted.columns()
    if column.codes is not None and wanted.numbers is not None:
        return _left_out(column.codes + 1, target)
    both: list[float] = []
    for learn in (fold, ~fold):
        judge = ~learn
        if min(int(learn.sum()), int(judge.sum())) < 5:
            return 0.5 if wanted.classes is not None else 0.0
        bins, count = _bins(column, learn)
        means = _means(bins[learn], target[:, learn], count)
        if wanted.classes is not None:
            both.append(_auc(bins[judge], means, target[:, judge], count))
            continue
        best = _r2(means[:, bins[judge]], target[:, judge])
        if column.numbers is not None and best > 0.8:
            best = max(best, _r2(_between(column.numbers, target, learn, judge), target[:, judge]))
        both.append(best)
    return float(np.mean(both))


def _left_out(bins: Codes, target_CN: Floats) -> float:
    """R2 of the mean of the other rows of a level: rare levels keep all but one of their rows."""
    n = target_CN.shape[1]
    sizes = np.bincount(bins)[bins] - 1
    predicted = np.empty_like(target_CN)
    for c, values in enumerate(target_CN):
        others = np.bincount(bins, weights=values)[bins] - values
        overall = (values.sum() - values) / (n - 1)
        predicted[c] = np.where(sizes > 0, others / np.maximum(sizes, 1), overall)
    return _r2(predicted, target_CN)


def _bins(column: View, learn: npt.NDArray[np.bool_]) -> tuple[Codes, int]:
    """(N,) bin of each row, with bin 0 for missing, and the number of bins."""
    if column.numbers is None:
        assert column.codes is not None
        return column.codes + 1, int(column.codes.max(initial=-1)) + 2
    known = column.numbers[learn & ~np.isnan(column.numbers)]
    if known.size == 0:
        return np.zeros(len(column.numbers), dtype=np.int64), 1
    wanted = int(np.clip(known.size // MIN_ROWS_A_BIN, 4, MAX_BINS))
    ordered = np.sort(known)
    cuts, often = np.unique(
        ordered[np.linspace(0, known.size - 1, wanted + 1)[1:-1].astype(np.int64)], return_counts=True
    )
    # A value that fills whole bins gets one of its own, else its neighbours above would share it.
    edges = np.union1d(cuts, np.nextafter(cuts[often > 1], np.inf))
    place = np.searchsorted(edges, column.numbers, side="right") + 1
    return np.where(np.isnan(column.numbers), 0, place), len(edges) + 2


def _means(bins: Codes, target_CN: Floats, count: int) -> Floats:
    """(C, bins) mean target of each bin, drawn a little towards the overall mean."""
    pull = 0.1
    sizes = np.bincount(bins, minlength=count) + pull
    return np.stack([(np.bincount(bins, weights=t, minlength=count) + pull * t.mean()) / sizes for t in target_CN])


def _auc(bins: Codes, means: Floats, target_CN: Floats, count: int) -> float:
    total = np.bincount(bins, minlength=count).astype(np.float64)
    values: list[float] = []
    weights: list[float] = []
    for mean, target in zip(means, target_CN, strict=True):
        positive = np.bincount(bins, weights=target, minlength=count)
        order = np.argsort(mean, kind="stable")
        scores, p, n = mean[order], positive[order], (total - positive)[order]
        if p.sum() == 0 or n.sum() == 0:
            continue
        groups = np.concatenate([[0], np.cumsum(scores[1:] > scores[:-1])])
        found, missed = np.bincount(groups, weights=p), np.bincount(groups, weights=n)
        below = np.cumsum(missed) - missed
        values.append(float((found * (below + missed / 2)).sum() / (found.sum() * missed.sum())))
        weights.append(float(found.sum()))
    return float(np.average(values, weights=weights)) if values else 0.5


def _r2(predicted: Floats, target_CN: Floats) -> float:
    """The best R2 over the rows of `target_CN`."""
    best = -np.inf
    for guess, target in zip(predicted, target_CN, strict=True):
        scale = max(float(np.abs(target).max()), 1e-300)
        y, left = target / scale, (target - guess) / scale
        y = y - y.mean()
        total = float(y @ y)
        best = max(best, 1.0 - float(left @ left) / total if total > 0 else 0.0)
    return best


def _between(numbers: Floats, target_CN: Floats, learn: npt.NDArray[np.bool_], judge: npt.NDArray[np.bool_]) -> Floats:
    """Straight lines between neighbouring values of the learnt half: exact for any copy, however heavy its tail."""
    known = learn & ~np.isnan(numbers)
    values, where = np.unique(numbers[known], return_inverse=True)
    x = numbers[judge]
    overall = target_CN[:, learn].mean(axis=1)
    means = _means(where, target_CN[:, known], len(values))
    return np.stack([np.where(np.isnan(x), o, np.interp(x, values, m)) for o, m in zip(overall, means, strict=True)])


def halves(rows: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(N,) a random half of the rows."""
    fold = np.zeros(rows, dtype=bool)
    fold[generator.permutation(rows)[: rows // 2]] = True
    return fold
