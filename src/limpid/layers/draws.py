"""Random numbers of augmentation: of each row its own, whatever batch the row is in.

A number follows from the run's seed, the pass over the data, the row and the purpose alone (counter-based, by the
finaliser of SplitMix64), so a resumed run, another batch size and a rolled-back step draw the same ones.

Legend: B rows of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limpid.core.seeds import derive

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Draws:
    """The numbers of one batch.

    Args:
        seed: of the run.
        passes: which pass over the training rows this is, from 0.
        rows: (B,) int64, what each row is called; its place in the training part.
        device: where the numbers are wanted.

    Example:
        >>> draws = Draws(0, 0, np.array([4, 7]))
        >>> torch.equal(draws.uniform("flip")[1:], Draws(0, 0, np.array([7])).uniform("flip"))
        True
    """

    seed: int
    passes: int
    rows: np.ndarray
    device: str = "cpu"

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """(B,*shape) float32 in [0,1), fixed by seed, pass, row and purpose."""
        start = np.uint64(derive(self.seed, "augment", purpose, self.passes))
        count = int(np.prod(shape, dtype=np.int64))
        with np.errstate(over="ignore"):
            key = _mixed(start + self.rows.astype(np.uint64) * _GOLDEN)
            ramp = np.arange(count, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
            bits = _mixed(key[:, None] + ramp[None, :])
        values = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return torch.from_numpy(values.reshape(len(self.rows), *shape)).to(self.device)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """(B,*shape) float32, standard normal (Box and Muller 1958)."""
        pair = self.uniform(purpose, 2, *shape).double()
        radius = torch.sqrt(-2.0 * torch.log1p(-pair[:, 0]))
        return (radius * torch.cos(2.0 * torch.pi * pair[:, 1])).float()


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed
