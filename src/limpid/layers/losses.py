"""Losses for each example, never averaged, so that weights, hard-example lists and per-group audits come for free.

Legend of shapes: B examples, K classes, R targets, Q quantiles. Every function gives (B,).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    outputs: Tensor, target: Tensor, *, smoothing: float = 0.0, class_weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy in nats, with label smoothing (Szegedy et al. 2016) and class weights.

    Args:
        outputs: (B,K) logits.
        target: (B,) int64 classes.
        smoothing: share of the target spread evenly over all classes.
        class_weight: (K,) factor on the loss of examples of each class.

    Example:
        >>> cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
        tensor([0.6931])
    """
    loss = F.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)
    return loss if class_weight is None else loss * class_weight[target]


def focal(outputs: Tensor, target: Tensor, *, gamma: float = 2.0, class_weight: Tensor | None = None) -> Tensor:
    """Focal loss (Lin et al. 2017): cross-entropy times (1 - p)^gamma, which turns the eye to hard examples.

    Args:
        outputs: (B,K) logits.
        target: (B,) int64 classes.
        gamma: 0 is cross-entropy.
        class_weight: (K,) factor on the loss of examples of each class.
    """
    entropy = F.cross_entropy(outputs, target, reduction="none")
    # clamp: at p = 1 the power of exactly 0 would have an endless gradient for gamma < 1.
    loss = (1 - torch.exp(-entropy)).clamp(min=1e-7) ** gamma * entropy
    return loss if class_weight is None else loss * class_weight[target]


def binary_cross_entropy(
    outputs: Tensor,
    target: Tensor,
    *,
    smoothing: float = 0.0,
    positive_weight: Tensor | None = None,
    gamma: float = 0.0,
) -> Tensor:
    """Binary cross-entropy of labels that do not exclude each other, in nats, averaged over the K labels.

    Args:
        outputs: (B,K) logits.
        target: (B,K) 0 or 1.
        smoothing: share of each label spread evenly over 0 and 1.
        positive_weight: (K,) factor on the loss where a label is 1.
        gamma: above 0, the focal variant.
    """
    soft = target * (1 - smoothing) + smoothing / 2 if smoothing else target
    loss = F.binary_cross_entropy_with_logits(outputs, soft, reduction="none")
    if gamma > 0:
        of_truth = torch.sigmoid(torch.where(target > 0.5, outputs, -outputs))
        loss = loss * (1 - of_truth).clamp(min=1e-7) ** gamma
    if positive_weight is not None:
        loss = loss * torch.where(target > 0.5, positive_weight, torch.ones_like(positive_weight))
    return loss.mean(dim=1)


def one_hot_cross_entropy(outputs: Tensor, target: Tensor, *, class_weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of each class against the rest, summed over the K classes.

    Args:
        outputs: (B,K) logits.
        target: (B,) int64 classes.
        class_weight: (K,) factor on the loss of examples of each class.
    """
    hot = F.one_hot(target, outputs.shape[1]).to(outputs.dtype)
    loss = F.binary_cross_entropy_with_logits(outputs, hot, reduction="none").sum(dim=1)
    return loss if class_weight is None else loss * class_weight[target]


def squared_error(outputs: Tensor, target: Tensor) -> Tensor:
    """Squared error, averaged over the R targets (B,R)."""
    return F.mse_loss(outputs, target, reduction="none").mean(dim=1)


def absolute_error(outputs: Tensor, target: Tensor) -> Tensor:
    """Absolute error, averaged over the R targets (B,R)."""
    return F.l1_loss(outputs, target, reduction="none").mean(dim=1)


def huber(outputs: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Huber loss (1964): squared up to `delta`, linear beyond, averaged over the R targets (B,R)."""
    return F.huber_loss(outputs, target, reduction="none", delta=delta).mean(dim=1)


def pinball(outputs: Tensor, target: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Pinball loss (Koenker and Bassett 1978), averaged over the R targets and Q quantiles.

    Args:
        outputs: (B,R,Q), one value for each quantile.
        target: (B,R).
        quantiles: Q shares between 0 and 1.
    """
    levels = torch.tensor(quantiles, dtype=outputs.dtype, device=outputs.device)
    under = target.unsqueeze(-1) - outputs
    return torch.maximum(levels * under, (levels - 1) * under).flatten(1).mean(dim=1)
