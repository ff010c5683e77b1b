"""How pictures of any shape and depth are brought to one: its size, its channels, its 8 bits a channel.

Legend of shapes: H and W of a picture as it is seen, C channels (1 grey, 3 red, green, blue).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

Fit = Literal["stretch", "crop", "pad"]


@dataclass(frozen=True)
class Levels:
    """What becomes black and white of pictures with more than 8 bits a channel.

    Args:
        white: the value that becomes 255, of whole numbers; 0 stays 0.
        low, high: the values that become 0 and 255, of fractions.
    """

    white: float = 65535.0
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Frame:
    """What all pictures of a column are brought to.

    Args:
        height, width: in pixels.
        channels: 1 or 3.
        fit: of another shape: stretched, cropped around the centre, or padded with the mean colour of the border.
        background: what transparent pixels are laid on, 0 to 255.
        levels: of pictures with more than 8 bits a channel.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "stretch"
    background: int = 255
    levels: Levels = Levels()


def smaller(loaded: Image.Image, frame: Frame) -> Image.Image:
    """A picture much larger than wanted, averaged over squares of pixels, so that what follows needs little memory."""
    times = min(loaded.size) // (3 * max(frame.height, frame.width))
    return loaded.reduce(times) if times > 1 and loaded.mode in ("L", "RGB", "RGBA", "CMYK", "LA") else loaded


def eight_bits(values: np.ndarray, levels: Levels) -> tuple[np.ndarray, bool]:
    """The values as uint8, and whether some were not finite; in pieces, so that no larger copy is made."""
    low, high = (levels.low, levels.high) if values.dtype.kind == "f" else (0.0, levels.white)
    result = np.empty(values.shape, np.uint8)
    endless = False
    for start in range(0, len(values), 256):
        real = values[start : start + 256].astype(np.float64)
        finite = np.isfinite(real)
        endless = endless or not finite.all()
        with np.errstate(over="ignore"):
            scaled = (np.where(finite, real, low) - low) * (255.0 / max(high - low, 1e-30))
        result[start : start + 256] = np.clip(scaled, 0, 255).round()
    return result, endless


def fitted(whole: Image.Image, frame: Frame) -> Image.Image:
    """A picture of mode L or RGB at the frame's size."""
    size = (frame.width, frame.height)
    if whole.size == size:
        return whole
    if frame.fit == "pad":
        return _padded(whole, frame)
    box = (0.0, 0.0, float(whole.width), float(whole.height))
    if frame.fit == "crop":
        scale = min(whole.width / frame.width, whole.height / frame.height)
        left, top = (whole.width - scale * frame.width) / 2, (whole.height - scale * frame.height) / 2
        box = (max(left, 0.0), max(top, 0.0), min(whole.width - left, box[2]), min(whole.height - top, box[3]))
    return whole.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=3.0)


def _padded(whole: Image.Image, frame: Frame) -> Image.Image:
    """The whole picture in the middle, around it the mean colour of its border."""
    scale = min(frame.width / whole.width, frame.height / whole.height)
    size = (max(1, round(scale * whole.width)), max(1, round(scale * whole.height)))
    inner = whole.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    pixels = np.asarray(inner).reshape(inner.height, inner.width, -1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = tuple(round(float(v)) for v in border.mean(axis=0))
    canvas = Image.new(whole.mode, (frame.width, frame.height), colour if len(colour) > 1 else colour[0])
    canvas.paste(inner, ((frame.width - inner.width) // 2, (frame.height - inner.height) // 2))
    return canvas


def is_grey(pixels: np.ndarray) -> bool:
    """Whether a (H,W,3) uint8 picture has no colour, rounding of a JPEG aside."""
    values = pixels.astype(np.int16)
    spread = values.max(axis=2) - values.min(axis=2)
    return bool(spread.mean() <= 2 and np.quantile(spread, 0.999) <= 12)


def png(pixels: np.ndarray) -> bytes:
    """A (H,W,3) uint8 array as a PNG file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
