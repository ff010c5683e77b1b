"""What a report draws of forecasts, aggregated: error, coverage and width by step ahead, and residuals.

Legend of shapes: N windows, H steps ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.contracts import Prediction
from limpid.layers import curves

Floats = npt.NDArray[np.float64]

_MOST_STEPS = 200


def figures(truth: Floats, prediction: Prediction) -> dict[str, Any]:
    """The `details` of forecasts.

    Args:
        truth: (N,H) values, NaN where missing.
        prediction: of the same windows.

    Returns:
        "horizon": [{"step", "mae", "bias", "coverage", "width", "count"}] of up to 200 steps ahead.
        "residuals": {"edges", "counts"} of predicted minus actual over all steps, over the central 99 %.
        "coverage": share of values inside their band; "width": mean width of the bands.
    """
    known = np.isfinite(truth)
    residual = np.where(known, prediction.values - np.where(known, truth, 0.0), np.nan)
    flat = residual[known]
    ends = np.quantile(flat, [0.005, 0.995]) if len(flat) else (0.0, 1.0)
    result: dict[str, Any] = {
        "residuals": curves.histogram(flat, low=float(ends[0]), high=float(ends[1])),
        "coverage": None,
        "width": None,
        "horizon": [],
    }
    lower, upper = prediction.lower, prediction.upper
    held = width = None
    if lower is not None and upper is not None and len(flat):
        held = np.where(known, (lower <= truth) & (truth <= upper), np.nan)
        width = upper - lower
        result["coverage"], result["width"] = float(np.nanmean(held)), float(width.mean())
    steps = truth.shape[1]
    shown = np.unique(np.linspace(0, steps - 1, min(steps, _MOST_STEPS)).astype(np.int64))
    for h in shown[known[:, shown].any(axis=0)].tolist():
        errors = residual[known[:, h], h]
        row = {
            "step": h + 1,
            "mae": float(np.abs(errors).mean()),
            "bias": float(errors.mean()),
            "count": int(known[:, h].sum()),
        }
        if held is not None and width is not None:
            row["coverage"], row["width"] = float(np.nanmean(held[:, h])), float(width[:, h].mean())
        result["horizon"].append(row)
    return result
