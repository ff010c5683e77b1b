"""patchtst: stretches of a series as the tokens of a transformer.

Legend: B examples, T steps, P steps of a patch, N patches, D width of a token.

Nie et al. 2023, "A time series is worth 64 words" (arXiv 2211.14730). Published defaults: patches of 16 steps every 8,
three layers, 16 heads, width 128, feed-forward layers of 256, dropout 0.2 (a quarter of the width and heads for small
data sets), learned positions, and a linear layer on all tokens side by side, which here is the task's head. The
published network reads each channel by itself; here a patch holds all values of its steps, covariates and what is
known ahead included, so that they can meet.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.attention import Block
from limpid.layers.dropout import Dropout
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sizing import allowance, largest
from limpid.layers.stretches import Stretch

_SIZES = ((3, 128), (2, 128), (3, 64), (2, 64), (3, 32), (2, 32), (2, 16))
_HEADS = (16, 8, 4, 2, 1)
_STEPS = 2_000

Count = Annotated[int, Field(ge=1, le=4096)]
Share = Annotated[float, Field(ge=0, le=0.9)]


class PatchTSTSpec(Spec):
    """Settings of patchtst."""

    patch: Auto | Count = Field(default=AUTO, description="steps of a patch")
    stride: Auto | Count = Field(default=AUTO, description="steps between the beginnings of two patches")
    blocks: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="transformer blocks")
    width: Auto | Annotated[int, Field(ge=2, le=4096)] = Field(default=AUTO, description="width of a token")
    heads: Auto | Annotated[int, Field(ge=1, le=256)] = Field(
        default=AUTO, description="heads of the attention, a divisor of the width"
    )
    hidden: Annotated[float, Field(gt=0, le=16)] = Field(
        default=2.0, description="width inside a feed-forward layer, in widths of a token"
    )
    dropout: Auto | Share = Field(default=AUTO, description="share of values set to zero in training")
    token_width: Count = Field(default=16, description="width of a token's vector, where the sequence holds tokens")


class PatchTST(nn.Module):
    """A transformer over patches.

    Args:
        spec: without autos.
        shape: of the seq.

    Shapes and units:
        Seq to (B,N*D).
    """

    Spec: ClassVar[type[PatchTSTSpec]] = PatchTSTSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: PatchTSTSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.patch != AUTO and spec.stride != AUTO and spec.blocks != AUTO
        assert spec.width != AUTO and spec.heads != AUTO and spec.dropout != AUTO
        self.stretch = Stretch(shape, spec.token_width)
        self.patch, self.step = min(spec.patch, shape.length), spec.stride
        self.count = patches(shape.length, self.patch, self.step)
        values = self.stretch.own + self.stretch.past + self.stretch.known
        self.embed = nn.Linear(self.patch * values, spec.width)
        self.place = nn.Parameter(torch.empty(self.count, spec.width).uniform_(-0.02, 0.02))
        self.dropout = Dropout(spec.dropout)
        self.blocks = nn.ModuleList(
            Block(
                spec.width,
                spec.heads,
                max(1, int(spec.width * spec.hidden)),
                attention_dropout=0.0,
                hidden_dropout=spec.dropout,
                residual_dropout=spec.dropout,
                first=False,
            )
            for _ in range(spec.blocks)
        )
        self.norm = nn.LayerNorm(spec.width)
        self.width = self.count * spec.width

    @classmethod
    def plan(cls, spec: PatchTSTSpec, shape: SeqShape, size: Size) -> tuple[PatchTSTSpec, Reasons]:
        """Published defaults, with shorter patches for short series and the largest size that rows and time allow."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        patch = spec.patch if spec.patch != AUTO else min(16, max(1, shape.length // 6))
        if spec.patch == AUTO:
            settled["patch"] = patch
            because["patch"] = f"published: 16; at most a sixth of the {shape.length} steps"
        stride = spec.stride if spec.stride != AUTO else max(1, patch // 2)
        if spec.stride == AUTO:
            settled["stride"], because["stride"] = stride, "half a patch, as published"
        count = patches(shape.length, min(patch, shape.length), stride)

        def cost(candidate: tuple[int, int]) -> float:
            blocks, width = candidate
            return 2.0 * blocks * count * (4 * width**2 + 3 * width * width * spec.hidden + 2 * count * width)

        def fitted(width: int) -> int:
            return width if spec.heads == AUTO else -(-width // spec.heads) * spec.heads

        candidates = [
            (b if spec.blocks == AUTO else spec.blocks, fitted(w) if spec.width == AUTO else spec.width)
            for b, w in _SIZES[0 if size.rows >= 20_000 else 4 :]
        ]
        (blocks, width), reason = largest(list(dict.fromkeys(candidates)), cost, allowance(size))
        if spec.blocks == AUTO:
            settled["blocks"], because["blocks"] = blocks, f"published: 3; {reason}"
        if spec.width == AUTO:
            settled["width"], because["width"] = width, f"published: 128, and less below 20,000 rows; {reason}"
        if spec.heads == AUTO:
            settled["heads"] = next(h for h in _HEADS if (width % h == 0 and width // h >= 8) or h == 1)
            because["heads"] = f"published: 16 of width 8; the most of at least that width that {width} divides into"
        if spec.dropout == AUTO:
            share = 0.3 if size.rows < 20_000 else 0.2
            settled["dropout"], because["dropout"] = share, f"published: 0.2, 0.3 for few windows: {size.rows:,} here"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: PatchTSTSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows, [(2_000, 32)], 128)
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            epochs=(5, 100),
            averaged=0.2,
            patience=5,
            values={"lr": 0.0005, "weight_decay": 0.01, "schedule": "one-cycle", "warmup": 0.2},
            reasons={
                "batch": f"as published, 128; fewer for few windows: {size.rows:,} here",
                "optimiser": "usual for transformers",
                "lr": "published: 0.0001 over a hundred epochs; more in fewer steps",
                "weight_decay": "windows overlap, so there is less to learn from than their number says",
                "schedule": "one cycle, as published",
            },
        )

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,N*D)."""
        x = self.stretch.whole(form).transpose(1, 2)  # (B,values,T)
        short = (self.count - 1) * self.step + self.patch - x.shape[2]
        if short > 0:
            x = F.pad(x, (short, 0))  # before the oldest step, so that the latest patch is whole
        tokens = self.embed(x.unfold(2, self.patch, self.step).transpose(1, 2).flatten(2)) + self.place
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        flat: Tensor = self.norm(tokens).flatten(1)
        return flat

    def flops(self) -> float:
        """Of one example."""
        own = sum(block.flops(self.count) for block in self.blocks if isinstance(block, Block))
        return 2.0 * self.count * self.embed.weight.numel() + own


def patches(length: int, patch: int, stride: int) -> int:
    """Patches that cover so many steps.

    Example:
        >>> patches(96, 16, 8)
        11
    """
    return 1 + ceil(max(0, length - patch) / stride)
