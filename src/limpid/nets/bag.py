"""bag: a text as the sum of its words' vectors, and one hidden layer.

Legend: B examples, T tokens, D width.

The idea of fastText (Joulin et al. 2016, "Bag of tricks for efficient text classification", arXiv 1607.01759), with
hashed words and character n-grams as tokens. Published: vectors of width 10; here wider ones while the table of
vectors stays small.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.activations import Activation, activation
from limpid.layers.bag import TokenBag, value_bag
from limpid.layers.dropout import Dropout

_TABLE_VALUES = 1 << 21


class BagSpec(Spec):
    """Settings of bag."""

    token_width: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="width of a token's vector"
    )
    width: Auto | Annotated[int, Field(ge=1, le=8192)] = Field(default=AUTO, description="width of the hidden layer")
    min_rows: Auto | Annotated[int, Field(ge=1)] = Field(
        default=AUTO, description="training rows that a token must stand in to be read"
    )
    activation: Activation = Field(default="relu", description="activation function of the hidden layer")
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of the sum's and the hidden layer's values set to zero in training"
    )


class Bag(nn.Module):
    """A bag of tokens.

    Args:
        spec: without autos.
        shape: of the seq; a seq of vectors is summed likewise.

    Shapes and units:
        Seq to (B,D).
    """

    Spec: ClassVar[type[BagSpec]] = BagSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: BagSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.token_width != AUTO
        assert spec.width != AUTO
        assert spec.dropout != AUTO
        self.width = spec.width
        self.min_rows = int(spec.min_rows)
        self.length = shape.length
        self.tokens: TokenBag | None = None
        inputs = shape.width
        if shape.vocabulary is not None:
            self.tokens = TokenBag(shape.vocabulary, spec.token_width)
            inputs = spec.token_width
        assert inputs is not None, "a seq has a vocabulary or a width"
        self.layers = nn.Sequential(
            Dropout(spec.dropout), nn.Linear(inputs, spec.width), activation(spec.activation), Dropout(spec.dropout)
        )
        self.inputs = inputs

    @classmethod
    def plan(cls, spec: BagSpec, shape: SeqShape, size: Size) -> tuple[BagSpec, Reasons]:
        """As wide as a table of two million values allows, since each step updates all of it."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.token_width == AUTO:
            vocabulary = shape.vocabulary
            if vocabulary is None:
                settled["token_width"], because["token_width"] = shape.width or 1, "the width of the vectors given"
            else:
                width = min(64, max(8, _TABLE_VALUES // vocabulary))
                settled["token_width"] = width
                because["token_width"] = (
                    f"8 to 64, so that the vectors of {vocabulary:,} tokens hold about {_TABLE_VALUES:,} values at most"
                )
        if spec.width == AUTO:
            width = 64 if size.rows < 2_000 else 128
            settled["width"], because["width"] = width, f"64 below 2,000 rows, otherwise 128: {size.rows:,} here"
        if spec.min_rows == AUTO:
            least = max(2, min(10, size.rows // 1_000))
            settled["min_rows"] = least
            because["min_rows"] = f"a thousandth of {size.rows:,} rows, within 2 and 10: rarer tokens teach single rows"
        if spec.dropout == AUTO:
            share = 0.3 if size.rows < 20_000 else 0.1
            settled["dropout"] = share
            because["dropout"] = f"texts have far more tokens than rows; 0.3 below 20,000 rows: {size.rows:,} here"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: BagSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = 32 if size.rows < 2_000 else 128 if size.rows < 50_000 else 512
        values = {
            "batch": batch,
            "optimiser": "adamw",
            "lr": 0.003,
            "weight_decay": 0.0003,
            "schedule": "cosine",
            "warmup": 0.05,
            "clip": 1.0,
        }
        reasons = {
            "batch": f"small batches for few rows: {size.rows:,} here",
            "optimiser": "rare tokens need steps scaled by their own gradients",
            "lr": "rare tokens are seen seldom, so their vectors need large steps",
            "weight_decay": "light; vectors of tokens are spared",
            "schedule": "falls to zero over the planned steps",
            "warmup": "a twentieth of the steps",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return values, reasons

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Find the tokens that are frequent enough to learn from."""
        if self.tokens is not None:
            assert form.tokens is not None, "this net was built for tokens"
            # Of a sample of the rows, fewer hold the token.
            least = min(self.min_rows, max(2, len(form.tokens) // 500))
            self.tokens.forget_rare(form.tokens, least)

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        if self.tokens is not None:
            assert form.tokens is not None, "this net was built for tokens"
            total = self.tokens(form.tokens, form.mask)
        else:
            assert form.values is not None, "this net was built for vectors"
            total = value_bag(form.values, form.mask)
        x: Tensor = self.layers(total)
        return x

    def flops(self) -> float:
        """Of one example of the greatest length."""
        return 2.0 * self.inputs * (self.width + self.length)
