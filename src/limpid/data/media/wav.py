"""Recordings in WAV files from bytes that may be hostile: what the header says, and samples as one channel.

Whole numbers of 8 to 32 bits, floats of 32 and 64 bits, A-law and mu-law (ITU-T G.711), any number of channels up to
64, in files that begin with RIFF, RIFX, RF64 or BW64. A header is believed only as far as the bytes bear it out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from limpid.data.media.cells import Mended, Unreadable

MOST_FRAMES = 1 << 24
"""Samples of a channel that are read of one file, 17 million: six minutes at 48 kHz, half an hour at 8 kHz."""
RATES = (1_000, 768_000)
"""Samples in a second that a file may have, in hertz."""
MOST_CHANNELS = 64

_MOST_VALUES = 1 << 25  # samples of all channels
_MOST_CHUNKS = 1_000
_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_UNKNOWN = (0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000, 0xFFFFF000, 0x80000000)  # lengths that programs write before the end
_OTHERS = {2: "ADPCM", 17: "IMA ADPCM", 49: "GSM", 80: "MPEG", 85: "MP3", 0x161: "WMA"}


class Compressed(Exception):
    """A WAV file whose samples are compressed in a way that is not read here; the text names it."""


@dataclass(frozen=True)
class WavHeader:
    """What a WAV file says of itself, as far as its bytes bear it out.

    Args:
        code: of the samples' format.
        rate: samples in a second.
        channels: of each moment.
        size: bytes of a sample.
        start: where the samples begin.
        frames: moments that the file holds.
        promised: moments that the header promises, None where it leaves that open.
        big: whether numbers are big-endian.
    """

    code: int
    rate: int
    channels: int
    size: int
    start: int
    frames: int
    promised: int | None
    big: bool


def wav_header(data: bytes) -> WavHeader:
    """Look at a WAV file without reading its samples.

    Raises:
        Unreadable: it is damaged or impossible.
        Compressed: its samples are compressed.
    """
    big = data[:4] == b"RIFX"
    form: tuple[int, int, int, int] | None = None
    samples: tuple[int, int] | None = None
    long: int | None = None  # bytes of samples, where 32 bits might not hold them
    for kind, start, size in _chunks(data, big):
        if kind == b"fmt " and form is None:
            form = _form(data[start : start + min(size, 40)], big)
        elif kind == b"ds64" and size >= 16 and long is None:
            long = struct.unpack("<Q", data[start + 8 : start + 16].ljust(8, b"\0"))[0]
        elif kind == b"data" and samples is None:
            samples = start, long if size == 0xFFFFFFFF and long is not None else size
        if form is not None and samples is not None:
            break
    if form is None:
        raise Unreadable("a WAV recording without a header of its format")
    if samples is None:
        raise Unreadable("a WAV recording without samples")
    code, channels, rate, width = form
    start, size = samples
    there = len(data) - start
    whole = struct.unpack(">I" if big else "<I", data[4:8])[0]
    open_end = size in _UNKNOWN and (size != 0 or whole in _UNKNOWN or whole + 8 > start)
    # Where the outer header agrees with the file, nothing was cut off and the inner one lies.
    lies = size > there and whole + 8 == len(data)
    promised = None if open_end or lies else size // (channels * width)
    held = there if promised is None else min(size, there)
    return WavHeader(code, rate, channels, width, start, held // (channels * width), promised, big)


def _chunks(data: bytes, big: bool) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and announced size of the chunks."""
    place = 12
    for _ in range(_MOST_CHUNKS):
        if place + 8 > len(data):
            return
        size = struct.unpack(">I" if big else "<I", data[place + 4 : place + 8])[0]
        yield data[place : place + 4], place + 8, size
        place += 8 + size + size % 2


def _form(body: bytes, big: bool) -> tuple[int, int, int, int]:
    """Code, channels, rate and bytes of a sample."""
    if len(body) < 16:
        raise Unreadable("a WAV recording with half a header")
    code, channels, rate, _, align, bits = struct.unpack(">HHIIHH" if big else "<HHIIHH", body[:16])
    if code == _EXTENSIBLE and len(body) >= 26:
        code = struct.unpack(">H" if big else "<H", body[24:26])[0]
    if code not in (_PCM, _FLOAT, _A_LAW, _MU_LAW):
        raise Compressed(_OTHERS.get(code, f"format {code}"))
    if not 1 <= channels <= MOST_CHANNELS:
        raise Unreadable(f"a WAV recording of {channels:,} channels")
    if not RATES[0] <= rate <= RATES[1]:
        raise Unreadable(f"a WAV recording of {rate:,} samples in a second")
    width = (bits + 7) // 8
    if align % channels == 0 and width < align // channels <= 8:
        width = align // channels  # samples may lie in more bytes than they fill
    known = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8), _A_LAW: (1,), _MU_LAW: (1,)}[code]
    if width not in known:
        raise Unreadable(f"a WAV recording of {bits:,} bits a sample")
    return code, channels, rate, width


def read_wav(data: bytes, mended: list[Mended]) -> tuple[np.ndarray, int]:
    """The samples of a WAV file.

    Args:
        data: the whole file.
        mended: takes what was mended.

    Returns:
        (n,channels) float32, full scale being 1, and the rate.

    Raises:
        Unreadable: see `wav_header`; also where less than half of the promised samples are there, or none.
        Compressed: its samples are compressed.
    """
    header = wav_header(data)
    if header.frames == 0:
        raise Unreadable("a recording without samples")
    if header.promised is None:
        mended.append(Mended("had a header that does not tell its length, read to the end"))
    elif 2 * header.frames < header.promised:
        share = header.frames / header.promised
        raise Unreadable(f"a WAV recording of which {share:.0%} of the samples are there")
    elif header.frames < header.promised:
        share = header.frames / header.promised
        mended.append(Mended("was cut short, read as far as it goes", f"{share:.0%} of the samples are there"))
    frames = min(header.frames, MOST_FRAMES, _MOST_VALUES // header.channels)
    if frames < header.frames:
        mended.append(Mended("was very long, the beginning taken", f"{header.frames / header.rate:,.0f} s"))
    stop = header.start + frames * header.channels * header.size
    values = _values(data[header.start : stop], header)
    return values.reshape(frames, header.channels), header.rate


def _values(raw: bytes, header: WavHeader) -> np.ndarray:
    """Samples as float32 from -1 to 1; floats as they are."""
    order = ">" if header.big else "<"
    if header.code == _FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(raw, f"{order}f{header.size}").astype(np.float32)
    if header.code in (_A_LAW, _MU_LAW):
        return _LAWS[header.code][np.frombuffer(raw, np.uint8)]
    if header.size == 1:
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
    if header.size == 3:
        three = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(three), 4), np.uint8)
        wide[:, :3] = three if header.big else three[:, ::-1]
        return wide.view(">i4").ravel().astype(np.float32) / 2**31
    return np.frombuffer(raw, f"{order}i{header.size}").astype(np.float32) / np.float32(2 ** (8 * header.size - 1))


def _mu_law() -> np.ndarray:
    codes = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes >> 4 & 7).astype(int), (codes & 15).astype(int)
    size = ((mantissa << 3) + 132 << exponent) - 132
    values: np.ndarray = (np.where(codes & 128, -size, size) / 32_768).astype(np.float32)
    return values


def _a_law() -> np.ndarray:
    codes = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (codes >> 4 & 7).astype(int), (codes & 15).astype(int)
    size = np.where(exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 264 << np.maximum(exponent - 1, 0))
    return (np.where(codes & 128, size, -size) / 32_768).astype(np.float32)


_LAWS = {_A_LAW: _a_law(), _MU_LAW: _mu_law()}
