"""Self-attention and the transformer block around it.

Legend: B examples, T tokens, D width, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.layers.activations import ReGLU
from limpid.layers.dropout import Dropout


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762).

    Args:
        width: D.
        heads: H, a divisor of D.
        dropout: share of attention weights set to zero in training.

    Shapes and units:
        queries (B,S,D) looking at keys (B,T,D), to (B,S,D).

    Example:
        >>> x = torch.zeros(2, 5, 8)
        >>> Attention(8, 2)(x, x).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        assert width % heads == 0, f"a width of {width} does not divide into {heads} heads"
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B,S,D)."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, keys), (self.value, keys))
        )
        if self.training and self.dropout.share > 0:
            # torch's own product draws its dropout number by number on a CPU.
            weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
            mixed = self.dropout(weights.to(v.dtype)) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output


class Block(nn.Module):
    """A transformer block with normalisation before each part and a gated feed-forward layer.

    Args:
        width: D.
        heads: of the attention.
        hidden: width inside the feed-forward layer, after the gate.
        attention_dropout, hidden_dropout, residual_dropout: shares set to zero in training.
        first: the first block of a stack normalises no input of the attention, as published for the FT-Transformer.

    Shapes and units:
        (B,T,D) to (B,T,D), or to (B,S,D) where only the last S tokens are asked for.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        attention_dropout: float,
        hidden_dropout: float,
        residual_dropout: float,
        first: bool,
    ) -> None:
        super().__init__()
        self.attention_norm = None if first else nn.LayerNorm(width)
        self.attention = Attention(width, heads, attention_dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * hidden),
            ReGLU(),
            Dropout(hidden_dropout),
            nn.Linear(hidden, width),
        )
        self.residual_dropout = Dropout(residual_dropout)

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """(B,T,D), or (B,last,D): the tokens nobody reads afterwards are not computed."""
        y = x if self.attention_norm is None else self.attention_norm(x)
        start = 0 if last is None else x.shape[1] - last
        x = x[:, start:] + self.residual_dropout(self.attention(y[:, start:], y))
        result: Tensor = x + self.residual_dropout(self.feed_forward(x))
        return result

    def flops(self, tokens: int, last: int | None = None) -> float:
        """Of one example of T tokens."""
        width = self.attention.query.in_features
        asked = tokens if last is None else last
        products = sum(p.numel() for p in self.feed_forward.parameters() if p.dim() == 2) + 2 * width * width
        return 2.0 * (asked * products + tokens * 2 * width * width + 2 * asked * tokens * width)
