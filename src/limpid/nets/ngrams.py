"""ngrams: words, pairs of words and pieces of words, each weighed by what it speaks for, beside bags of their vectors.

Legend: B examples, T tokens, M members, D width, S scores of a token.

Two kinds of members learn side by side and are averaged. The first kind sums what each token speaks for: its
log-ratio of naive Bayes, counted once from training rows, with a factor that is learnt for each token (Wang & Manning
2012, "Baselines and bigrams: simple, good sentiment and topic classification"). The second kind sums vectors of the
tokens and has a hidden layer (Joulin et al. 2016, arXiv 1607.01759). Each kind reads words with their pairs, and
pieces of words where the column gives them. They err in different places, so their mean is better than any of them.
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
from limpid.layers.activations import Activation, activation
from limpid.layers.bag import root_share
from limpid.layers.dropout import Dropout
from limpid.layers.ngrams import neighbours, scores
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sequences import trim

_TABLE_VALUES = 1 << 22
_MOST_SCORES = 32
_STEPS = 600
_FEW_ROWS = 20_000
_SPREAD = 2.0  # of the sums of scores; a head starts small, and should not have to grow for long
_LOOK_ROWS = 4_096


class NgramsSpec(Spec):
    """Settings of ngrams."""

    pairs: bool = Field(
        default=True, description="whether two neighbouring words are a token of their own, such as `not good`"
    )
    buckets: Auto | Annotated[int, Field(ge=16, le=2**22)] = Field(
        default=AUTO, description="number of ids of pairs, which share one by chance where there are few"
    )
    scores: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="what each token is weighed for: one number a class or target, up to a bound"
    )
    token_width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="width of a token's vector"
    )
    width: Annotated[int, Field(ge=1, le=8192)] = Field(default=128, description="width of the hidden layers")
    min_rows: Annotated[int, Field(ge=1)] = Field(
        default=2, description="training rows that a token must stand in to be read"
    )
    activation: Activation = Field(default="relu", description="activation function of the hidden layers")
    dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.3, description="share of the sums' and the hidden layers' values set to zero in training"
    )


class Ngrams(nn.Module):
    """Sums of scores and of vectors, as members of an ensemble.

    Args:
        spec: without autos.
        shape: of the seq of tokens.

    Shapes and units:
        Seq to (B,M,D); M is 2, or 4 where the seq holds pieces of words.
    """

    Spec: ClassVar[type[NgramsSpec]] = NgramsSpec
    takes: ClassVar[str] = "seq"
    reads: ClassVar[frozenset[str]] = frozenset({"tokens"})
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})
    adds_up: ClassVar[bool] = True
    """What two texts of an example speak for can be added."""

    width: int
    members: int | None
    score: Tensor
    kept: Tensor
    scale: Tensor

    def __init__(self, spec: NgramsSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.buckets != AUTO and spec.scores != AUTO and spec.token_width != AUTO
        assert shape.vocabulary is not None, "this net reads tokens"
        self.spec, self.length = spec, shape.length
        self.vocabulary, self.first_piece, self.buckets = shape.vocabulary, shape.pieces, spec.buckets
        self.width = max(spec.width, spec.scores)
        self.groups = 1 if shape.pieces is None else 2
        self.members = 2 * self.groups
        ids = shape.vocabulary + (spec.buckets + 1 if spec.pairs else 0)
        self.register_buffer("score", torch.zeros(ids, spec.scores))
        self.register_buffer("kept", torch.ones(ids, dtype=torch.uint8))
        self.register_buffer("scale", torch.ones(self.groups))
        self.importance_embedding = nn.Parameter(torch.zeros(ids, 1))
        self.embedding = nn.Parameter(torch.empty(ids, spec.token_width).normal_(0.0, spec.token_width**-0.5))
        with torch.no_grad():
            self.embedding[0].zero_()
        self.hidden = nn.ModuleList(
            nn.Sequential(
                Dropout(spec.dropout),
                nn.Linear(spec.token_width, self.width),
                activation(spec.activation),
                Dropout(spec.dropout),
            )
            for _ in range(self.groups)
        )

    @classmethod
    def plan(cls, spec: NgramsSpec, shape: SeqShape, size: Size) -> tuple[NgramsSpec, Reasons]:
        """As many ids of pairs as the rows can fill, and vectors as wide as a table of four million values allows."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        buckets = spec.buckets
        if buckets == AUTO:
            power = min(max((size.rows * min(shape.length, 64) // 4).bit_length(), 10), 18)
            buckets = settled["buckets"] = 2**power
            because["buckets"] = f"about the pairs of {size.rows:,} rows as a power of two, within 2^10 and 2^18"
        if spec.scores == AUTO:
            settled["scores"] = min(size.outputs, _MOST_SCORES)
            because["scores"] = f"one for each of {size.outputs:,} classes or targets, {_MOST_SCORES} at most"
        if spec.token_width == AUTO:
            ids = (shape.vocabulary or 1) + (buckets if spec.pairs else 0)
            settled["token_width"] = min(64, max(8, _TABLE_VALUES // ids))
            because["token_width"] = (
                f"8 to 64, so that the vectors of {ids:,} tokens hold about {_TABLE_VALUES:,} values at most"
            )
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: NgramsSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows, [(2_000, 32), (20_000, 64), (200_000, 256)], 1024)
        values: dict[str, Any] = {"lr": 0.006, "weight_decay": 0.01}
        if size.rows < _FEW_ROWS:
            values["refit"] = True
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            epochs=(4, 40),
            patience=3,
            values=values,
            reasons={
                "batch": f"more rows, larger batches: {size.rows:,} here",
                "optimiser": "rare tokens need steps scaled by their own gradients",
                "lr": "measured on news and sentences: 0.002 left the factors of tokens where they began",
                "weight_decay": "usual for adamw; vectors of tokens are spared",
                "refit": f"below {_FEW_ROWS:,} rows many words stand in too few of them: {size.rows:,} here",
            },
        )

    @torch.no_grad()
    def prepare(self, form: Seq, target: Tensor) -> None:
        """Count what each token speaks for, and pass over those that are too rare to learn from."""
        self.score.zero_()
        self.kept.fill_(1)
        least = self.spec.min_rows
        seen = torch.zeros(len(self.kept), device=self.kept.device)
        for index in self._index(form):
            score, examples = scores(index, target, len(self.kept), self.score.shape[1], least)
            self.score += score
            seen += examples
        self.kept.copy_(seen >= least)
        self.scale.fill_(1.0)
        few = slice(0, _LOOK_ROWS)
        start = Seq(mask=form.mask[few], tokens=None if form.tokens is None else form.tokens[few])
        for n, index in enumerate(self._index(start)):
            spread = float(self._weighed(index, n).std()) if len(index) > 1 else 0.0
            self.scale[n] = _SPREAD / spread if spread > 0 else 1.0

    def forward(self, form: Seq) -> Tensor:
        """(B,M,D)."""
        found = []
        for n, index in enumerate(self._index(form)):
            total = self._weighed(index, n)
            found.append(F.pad(total, (0, self.width - total.shape[1])))
            share = root_share(index != 0, self.embedding.dtype)
            vectors = F.embedding_bag(index, self.embedding, mode="sum", padding_idx=0) * share
            found.append(self.hidden[n](vectors).float())
        return torch.stack(found, dim=1)

    def _weighed(self, index: Tensor, group: int) -> Tensor:
        """(B,S) what the tokens of each example speak for together."""
        factor = 1 + F.embedding(index, self.importance_embedding).squeeze(-1)
        total = F.embedding_bag(index, self.score, mode="sum", per_sample_weights=factor, padding_idx=0)
        return total * root_share(index != 0, total.dtype) * self.scale[group]

    def _index(self, form: Seq) -> list[Tensor]:
        """(B,T') ids of words and pairs, and of pieces where there are any; 0 where there is none to be read."""
        form = trim(form)
        assert form.tokens is not None, "this net was built for tokens"
        words = tokens = form.tokens.masked_fill(~form.mask, 0)
        if self.first_piece is not None:
            words = tokens.masked_fill(tokens >= self.first_piece, 0)
            words = words[:, : max(1, int((words != 0).sum(dim=1).amax())) if len(words) else 1]
        groups = [words]
        if self.spec.pairs:
            pairs = neighbours(words, 2, self.buckets)
            groups[0] = torch.cat([words, torch.where(pairs != 0, pairs + self.vocabulary, 0)], dim=1)
        if self.first_piece is not None:
            groups.append(tokens.masked_fill(tokens < self.first_piece, 0))
        return [torch.where(self.kept[g] != 0, g, 0) for g in groups]

    def flops(self) -> float:
        """Of one example of the greatest length."""
        tokens, width = self.length * (2 if self.spec.pairs else 1), self.embedding.shape[1]
        return 2.0 * (tokens * (self.score.shape[1] + width) + self.groups * width * self.width)
