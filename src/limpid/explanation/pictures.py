"""What a tensor of one example looks like: a picture of bounded size, as plain numbers.

Legend of shapes: M members, T positions, D values, C channels, H and W of a grid.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_BARS, MOST_STEPS, MOST_ROWS, MOST_MAPS, SIDE = 64, 96, 24, 12, 24


def picture(value: Tensor) -> dict[str, Any] | None:
    """Numbers to draw: bars of a vector, maps of a grid, a strip of a sequence; None where there is nothing.

    Args:
        value: what a layer gave for one example, without the batch axis: (D), (T,D), (M,D) or (C,H,W).

    Returns:
        {"kind": "bars", "values", "of"}, {"kind": "strip", "values": rows of D over T, "of"} or {"kind": "maps",
        "values": maps of H rows, "of"}; "of" is the full shape. Longer axes are averaged down.

    Example:
        >>> picture(torch.tensor([1.0, 2.0]))["values"]
        [1.0, 2.0]
    """
    value = value.detach().float().cpu()
    if not value.numel() or not value.is_floating_point():
        return None
    of = list(value.shape)
    value = torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)
    if value.dim() == 0:
        value = value.view(1)
    while value.dim() > 3:
        value = value.flatten(0, 1)
    if value.dim() == 1:
        return {"kind": "bars", "values": rounded(_shrunk(value.view(1, 1, -1), MOST_BARS).flatten()), "of": of}
    if value.dim() == 2:
        # Steps run from left to right, values from top to bottom.
        strip = F.adaptive_avg_pool2d(
            value.t().unsqueeze(0), (min(MOST_ROWS, value.shape[1]), min(MOST_STEPS, value.shape[0]))
        )
        return {"kind": "strip", "values": rounded(strip[0]), "of": of}
    maps = F.adaptive_avg_pool2d(value[:MOST_MAPS], (min(SIDE, value.shape[1]), min(SIDE, value.shape[2])))
    return {"kind": "maps", "values": rounded(maps), "of": of}


def rounded(value: Tensor) -> Any:
    """Nested lists of four figures each, which is what a drawing can show."""
    return _round(value.tolist())


def figures(value: Tensor) -> dict[str, float]:
    """Mean, spread (standard deviation), least and greatest of a tensor."""
    flat = value.detach().double().flatten()
    if not flat.numel():
        return {"mean": 0.0, "spread": 0.0, "low": 0.0, "high": 0.0}
    return {
        "mean": _figure(float(flat.mean())),
        "spread": _figure(float(flat.std(correction=0))),
        "low": _figure(float(flat.min())),
        "high": _figure(float(flat.max())),
    }


def _shrunk(value: Tensor, most: int) -> Tensor:
    return F.adaptive_avg_pool1d(value, most) if value.shape[-1] > most else value


def _round(value: Any) -> Any:
    return [_round(inner) for inner in value] if isinstance(value, list) else _figure(value)


def _figure(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0
