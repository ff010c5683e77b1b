"""What can be seen inside one kind of layer and not in its output: gates, attention weights, filters, curves.

Legend of shapes: T steps, S queries, H hidden units or heads, R directions, K of a kernel.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from limpid.explanation.pictures import MOST_MAPS, picture, rounded
from limpid.layers.activations import ReGLU
from limpid.layers.attention import Attention
from limpid.layers.recurrent import Recurrent
from limpid.layers.sequences import Pool

_POINTS, _CURVE = 24, 61
_SIDE = 48
_CURVED = (
    nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.Softplus, nn.Hardswish, nn.ReLU6,
    nn.Mish, nn.Hardtanh, nn.Hardsigmoid,
)  # fmt: skip
_GATES = {"rnn": (), "lstm": ("input gate", "forget gate", "output gate"), "gru": ("reset gate", "update gate")}

SENTENCES: dict[str, str] = {
    "Linear": "each output is a weighted sum of all inputs, plus a bias",
    "Conv1d": "a few small filters slide along the sequence; each output says how well one fits there",
    "Conv2d": "small filters slide over the picture; each map says where one of them fits",
    "ReLU": "what is below zero becomes zero",
    "Sigmoid": "squeezes each value to between 0 and 1",
    "Tanh": "squeezes each value to between -1 and 1",
    "GELU": "lets large values through and fades small and negative ones out, smoothly",
    "SiLU": "each value times its own sigmoid: large ones pass, negative ones fade out",
    "LayerNorm": "shifts and scales the values of the example to mean 0 and spread 1, then by what was learnt",
    "BatchNorm1d": "shifts and scales each value by the means and spreads of training, then by what was learnt",
    "BatchNorm2d": "shifts and scales each map by the means and spreads of training, then by what was learnt",
    "MaxPool2d": "keeps the greatest value of each small square",
    "AvgPool2d": "keeps the mean of each small square",
    "AdaptiveAvgPool2d": "keeps the mean over parts of each map",
    "Flatten": "writes the maps one behind the other",
    "Dropout": "sets some values to zero in training; here it lets everything through",
    "Embedding": "looks up a learnt vector for each id",
    "Identity": "passes on what it gets",
}


def sentence(module: nn.Module) -> str:
    """What a layer does, in one sentence; of a module that limpid does not know, its own docstring's first line."""
    known = SENTENCES.get(type(module).__name__)
    if known is not None:
        return known
    if isinstance(module, _CURVED):
        return "bends each value by a fixed curve"
    if type(module).__module__.startswith("torch."):
        return ""
    first = next(iter((type(module).__doc__ or "").strip().splitlines()), "").strip().rstrip(".")
    return first[:1].lower() + first[1:] if first else ""


def silent(module: nn.Module, output: Tensor) -> float | None:
    """The share of an activation's outputs that let no gradient through: zeros behind a rectifier, saturated others."""
    if isinstance(module, (nn.ReLU, nn.ReLU6, ReGLU)):
        return float((output == 0).double().mean())
    if isinstance(module, nn.Sigmoid):
        return float(((output < 0.01) | (output > 0.99)).double().mean())
    if isinstance(module, nn.Tanh):
        return float((output.abs() > 0.99).double().mean())
    return None


def curve(module: nn.Module, entering: Tensor) -> dict[str, Any] | None:
    """An activation's curve and where the example's values lie on it.

    Args:
        module: of any kind; None is returned unless it bends each value by itself.
        entering: what entered it.

    Returns:
        {"x", "y": the curve, "points": [x, y] of some values, evenly chosen by size}.
    """
    if not isinstance(module, _CURVED) or not entering.numel():
        return None
    values = entering.detach().float().flatten().sort().values
    at = torch.linspace(0, len(values) - 1, min(_POINTS, len(values))).long()
    some = values[at]
    reach = float(values.abs().max().clamp(1.0, 1e4)) * 1.05
    x = torch.linspace(-reach, reach, _CURVE)
    with torch.no_grad():  # copies, since some bend what they get in place
        y, of_some = module(x.clone()), module(some.clone())
    return {"x": rounded(x), "y": rounded(y), "points": rounded(torch.stack([some, of_some], dim=1))}


def inside(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> list[dict[str, Any]]:
    """Pictures of what a layer does inside, each {"title", "reads", "picture"}.

    Args:
        module: the layer.
        inputs: what entered it, of one example.
        output: what it gave.
    """
    if isinstance(module, Recurrent):
        return _unrolled(module, inputs, output)
    if isinstance(module, Attention):
        weights = attention_weights(module, *inputs)[0]
        size = min(_SIDE, weights.shape[1]), min(_SIDE, weights.shape[2])
        maps = nn.functional.adaptive_avg_pool2d(weights[:MOST_MAPS], size)
        reads = "One square a head: the darker a cell, the more the position of its row looks at that of its column."
        return [
            _shown("attention weights", reads, {"kind": "maps", "values": rounded(maps), "of": list(weights.shape)})
        ]
    if isinstance(module, Pool) and module.scores is not None:
        weight = module.weights(inputs[0], inputs[1])[0]
        reads = "How much each position counts in the sum; they add up to 1."
        return [_shown("attention over positions", reads, picture(weight))]
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        filters = module.weight.detach()
        shown = filters.mean(dim=1)
        reads = "One picture a filter, averaged over what it reads: dark where it wants much, light where little."
        return [_shown("filters", reads, picture(shown if shown.dim() == 3 else shown.t()))]
    return []


def attention_weights(module: Attention, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B,H,S,T) attention weights, computed in the open as softmax(q k / sqrt(d)); each row adds up to 1."""
    with torch.no_grad():
        q, k, seen = module.turned(queries, keys, mask)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        return torch.softmax(scores if seen is None else scores.masked_fill(~seen, -torch.inf), dim=-1)


def gates(module: Recurrent, x: Tensor, length: int) -> tuple[dict[str, Tensor], Tensor]:
    """The gates of a recurrent layer, step by step, by the textbook's formulas.

    Args:
        module: the layer.
        x: (T,D) one example.
        length: steps that are no padding.

    Returns:
        name ("forget gate", "forget gate, backwards") -> (T',H) in reading order of the text, and the states (T',R*H).
    """
    found: dict[str, list[Tensor]] = {}
    whole = []
    width = module.width
    with torch.no_grad():
        for direction in range(module.directions):
            order = list(range(length)) if direction == 0 else list(range(length))[::-1]
            state, cell = x.new_zeros(width), x.new_zeros(width)
            states: list[Tensor] = [state] * length
            named: dict[str, list[Tensor]] = {name: [state] * length for name in _GATES[module.cell]}
            for t in order:
                drive = x[t] @ module.weight[direction] + module.bias[direction, 0]
                state, cell, opened = _step(module, direction, drive, state, cell)
                states[t] = state
                for name, value in zip(named, opened, strict=True):
                    named[name][t] = value
            suffix = ", backwards" if direction else ""
            found |= {name + suffix: values for name, values in named.items()}
            whole.append(torch.stack(states))
    return {name: torch.stack(values) for name, values in found.items()}, torch.cat(whole, dim=1)


def _step(
    module: Recurrent, direction: int, drive: Tensor, state: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    width, inner = module.width, module.recurrent_weight[direction]
    if module.cell == "rnn":
        return torch.tanh(drive + state @ inner), cell, ()
    if module.cell == "lstm":
        i, f, o, g = torch.split(drive + state @ inner, width)
        i, f, o = i.sigmoid(), f.sigmoid(), o.sigmoid()
        cell = f * cell + i * g.tanh()
        return o * cell.tanh(), cell, (i, f, o)
    turned = state @ inner
    r = (drive[:width] + turned[:width]).sigmoid()
    z = (drive[width : 2 * width] + turned[width : 2 * width]).sigmoid()
    assert module.new_bias is not None
    new = (drive[2 * width :] + r * (turned[2 * width :] + module.new_bias[direction, 0])).tanh()
    return (1 - z) * new + z * state, cell, (r, z)


def _unrolled(module: Recurrent, inputs: tuple[Any, ...], output: Tensor) -> list[dict[str, Any]]:
    x, packing = inputs
    length = len(packing.sizes)
    if not length:
        return []
    opened, states = gates(module, x[0].float(), length)
    apart = float((states - output[0, :length].float()).abs().max())
    shown = [
        _shown(
            f"{name}, step by step",
            "Steps run from left to right, units from top to bottom: dark is open (near 1), light is shut (near 0).",
            picture(values),
        )
        for name, values in opened.items()
    ]
    change = torch.cat([states[:1], states.diff(dim=0)]).norm(dim=1)
    reads = "How far the state moved at each step: tall bars are the steps that the layer took notice of."
    shown.append(_shown("change of the state, step by step", reads, picture(change)))
    shown[-1]["note"] = f"unrolled by the textbook's formulas; largest difference from the layer's output {apart:.1e}"
    return shown


def _shown(title: str, reads: str, drawn: dict[str, Any] | None) -> dict[str, Any]:
    return {"title": title, "reads": reads, "picture": cast(Any, drawn)}
