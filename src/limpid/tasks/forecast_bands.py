"""Bands of a forecast that hold nine values in ten at every step, whatever the model (split conformal prediction).

Legend of shapes: N windows, H steps ahead, Q quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from limpid.layers.conformal import COVERAGE, upper_quantile

Floats = npt.NDArray[np.float64]

_FEWEST = 60  # values of one step, below which all steps share one factor
_LONGEST = 1e6


@dataclass(frozen=True)
class Bands:
    """What was found on validation windows.

    Args:
        stretch: (H,) factor by which quantiles of each step are moved away from their median.
    """

    stretch: tuple[float, ...]

    @classmethod
    def fit(cls, quantiles: Floats, truth: Floats, levels: tuple[float, ...]) -> tuple[Self, str]:
        """Find how far the 5 % and 95 % quantiles must be from the median to hold nine in ten validation values.

        The score of a value is its distance from the median in units of the distance of the quantile on its side
        (Romano et al. 2019, conformalized quantile regression, in its scaled form).

        Args:
            quantiles: (N,H,Q) rising, before calibration.
            truth: (N,H), NaN where missing.
            levels: Q shares.

        Returns:
            the bands, and what was found in words.
        """
        low, middle, high = (quantiles[:, :, levels.index(q)] for q in (0.05, 0.5, 0.95))
        side = np.where(truth < middle, middle - low, high - middle)
        # A quantile on its median says nothing of how far values lie; a hair of the whole keeps the score finite.
        least = 1e-9 * max(1e-300, float(np.abs(middle).max()))
        score = np.abs(truth - middle) / np.maximum(side, least)
        known = np.isfinite(truth)
        counts = known.sum(axis=0)
        horizon = truth.shape[1]
        if counts.min() >= _FEWEST:
            found = [upper_quantile(score[known[:, h], h], COVERAGE) for h in range(horizon)]
            how = f"each step by its own factor, on {int(counts.min()):,} validation windows"
        else:
            found = [upper_quantile(score[known], COVERAGE)] * horizon
            how = f"all steps by one factor, on {int(counts.sum()):,} validation values"
        stretch = tuple(float(min(s, _LONGEST)) for s in found)
        return cls(stretch), (
            f"quantiles were stretched by {min(stretch):.2f} to {max(stretch):.2f} until the 90 % band held: {how} "
            "(split conformal)"
        )

    def apply(self, quantiles: Floats, levels: tuple[float, ...]) -> Floats:
        """(N,H,Q) the quantiles, moved away from or towards their median."""
        middle = quantiles[:, :, levels.index(0.5), None]
        return np.asarray(middle + np.array(self.stretch)[None, :, None] * (quantiles - middle))
