"""Rows and networks to explain, without any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from limpid.core.forms import Fields, Grid, Seq
from limpid.explanation.question import Question
from limpid.planning.assemble import Assembled

MEAN, STD = 120.0, 60.0


class Values:
    """A row whose units are the single values of its arrays."""

    def __init__(self, arrays: Mapping[str, Any], baseline: Mapping[str, Any], shapes: Mapping[str, Any]) -> None:
        self.arrays, self.baseline, self.shapes = dict(arrays), dict(baseline), dict(shapes)

    def gather(self, values: Mapping[str, Any]) -> np.ndarray:
        return np.concatenate([np.asarray(v, float).reshape(-1) for v in values.values()])


class Plain:
    """A task whose head hands on the features."""

    name = "regression"
    outputs = 1

    def head(self, width: int, members: int | None) -> torch.nn.Module:
        return torch.nn.Identity()


def arrays_of(form: object, name: str) -> dict[str, np.ndarray]:
    """A form as encoders would have stored it."""
    if isinstance(form, Fields):
        return {
            f"{name}.numbers": form.numbers.numpy(),
            f"{name}.missing": form.missing.numpy().astype(np.uint8),
            f"{name}.categories": form.categories.numpy().astype(np.int32),
        }
    if isinstance(form, Grid):
        return {f"{name}.pixels": (form.pixels * STD + MEAN).clamp(0, 255).numpy().astype(np.uint8)}
    assert isinstance(form, Seq)
    if form.tokens is not None:
        return {f"{name}.tokens": form.tokens.numpy().astype(np.int32)}
    assert form.values is not None
    return {f"{name}.values": form.values.numpy(), f"{name}.length": form.mask.sum(dim=1).numpy().astype(np.int32)}


def assembled(net: torch.nn.Module, form: str, shape: Any, head: torch.nn.Module | None = None) -> Assembled:
    """A net as a whole network; its outputs are the features, or what a head makes of them."""
    name = "fields" if form == "fields" else "column"
    network = Assembled({name: net}, {name: form}, {name: shape}, Plain())
    network.head = head if head is not None else torch.nn.Identity()
    return network.eval().requires_grad_(False)


def summed(network: Assembled, width: int, place: int = 0) -> Question:
    """One output of a network."""
    return Question((network,), tuple(1.0 if n == place else 0.0 for n in range(width)), "one output")


class Columns(Values):
    """A row of a table of numbers whose units are its columns."""

    def __init__(self, numbers: np.ndarray, baseline: np.ndarray) -> None:
        arrays, begin = _table(numbers), _table(baseline)
        super().__init__(arrays, begin, {"fields": None})
        self.units = list(range(len(numbers)))

    def gather(self, values: Mapping[str, Any]) -> np.ndarray:
        return np.asarray(values["fields.numbers"], float)

    def without(self, taken: np.ndarray) -> dict[str, np.ndarray]:
        numbers = np.where(taken, self.baseline["fields.numbers"], self.arrays["fields.numbers"])
        return _table(numbers.astype(np.float32).reshape(len(taken), -1))


def _table(numbers: np.ndarray) -> dict[str, np.ndarray]:
    numbers = np.atleast_2d(np.asarray(numbers, np.float32))
    return {
        "fields.numbers": numbers,
        "fields.missing": np.zeros(numbers.shape, np.uint8),
        "fields.categories": np.zeros((len(numbers), 0), np.int32),
    }


class OfForm(torch.nn.Module):
    """A module as a net: what it reads is one tensor of the form."""

    members = None

    def __init__(self, inner: torch.nn.Module, width: int, part: str) -> None:
        super().__init__()
        self.inner, self.width, self.part = inner, width, part

    def forward(self, form: Any) -> torch.Tensor:
        return self.inner(getattr(form, self.part))

    def flops(self) -> float:
        return 2.0 * sum(p.numel() for p in self.parameters())
