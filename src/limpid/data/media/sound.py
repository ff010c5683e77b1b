"""Recordings from bytes that may be hostile: their header, and their samples as one channel at a wanted rate.

WAV files are read here; FLAC, Ogg, MP3, AIFF and compressed WAV files by libsndfile, which the extra `audio` brings.
What a person would want to know of is told: channels mixed down, another rate, a cut, numbers that are not finite.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from limpid.core.errors import DataError
from limpid.data.media.cells import Mended, Unreadable
from limpid.data.media.resample import resample
from limpid.data.media.sniff import named, sniff, words
from limpid.data.media.wav import MOST_CHANNELS, MOST_FRAMES, RATES, Compressed, read_wav, wav_header

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 1 << 12  # frames read at once
_LOUD = 4.0  # full scale is 1; floats beyond this are written in another unit
_CANCELLED = 0.01  # share of the channels' power that mixing must leave

# libsndfile and its wrapper fail in these ways on damaged bytes; anything else is a fault of ours.
_BROKEN = (RuntimeError, OSError, ValueError, TypeError, OverflowError, MemoryError, AssertionError, struct.error)


@dataclass(frozen=True)
class SoundHeader:
    """What a file says of its recording before its samples are read.

    Args:
        kind: media type.
        rate: samples in a second.
        channels: how many.
        seconds: its length.
    """

    kind: str
    rate: int
    channels: int
    seconds: float


def sound_header(data: bytes) -> SoundHeader:
    """Look at a recording.

    Raises:
        Unreadable: it is none, damaged or impossible.
        DataError: the extra `audio` is needed.
    """
    kind = _kind(data)
    if kind == "audio/wav":
        try:
            wav = wav_header(data)
            return SoundHeader(kind, wav.rate, wav.channels, wav.frames / wav.rate)
        except Compressed:
            pass  # libsndfile knows some of them
    try:
        with _opened(data, kind) as file:
            _check(file, kind)
            return SoundHeader(kind, file.samplerate, file.channels, max(0, file.frames) / file.samplerate)
    except _BROKEN:
        raise Unreadable(f"{words(kind)} with a damaged beginning") from None


def recording(data: bytes, rate: int) -> tuple[np.ndarray, list[Mended]]:
    """The samples of a recording.

    Args:
        data: the whole file.
        rate: wanted samples in a second.

    Returns:
        (n,) float32 of one channel, n at least 1, full scale being 1; and what was mended.

    Raises:
        Unreadable: it is no recording, of a format that is not read, or too damaged.
        DataError: the extra `audio` is needed.
    """
    mended: list[Mended] = []
    kind = _kind(data)
    try:
        values, own = read_wav(data, mended) if kind == "audio/wav" else _read(data, kind, mended)
    except Compressed:
        values, own = _read(data, kind, mended)
    samples = _one_channel(values, mended)
    loudest = float(np.abs(samples).max())
    if loudest > _LOUD:
        samples = samples / np.float32(loudest)
        mended.append(Mended("was louder than full scale, scaled down", f"to {loudest:.3g} times"))
    if loudest == 0:
        mended.append(Mended("was silent from beginning to end"))
    if own != rate:
        mended.append(Mended(f"was resampled to {rate:,} samples in a second", f"from {own:,}"))
        samples = resample(samples, own, rate)
    return samples, mended


def _kind(data: bytes) -> str:
    kind = sniff(data)
    if kind is None or not kind.startswith("audio/"):
        raise Unreadable(f"no recording that is read, but {named(data)}")
    return kind


def _one_channel(values: np.ndarray, mended: list[Mended]) -> np.ndarray:
    """(n,channels) as (n,) finite numbers."""
    finite = np.isfinite(values)
    if not finite.all():
        mended.append(Mended("held numbers that are not finite, taken as silence"))
        values = np.where(finite, values, np.float32(0))
    values = np.clip(values, -1e18, 1e18)  # whose squares float32 holds
    channels = values.shape[1]
    if channels == 1:
        return values[:, 0]
    mixed: np.ndarray = values.mean(axis=1, dtype=np.float32)
    power = np.square(values, dtype=np.float64).mean()
    if np.square(mixed, dtype=np.float64).mean() < _CANCELLED * power / channels:
        mended.append(Mended("had channels that cancel each other, the loudest one taken", f"{channels} channels"))
        return np.asarray(values[:, int(np.square(values, dtype=np.float64).mean(axis=0).argmax())])
    mended.append(Mended("had several channels, mixed down to one", f"{channels} channels"))
    return mixed


def _opened(data: bytes, kind: str) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # the package, or the library that it wraps, is absent
        raise DataError(
            f"{words(kind)} cannot be read without the extra 'audio': {error}",
            where="a column of recordings",
            expected="the package soundfile, which brings libsndfile; only uncompressed WAV files need no extra",
            fix="python -m pip install 'limpid[audio]'",
        ) from error
    return soundfile.SoundFile(BytesIO(data))


def _check(file: Any, kind: str) -> None:
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise Unreadable(f"{words(kind)} of {file.samplerate:,} samples in a second")
    if not 1 <= file.channels <= MOST_CHANNELS:
        raise Unreadable(f"{words(kind)} of {file.channels:,} channels")


def _read(data: bytes, kind: str, mended: list[Mended]) -> tuple[np.ndarray, int]:
    """Samples by libsndfile, as far as they can be read."""
    blocks: Sequence[np.ndarray] = []
    promised, most, rate = 0, MOST_FRAMES, 0
    try:
        with _opened(data, kind) as file:
            _check(file, kind)
            rate, promised, most = file.samplerate, max(0, file.frames), MOST_FRAMES // file.channels
            blocks = []
            while (done := sum(map(len, blocks))) < most:
                block = file.read(min(_BLOCK, most - done), dtype="float32", always_2d=True)
                if not len(block):
                    break
                blocks.append(block)
    except _BROKEN:
        if not blocks:
            raise Unreadable(f"{words(kind)} that is damaged or cut short") from None
    if not blocks:
        raise Unreadable("a recording without samples")
    values = np.concatenate(blocks)
    if len(values) >= most:
        mended.append(Mended("was very long, the beginning taken", f"{promised / rate:,.0f} s"))
    elif len(values) < promised:
        share = len(values) / promised
        if share < 0.5:
            raise Unreadable(f"{words(kind)} of which {share:.0%} of the samples are there")
        mended.append(Mended("was cut short, read as far as it goes", f"{share:.0%} of the samples are there"))
    return values, rate
