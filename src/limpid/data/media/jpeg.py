"""The quick way for the most usual pictures: a small JPEG without anything that changes how it is seen.

Pillow's own way to open a file takes longer than to decode a picture of 32 pixels, and holds the interpreter's lock.
"""

from __future__ import annotations

from PIL import Image

_FRAMES = (0xC0, 0xC1, 0xC2)  # markers of baseline, extended and progressive pictures
_TELLING = (0xE1, 0xE2, 0xEE)  # markers of EXIF and XMP, of several pictures and profiles, and of Adobe's colours
_SCAN = 0xDA
_MODES = {1: "L", 3: "RGB"}
_MOST_PIXELS = 1 << 18


def quick_jpeg(data: bytes, least: tuple[int, int]) -> Image.Image | None:
    """A small JPEG decoded, in mode L or RGB; None where the usual way has to be taken, whatever the reason.

    Args:
        data: the whole file.
        least: width and height; from twice of them on, the usual way is the quicker one.
    """
    found = _plain(data)
    if found is None:
        return None
    width, height, mode = found
    if not 0 < width * height <= _MOST_PIXELS or (width >= 2 * least[0] and height >= 2 * least[1]):
        return None
    try:
        return Image.frombytes(mode, (width, height), data, "jpeg", mode, "")
    except (ValueError, OSError):
        return None  # damaged: the usual way says how


def _plain(data: bytes) -> tuple[int, int, str] | None:
    """Width, height and mode of a JPEG whose header tells of nothing but these."""
    place, size = 2, len(data)
    found = None
    while place + 9 < size and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _TELLING:
            return None
        if marker == _SCAN:
            return found
        if marker in _FRAMES and data[place + 4] == 8:
            mode = _MODES.get(data[place + 9])
            if mode is None or found is not None:
                return None
            found = (data[place + 7] << 8 | data[place + 8], data[place + 5] << 8 | data[place + 6], mode)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return None
        place += 2 + (data[place + 2] << 8 | data[place + 3])
    return None
