"""Which parameters are decayed, which are spared, which may Muon orthogonalise, and how deep does each lie?"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class Groups(NamedTuple):
    """The trainable parameters of a module, in its order; each is either decayed or spared.

    Args:
        decayed: weights of linear layers and heads, which weight decay shrinks.
        spared: norms, biases, adapters and embeddings, which it leaves alone.
        matrices: those of `decayed` that are weights of hidden layers, which Muon may orthogonalise; filters of
            convolutions count as the rows of a matrix.
    """

    decayed: list[nn.Parameter]
    spared: list[nn.Parameter]
    matrices: list[nn.Parameter]


def groups(module: nn.Module) -> Groups:
    """Sort the trainable parameters of `module`.

    Parameters with fewer than two axes are spared, and so is all that stands under a name with "embedding", "adapter"
    or "bias" in it (a bias for each member is a matrix by its shape only). Two-dimensional weights and those of
    convolutions are hidden matrices unless they stand under a name with "head" in it.

    Args:
        module: any module; nets and tasks of limpid follow these names.

    Example:
        >>> found = groups(nn.ModuleDict({"hidden": nn.Linear(2, 3), "head": nn.Linear(3, 1)}))
        >>> [tuple(p.shape) for p in found.matrices], [tuple(p.shape) for p in found.decayed]
        ([(3, 2)], [(3, 2), (1, 3)])
    """
    found = Groups([], [], [])
    filters = {id(m.weight) for m in module.modules() if isinstance(m, nn.modules.conv._ConvNd)}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.dim() < 2 or any(word in name for word in ("embedding", "adapter", "bias")):
            found.spared.append(parameter)
            continue
        found.decayed.append(parameter)
        matrix = parameter.dim() == 2 or id(parameter) in filters
        if matrix and not any(part.endswith("head") for part in name.split(".")):
            found.matrices.append(parameter)
    return found


def depths(net: nn.Module) -> list[list[str]]:
    """Names of a net's parameters in groups by depth, the group nearest to its output first.

    A net may say so itself with a method `depths`; otherwise its children are taken in their order, the items of a
    list or a sequence of layers one by one, and its own parameters lie deepest.

    Args:
        net: any module.

    Example:
        >>> depths(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
        [['2.weight', '2.bias'], ['0.weight', '0.bias']]
    """
    own = getattr(net, "depths", None)
    if own is not None:
        found: list[list[str]] = own()
        return found
    layers: list[tuple[str, nn.Module]] = []
    for name, child in net.named_children():
        inner = child.named_children() if isinstance(child, (nn.ModuleList, nn.Sequential)) else [("", child)]
        layers += [(f"{name}.{key}" if key else name, layer) for key, layer in inner]
    if isinstance(net, (nn.ModuleList, nn.Sequential)):
        layers = list(net.named_children())
    groups = [[f"{name}.{inner}" for inner, _ in layer.named_parameters()] for name, layer in reversed(layers)]
    groups.append([name for name, _ in net.named_parameters(recurse=False)])
    return [names for names in groups if names]
