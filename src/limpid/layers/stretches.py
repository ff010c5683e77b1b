"""A sequence of fixed length as nets of series read it: what is forecast, what else is past, what is known ahead.

Legend: B examples, T steps, L steps of the past, H steps ahead, D values of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.forms import Seq, SeqShape
from limpid.layers.sequences import Entry, trim


class Stretch(nn.Module):
    """Brings sequences to one length and divides the values of their steps by their roles.

    Of the windows of a forecast, `own` is the value that is forecast, `past` what else is known up to the cutoff, and
    `ahead` what is known of the steps to come. Of any other sequence all values are `own`. Shorter sequences end in
    zeros; tokens are looked up first.

    Args:
        shape: of the seq.
        token_width: width of a token's vector, where the sequence holds tokens.

    Shapes and units:
        Seq to (B,L,own), (B,L,past) and (B,H,ahead).

    Example:
        >>> stretch = Stretch(SeqShape(width=4, length=5, ahead=2, known=1), 8)
        >>> [tuple(x.shape) for x in stretch(Seq(mask=torch.ones(1, 5).bool(), values=torch.zeros(1, 5, 4)))]
        [(1, 3, 1), (1, 3, 2), (1, 2, 1)]
    """

    def __init__(self, shape: SeqShape, token_width: int) -> None:
        super().__init__()
        width = token_width if shape.width is None else shape.width
        self.entry = Entry(shape, width)
        self.length, self.ahead = shape.length, shape.ahead
        self.steps = shape.length - shape.ahead
        self.own = 1 if shape.ahead else width
        self.known = shape.known if shape.ahead else 0
        self.past = width - self.own - self.known

    def forward(self, form: Seq) -> tuple[Tensor, Tensor, Tensor]:
        """What is forecast, the rest of the past, what is known ahead."""
        x = self.whole(form)
        past = x[:, : self.steps]
        known = x.shape[2] - self.known
        return past[:, :, : self.own], past[:, :, self.own : known], x[:, self.steps :, known:]

    def whole(self, form: Seq) -> Tensor:
        """(B,T,D) all values, zero where there is nothing."""
        if self.ahead:  # windows are whole
            windows: Tensor = self.entry(form)
            return windows
        x: Tensor = self.entry(trim(form))[:, : self.length]
        return F.pad(x, (0, 0, 0, self.length - x.shape[1]))


def decompose(x: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """The moving average of each value over the steps, with the ends repeated, and what is left.

    Args:
        x: (B,L,D).
        kernel: steps of the average; an odd number.

    Example:
        >>> trend, rest = decompose(torch.tensor([[[0.0], [3.0], [0.0]]]), 3)
        >>> trend.flatten().tolist(), rest.flatten().tolist()
        ([1.0, 1.0, 1.0], [-1.0, 2.0, -1.0])
    """
    half = kernel // 2
    padded = torch.cat([x[:, :1].expand(-1, half, -1), x, x[:, -1:].expand(-1, half, -1)], dim=1)
    trend = F.avg_pool1d(padded.transpose(1, 2), kernel, stride=1).transpose(1, 2)
    return trend, x - trend
