"""One change for each picture, drawn from a list, of any strength: no setting at all.

Legend: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.layers import recolour
from limpid.layers.draws import Draws

GEOMETRIC = ("shear x", "shear y", "translate x", "translate y", "rotate")
PHOTOMETRIC = ("brightness", "contrast", "sharpness")
COLOURFUL = ("saturation",)
OF_BYTES = ("posterise", "solarise", "autocontrast", "equalise")
_MOST_SHEAR, _MOST_SHIFT_PIXELS, _MOST_ANGLE, _MOST_CHANGE = 0.99, 32.0, 135.0, 0.99
_FEWEST_BITS = 2


def changes(channels: int, kind: torch.dtype) -> tuple[str, ...]:
    """Names of the changes that pictures of this kind may get.

    Example:
        >>> len(changes(3, torch.uint8)), "equalise" in changes(1, torch.float16)
        (14, False)
    """
    colour = COLOURFUL if channels == 3 else ()
    return ("none", *GEOMETRIC, *PHOTOMETRIC, *colour, *(OF_BYTES if kind == torch.uint8 else ()))


def trivial_augment(x: Tensor, draws: Draws) -> Tensor:
    """TrivialAugment in its wide form (Müller and Hutter 2021, arXiv 2103.10158).

    Published: one of fourteen changes, all equally likely, with a strength that is uniform up to its limit. Shifts
    are limited to 32 pixels there, on pictures of 32 pixels; here also to the side. What comes in from outside is black
    in the publication and reflected here.

    Args:
        x: (B,C,H,W) uint8 or float, in stored units; changes that need bytes are left out for floats.
        draws: random numbers of the rows.
    """
    names = changes(x.shape[1], x.dtype)
    chosen = (draws.uniform("trivial change") * len(names)).long()
    strength = draws.uniform("trivial strength")
    sign = torch.where(draws.uniform("trivial sign") < 0.5, -1.0, 1.0)
    result = x.clone()
    turned = _affine(x, names, chosen, strength * sign)
    for rows, change in _groups(names, chosen, turned, strength, sign):
        result[rows] = recolour.stored(change(x[rows].float()), x.dtype)
    return result


def _groups(
    names: tuple[str, ...], chosen: Tensor, theta: Tensor, strength: Tensor, sign: Tensor
) -> list[tuple[Tensor, Callable[[Tensor], Tensor]]]:
    """Rows that share a change, and that change."""
    found: list[tuple[Tensor, Callable[[Tensor], Tensor]]] = []

    def add(members: tuple[str, ...], make: Callable[[Tensor], Callable[[Tensor], Tensor]]) -> None:
        numbers = torch.tensor([names.index(n) for n in members if n in names], device=chosen.device)
        rows = torch.isin(chosen, numbers).nonzero().flatten()
        if len(rows):
            found.append((rows, make(rows)))

    factor = 1 + sign * strength * _MOST_CHANGE
    add(GEOMETRIC, lambda rows: lambda x: _read(x, theta[rows]))
    add(("brightness",), lambda rows: lambda x: recolour.brighten(x, factor[rows]))
    add(("contrast",), lambda rows: lambda x: recolour.change_contrast(x, factor[rows]))
    add(("sharpness",), lambda rows: lambda x: recolour.sharpen(x, factor[rows]))
    add(("saturation",), lambda rows: lambda x: recolour.saturate(x, factor[rows]))
    bits = 8 - (strength * (8 - _FEWEST_BITS) + 0.5).floor()
    add(("posterise",), lambda rows: lambda x: recolour.posterise(x, bits[rows]))
    add(("solarise",), lambda rows: lambda x: recolour.solarise(x, 255 * (1 - strength[rows])))
    add(("autocontrast",), lambda rows: recolour.autocontrast)
    add(("equalise",), lambda rows: recolour.equalise)
    return found


def _affine(x: Tensor, names: tuple[str, ...], chosen: Tensor, amount: Tensor) -> Tensor:
    """(B,2,3): where each place of the result is read, in units of half a side."""
    height, width = x.shape[2:]
    theta = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)

    def of(name: str) -> Tensor:
        return torch.where(chosen == names.index(name), amount, torch.zeros_like(amount))

    angle = of("rotate") * _MOST_ANGLE * pi / 180
    theta[:, 0, 0] = theta[:, 1, 1] = angle.cos()
    theta[:, 0, 1] = (of("shear x") * _MOST_SHEAR - angle.sin()) * height / width
    theta[:, 1, 0] = (of("shear y") * _MOST_SHEAR + angle.sin()) * width / height
    theta[:, 0, 2] = of("translate x") * 2 * min(_MOST_SHIFT_PIXELS / width, 1.0)
    theta[:, 1, 2] = of("translate y") * 2 * min(_MOST_SHIFT_PIXELS / height, 1.0)
    return theta


def _read(x: Tensor, theta: Tensor) -> Tensor:
    places = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, places, padding_mode="reflection", align_corners=False)
