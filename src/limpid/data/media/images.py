"""Pictures from bytes that may be hostile: their header, and their pixels at a wanted size.

Legend of shapes: H and W of a picture as it is seen, C channels (1 grey, 3 red, green, blue).

Of each file first the header alone is read, and only known formats of a bounded size go on to a decoder. What a
person would want to know of is told: turned by its EXIF flag, laid on a background where it is transparent, converted
from CMYK, scaled down from more than 8 bits, the first of several pictures, cut short. Of a JPEG or a PNG that is cut
short at least half of the rows must be there; the others become grey.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import (  # the plugins are named, since Pillow's own search for them is not safe in threads
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from limpid.data.media.cells import LARGE, Mended, Unreadable
from limpid.data.media.frames import Frame, eight_bits, fitted, smaller
from limpid.data.media.jpeg import quick_jpeg
from limpid.data.media.npy import read_npy
from limpid.data.media.sniff import named, sniff, words

MOST_PIXELS = 1 << 26
"""67 million: 8,192 by 8,192, or 256 MiB while it is decoded. Twice that for a JPEG that is decoded row by row."""

_LONGEST_SIDE = 1 << 17
_MOST_SCANNED = 1 << 30  # pixels times passes over them, of a progressive JPEG
_LARGE = 1 << 24  # pixels of which only one picture at a time is decoded
_GREY = 128  # what stands for pixels that are not there

_FORMATS = {
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/gif": GifImagePlugin.GifImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
    "image/tiff": TiffImagePlugin.TiffImageFile.format,
    "image/bmp": BmpImagePlugin.BmpImageFile.format,
    "image/pnm": PpmImagePlugin.PpmImageFile.format,
}
_MULTI_PICTURE = MpoImagePlugin.MpoImageFile.format  # a JPEG with a preview or a second eye behind it
_ORIENTATION = 0x0112
_FLAGGED = ("image/jpeg", "image/webp", "image/tiff")  # may have an EXIF flag before their pixels
_DEEP = ("I", "F")  # Pillow's modes of more than 8 bits a channel begin so

# Decoders of damaged bytes fail in all these ways; anything else is a fault of ours.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before anything is decoded.

    Args:
        kind: media type.
        height, width: in pixels, as the picture is seen.
        deep: whether a channel has more than 8 bits.
    """

    kind: str
    height: int
    width: int
    deep: bool


def header(data: bytes) -> Header:
    """Look at a file without decoding it.

    Raises:
        Unreadable: it is no picture, of a format that is not read, damaged, or too large.
    """
    kind = _kind(data)
    if kind == "npy":
        array = _as_picture(read_npy(data))
        return Header(kind, array.shape[0], array.shape[1], array.dtype not in (np.uint8, np.bool_))
    picture = _open(data, kind)
    width, height = picture.size
    turned = kind in _FLAGGED and (_orientation(picture, kind) or 1) >= 5
    return Header(kind, *((width, height) if turned else (height, width)), picture.mode.startswith(_DEEP))


def picture(data: bytes, frame: Frame) -> tuple[np.ndarray, list[Mended]]:
    """Decode a file to the wanted size.

    Args:
        data: the whole file.
        frame: what it is brought to.

    Returns:
        (H,W,C) uint8, and what was mended.

    Raises:
        Unreadable: it is no picture, of a format that is not read, too large, or too damaged.
    """
    mended: list[Mended] = []
    whole = _decoded(data, frame, mended)
    smaller = 4 * whole.width <= frame.width and 4 * whole.height <= frame.height
    if smaller:
        size = f"{whole.width} x {whole.height}"
        mended.append(Mended("had less than a quarter of the planned width and height, enlarged", size))
    pixels = np.frombuffer(fitted(whole, frame).tobytes(), np.uint8)
    return pixels.reshape(frame.height, frame.width, frame.channels), mended


def deep_values(data: bytes) -> np.ndarray | None:
    """Some thousand values of a picture with more than 8 bits a channel, as they are stored; None of all others.

    Raises:
        Unreadable: see `picture`.
    """
    kind = _kind(data)
    if kind == "npy":
        array = _as_picture(read_npy(data))
        if array.dtype in (np.uint8, np.bool_):
            return None
    else:
        opened = _open(data, kind)
        if not opened.mode.startswith(_DEEP):
            return None
        array = np.asarray(_loaded(opened, data, kind, []))
    flat = array.reshape(-1)
    flat = flat[:: max(1, len(flat) // 4_096)]
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    return flat.astype(np.float64) if flat.dtype.kind == "f" else flat.astype(np.int64)


def _kind(data: bytes) -> str:
    kind = sniff(data)
    if kind is None or not (kind == "npy" or kind in _FORMATS):
        raise Unreadable(f"no picture that is read, but {named(data)}")
    return kind


def _open(data: bytes, kind: str) -> ImageFile.ImageFile:
    """The file with its header read, of a size that may be decoded."""
    if kind == "image/webp":
        _check_size(*_webp_size(data))  # Pillow makes room for the whole picture when it opens one
    try:
        opened = Image.open(BytesIO(data), formats=[_FORMATS[kind], _MULTI_PICTURE])
        size = opened.size
    except Image.DecompressionBombError:
        raise Unreadable(f"{words(kind)} of more than {MOST_PIXELS:,} pixels") from None
    except _BROKEN:
        raise Unreadable(f"{words(kind)} with a damaged beginning") from None
    row_by_row = kind == "image/jpeg" and "progressive" not in opened.info
    _check_size(*size, most=MOST_PIXELS * (2 if row_by_row else 1))
    if kind == "image/jpeg" and (passes := data.count(b"\xff\xda")) * size[0] * size[1] > _MOST_SCANNED:
        raise Unreadable(f"a JPEG picture of {size[0]:,} x {size[1]:,} pixels in {passes:,} passes, too many to decode")
    return opened


def _check_size(width: int, height: int, most: int = MOST_PIXELS) -> None:
    if width < 1 or height < 1:
        raise Unreadable("a picture without pixels")
    if width * height > most or max(width, height) > _LONGEST_SIDE:
        raise Unreadable(f"{width:,} x {height:,} pixels, which is more than {most:,} or a side over {_LONGEST_SIDE:,}")


def _without_notes(data: bytes) -> bytes:
    """A PNG without texts, profiles, times and other chunks that its pixels do not need."""
    kept, place = [data[:8]], 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk of a WebP file."""
    kind, body = data[12:16], data[20:]
    if kind == b"VP8X" and len(body) >= 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(body) >= 10:
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise Unreadable("a WebP picture with a damaged beginning")


def _decoded(data: bytes, frame: Frame, mended: list[Mended]) -> Image.Image:
    """The whole picture, upright, in mode L or RGB; a JPEG may be reduced already."""
    kind = _kind(data)
    if kind == "npy":
        return _from_array(_as_picture(read_npy(data)), frame, mended)
    if kind == "image/jpeg" and (quick := quick_jpeg(data, (frame.width, frame.height))) is not None:
        wanted = "L" if frame.channels == 1 else "RGB"
        return quick if quick.mode == wanted else quick.convert(wanted)
    try:
        opened = _open(data, kind)
    except Unreadable:
        if kind != "image/png" or (bare := _without_notes(data)) == data:
            raise
        data, opened = bare, _open(bare, kind)
        mended.append(Mended("had damaged notes beside the pixels, passed over"))
    turn = _orientation(opened, kind) if kind in _FLAGGED else None
    if kind == "image/jpeg":
        _reduce(opened, frame, turned=(turn or 1) >= 5)
    large = opened.width * opened.height > _LARGE
    with LARGE if large else nullcontext():
        if _animated(opened) and opened.format != _MULTI_PICTURE:
            mended.append(Mended("held several pictures, the first one taken"))
        loaded = smaller(_loaded(opened, data, kind, mended), frame)
        if kind == "image/png":
            turn = _orientation(opened, kind)  # may stand behind the pixels
        if turn is not None and 2 <= turn <= 8:
            mended.append(Mended("was turned upright by its EXIF flag", f"flag {turn}"))
            if kind != "image/tiff":  # Pillow turns these itself
                loaded = loaded.transpose(_TURNS[turn])
        try:
            return _eight_bits(loaded, frame, mended)
        except _BROKEN:
            raise Unreadable(f"{words(kind)} in colours that cannot be converted: {loaded.mode}") from None


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(picture: Image.Image, kind: str) -> int | None:
    if kind == "image/jpeg" and not ("exif" in picture.info or "xmp" in picture.info):
        return None
    try:
        flag = picture.getexif().get(_ORIENTATION)
    except _BROKEN:
        return None  # cameras and editors write damaged EXIF blocks; the pixels do not depend on them
    return flag if isinstance(flag, int) else None


def _animated(picture: Image.Image) -> bool:
    try:
        several = bool(getattr(picture, "is_animated", False))
        if several:
            picture.seek(0)
    except _BROKEN:
        return False  # damaged behind the first picture
    return several


def _reduce(opened: ImageFile.ImageFile, frame: Frame, *, turned: bool) -> None:
    """Have a JPEG decoded at an eighth, a quarter or half of its size where that is enough, and grey if wanted."""
    width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
    grey = frame.channels == 1 and opened.mode == "RGB"
    if not grey and (opened.width < 2 * width or opened.height < 2 * height):
        return  # no half of it is enough
    ratios = (width / opened.width, height / opened.height)
    ratio = max(ratios) if frame.fit != "pad" else min(ratios)
    wanted = (width, height) if frame.fit == "stretch" else (ratio * opened.width, ratio * opened.height)
    opened.draft("L" if grey else None, (max(1, int(wanted[0])), max(1, int(wanted[1]))))


def _loaded(opened: ImageFile.ImageFile, data: bytes, kind: str, mended: list[Mended]) -> Image.Image:
    """Decode; where the bytes end too early, what there is."""
    try:
        opened.load()
        return opened
    except MemoryError:
        raise Unreadable(f"{words(kind)} that does not fit into memory") from None
    except _BROKEN:
        rescued = _so_far(opened, data, kind)
    if rescued is None:
        raise Unreadable(f"{words(kind)} that is damaged or cut short")
    rows = _rows_there(rescued)
    there = f"{rows / rescued.height:.0%}"
    if 2 * rows < rescued.height:
        raise Unreadable(f"{words(kind)} of which {there} of the rows are there")
    mended.append(Mended("was cut short or damaged, the missing rows made grey", f"{there} of the rows are there"))
    if kind == "image/png":
        rescued = rescued.convert("RGB" if rescued.mode != "L" else "L")
        rescued.paste(_GREY if rescued.mode == "L" else (_GREY,) * 3, (0, rows, rescued.width, rescued.height))
    return rescued


def _so_far(opened: ImageFile.ImageFile, data: bytes, kind: str) -> Image.Image | None:
    """What a decoder made of a file before it failed, or None."""
    try:
        if kind == "image/jpeg":
            # Told that the picture ends here, the decoder hands over a coarser one, or grey for the rest.
            again = Image.open(BytesIO(data + b"\xff\xd9"), formats=[_FORMATS[kind], _MULTI_PICTURE])
            again.draft(opened.mode, opened.size)
            again.load()
            return again
        if kind == "image/png" and not opened.info.get("interlace") and not opened.mode.startswith(_DEEP):
            opened.tile = []  # nothing left to decode
            opened.load()
            return opened
    except _BROKEN:
        return None
    return None


def _rows_there(picture: Image.Image) -> int:
    """Rows above those at the bottom that are all of one colour, which is how missing rows look."""
    pixels = np.asarray(picture)
    flat = pixels.reshape(len(pixels), -1)
    filled = np.flatnonzero((pixels != pixels[-1, -1]).reshape(flat.shape).any(axis=1))
    return int(filled[-1]) + 1 if len(filled) else 0


def _eight_bits(loaded: Image.Image, frame: Frame, mended: list[Mended]) -> Image.Image:
    """The same picture in mode L or RGB."""
    wanted = "L" if frame.channels == 1 else "RGB"
    if loaded.mode.startswith(_DEEP):
        return _from_array(np.asarray(loaded)[..., None], frame, mended)
    if loaded.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in loaded.info:
        return _laid_on(loaded.convert("RGBA"), frame, mended).convert(wanted)
    if loaded.mode == "CMYK":
        mended.append(Mended("had CMYK colours, converted to red, green and blue without a profile"))
    if loaded.mode not in ("1", "L", "P", "RGB"):
        loaded = loaded.convert("RGB")  # some ways of writing colours have no way to grey of their own
    return loaded if loaded.mode == wanted else loaded.convert(wanted)


def _laid_on(picture: Image.Image, frame: Frame, mended: list[Mended]) -> Image.Image:
    if picture.getchannel("A").getextrema()[0] == 255:
        return picture.convert("RGB")
    mended.append(Mended("was transparent in places, laid on a plain background"))
    ground = Image.new("RGBA", picture.size, (frame.background,) * 3 + (255,))
    return Image.alpha_composite(ground, picture).convert("RGB")


def _as_picture(array: np.ndarray) -> np.ndarray:
    """(H,W,C) with C of 1, 3 or 4 of an array with its channels last, first or absent.

    Raises:
        Unreadable: it has another shape, or is too large.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        shape = " x ".join(map(str, array.shape)) or "no axis"
        raise Unreadable(f"a numpy array of {shape}, no picture of 1, 3 or 4 channels")
    _check_size(array.shape[1], array.shape[0])
    return array


def _from_array(array: np.ndarray, frame: Frame, mended: list[Mended]) -> Image.Image:
    """A (H,W,C) array as a picture in mode L or RGB."""
    values = array
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif values.dtype != np.uint8:
        values, endless = eight_bits(values, frame.levels)
        if endless:
            mended.append(Mended("held numbers that are not finite, taken as black"))
        mended.append(Mended("had more than 8 bits a channel, scaled to 8", f"{array.dtype}"))
    values = np.ascontiguousarray(values)
    wanted = "L" if frame.channels == 1 else "RGB"
    if values.shape[2] == 1:
        return Image.fromarray(values[..., 0]).convert(wanted)
    if values.shape[2] == 4:
        return _laid_on(Image.fromarray(values), frame, mended).convert(wanted)
    return Image.fromarray(values).convert(wanted)
