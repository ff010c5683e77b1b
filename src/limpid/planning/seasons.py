"""What the past of the series says of how to forecast them: season, horizon, history, scale.

Everything here looks at training steps alone.

Legend of shapes: S series, G steps of all series.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from limpid.data.frequency import Frequency
from limpid.data.timelines import Book, Floats

_LONGEST_SEASON = 400
_CYCLES = 2  # cycles of a season that the training steps must show
_FEWEST = 20
_NATURAL = {"1w": 13, "1y": 6, "1b": 5}
_MOST_HISTORY = 1_000
_GROWS = 0.5
_CORRELATED = 0.3
_NEAR = 0.85


def find_period(book: Book, train: npt.NDArray[np.bool_]) -> tuple[int, str]:
    """The season: the natural cycle of the frequency that repeats best, or for a clock the lag that does.

    Args:
        book: the series.
        train: (G,) which steps are for training.
    """
    lengths = np.bincount(book.series[train], minlength=len(book.first))
    longest = int(lengths.max(initial=0))
    values, codes = book.values[:, 0], book.series
    seasons = [s for s in book.frequency.seasons if s * _CYCLES <= longest]
    if seasons:
        errors = {s: _lag_error(values, codes, train, s) for s in seasons}
        known = {s: e for s, e in errors.items() if np.isfinite(e)}
        if known:
            best = min(known, key=lambda s: (known[s], s))
            others = ", ".join(f"{s}: {e:.4g}" for s, e in known.items())
            return best, f"of the natural cycles of {book.frequency} it repeats best (mean change over it {others})"
    if book.frequency.dated:
        return 1, f"the training steps show no natural cycle of {book.frequency} twice"
    return _by_correlation(values, codes, train, longest)


def _lag_error(values: Floats, codes: np.ndarray, train: np.ndarray, lag: int) -> float:
    now, then = values[lag:], values[:-lag]
    good = (codes[lag:] == codes[:-lag]) & train[lag:] & train[:-lag] & np.isfinite(now) & np.isfinite(then)
    return float(np.abs(now - then)[good].mean()) if good.any() else float("nan")


def _by_correlation(values: Floats, codes: np.ndarray, train: np.ndarray, longest: int) -> tuple[int, str]:
    """The lag with the highest autocorrelation of the detrended longest series, where it is a clear peak."""
    code = int(np.bincount(codes[train], minlength=1).argmax())
    own = values[train & (codes == code)]
    most = min(_LONGEST_SEASON, longest // (_CYCLES + 1))
    if len(own) < _FEWEST or most < 3:
        return 1, f"{longest:,} training steps are too few to look for a season"
    known = np.isfinite(own)
    steps = np.arange(len(own), dtype=np.float64)
    line = np.polynomial.Polynomial.fit(steps[known], own[known], 1)(steps)
    flat = np.where(known, own - line, 0.0)
    power = float((flat**2).mean())
    if power <= 1e-12 * float(np.square(own[known]).mean()):
        return 1, "the training steps do not vary around their trend"
    lags = np.arange(most + 1)
    found = np.array([float((flat[lag:] * flat[: len(flat) - lag]).mean()) / power for lag in lags])
    # The slope from lag 0 down is no season: only lags after the first dip count.
    dips = np.flatnonzero(np.diff(found) > 0)
    if not len(dips):
        return 1, "the autocorrelation falls without a peak, so there is no season"
    start = int(dips[0]) + 1
    best = start + int(found[start:].argmax())
    # Multiples of a season peak as high, by chance a little higher: the first peak that comes near counts.
    inner = np.arange(max(start, 1), most)
    peaks = inner[(found[inner] >= found[inner - 1]) & (found[inner] >= found[inner + 1])]
    near = peaks[found[peaks] >= _NEAR * found[best]]
    best = int(near[0]) if len(near) else best
    if best < 2 or found[best] < _CORRELATED:
        return 1, f"no lag up to {most} has an autocorrelation above {_CORRELATED}"
    return best, f"the autocorrelation of the detrended training steps peaks at this lag, with {found[best]:.2f}"


def choose_horizon(frequency: Frequency, period: int, longest: int) -> tuple[int, str]:
    """Steps to forecast where the user names none: a natural cycle, or what the series allow."""
    natural = _NATURAL.get(str(frequency), frequency.seasons[0] if frequency.seasons else period if period > 1 else 12)
    most = max(1, longest // 10)
    if natural > most:
        return most, f"a tenth of the {longest:,} steps of the longest series"
    return natural, f"usual for steps of {frequency}; set task.horizon for another length"


def choose_history(horizon: int, period: int, longest: int) -> tuple[int, str]:
    """Steps that the network reads: two horizons, and two seasons, within what the training steps allow."""
    wanted = min(_MOST_HISTORY, max(2 * horizon, 2 * period))
    most = max(2, (longest - horizon) // 2)
    if wanted > most:
        return most, f"half of the {longest:,} training steps beside the horizon; more would leave few windows"
    return wanted, "two horizons and two seasons"


def choose_transform(book: Book, train: npt.NDArray[np.bool_], period: int) -> tuple[str, float, str]:
    """The scale to learn on: the logarithm where nothing is negative and the spread grows with the level.

    Returns:
        the scale, the value below which the log scale is nearly linear, and why.
    """
    values = np.where(train, book.values[:, 0], np.nan)
    known = values[np.isfinite(values)]
    if not len(known) or known.min() < 0:
        return "none", 1.0, "there are values below zero"
    above = known[known > 0]
    if len(above) < 0.9 * len(known):
        return "none", 1.0, f"{1 - len(above) / len(known):.0%} of the values are zero"
    slope, blocks = _growth(values, book.series, max(period, 8))
    if not np.isfinite(slope) or slope < _GROWS:
        said = "cannot be told from so few steps" if not np.isfinite(slope) else f"grows with power {slope:.2f} of it"
        return "none", 1.0, f"the spread within a season hardly depends on the level: it {said}"
    low, middle = float(np.quantile(above, 0.05)), float(np.median(above))
    unit = low if low < 0.2 * middle else low / 100
    return (
        "log",
        max(unit, 1e-30),
        (f"nothing is negative, and over {blocks} stretches the spread grows with power {slope:.2f} of the level"),
    )


def _growth(values: Floats, codes: np.ndarray, length: int) -> tuple[float, int]:
    """Slope of log spread on log level over stretches of the series, and their number."""
    count = len(values) // length
    table = values[: count * length].reshape(count, length)
    same = codes[: count * length].reshape(count, length)
    known = np.isfinite(table)
    whole = (same[:, 0] == same[:, -1]) & (known.sum(axis=1) >= max(4, length // 2))
    if whole.sum() < 4:
        return float("nan"), int(whole.sum())
    part, there = table[whole], known[whole]
    number = there.sum(axis=1)
    mean = np.where(there, part, 0.0).sum(axis=1) / number
    steps = np.diff(part, axis=1)
    pairs = np.isfinite(steps)
    spread = np.sqrt(np.where(pairs, steps, 0.0) ** 2 @ np.ones(steps.shape[1]) / np.maximum(pairs.sum(axis=1), 1))
    good = (mean > 0) & (spread > 0)
    if good.sum() < 4:
        return float("nan"), int(good.sum())
    x, y = np.log(mean[good]), np.log(spread[good])
    if float(x.std()) < 0.05:
        return float("nan"), int(good.sum())
    return float(np.polyfit(x, y, 1)[0]), int(good.sum())
