"""How a net takes in a sequence: cut to what the batch holds, as vectors, and summed up again in the end.

Legend: B examples, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.forms import Seq, SeqShape
from limpid.layers.precision import working_dtype

Pooling = Literal["attention", "mean", "max"]

_SHORTEST = 1


def trim(form: Seq) -> Seq:
    """The same sequences in as few columns as they need, each of them beginning in the first column.

    Rows are stored at one length; a batch needs only that of its longest row. Positions that were taken out of the
    middle are closed up, so that a net may rely on the padding being at the end.

    Args:
        form: tokens or values with any mask.

    Example:
        >>> tokens = torch.tensor([[4, 0, 5, 0, 0], [6, 0, 0, 0, 0]])
        >>> trim(Seq(mask=tokens != 0, tokens=tokens)).tokens.tolist()
        [[4, 5], [6, 0]]
    """
    mask, tokens, values = form.mask, form.tokens, form.values
    if mask.shape[1] > 1 and bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        order = torch.argsort(~mask, dim=1, stable=True)
        mask = mask.gather(1, order)
        tokens = None if tokens is None else tokens.gather(1, order)
        if values is not None:
            values = values.gather(1, order.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
    longest = int(mask.sum(dim=1).amax()) if len(mask) else 0
    length = min(max(longest, _SHORTEST), mask.shape[1])
    return Seq(
        mask=mask[:, :length],
        tokens=None if tokens is None else tokens[:, :length],
        values=None if values is None else values[:, :length],
    )


class Entry(nn.Module):
    """A sequence as vectors: tokens are looked up, vectors are mapped to the width where it differs.

    Args:
        shape: of the seq.
        width: D of what it gives.
        project: whether vectors pass a linear layer even where their width is D already.

    Shapes and units:
        Seq to (B,T,D), zero where the mask is false.

    Example:
        >>> tokens = torch.tensor([[3, 1, 0]])
        >>> Entry(SeqShape(vocabulary=8, length=3), 4)(Seq(mask=tokens != 0, tokens=tokens)).shape
        torch.Size([1, 3, 4])
    """

    def __init__(self, shape: SeqShape, width: int, *, project: bool = False) -> None:
        super().__init__()
        self.width = width
        self.embedding: nn.Parameter | None = None
        self.linear: nn.Linear | None = None
        if shape.vocabulary is not None:
            self.embedding = nn.Parameter(torch.empty(shape.vocabulary, width).normal_(0.0, width**-0.5))
            with torch.no_grad():
                self.embedding[0].zero_()
        else:
            assert shape.width is not None, "a seq has a vocabulary or a width"
            if project or shape.width != width:
                self.linear = nn.Linear(shape.width, width)

    def forward(self, form: Seq) -> Tensor:
        """(B,T,D)."""
        if self.embedding is not None:
            assert form.tokens is not None, "this net was built for tokens"
            x = F.embedding(form.tokens.masked_fill(~form.mask, 0), self.embedding, padding_idx=0)
            return x.to(working_dtype(self.embedding))
        assert form.values is not None, "this net was built for vectors"
        # Filled and not multiplied: what stands in padding may be anything, infinity included.
        padding = ~form.mask.unsqueeze(-1)
        y = form.values.masked_fill(padding, 0)
        return y if self.linear is None else self.linear(y).masked_fill(padding, 0)

    def flops(self, length: int) -> float:
        """Of one example of T positions."""
        return 0.0 if self.linear is None else 2.0 * length * self.linear.weight.numel()


class Pool(nn.Module):
    """A sequence of vectors as one: their mean, their maxima, or a mean that is weighted by attention.

    Attention gives each position a score from a small layer and weights it by the softmax of these (Yang et al. 2016,
    "Hierarchical attention networks for document classification"). Of an empty sequence the answer is zero.

    Args:
        how: "attention", "mean" or "max".
        width: D.
        hidden: width of the layer that scores positions.

    Shapes and units:
        (B,T,D) and mask (B,T) to (B,D).

    Example:
        >>> Pool("mean", 2)(torch.ones(1, 3, 2), torch.tensor([[True, True, False]])).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, how: Pooling, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.how = how
        self.scores: nn.Sequential | None = None
        if how == "attention":
            # The same for every position, an offset would change no weight.
            self.scores = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B,D)."""
        if self.how == "max":
            top = x.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)
            return top.masked_fill(~mask.any(dim=1, keepdim=True), 0)
        weight = self.weights(x, mask)
        pooled: Tensor = torch.bmm(weight.unsqueeze(1), x.masked_fill(~mask.unsqueeze(-1), 0)).squeeze(1)
        return pooled

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B,T) how much each position counts in the sum, where there is one; 0 under padding."""
        if self.scores is None:
            return mask.to(x.dtype) / mask.sum(dim=1, keepdim=True).clamp_min(1).to(x.dtype)
        scores = self.scores(x).squeeze(-1).float().masked_fill(~mask, torch.finfo(torch.float32).min)
        return torch.softmax(scores, dim=1).masked_fill(~mask, 0).to(x.dtype)

    def flops(self, length: int) -> float:
        """Of one example of T positions."""
        return 0.0 if self.scores is None else 2.0 * length * sum(p.numel() for p in self.scores.parameters())
