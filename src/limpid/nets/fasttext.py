"""fasttext: a text as the mean of the vectors of its words and of their neighbourhoods, and nothing else.

Legend: B examples, T positions, D width of a vector.

Joulin et al. 2016, "Bag of tricks for efficient text classification" (arXiv 1607.01759). Published defaults: vectors of
width 10, pairs of neighbouring words by their hash. It differs from bag in that it has no hidden layer, reads words in
their order, and makes pairs of them: "not good" is a token of its own.
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
from limpid.layers.ngrams import neighbours
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sequences import trim

_STEPS = 1_500


class FastTextSpec(Spec):
    """Settings of fasttext."""

    width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="width of a vector; vectors that are given keep their own"
    )
    ngrams: Annotated[int, Field(ge=1, le=5)] = Field(
        default=2, description="words of the longest neighbourhood that has a vector of its own; 1 for words alone"
    )
    buckets: Auto | Annotated[int, Field(ge=16, le=2**22)] = Field(
        default=AUTO, description="number of vectors of neighbourhoods, which share one by chance where there are few"
    )
    dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="share of the mean's values set to zero in training"
    )


class FastText(nn.Module):
    """The mean of the vectors of words and of neighbouring words.

    Args:
        spec: without autos.
        shape: of the seq; of a seq of vectors it is the plain mean, scaled by a learnt factor for each value.

    Shapes and units:
        Seq to (B,D).
    """

    Spec: ClassVar[type[FastTextSpec]] = FastTextSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: FastTextSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.width != AUTO and spec.buckets != AUTO
        self.ngrams, self.buckets, self.length = spec.ngrams, spec.buckets, shape.length
        self.vocabulary = shape.vocabulary
        self.embedding: nn.Parameter | None = None
        if shape.vocabulary is not None:
            self.width = spec.width
            rows = shape.vocabulary + (spec.buckets if spec.ngrams > 1 else 0)
            self.embedding = nn.Parameter(torch.empty(rows, spec.width).uniform_(-1 / spec.width, 1 / spec.width))
            with torch.no_grad():
                self.embedding[0].zero_()
        else:
            assert shape.width is not None, "a seq has a vocabulary or a width"
            self.width = shape.width
            self.linear = nn.Linear(shape.width, shape.width)
        self.dropout = Dropout(spec.dropout)

    @classmethod
    def plan(cls, spec: FastTextSpec, shape: SeqShape, size: Size) -> tuple[FastTextSpec, Reasons]:
        """Published defaults, with as many vectors of neighbourhoods as the rows can fill."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.width == AUTO:
            settled["width"] = 10 if shape.vocabulary is not None else shape.width or 1
            because["width"] = "as published" if shape.vocabulary is not None else "the width of the vectors given"
        if spec.buckets == AUTO:
            wanted = size.rows * min(shape.length, 64) // 2
            power = min(max(wanted.bit_length(), 12), 18)
            settled["buckets"] = 2**power
            because["buckets"] = f"published: 2^21; fewer for {size.rows:,} rows, each step moves all of them"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: FastTextSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows, [(2_000, 32), (20_000, 64)], 256)
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            epochs=(5, 60),
            patience=5,
            values={"lr": 0.01, "weight_decay": 0.0, "warmup": 0.0},
            reasons={
                "batch": f"published: single rows, which cost a step each; {size.rows:,} rows here",
                "epochs": f"published: 5; about {_STEPS:,} steps, in 5 to 60 epochs",
                "optimiser": "rare words need steps scaled by their own gradients",
                "lr": "large, as published (0.1 to 1 of plain gradient descent): a mean of many vectors moves slowly",
                "weight_decay": "as published, none",
                "schedule": "falls to zero over the planned steps, as published",
                "warmup": "as published, none",
            },
        )

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        form = trim(form)
        if self.embedding is None:
            assert form.values is not None, "this net was built for vectors"
            total = form.values.masked_fill(~form.mask.unsqueeze(-1), 0).sum(dim=1)
            count = form.mask.sum(dim=1, keepdim=True).clamp_min(1)
            mean = self.linear(total / count)
        else:
            assert form.tokens is not None, "this net was built for tokens"
            index = torch.cat(self._index(form.tokens.masked_fill(~form.mask, 0)), dim=1)
            total = F.embedding_bag(index, self.embedding, mode="sum", padding_idx=0)
            mean = total / (index != 0).sum(dim=1, keepdim=True).clamp_min(1)
        result: Tensor = self.dropout(mean)
        return result

    def _index(self, tokens: Tensor) -> list[Tensor]:
        """Rows of the table of vectors: of the words, of the pairs, and so on; 0 where there is none."""
        assert self.vocabulary is not None
        found = [tokens]
        for size in range(2, self.ngrams + 1):
            run = neighbours(tokens, size, self.buckets)
            found.append(torch.where(run != 0, run - 1 + self.vocabulary, 0))
        return found

    def flops(self) -> float:
        """Of one example of the greatest length: sums alone, and a linear layer for vectors."""
        if self.embedding is not None:
            return float(self.ngrams * self.length * self.width)
        return 2.0 * self.linear.weight.numel() + self.length * self.width
