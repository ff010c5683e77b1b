"""What the nets rnn, lstm and gru share: settings, plan, and the way from a sequence to a vector.

Legend: B examples, T positions, D width of what enters, H hidden units of one direction.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.dropout import Dropout
from limpid.layers.packing import pack
from limpid.layers.recipes import by_steps, tier
from limpid.layers.recurrent import GATES, Cell, Recurrent
from limpid.layers.sequences import Entry, Pool, Pooling, trim
from limpid.layers.sizing import allowance, largest

_WIDTHS = (128, 96, 64, 48, 32)
_TABLE_VALUES = 1 << 21
_STEPS = 1_500


class RecurrentSpec(Spec):
    """Settings of a recurrent net."""

    token_width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="width of a token's vector; vectors that are given keep their own"
    )
    width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="hidden units of a layer in one direction"
    )
    layers: Annotated[int, Field(ge=1, le=16)] = Field(default=1, description="number of recurrent layers")
    bidirectional: bool = Field(default=True, description="whether each layer also reads from the end to the beginning")
    pooling: Pooling = Field(
        default="attention", description="how the states of all positions become one: attention, mean or max"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of values set to zero in training: what enters a layer, and the pooled state"
    )


class RecurrentNet(nn.Module):
    """Recurrent layers over a sequence, their states pooled.

    Args:
        spec: without autos.
        shape: of the seq, tokens or vectors.

    Shapes and units:
        Seq to (B,D), D being H for each direction.
    """

    Spec: ClassVar[type[RecurrentSpec]] = RecurrentSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})
    cell: ClassVar[Cell]

    width: int
    members: int | None = None

    def __init__(self, spec: RecurrentSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.token_width != AUTO and spec.width != AUTO and spec.dropout != AUTO
        self.length = shape.length
        self.entry = Entry(shape, spec.token_width if shape.width is None else shape.width)
        self.width = spec.width * (2 if spec.bidirectional else 1)
        self.layers = nn.ModuleList(
            Recurrent(
                self.cell,
                self.entry.width if n == 0 else self.width,
                spec.width,
                bidirectional=spec.bidirectional,
            )
            for n in range(spec.layers)
        )
        self.pool = Pool(spec.pooling, self.width)
        self.dropout = Dropout(spec.dropout)

    @classmethod
    def plan(cls, spec: RecurrentSpec, shape: SeqShape, size: Size) -> tuple[RecurrentSpec, Reasons]:
        """A medium net, with the largest of five widths that rows, seconds and length allow."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        entering = shape.width
        if entering is None:
            assert shape.vocabulary is not None
            entering = min(128, max(16, _TABLE_VALUES // shape.vocabulary))
        if spec.token_width == AUTO:
            settled["token_width"] = entering
            because["token_width"] = (
                "the width of the vectors given"
                if shape.vocabulary is None
                else f"16 to 128, so that the vectors of {shape.vocabulary:,} tokens hold about {_TABLE_VALUES:,} "
                "values at most"
            )
        inputs = entering if spec.token_width == AUTO or shape.vocabulary is None else spec.token_width
        directions = 2 if spec.bidirectional else 1

        def cost(width: int) -> float:
            first, further = inputs + width, (directions + 1) * width
            return 2.0 * shape.length * directions * GATES[cls.cell] * width * (first + (spec.layers - 1) * further)

        if spec.width == AUTO:
            width, reason = largest(_WIDTHS, cost, allowance(size))
            settled["width"], because["width"] = width, reason
        if spec.dropout == AUTO:
            share = 0.5 if size.rows < 20_000 else 0.2
            settled["dropout"] = share
            because["dropout"] = (
                "0.5, outside of the recurrence, as in the medium net of Zaremba et al. 2014 (arXiv 1409.2329)"
                if size.rows < 20_000
                else f"less than the published 0.5, since {size.rows:,} rows are hard to learn by heart"
            )
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: RecurrentSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows)
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            values={"lr": 0.002, "weight_decay": 0.01},
            reasons={
                "batch": f"more rows, larger batches: {size.rows:,} here",
                "optimiser": "rare tokens need steps scaled by their own gradients",
                "lr": "twice the usual 0.001, with a schedule that falls to zero",
                "weight_decay": "usual for adamw; vectors of tokens and biases are spared",
                "clip": "gradients through many steps can explode (Pascanu et al. 2013, arXiv 1211.5063)",
            },
        )

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        form = trim(form)
        x = self.entry(form)
        packing = pack(form.mask)
        for layer in self.layers:
            x = layer(self.dropout(x), packing)
        pooled: Tensor = self.dropout(self.pool(x, form.mask))
        return pooled

    def flops(self) -> float:
        """Of one example of the greatest length."""
        total = self.entry.flops(self.length) + self.pool.flops(self.length)
        return total + sum(layer.flops(self.length) for layer in self.layers if isinstance(layer, Recurrent))
