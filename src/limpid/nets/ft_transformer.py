"""ft_transformer: each column is a token, and attention lets columns look at each other.

Legend: B examples, T tokens, D width of a token.

FT-Transformer (Gorishniy et al. 2021, "Revisiting deep learning models for tabular data", arXiv 2106.11959). Published
defaults: width 192, 3 blocks, 8 heads, gated feed-forward layers of 4/3 of the width, dropout 0.2 in the attention and
0.1 in the feed-forward layers, AdamW with rate 0.0001 and weight decay 0.00001.
"""

from __future__ import annotations

from math import exp
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Fields, FieldsShape
from limpid.core.spec import AUTO, Auto
from limpid.layers.attention import Block
from limpid.layers.fields import FieldsSpec, TokenFields, require_features
from limpid.layers.sizing import allowance, beside_line, largest, networks_of, plan_fields

_SIZES = ((3, 192), (3, 128), (2, 128), (2, 96), (2, 64), (1, 64), (1, 32))
_HEADS = (8, 4, 2, 1)


class FTTransformerSpec(FieldsSpec):
    """Settings of ft_transformer."""

    width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="width of a column's token; a multiple of `heads`"
    )
    blocks: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="number of transformer blocks")
    heads: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="attention heads of a block")
    hidden: Annotated[float, Field(gt=0, le=16)] = Field(
        default=4 / 3, description="width inside the feed-forward layers, as a multiple of `width`"
    )
    attention_dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.2, description="share of attention weights set to zero in training"
    )
    hidden_dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.1, description="share of values inside the feed-forward layers set to zero in training"
    )
    residual_dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="share of each block's contributions set to zero in training"
    )

    @model_validator(mode="after")
    def _divides(self) -> FTTransformerSpec:
        if self.width != AUTO and self.heads != AUTO and self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")
        return self


class FTTransformer(nn.Module):
    """A transformer over the columns of a table.

    Args:
        spec: without autos.
        shape: of the fields.

    Shapes and units:
        Fields to (B,D).

    Raises:
        RequestError: the table has no feature at all.
    """

    Spec: ClassVar[type[FTTransformerSpec]] = FTTransformerSpec
    takes: ClassVar[str] = "fields"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: FTTransformerSpec, shape: FieldsShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        self.line = spec.line is True
        assert spec.width != AUTO
        assert spec.blocks != AUTO
        assert spec.heads != AUTO
        self.width = spec.width
        self.fields = TokenFields(spec, shape, spec.width)
        bound = spec.width**-0.5
        self.summary_embedding = nn.Parameter(torch.empty(spec.width).uniform_(-bound, bound))
        self.blocks = nn.ModuleList(
            Block(
                spec.width,
                spec.heads,
                max(1, int(spec.width * spec.hidden)),
                attention_dropout=spec.attention_dropout,
                hidden_dropout=spec.hidden_dropout,
                residual_dropout=spec.residual_dropout,
                first=n == 0,
            )
            for n in range(spec.blocks)
        )
        self.norm = nn.LayerNorm(spec.width)
        self.activation = nn.ReLU()

    @classmethod
    def plan(cls, spec: FTTransformerSpec, shape: FieldsShape, size: Size) -> tuple[FTTransformerSpec, Reasons]:
        """Published defaults, with the largest of seven sizes that rows, seconds and columns allow."""
        require_features(shape)
        chosen, because = plan_fields(spec, shape, size, numbers="plain", flat=False)
        settled: dict[str, Any] = dict(chosen)
        tokens = len(shape.numbers) + len(shape.cardinalities) + 1
        heads = spec.heads

        def cost(candidate: tuple[int, int]) -> float:
            blocks, width = candidate
            return 2.0 * blocks * tokens * (4 * width**2 + 3 * width * width * spec.hidden + 2 * tokens * width)

        def fitted(width: int) -> int:
            return width if heads == AUTO else -(-width // heads) * heads

        candidates = [
            (b if spec.blocks == AUTO else spec.blocks, fitted(w) if spec.width == AUTO else spec.width)
            for b, w in _SIZES
        ]
        (blocks, width), reason = largest(list(dict.fromkeys(candidates)), cost, allowance(size, networks_of(spec)))
        if spec.blocks == AUTO:
            settled["blocks"], because["blocks"] = blocks, f"published: 3; {reason}"
        if spec.width == AUTO:
            settled["width"], because["width"] = width, f"published: 192; {reason}"
        if heads == AUTO:
            settled["heads"] = next(h for h in _HEADS if width % h == 0)
            because["heads"] = "as published" if settled["heads"] == _HEADS[0] else f"the most that divide {width}"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: FTTransformerSpec, shape: FieldsShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        assert spec.width != AUTO
        batch = 64 if size.rows < 2_000 else 256 if size.rows < 100_000 else 512
        steps = max(1, size.rows // batch)
        values = {
            "batch": batch,
            "optimiser": "adamw",
            "lr": round(1e-4 * 192 / min(spec.width, 192), 6),
            "weight_decay": 1e-5,
            "schedule": "cosine",
            "warmup": 0.1,
            "ema": round(exp(-1 / max(1.0, 0.5 * steps)), 5),
            "clip": 1.0,
        }
        reasons = {
            "batch": f"as published, other sizes for few or very many rows: {size.rows:,} here",
            "optimiser": "as published",
            "lr": f"the published 0.0001 at width 192, raised in proportion for a narrower net: {spec.width} here",
            "weight_decay": "as published",
            "schedule": "falls to zero over the planned steps",
            "warmup": "transformers diverge at full rate in the first steps",
            "ema": f"averages over half a pass, {steps:,} steps each",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return beside_line(spec, values, reasons)

    def prepare(self, form: Fields, target: Tensor) -> None:
        """Find the bins of the numbers in training rows, where they are embedded piecewise."""
        self.fields.prepare(form, target)

    def forward(self, form: Fields) -> Tensor:
        """(B,D): the summary token after the last block."""
        tokens = self.fields(form)
        x = torch.cat([tokens, self.summary_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)], dim=1)
        for n, block in enumerate(self.blocks, 1):
            # Only the summary is read afterwards, so the last block computes nothing else.
            x = block(x, last=1 if n == len(self.blocks) else None)
        summary: Tensor = self.activation(self.norm(x[:, -1]))
        return summary

    def flops(self) -> float:
        """Of one example."""
        total = self.fields.flops()
        for n, block in enumerate(self.blocks, 1):
            assert isinstance(block, Block)
            total += block.flops(self.fields.tokens + 1, last=1 if n == len(self.blocks) else None)
        return total
