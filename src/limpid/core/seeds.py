"""Randomness by address: a seed follows from what it is for, never from what was drawn before.

A resumed run therefore needs no saved generator state, and the order of work does not change the numbers.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive(seed: int, *purpose: int | str) -> int:
    """A 63-bit seed for one purpose.

    Args:
        seed: the run's seed.
        purpose: what it is for, for example ("shuffle", epoch).

    Example:
        >>> derive(0, "shuffle", 1) == derive(0, "shuffle", 1) != derive(0, "shuffle", 2)
        True
    """
    text = "\x1f".join([str(seed), *(str(p) for p in purpose)])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: int | str) -> np.random.Generator:
    """A numpy generator for one purpose."""
    import numpy as np

    return np.random.default_rng(derive(seed, *purpose))
