"""Figures of merit of forecasts, over all steps to come that are known, as scorers like those of metrics.py.

Legend of shapes: N windows, H steps ahead, Q quantiles, S weightings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limpid.layers.metrics import Array, Floats, Scorer


def mae(target: Array, value: Array) -> Scorer:
    """Mean absolute error over all known steps.

    Args:
        target: (N,H), NaN where a value is missing.
        value: (N,H) forecasts.
    """
    return _mean(np.abs(value - target), target, value)


def rmse(target: Array, value: Array) -> Scorer:
    """Root of the mean squared error over all known steps."""
    squares = _mean((value - target) ** 2, target, value)
    return lambda weights: np.sqrt(squares(weights))


def smape(target: Array, value: Array) -> Scorer:
    """Symmetric mean absolute percentage error, 0 to 2: the mean of |error| / mean size (Makridakis et al. 2020, M4;
    a hundred times this is their figure)."""
    size = np.abs(value) + np.abs(target)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(size > 0, 2 * np.abs(value - target) / size, 0.0)
    return _mean(np.where(np.isnan(size), np.nan, share), target, value)


def mase(target: Array, value: Array, scale: Array) -> Scorer:
    """Mean absolute scaled error (Hyndman and Koehler 2006): |error| over the error of a seasonal naive forecast.

    Args:
        target, value: (N,H).
        scale: (N,) mean absolute error of a seasonal naive forecast one step ahead, in the past of each series.
    """
    return _mean(np.abs(value - target) / scale[:, None], target, value)


def quantile_loss(target: Array, quantiles: Array, levels: Sequence[float]) -> Scorer:
    """Mean weighted quantile loss: twice the sum of the pinball losses over the sum of |values|, averaged over the
    quantiles (Salinas et al. 2020, arXiv 1704.04110).

    Args:
        target: (N,H).
        quantiles: (N,H,Q).
        levels: Q shares.
    """
    known = np.isfinite(target)
    size = np.where(known, np.abs(target), 0.0).sum(axis=1)
    under = np.where(known[..., None], np.where(known, target, 0.0)[..., None] - quantiles, 0.0)
    shares = np.asarray(levels, dtype=np.float64)
    loss = np.maximum(shares * under, (shares - 1) * under).sum(axis=1).mean(axis=1)
    return _ratio_of(2 * loss, size)


def coverage(target: Array, lower: Array, upper: Array) -> Scorer:
    """Share of the known steps that lie within their band."""
    inside = np.where(np.isnan(target), np.nan, (lower <= target) & (target <= upper))
    return _mean(inside, target, lower)


def _mean(values: Array, target: Array, answers: Array) -> Scorer:
    known = np.isfinite(target)
    if not np.isfinite(answers).all():
        return lambda weights: np.full(len(weights), np.nan)
    return _ratio_of(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _ratio_of(above: Floats, below: Floats) -> Scorer:
    """The ratio of two weighted sums over the windows."""

    def score(weights: Floats) -> Floats:
        top, bottom = np.einsum("sn,n->s", weights, above), np.einsum("sn,n->s", weights, below)
        out: Floats = np.full(len(weights), np.nan)
        np.divide(top, bottom, out=out, where=bottom > 0)
        return out

    return score
