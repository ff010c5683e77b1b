"""The logarithmic scale of a series: log(1 + y / unit) above zero, a straight line below, so that any value has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FARTHEST = 80.0  # beyond it, exp would leave what single precision holds


def to_log(values: npt.NDArray[Any], unit: float) -> Floats:
    """On the scale.

    Example:
        >>> to_log(np.array([0.0, 1.0]), 1.0).round(4).tolist()
        [0.0, 0.6931]
    """
    exact = np.asarray(values, dtype=np.float64)
    return np.where(exact > 0, np.log1p(np.maximum(exact, 0.0) / unit), exact / unit)


def from_log(scaled: npt.NDArray[Any], unit: float) -> Floats:
    """Back from the scale."""
    exact = np.asarray(scaled, dtype=np.float64)
    return np.where(exact > 0, unit * np.expm1(np.clip(exact, 0.0, _FARTHEST)), exact * unit)
