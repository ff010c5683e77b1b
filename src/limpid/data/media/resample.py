"""Another number of samples in a second: a windowed sinc in polyphase form.

The filter is the usual one of polyphase resamplers: a sinc that ends at the lower of both half rates, 10 zero crossings
a side, under a Kaiser window with beta 5 (Kaiser 1974), so that tones above the new half rate do not fold back.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

_CROSSINGS = 10
_BETA = 5.0
_FINEST = 1_000  # largest denominator of the ratio; 44,100 to 16,000 is 160/441


def ratio(old: int, new: int) -> Fraction:
    """new / old, or a fraction within a millionth of it whose filter is short.

    Example:
        >>> ratio(44_100, 16_000)
        Fraction(160, 441)
    """
    return Fraction(new, old).limit_denominator(_FINEST) or Fraction(1, _FINEST)


@lru_cache(maxsize=16)
def _filter(up: int, down: int) -> np.ndarray:
    most = max(up, down)
    half = _CROSSINGS * most
    places = np.arange(-half, half + 1)
    taps = np.sinc(places / most) * np.kaiser(2 * half + 1, _BETA)
    taps *= up / taps.sum()
    taps.flags.writeable = False
    return taps


def resample(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    """The same sound with another number of samples in a second.

    Args:
        samples: (n,).
        old, new: samples in a second.

    Shapes and units:
        (n,) to (ceil(n * new / old),) float32, in the same unit.

    Example:
        >>> resample(np.ones(441), 44_100, 16_000).shape
        (160,)
    """
    by = ratio(old, new)
    up, down = by.numerator, by.denominator
    if up == down or not len(samples):
        return samples.astype(np.float32)
    taps = _filter(up, down).astype(np.float32)
    half = len(taps) // 2
    wanted = -(-len(samples) * up // down)
    before = half // up + 1
    padded = np.zeros(before + len(samples) + half // up + down + 2, np.float32)
    padded[before : before + len(samples)] = samples
    result = np.empty(wanted, np.float32)
    # Output n = m * up + r reads inputs m * down + j under tap r * down - j * up, so outputs of one r share their taps.
    for r in range(min(up, wanted)):
        first = -((half - r * down) // up)
        last = (r * down + half) // up
        mine = taps[half + r * down - np.arange(first, last + 1) * up]
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(mine))[before + first :: down]
        count = len(range(r, wanted, up))
        result[r::up] = windows[:count] @ mine
    return result
