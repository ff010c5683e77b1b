"""Gradients with respect to what cannot be changed a little: categories and tokens.

Codes and ids become vectors by a lookup; a path from "nothing there" to "there" is a path of these vectors. While a
network runs, its lookups are intercepted and answered with a point of that path (Sundararajan et al. 2017, section 6).
Which input a looked-up position stands for is found out, not assumed: each input is changed in turn, and the positions
whose ids change are its own.

Legend of shapes: B examples, P looked-up positions, U inputs of one kind (categories or token positions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from limpid.planning.assemble import Assembled

Batch = Mapping[str, Tensor]

NOISE = 0.05
"""Small noise on looked-up vectors, relative to their way from nothing."""


class _Mode(TorchFunctionMode):
    """Hands every lookup to `answer(ids, looked_up)`."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.embedding:
            ids = args[0] if args else kwargs["input"]
            return self.answer(ids, func(*args, **kwargs))
        if func is F.embedding_bag and kwargs.get("mode") in ("sum", "mean") and kwargs.get("offsets") is None:
            return self._bag(*args, **kwargs)
        if func is Tensor.scatter_ and len(args) == 4 and args[1] == 1 and args[3] == 1.0:
            row = func(*args, **kwargs)
            return self.answer(args[2], row)
        return func(*args, **kwargs)

    def _bag(self, ids: Tensor, weight: Tensor, **kwargs: Any) -> Tensor:
        """The sum or mean of the ids' vectors, each with a place of its own in the sum."""
        padding, factor = kwargs.get("padding_idx"), kwargs.get("per_sample_weights")
        vectors = self.answer(ids, F.embedding(ids, weight))
        count = torch.full((len(ids), 1), float(ids.shape[1]))
        if padding is not None:
            vectors = vectors.masked_fill((ids == padding).unsqueeze(-1), 0)
            count = (ids != padding).sum(dim=1, keepdim=True).clamp_min(1).to(vectors.dtype)
        if factor is not None:
            vectors = vectors * factor.unsqueeze(-1)
        total = vectors.sum(dim=1)
        return total / count.to(total) if kwargs["mode"] == "mean" else total


@contextmanager
def _reading(network: Assembled, told: Callable[[str], None]) -> Iterator[None]:
    """Say which input's net is running; the head reads the main one."""
    handles = []
    modules: list[tuple[str, nn.Module]] = [(name, network.nets[f"input_{n}"]) for n, name in enumerate(network.inputs)]
    for name, module in [*modules, (network.inputs[0], network.head)]:
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: told(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Lookup:
    """One lookup of a network: whose it is, and which input each of its positions stands for.

    Args:
        name: of the input.
        base: (1,P',...) what stands at the beginning of the path, or None for zeros as wide as what is looked up.
        owners: (P,U) shares of each position, adding up to 1, or to 0 for a position that no input changes (places of
            words, for instance): such a position stays as it is all along the path.
        places: how the P positions are arranged.
        set_by: of a one-hot row, the values that each position sets: (P) at the end and (P) at the beginning.
    """

    def __init__(
        self,
        name: str,
        base: Tensor | None,
        owners: Tensor,
        places: tuple[int, ...],
        set_by: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.name, self.base, self.owners, self.places, self.set_by = name, base, owners, places, set_by
        self.fixed = not bool((owners > 0).any())

    def moves(self, found: Tensor) -> Tensor:
        """Ones and zeros that fit what was looked up: where the path moves."""
        if self.set_by is not None:
            return torch.ones((), dtype=found.dtype)
        owned = self.owners.sum(dim=1) > 0
        return owned.to(found.dtype).view(1, *self.places, 1)

    def shared(self, attribution: Tensor) -> Tensor:
        """(U) what each input has of an attribution over what was looked up: (P,D), or (V) of a one-hot row."""
        if self.set_by is not None:
            end, begin = self.set_by
            flat = attribution[end] + torch.where(end == begin, 0.0, attribution[begin])
        else:
            flat = attribution.sum(dim=-1).flatten()
        return self.owners.t().to(flat.dtype) @ flat


def find_lookups(network: Assembled, actual: Batch, baseline: Batch, shapes: Mapping[str, Any]) -> list[Lookup]:
    """The lookups of a network, in the order in which they happen.

    Args:
        network: in eval mode.
        actual, baseline: one encoded row each; of tokens the actual ones count, whose path begins at padding.
        shapes: of the inputs.
    """
    bases = _record(network, {k: (actual if k.endswith(".tokens") else baseline)[k] for k in actual})
    found = []
    owners: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for name in network.inputs:
        part = next((f"{name}.{p}" for p in ("tokens", "categories") if f"{name}.{p}" in actual), None)
        if part is not None and actual[part].shape[1]:
            owners[name] = _changed(network, actual, part, shapes[name])
    counters = dict.fromkeys(network.inputs, 0)
    for name, base_ids, base in bases:
        if name not in owners:  # made from an input of another kind
            found.append(Lookup(name, None, torch.zeros(0, 0), ()))
            continue
        ids, each = owners[name][counters[name]]
        counters[name] += 1
        count = actual[f"{name}.tokens" if f"{name}.tokens" in actual else f"{name}.categories"].shape[1]
        if ids.dim() == 0 or len(each) != count:  # the same for all rows
            found.append(Lookup(name, None, torch.zeros(ids.numel(), count), ()))
            continue
        different = (each != ids).flatten(1).float()  # (U,P)
        shares = (different / different.sum(dim=0, keepdim=True).clamp_min(1)).t()
        start = None if f"{name}.tokens" in actual else base
        one_hot = (ids, base_ids[0]) if base.dim() == 2 else None
        found.append(Lookup(name, start, shares, tuple(ids.shape), one_hot))
    return found


def _record(network: Assembled, batch: Batch) -> list[tuple[str, Tensor, Tensor]]:
    """(input, ids, looked up) of every lookup for one batch."""
    seen: list[tuple[str, Tensor, Tensor]] = []
    reading = [network.inputs[0]]

    def answer(ids: Tensor, found: Tensor) -> Tensor:
        seen.append((reading[0], ids.detach().clone(), found.detach().clone()))
        return found

    with torch.no_grad(), _reading(network, lambda name: reading.__setitem__(0, name)), _Mode(answer):
        network(batch)
    return seen


def _changed(network: Assembled, actual: Batch, part: str, shape: Any) -> list[tuple[Tensor, Tensor]]:
    """For each lookup of one input: its ids (P), and its ids (U,P) when each of U inputs is another in turn."""
    codes = actual[part][0]
    count = len(codes)
    rows = codes.repeat(count + 1, 1)
    for n in range(count):
        rows[n + 1, n] = _other(int(codes[n]), n, part, shape)
    batch = {k: rows if k == part else v.expand(count + 1, *v.shape[1:]).clone() for k, v in actual.items()}
    name = part.rpartition(".")[0]
    return [(ids[0], ids[1:]) for whose, ids, _ in _record(network, batch) if whose == name]


def _other(code: int, place: int, part: str, shape: Any) -> int:
    """Another id of the same kind: a word for a word, a piece for a piece, a known category where there is one."""
    if part.endswith(".categories"):
        top = shape.cardinalities[place]
        return code + 1 if 2 <= code + 1 < top else max(c for c in range(top) if c != code) if top > 1 else code
    if code == 0:
        return 0
    low, high = 1, shape.vocabulary
    if shape.pieces is not None:
        low, high = (1, shape.pieces) if code < shape.pieces else (shape.pieces, shape.vocabulary)
    return code + 1 if code + 1 < high else max(low, code - 1)


@contextmanager
def on_the_path(
    network: Assembled, lookups: list[Lookup], alpha: Tensor, noise: torch.Generator | None = None
) -> Iterator[list[tuple[Lookup, Tensor, Tensor]]]:
    """Have a network look up points of the path.

    Args:
        network: in eval mode.
        lookups: of the row that the batch repeats.
        alpha: (B) where on the path each row of the batch is: 0 its beginning, 1 the row itself.
        noise: draws a little noise that is added to what the row looks up.

    Returns:
        filled while the network runs: each lookup, the leaf (B,P,...) that has a gradient, and the whole way.
    """
    leaves: list[tuple[Lookup, Tensor, Tensor]] = []
    coming = iter(lookups)
    reading = [network.inputs[0]]

    def answer(ids: Tensor, found: Tensor) -> Tensor:
        lookup = next(coming, None)
        assert lookup is not None and lookup.name == reading[0], "lookups come in another order than before"
        if lookup.fixed:
            return found
        base = torch.zeros_like(found[:1]) if lookup.base is None else lookup.base.to(found.dtype)
        way = (found.detach() - base) * lookup.moves(found)
        base = found.detach() - way
        if noise is not None:
            size = way.square().mean().sqrt() * NOISE
            way = way + size * torch.randn(way[:1].shape, generator=noise) * lookup.moves(found)
        leaf = base + alpha.view(-1, *([1] * (found.dim() - 1))).to(found.dtype) * way
        leaf = leaf.detach().requires_grad_(True)
        leaves.append((lookup, leaf, way))
        return leaf

    with _reading(network, lambda name: reading.__setitem__(0, name)), _Mode(answer):
        yield leaves
