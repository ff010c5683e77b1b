"""Linear layers of a weight-shared ensemble: M members that differ by a few vectors each.

Legend: B examples, M members, I features in, O features out, K outputs of a head.

BatchEnsemble (Wen et al. 2020, arXiv 2002.06715) gives member m the weight W * outer(s_m, r_m): its input is scaled by
r_m, its output by s_m. TabM (Gorishniy et al. 2024, arXiv 2410.24210) builds tables' nets of it, and TabM-mini keeps
r_m of the first layer alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.layers.precision import working_dtype

_DENSE_HEAD = 64


class EnsembleLinear(nn.Module):
    """A linear layer with one weight for all members, each with adapters of its own.

    Args:
        inputs: I.
        outputs: O.
        members: M.
        adapters: "none" (a plain shared layer), "input" (r only), or "both" (r, s and a bias for each member).

    Shapes and units:
        (B,I), one input for all members, or (B,M,I); gives (B,M,O). An input without the member axis needs adapters.

    Example:
        >>> EnsembleLinear(3, 5, members=4, adapters="input")(torch.zeros(2, 3)).shape
        torch.Size([2, 4, 5])
    """

    def __init__(
        self, inputs: int, outputs: int, *, members: int, adapters: Literal["none", "input", "both"] = "none"
    ) -> None:
        super().__init__()
        self.members = members
        self.outputs = outputs
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        bias = torch.empty(outputs).uniform_(-bound, bound)
        self.input_adapter = nn.Parameter(torch.ones(members, inputs)) if adapters != "none" else None
        self.output_adapter = nn.Parameter(torch.ones(members, outputs)) if adapters == "both" else None
        # Members start from the same bias: they differ by the first layer's adapters alone.
        self.bias = nn.Parameter(bias.expand(members, outputs).clone() if adapters == "both" else bias)

    @torch.no_grad()
    def diversify(self, chunks: Sequence[int] | None, how: Literal["normal", "signs"]) -> None:
        """Make the members differ, by random factors on their inputs.

        Args:
            chunks: sizes of groups of neighbouring inputs that share a factor (the embedding of one feature), or None
                for a factor for each input.
            how: standard normal factors (TabM's choice with embeddings) or random signs (without).
        """
        assert self.input_adapter is not None, "a layer without adapters cannot be diversified"
        columns = self.input_adapter.shape[1]
        sizes = torch.tensor(list(chunks) if chunks is not None else [1] * columns)
        shape = (self.members, len(sizes))
        draws = torch.randn(shape) if how == "normal" else torch.randint(0, 2, shape).float() * 2 - 1
        self.input_adapter.copy_(draws.repeat_interleave(sizes, dim=1, output_size=columns))

    def forward(self, x: Tensor) -> Tensor:
        """(B,M,O) from (B,I) or (B,M,I)."""
        dtype = working_dtype(self.weight)
        x = x.to(dtype)
        fused_bias = None if self.output_adapter is not None else self.bias
        if x.dim() == 2:
            assert self.input_adapter is not None, "members with one input and no adapters would all be the same"
            # Scaling the weight for each member costs M*O*I, scaling the input M*B*I, for the same products.
            if len(x) >= self.outputs:
                weight = self.weight.to(dtype) * self.input_adapter.to(dtype).unsqueeze(1)
                bias = None if fused_bias is None else fused_bias.to(dtype).repeat(self.members)
                y = F.linear(x, weight.flatten(0, 1), bias).view(len(x), self.members, self.outputs)
            else:
                y = F.linear(x.unsqueeze(1) * self.input_adapter.to(dtype), self.weight, fused_bias)
        else:
            if self.input_adapter is not None:
                x = x * self.input_adapter.to(dtype)
            y = F.linear(x, self.weight, fused_bias)
        if self.output_adapter is not None:
            y = torch.addcmul(self.bias.to(dtype), y, self.output_adapter.to(dtype))
        return y

    def flops(self) -> float:
        """Of one example, its M members together."""
        return 2.0 * self.members * self.weight.numel()


class MemberLinear(nn.Module):
    """A linear layer for each member with weights of its own; the head of an ensemble.

    Args:
        inputs: D.
        outputs: K.
        members: M.

    Shapes and units:
        (B,M,D) to (B,M,K), in the precision of the weights even under autocast, since losses follow.

    Example:
        >>> MemberLinear(8, 3, members=4)(torch.zeros(2, 4, 8)).shape
        torch.Size([2, 4, 3])
    """

    def __init__(self, inputs: int, outputs: int, *, members: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(members, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B,M,K) from (B,M,D)."""
        members, outputs, _ = self.weight.shape
        dtype = working_dtype(self.weight)
        x, weight = x.to(dtype), self.weight.to(dtype)
        if members * outputs <= _DENSE_HEAD:
            # All members times all heads in one product, of which the diagonal is kept: M thin products are slower.
            y = F.linear(x, weight.flatten(0, 1)).view(len(x), members, members, outputs)
            y = y.diagonal(dim1=1, dim2=2).transpose(1, 2)
        else:
            y = torch.bmm(x.transpose(0, 1), weight.transpose(1, 2)).transpose(0, 1)
        result: Tensor = y.to(self.bias.dtype) + self.bias
        return result
