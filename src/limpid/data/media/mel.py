"""Log-mel spectrograms: how loud each band of pitch is at each moment.

Legend of shapes: n samples, T frames, K bins of the Fourier transform, M bands.

Pitch is the mel scale in O'Shaughnessy's form, 2595 log10(1 + f / 700) ("Speech Communication", 1987), which HTK uses
too. Each frame is weighted by a Hann window; its power spectrum is scaled so that its sum is the frame's weighted mean
square (Parseval), so a tone of amplitude A has the power A^2 / 2. Bands are triangles that overlap by half and are as
high as 1, so between the first and the last peak they share out all power among them. A band's weight of a bin is the
triangle's mean over the bin's width: low bands narrower than a bin are not empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

_AT_ONCE = 2_048  # frames that are transformed together, which bounds the memory


@dataclass(frozen=True)
class Mel:
    """The settings of a spectrogram.

    Args:
        rate: samples in a second.
        window, hop: length of a frame and distance of two, in samples.
        bands: M.
        low, high: the lowest and the highest pitch, in hertz.

    Example:
        >>> Mel(8_000, 200, 80, 40, 50.0, 4_000.0).frames(1_000)
        11
    """

    rate: int
    window: int
    hop: int
    bands: int
    low: float
    high: float

    @property
    def transform(self) -> int:
        """Samples of a Fourier transform: the smallest power of two that holds a frame."""
        return 1 << (self.window - 1).bit_length()

    def frames(self, samples: int) -> int:
        """T of n samples: as many as are needed for every sample to be in one, and at least one."""
        return 1 + max(0, -(-(samples - self.window) // self.hop))

    def power(self, samples: np.ndarray) -> np.ndarray:
        """The power in each band.

        Args:
            samples: (n,); the last frame is filled up with silence.

        Shapes and units:
            (n,) to (T,M) float32, in squares of the samples' unit.
        """
        count = self.frames(len(samples))
        padded = np.zeros((count - 1) * self.hop + self.window, np.float32)
        padded[: len(samples)] = samples[: len(padded)]
        framed = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop]
        window = hann(self.window)
        scale = np.full(self.transform // 2 + 1, 2.0)
        scale[0] = scale[-1] = 1.0
        weights = (_weights(self) * (scale / (self.transform * (window**2).sum()))[:, None]).astype(np.float32)
        result = np.empty((count, self.bands), np.float32)
        for start in range(0, count, _AT_ONCE):
            spectrum = np.fft.rfft(framed[start : start + _AT_ONCE] * window.astype(np.float32), self.transform)
            result[start : start + _AT_ONCE] = (np.abs(spectrum).astype(np.float32) ** 2) @ weights
        return result

    @cached_property
    def centres(self) -> np.ndarray:
        """(M,) the pitch at which each band peaks, in hertz."""
        return _edges(self)[1:-1]


def hann(length: int) -> np.ndarray:
    """The periodic Hann window, (length,)."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))


def hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """Pitch in mel.

    Example:
        >>> round(float(hertz_to_mel(1_000.0)))
        1000
    """
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0))


def mel_to_hertz(mel: np.ndarray | float) -> np.ndarray:
    """The inverse of `hertz_to_mel`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0))


def _edges(mel: Mel) -> np.ndarray:
    """(M+2,) where bands begin, peak and end, in hertz, evenly spaced in mel."""
    low, high = hertz_to_mel(mel.low), hertz_to_mel(mel.high)
    return mel_to_hertz(np.linspace(low, high, mel.bands + 2))


@lru_cache(maxsize=16)
def _weights(mel: Mel) -> np.ndarray:
    """(K,M) the mean of each band's triangle over the width of each bin."""
    edges = _edges(mel)
    step = mel.rate / mel.transform
    borders = (np.arange(mel.transform // 2 + 2) - 0.5) * step  # of the bins
    return np.stack([np.diff(_area(borders, *edges[m : m + 3])) / step for m in range(mel.bands)], axis=1)


def _area(x: np.ndarray, left: float, peak: float, right: float) -> np.ndarray:
    """The integral, up to each x, of a triangle that rises from `left` to 1 at `peak` and falls to `right`."""
    up = np.clip(x, left, peak) - left
    down = right - np.clip(x, peak, right)
    return np.asarray(up**2 / (2 * (peak - left)) + (right - peak) / 2 - down**2 / (2 * (right - peak)))
