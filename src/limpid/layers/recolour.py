"""Changes of brightness, contrast, colour and sharpness of whole batches, each row by a factor of its own.

Legend: B examples, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_LEVELS = 256


def stored(x: Tensor, kind: torch.dtype) -> Tensor:
    """Values in the type in which pictures are stored; bytes are rounded and kept within 0 to 255.

    Example:
        >>> stored(torch.tensor([-3.0, 1.5, 300.0]), torch.uint8).tolist()
        [0, 2, 255]
    """
    if x.dtype == kind:
        return x
    return x.round().clamp(0, 255).to(kind) if kind == torch.uint8 else x.to(kind)


def blend(base: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """base + factor * (x - base), with factor (B,)."""
    return torch.lerp(base.expand_as(x), x, factor.view(-1, 1, 1, 1).to(x.dtype))


def grey(x: Tensor) -> Tensor:
    """(B,1,H,W): the lightness of colours; of any other number of channels their mean."""
    if x.shape[1] != 3:
        return x.mean(dim=1, keepdim=True)
    return (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def brighten(x: Tensor, factor: Tensor) -> Tensor:
    """Everything times a factor (B,)."""
    return x * factor.view(-1, 1, 1, 1)


def change_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Away from the picture's mean lightness for factors above 1, towards it below."""
    return blend(grey(x).mean(dim=(1, 2, 3), keepdim=True), x, factor)


def saturate(x: Tensor, factor: Tensor) -> Tensor:
    """Away from grey for factors above 1, towards it below."""
    return blend(grey(x), x, factor)


def sharpen(x: Tensor, factor: Tensor) -> Tensor:
    """Away from a smoothed picture for factors above 1, towards it below; the edge stays."""
    if min(x.shape[2:]) < 3:
        return x
    kernel = x.new_ones(3, 3)
    kernel[1, 1] = 5.0
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 3, 3)
    smooth = x.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(x, kernel, groups=x.shape[1])
    return blend(smooth, x, factor)


def posterise(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the leading bits (B,) of bytes."""
    step = 2.0 ** (8 - bits).view(-1, 1, 1, 1)
    return (x / step).floor() * step


def solarise(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert what is at the threshold (B,) or above it, of bytes."""
    return torch.where(x >= threshold.view(-1, 1, 1, 1), 255 - x, x)


def autocontrast(x: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255; one that is constant stays."""
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (x - low) * (255 / (high - low).clamp(min=1e-6)), x)


def equalise(x: Tensor) -> Tensor:
    """Give each channel about as many pixels of every level, by its own histogram, as Pillow does."""
    batch, channels = x.shape[:2]
    level = x.round().clamp(0, _LEVELS - 1).long().flatten(2)
    counts = torch.zeros(batch, channels, _LEVELS, dtype=torch.long, device=x.device)
    counts.scatter_add_(2, level, torch.ones_like(level))
    last = counts.gather(2, level.amax(dim=2, keepdim=True))
    step = (level.shape[2] - last) // (_LEVELS - 1)
    before = counts.cumsum(dim=2) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=_LEVELS - 1)
    table = torch.where(step > 0, table, torch.arange(_LEVELS, device=x.device))
    return table.gather(2, level).view_as(x).to(x.dtype)
