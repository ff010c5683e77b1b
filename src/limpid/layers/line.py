"""A line beside a network: what is linear in a table's columns, found in closed form.

Few rows may say little beyond a line, and then a network is worse than least squares. How far each is to be trusted is
not known before left-out rows have said so: until then the network stands alone.

Legend: B and N examples, F columns of the matrix, K outputs, M members.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.core.forms import Fields, FieldsShape
from limpid.layers.categories import OneHot
from limpid.layers.ridge import solve, spread

_MOST_CODES = 256
_SOLVED_ROWS = 4_000


class Line(nn.Module):
    """A linear map of numbers, flags of missing ones, and categories; it never learns by gradients.

    Args:
        shape: of the fields.
        outputs: K.
        classes: whether the outputs are logits of classes or labels.

    Shapes and units:
        Fields to (B,K).
    """

    def __init__(self, shape: FieldsShape, outputs: int, *, classes: bool) -> None:
        super().__init__()
        self.classes = classes
        self.can_miss = [n for n, can in enumerate(shape.can_miss) if can]
        self.codes = [n for n, c in enumerate(shape.cardinalities) if c <= _MOST_CODES]
        self.one_hot = OneHot([shape.cardinalities[n] for n in self.codes]) if self.codes else None
        width = len(shape.numbers) + len(self.can_miss) + (self.one_hot.width if self.one_hot else 0)
        self.register_buffer("weight", torch.zeros(outputs, width))
        self.register_buffer("bias", torch.zeros(outputs))

    def matrix(self, form: Fields) -> Tensor:
        """(B,F) float32."""
        parts = [form.numbers.float(), form.missing[:, self.can_miss].float()]
        if self.one_hot is not None:
            parts.append(self.one_hot(form.categories[:, self.codes], torch.float32))
        return torch.cat(parts, dim=1)

    def forward(self, form: Fields) -> Tensor:
        """(B,K) float32."""
        with torch.autocast(form.numbers.device.type, enabled=False):
            found: Tensor = nn.functional.linear(self.matrix(form), self.get_buffer("weight"), self.get_buffer("bias"))
        return found

    @torch.no_grad()
    def prepare(self, form: Fields, target: Tensor, weight: Tensor | None) -> None:
        """Solve for the line; its penalty is the one with which left-out examples are predicted best.

        Args:
            form: training examples, of which some thousand are enough.
            target: theirs, as the loss wants it; a target with several outputs (quantiles) begins with the same line.
            weight: (B,) their weights, or None.
        """
        outputs = len(self.get_buffer("bias"))
        if len(target) < 2:
            return
        index = spread(len(target), _SOLVED_ROWS)
        wanted = target[index]
        if not self.classes:
            wanted = wanted.reshape(len(wanted), -1)
            wanted = wanted.repeat_interleave(outputs // wanted.shape[1], dim=1)
        mass = None if weight is None else weight[index]
        found = solve(self.matrix(form)[index], wanted, outputs, classes=self.classes, weight=mass)
        self.get_buffer("weight").copy_(found.weight)
        self.get_buffer("bias").copy_(found.bias)


class LineHead(nn.Module):
    """A task's head beside a line; the outputs are a mean of both by the head's share, which is 1 at first.

    Args:
        head: maps (B,D) to (B,K), or (B,M,D) to (B,M,K).
        line: of the same outputs.

    Shapes and units:
        Features and the fields that they were made of to (B,K) or (B,M,K).
    """

    reads_input = True

    def __init__(self, head: nn.Module, line: Line) -> None:
        super().__init__()
        self.head, self.line = head, line
        self.register_buffer("share", torch.ones(()))

    def forward(self, features: Tensor, form: Fields) -> Tensor:
        """(B,K) or (B,M,K); what is trained is the network alone."""
        learnt: Tensor = self.head(features)
        share = self.get_buffer("share")
        if self.training or bool(share == 1):
            return learnt
        straight: Tensor = self.line(form)
        return blended(learnt.float(), straight, share)

    def prepare(self, form: Fields, target: Tensor, weight: Tensor | None = None) -> None:
        """Solve for the line."""
        self.line.prepare(form, target, weight)

    def weigh(self, share: float) -> None:
        """Set the network's share, from 0 to 1."""
        self.get_buffer("share").fill_(share)


def blended(learnt: Tensor, straight: Tensor, share: Tensor | float) -> Tensor:
    """The mean of a network's outputs (B,K) or (B,M,K) and a line's (B,K).

    Example:
        >>> blended(torch.ones(1, 2, 1), torch.zeros(1, 1), 0.25).flatten().tolist()
        [0.25, 0.25]
    """
    return share * learnt + (1 - share) * (straight.unsqueeze(1) if learnt.dim() == 3 else straight)
