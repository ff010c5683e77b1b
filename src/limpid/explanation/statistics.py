"""Means with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit  # scipy.stats would take half a second to import


def mean_and_interval(values: Sequence[float] | npt.NDArray[Any], level: float = 0.95) -> tuple[float, float, float]:
    """The mean of some values and its interval by the t distribution.

    Example:
        >>> mean_and_interval([1.0, 1.0, 1.0])
        (1.0, 1.0, 1.0)
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(stdtrit(len(values) - 1, 0.5 + level / 2)) * error
    return mean, mean - reach, mean + reach
