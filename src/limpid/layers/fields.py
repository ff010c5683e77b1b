"""A table's row on its way into a net: as one flat vector, or as a vector for each column.

Legend: B examples, F numeric and G categorical features, D width of a feature's vector.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limpid.core.errors import RequestError
from limpid.core.forms import Fields, FieldsShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.categories import CategoryEmbedding, KnownCodes, OneHot
from limpid.layers.embeddings import LinearEmbedding, PeriodicEmbedding, PiecewiseLinearEmbedding
from limpid.layers.precision import working_dtype

Numbers = Literal["plain", "piecewise", "periodic", "both"]


class FieldsSpec(Spec):
    """How numbers and categories enter a net for tables; nets' own settings derive from it."""

    numbers: Auto | Numbers = Field(
        default=AUTO,
        description="how a number enters: plain (as it is), piecewise (piecewise-linear with learnt bins), periodic "
        "(sines of learnt frequencies), or both (piecewise beside periodic)",
    )
    number_width: Auto | Annotated[int, Field(ge=1, le=1024)] = Field(
        default=AUTO, description="values that each embedding of a number gives"
    )
    bins: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        default=AUTO, description="bins of a piecewise-linear embedding at most"
    )
    bin_edges: Literal["tree", "quantile"] = Field(
        default="tree", description="where bins end: at the thresholds of a small decision tree, or at quantiles"
    )
    min_leaf: Auto | Annotated[int, Field(ge=1)] = Field(
        default=AUTO, description="training rows in a bin of the tree at least"
    )
    frequencies: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=24, description="frequencies of a periodic embedding"
    )
    sigma: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=3.0, description="spread of the initial frequencies of a periodic embedding, in turns per standard unit"
    )
    one_hot: Annotated[int, Field(ge=0)] = Field(
        default=256, description="categories with at most so many codes enter as one-hot vectors, others as embeddings"
    )
    category_width: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=16, description="values of the embedding of a category that is too large for a one-hot vector"
    )
    unseen: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.005,
        description="share of known categories that training replaces by the code of unseen ones, so that it is learnt",
    )
    line: Auto | bool = Field(
        default=AUTO,
        description="whether a line through the training rows, found in closed form, stands beside the network; rows "
        "that were left out of both weigh them against each other (`train.folds`)",
    )


class NumberEmbedding(nn.Module):
    """The embeddings of all numeric features, one or two kinds side by side.

    Args:
        spec: without autos.
        features: F.
        width: D of each kind.
    """

    def __init__(self, spec: FieldsSpec, features: int, width: int) -> None:
        super().__init__()
        assert spec.bins != AUTO, "a spec with autos"
        assert spec.min_leaf != AUTO, "a spec with autos"
        assert spec.numbers != AUTO, "a spec with autos"
        self.linear = LinearEmbedding(features, width) if spec.numbers == "plain" else None
        self.piecewise = (
            PiecewiseLinearEmbedding(features, width, bins=spec.bins, how=spec.bin_edges, min_leaf=spec.min_leaf)
            if spec.numbers in ("piecewise", "both")
            else None
        )
        self.periodic = (
            PeriodicEmbedding(features, width, frequencies=spec.frequencies, sigma=spec.sigma)
            if spec.numbers in ("periodic", "both")
            else None
        )

    def prepare(self, form: Fields, target: Tensor) -> None:
        """Find bins in training rows."""
        if self.piecewise is not None:
            self.piecewise.prepare(form.numbers, form.missing, target)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B,F,D) for each kind."""
        return [layer(x) for layer in (self.linear, self.piecewise, self.periodic) if layer is not None]

    def flops(self) -> float:
        """Of one example."""
        return sum(layer.flops() for layer in (self.linear, self.piecewise, self.periodic) if layer is not None)


class FlatFields(nn.Module):
    """A row as one vector: numbers or their embeddings, flags of those that can be missing, categories.

    Args:
        spec: without autos.
        shape: of the fields.

    Shapes and units:
        Fields to (B,width).

    Raises:
        RequestError: the table has no feature at all.
    """

    width: int
    chunks: list[int]  # width of each feature's part, in order

    def __init__(self, spec: FieldsSpec, shape: FieldsShape) -> None:
        super().__init__()
        require_features(shape)
        features = len(shape.numbers)
        self.number_embedding: NumberEmbedding | None = None
        self.plain = features > 0 and spec.numbers == "plain"
        if features and not self.plain:
            assert spec.number_width != AUTO, "a spec with autos"
            self.number_embedding = NumberEmbedding(spec, features, spec.number_width)
        self.can_miss = [n for n, can in enumerate(shape.can_miss) if can]
        self.known = KnownCodes(len(shape.cardinalities), spec.unseen) if shape.cardinalities else None
        self.small = [n for n, c in enumerate(shape.cardinalities) if c <= spec.one_hot]
        self.large = [n for n, c in enumerate(shape.cardinalities) if c > spec.one_hot]
        small, large = ([shape.cardinalities[n] for n in part] for part in (self.small, self.large))
        self.one_hot = OneHot(small) if small else None
        self.category_embedding = CategoryEmbedding(large, spec.category_width) if large else None
        self.chunks = flat_chunks(spec, shape)
        self.width = sum(self.chunks)

    @torch.no_grad()
    def prepare(self, form: Fields, target: Tensor) -> None:
        """Find bins and count codes in training rows."""
        if self.number_embedding is not None:
            self.number_embedding.prepare(form, target)
        if self.known is not None:
            self.known.prepare(form.categories)

    def forward(self, form: Fields) -> Tensor:
        """(B,width)."""
        dtype = working_dtype(form.numbers)
        parts = []
        if self.plain:
            parts.append(form.numbers.to(dtype))
        elif self.number_embedding is not None:
            parts += [part.flatten(1).to(dtype) for part in self.number_embedding(form.numbers)]
        if self.can_miss:
            parts.append(form.missing[:, self.can_miss].to(dtype))
        if self.known is not None:
            codes = self.known(form.categories)
            if self.one_hot is not None:
                parts.append(self.one_hot(codes[:, self.small], dtype))
            if self.category_embedding is not None:
                parts.append(self.category_embedding(codes[:, self.large]).flatten(1).to(dtype))
        return torch.cat(parts, dim=1)

    def flops(self) -> float:
        """Of one example."""
        return self.number_embedding.flops() if self.number_embedding is not None else 0.0


class TokenFields(nn.Module):
    """A row as a vector of the same width for each feature, numbers first (Gorishniy et al. 2021, arXiv 2106.11959).

    Args:
        spec: without autos; `number_width`, `one_hot` and `category_width` have no say here.
        shape: of the fields.
        width: D.

    Shapes and units:
        Fields to (B,F+G,D).

    Raises:
        RequestError: the table has no feature at all.
    """

    def __init__(self, spec: FieldsSpec, shape: FieldsShape, width: int) -> None:
        super().__init__()
        require_features(shape)
        features = len(shape.numbers)
        self.number_embedding = NumberEmbedding(spec, features, width) if features else None
        self.can_miss = [n for n, can in enumerate(shape.can_miss) if can]
        self.missing_embedding = nn.Parameter(torch.zeros(len(self.can_miss), width)) if self.can_miss else None
        self.known: KnownCodes | None = None
        self.category_embedding: CategoryEmbedding | None = None
        if shape.cardinalities:
            self.known = KnownCodes(len(shape.cardinalities), spec.unseen)
            self.category_embedding = CategoryEmbedding(shape.cardinalities, width)
            # Numbers bring a bias of their own; tokens of a category need one to be told apart from the others.
            self.category_bias = nn.Parameter(torch.zeros(len(shape.cardinalities), width))
        self.tokens = features + len(shape.cardinalities)

    @torch.no_grad()
    def prepare(self, form: Fields, target: Tensor) -> None:
        """Find bins and count codes in training rows."""
        if self.number_embedding is not None:
            self.number_embedding.prepare(form, target)
        if self.known is not None:
            self.known.prepare(form.categories)

    def forward(self, form: Fields) -> Tensor:
        """(B,F+G,D)."""
        tokens = []
        if self.number_embedding is not None:
            numbers = torch.stack(self.number_embedding(form.numbers)).sum(dim=0)
            if self.missing_embedding is not None:
                flags = form.missing[:, self.can_miss].unsqueeze(-1) * self.missing_embedding
                places = torch.tensor(self.can_miss, device=numbers.device)
                numbers = numbers.index_add(1, places, flags.to(numbers.dtype))
            tokens.append(numbers)
        if self.known is not None and self.category_embedding is not None:
            tokens.append(self.category_embedding(self.known(form.categories)) + self.category_bias)
        return torch.cat(tokens, dim=1)

    def flops(self) -> float:
        """Of one example."""
        return self.number_embedding.flops() if self.number_embedding is not None else 0.0


def flat_chunks(spec: FieldsSpec, shape: FieldsShape) -> list[int]:
    """How wide each feature's part of the flat vector is, in order; known before any net is built."""
    kinds = {"plain": 1, "piecewise": 1, "periodic": 1, "both": 2}
    assert spec.numbers != AUTO, "a spec with autos"
    assert spec.number_width != AUTO, "a spec with autos"
    width = 1 if spec.numbers == "plain" else spec.number_width
    return (
        [width] * (len(shape.numbers) * kinds[spec.numbers])
        + [1] * sum(shape.can_miss)
        + [c for c in shape.cardinalities if c <= spec.one_hot]
        + [spec.category_width for c in shape.cardinalities if c > spec.one_hot]
    )


def require_features(shape: FieldsShape) -> None:
    """Refuse a table without a single usable column.

    Raises:
        RequestError: there is none.
    """
    if not shape.numbers and not shape.cardinalities:
        raise RequestError(
            "no column is left for the network to read",
            where="data.columns",
            expected="at least one column beside the target that is neither constant nor a key",
            fix="keep a column with --set data.columns.NAME=number (or category)",
        )
