"""textcnn: windows over neighbouring words, and of each pattern the strongest place.

Legend: B examples, T positions, D width of a token, F patterns of one window size.

Kim 2014, "Convolutional neural networks for sentence classification" (arXiv 1408.5882). Published defaults: windows of
3, 4 and 5 words, 100 patterns each, the maximum over all places, dropout 0.5, vectors of width 300 that were learnt
elsewhere. Here they are learnt from the training rows alone, so they are narrower.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.dropout import Dropout
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sequences import Entry, Pool, trim
from limpid.layers.sizing import allowance, largest

_PATTERNS = (100, 64, 48, 32, 16)
_TABLE_VALUES = 1 << 21
_STEPS = 1_500

Window = Annotated[int, Field(ge=1, le=64)]


class TextCNNSpec(Spec):
    """Settings of textcnn."""

    token_width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="width of a token's vector; vectors that are given keep their own"
    )
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=16)] = Field(
        default=(3, 4, 5), description="sizes of the windows in tokens"
    )
    patterns: Auto | Annotated[int, Field(ge=1, le=8192)] = Field(
        default=AUTO, description="patterns that are looked for with each window size"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of values set to zero in training: what enters, and the maxima"
    )


class TextCNN(nn.Module):
    """Convolutions of several widths over a sequence, each reduced to its maximum.

    Args:
        spec: without autos.
        shape: of the seq, tokens or vectors.

    Shapes and units:
        Seq to (B,D), D being F for each window size.
    """

    Spec: ClassVar[type[TextCNNSpec]] = TextCNNSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: TextCNNSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.token_width != AUTO and spec.patterns != AUTO and spec.dropout != AUTO
        self.length = shape.length
        self.entry = Entry(shape, spec.token_width if shape.width is None else shape.width)
        self.convolutions = nn.ModuleList(nn.Conv1d(self.entry.width, spec.patterns, size) for size in spec.windows)
        self.pool = Pool("max", spec.patterns)
        self.dropout = Dropout(spec.dropout)
        self.width = spec.patterns * len(spec.windows)

    @classmethod
    def plan(cls, spec: TextCNNSpec, shape: SeqShape, size: Size) -> tuple[TextCNNSpec, Reasons]:
        """Published defaults, with the largest of five numbers of patterns that rows, seconds and length allow."""
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

        def cost(patterns: int) -> float:
            return 2.0 * shape.length * sum(spec.windows) * inputs * patterns

        if spec.patterns == AUTO:
            patterns, reason = largest(_PATTERNS, cost, allowance(size))
            settled["patterns"], because["patterns"] = patterns, f"published: 100; {reason}"
        if spec.dropout == AUTO:
            settled["dropout"], because["dropout"] = 0.5, "as published by Kim 2014"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: TextCNNSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows)
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            values={"lr": 0.001, "weight_decay": 0.01},
            reasons={
                "batch": f"published: 50; more rows, larger batches: {size.rows:,} here",
                "optimiser": "rare tokens need steps scaled by their own gradients",
                "lr": "the usual 0.001, with a schedule that falls to zero",
                "weight_decay": "in place of the published bound on the head's norm; vectors of tokens are spared",
            },
        )

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        form = trim(form)
        x = self.dropout(self.entry(form)).transpose(1, 2)  # (B,D,T)
        found = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            # A window for each position and none that begins outside: what follows the end is zero for every length.
            (size,) = convolution.kernel_size
            y = convolution(F.pad(x, ((size - 1) // 2, size // 2)))
            found.append(self.pool(y.transpose(1, 2), form.mask))
        # The rectifier commutes with the maximum, and costs less behind it.
        pooled: Tensor = self.dropout(torch.relu(torch.cat(found, dim=-1)))
        return pooled

    def flops(self) -> float:
        """Of one example of the greatest length."""
        weights = sum(p.numel() for p in self.convolutions.parameters() if p.dim() == 3)
        return self.entry.flops(self.length) + 2.0 * self.length * weights
