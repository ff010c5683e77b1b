"""Bricks of nets for series of unequal lengths: what stands behind a series' end never changes an answer.

Legend: B examples, C channels, T time steps, O channels out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B,C) mean of (B,C,T) over the time steps under (B,T); 0 for an empty series."""
    kept = mask.unsqueeze(1).to(x.dtype)
    return (x * kept).sum(dim=2) / kept.sum(dim=2).clamp_min(1)


def last_step(x: Tensor, mask: Tensor) -> Tensor:
    """(B,C) of (B,C,T): the last time step under (B,T); 0 for an empty series."""
    place = (mask.sum(dim=1) - 1).clamp_min(0)
    found = x.gather(2, place.view(-1, 1, 1).expand(-1, x.shape[1], 1))[:, :, 0]
    return found * mask.any(dim=1, keepdim=True).to(x.dtype)


class CausalConv(nn.Module):
    """A dilated convolution that sees no later time step, with weight normalisation.

    Weight normalisation (Salimans and Kingma 2016, arXiv 1602.07868) gives each output channel's kernel a length of its
    own, apart from its direction.

    Args:
        inputs, outputs: C and O.
        kernel: time steps of the kernel.
        dilation: distance of neighbouring ones.

    Shapes and units:
        (B,C,T) to (B,O,T).

    Example:
        >>> CausalConv(2, 3, kernel=4, dilation=2)(torch.zeros(1, 2, 9)).shape
        torch.Size([1, 3, 9])
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, dilation: int) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        with torch.no_grad():
            self.gain = nn.Parameter(self.weight.flatten(1).norm(dim=1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B,O,T)."""
        length = self.weight.flatten(1).norm(dim=1).clamp_min(1e-12)
        weight = self.weight * (self.gain / length).view(-1, 1, 1)
        return F.conv1d(F.pad(x, (self.reach, 0)), weight, self.bias, dilation=self.dilation)

    def flops(self, length: int) -> float:
        """For one series of `length` steps."""
        return 2.0 * self.weight.numel() * length


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) whose statistics are of real time steps alone.

    Fewer than two of them in a batch are normalised with the running statistics. With every step real it is torch's.

    Shapes and units:
        (B,C,T) and mask (B,T) to (B,C,T), 0 where the mask is false.
    """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Normalised, scaled and shifted."""
        kept = mask.unsqueeze(1).to(x.dtype)
        count = int(mask.sum()) if self.training else 0
        mean, variance = self.running_mean, self.running_var
        assert mean is not None and variance is not None
        if count > 1:
            full = x.float()
            weight = kept.float()
            mean = (full * weight).sum(dim=(0, 2)) / count
            variance = ((full - mean.view(1, -1, 1)).square() * weight).sum(dim=(0, 2)) / count
            self._remember(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        y = x * scale.view(1, -1, 1).to(x.dtype) + shift.view(1, -1, 1).to(x.dtype)
        return y * kept

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
