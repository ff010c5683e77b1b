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
        rotary: whether queries and keys are turned by their positions, so that their product knows how far they are
            apart (RoPE: Su et al. 2021, arXiv 2104.09864); D / H is then even.

    Shapes and units:
        queries (B,S,D), the last S positions of T, looking at keys (B,T,D), of which a mask (B,T) says what is no
        padding; to (B,S,D). A row that is all padding is looked at as if it were none.

    Example:
        >>> x = torch.zeros(2, 5, 8)
        >>> Attention(8, 2)(x, x).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, rotary: bool = False) -> None:
        super().__init__()
        assert width % heads == 0, f"a width of {width} does not divide into {heads} heads"
        assert not rotary or width // heads % 2 == 0, f"{width // heads} values of a head cannot be turned in pairs"
        self.heads = heads
        self.rotary = rotary
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,S,D)."""
        q, k, seen = self.turned(queries, keys, mask)
        v = self._heads(self.value(keys))
        if self.training and self.dropout.share > 0:
            # torch's own product draws its dropout number by number on a CPU.
            scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
            weights = torch.softmax(scores if seen is None else scores.masked_fill(~seen, -torch.inf), dim=-1)
            mixed = self.dropout(weights.to(v.dtype)) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output

    def turned(self, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Queries (B,H,S,E) and keys (B,H,T,E) as their products are taken, and (B,1,1,T) which keys may be seen."""
        q, k = self._heads(self.query(queries)), self._heads(self.key(keys))
        if self.rotary:
            q, k = rotate(q, keys.shape[1] - queries.shape[1]), rotate(k)
        seen = None
        if mask is not None:
            # Where nothing may be looked at, the softmax would divide by zero.
            seen = (mask | ~mask.any(dim=1, keepdim=True)).view(len(mask), 1, 1, -1)
        return q, k, seen

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


def rotate(x: Tensor, start: int = 0, base: float = 10_000.0) -> Tensor:
    """Turn pairs of values by angles that grow with the position, each pair at a pace of its own (RoPE).

    The product of two turned vectors depends on the distance of their positions and not on the positions themselves.

    Args:
        x: (...,T,E) with E even.
        start: position of the first of them.
        base: the slowest pair turns by about 1 / base a position.

    Example:
        >>> rotate(torch.ones(1, 2), start=0).tolist()
        [[1.0, 1.0]]
    """
    steps, width = x.shape[-2], x.shape[-1]
    place = torch.arange(start, start + steps, device=x.device, dtype=torch.float32)
    pace = base ** (-torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width)
    angle = place.unsqueeze(1) * pace
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, two = x.chunk(2, dim=-1)
    return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)


class Block(nn.Module):
    """A transformer block with normalisation before each part and a gated feed-forward layer.

    Args:
        width: D.
        heads: of the attention.
        hidden: width inside the feed-forward layer, after the gate.
        attention_dropout, hidden_dropout, residual_dropout: shares set to zero in training.
        first: the first block of a stack normalises no input of the attention, as published for the FT-Transformer.
        rotary: whether attention knows how far positions are apart.

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
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.attention_norm = None if first else nn.LayerNorm(width)
        self.attention = Attention(width, heads, attention_dropout, rotary=rotary)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * hidden),
            ReGLU(),
            Dropout(hidden_dropout),
            nn.Linear(hidden, width),
        )
        self.residual_dropout = Dropout(residual_dropout)

    def forward(self, x: Tensor, last: int | None = None, mask: Tensor | None = None) -> Tensor:
        """(B,T,D), or (B,last,D): the tokens nobody reads afterwards are not computed; a mask (B,T) hides padding."""
        y = x if self.attention_norm is None else self.attention_norm(x)
        start = 0 if last is None else x.shape[1] - last
        x = x[:, start:] + self.residual_dropout(self.attention(y[:, start:], y, mask))
        result: Tensor = x + self.residual_dropout(self.feed_forward(x))
        return result

    def flops(self, tokens: int, last: int | None = None) -> float:
        """Of one example of T tokens."""
        width = self.attention.query.in_features
        asked = tokens if last is None else last
        products = sum(p.numel() for p in self.feed_forward.parameters() if p.dim() == 2) + 2 * width * width
        return 2.0 * (asked * products + tokens * 2 * width * width + 2 * asked * tokens * width)
