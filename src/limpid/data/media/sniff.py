"""Which kind of file some bytes are, by their first ones; names and suffixes are not asked."""

from __future__ import annotations

import re

LOOKED_AT = 1024  # bytes

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x93NUMPY", "npy"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mp3"),
    (b"RF64", "audio/wav"),
    (b"BW64", "audio/wav"),
    (b"RIFX", "audio/wav"),
)
_IN_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_IN_FORM = {b"AIFF": "audio/aiff", b"AIFC": "audio/aiff"}
_NETPBM = re.compile(rb"P[1-6][\s#]")

_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"II+\x00", "a BigTIFF picture"),
    (b"MM\x00+", "a BigTIFF picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
    (b"PAR1", "a Parquet table"),
    (b"\x80\x04", "a pickle, which could run code"),
    (b"\x1aE\xdf\xa3", "a Matroska video"),
    (b"caff", "a Core Audio recording"),
)
_BRANDS = {b"avif": "an AVIF picture", b"avis": "an AVIF picture", b"heic": "a HEIC picture", b"mif1": "a HEIC picture"}


def sniff(data: bytes) -> str | None:
    """The media type of a picture or a recording that limpid reads, "npy" for a numpy array, or None.

    Args:
        data: a whole file, or its first kilobyte.

    Example:
        >>> sniff(b"GIF89a...."), sniff(b"hello")
        ('image/gif', None)
    """
    head = data[:LOOKED_AT]
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF"):
        return _IN_RIFF.get(head[8:12])
    if head.startswith(b"FORM"):
        return _IN_FORM.get(head[8:12])
    if head.startswith(b"BM") and _is_bmp(head):
        return "image/bmp"
    if _NETPBM.match(head):
        return "image/pnm"
    if len(head) >= 4 and head[0] == 0xFF and _is_mpeg_audio(head):
        return "audio/mp3"
    return None


def _is_bmp(head: bytes) -> bool:
    """BM also begins English words; a bitmap goes on with a header of one of few lengths."""
    return len(head) >= 18 and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124)


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame header: 11 bits of sync, then a version, layer 3, a bit rate and a sample rate that exist."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, samples = head[2] >> 4, head[2] >> 2 & 3
    return head[1] >= 0xE0 and version != 1 and layer == 1 and rate not in (0, 15) and samples != 3


def named(data: bytes) -> str:
    """What some bytes that are not read seem to be, as a clause for people.

    Example:
        >>> named(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
        'an SVG drawing, which has no pixels'
    """
    if not data:
        return "nothing: the file is empty, absent or beyond 256 MiB"
    head = data[:LOOKED_AT]
    kind = sniff(head)
    if kind is not None:
        return _WORDS[kind]
    for magic, what in _REFUSED:
        if head.startswith(magic):
            return what
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "an MP4 video or recording")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text and text.startswith(b"<"):
        return "an SVG drawing, which has no pixels"
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer in place of the file"
    if not any(head):
        return "nothing but zero bytes"
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "text"
    return "of an unknown format"


_WORDS = {
    "image/jpeg": "a JPEG picture",
    "image/png": "a PNG picture",
    "image/gif": "a GIF picture",
    "image/webp": "a WebP picture",
    "image/tiff": "a TIFF picture",
    "image/bmp": "a BMP picture",
    "image/pnm": "a PNM picture",
    "npy": "a numpy array",
    "audio/wav": "a WAV recording",
    "audio/flac": "a FLAC recording",
    "audio/ogg": "an Ogg recording",
    "audio/mp3": "an MP3 recording",
    "audio/aiff": "an AIFF recording",
}


def words(kind: str) -> str:
    """A media type as a person calls it.

    Example:
        >>> words("image/jpeg")
        'a JPEG picture'
    """
    return _WORDS[kind]
