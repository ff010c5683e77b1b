"""mlp: a multilayer perceptron of any depth and widths.

Legend: B examples, D width of the last hidden layer.

Defaults are those of RealMLP (Holzmüller et al. 2024, "Better by default", arXiv 2407.04491) as far as the size goes:
three hidden layers of 256, batches of 256; its embeddings are replaced by piecewise-linear ones (Gorishniy et al.
2022, arXiv 2203.05556).
"""

from __future__ import annotations

from itertools import pairwise
from math import exp
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Fields, FieldsShape
from limpid.core.spec import AUTO, Auto
from limpid.layers.activations import Activation, activation
from limpid.layers.dropout import Dropout
from limpid.layers.fields import FieldsSpec, FlatFields, flat_chunks, require_features
from limpid.layers.initialise import Initialisation, initialise
from limpid.layers.norms import Norm, norm
from limpid.layers.sizing import allowance, beside_line, largest, networks_of, plan_fields

Width = Annotated[int, Field(ge=1, le=8192)]

_WIDTHS = (256, 192, 128, 96, 64, 32)


class MLPSpec(FieldsSpec):
    """Settings of mlp."""

    widths: Annotated[tuple[Width, ...], Field(max_length=64)] = Field(
        default=(), description="width of each hidden layer; by default `depth` layers of `width`"
    )
    width: Auto | Width = Field(default=AUTO, description="width of the hidden layers, where `widths` is not given")
    depth: Auto | Annotated[int, Field(ge=1, le=64)] = Field(
        default=AUTO, description="number of hidden layers, where `widths` is not given"
    )
    activation: Activation = Field(default="relu", description="activation function of the hidden layers")
    norm: Norm = Field(default="none", description="normalisation between a layer's product and its activation")
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of hidden values set to zero in training"
    )
    initialisation: Initialisation = Field(default="kaiming", description="how the first weights are drawn")


class MLP(nn.Module):
    """A multilayer perceptron for tables.

    Args:
        spec: without autos.
        shape: of the fields.

    Shapes and units:
        Fields to (B,D).

    Raises:
        RequestError: the table has no feature at all.
    """

    Spec: ClassVar[type[MLPSpec]] = MLPSpec
    takes: ClassVar[str] = "fields"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: MLPSpec, shape: FieldsShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        self.line = spec.line is True
        assert spec.width != AUTO
        assert spec.depth != AUTO
        assert spec.dropout != AUTO
        self.fields = FlatFields(spec, shape)
        widths = [self.fields.width, *(spec.widths or (spec.width,) * spec.depth)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            linear = nn.Linear(inputs, outputs)
            initialise(linear, spec.initialisation, spec.activation)
            steps = (linear, norm(spec.norm, outputs), activation(spec.activation), Dropout(spec.dropout))
            layers += [step for step in steps if step is not None]
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1]

    @classmethod
    def plan(cls, spec: MLPSpec, shape: FieldsShape, size: Size) -> tuple[MLPSpec, Reasons]:
        """Three layers of 256, narrower where rows, seconds and columns ask for it."""
        require_features(shape)
        chosen, because = plan_fields(spec, shape, size, numbers="piecewise")
        spec = spec.with_(**chosen)
        settled: dict[str, Any] = {}
        if spec.depth == AUTO:
            settled["depth"] = len(spec.widths) or 3
            because["depth"] = "the number of widths given" if spec.widths else "as published for RealMLP"
        depth = settled.get("depth", spec.depth)
        if spec.width == AUTO and spec.widths:
            settled["width"], because["width"] = spec.widths[-1], "the last of the widths given"
        elif spec.width == AUTO:
            inputs = sum(flat_chunks(spec, shape))
            settled["width"], because["width"] = largest(
                _WIDTHS, lambda width: 2.0 * width * (inputs + (depth - 1) * width), allowance(size, networks_of(spec))
            )
        if spec.dropout == AUTO:
            settled["dropout"], because["dropout"] = 0.15, "as published for RealMLP"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: MLPSpec, shape: FieldsShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = 64 if size.rows < 2_000 else 256 if size.rows < 100_000 else 1024
        steps = max(1, size.rows // batch)
        values = {
            "batch": batch,
            "optimiser": "adamw",
            "lr": 0.002,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "warmup": 0.05,
            "ema": round(exp(-1 / max(1.0, 0.5 * steps)), 5),
            "clip": 1.0,
        }
        reasons = {
            "batch": f"256 as published for RealMLP, other sizes for few or very many rows: {size.rows:,} here",
            "optimiser": "robust without tuning",
            "lr": "usual for adamw and a net of this size",
            "weight_decay": "as published for RealMLP, which decays weights by the same share of the rate",
            "schedule": "falls to zero over the planned steps",
            "warmup": "a twentieth of the steps",
            "ema": f"averages over half a pass, {steps:,} steps each",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return beside_line(spec, values, reasons)

    def prepare(self, form: Fields, target: Tensor) -> None:
        """Find the bins of the numbers in training rows."""
        self.fields.prepare(form, target)

    def forward(self, form: Fields) -> Tensor:
        """(B,D)."""
        x: Tensor = self.layers(self.fields(form))
        return x

    def flops(self) -> float:
        """Of one example."""
        return self.fields.flops() + 2.0 * sum(p.numel() for p in self.layers.parameters() if p.dim() == 2)
