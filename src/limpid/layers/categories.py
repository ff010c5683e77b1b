"""Categories on their way into a net: codes that training never showed, one-hot vectors, and tables of vectors.

Legend: B examples, G categorical features, D width. Codes: 0 missing, 1 unseen or rare, 2.. known values.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MISSING, _UNSEEN, _FIRST_KNOWN = 0, 1, 2


class KnownCodes(nn.Module):
    """Sees to it that every code that can come means something.

    Code 1 stands for values that training did not show, so training shows too few of it: a small share of the known
    codes is replaced by 1 in training, where 1 is not frequent already. A feature that was never missing in training
    treats a missing cell as an unseen value.

    Args:
        features: G.
        share: of the known codes, which are replaced in training.

    Shapes and units:
        (B,G) to (B,G).

    Example:
        >>> layer = KnownCodes(1, share=0.01)
        >>> layer.prepare(torch.tensor([[2], [3]]))
        >>> layer.eval()(torch.tensor([[0], [3]])).tolist()
        [[1], [3]]
    """

    least: Tensor
    replaced: Tensor

    def __init__(self, features: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("least", torch.zeros(features, dtype=torch.int64))
        self.register_buffer("replaced", torch.full((features,), share))

    @torch.no_grad()
    def prepare(self, codes: Tensor) -> None:
        """Count codes 0 and 1 in the training rows."""
        if len(codes) == 0:
            return
        self.least.copy_((codes != _MISSING).all(dim=0).long())
        natural = (codes == _UNSEEN).float().mean(dim=0)
        self.replaced.copy_((self.share - natural).clamp_min(0.0))

    def forward(self, codes: Tensor) -> Tensor:
        """(B,G) codes that have been trained."""
        codes = torch.maximum(codes, self.least)
        if self.training and self.share > 0:
            chosen = torch.rand(codes.shape, device=codes.device) < self.replaced
            codes = codes.masked_fill(chosen & (codes >= _FIRST_KNOWN), _UNSEEN)
        return codes


class OneHot(nn.Module):
    """All categorical features as one row of zeros and ones.

    Args:
        cardinalities: number of codes of each feature.

    Shapes and units:
        (B,G) to (B, sum of the cardinalities).

    Example:
        >>> OneHot([2, 3])(torch.tensor([[1, 0]]), torch.float32).tolist()
        [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """

    offset: Tensor

    def __init__(self, cardinalities: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(cardinalities)
        self.register_buffer("offset", _offsets(cardinalities), persistent=False)

    def forward(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """(B,width) of type `dtype`."""
        row = torch.zeros(len(codes), self.width, dtype=dtype, device=codes.device)
        return row.scatter_(1, codes + self.offset, 1.0)


class CategoryEmbedding(nn.Module):
    """A vector for each code of each feature, in one table.

    Args:
        cardinalities: number of codes of each feature.
        width: D.

    Shapes and units:
        (B,G) to (B,G,D).

    Example:
        >>> CategoryEmbedding([2, 3], 4)(torch.tensor([[1, 0]])).shape
        torch.Size([1, 2, 4])
    """

    offset: Tensor

    def __init__(self, cardinalities: Sequence[int], width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(sum(cardinalities), width).uniform_(-bound, bound))
        self.register_buffer("offset", _offsets(cardinalities), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        """(B,G,D) from (B,G)."""
        return F.embedding(codes + self.offset, self.weight)


def _offsets(cardinalities: Sequence[int]) -> Tensor:
    return torch.tensor([0, *cardinalities[:-1]], dtype=torch.int64)[: len(cardinalities)].cumsum(0)
