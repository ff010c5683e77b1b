"""Grad-CAM: where the last maps of a convolutional net speak for an answer (Selvaraju et al. 2017, arXiv 1610.02391).

Legend of shapes: B examples, C channels, h and w of a map, H and W of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.forms import GridShape
from limpid.planning.assemble import Assembled

_PLACES = 7


def cam(
    network: Assembled, batch: Mapping[str, Tensor], evidence: Callable[[Tensor], Tensor], shapes: Mapping[str, Any]
) -> tuple[str, Tensor] | None:
    """Where in the picture the evidence comes from: maps, each weighed by the mean of its gradient, added up, and what
    is negative set to 0.

    The maps are those of the last layer that still has 7 places a side, as the nets of the paper have 7 or 14; of
    small pictures, a quarter of their side, and at least 2.

    Args:
        network: in eval mode.
        batch: one row.
        evidence: what is explained, of raw outputs.
        shapes: of the inputs.

    Returns:
        the input's name and (H,W) heat; None where no convolutional net reads a grid.
    """
    for name in network.inputs:
        shape = shapes[name]
        net = network.nets[f"input_{network.inputs.index(name)}"]
        if isinstance(shape, GridShape) and any(isinstance(m, nn.Conv2d) for m in net.modules()):
            least = (min(_PLACES, shape.height // 4), min(_PLACES, shape.width // 4))
            maps, gradient = _last_maps(network, net, batch, evidence, least)
            if maps is None or gradient is None:
                return None
            weights = gradient.mean(dim=(2, 3), keepdim=True)
            heat = F.relu((weights * maps).sum(dim=1, keepdim=True))
            large = F.interpolate(heat, (shape.height, shape.width), mode="bilinear", align_corners=False)
            return name, large[0, 0].detach()
    return None


def _last_maps(
    network: Assembled,
    net: nn.Module,
    batch: Mapping[str, Tensor],
    evidence: Callable[[Tensor], Tensor],
    least: tuple[int, int],
) -> tuple[Tensor | None, Tensor | None]:
    """(1,C,h,w) maps of the last module that gives some of so many places a side, and the evidence's gradient there."""
    seen: list[Tensor] = []
    high, wide = (max(2, n) for n in least)

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] >= high and output.shape[3] >= wide:
            seen.append(output)

    handles = [module.register_forward_hook(keep) for module in net.modules()]
    try:
        floats = {k: v.float().requires_grad_(True) if k.endswith(".pixels") else v for k, v in batch.items()}
        with torch.enable_grad():
            answer = evidence(network(floats)).sum()
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        return None, None
    (gradient,) = torch.autograd.grad(answer, [seen[-1]], allow_unused=True)
    return seen[-1].detach(), gradient
