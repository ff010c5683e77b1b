"""tabm: an ensemble of multilayer perceptrons that share almost all of their weights.

Legend: B examples, M members, I width of a row, D width of the hidden layers.

TabM (Gorishniy et al. 2024, "TabM: advancing tabular deep learning with parameter-efficient ensembling", arXiv
2410.24210). Published defaults: 32 members, width 512, depth 3 (2 with embeddings of numbers), dropout 0.1, AdamW with
rate 0.002 and weight decay 0.0003.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Fields, FieldsShape
from limpid.core.spec import AUTO, Auto
from limpid.layers.activations import Activation, activation
from limpid.layers.dropout import Dropout
from limpid.layers.ensemble import EnsembleLinear
from limpid.layers.fields import FieldsSpec, FlatFields, flat_chunks, require_features
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sizing import allowance, beside_line, largest, networks_of, plan_fields

_FEW_ROWS = 8_192
_NARROW = 128
_STEPS, _REGRESSION_STEPS = 1_500, 2_500
_BATCHES = ((1_024, 32), (4_096, 64), (_FEW_ROWS, 128), (100_000, 256), (500_000, 512))
_SIZES = ((32, 512), (32, 384), (16, 384), (16, 256), (16, 192), (16, 128), (8, 128), (8, 64), (4, 32))


class TabMSpec(FieldsSpec):
    """Settings of tabm."""

    variant: Literal["mini", "full"] = Field(
        default="mini",
        description="mini: members differ in the scaling of their inputs alone; full: in adapters of each layer",
    )
    members: Auto | Annotated[int, Field(ge=1, le=256)] = Field(default=AUTO, description="members of the ensemble")
    width: Auto | Annotated[int, Field(ge=1, le=8192)] = Field(default=AUTO, description="width of the hidden layers")
    depth: Auto | Annotated[int, Field(ge=1, le=32)] = Field(default=AUTO, description="number of hidden layers")
    activation: Activation = Field(default="relu", description="activation function of the hidden layers")
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of hidden values set to zero in training"
    )


class TabM(nn.Module):
    """A weight-shared ensemble for tables.

    Args:
        spec: without autos.
        shape: of the fields.

    Shapes and units:
        Fields to (B,M,D).

    Raises:
        RequestError: the table has no feature at all.
    """

    Spec: ClassVar[type[TabMSpec]] = TabMSpec
    takes: ClassVar[str] = "fields"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None

    def __init__(self, spec: TabMSpec, shape: FieldsShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        self.line = spec.line is True
        assert spec.members != AUTO
        assert spec.width != AUTO
        assert spec.depth != AUTO
        assert spec.dropout != AUTO
        self.members, self.width = spec.members, spec.width
        self.fields = FlatFields(spec, shape)
        full = spec.variant == "full"
        layers = [
            EnsembleLinear(
                self.fields.width if n == 0 else spec.width,
                spec.width,
                members=spec.members,
                adapters="both" if full else "input" if n == 0 else "none",
            )
            for n in range(spec.depth)
        ]
        embedded = spec.numbers != "plain"
        layers[0].diversify(self.fields.chunks, "normal" if embedded else "signs")
        self.layers = nn.ModuleList(layers)
        self.activation = activation(spec.activation)
        self.dropout = Dropout(spec.dropout)

    @classmethod
    def plan(cls, spec: TabMSpec, shape: FieldsShape, size: Size) -> tuple[TabMSpec, Reasons]:
        """Published defaults, with the largest of nine sizes that rows, seconds and columns allow."""
        require_features(shape)
        # Measured: both kinds lower the RMSE of california-housing and bike-sharing by 1 and 3 %, and do harm to
        # classification and to small tables.
        smooth = size.task == "regression" and size.rows >= _FEW_ROWS
        chosen, because = plan_fields(spec, shape, size, numbers="both" if smooth else "piecewise")
        spec = spec.with_(**chosen)
        embedded = spec.numbers != "plain"
        settled: dict[str, Any] = {}
        if spec.depth == AUTO:
            settled["depth"] = 2 if embedded else 3
            because["depth"] = f"as published for TabM with{'' if embedded else 'out'} embeddings of numbers"
        depth = settled.get("depth", spec.depth)
        inputs = sum(flat_chunks(spec, shape))

        def cost(candidate: tuple[int, int]) -> float:
            members, width = candidate
            return float(2 * members * width * (inputs + (depth - 1) * width))

        candidates = [
            (m if spec.members == AUTO else spec.members, w if spec.width == AUTO else spec.width)
            for m, w in _SIZES
            if size.rows >= _FEW_ROWS // 2 or w <= _NARROW
        ]
        (members, width), reason = largest(list(dict.fromkeys(candidates)), cost, allowance(size, networks_of(spec)))
        if spec.members == AUTO:
            settled["members"], because["members"] = members, f"published: 32; {reason}"
        if spec.width == AUTO:
            settled["width"], because["width"] = width, f"published: 512; {reason}"
        if spec.dropout == AUTO:
            settled["dropout"] = 0.0 if size.task == "regression" else 0.1
            because["dropout"] = (
                "none for regression, which it harms: validation RMSE on lending-loans 1.25 without, 1.43 with 0.2"
                if size.task == "regression"
                else "0.1 as published for TabM"
            )
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: TabMSpec, shape: FieldsShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows, _BATCHES, 1_024)
        values, reasons = by_steps(
            size.rows,
            batch,
            _REGRESSION_STEPS if size.task == "regression" else _STEPS,
            values={"optimiser": "muon", "lr": round(0.007 * (batch / 256) ** 0.5, 5), "weight_decay": 0.003},
            reasons={
                "batch": f"256 as published, less below {_FEW_ROWS:,} rows, more beyond 100,000: {size.rows:,} here",
                "optimiser": "Muon for hidden matrices, AdamW for all else: after the same steps, the RMSE of "
                "california-housing was 45,800 against 47,000 with AdamW alone",
                "lr": f"0.007 for batches of 256, in proportion to the root of the batch: {batch} here",
                "weight_decay": "ten times the published 0.0003, since it reaches matrices and heads alone",
                "clip": "as published for TabM",
            },
        )
        return beside_line(spec, values, reasons)

    def prepare(self, form: Fields, target: Tensor) -> None:
        """Find the bins of the numbers in training rows."""
        self.fields.prepare(form, target)

    def forward(self, form: Fields) -> Tensor:
        """(B,M,D)."""
        x: Tensor = self.fields(form)
        for layer in self.layers:
            x = self.dropout(self.activation(layer(x)))
        return x

    def flops(self) -> float:
        """Of one example, all members together."""
        return self.fields.flops() + sum(layer.flops() for layer in self.layers if isinstance(layer, EnsembleLinear))
