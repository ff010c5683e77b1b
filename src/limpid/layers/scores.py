"""Scores by which groups are compared while a network learns: differentiable, higher where the truth is answered.

Legend of shapes: B examples, M members, K classes or labels, R targets, Q quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_scores(outputs: Tensor, target: Tensor, *, multi_label: bool) -> tuple[Tensor, Tensor, int]:
    """The probability that is given to the truth; compared are rows of the same true class.

    Equal means in all groups are equal true positive rates of the scores, class by class, and with two classes, or for
    labels, equal false positive rates too.

    Args:
        outputs: (B,K) or (B,M,K) logits.
        target: (B,) classes, or (B,K) labels.
        multi_label: which of them.

    Returns:
        scores (B,1) or (B,K), the cell of each, the number of cells.
    """
    count = outputs.shape[-1]
    if not multi_label:
        chance = outputs.softmax(dim=-1)
        chance = chance.mean(dim=1) if chance.dim() == 3 else chance
        truth = target.long().unsqueeze(1)
        return chance.gather(1, truth), truth, count
    chance = outputs.sigmoid()
    chance = chance.mean(dim=1) if chance.dim() == 3 else chance
    cells = 2 * torch.arange(count, device=outputs.device) + (target > 0.5).long()
    return torch.where(target > 0.5, chance, 1 - chance), cells, 2 * count


def value_scores(outputs: Tensor, target: Tensor, quantiles: int) -> tuple[Tensor, Tensor, int]:
    """Errors; groups are treated alike where none is rated higher than it is, compared with the others.

    Args:
        outputs: (B,R), (B,M,R), or with Q values for each target.
        target: (B,R) as the loss wants it.
        quantiles: Q, 0 without; the one in the middle is taken.

    Returns:
        scores (B,R), the cell of each (its target), R.
    """
    values = outputs.mean(dim=1) if outputs.dim() == 3 else outputs
    targets = target.shape[1]
    if quantiles:
        values = values.reshape(len(values), targets, quantiles)[:, :, quantiles // 2]
    return values - target, torch.arange(targets, device=values.device).expand(len(values), -1), targets
