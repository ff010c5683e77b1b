"""Muon: hidden matrices move by the nearest orthogonal matrix to their momentum, filters of convolutions likewise.

Legend: A rows and B columns of a matrix; of a convolution A filters with B weights each.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_FILTER_ITERATIONS = 3  # as in the fastest recipes for CIFAR-10, where further ones cost more than they gain
_SMALLEST = 1e-7
_ADAMW_SIZE = 0.2


class Muon(Optimizer):
    """Momentum whose direction is made orthogonal by a Newton-Schulz iteration (Jordan et al. 2024).

    torch has a Muon of its own. This one also takes filters of convolutions, as rows of a matrix, and iterates in
    bf16 only where the processor multiplies such numbers itself; elsewhere a step would take a hundred times as long.
    Updates are scaled to the size of those of AdamW (Liu et al. 2025, arXiv 2502.16982), so both share one rate.

    Args:
        params: groups of parameters with at least two axes.
        momentum: share of the past in the momentum, with a look ahead after Nesterov.
        weight_decay: per unit of the rate.
    """

    def __init__(self, params: Any, *, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": 0.0, "momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the parameters that have a gradient."""
        assert closure is None, "the loop computes the loss itself"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter.grad)
                buffer = state["momentum_buffer"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(buffer, group["momentum"]).flatten(1)
                iterations = _ITERATIONS if parameter.dim() == 2 else _FILTER_ITERATIONS
                update = orthogonal(ahead, working_type(parameter.device), iterations).view_as(parameter)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * _ADAMW_SIZE * sqrt(max(ahead.shape)))
        return None


def working_type(device: torch.device) -> torch.dtype:
    """The type to iterate in: bf16 where it is fast."""
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.float32
    return torch.bfloat16


def orthogonal(matrix: Tensor, kind: torch.dtype, iterations: int = _ITERATIONS) -> Tensor:
    """About U V' of the singular value decomposition U S V' of a matrix; singular values end between 0.7 and 1.2.

    Args:
        matrix: (A,B).
        kind: type to compute in.
        iterations: of Newton and Schulz; with three of them small singular values are not yet lifted that far.

    Example:
        >>> orthogonal(torch.tensor([[3.0, 0.0], [0.0, 0.5]]), torch.float32).diagonal().round().tolist()
        [1.0, 1.0]
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.t() if tall else matrix).to(kind)
    x = x / x.norm().clamp(min=_SMALLEST)
    for _ in range(iterations):
        square = x @ x.t()
        polynomial = torch.addmm(square, square, square, beta=_CUBIC, alpha=_QUINTIC)
        x = torch.addmm(x, polynomial, x, beta=_LINEAR)
    return (x.t() if tall else x).to(matrix.dtype)
