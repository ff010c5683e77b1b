"""Initial weights by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from limpid.layers.activations import Activation

Initialisation = Literal["kaiming", "xavier", "orthogonal", "normal"]

_NORMAL_STD = 0.02


def gain(activation: Activation) -> float:
    """The factor that keeps the variance of activations from layer to layer.

    GELU and SiLU behave like the rectifier as far as the variance goes.
    """
    return nn.init.calculate_gain("relu" if activation == "gelu" or activation == "silu" else activation)


@torch.no_grad()
def initialise(layer: nn.Linear, how: Initialisation, activation: Activation) -> None:
    """Draw a linear layer's weights anew; its bias becomes zero.

    Args:
        layer: the layer.
        how: "kaiming" (He et al. 2015, arXiv 1502.01852; normal, by inputs), "xavier" (Glorot and Bengio 2010;
            uniform, by inputs and outputs), "orthogonal" (Saxe et al. 2014, arXiv 1312.6120), or "normal" with a
            standard deviation of 0.02.
        activation: what follows the layer; it sets the gain of the first three.

    Example:
        >>> layer = nn.Linear(8, 8)
        >>> initialise(layer, "orthogonal", "tanh")
        >>> bool(layer.bias.any())
        False
    """
    factor = gain(activation)
    if how == "kaiming":
        layer.weight.normal_(0.0, factor * layer.in_features**-0.5)
    elif how == "xavier":
        nn.init.xavier_uniform_(layer.weight, factor)
    elif how == "orthogonal":
        nn.init.orthogonal_(layer.weight, factor)
    else:
        layer.weight.normal_(0.0, _NORMAL_STD)
    if layer.bias is not None:
        layer.bias.zero_()
