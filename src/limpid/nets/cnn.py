"""cnn: the textbook convolutional network: convolution, norm, activation, pooling, and a dense layer.

Legend: B examples, C channels, H height, W width, D width of the dense layer.

The plan of LeNet (LeCun et al. 1998) and VGG (Simonyan and Zisserman 2014, arXiv 1409.1556): small filters, and twice
the channels wherever pooling halves height and width.
"""

from __future__ import annotations

from math import exp, log2
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Grid, GridShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.activations import Activation, activation
from limpid.layers.dropout import Dropout
from limpid.layers.grids import (
    batch_rows,
    convolution,
    convolution_flops,
    grid_allowance,
    grid_norm,
    halved,
    halving,
)
from limpid.layers.initialise import initialise
from limpid.layers.norms import Norm
from limpid.layers.sizing import largest

Channels = Annotated[int, Field(ge=1, le=4096)]

_WIDTHS = (64, 48, 32, 24, 16, 12, 8)
_MOST_CHANNELS = 512
_LAST_SIDE = 4


class CNNSpec(Spec):
    """Settings of cnn."""

    widths: Annotated[tuple[Channels, ...], Field(max_length=16)] = Field(
        default=(),
        description="channels of each stage; by default `stages` of them, from `width` on, each twice the last",
    )
    width: Auto | Channels = Field(default=AUTO, description="channels of the first stage, where `widths` is not given")
    stages: Auto | Annotated[int, Field(ge=1, le=16)] = Field(
        default=AUTO, description="number of stages, each of which ends in pooling, where `widths` is not given"
    )
    convolutions: Annotated[int, Field(ge=1, le=16)] = Field(default=1, description="convolutions in a stage")
    kernel: Literal[1, 3, 5, 7] = Field(default=3, description="height and width of a filter in places")
    pool: Literal["max", "mean"] = Field(default="max", description="what is taken of each two by two places")
    activation: Activation = Field(default="relu", description="activation function")
    norm: Norm = Field(default="batch", description="normalisation between a convolution and its activation")
    hidden: Auto | Annotated[int, Field(ge=1, le=8192)] = Field(default=AUTO, description="width of the dense layer")
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of values set to zero in training, before and after the dense layer"
    )


class CNN(nn.Module):
    """Stages of convolutions that each end in pooling, then a dense layer over all places.

    Args:
        spec: without autos.
        shape: of the grid; sides of one place are not pooled.

    Shapes and units:
        Grid to (B,D).
    """

    Spec: ClassVar[type[CNNSpec]] = CNNSpec
    takes: ClassVar[str] = "grid"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: CNNSpec, shape: GridShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.hidden != AUTO
        assert spec.dropout != AUTO
        self.width = spec.hidden
        self._flops = cost(spec, shape)
        channels, height, width = shape.channels, shape.height, shape.width
        layers: list[nn.Module] = []
        for outputs in channels_of(spec):
            for _ in range(spec.convolutions):
                between = grid_norm(spec.norm, outputs)
                layers.append(convolution(channels, outputs, spec.kernel, bias=between is None))
                layers += [step for step in (between, activation(spec.activation)) if step is not None]
                channels = outputs
            layers.append(halving(spec.pool, height, width))
            height, width = halved(height, width)
        self.layers = nn.Sequential(*layers)
        dense = nn.Linear(channels * height * width, spec.hidden)
        initialise(dense, "kaiming", spec.activation)
        self.dense = nn.Sequential(
            nn.Flatten(), Dropout(spec.dropout), dense, activation(spec.activation), Dropout(spec.dropout)
        )

    @classmethod
    def plan(cls, spec: CNNSpec, shape: GridShape, size: Size) -> tuple[CNNSpec, Reasons]:
        """Pool until about four places a side are left; as wide as rows, seconds and pixels allow."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.stages == AUTO:
            longest = max(shape.height, shape.width)
            stages = len(spec.widths) or min(
                6, max(1, round(log2(longest / _LAST_SIDE)) if longest > _LAST_SIDE else 1)
            )
            settled["stages"] = stages
            because["stages"] = (
                "the number of widths given"
                if spec.widths
                else f"each halves the sides, until about {_LAST_SIDE} of {longest} places are left"
            )
        if spec.hidden == AUTO:
            settled["hidden"] = 64 if size.rows < 2_000 else 128
            because["hidden"] = f"64 below 2,000 rows, otherwise 128: {size.rows:,} here"
        if spec.width == AUTO and spec.widths:
            settled["width"], because["width"] = spec.widths[0], "the first of the widths given"
        elif spec.width == AUTO:
            settled["width"], because["width"] = largest(
                _WIDTHS,
                lambda width: cost(spec.with_(**{**settled, "width": width}), shape),
                grid_allowance(size),
            )
        if spec.dropout == AUTO:
            share = 0.3 if size.rows < 20_000 else 0.1
            settled["dropout"] = share
            because["dropout"] = f"0.3 below 20,000 rows, otherwise 0.1: {size.rows:,} here"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: CNNSpec, shape: GridShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = min(256, batch_rows(size, shape.height, shape.width))
        steps = max(1, size.rows // batch)
        values = {
            "batch": batch,
            "optimiser": "adamw",
            "lr": 0.002,
            "weight_decay": 0.05,
            "schedule": "one-cycle",
            "warmup": 0.25,
            "ema": round(exp(-1 / max(1.0, 0.5 * steps)), 5),
            "clip": 1.0,
        }
        reasons = {
            "batch": f"small batches for few rows, {size.rows:,} here",
            "optimiser": "robust without tuning",
            "lr": "usual for adamw with batch normalisation",
            "weight_decay": "usual for adamw and convolutions; norms and biases are spared",
            "schedule": "reaches a good score in a fixed number of steps (Smith & Topin 2018)",
            "warmup": "a quarter of the steps",
            "ema": f"averages over half a pass, {steps:,} steps each",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return values, reasons

    def prepare(self, form: Grid, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Grid) -> Tensor:
        """(B,D)."""
        x: Tensor = self.dense(self.layers(form.pixels))
        return x

    def flops(self) -> float:
        """Of one example."""
        return self._flops


def channels_of(spec: CNNSpec) -> tuple[int, ...]:
    """Channels of each stage.

    Example:
        >>> channels_of(CNNSpec(width=32, stages=3))
        (32, 64, 128)
    """
    if spec.widths:
        return spec.widths
    assert spec.width != AUTO
    assert spec.stages != AUTO
    most = max(_MOST_CHANNELS, spec.width)
    return tuple(min(spec.width << n, most) for n in range(spec.stages))


def cost(spec: CNNSpec, shape: GridShape) -> float:
    """Multiplications and additions of one example's forward pass."""
    assert spec.hidden != AUTO
    channels, height, width = shape.channels, shape.height, shape.width
    total = 0.0
    for outputs in channels_of(spec):
        for _ in range(spec.convolutions):
            total += convolution_flops(channels, outputs, spec.kernel, height, width)
            channels = outputs
        height, width = halved(height, width)
    return total + 2.0 * channels * height * width * spec.hidden
