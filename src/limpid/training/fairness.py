"""How are groups of people or things treated alike already while a network learns?

Two ways: rows are reweighed once so that class and group no longer go together (Kamiran & Calders 2012), or each step
pays a penalty for answering one group better than the rest where the truth is the same (equalised odds, Hardt et al.
2016; as a penalty on differences of scores, Beutel et al. 2019).

Legend: B examples, S scores of an example, G groups, C cells (what the truth is, of which score).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limpid.core.contracts import Task
from limpid.data.encoded import Encoded
from limpid.planning.train_spec import TrainSpec
from limpid.training.batches import Batch

_FEWEST = 2  # rows of a group in a cell: of one alone no spread is known


def reweighed(part: Encoded, spec: TrainSpec) -> Encoded:
    """Training rows with weights under which class and group are independent, where the settings ask for that.

    The weight of a row of group g and class y is P(g) P(y) / P(g, y), times its sample weight. Rows in no group keep
    theirs.

    Args:
        part: training rows with their groups.
        spec: of the training.
    """
    if not spec.fairness or spec.fairness_by != "reweigh":
        return part
    assert part.target is not None and part.group is not None
    target = np.asarray(part.target)
    assert target.ndim == 1 and target.dtype.kind in "iu", "rows are reweighed for one class each"
    base = np.ones(len(part)) if part.weight is None else np.asarray(part.weight, dtype=np.float64)
    inside = part.group >= 0
    groups, classes = part.group[inside], target[inside].astype(np.int64)
    mass = np.zeros((int(groups.max()) + 1, int(classes.max()) + 1))
    np.add.at(mass, (groups, classes), base[inside])
    expected = mass.sum(axis=1, keepdims=True) * mass.sum(axis=0, keepdims=True) / mass.sum()
    factor = np.divide(expected, mass, out=np.ones_like(mass), where=mass > 0)
    weight = base.copy()
    weight[inside] *= factor[groups, classes]
    return replace(part, weight=weight.astype(np.float32))


class Penalty:
    """What a step pays for differences between groups.

    Args:
        task: says what an answer's score is, and which truths are compared.
        spec: of the training; without `fairness`, or where rows are reweighed, nothing is paid.
        group: (N,) of all training rows, or None.
    """

    def __init__(self, task: Task, spec: TrainSpec, group: np.ndarray | None) -> None:
        asked = bool(spec.fairness) and spec.fairness_by == "penalty" and group is not None
        self.strength = spec.fairness_weight if asked else 0.0
        self._groups = int(group.max(initial=0)) + 1 if group is not None else 0
        self._task: Any = task

    def __call__(self, outputs: Tensor, batch: Batch) -> Tensor | float:
        """The penalty of a batch, to be added to the mean loss of its rows; 0 where nothing is to be paid.

        Args:
            outputs: (B,K) or (B,M,K) raw outputs.
            batch: with groups.
        """
        if not self.strength or batch.group is None:
            return 0.0
        scores, cells, count = self._task.scores(outputs, batch.target)
        weight = torch.ones_like(scores[:, 0]) if batch.weight is None else batch.weight
        inside = batch.group >= 0
        if batch.share is not None:  # of a mixture the larger part counts
            inside = inside & (batch.share > 0.5)
        weight = weight * inside.to(weight.dtype)
        return self.strength * squared_gaps(scores, cells, count, batch.group, self._groups, weight)


def squared_gaps(scores: Tensor, cells: Tensor, count: int, group: Tensor, groups: int, weight: Tensor) -> Tensor:
    """Mean over cells and groups of the squared difference between a group's mean score and that of all others.

    A mean of few rows differs from another by chance, and a penalty on that would only press all scores together. So
    the square of each mean is taken without the part that chance adds (the U-statistic: products of different rows
    alone), which makes the penalty right on average for steps of any size, if noisy. It may be below 0.

    Args:
        scores: (B,S).
        cells: (B,S) int64 from 0 to C-1: only scores of the same cell are compared.
        count: C.
        group: (B,) int64; -1 for none.
        groups: G.
        weight: (B,) of each row; 0 leaves it out.

    Example:
        >>> score = torch.tensor([[0.9], [0.9], [0.4], [0.4]])
        >>> cell, ones = torch.zeros(4, 1, dtype=torch.int64), torch.ones(4)
        >>> round(squared_gaps(score, cell, 1, torch.tensor([0, 0, 1, 1]), 2, ones).item(), 6)
        0.25
    """
    place = (group.clamp(min=0)[:, None] * count + cells).flatten()
    mass = weight[:, None].expand_as(scores).flatten()
    value = scores.flatten()

    def total(of: Tensor) -> Tensor:
        empty = torch.zeros(groups * count, dtype=of.dtype, device=of.device)
        return empty.index_add(0, place, of).view(groups, count)

    rows, masses, masses2 = total((mass > 0).to(mass.dtype)), total(mass), total(mass * mass)
    first, second = total(mass * value), total((mass * value) ** 2)
    sums = (rows, masses, masses2, first, second)
    others = tuple(s.sum(dim=0, keepdim=True) - s for s in sums)
    enough = (rows >= _FEWEST) & (others[0] >= _FEWEST)
    gaps = _square(*sums[1:]) + _square(*others[1:]) - 2 * _mean(first, masses) * _mean(others[3], others[1])
    # Where nothing can be compared a 0 with a gradient of 0: the sum must not meet a division by nothing.
    return torch.where(enough, gaps, 0.0).sum() / enough.sum().clamp(min=1)


def _mean(first: Tensor, masses: Tensor) -> Tensor:
    return first / torch.where(masses > 0, masses, 1.0)


def _square(masses: Tensor, masses2: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The squared mean, from products of different rows alone."""
    pairs = masses**2 - masses2
    return (first**2 - second) / torch.where(pairs > 0, pairs, 1.0)
