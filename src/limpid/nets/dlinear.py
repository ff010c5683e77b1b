"""dlinear: a series as its moving average and what is left of it, for a linear layer.

Legend: B examples, L steps of the past, H steps ahead, D width.

Zeng et al. 2022, "Are transformers effective for time series forecasting?" (arXiv 2205.13504). Published default: an
average over 25 steps; one linear layer for each of the two parts. Here that layer is the task's head, which reads both
parts side by side; values known beside the series, and those known ahead, stand next to them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.dropout import Dropout
from limpid.layers.stretches import Stretch, decompose

_KERNEL = 25
_STEPS = 1_500


class DLinearSpec(Spec):
    """Settings of dlinear."""

    kernel: Auto | Annotated[int, Field(ge=1, le=9_999)] = Field(
        default=AUTO, description="steps of the moving average, an odd number"
    )
    token_width: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=16, description="width of a token's vector, where the sequence holds tokens"
    )
    dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="share of the features set to zero in training"
    )


class DLinear(nn.Module):
    """The two parts of a series, flattened.

    Args:
        spec: without autos.
        shape: of the seq.

    Shapes and units:
        Seq to (B,D).
    """

    Spec: ClassVar[type[DLinearSpec]] = DLinearSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: DLinearSpec, shape: SeqShape) -> None:
        super().__init__()
        assert spec.kernel != AUTO, "a spec with autos"
        self.stretch = Stretch(shape, spec.token_width)
        self.kernel = spec.kernel + 1 - spec.kernel % 2
        self.dropout = Dropout(spec.dropout)
        steps, ahead = self.stretch.steps, self.stretch.ahead
        self.width = steps * (2 * self.stretch.own + self.stretch.past) + ahead * self.stretch.known

    @classmethod
    def plan(cls, spec: DLinearSpec, shape: SeqShape, size: Size) -> tuple[DLinearSpec, Reasons]:
        """As published, shorter where the series is."""
        if spec.kernel != AUTO:
            return spec, {}
        steps = shape.length - shape.ahead
        kernel = min(_KERNEL, max(1, steps // 2 * 2 - 1))
        why = "as published" if kernel == _KERNEL else f"published: {_KERNEL}; the series has {steps} steps"
        return spec.with_(kernel=kernel), {"kernel": why}

    @classmethod
    def train_defaults(cls, spec: DLinearSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = 32 if size.rows < 20_000 else 256
        steps = max(1, size.rows // batch)
        epochs = min(max(_STEPS // steps, 6), 100)
        values = {
            "batch": batch,
            "epochs": epochs,
            "optimiser": "adamw",
            "lr": 0.001,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "warmup": 0.05,
            "ema": 0.98,
            "clip": 1.0,
        }
        reasons = {
            "batch": f"as published, 32 for few windows: {size.rows:,} here",
            "epochs": f"about {_STEPS:,} steps, in 6 to 100 epochs of {steps:,} steps each",
            "optimiser": "robust without tuning",
            "lr": "within the published 0.0001 to 0.05",
            "weight_decay": "neighbouring steps say nearly the same, so their weights need a tie",
            "schedule": "falls to zero over the planned steps",
            "warmup": "a twentieth of the steps",
            "ema": "averages about the last fifty steps",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return values, reasons

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        own, past, ahead = self.stretch(form)
        trend, rest = decompose(own, self.kernel)
        flat: Tensor = self.dropout(torch.cat([x.flatten(1) for x in (trend, rest, past, ahead)], dim=1))
        return flat

    def flops(self) -> float:
        """Of one example."""
        return float(self.stretch.steps * self.stretch.own * (self.kernel + 1) + self.width)
