"""Build a network of unknown origin within the memory that its weights take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_ROOM = 4
_SPARE = 1 << 20
_BY_SIZE = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}


class TooLarge(ValueError):
    """The network asks for more numbers than its weights hold."""


class Bounded(TorchFunctionMode):
    """Counts the numbers that torch is asked to make room for, and stops before they are too many.

    The same could be had by building on torch's meta device first, which imports its compiler: two seconds.

    Args:
        numbers: in the weights; four times as many, and a million, may be asked for.

    Example:
        >>> with Bounded(10):
        ...     torch.zeros(10, 10).shape
        torch.Size([10, 10])
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self._left = _ROOM * numbers + _SPARE

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count, then do what was asked."""
        named = kwargs or {}
        self._left -= _numbers(func, args, named)
        if self._left < 0:
            raise TooLarge("the network asks for more numbers than its weights hold")
        return func(*args, **named)


def _numbers(func: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> int:
    """How many numbers a call makes room for, as far as that follows from its arguments alone."""
    size: Any = ()
    if func in _BY_SIZE:
        size = named.get("size", args[0] if args and not isinstance(args[0], int) else args)
    elif func is torch.full:
        size = named.get("size", args[0] if args else ())
    elif func is torch.randint:
        size = named.get("size", next((a for a in args if isinstance(a, (tuple, list, torch.Size))), ()))
    elif func is torch.linspace:
        size = (named.get("steps", args[2] if len(args) > 2 else 0),)
    elif func is torch.arange:
        size = (max((abs(int(a)) for a in (*args, named.get("end", 0)) if isinstance(a, int)), default=0),)
    elif func is torch.eye:
        size = (args[0], args[1] if len(args) > 1 and isinstance(args[1], int) else args[0]) if args else ()
    elif func is torch.Tensor.expand:
        return 0  # a view
    return math.prod(int(n) for n in size) if size else 0
