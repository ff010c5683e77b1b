"""Training texts as this pass shows them: some of their tokens hidden.

Legend: B rows, T positions.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from limpid.core.forms import SeqShape
from limpid.data.augment_tokens import TokenAugmentSpec

_UNKNOWN = 1


class Numbers(Protocol):
    """Random numbers of each row."""

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """(B,*shape) float32 in [0,1)."""


class TokenAugment:
    """Hides tokens of a batch of texts. Those that are removed become padding in place, which nets close up.

    Args:
        spec: which share, and what becomes of it.
        shape: of the seq of tokens.

    Shapes and units:
        {"tokens": (B,T)} to the same.

    Example:
        >>> from limpid.layers.draws import Draws
        >>> import numpy as np
        >>> change = TokenAugment(TokenAugmentSpec(dropout=0.5), SeqShape(vocabulary=9, length=4))
        >>> shown = change({"tokens": torch.tensor([[5, 6, 7, 0]])}, Draws(0, 0, np.array([0])))["tokens"]
        >>> set(shown.flatten().tolist()) <= {0, 5, 6, 7}
        True
    """

    def __init__(self, spec: TokenAugmentSpec, shape: SeqShape) -> None:
        assert shape.vocabulary is not None, "a seq of tokens"
        self.spec = spec

    def __bool__(self) -> bool:
        return self.spec.any

    def __call__(self, parts: dict[str, Tensor], draws: Numbers) -> dict[str, Tensor]:
        """The batch of this pass."""
        tokens = parts["tokens"]
        if not self or not tokens.numel():
            return parts
        there = tokens != 0
        drawn = draws.uniform("token dropout", tokens.shape[1])
        # The token with the largest number stays, so that no text loses all of its words.
        last = drawn.masked_fill(~there, -1.0).argmax(dim=1, keepdim=True)
        hidden = (there & (drawn < self.spec.dropout)).scatter(1, last, False)
        instead = _UNKNOWN if self.spec.how == "unknown" else 0
        return {**parts, "tokens": torch.where(hidden, instead, tokens)}
