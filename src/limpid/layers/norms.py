"""Normalisation layers by name."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["none", "batch", "layer"]


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) that also takes a batch of one in training.

    The variance of one example is zero, so such a batch is normalised with the running statistics.

    Shapes and units:
        (B,D) to (B,D).
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B,D) normalised."""
        if self.training and len(input) < 2:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(input, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(input)


def norm(name: Norm, width: int) -> nn.Module | None:
    """The normalisation called `name` over `width` features, or None for "none".

    Example:
        >>> norm("layer", 4).normalized_shape
        (4,)
    """
    if name == "batch":
        return BatchNorm(width)
    if name == "layer":
        return nn.LayerNorm(width)
    return None
