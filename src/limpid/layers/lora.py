"""lora: linear layers whose weights stay as they are, while two thin matrices beside them learn.

Low-rank adapters (Hu et al. 2021, "LoRA: low-rank adaptation of large language models", arXiv 2106.09685): the layer
gives W x + s B A x, where A (R,I) is drawn at random and B (O,R) begins at zero, so that training begins at W.

Legend: I inputs, O outputs, R rank.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALE = 2.0
"""s: the adapters' product counts twice, as with the usual alpha of twice the rank."""


class LoRALinear(nn.Linear):
    """A linear layer with an adapter; its own weight and bias keep their names and do not learn.

    Args:
        linear: the layer that it takes the place of; its parameters are shared, not copied.
        rank: R.

    Shapes and units:
        (...,I) to (...,O).

    Example:
        >>> layer = LoRALinear(nn.Linear(3, 2), rank=1)
        >>> sorted(name for name, p in layer.named_parameters() if p.requires_grad)
        ['adapter_down', 'adapter_up']
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        for parameter in linear.parameters():
            parameter.requires_grad_(False)
        self.adapter_down = nn.Parameter(torch.empty(rank, linear.in_features))
        self.adapter_up = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.adapter_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(...,O)."""
        return F.linear(x, self.weight, self.bias) + SCALE * F.linear(F.linear(x, self.adapter_down), self.adapter_up)

    @torch.no_grad()
    def fold(self) -> None:
        """Add the adapter to the weight and begin it anew; the layer's outputs stay the same but for rounding."""
        self.weight += SCALE * (self.adapter_up @ self.adapter_down)
        self.adapter_up.zero_()


def adaptable(module: nn.Module, names: Collection[str]) -> list[str]:
    """Paths of the linear layers inside a module whose own names are among `names`."""
    found = [path for path, layer in module.named_modules() if type(layer) is nn.Linear]
    return [path for path in found if path.rpartition(".")[2] in names]


def adapt(module: nn.Module, paths: Collection[str], rank: int) -> None:
    """Put adapters on linear layers inside a module; nothing else of it learns any more.

    Args:
        module: is changed in place.
        paths: of the layers.
        rank: R.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        >>> adapt(net, ["1"], rank=2)
        >>> [name for name, p in net.named_parameters() if p.requires_grad]
        ['1.adapter_down', '1.adapter_up']
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    for path in paths:
        owner, _, name = path.rpartition(".")
        parent = module.get_submodule(owner)
        linear = parent.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(parent, name, LoRALinear(linear, rank))


def fold_all(module: nn.Module) -> None:
    """Fold every adapter inside a module into its layer's weight."""
    for layer in module.modules():
        if isinstance(layer, LoRALinear):
            layer.fold()
