"""Files that a column of recordings may hold, each with what has to become of it: read, mended or rejected.

All of them are made from one tone of 440 hertz: half a second, 8,000 samples in a second, half of full scale.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np
import soundfile

RATE, COUNT = 8_000, 4_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(COUNT) / RATE)).astype(np.float32)
NOISE = np.random.default_rng(6).normal(0, 0.1, COUNT).astype(np.float32)


class Case(NamedTuple):
    """One file.

    Args:
        data: its bytes.
        outcome: "read", "mended" or "rejected".
        words: what the tally or the reason must say.
        near: how far its samples may be from the tone's, or None where that is not the point.
    """

    data: bytes
    outcome: str
    words: str = ""
    near: float | None = 0.001


def ints(values: np.ndarray, bits: int = 16, order: str = "<") -> bytes:
    """Samples as whole numbers of 8 (unsigned), 16, 24 or 32 bits."""
    whole = np.round(values.astype(np.float64) * (2 ** (bits - 1) - 1)).astype(np.int64)
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    if bits == 24:
        four = whole.astype(f"{order}i4").view(np.uint8).reshape(-1, 4)
        return (four[:, :3] if order == "<" else four[:, 1:]).tobytes()
    return whole.astype(f"{order}i{bits // 8}").tobytes()


def chunk(kind: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    return kind + struct.pack(f"{order}I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def form(
    code: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, *, align: int | None = None, order: str = "<"
) -> bytes:
    width = channels * ((bits + 7) // 8) if align is None else align
    fields = (code, channels, rate & 0xFFFFFFFF, (rate * width) & 0xFFFFFFFF, width, bits)
    return chunk(b"fmt ", struct.pack(f"{order}HHIIHH", *fields), order=order)


def riff(*chunks: bytes, name: bytes = b"RIFF", size: int | None = None, order: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack(f"{order}I", len(body) if size is None else size) + body


def data(body: bytes | None = None, size: int | None = None, order: str = "<") -> bytes:
    return chunk(b"data", ints(TONE) if body is None else body, size, order)


def saved(values: np.ndarray, format: str, subtype: str, rate: int = RATE) -> bytes:
    file = BytesIO()
    soundfile.write(file, values, rate, format=format, subtype=subtype)
    return file.getvalue()


def extensible(code: int, bits: int = 16) -> bytes:
    fields = struct.pack("<HHIIHH", 0xFFFE, 1, RATE, RATE * bits // 8, bits // 8, bits)
    guid = struct.pack("<H", code) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    return chunk(b"fmt ", fields + struct.pack("<HHI", 22, bits, 4) + guid)


def plain() -> Iterator[tuple[str, Case]]:
    """Ordinary recordings of every format, and harmless oddities."""
    for bits, near in ((8, 0.01), (16, 0.001), (24, 1e-5), (32, 1e-5)):
        yield f"{bits} bits", Case(riff(form(bits=bits), data(ints(TONE, bits))), "read", near=near)
    yield "float", Case(riff(form(3, bits=32), data(TONE.tobytes())), "read", near=0)
    yield "double", Case(riff(form(3, bits=64), data(TONE.astype("<f8").tobytes())), "read", near=0)
    yield "mu-law", Case(saved(TONE, "WAV", "ULAW"), "read", near=0.02)
    yield "a-law", Case(saved(TONE, "WAV", "ALAW"), "read", near=0.02)
    yield "extensible", Case(riff(extensible(1), data()), "read")
    yield "extensible float", Case(riff(extensible(3, 32), data(TONE.tobytes())), "read", near=0)
    big = riff(form(order=">"), data(ints(TONE, order=">"), order=">"), name=b"RIFX", order=">")
    yield "big-endian", Case(big, "read")
    yield "RF64", Case(saved(TONE, "RF64", "PCM_16"), "read")
    yield "24 bits in 32", Case(riff(form(bits=24, align=4), data(ints(TONE, 32))), "read")
    yield "a note before", Case(riff(chunk(b"LIST", b"INFOabc"), form(), data()), "read")
    yield "the form behind the samples", Case(riff(data(), form()), "read")
    yield (
        "wrong bytes in a second",
        Case(riff(form(align=2), data()).replace(b"\x80\x3e\0\0", b"\xff\xff\xff\x7f"), "read"),
    )
    yield "no alignment", Case(riff(form(align=0), data()), "read")
    yield "half a sample at the end", Case(riff(form(), data(ints(TONE) + b"\1")), "read")
    yield "garbage behind", Case(riff(form(), data()) + b"\xff" * 999, "read")
    yield "a wrong size of all", Case(riff(form(), data(), size=17), "read")
    for format, subtype, near in (("FLAC", "PCM_16", 0.001), ("AIFF", "PCM_16", 0.001), ("OGG", "VORBIS", 0.1)):
        yield format.lower(), Case(saved(TONE, format, subtype), "read", near=near)
    yield "mp3", Case(saved(TONE, "MP3", "MPEG_LAYER_III"), "read", near=None)
    yield "opus", Case(saved(TONE, "OGG", "OPUS"), "read", near=None)
    yield "adpcm", Case(saved(TONE, "WAV", "IMA_ADPCM"), "read", near=None)


def mended() -> Iterator[tuple[str, Case]]:
    """Recordings that are read in a way that a person would want to know of."""
    two = np.stack([TONE, TONE], axis=1)
    yield "stereo", Case(riff(form(channels=2), data(ints(two.ravel()))), "mended", "mixed down")
    six = np.repeat(TONE[:, None], 6, axis=1)
    yield "six channels", Case(riff(form(channels=6), data(ints(six.ravel()))), "mended", "mixed down")
    yield "stereo flac", Case(saved(two, "FLAC", "PCM_16"), "mended", "mixed down")
    against = np.stack([TONE, -TONE], axis=1)
    yield "channels that cancel", Case(riff(form(channels=2), data(ints(against.ravel()))), "mended", "cancel")
    for rate in (4_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000):
        other = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
        yield f"{rate} hertz", Case(riff(form(rate=rate), data(ints(other))), "mended", "resampled", 0.15)
    odd = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22_000) / 44_101)
    yield "44,101 hertz", Case(riff(form(rate=44_101), data(ints(odd))), "mended", "resampled", None)
    yield "768,000 hertz", Case(riff(form(rate=768_000), data(ints(np.zeros(768)))), "mended", "resampled", None)
    yield "promises more", Case(riff(form(), data(size=900_000)), "mended", "does not tell")
    for size in (0, 0xFFFFFFFF, 0x7FFFFFFF):
        streamed = riff(form(), data(size=size), size=0xFFFFFFFF)
        yield f"a stream of length {size}", Case(streamed, "mended", "does not tell")
    whole = riff(form(), data())
    for share in (0.6, 0.9, 0.999):
        yield f"cut at {share}", Case(whole[: int(share * len(whole))], "mended", "cut short")
    holes = TONE.copy()
    holes[::50] = np.nan
    yield "NaN", Case(riff(form(3, bits=32), data(holes.tobytes())), "mended", "finite", None)
    holes[::50] = np.inf
    yield "infinite", Case(riff(form(3, bits=32), data(holes.tobytes())), "mended", "finite", None)
    yield "only NaN", Case(riff(form(3, bits=32), data((TONE * np.nan).tobytes())), "mended", "silent", None)
    wide = (TONE.astype(np.float64) * 1e300).tobytes()
    yield "endless doubles", Case(riff(form(3, bits=64), data(wide)), "mended", "finite", None)
    for scale in (32_768.0, 1e10, 1e30):
        loud = (TONE * np.float32(scale)).tobytes()
        yield f"floats of {scale:g}", Case(riff(form(3, bits=32), data(loud)), "mended", "louder", None)
    for bits in (8, 16, 24):
        silent = riff(form(bits=bits), data(ints(np.zeros(COUNT), bits)))
        yield f"silence of {bits} bits", Case(silent, "mended", "silent", None)
    yield "one silent sample", Case(riff(form(), data(b"\0\0")), "mended", "silent", None)
    yield "silent flac", Case(saved(TONE * 0, "FLAC", "PCM_16"), "mended", "silent", None)
    yield "32 bit silence", Case(riff(form(bits=32), data(ints(np.zeros(9), 32))), "mended", "silent", None)
    yield "negative zeros", Case(riff(form(3, bits=32), data((-0.0 * TONE).tobytes())), "mended", "silent", None)
    long = np.concatenate([TONE] * 3)
    yield "64 channels", Case(riff(form(channels=64), data(ints(np.repeat(long, 64)))), "mended", "mixed down", None)
    flac = saved(np.concatenate([NOISE] * 20), "FLAC", "PCM_16")
    yield "flac cut at 0.8", Case(flac[: int(0.8 * len(flac))], "mended", "cut short", None)
    yield "stereo aiff", Case(saved(two, "AIFF", "PCM_16"), "mended", "mixed down")
    yield "stereo ogg", Case(saved(two, "OGG", "VORBIS"), "mended", "mixed down", None)
    yield "mp3 of 44,100", Case(saved(TONE, "MP3", "MPEG_LAYER_III", 44_100), "mended", "resampled", None)
    yield "opus of 48,000", Case(saved(TONE, "OGG", "OPUS", 48_000), "mended", "resampled", None)
    yield "flac of 96,000", Case(saved(TONE, "FLAC", "PCM_16", 96_000), "mended", "resampled", None)


def rejected() -> Iterator[tuple[str, Case]]:
    """Bytes that are no recording, or one that is not safe or not possible to read."""

    def no(body: bytes, words: str) -> Case:
        return Case(body, "rejected", words, None)

    yield "nothing", no(b"", "empty")
    yield "zero bytes", no(b"\0" * 5_000, "zero bytes")
    yield "noise", no(np.random.default_rng(2).integers(0, 128, 5_000, dtype=np.uint8).tobytes(), "unknown format")
    yield "text", no(b"path,label\n1.wav,7\n", "text")
    yield "html", no(b"<!DOCTYPE html><html>404</html>", "HTML")
    yield "png", no(b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "PNG")
    yield "avi", no(b"RIFF\x24\0\0\0AVI LIST" + b"\0" * 99, "unknown format")
    yield "mp4", no(b"\0\0\0\x20ftypM4A " + b"\0" * 99, "MP4")
    yield "matroska", no(b"\x1aE\xdf\xa3" + b"\0" * 99, "Matroska")
    yield "core audio", no(b"caff\0\1\0\0desc" + b"\0" * 99, "Core Audio")
    yield "zip", no(b"PK\x03\x04" + b"\0" * 99, "zip")
    yield "pickle", no(b"\x80\x04\x95" + b"\0" * 99, "pickle")
    yield "lfs pointer", no(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS")
    yield "numpy", no(b"\x93NUMPY\x01\x00" + b"\0" * 99, "numpy")
    yield "only RIFF", no(b"RIFF\0\0\0\0WAVE", "header of its format")
    yield "half a chunk", no(riff(b"fmt \x10\0"), "header of its format")
    yield "no form", no(riff(data()), "header of its format")
    yield "no samples", no(riff(form()), "without samples")
    yield "zero samples", no(riff(form(), data(b"")), "without samples")
    yield "half a sample", no(riff(form(), data(b"\1")), "without samples")
    yield "half a form", no(riff(chunk(b"fmt ", b"\1\0\1\0\x40\x1f\0\0"), data()), "half a header")
    for channels in (0, 65, 65_535):
        yield f"{channels} channels", no(riff(form(channels=channels, align=2), data()), "channels")
    for rate in (0, 1, 999, 768_001, 0xFFFFFFFF):
        yield f"{rate} hertz", no(riff(form(rate=rate), data()), "samples in a second")
    for bits in (0, 40, 64, 65_535):
        yield f"{bits} bits", no(riff(form(bits=bits, align=0), data()), "bits a sample")
    yield "float of 16 bits", no(riff(form(3, bits=16), data()), "bits a sample")
    yield "mu-law of 16 bits", no(riff(form(7, bits=16), data()), "bits a sample")
    for code in (0, 0x161, 0x9999):
        yield f"format {code}", no(riff(form(code), data()), "damaged")
    whole = riff(form(), data())
    for share in (0.1, 0.3, 0.49):
        yield f"cut at {share}", no(whole[: int(share * len(whole))], "of the samples are there")
    yield "a chunk beyond the end", no(riff(chunk(b"LIST", b"", 0xFFFFFFF0), form(), data()), "header of its format")
    yield "a million chunks", no(riff(b"junk\0\0\0\0" * 100_000, form(), data()), "header of its format")
    flac = saved(NOISE, "FLAC", "PCM_16")
    yield "flac magic", no(flac[:4], "damaged")
    yield "flac header", no(flac[:50], "damaged|without samples|are there")
    yield "flac of garbage", no(flac[:42] + bytes(NOISE.view(np.uint8)[:3_000]), "damaged|without|are there")
    yield "ogg magic", no(b"OggS" + b"\0" * 200, "damaged")
    ogg = saved(TONE, "OGG", "VORBIS")
    yield "ogg of half a header", no(ogg[: len(ogg) // 4], "damaged|without|are there")
    yield "id3 alone", no(b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10, "damaged|without samples")
    yield "id3 of 256 MB", no(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + b"\0" * 10, "damaged|without samples")
    yield "mp3 of one header", no(b"\xff\xfb\x90\x64" + b"\0" * 20, "damaged|without samples")
    yield "aiff of nothing", no(b"FORM\0\0\0\x04AIFF", "damaged|without samples")


def cases() -> dict[str, Case]:
    """Name -> case; the names are different."""
    found: dict[str, Case] = {}
    makers: tuple[Callable[[], Iterator[tuple[str, Case]]], ...] = (plain, mended, rejected)
    for maker in makers:
        for name, case in maker():
            key = name if name not in found else f"{name}, {case.outcome}"
            assert key not in found, key
            found[key] = case
    return found
