"""convkernel: thousands of fixed convolution kernels and a linear head, for series.

Legend: B examples, T time steps, D channels, F features.

MiniRocket (Dempster, Schmidt and Webb 2021, arXiv 2012.08791), the almost deterministic successor of ROCKET (Dempster,
Petitjean and Webb 2020, arXiv 1910.13051). Published: 9,996 features, standardised, and a ridge classifier whose
penalty is chosen by leaving out one example at a time; beyond ten thousand examples logistic regression by gradient
descent. Here the net gives the standardised features, nothing in it learns by gradients, and it asks for a head that
is solved for in closed form (limpid.layers.ridge).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.dropout import Dropout
from limpid.layers.kernels import KERNELS, KernelFeatures, operations
from limpid.layers.sequences import trim

_FEATURES = (9996, 4956, 2520, 1260, 504)
_ROWS = 2_048  # examples behind a closed form: its time grows with their third power
_LOOKED_AT = 2_048  # examples that the features' means and deviations are taken from
_UNHURRIED = 600.0  # seconds assumed without a budget
_SHARE = 0.25  # of the seconds, for the features of all examples
_SPEED = 1e9  # additions and comparisons a second on one core; products of matrices are a hundred times as fast


class ConvKernelSpec(Spec):
    """Settings of convkernel."""

    features: Auto | Annotated[int, Field(ge=KERNELS, le=100_000)] = Field(
        default=AUTO, description="number of features, rounded down to a multiple of 84"
    )
    head: Auto | Literal["solved", "learnt"] = Field(
        default=AUTO,
        description="solved: the head begins as the ridge solution and is trained further only where there are more "
        "rows than `solved_rows`; learnt: it begins at random",
    )
    solved_rows: Annotated[int, Field(ge=2, le=20_000)] = Field(
        default=_ROWS, description="training rows behind the closed form at most; memory grows with their square"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of the features set to zero in training by gradients"
    )


class ConvKernel(nn.Module):
    """Fixed kernels for series.

    Args:
        spec: without autos.
        shape: of the seq, vectors.

    Shapes and units:
        Seq of values to (B,F), each feature of mean 0 and deviation 1 over training examples.
    """

    Spec: ClassVar[type[ConvKernelSpec]] = ConvKernelSpec
    takes: ClassVar[str] = "seq"
    reads: ClassVar[frozenset[str]] = frozenset({"values"})
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: ConvKernelSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.features != AUTO
        assert spec.dropout != AUTO
        assert shape.width is not None, "this net reads vectors"
        self.kernels = KernelFeatures(shape.width, shape.length, spec.features)
        self.width = self.kernels.features
        self.length = shape.length
        self.solved_rows = spec.solved_rows if spec.head == "solved" else 0
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))
        self.mean: Tensor
        self.scale: Tensor
        self.dropout = Dropout(spec.dropout)

    @classmethod
    def plan(cls, spec: ConvKernelSpec, shape: SeqShape, size: Size) -> tuple[ConvKernelSpec, Reasons]:
        """As many features as published, fewer where they would take too much of the time."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.features == AUTO:
            seconds = _SHARE * (_UNHURRIED if size.seconds is None else size.seconds)
            passes = 4.0  # their means, the closed form, and once more for all rows together

            def cost(features: int) -> float:
                return passes * size.rows * operations(shape.width or 1, shape.length, features) / _SPEED

            chosen = next((f for f in _FEATURES if cost(f) <= seconds), _FEATURES[-1])
            settled["features"] = chosen
            because["features"] = (
                f"{'as published' if chosen == _FEATURES[0] else f'fewer than the {_FEATURES[0]:,} published'}: those "
                f"of {size.rows:,} rows take about {cost(chosen):.1f} s, {seconds:.0f} s are allowed"
            )
        if spec.head == AUTO:
            settled["head"] = "solved"
            because["head"] = "a ridge solution needs no validation rows and no steps, as published for few rows"
        if spec.dropout == AUTO:
            settled["dropout"] = 0.0
            because["dropout"] = "the ridge's penalty, or weight decay, restrains the head already"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: ConvKernelSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        values: dict[str, Any] = {
            "batch": 64 if size.rows < 2_000 else 256,
            "optimiser": "adamw",
            "lr": 1e-4,
            "weight_decay": 0.1,
            "schedule": "cosine",
            "warmup": 0.05,
            "clip": 1.0,
        }
        reasons = {
            "batch": f"256 as published, 64 below 2,000 rows: {size.rows:,} here",
            "optimiser": "robust without tuning",
            "lr": "as published; thousands of features move an output together",
            "weight_decay": "many features, which weights of moderate size are to share",
            "schedule": "falls to zero over the planned steps",
            "warmup": "a twentieth of the steps",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        if spec.head == "solved" and size.rows <= spec.solved_rows:
            values |= {"epochs": 0, "refit": True}
            reasons |= {
                "epochs": f"the head is solved for in closed form from all {size.rows:,} rows; no step follows",
                "refit": "solving again is quick, and with few rows every one counts",
            }
        return values, reasons

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Find the kernels' biases, and the mean and deviation of each feature."""
        form = trim(form)
        assert form.values is not None, "this net reads vectors"
        self.kernels.prepare(form.values, form.mask)
        index = torch.linspace(0, len(form.values) - 1, min(len(form.values), _LOOKED_AT)).long()
        features = self.kernels(form.values[index], form.mask[index])
        deviation, mean = torch.std_mean(features.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        # A feature that never varied says nothing, and must not explode where it does.
        self.scale.copy_(torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), 0.0))

    def forward(self, form: Seq) -> Tensor:
        """(B,F)."""
        form = trim(form)
        assert form.values is not None, "this net reads vectors"
        x: Tensor = self.dropout((self.kernels(form.values, form.mask) - self.mean) * self.scale)
        return x

    def flops(self) -> float:
        """Of one example of the greatest length; comparisons count as additions."""
        return self.kernels.flops(self.length)
