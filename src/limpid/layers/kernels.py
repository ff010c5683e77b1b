"""Features of series from thousands of fixed convolution kernels: how often each kernel's answer exceeds a bias.

MiniRocket (Dempster, Schmidt and Webb 2021, "MiniRocket: a very fast (almost) deterministic transform for time series
classification", arXiv 2012.08791): 84 kernels of length 9 with weights -1 and 2, dilations that grow exponentially,
biases that are quantiles of a kernel's answers to training series, and as feature the proportion of positive values
(PPV). Several channels: each kernel and dilation reads a random subset of them, as its authors do.

All arithmetic is elementwise and in a fixed order, so that a feature, which jumps where an answer meets its bias, does
not depend on the batch, the threads or the machine.

Legend: B examples, T time steps, D channels, K = 84 kernels, L dilations, F features.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNELS = 84
"""Kernels of length 9 with three weights of 2: as many as there are ways of choosing 3 of 9."""

_LENGTH = 9
_MOST_DILATIONS = 32
_MOST_CHANNELS = 9  # that one kernel reads
_GOLDEN = (5**0.5 + 1) / 2
_CELLS = 1 << 18  # values of one kernel answer tensor held at once

_THREE = torch.tensor(list(combinations(range(_LENGTH), 3)))  # (84,3)


def dilations(length: int, features: int) -> tuple[list[int], list[int]]:
    """Dilations for series of `length` steps, and the features of each kernel at each of them.

    At most 32 exponents from 0 to that at which a kernel spans the whole series, rounded down; equal ones are joined
    and get more features.

    Args:
        length: T.
        features: of one kernel.

    Example:
        >>> dilations(150, 119)[0]
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 15, 16, 18]
    """
    count = min(features, _MOST_DILATIONS)
    top = max(0.0, float(np.log2(max(length - 1, 1) / (_LENGTH - 1))))
    spread = np.logspace(0, top, count, base=2).astype(np.int64)
    found, times = np.unique(spread, return_counts=True)
    shares = (times * (features / count)).astype(np.int64)
    for place in range(features - int(shares.sum())):
        shares[place % len(shares)] += 1
    return [int(d) for d in found], [int(s) for s in shares]


def operations(channels: int, length: int, features: int) -> float:
    """Additions, products and comparisons behind the features of one series of `length` steps."""
    per_kernel = max(1, features // KERNELS)
    steps = len(dilations(length, per_kernel)[0])
    mixing = 0.0 if channels == 1 else (1 + min(_MOST_CHANNELS, channels)) / 2
    return float(length * KERNELS * (steps * (mixing + 14) + 2 * per_kernel))


class KernelFeatures(nn.Module):
    """Proportions of positive values of MiniRocket's kernels; it has buffers only, found in `prepare`.

    Args:
        channels: D.
        length: T of the longest series.
        features: how many at least; rounded down to a multiple of 84, but 84 at least.

    Shapes and units:
        values (B,T,D) and mask (B,T), padding behind, to (B,F) shares from 0 to 1. An empty series gives 0.
    """

    def __init__(self, channels: int, length: int, features: int) -> None:
        super().__init__()
        self.channels = channels
        per_kernel = max(1, features // KERNELS)
        self.dilations, self.shares = dilations(length, per_kernel)
        self.features = per_kernel * KERNELS
        self.register_buffer("biases", torch.zeros(KERNELS, per_kernel))
        self.biases: Tensor
        self.used = min(_MOST_CHANNELS, channels)
        chosen, counts = _subsets(len(self.dilations), channels, self.used)
        self.register_buffer("drawn", torch.rand(len(self.dilations), KERNELS))
        self.drawn: Tensor  # (L,84) which training series gives a kernel its biases, as a share of all
        self.register_buffer("chosen", chosen)
        self.register_buffer("counts", counts)
        self.chosen: Tensor  # (L,84,C) channels that each kernel reads
        self.counts: Tensor  # (L,84) how many of the first of them count

    @torch.no_grad()
    def prepare(self, values: Tensor, mask: Tensor) -> None:
        """Take each bias from the answers to one training series, at quantiles that fill 0 to 1 evenly."""
        there = torch.nonzero(mask.any(dim=1))[:, 0]
        if not len(there):
            return
        found = []
        index = 1
        for place, share in enumerate(self.shares):
            picked = there[(self.drawn[place].double() * len(there)).long().clamp_max(len(there) - 1)]
            biases = torch.empty(KERNELS, share)
            order = torch.arange(index, index + KERNELS * share, dtype=torch.float64).view(KERNELS, share)
            levels = (order * _GOLDEN) % 1.0
            index += KERNELS * share
            for kernel, row in enumerate(picked.tolist()):
                steps = int(mask[row].sum())
                answer = self._answers(values[row : row + 1, :steps], place, kernel)[0, 0]
                biases[kernel] = torch.quantile(answer.double(), levels[kernel]).float()
            found.append(biases)
        self.biases.copy_(torch.cat(found, dim=1))

    @torch.no_grad()
    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B,F), dilation by dilation, within it kernel by kernel."""
        rows = max(1, _CELLS // (KERNELS * max(values.shape[1], 1)))
        with torch.autocast(values.device.type, enabled=False):
            pieces = [
                self._features(values[start : start + rows].float(), mask[start : start + rows])
                for start in range(0, len(values), rows)
            ]
        return torch.cat(pieces)

    def _features(self, values: Tensor, mask: Tensor) -> Tensor:
        steps = mask.sum(dim=1)
        longest = max(1, int(steps.max()))
        values, mask = values[:, :longest] * mask[:, :longest, None], mask[:, :longest]
        at = torch.arange(longest, device=values.device)
        found = []
        begin = 0
        for place, (dilation, share) in enumerate(zip(self.dilations, self.shares, strict=True)):
            answers = self._answers(values, place)  # (B,84,T)
            margin = dilation * (_LENGTH // 2)
            # Every second kernel reads only places where it lies within the series, as published.
            inside = (at >= margin) & (at < (steps - margin)[:, None])
            inside = torch.where(inside.any(dim=1, keepdim=True), inside, mask)
            within = (torch.arange(KERNELS, device=values.device) + place) % 2 == 1
            counted = torch.where(within[None, :, None], inside[:, None], mask[:, None])  # (B,84,T)
            size = counted.sum(dim=2).clamp_min(1)
            # Places that do not count are below every bias.
            answers.masked_fill_(~counted, -torch.inf)
            biases = self.biases[:, begin : begin + share]
            flags = torch.empty_like(answers)  # sums of floats are ten times as fast as those of bools, and as exact
            for column in range(share):
                torch.gt(answers, biases[:, column, None], out=flags)
                found.append(flags.sum(dim=2) / size)
            begin += share
        return torch.stack(found, dim=2).flatten(1)

    def _answers(self, values: Tensor, place: int, kernel: int | None = None) -> Tensor:
        """(B,84,T), or (B,1,T) of one kernel: convolution with zeros beyond both ends."""
        dilation = self.dilations[place]
        margin = dilation * (_LENGTH // 2)
        steps = values.shape[1]
        kernels = slice(None) if kernel is None else slice(kernel, kernel + 1)
        three = _THREE.to(values.device)[kernels]
        mixed = self._mixed(values, place, kernels)  # (B,1,T) for one channel, else (B,84,T)
        padded = F.pad(mixed, (margin, margin))
        shifted = [padded[:, :, j * dilation : j * dilation + steps] for j in range(_LENGTH)]
        total = shifted[0] + shifted[1]
        for other in shifted[2:]:
            total += other
        if mixed.shape[1] == 1:
            stacked = torch.cat(shifted, dim=1)  # (B,9,T)
            picks = [stacked[:, three[:, j]] for j in range(3)]
        else:
            stacked = torch.stack(shifted, dim=2)  # (B,84,9,T)
            own = torch.arange(len(three), device=values.device)
            picks = [stacked[:, own, three[:, j]] for j in range(3)]
        # No fused product and sum, whose rounding would depend on the place within a vector register.
        return (picks[0].add_(picks[1]).add_(picks[2])).mul_(3.0).sub_(total)

    def _mixed(self, values: Tensor, place: int, kernels: slice) -> Tensor:
        """The sum of the channels that each kernel reads."""
        by_channel = values.transpose(1, 2)
        if self.channels == 1:
            return by_channel
        chosen, counts = self.chosen[place, kernels], self.counts[place, kernels]
        total = by_channel[:, chosen[:, 0]]
        for place_ in range(1, int(counts.max())):
            counts_too = (counts > place_).to(values.dtype)[None, :, None]
            total = total + by_channel[:, chosen[:, place_]] * counts_too
        return total

    def flops(self, length: int) -> float:
        """Additions, products and comparisons for one series of the greatest length."""
        return operations(self.channels, length, self.features)


def _subsets(count: int, channels: int, most: int) -> tuple[Tensor, Tensor]:
    """Channels that each kernel reads at each dilation: 1 to 9 of them, small numbers more often, drawn by torch."""
    chosen = torch.stack([torch.randperm(channels)[:most] for _ in range(count * KERNELS)]).view(count, KERNELS, most)
    exponents = torch.rand(count, KERNELS) * float(np.log2(most + 1))
    return chosen, (2.0**exponents).long().clamp(1, most)
