"""Activation functions by name."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["relu", "sigmoid", "tanh", "gelu", "silu"]

_KINDS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def activation(name: Activation) -> nn.Module:
    """The activation function called `name`.

    Example:
        >>> activation("relu")
        ReLU()
    """
    return _KINDS[name]()


class ReGLU(nn.Module):
    """The first half of the features, gated by the rectified second half (Shazeer 2020, arXiv 2002.05202).

    Shapes and units:
        (...,2D) to (...,D).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(...,D) from (...,2D)."""
        value, gate = x.chunk(2, dim=-1)
        return value * F.relu(gate)
