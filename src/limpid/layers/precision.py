"""In which floating-point type does a layer compute?"""

from __future__ import annotations

import torch
from torch import Tensor


def working_dtype(parameter: Tensor) -> torch.dtype:
    """The type that products with `parameter` are computed in: the autocast type where autocast is on, else its own.

    Autocast converts the inputs of matrix products only. Layers whose element-wise work is large convert once, early,
    with this, so that activations are neither stored nor read in twice the bits.

    Args:
        parameter: a weight of the layer; float64 is never narrowed, so gradients can be checked in it.

    Example:
        >>> weight = torch.zeros(2)
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     working_dtype(weight)
        torch.bfloat16
    """
    if parameter.dtype is torch.float32 and torch.is_autocast_enabled(parameter.device.type):
        return torch.get_autocast_dtype(parameter.device.type)
    return parameter.dtype
