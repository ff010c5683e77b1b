"""From the samples of a recording to logarithms of power: silence cut off, loudness evened, the length bounded.

Legend of shapes: n samples, T frames, M bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Self

import numpy as np

from limpid.data.media.cells import Mended
from limpid.data.media.mel import Mel

LOWEST = 50.0
"""The lowest pitch, in hertz: below it hums the mains, and telephones and small microphones hear nothing."""

_SILENT = 1e-4  # share of the loudest frame's power, -40 dB
_LOUD = 1e-3  # frames that count for a recording's loudness, -30 dB
_FLOOR = 1e-5  # power that is added before the logarithm: of an evened recording -50 dB
_MARGIN = 2  # frames that are kept before and after what is not silent


@dataclass(frozen=True)
class Listening:
    """How a recording is heard.

    Args:
        mel: the spectrogram's settings.
        frames: T at most.
        trim: whether silence at both ends is cut off.
        even: whether each recording is brought to the same loudness.
    """

    mel: Mel
    frames: int
    trim: bool
    even: bool

    @classmethod
    def of(
        cls, rate: int, window_ms: float, hop_ms: float, bands: int, samples: int, *, trim: bool, even: bool
    ) -> Self:
        """From lengths in milliseconds and a number of samples."""
        window = max(16, round(rate * window_ms / 1_000))
        mel = Mel(rate, window, max(1, round(rate * hop_ms / 1_000)), bands, LOWEST, rate / 2)
        return cls(mel, mel.frames(samples), trim, even)

    @property
    def silence(self) -> float:
        """The logarithm that stands for no power at all."""
        return log(_FLOOR)


def audible(power: np.ndarray) -> slice:
    """The frames from the first to the last one that is not silent, with a margin.

    Args:
        power: (T,) of each frame.

    Example:
        >>> audible(np.array([0.0, 0, 0, 0, 1, 1, 0, 0, 0, 0]))
        slice(2, 8, None)
    """
    loud = np.flatnonzero(power > _SILENT * power.max())
    if not len(loud):
        return slice(0, len(power))
    return slice(max(0, int(loud[0]) - _MARGIN), min(len(power), int(loud[-1]) + 1 + _MARGIN))


def logarithms(samples: np.ndarray, listening: Listening, mended: list[Mended]) -> np.ndarray:
    """The log-mel spectrogram of one recording.

    Args:
        samples: (n,), at least one.
        listening: how.
        mended: takes a cut of what is too long.

    Shapes and units:
        (n,) to (T,M) float32, natural logarithms of power; T is at most `listening.frames`.
    """
    power = listening.mel.power(samples)
    if listening.trim:
        power = power[audible(power.sum(axis=1))]
    total = power.sum(axis=1, dtype=np.float64)
    if len(power) > listening.frames:
        sums = np.concatenate([[0.0], np.cumsum(total)])
        start = int(np.argmax(sums[listening.frames :] - sums[: -listening.frames]))
        power, total = (v[start : start + listening.frames] for v in (power, total))
        mended.append(Mended("was longer than planned, its loudest part taken"))
    if listening.even and (loudest := float(total.max())) > 0:
        power = power * np.float32(1.0 / total[total >= _LOUD * loudest].mean())
    return np.log(power + np.float32(_FLOOR))
