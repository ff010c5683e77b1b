"""Spectrograms as training shows them: moved, stretched, louder or softer, noisy, with parts hidden.

Legend: B rows of a batch, M bands, T frames.

Masks follow SpecAugment (Park et al. 2019, "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
Recognition", arXiv 1904.08779): what is hidden becomes the mean, which is 0 in standardised spectrograms. A move in
pitch stands for another length of the vocal tract (Jaitly and Hinton 2013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from limpid.core.forms import GridShape, SeqShape
from limpid.data.augment_spectrogram import SpectrogramAugmentSpec

if TYPE_CHECKING:
    from limpid.layers.draws import Draws


class SpectrogramAugment:
    """Changes standardised log spectrograms, each row by random numbers of its own.

    Args:
        spec: how much.
        shape: a grid of one channel, or a seq of vectors.

    Shapes and units:
        "pixels" (B,1,M,T), or "values" (B,T,M) with "length" (B,); in standard deviations of a band. Rows that are not
        there and what stands behind a sequence's end stay 0.
    """

    def __init__(self, spec: SpectrogramAugmentSpec, shape: GridShape | SeqShape) -> None:
        self.spec = spec
        self.shape = shape

    def __bool__(self) -> bool:
        """Whether anything is changed."""
        s = self.spec
        grid = isinstance(self.shape, GridShape)
        hidden = (s.time_masks and s.time_mask) or (s.frequency_masks and s.frequency_mask)
        return bool(hidden or s.pitch or s.gain or s.noise or (grid and (s.shift or s.stretch)))

    def __call__(self, parts: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        """The parts with changed values, float32."""
        if "pixels" in parts:
            there = parts.get("present")
            x_BMT = self._warped(parts["pixels"][:, 0].float(), draws, moves=True)
            length = x_BMT.new_full((len(x_BMT),), x_BMT.shape[2])
            x_BMT = self._changed(x_BMT, length, draws)
            if there is not None:
                x_BMT = x_BMT * (there > 0).to(x_BMT.dtype).view(-1, 1, 1)
            return {**parts, "pixels": x_BMT.unsqueeze(1)}
        length = parts["length"]
        x_BMT = self._warped(parts["values"].float().transpose(1, 2), draws, moves=False)
        x_BMT = self._changed(x_BMT, length.to(x_BMT.dtype), draws)
        inside = torch.arange(x_BMT.shape[2], device=x_BMT.device) < length.view(-1, 1, 1)
        return {**parts, "values": (x_BMT * inside).transpose(1, 2).contiguous()}

    def _warped(self, x_BMT: Tensor, draws: Draws, *, moves: bool) -> Tensor:
        """Moved and stretched in time, moved in pitch; what comes in from outside repeats the border."""
        spec = self.spec
        shift, stretch = (spec.shift, spec.stretch) if moves else (0.0, 0.0)
        if not (shift or stretch or spec.pitch):
            return x_BMT
        draw = 2.0 * draws.uniform("warp", 3).to(x_BMT.device) - 1.0
        matrix = x_BMT.new_zeros(len(x_BMT), 2, 3)
        matrix[:, 0, 0] = 1.0 + stretch * draw[:, 0]
        matrix[:, 0, 2] = 2.0 * shift * draw[:, 1]  # coordinates run from -1 to 1, so a whole length is 2
        matrix[:, 1, 1] = 1.0
        matrix[:, 1, 2] = 2.0 * spec.pitch * draw[:, 2]
        places = functional.affine_grid(matrix, [len(x_BMT), 1, *x_BMT.shape[1:]], align_corners=False)
        warped = functional.grid_sample(x_BMT.unsqueeze(1), places, padding_mode="border", align_corners=False)
        return warped.squeeze(1)

    def _changed(self, x_BMT: Tensor, length: Tensor, draws: Draws) -> Tensor:
        """Louder or softer, noisy, with parts hidden."""
        spec = self.spec
        if spec.gain:
            x_BMT = x_BMT + spec.gain * (2.0 * draws.uniform("gain", 1, 1).to(x_BMT.device) - 1.0)
        if spec.noise:
            level = spec.noise * draws.uniform("noise level", 1, 1).to(x_BMT.device)
            x_BMT = x_BMT + level * draws.normal("noise", *x_BMT.shape[1:]).to(x_BMT.device)
        bands = x_BMT.new_full((len(x_BMT),), x_BMT.shape[1])
        for purpose, count, share, size, axis in (
            ("time", spec.time_masks, spec.time_mask, length, 2),
            ("frequency", spec.frequency_masks, spec.frequency_mask, bands, 1),
        ):
            if not (count and share):
                continue
            hidden = _stretches(draws.uniform(f"{purpose} masks", count, 2).to(x_BMT.device), share, size, x_BMT, axis)
            x_BMT = x_BMT.masked_fill(hidden, 0.0)
        return x_BMT


def _stretches(draw: Tensor, share: float, size: Tensor, x_BMT: Tensor, axis: int) -> Tensor:
    """Which places along an axis are hidden, (B,1,T) or (B,M,1) bool: stretches of 0 to `share` of the size."""
    width = torch.floor(draw[:, :, 0] * (share * size + 1.0).unsqueeze(1))
    start = torch.floor(draw[:, :, 1] * (size.unsqueeze(1) - width + 1.0))
    places = torch.arange(x_BMT.shape[axis], device=x_BMT.device, dtype=x_BMT.dtype)
    inside = (places >= start.unsqueeze(2)) & (places < (start + width).unsqueeze(2))
    return inside.any(dim=1).unsqueeze(1 if axis == 2 else 2)
