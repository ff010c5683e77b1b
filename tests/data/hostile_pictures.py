"""Files that a column of pictures may hold, each with what has to become of it: read, mended or rejected.

All of them are made from one picture of 48 x 40 pixels whose quarters are red, green, blue and white.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 40


class Case(NamedTuple):
    """One file.

    Args:
        data: its bytes.
        outcome: "read", "mended" or "rejected".
        words: what the tally or the reason must say.
        corner: the colour to be seen at the upper left, or None where that is not the point.
    """

    data: bytes
    outcome: str
    words: str = ""
    corner: tuple[int, int, int] | None = (255, 0, 0)


def quarters(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    return pixels


PICTURE = Image.fromarray(quarters())
NOISE = np.random.default_rng(5).integers(0, 256, (200, 200, 3), dtype=np.uint8)


def saved(picture: Image.Image, format: str, **settings: Any) -> bytes:
    file = BytesIO()
    picture.save(file, format, **settings)
    return file.getvalue()


def chunk(kind: bytes, body: bytes, *, check: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body) if check is None else check)
    )


def png(width: int, height: int, depth: int, colour: int, body: bytes, *extra: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def bomb(side: int = 30_000) -> bytes:
    """A true PNG of side x side white and black pixels in a hundred kilobytes, or 900 MB once decoded."""
    packer, row = zlib.compressobj(1), b"\0" * (1 + (side + 7) // 8)
    body = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    return png(side, side, 1, 0, body)


def npy(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_header(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + body


def flagged(flag: int, format: str, **settings: Any) -> bytes:
    """The picture as a camera stores it that was held another way: turned upright, it is the picture again."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # flag -> Pillow's transposition that undoes it
    exif = Image.Exif()
    exif[0x0112] = flag
    return saved(PICTURE.transpose(Image.Transpose(back[flag])), format, exif=exif, **settings)


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG with one of its passes said over and over."""
    data = saved(Image.new("L", (side, side)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def tiff(tags: list[tuple[int, int, int, int]], tail: bytes = b"", following: int = 0) -> bytes:
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\x00" + struct.pack("<I", 8) + body + struct.pack("<I", following) + tail


def plain() -> Iterator[tuple[str, Case]]:
    """Ordinary pictures of every format, and harmless oddities."""
    for name, settings in (("JPEG", {"quality": 95}), ("PNG", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {}), ("GIF", {})):
        yield name.lower(), Case(saved(PICTURE, name, **settings), "read")
    yield "webp", Case(saved(PICTURE, "WEBP", lossless=True), "read")
    yield "webp lossy", Case(saved(PICTURE, "WEBP", quality=95), "read")
    yield "progressive jpeg", Case(saved(PICTURE, "JPEG", progressive=True, quality=95), "read")
    yield "jpeg in RGB", Case(saved(PICTURE, "JPEG", keep_rgb=True, quality=95), "read")
    yield "grey jpeg", Case(saved(PICTURE.convert("L"), "JPEG"), "read", corner=(76, 76, 76))
    yield "jpeg and more", Case(saved(PICTURE, "JPEG", quality=95) + b"PK\x03\x04 an archive behind it" * 9, "read")
    yield "png and more", Case(saved(PICTURE, "PNG") + b"\0" * 999, "read")
    broken = saved(PICTURE, "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f broken")
    yield "jpeg with a broken exif", Case(broken, "read")
    yield "jpeg with a broken profile", Case(saved(PICTURE, "JPEG", quality=95, icc_profile=b"none" * 99), "read")
    yield "palette png", Case(saved(PICTURE.convert("P"), "PNG"), "read")
    yield "one bit png", Case(saved(PICTURE.convert("1"), "PNG"), "read", corner=None)
    yield "one bit tiff", Case(saved(PICTURE.convert("1"), "TIFF", compression="group4"), "read", corner=None)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"tiff, {compression}", Case(saved(PICTURE, "TIFF", compression=compression), "read")
    yield "pgm", Case(saved(PICTURE.convert("L"), "PPM"), "read", corner=(76, 76, 76))
    yield "pbm in words", Case(b"P1\n# a comment\n8 8\n" + b"1 1 1 1 0 0 0 0\n" * 8, "read", corner=(0, 0, 0))
    yield "lab tiff", Case(saved(Image.new("LAB", (9, 9), (128, 128, 128)), "TIFF"), "read", corner=(119, 119, 119))
    yield "opaque alpha", Case(saved(PICTURE.convert("RGBA"), "PNG"), "read")
    yield "numpy", Case(npy(quarters()), "read")
    yield "numpy, channels first", Case(npy(np.ascontiguousarray(quarters().transpose(2, 0, 1))), "read")
    yield "numpy, columns first", Case(npy(np.asfortranarray(quarters())), "read")
    yield "numpy, grey", Case(npy(quarters()[..., 0]), "read", corner=(255, 255, 255))
    yield "numpy, yes and no", Case(npy(quarters()[..., 0] > 0), "read", corner=(255, 255, 255))


def mended() -> Iterator[tuple[str, Case]]:
    """Pictures that are read in a way that a person would want to know of."""
    for flag in range(2, 9):
        yield f"exif flag {flag}", Case(flagged(flag, "JPEG", quality=95), "mended", "upright")
    yield "exif flag in png", Case(flagged(6, "PNG"), "mended", "upright")
    yield "exif flag in webp", Case(flagged(8, "WEBP", lossless=True), "mended", "upright")
    yield "exif flag in tiff", Case(flagged(5, "TIFF"), "mended", "upright")
    alpha = PICTURE.convert("RGBA")
    alpha.putalpha(Image.new("L", alpha.size, 0))
    white = (255, 255, 255)
    yield "transparent png", Case(saved(alpha, "PNG"), "mended", "transparent", white)
    yield "transparent webp", Case(saved(alpha, "WEBP", lossless=True), "mended", "transparent", white)
    yield "transparent grey", Case(saved(alpha.convert("LA"), "PNG"), "mended", "transparent", white)
    yield "transparent tiff", Case(saved(alpha, "TIFF"), "mended", "transparent", white)
    yield "transparent gif", Case(saved(PICTURE.quantize(4), "GIF", transparency=0), "mended", "transparent", None)
    clear = saved(PICTURE, "PNG", transparency=(255, 0, 0))
    yield "one colour transparent", Case(clear, "mended", "transparent", white)
    yield "numpy with alpha", Case(npy(np.asarray(alpha)), "mended", "transparent", white)
    deep = quarters()[..., 0].astype(np.uint16) * 257
    yield "16 bit png", Case(saved(Image.fromarray(deep), "PNG"), "mended", "8 bits", white)
    yield "16 bit tiff", Case(saved(Image.fromarray(deep), "TIFF"), "mended", "8 bits", white)
    words = b"P5 48 40 65535\n" + deep.astype(">u2").tobytes()
    yield "16 bit pgm", Case(words, "mended", "8 bits", white)
    real = quarters()[..., 0].astype(np.float32) / 255
    yield "float tiff", Case(saved(Image.fromarray(real), "TIFF"), "mended", "8 bits", white)
    yield "numpy, 16 bit", Case(npy(quarters().astype(np.uint16) * 257), "mended", "8 bits")
    yield "numpy, big endian", Case(npy(deep.astype(">u2")), "mended", "8 bits", white)
    yield "numpy, float", Case(npy(quarters() / 255), "mended", "8 bits")
    odd = quarters() / 255
    odd[0, 0], odd[0, 1], odd[0, 2] = np.nan, np.inf, -np.inf
    yield "numpy with NaN", Case(npy(odd), "mended", "finite", None)
    yield "CMYK jpeg", Case(saved(PICTURE.convert("CMYK"), "JPEG", quality=95), "mended", "CMYK")
    yield "CMYK tiff", Case(saved(PICTURE.convert("CMYK"), "TIFF"), "mended", "CMYK")
    second = Image.new("RGB", PICTURE.size)
    for name in ("GIF", "PNG", "WEBP", "TIFF"):
        several = saved(
            PICTURE, name, save_all=True, append_images=[second], **({"lossless": True} if name == "WEBP" else {})
        )
        yield f"several in {name.lower()}", Case(several, "mended", "first one")
    noise = Image.fromarray(NOISE)
    for settings in ({}, {"progressive": True}, {"subsampling": 0}):
        whole = saved(noise, "JPEG", quality=80, **settings)
        for share in (0.7, 0.95):
            yield f"jpeg cut at {share} {settings}", Case(whole[: int(share * len(whole))], "mended", "cut short", None)
    yield "jpeg without its last bytes", Case(saved(noise, "JPEG")[:-2], "mended", "cut short", None)
    yield (
        "progressive jpeg cut at 0.3",
        Case((whole := saved(noise, "JPEG", progressive=True))[: int(0.3 * len(whole))], "mended", "cut short", None),
    )
    for mode in ("RGB", "L", "RGBA", "P"):
        whole = saved(noise.convert(mode), "PNG")
        yield f"{mode} png cut at 0.8", Case(whole[: int(0.8 * len(whole))], "mended", "cut short", None)
    rows = zlib.compress((b"\0" + b"\xff\0\0" * 8) * 8)
    wrong = chunk(b"tEXt", b"a\0b", check=1)
    yield "png with a wrong checksum of a text", Case(png(8, 8, 8, 2, rows, wrong), "mended", "beside the pixels")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 50_000_000))
    yield "png with a bomb of text", Case(png(8, 8, 8, 2, rows, text), "mended", "beside the pixels")
    yield "one pixel", Case(saved(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG"), "mended", "enlarged")
    yield "one pixel, cut", Case(saved(Image.new("RGB", (1, 1), (255, 0, 0)), "GIF"), "mended", "enlarged")


def rejected() -> Iterator[tuple[str, Case]]:
    """Bytes that are no picture, or one that is not safe or not possible to read."""

    def no(data: bytes, words: str) -> Case:
        return Case(data, "rejected", words, None)

    yield "nothing", no(b"", "empty")
    yield "zero bytes", no(b"\0" * 5_000, "zero bytes")
    yield "noise", no(NOISE.tobytes()[:5_000], "unknown format")
    yield "text", no(b"label,path\n1,a.png\n", "text")
    yield "html", no(b"<!DOCTYPE html><html>404</html>", "HTML")
    yield "svg", no(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG")
    yield "svg with a prologue", no(b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "SVG")
    yield "pdf", no(b"%PDF-1.7\n", "PDF")
    yield "postscript", no(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript")
    yield "zip", no(b"PK\x03\x04" + b"\0" * 99, "zip")
    yield "gzip", no(b"\x1f\x8b\x08" + b"\0" * 99, "gzip")
    yield "a program", no(b"\x7fELF" + b"\0" * 99, "program")
    yield "lfs pointer", no(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS")
    yield "avif", no(b"\0\0\0\x1cftypavif" + b"\0" * 99, "AVIF")
    yield "heic", no(b"\0\0\0\x1cftypheic" + b"\0" * 99, "HEIC")
    yield "jpeg 2000", no(b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 99, "JPEG 2000")
    yield "icon", no(saved(PICTURE, "ICO"), "icon")
    yield "wav", no(b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 99, "WAV")
    yield "pickle", no(pickle.dumps(quarters(), protocol=4), "pickle")
    yield "BM as a word", no(b"BMW is a car, and this is a text about it.", "text")
    jpeg, whole_png = saved(Image.fromarray(NOISE), "JPEG"), saved(Image.fromarray(NOISE), "PNG")
    yield "jpeg magic", no(jpeg[:4], "damaged")
    for share in (0.1, 0.25, 0.4):
        yield f"jpeg cut at {share}", no(jpeg[: int(share * len(jpeg))], "of the rows|cut short")
        yield f"png cut at {share}", no(whole_png[: int(share * len(whole_png))], "of the rows|cut short")
    interlaced = bytearray(whole_png)
    interlaced[28] = 1
    interlaced[29:33] = struct.pack(">I", zlib.crc32(interlaced[12:29]))
    yield "png that says it is interlaced", no(bytes(interlaced[: len(interlaced) // 2]), "cut short")
    for name in ("GIF", "WEBP", "BMP", "TIFF", "PPM"):
        whole = saved(Image.fromarray(NOISE), name)
        yield f"{name.lower()} cut at 0.6", no(whole[: int(0.6 * len(whole))], "cut short|beginning")
    yield "png signature", no(whole_png[:8], "beginning")
    yield "png with half a header", no(whole_png[:20], "beginning")
    yield "png without pixels", no(png(0, 5, 8, 2, b""), "without pixels|beginning")
    yield "png with a wrong checksum", no(whole_png[:29] + b"\0\0\0\0" + whole_png[33:], "beginning")
    yield "png of garbage", no(png(64, 64, 8, 2, NOISE.tobytes()[:3_000]), "cut short|of the rows")
    yield "png without data", no(b"\x89PNG\r\n\x1a\n" + whole_png[8:33] + chunk(b"IEND", b""), "cut short|beginning")
    yield "png of an impossible depth", no(png(4, 4, 3, 2, zlib.compress(b"\0" * 99)), "cut short|beginning")
    yield "png bomb", no(bomb(), "more than 67,108,864")
    yield "png bomb, just too large", no(png(8_193, 8_192, 8, 2, b""), "8,193 x 8,192")
    yield "a line of pixels", no(png(1, 1 << 18, 8, 0, b""), "131,072")
    yield "gif of 65,535", no(b"GIF89a\xff\xff\xff\xff\0\0\0" + saved(PICTURE, "GIF")[13:], "more than")
    big = bytearray(saved(PICTURE, "BMP"))
    big[18:26] = struct.pack("<ii", 40_000, 40_000)
    yield "bmp of 40,000", no(bytes(big), "more than")
    big[18:26] = struct.pack("<ii", -4, 4)
    yield "bmp of -4", no(bytes(big), "more than")
    yield "ppm of 99,999", no(b"P6 99999 99999 255\n", "more than")
    yield "ppm of letters", no(b"P6 ab cd 255\n" + b"\0" * 99, "beginning")
    yield "ppm of a long number", no(b"P6 " + b"9" * 5_000 + b" 1 255\n", "beginning")
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xfe\x3f\0" * 2
    yield "webp of 16,383", no(b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas, "more than")
    yield "webp of nothing", no(b"RIFF\x04\0\0\0WEBP", "beginning")
    yield "webp of zeros", no(b"RIFF\x40\0\0\0WEBPVP8 " + b"\0" * 64, "beginning|without pixels")
    size = [(256, 4, 1, 60_000), (257, 4, 1, 60_000)]
    form = [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 60_000)]
    yield "tiff of 60,000", no(tiff([*size, *form, (279, 4, 1, 99)]), "more than")
    yield "tiff without tags", no(tiff([]), "beginning")
    yield "tiff with endless tags", no(b"II*\x00\x08\0\0\0\xff\xff" + b"\0\1\4\0\xff\xff\xff\xff" * 50, "beginning")
    yield "tiff at itself", no(b"II*\x00\x00\0\0\0", "beginning")
    yield "jpeg of 65,500", no(jpeg.replace(b"\x00\xc8\x00\xc8", b"\xff\xdc\xff\xdc", 1), "more than")
    yield (
        "jpeg of no rows",
        no(jpeg.replace(b"\x00\xc8\x00\xc8", b"\x00\x00\x00\xc8", 1), "beginning|without|cut short"),
    )
    yield "jpeg of a thousand passes", no(many_scans(2_048, 1_000), "passes")
    yield (
        "numpy of objects",
        no(npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"), "plain"),
    )
    yield (
        "numpy that lies",
        no(npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 3), }"), "promises"),
    )
    yield "numpy with code", no(npy_header("{'descr': '<f8', 'shape': (__import__('os').system('true'),)}"), "plain")
    yield "numpy with a deep header", no(npy_header("(" * 60_000), "plain")
    yield "numpy magic", no(b"\x93NUMPY", "plain")
    yield (
        "numpy of records",
        no(npy_header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", b"\0" * 8), "plain"),
    )
    yield "numpy, one axis", no(npy(np.zeros(9)), "1, 3 or 4 channels")
    yield "numpy, 7 channels", no(npy(np.zeros((9, 9, 7))), "1, 3 or 4 channels")
    yield "numpy, no rows", no(npy(np.zeros((0, 9))), "without pixels")
    yield "numpy, cut", no(npy(quarters())[:-1], "promises")


def cases() -> dict[str, Case]:
    """Name -> case; the names are different."""
    found: dict[str, Case] = {}
    makers: tuple[Callable[[], Iterator[tuple[str, Case]]], ...] = (plain, mended, rejected)
    for maker in makers:
        for name, case in maker():
            assert name not in found, name
            found[name] = case
    return found
