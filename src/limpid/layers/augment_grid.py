"""Training pictures as another pass shows them: mirrored, shifted, cropped, turned, recoloured, partly hidden.

Everything works on whole batches of stored pixels and draws for each row by itself, so that a row looks the same
whatever stands beside it.

Legend: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor, log, pi

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.core.forms import GridShape
from limpid.core.spec import AUTO
from limpid.data.augment import GridAugmentSpec
from limpid.layers.draws import Draws
from limpid.layers.recolour import brighten, change_contrast, saturate, stored
from limpid.layers.trivial import trivial_augment

_ASPECT = log(4 / 3)


class GridAugment:
    """Changes the pixels of a batch.

    Args:
        spec: without autos.
        shape: of the grid; hidden places get the mean of its channels.

    Shapes and units:
        {"pixels": (B,C,H,W) uint8 or float, in stored units} to the same; other parts are not given back.

    Example:
        >>> import numpy as np
        >>> shape = GridShape(channels=1, height=2, width=2, mean=(0.0,), std=(1.0,))
        >>> change = GridAugment(GridAugmentSpec(flip="none", translate=1, crop=1), shape)
        >>> change({"pixels": torch.zeros(3, 1, 2, 2)}, Draws(0, 0, np.arange(3)))["pixels"].shape
        torch.Size([3, 1, 2, 2])
    """

    def __init__(self, spec: GridAugmentSpec, shape: GridShape) -> None:
        assert not spec.autos(), "a spec with autos"
        assert spec.translate != AUTO
        assert spec.crop != AUTO
        self.spec = spec
        self.crop = spec.crop
        self.shift = (_places(spec.translate, shape.height), _places(spec.translate, shape.width))
        self.side = ceil(spec.cutout * min(shape.height, shape.width))
        self.mean = torch.tensor(shape.mean)

    def __bool__(self) -> bool:
        """Whether anything is changed at all."""
        spec = self.spec
        shares = (spec.rotate, spec.brightness, spec.contrast, spec.saturation, spec.cutout, *self.shift)
        return spec.flip != "none" or self.crop < 1 or any(shares) or spec.policy != "none"

    def __call__(self, parts: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        """The pixels as this pass shows them."""
        spec, x = self.spec, parts["pixels"]
        if spec.flip == "horizontal":
            x = mirrored(x, draws)
        if self.crop < 1 or spec.rotate:
            x = self._resampled(x, draws)
        elif any(self.shift):
            x = shifted(x, self.shift, draws.uniform("shift", 2))
        if spec.policy == "trivial":
            x = trivial_augment(x, draws)
        x = self._recoloured(x, draws)
        if self.side:
            x = hidden(x, self.side, draws.uniform("cutout", 2), self.mean)
        return {"pixels": x}

    def _resampled(self, x: Tensor, draws: Draws) -> Tensor:
        """Crop, turn and shift in one interpolation."""
        u = draws.uniform("crop", 4)
        area = self.crop + (1 - self.crop) * u[:, 0]
        aspect = torch.exp(_ASPECT * (2 * u[:, 1] - 1)) if self.crop < 1 else torch.ones_like(area)
        tall, wide = (area / aspect).sqrt().clamp(max=1.0), (area * aspect).sqrt().clamp(max=1.0)
        middle = torch.stack(((1 - wide) * (2 * u[:, 2] - 1), (1 - tall) * (2 * u[:, 3] - 1)), dim=1)
        steps = 2 * draws.uniform("shift", 2) - 1
        height, width = x.shape[2:]
        middle[:, 0] += steps[:, 1] * 2 * self.shift[1] / width
        middle[:, 1] += steps[:, 0] * 2 * self.shift[0] / height
        angle = (2 * draws.uniform("rotate") - 1) * self.spec.rotate * pi / 180
        # In units of half a side, so turning a picture that is no square mixes the two.
        cos, sin = angle.cos(), angle.sin()
        rows = (
            torch.stack((wide * cos, -tall * sin * height / width, middle[:, 0]), dim=1),
            torch.stack((wide * sin * width / height, tall * cos, middle[:, 1]), dim=1),
        )
        return resampled(x, torch.stack(rows, dim=1))

    def _recoloured(self, x: Tensor, draws: Draws) -> Tensor:
        spec, kind = self.spec, x.dtype
        changes = (
            ("brightness", spec.brightness, brighten),
            ("contrast", spec.contrast, change_contrast),
            ("saturation", spec.saturation if x.shape[1] == 3 else 0.0, saturate),
        )
        for name, most, change in changes:
            if most:
                x = change(x.float(), 1 + most * (2 * draws.uniform(name) - 1))
        return stored(x, kind)


def _places(most: float, side: int) -> int:
    """Pixels of a shift that is given in pixels or as a share of the side."""
    return min(floor(most + 0.5) if most >= 1 else floor(most * side + 0.5), side - 1)


def mirrored(x: Tensor, draws: Draws) -> Tensor:
    """Mirror images of half of the rows, and of the other half in the next pass (Jordan 2024, arXiv 2404.00498).

    So every two passes show each picture both ways, which chance alone would not.
    """
    first = replace(draws, passes=0).uniform("flip") < 0.5
    chosen = first if draws.passes % 2 == 0 else ~first
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(-1), x)


def shifted(x: Tensor, most: tuple[int, int], u: Tensor) -> Tensor:
    """Move each picture by whole pixels and fill the edge by reflection.

    Args:
        x: (B,C,H,W) of any type.
        most: pixels at most down and to the side, below H and W.
        u: (B,2) in [0,1): where between -most and most.
    """
    batch, channels, height, width = x.shape
    down, right = (
        _reflected((u[:, axis] * (2 * reach + 1)).long().clamp(max=2 * reach) - reach, side)
        for axis, (reach, side) in enumerate(zip(most, (height, width), strict=True))
    )
    # Whole rows of pixels first, then the places within each: no index as large as the pictures is built.
    planes = torch.arange(batch * channels, device=x.device).view(batch, channels, 1) * height
    rows = x.reshape(-1, width).index_select(0, (planes + down.unsqueeze(1)).flatten())
    places = right.unsqueeze(1).expand(batch, channels * height, width)
    return rows.view(batch, channels * height, width).gather(2, places).view_as(x)


def _reflected(start: Tensor, side: int) -> Tensor:
    """(B,side): the places from each start on, mirrored at both ends."""
    place = (start.unsqueeze(1) + torch.arange(side, device=start.device)).abs()
    return (side - 1) - ((side - 1) - place).abs()


def resampled(x: Tensor, theta: Tensor) -> Tensor:
    """Pictures read at places that an affine map gives, by linear interpolation, with reflected edges.

    Args:
        x: (B,C,H,W).
        theta: (B,2,3) from places of the result to places of the picture, in units of half a side.
    """
    places = F.affine_grid(theta, list(x.shape), align_corners=False)
    found = F.grid_sample(x.float(), places, padding_mode="reflection", align_corners=False)
    return stored(found, x.dtype)


def hidden(x: Tensor, side: int, u: Tensor, value: Tensor) -> Tensor:
    """Hide a square of each picture (DeVries and Taylor 2017, arXiv 1708.04552).

    Args:
        x: (B,C,H,W).
        side: of the square in pixels; at the edge a part of it is shown.
        u: (B,2) in [0,1): the middle of the square.
        value: (C,) what is put there.
    """
    inside = []
    for axis, length in enumerate(x.shape[2:]):
        start = (u[:, axis] * length).long() - side // 2
        place = torch.arange(length, device=x.device)
        inside.append((place >= start.unsqueeze(1)) & (place < start.unsqueeze(1) + side))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(square, stored(value.to(x.device), x.dtype).view(1, -1, 1, 1), x)
