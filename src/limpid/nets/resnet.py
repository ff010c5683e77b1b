"""resnet: convolutions for small pictures after the fastest recipes for CIFAR-10, on a first layer that is not learnt.

Legend: B examples, C channels, H height, W width, D channels of the last group.

In the spirit of airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498) and of its
forerunner by Page (2018): patches are whitened by a first layer that `prepare` finds; groups of convolutions halve the
sides and keep what they were given (weights begin as an identity, and the last convolutions of a group are added to
its first); answers are averaged with those for the mirror image. For larger pictures the first layer takes strides.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Grid, GridShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.augment import ALIKE, mirror_asymmetry
from limpid.layers.activations import Activation, activation
from limpid.layers.dropout import Dropout
from limpid.layers.grids import (
    GridBatchNorm,
    batch_rows,
    convolution,
    convolution_flops,
    grid_allowance,
    halved,
    halving,
)
from limpid.layers.sizing import largest
from limpid.layers.whitening import Whitening

Channels = Annotated[int, Field(ge=1, le=4096)]

_WIDTHS = (
    (128, 384, 512),
    (64, 256, 256),
    (64, 192, 256),
    (64, 128, 256),
    (48, 128, 192),
    (32, 96, 128),
    (24, 64, 96),
    (16, 48, 64),
    (8, 24, 32),
)
_MOST_PLACES = 40
_STRIDES = (1, 2, 4, 8, 16)
_LOOK_ROWS = 4_096
_BATCH = 128
_SMALL_SIDE = 24
_SMALL_STEPS, _SMALL_AREA = 0.6, 0.5625
_SEEN = 300_000  # measured on CIFAR-10: a wider net in seven passes is as good as a narrower one in nine
_EFFICIENCY = 0.4  # measured: steps reach 0.3 to 0.45 of the speed of large products in bf16
_STATISTICS_MOMENTUM = 0.4


class ResNetSpec(Spec):
    """Settings of resnet."""

    widths: Auto | Annotated[tuple[Channels, ...], Field(min_length=1, max_length=8)] = Field(
        default=AUTO, description="channels of each group of convolutions; each group halves height and width"
    )
    depth: Annotated[int, Field(ge=1, le=16)] = Field(
        default=2, description="convolutions in a group; those after the first are added to its output"
    )
    stem_stride: Auto | Literal[1, 2, 4, 8, 16] = Field(
        default=AUTO, description="step of the first layer in pixels; its filters are one pixel larger, up to 8"
    )
    stem_components: Annotated[int, Field(ge=1, le=512)] = Field(
        default=24, description="directions of whitened patches at most; the first layer has twice as many filters"
    )
    activation: Activation = Field(default="gelu", description="activation function")
    dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="share of the last features set to zero in training"
    )
    test_mirror: Literal["look", "always", "never"] = Field(
        default="look",
        description="whether an answer is the mean over a picture and its mirror image; look: where training pictures "
        "in colour and their mirror images are alike within a class",
    )


class Group(nn.Module):
    """Convolution, pooling, and further convolutions whose result is added.

    Shapes and units:
        (B,C,H,W) to (B,K,H/2,W/2).
    """

    def __init__(self, inputs: int, outputs: int, height: int, width: int, spec: ResNetSpec) -> None:
        super().__init__()
        act = activation(spec.activation)
        self.first = nn.Sequential(_dirac(inputs, outputs), halving("max", height, width), _norm(outputs), act)
        rest: list[nn.Module] = []
        for _ in range(spec.depth - 1):
            rest += [_dirac(outputs, outputs), _norm(outputs), act]
        self.rest = nn.Sequential(*rest) if rest else None

    def forward(self, x: Tensor) -> Tensor:
        """(B,K,H/2,W/2)."""
        y: Tensor = self.first(x)
        return y if self.rest is None else y + self.rest(y)


class ResNet(nn.Module):
    """Whitened patches, then groups of convolutions, then the greatest value of each channel.

    Args:
        spec: without autos.
        shape: of the grid; any height and width, any number of channels.

    Shapes and units:
        Grid to (B,D).
    """

    Spec: ClassVar[type[ResNetSpec]] = ResNetSpec
    takes: ClassVar[str] = "grid"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})
    any_size: ClassVar[bool] = True
    """Pictures may be shown smaller for a while, since the last layer takes the greatest value of each channel."""

    width: int
    members: int | None = None
    mirrors: Tensor

    def __init__(self, spec: ResNetSpec, shape: GridShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.widths != AUTO
        assert spec.stem_stride != AUTO
        self.spec = spec
        self._flops = cost(spec, shape)
        self.width = spec.widths[-1]
        self.stem = Whitening(shape.channels, stem_kernel(spec, shape), spec.stem_stride, spec.stem_components)
        self.stem_activation = activation(spec.activation)
        groups = []
        channels, (height, width) = self.stem.filters, stem_places(spec, shape)
        for outputs in spec.widths:
            groups.append(Group(channels, outputs, height, width, spec))
            channels, (height, width) = outputs, halved(height, width)
        self.groups = nn.Sequential(*groups)
        self.dropout = Dropout(spec.dropout)
        self.register_buffer("mirrors", torch.tensor(spec.test_mirror == "always"))

    @classmethod
    def plan(cls, spec: ResNetSpec, shape: GridShape, size: Size) -> tuple[ResNetSpec, Reasons]:
        """Strides in the first layer for large pictures; the largest of eight sizes that rows and seconds allow."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.stem_stride == AUTO:
            longest = max(shape.height, shape.width)
            stride = next((s for s in _STRIDES if longest <= s * _MOST_PLACES), _STRIDES[-1])
            settled["stem_stride"] = stride
            because["stem_stride"] = (
                f"the smallest power of two that leaves {_MOST_PLACES} places a side at most: {longest} pixels here"
            )
        if spec.widths == AUTO:
            share = 1 - _SMALL_STEPS * (1 - _SMALL_AREA) if _can_be_small(shape) else 1.0
            settled["widths"], because["widths"] = largest(
                _WIDTHS,
                lambda widths: share * cost(spec.with_(**{**settled, "widths": widths}), shape),
                grid_allowance(size, seen=_SEEN, efficiency=_EFFICIENCY),
            )
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: ResNetSpec, shape: GridShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = min(_BATCH, batch_rows(size, shape.height, shape.width))
        small = _can_be_small(shape)
        values = {
            "batch": batch,
            "optimiser": "muon",
            "lr": 0.02,
            "weight_decay": 0.05,
            "schedule": "one-cycle",
            "warmup": 0.2,
            "ema": 0.98,
            "clip": None,
            "small": _SMALL_STEPS if small else 0.0,
        }
        reasons = {
            "batch": f"{_BATCH}, smaller for few rows or large pictures: {size.rows:,} rows of {shape.height} by "
            f"{shape.width} here; measured on 45,000 pictures of CIFAR-10: in three passes .854, with 500 rows less",
            "optimiser": "filters that move by orthogonal matrices learn in fewer steps, as in the fastest recipe",
            "lr": "measured on pictures of CIFAR-10: 0.015 and 0.03 were equal, in three passes",
            "weight_decay": "usual for adamw and convolutions; norms and biases are spared",
            "schedule": "reaches a good score in a fixed number of steps (Smith & Topin 2018)",
            "warmup": "a fifth of the steps, as published",
            "ema": "averages about the last fifty steps",
            "clip": "batch normalisation keeps gradients in bounds",
            "small": "steps with small pictures take about three fifths of the time, and details can wait"
            if small
            else f"there is nothing to spare: {shape.channels} channels, {shape.height} by {shape.width} pixels",
        }
        return values, reasons

    @torch.no_grad()
    def prepare(self, form: Grid, target: Tensor) -> None:
        """Find the filters of the first layer, and whether mirror images may stand for the pictures."""
        pixels = form.pixels[:_LOOK_ROWS]
        self.stem.prepare(pixels)
        if self.spec.test_mirror == "look":
            shown = mirror_asymmetry(pixels.cpu().numpy(), target[: len(pixels)].cpu().numpy())
            self.mirrors.fill_(pixels.shape[1] >= 3 and shown < ALIKE)

    def forward(self, form: Grid) -> Tensor:
        """(B,D)."""
        features = self._features(form.pixels)
        if not self.training and bool(self.mirrors):
            # The head is linear, so the mean of the features is the mean of the outputs.
            features = 0.5 * (features + self._features(form.pixels.flip(-1)))
        return features

    def _features(self, pixels: Tensor) -> Tensor:
        x = self.groups(self.stem_activation(self.stem(pixels)))
        features: Tensor = self.dropout(x.amax(dim=(2, 3)))
        return features

    def flops(self) -> float:
        """Of one example, without its mirror image."""
        return self._flops


def _can_be_small(shape: GridShape) -> bool:
    """Whether pictures lose little when they are shown smaller at first: those in colour that are not tiny."""
    return shape.channels >= 3 and min(shape.height, shape.width) >= _SMALL_SIDE


def _dirac(inputs: int, outputs: int) -> nn.Conv2d:
    """A convolution whose first filters hand their channel on as it is."""
    layer = convolution(inputs, outputs, 3)
    nn.init.dirac_(layer.weight.data[: min(inputs, outputs)])
    return layer


def _norm(channels: int) -> GridBatchNorm:
    # Few steps are taken, so the running statistics have to follow quickly.
    return GridBatchNorm(channels, momentum=_STATISTICS_MOMENTUM)


def stem_kernel(spec: ResNetSpec, shape: GridShape) -> tuple[int, int]:
    """Height and width of the first layer's filters, never larger than the picture."""
    assert spec.stem_stride != AUTO
    side = spec.stem_stride + 1 if spec.stem_stride < 8 else spec.stem_stride
    return min(side, shape.height), min(side, shape.width)


def stem_places(spec: ResNetSpec, shape: GridShape) -> tuple[int, int]:
    """Height and width after the first layer."""
    assert spec.stem_stride != AUTO
    kernel = stem_kernel(spec, shape)
    return (shape.height - kernel[0]) // spec.stem_stride + 1, (shape.width - kernel[1]) // spec.stem_stride + 1


def cost(spec: ResNetSpec, shape: GridShape) -> float:
    """Multiplications and additions of one example's forward pass."""
    assert spec.widths != AUTO
    kernel, (height, width) = stem_kernel(spec, shape), stem_places(spec, shape)
    patch = shape.channels * kernel[0] * kernel[1]
    channels = 2 * min(spec.stem_components, patch)
    total = 2.0 * patch * channels * height * width
    for outputs in spec.widths:
        total += convolution_flops(channels, outputs, 3, height, width)
        height, width = halved(height, width)
        total += (spec.depth - 1) * convolution_flops(outputs, outputs, 3, height, width)
        channels = outputs
    return total
