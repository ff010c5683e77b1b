"""Numbers as vectors: each numeric feature of a row becomes D learnt values.

Legend: B examples, F numeric features, T bins, D values a feature, K frequencies.

From "On Embeddings for Numerical Features in Tabular Deep Learning" (Gorishniy et al. 2022, arXiv 2203.05556), in the
later versions of its authors: piecewise-linear "version B" (a linear term, and a piecewise-linear one that starts at
zero) and periodic "PLR-lite" (one linear layer for all features).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.seeds import generator
from limpid.layers.bins import Floats, quantile_edges, target_matrix, tree_edges
from limpid.layers.precision import working_dtype

_SAMPLED_ROWS = 50_000
_BEFORE_PREPARE = (-3.0, 3.0)


class LinearEmbedding(nn.Module):
    """x -> x * w + b for each feature.

    Shapes and units:
        (B,F) to (B,F,D).
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(features, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(features, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B,F,D) from (B,F)."""
        return torch.addcmul(self.bias, x.unsqueeze(-1), self.weight)

    def flops(self) -> float:
        """Of one example."""
        return 2.0 * self.weight.numel()


class PiecewiseLinearEmbedding(nn.Module):
    """A linear term, plus for each bin a vector that grows from 0 to its full length while x crosses the bin.

    Bins are found by `prepare` and kept in buffers of a fixed shape, so that a saved state loads without it. A feature
    with fewer bins than T has bins of inverse width 0 at the end, which stay 0.

    Args:
        features: F.
        width: D.
        bins: T, the largest number of bins of a feature.
        how: "tree" for edges at the thresholds of a small decision tree, "quantile" for equal shares of rows.
        min_leaf: rows that a tree's bin holds at least.

    Shapes and units:
        (B,F) to (B,F,D).

    Example:
        >>> layer = PiecewiseLinearEmbedding(2, 4, bins=8)
        >>> x = torch.randn(100, 2)
        >>> layer.prepare(x, torch.zeros_like(x), x.sum(dim=1, keepdim=True))
        >>> layer(x).shape
        torch.Size([100, 2, 4])
    """

    left: Tensor
    inverse_width: Tensor

    def __init__(
        self, features: int, width: int, *, bins: int, how: Literal["tree", "quantile"] = "tree", min_leaf: int = 4
    ) -> None:
        super().__init__()
        self.bins, self.how, self.min_leaf = bins, how, min_leaf
        self.linear = LinearEmbedding(features, width)
        self.weight = nn.Parameter(torch.zeros(features, bins, width))
        edges = torch.linspace(*_BEFORE_PREPARE, bins + 1)
        self.register_buffer("left", edges[:-1].repeat(features, 1))
        self.register_buffer("inverse_width", (1 / edges.diff()).repeat(features, 1))

    @torch.no_grad()
    def prepare(self, numbers: Tensor, missing: Tensor, target: Tensor) -> None:
        """Find the bins in training rows; 50,000 of them where there are more.

        Args:
            numbers: (N,F).
            missing: (N,F) 0/1; these cells have no say.
            target: (N,), (N,K) or (N,R) as the task encodes it.
        """
        rows = np.arange(len(numbers))
        if len(rows) > _SAMPLED_ROWS:
            rows = np.sort(generator(0, "bins").choice(len(rows), _SAMPLED_ROWS, replace=False))
        x = numbers[torch.from_numpy(rows)].double().cpu().numpy()
        known = (missing[torch.from_numpy(rows)] < 0.5).cpu().numpy() & np.isfinite(x)
        y = target_matrix(target[torch.from_numpy(rows)].cpu().numpy())
        left, inverse = np.zeros(self.left.shape), np.zeros(self.left.shape)
        for feature in range(x.shape[1]):
            use = known[:, feature]
            edges = self._edges(x[use, feature], y[use])
            widths = np.diff(edges)
            left[feature, : len(widths)] = edges[:-1]
            left[feature, len(widths) :] = edges[-1]
            inverse[feature, : len(widths)] = 1.0 / widths
        self.left.copy_(torch.from_numpy(left))
        self.inverse_width.copy_(torch.from_numpy(inverse))

    def _edges(self, values: Floats, target: Floats) -> Floats:
        if self.how == "quantile":
            edges = quantile_edges(values, bins=self.bins)
        else:
            edges = tree_edges(values, target, bins=self.bins, min_leaf=self.min_leaf)
        # What float32 cannot tell apart is one edge; otherwise a width of 0 would become an infinite slope.
        single = np.unique(edges.astype(np.float32)).astype(np.float64)
        return single if len(single) > 1 else np.array([single[0], single[0] + max(1.0, abs(single[0]))])

    def forward(self, x: Tensor) -> Tensor:
        """(B,F,D) from (B,F)."""
        dtype = working_dtype(self.weight)
        # Features come first, so that one batched product serves all of them: (F,B,T) @ (F,T,D).
        share = (x.t().unsqueeze(-1) - self.left.unsqueeze(1)).mul_(self.inverse_width.unsqueeze(1)).clamp_(0, 1)
        bent = torch.bmm(share.to(dtype), self.weight.to(dtype)).transpose(0, 1)
        result: Tensor = self.linear(x).to(dtype) + bent
        return result

    def flops(self) -> float:
        """Of one example."""
        features, bins, width = self.weight.shape
        return self.linear.flops() + 2.0 * features * bins * (width + 1)

    def extra_repr(self) -> str:
        """The bins, for drawings of the network."""
        return f"bins={self.bins}, how={self.how!r}"


class PeriodicEmbedding(nn.Module):
    """x -> relu(W [cos(2 pi c x), sin(2 pi c x)] + b), with frequencies c of each feature and one W for all (PLR-lite).

    Args:
        features: F.
        width: D.
        frequencies: K.
        sigma: standard deviation of the initial frequencies, in turns per unit of x.

    Shapes and units:
        (B,F) to (B,F,D).

    Example:
        >>> PeriodicEmbedding(2, 4, frequencies=8, sigma=0.1)(torch.zeros(3, 2)).shape
        torch.Size([3, 2, 4])
    """

    def __init__(self, features: int, width: int, *, frequencies: int, sigma: float) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(features, frequencies))
        nn.init.trunc_normal_(self.frequencies, 0.0, sigma, -3 * sigma, 3 * sigma)
        self.linear = nn.Linear(2 * frequencies, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B,F,D) from (B,F)."""
        angle = 2 * math.pi * self.frequencies * x.unsqueeze(-1)
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1).to(working_dtype(self.linear.weight))
        return F.relu(self.linear(waves))

    def flops(self) -> float:
        """Of one example; a cosine counts as one operation."""
        features, frequencies = self.frequencies.shape
        return 2.0 * features * frequencies * (2 * self.linear.out_features + 2)
