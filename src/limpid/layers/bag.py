"""A sequence as the sum of its parts, their order forgotten.

Legend: B examples, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.layers.ngrams import present


class TokenBag(nn.Module):
    """The vectors of an example's tokens, summed and divided by the root of their number.

    A mean shrinks with the length of the text, as the noise of many words cancels out; a sum grows with it. The root
    keeps the size of what independent tokens add up to. Token 0 is padding.

    Args:
        vocabulary: V.
        width: D.

    Shapes and units:
        tokens (B,T) and mask (B,T) to (B,D).

    Example:
        >>> tokens = torch.tensor([[3, 1, 0]])
        >>> TokenBag(8, 4)(tokens, tokens != 0).shape
        torch.Size([1, 4])
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(vocabulary, width).normal_(0.0, width**-0.5))
        with torch.no_grad():
            self.embedding[0].zero_()
        self.register_buffer("kept", torch.ones(vocabulary))
        self.kept: Tensor

    @torch.no_grad()
    def forget_rare(self, tokens: Tensor, least: int) -> None:
        """Pass over tokens that stand in fewer than `least` of the given examples: they can only be learnt by heart."""
        counts = torch.zeros(len(self.kept), device=tokens.device)
        for _, found in present(tokens):
            counts += torch.bincount(found, minlength=len(counts))
        self.kept.copy_((counts >= least).to(self.kept.dtype))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B,D)."""
        mask = mask & (self.kept[tokens] > 0)
        total = F.embedding_bag(tokens.masked_fill(~mask, 0), self.embedding, mode="sum", padding_idx=0)
        return total * root_share(mask, total.dtype)


def value_bag(values: Tensor, mask: Tensor) -> Tensor:
    """The same for a sequence of vectors: (B,T,D) and mask (B,T) to (B,D)."""
    return (values * mask.unsqueeze(-1)).sum(dim=1) * root_share(mask, values.dtype)


def root_share(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(B,1) one over the root of the number of tokens; an empty example counts as one token."""
    return mask.sum(dim=1, keepdim=True).clamp_min(1).to(dtype).rsqrt()
