"""Two training examples in one: their mean by shares, or a rectangle of one in the other.

Legend: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Mix = Literal["mixup", "cutmix"]


def mix(
    parts: dict[str, Tensor], kind: Mix, share: Tensor, partner: Tensor, place: Tensor | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Mix each row's pixels with those of another row of the batch.

    Args:
        parts: {"pixels": (B,C,H,W) uint8 or float, in stored units}; other parts stay the row's own.
        kind: "mixup" (Zhang et al. 2017, arXiv 1710.09412) or "cutmix" (Yun et al. 2019, arXiv 1905.04899).
        share: (B,) how much of each row is its own, 0 to 1.
        partner: (B,) int64, the row that each is mixed with.
        place: (B,2) in [0,1), the middle of the rectangle of cutmix.

    Returns:
        the parts, pixels as float32 after mixup; and (B,) the share that is a row's own in truth, since a rectangle
        has whole pixels and may stand over the edge.

    Example:
        >>> x = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
        >>> mixed, share = mix({"pixels": x}, "mixup", torch.tensor([0.75, 1.0]), torch.tensor([1, 0]))
        >>> mixed["pixels"].flatten().tolist()
        [0.25, 1.0]
    """
    x = parts["pixels"]
    other = x.index_select(0, partner)
    if kind == "mixup":
        own = share.view(-1, 1, 1, 1)
        return {**parts, "pixels": torch.lerp(other.float(), x.float(), own.float())}, share
    assert place is not None, "cutmix needs a place for its rectangle"
    side = (1 - share).clamp(min=0.0).sqrt()
    inside = []
    for axis, length in enumerate(x.shape[2:]):
        extent = (side * length).round().unsqueeze(1)
        start = ((place[:, axis] * length).floor().unsqueeze(1) - (extent / 2).floor()).long()
        where = torch.arange(length, device=x.device)
        inside.append((where >= start) & (where < start + extent))
    rectangle = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    true_share = 1 - rectangle.float().mean(dim=(1, 2, 3))
    return {**parts, "pixels": torch.where(rectangle, other, x)}, true_share
