"""Pictures and spectrograms as classical models read them: small and grey.

Legend of shapes: N rows, C channels, H and W of a grid, S side of the small one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.data.encoded import Encoded

Array = npt.NDArray[Any]

SIDE = 16
"""S at most: 256 numbers are what a linear model learns in seconds."""

_CHUNK = 512


def grid_inputs(part: Encoded) -> list[str]:
    """Names of the arrays that hold grids."""
    return sorted(name for name in part.arrays if name.endswith(".pixels"))


class SmallGrey:
    """Grids averaged over channels and over blocks of pixels, standardised.

    Args:
        pixels: (N,C,H,W), perhaps memory-mapped.
        rows: positions of the rows to learn means and spreads from.

    Shapes and units:
        (N,C,H,W) to (N,S*S) or fewer, without a unit.

    Example:
        >>> grids = np.arange(32.0).reshape(2, 1, 4, 4)
        >>> SmallGrey(grids, np.arange(2))(grids, np.array([1])).shape
        (1, 16)
    """

    def __init__(self, pixels: Array, rows: Array) -> None:
        small = small_grey(pixels, rows)
        self._mean = small.mean(axis=0)
        self._std = small.std(axis=0)
        self._std[self._std < 1e-6] = 1.0

    def __call__(self, pixels: Array, rows: Array) -> Array:
        """(N,S*S) float64 of some rows."""
        scaled: Array = (small_grey(pixels, rows) - self._mean) / self._std
        return scaled


def small_grey(pixels: Array, rows: Array | None = None, side: int = SIDE) -> Array:
    """(N,S*S): means over channels and over blocks of near-equal size.

    Args:
        pixels: (N,C,H,W), perhaps memory-mapped, which is why some rows are read at a time.
        rows: positions of the rows that are wanted; all by default.
        side: S at most.
    """
    rows = np.arange(len(pixels)) if rows is None else rows
    height, width = pixels.shape[2:]
    tops, lefts = (np.unique(np.linspace(0, n, min(n, side) + 1).astype(int)) for n in (height, width))
    found = np.empty((len(rows), len(tops) - 1, len(lefts) - 1))
    area = np.diff(tops)[:, None] * np.diff(lefts)[None, :]
    for start in range(0, len(rows), _CHUNK):
        grey = np.asarray(pixels[rows[start : start + _CHUNK]], dtype=np.float64).mean(axis=1)
        sums = np.add.reduceat(np.add.reduceat(grey, tops[:-1], axis=1), lefts[:-1], axis=2)
        found[start : start + _CHUNK] = sums / area
    return found.reshape(len(rows), -1)
