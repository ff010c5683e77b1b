"""Sequences of unequal length side by side without their padding, in the order in which a recurrent layer reads them.

Legend: B examples, T positions, N positions that are no padding, D width, R directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Where each position of a padded batch stands in the packed one.

    The rows are sorted by length, so those that still go on at a step are the first ones. Packed, the first positions
    of all rows come first, then the second positions of those that have one, and so on. Backwards, a row's last
    position is its first.

    Args:
        rows, steps: B and T.
        sizes: rows that go on at each step.
        index: (2,N) positions in the batch, flattened to B*T, forwards and backwards.

    Example:
        >>> mask = torch.tensor([[True, False], [True, True]])
        >>> found = pack(mask)
        >>> found.sizes, found.index.tolist()
        ([2, 1], [[2, 0, 3], [3, 0, 2]])
    """

    rows: int
    steps: int
    sizes: list[int]
    index: Tensor

    def take(self, x: Tensor, directions: int) -> Tensor:
        """(R,N,D) from (B,T,D)."""
        flat = x.reshape(self.rows * self.steps, -1)
        return torch.stack([_Take.apply(flat, index) for index in self.index[:directions]])  # type: ignore[no-untyped-call]

    def put(self, y: Tensor) -> Tensor:
        """(B,T,R*D) from (R,N,D), zero where there is padding."""
        spread = [_Put.apply(part, index, self.rows * self.steps) for part, index in zip(y, self.index, strict=False)]  # type: ignore[no-untyped-call]
        return torch.cat(spread, dim=-1).view(self.rows, self.steps, -1)


def pack(mask: Tensor) -> Packing:
    """The packing of a batch whose mask (B,T) is true for a prefix of each row."""
    rows, steps = mask.shape
    lengths, order = mask.sum(dim=1).sort(descending=True, stable=True)
    place = torch.arange(steps, device=mask.device).unsqueeze(1)  # (T,1)
    valid = place < lengths  # (T,B)
    forwards = (order * steps + place)[valid]
    backwards = (order * steps + lengths - 1 - place)[valid]
    sizes = [size for size in valid.sum(dim=1).tolist() if size]
    return Packing(rows, steps, sizes, torch.stack([forwards, backwards]))


class _Take(torch.autograd.Function):
    """Rows by an index that names none of them twice, so its gradient is a copy and no sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        """(N,D) from (P,D)."""
        ctx.save_for_backward(index)
        ctx.places = len(x)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """(P,D)."""
        (index,) = ctx.saved_tensors
        (y,) = gradients
        return y.new_zeros(ctx.places, y.shape[1]).index_copy_(0, index, y), None


class _Put(torch.autograd.Function):
    """Rows to the places of an index, zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, index: Tensor, places: int) -> Tensor:
        """(P,D) from (N,D)."""
        ctx.save_for_backward(index)
        return y.new_zeros(places, y.shape[1]).index_copy_(0, index, y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """(N,D)."""
        (index,) = ctx.saved_tensors
        return gradients[0].index_select(0, index), None, None
