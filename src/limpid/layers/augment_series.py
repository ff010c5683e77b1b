"""Training series as this pass shows them: noise, other sizes, other speeds, a part stretched to the whole.

Legend: B rows, T time steps, D channels, K knots of a curve.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from limpid.core.forms import SeqShape
from limpid.data.augment_series import SeriesAugmentSpec


class Numbers(Protocol):
    """Random numbers of each row."""

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """(B,*shape) float32 in [0,1)."""

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """(B,*shape) float32, standard normal."""


class SeriesAugment:
    """Changes batches of series; lengths stay as they are, and padding stays zero.

    Args:
        spec: what is changed, and how much.
        shape: of the seq of values.

    Shapes and units:
        {"values": (B,T,D), "length": (B,)} to the same; values in units of each channel's deviation.

    Example:
        >>> from limpid.layers.draws import Draws
        >>> import numpy as np
        >>> change = SeriesAugment(SeriesAugmentSpec(jitter=0.1), SeqShape(width=1, length=4))
        >>> parts = {"values": torch.ones(1, 4, 1), "length": torch.tensor([3])}
        >>> change(parts, Draws(0, 0, np.array([0])))["values"][0, 3].tolist()
        [0.0]
    """

    def __init__(self, spec: SeriesAugmentSpec, shape: SeqShape) -> None:
        assert shape.width is not None, "series of values"
        self.spec = spec
        self.plain = shape.width - spec.marks  # channels that hold the series itself

    def __bool__(self) -> bool:
        return self.spec.any

    def __call__(self, parts: dict[str, Tensor], draws: Numbers) -> dict[str, Tensor]:
        """The batch of this pass."""
        spec = self.spec
        values, length = parts["values"], parts["length"]
        if not self or not len(values):
            return parts
        changed = values
        if spec.time_warp > 0 or spec.window > 0:
            changed = _at(changed, self._places(values, length, draws))
        own = changed[..., : self.plain]
        if spec.scaling > 0:
            own = own * torch.exp(spec.scaling * draws.normal("series scaling", 1, self.plain))
        if spec.magnitude_warp > 0:
            knots = 1 + spec.magnitude_warp * draws.normal("series magnitude", spec.knots, self.plain)
            own = own * _curve(knots, length, values.shape[1])
        if spec.jitter > 0:
            own = own + spec.jitter * draws.normal("series jitter", *own.shape[1:])
        changed = torch.cat([own, changed[..., self.plain :]], dim=2)
        if spec.share < 1:
            kept = draws.uniform("series share") >= spec.share
            changed = torch.where(kept.view(-1, 1, 1), values, changed)
        there = _ramp(values) < length.view(-1, 1)
        return {**parts, "values": changed * there.unsqueeze(2)}

    def _places(self, values: Tensor, length: Tensor, draws: Numbers) -> Tensor:
        """(B,T) where in the stored series each time step of the new one is read."""
        spec = self.spec
        steps = values.shape[1]
        last = (length - 1).clamp_min(1).view(-1, 1).to(torch.float32)
        place = (_ramp(values) / last).clamp(max=1.0)
        if spec.time_warp > 0:
            speed = torch.exp(spec.time_warp * draws.normal("series speed", spec.knots, 1))
            passed = torch.cumsum(_curve(speed, length, steps)[..., 0], dim=1)
            passed = passed - passed[:, :1]  # the first step stays the first one
            whole = passed.gather(1, last.long().clamp(max=steps - 1))
            place = (passed / whole.clamp_min(1e-6)).clamp(max=1.0)
        if spec.window > 0:
            cut = spec.window * draws.uniform("series window", 1)
            place = cut * draws.uniform("series window start", 1) + (1 - cut) * place
        return place * last


def _ramp(values: Tensor) -> Tensor:
    """(1,T) 0, 1, 2, ..."""
    return torch.arange(values.shape[1], device=values.device).unsqueeze(0)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """(B,T,D) values read between time steps, on the line between neighbours."""
    low = places.floor().long().clamp(0, values.shape[1] - 1)
    high = (low + 1).clamp(max=values.shape[1] - 1)
    part = (places - low).unsqueeze(2)
    wide = (-1, -1, values.shape[2])
    below = values.gather(1, low.unsqueeze(2).expand(*wide))
    above = values.gather(1, high.unsqueeze(2).expand(*wide))
    return below + (above - below) * part


def _curve(knots: Tensor, length: Tensor, steps: int) -> Tensor:
    """(B,T,D) a smooth curve through (B,K,D) knots that are spread over each series, level at each knot."""
    last = (length - 1).clamp_min(1).view(-1, 1).to(knots.dtype)
    ramp = torch.arange(steps, device=knots.device).unsqueeze(0)
    place = (ramp / last).clamp(max=1.0) * (knots.shape[1] - 1)
    low = place.floor().long().clamp(max=knots.shape[1] - 2)
    part = (place - low).unsqueeze(2)
    eased = part * part * (3 - 2 * part)
    wide = (-1, -1, knots.shape[2])
    below = knots.gather(1, low.unsqueeze(2).expand(*wide))
    above = knots.gather(1, (low + 1).unsqueeze(2).expand(*wide))
    return below + (above - below) * eased
