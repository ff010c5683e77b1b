"""Optimisers without torch's compiler: the first one that is made would import it, which takes two to three seconds.

torch wraps some methods of its optimisers so that its compiler leaves them alone, and imports the compiler to do so.
Nothing is compiled here. Both functions reach behind these wrappers by their `__wrapped__`; in a version of torch that
has none they change nothing, and the import is back.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer

_MARK = "__dynamo_disable"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Make optimisers inside the block without importing the compiler."""
    marked: list[Any] = []
    if "torch._dynamo" not in sys.modules:
        for method in vars(Optimizer).values():
            plain = getattr(method, "__wrapped__", None)
            if plain is not None and not hasattr(plain, _MARK):
                setattr(plain, _MARK, plain)
                marked.append(plain)
    try:
        yield
    finally:
        for plain in marked:
            delattr(plain, _MARK)


def step(optimiser: Optimizer) -> None:
    """One step of an optimiser that is not differentiated through, the same to the last bit as its own `step`."""
    plain = inspect.unwrap(type(optimiser).step)
    with torch.no_grad():
        plain(optimiser)
