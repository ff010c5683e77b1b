"""Heads: the last layer, from what a net gives to a task's raw outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from limpid.layers.ensemble import MemberLinear


def linear_head(width: int, outputs: int, members: int | None, *, bias: Sequence[float] | None = None) -> nn.Module:
    """A linear layer, or one for each member.

    Args:
        width: D of what the net gives.
        outputs: K.
        members: M, or None for a net without members.
        bias: where the K biases start; 0 by default.

    Shapes and units:
        (B,D) to (B,K); with members (B,M,D) to (B,M,K).

    Example:
        >>> linear_head(8, 3, None)(torch.zeros(2, 8)).shape
        torch.Size([2, 3])
    """
    layer = nn.Linear(width, outputs) if members is None else MemberLinear(width, outputs, members=members)
    start = torch.zeros(outputs) if bias is None else torch.tensor(bias, dtype=torch.float32)
    with torch.no_grad():
        layer.bias.copy_(start.expand_as(layer.bias))
    return layer
