"""vit: a picture as a set of patches that look at each other.

Legend: B examples, C channels, H height, W width, T patches, R registers, D width of a token.

The vision transformer (Dosovitskiy et al. 2020, arXiv 2010.11929) in its plain form of Beyer et al. (2022, "Better
plain ViT baselines", arXiv 2205.01580): fixed places from sines and cosines, the mean over patches as the answer. The
registers are those of Darcet et al. (2023, arXiv 2309.16588).
"""

from __future__ import annotations

from math import ceil, exp, sqrt
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Grid, GridShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.attention import Block
from limpid.layers.grids import batch_rows, grid_allowance
from limpid.layers.sizing import largest

_SIZES = ((9, 256), (7, 192), (6, 192), (6, 128), (4, 128), (4, 96), (3, 64), (2, 64), (2, 32))
_HEAD_WIDTH = 32
_TOKENS = 64
_BASE = 100.0


class ViTSpec(Spec):
    """Settings of vit."""

    patch: Auto | Annotated[int, Field(ge=1, le=1024)] = Field(
        default=AUTO, description="height and width of a patch in pixels"
    )
    width: Auto | Annotated[int, Field(ge=4, le=4096)] = Field(
        default=AUTO, description="width of a token; a multiple of `heads` and of 4"
    )
    blocks: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="number of transformer blocks")
    heads: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="attention heads of a block")
    hidden: Annotated[float, Field(gt=0, le=16)] = Field(
        default=2.0, description="width inside the gated feed-forward layers, as a multiple of `width`"
    )
    registers: Annotated[int, Field(ge=0, le=64)] = Field(
        default=4, description="further tokens that belong to no patch and collect what concerns the whole picture"
    )
    answer: Literal["patches", "registers"] = Field(
        default="patches", description="the tokens whose mean after the last block is the answer"
    )
    attention_dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="share of attention weights set to zero in training"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of hidden values, and of each block's contributions, set to zero in training"
    )

    @model_validator(mode="after")
    def _divides(self) -> ViTSpec:
        if self.width != AUTO and self.width % 4:
            raise ValueError(f"a width of {self.width} is no multiple of 4")
        if self.width != AUTO and self.heads != AUTO and self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")
        if self.answer == "registers" and not self.registers:
            raise ValueError("there are no registers to answer")
        return self


class ViT(nn.Module):
    """A transformer over the patches of a picture.

    Args:
        spec: without autos.
        shape: of the grid; sides that patches do not divide are filled up with zeros, the mean of normalised pixels.

    Shapes and units:
        Grid to (B,D).
    """

    Spec: ClassVar[type[ViTSpec]] = ViTSpec
    takes: ClassVar[str] = "grid"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None
    places: Tensor

    def __init__(self, spec: ViTSpec, shape: GridShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.patch != AUTO
        assert spec.width != AUTO
        assert spec.blocks != AUTO
        assert spec.heads != AUTO
        assert spec.dropout != AUTO
        self.spec = spec
        self.width = spec.width
        rows, columns = patches_of(spec.patch, shape)
        self.tokens = rows * columns + spec.registers
        self.inputs = shape.channels * spec.patch**2
        self.padding = (0, columns * spec.patch - shape.width, 0, rows * spec.patch - shape.height)
        self.patches = nn.Conv2d(shape.channels, spec.width, spec.patch, stride=spec.patch)
        nn.init.normal_(self.patches.weight, std=self.inputs**-0.5)
        assert self.patches.bias is not None
        nn.init.zeros_(self.patches.bias)
        self.register_buffer("places", sines(rows, columns, spec.width))
        self.registers_embedding = (
            nn.Parameter(torch.randn(spec.registers, spec.width) * spec.width**-0.5) if spec.registers else None
        )
        self.blocks = nn.ModuleList(
            Block(
                spec.width,
                spec.heads,
                max(1, int(spec.width * spec.hidden)),
                attention_dropout=spec.attention_dropout,
                hidden_dropout=spec.dropout,
                residual_dropout=spec.dropout,
                first=False,
            )
            for _ in range(spec.blocks)
        )
        self.norm = nn.LayerNorm(spec.width)

    @classmethod
    def plan(cls, spec: ViTSpec, shape: GridShape, size: Size) -> tuple[ViTSpec, Reasons]:
        """About 64 patches, and the largest of nine sizes that rows, seconds and patches allow."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.patch == AUTO:
            side = max(1, round(sqrt(shape.height * shape.width / _TOKENS)))
            settled["patch"] = side
            because["patch"] = f"about {_TOKENS} patches of {shape.height} by {shape.width} pixels"
        if spec.dropout == AUTO:
            share = 0.2 if size.rows < 10_000 else 0.1
            settled["dropout"] = share
            because["dropout"] = f"transformers learn few rows by heart; 0.2 below 10,000 rows: {size.rows:,} here"
        rows, columns = patches_of(int(settled.get("patch", spec.patch)), shape)
        tokens = rows * columns + spec.registers
        heads = spec.heads

        def fitted(width: int) -> int:
            step = 4 if heads == AUTO else heads * 4
            return -(-width // step) * step

        def cost(candidate: tuple[int, int]) -> float:
            blocks, width = candidate
            return 2.0 * blocks * tokens * ((4 + 3 * spec.hidden) * width**2 + 2 * tokens * width)

        candidates = [
            (b if spec.blocks == AUTO else spec.blocks, fitted(w) if spec.width == AUTO else spec.width)
            for b, w in _SIZES
        ]
        (blocks, width), reason = largest(list(dict.fromkeys(candidates)), cost, grid_allowance(size))
        if spec.blocks == AUTO:
            settled["blocks"], because["blocks"] = blocks, reason
        if spec.width == AUTO:
            settled["width"], because["width"] = width, reason
        if heads == AUTO:
            settled["heads"] = next(h for h in range(max(1, width // _HEAD_WIDTH), 0, -1) if width % h == 0)
            because["heads"] = f"one for {_HEAD_WIDTH} values of a token at most, and a divisor of {width}"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: ViTSpec, shape: GridShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = min(256, batch_rows(size, shape.height, shape.width))
        steps = max(1, size.rows // batch)
        values = {
            "batch": batch,
            "optimiser": "adamw",
            "lr": 0.001,
            "weight_decay": 0.1,
            "schedule": "cosine",
            "warmup": 0.1,
            "ema": round(exp(-1 / max(1.0, 0.5 * steps)), 5),
            "clip": 1.0,
        }
        reasons = {
            "batch": f"small batches for few rows: {size.rows:,} here",
            "optimiser": "as published",
            "lr": "as published for plain ViT baselines",
            "weight_decay": "as published for plain ViT baselines, per unit of rate; norms and biases are spared",
            "schedule": "as published: falls to zero over the planned steps",
            "warmup": "transformers diverge at full rate in the first steps",
            "ema": f"averages over half a pass, {steps:,} steps each",
            "clip": "as published",
        }
        return values, reasons

    def prepare(self, form: Grid, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Grid) -> Tensor:
        """(B,D)."""
        pixels = F.pad(form.pixels, self.padding) if any(self.padding) else form.pixels
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        # Registers stand last, where a block can be asked for them alone.
        x = tokens + self.places.to(tokens.dtype)
        count = self.spec.registers
        if self.registers_embedding is not None:
            x = torch.cat([x, self.registers_embedding.to(x.dtype).expand(len(x), -1, -1)], dim=1)
        asked = count if self.spec.answer == "registers" else None
        for n, block in enumerate(self.blocks, 1):
            x = block(x, last=asked if n == len(self.blocks) else None)
        if asked is None and count:
            x = x[:, :-count]
        features: Tensor = self.norm(x).mean(dim=1)
        return features

    def flops(self) -> float:
        """Of one example."""
        patches = self.tokens - self.spec.registers
        total = 2.0 * patches * self.inputs * self.width
        for n, block in enumerate(self.blocks, 1):
            assert isinstance(block, Block)
            asked = self.spec.answer == "registers" and n == len(self.blocks)
            total += block.flops(self.tokens, last=self.spec.registers if asked else None)
        return total


def patches_of(patch: int, shape: GridShape) -> tuple[int, int]:
    """Rows and columns of patches, the incomplete ones at the edges included."""
    return ceil(shape.height / patch), ceil(shape.width / patch)


def sines(rows: int, columns: int, width: int) -> Tensor:
    """(rows * columns, width): where each patch lies, as sines and cosines of its row and column.

    Args:
        rows, columns: of patches.
        width: D, a multiple of 4.

    Example:
        >>> sines(1, 2, 4).tolist()[0]
        [0.0, 1.0, 0.0, 1.0]
    """
    quarter = width // 4
    speeds = _BASE ** -(torch.arange(quarter) / max(quarter, 1))
    y, x = (torch.arange(n).unsqueeze(1) * speeds for n in (rows, columns))
    y, x = y[:, None].expand(-1, columns, -1), x[None].expand(rows, -1, -1)
    return torch.cat([y.sin(), y.cos(), x.sin(), x.cos()], dim=-1).flatten(0, 1)
