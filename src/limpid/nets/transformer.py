"""transformer: every word looks at every other one, several times over.

Legend: B examples, T positions, D width, H heads.

The encoder of Vaswani et al. 2017 (arXiv 1706.03762), normalised before each part (Xiong et al. 2020, arXiv
2002.04745), with rotary positions (Su et al. 2021, arXiv 2104.09864) and gated feed-forward layers (Shazeer 2020, arXiv
2002.05202). Published defaults: dropout 0.1, gated layers of 8/3 of the width, heads of 64 values; width 512 and 6
blocks, which take more text than most tables hold: here 2 blocks of width 128 at most.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.attention import Block
from limpid.layers.dropout import Dropout
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sequences import Entry, Pool, Pooling, trim
from limpid.layers.sizing import allowance, largest

_SIZES = ((2, 128), (2, 96), (2, 64), (1, 64), (1, 32))
_HEADS = (4, 2, 1)
_STEPS = 2_000


class TransformerSpec(Spec):
    """Settings of transformer."""

    width: Auto | Annotated[int, Field(ge=2, le=4096)] = Field(
        default=AUTO, description="width of a token; a multiple of twice `heads`"
    )
    blocks: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="number of transformer blocks")
    heads: Auto | Annotated[int, Field(ge=1, le=64)] = Field(default=AUTO, description="attention heads of a block")
    hidden: Annotated[float, Field(gt=0, le=16)] = Field(
        default=8 / 3, description="width inside the feed-forward layers, as a multiple of `width`"
    )
    pooling: Pooling = Field(
        default="attention", description="how the last states of all positions become one: attention, mean or max"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO,
        description="share of values set to zero in training: what enters, attention weights, inside the feed-forward "
        "layers, each block's contributions, and the pooled state",
    )

    @model_validator(mode="after")
    def _divides(self) -> TransformerSpec:
        if self.width != AUTO and self.heads != AUTO and self.width % (2 * self.heads):
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads of pairs")
        return self


class Transformer(nn.Module):
    """A transformer encoder over a sequence.

    Args:
        spec: without autos.
        shape: of the seq, tokens or vectors.

    Shapes and units:
        Seq to (B,D).
    """

    Spec: ClassVar[type[TransformerSpec]] = TransformerSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: TransformerSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.width != AUTO and spec.blocks != AUTO and spec.heads != AUTO and spec.dropout != AUTO
        self.width = spec.width
        self.length = shape.length
        self.entry = Entry(shape, spec.width, project=True)
        self.blocks = nn.ModuleList(
            Block(
                spec.width,
                spec.heads,
                max(1, int(spec.width * spec.hidden)),
                attention_dropout=spec.dropout,
                hidden_dropout=spec.dropout,
                residual_dropout=spec.dropout,
                first=False,
                rotary=True,
            )
            for _ in range(spec.blocks)
        )
        self.norm = nn.LayerNorm(spec.width)
        self.pool = Pool(spec.pooling, spec.width)
        self.dropout = Dropout(spec.dropout)

    @classmethod
    def plan(cls, spec: TransformerSpec, shape: SeqShape, size: Size) -> tuple[TransformerSpec, Reasons]:
        """A small encoder, the largest of five sizes that rows, seconds and length allow."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        heads, length = spec.heads, shape.length

        def cost(candidate: tuple[int, int]) -> float:
            blocks, width = candidate
            return 2.0 * blocks * length * (4 * width**2 + 3 * width * width * spec.hidden + 2 * length * width)

        def fitted(width: int) -> int:
            return width if heads == AUTO else -(-width // (2 * heads)) * 2 * heads

        candidates = [
            (b if spec.blocks == AUTO else spec.blocks, fitted(w) if spec.width == AUTO else spec.width)
            for b, w in _SIZES
        ]
        (blocks, width), reason = largest(list(dict.fromkeys(candidates)), cost, allowance(size))
        if spec.blocks == AUTO:
            settled["blocks"], because["blocks"] = blocks, reason
        if spec.width == AUTO:
            settled["width"], because["width"] = width, reason
        if heads == AUTO:
            settled["heads"] = next((h for h in _HEADS if width % (2 * h) == 0), 1)
            because["heads"] = f"the most of {', '.join(map(str, _HEADS))} that {width} divides into"
        if spec.dropout == AUTO:
            share = 0.3 if size.rows < 20_000 else 0.1
            settled["dropout"] = share
            because["dropout"] = f"published: 0.1; more below 20,000 rows: {size.rows:,} here"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: TransformerSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows)
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            values={"lr": 0.001, "weight_decay": 0.01, "warmup": 0.1},
            reasons={
                "batch": f"more rows, larger batches: {size.rows:,} here",
                "optimiser": "as published for all transformers since, with decay apart from the gradient",
                "lr": "narrow nets stand larger rates than the published 0.0002 or so of wide ones",
                "weight_decay": "usual for adamw; vectors of tokens, norms and biases are spared",
                "warmup": "transformers diverge at full rate in the first steps",
            },
        )

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        form = trim(form)
        x = self.dropout(self.entry(form))
        for block in self.blocks:
            x = block(x, mask=form.mask)
        pooled: Tensor = self.dropout(self.pool(self.norm(x), form.mask))
        return pooled

    def flops(self) -> float:
        """Of one example of the greatest length."""
        total = self.entry.flops(self.length) + self.pool.flops(self.length)
        return total + sum(block.flops(self.length) for block in self.blocks if isinstance(block, Block))
