"""tcn: a temporal convolutional network, dilated causal convolutions in residual blocks, for series.

Legend: B examples, T time steps, D channels of the series, C channels of the net.

Bai, Kolter and Koltun 2018, "An empirical evaluation of generic convolutional and recurrent networks for sequence
modeling", arXiv 1803.01271. Published for classifying sequences (sequential MNIST): 25 channels, kernels of 7 steps,
dilations that double from block to block, dropout 0.05, adam at 0.002, and the answer read at the last step. Here the
number of blocks follows from the length, so that the last step sees the whole series.
"""

from __future__ import annotations

from math import ceil, log2
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.dropout import Dropout
from limpid.layers.sequences import trim
from limpid.layers.sizing import allowance, largest
from limpid.layers.temporal import CausalConv, last_step, masked_mean

_CHANNELS = (25, 16, 8)
_MOST_BLOCKS = 14


class TCNSpec(Spec):
    """Settings of tcn."""

    channels: Auto | Annotated[int, Field(ge=1, le=1024)] = Field(
        default=AUTO, description="channels of every hidden layer"
    )
    kernel: Auto | Annotated[int, Field(ge=2, le=129)] = Field(
        default=AUTO, description="time steps that one convolution joins"
    )
    blocks: Auto | Annotated[int, Field(ge=1, le=_MOST_BLOCKS)] = Field(
        default=AUTO, description="residual blocks of two convolutions each; the dilation doubles from one to the next"
    )
    pool: Auto | Literal["last", "mean"] = Field(
        default=AUTO, description="what is read of the last block: its last time step, or the mean of all"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of hidden values set to zero in training"
    )


class _Block(nn.Module):
    """Two causal convolutions of one dilation around which the input is carried."""

    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConv(inputs, channels, kernel=kernel, dilation=dilation)
        self.second = CausalConv(channels, channels, kernel=kernel, dilation=dilation)
        self.dropout = Dropout(dropout)
        self.carry = nn.Conv1d(inputs, channels, 1) if inputs != channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,T) from (B,D,T) or (B,C,T)."""
        y = self.dropout(F.relu(self.first(x)))
        y = self.dropout(F.relu(self.second(y)))
        return F.relu(y + self.carry(x))

    def flops(self, length: int) -> float:
        """For one series of `length` steps."""
        carry = sum(p.numel() for p in self.carry.parameters() if p.dim() > 1)
        return self.first.flops(length) + self.second.flops(length) + 2.0 * carry * length


class TCN(nn.Module):
    """A temporal convolutional network.

    Args:
        spec: without autos.
        shape: of the seq, vectors.

    Shapes and units:
        Seq of values to (B,C).
    """

    Spec: ClassVar[type[TCNSpec]] = TCNSpec
    takes: ClassVar[str] = "seq"
    reads: ClassVar[frozenset[str]] = frozenset({"values"})
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: TCNSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.channels != AUTO and spec.kernel != AUTO and spec.blocks != AUTO and spec.dropout != AUTO
        assert shape.width is not None, "this net reads vectors"
        widths = [shape.width] + [spec.channels] * spec.blocks
        self.blocks = nn.ModuleList(
            _Block(widths[n], widths[n + 1], spec.kernel, 2**n, spec.dropout) for n in range(spec.blocks)
        )
        self.pool = last_step if spec.pool == "last" else masked_mean
        self.width = spec.channels
        self.length = shape.length

    @classmethod
    def plan(cls, spec: TCNSpec, shape: SeqShape, size: Size) -> tuple[TCNSpec, Reasons]:
        """As published, with as many blocks as the length needs, narrower where time is short."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.kernel == AUTO:
            settled["kernel"] = kernel = min(7, max(2, shape.length))
            because["kernel"] = f"7 as published, never longer than the series of {shape.length:,} steps"
        kernel = settled.get("kernel", spec.kernel)
        if spec.blocks == AUTO:
            # n blocks see 1 + 2 (kernel - 1) (2^n - 1) steps.
            needed = ceil(log2((max(shape.length, 2) - 1) / (2 * (kernel - 1)) + 1))
            settled["blocks"] = blocks = min(_MOST_BLOCKS, max(1, needed))
            reach = 1 + 2 * (kernel - 1) * (2**blocks - 1)
            because["blocks"] = f"the last step sees {reach:,} steps, and the longest series has {shape.length:,}"
        blocks = settled.get("blocks", spec.blocks)
        if spec.channels == AUTO:
            inputs = shape.width or 1

            def cost(channels: int) -> float:
                hidden = (2 * blocks - 1) * channels * channels * kernel + inputs * channels * (kernel + 1)
                return float(2 * shape.length * hidden)

            settled["channels"], because["channels"] = largest(_CHANNELS, cost, allowance(size))
        if spec.pool == AUTO:
            settled["pool"] = "last"
            because["pool"] = "as published: the last step has seen all others"
        if spec.dropout == AUTO:
            settled["dropout"] = 0.05
            because["dropout"] = "as published for classifying sequences"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: TCNSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        values: dict[str, Any] = {
            "batch": 16 if size.rows < 500 else 64,
            "optimiser": "adamw",
            "lr": 0.002,
            "weight_decay": 0.01,
            "schedule": "cosine",
            "warmup": 0.05,
            "clip": 1.0,
        }
        reasons = {
            "batch": f"64 as published, 16 below 500 rows so that a pass has several steps: {size.rows:,} here",
            "optimiser": "as published, with decay apart from the gradient",
            "lr": "as published",
            "weight_decay": "light; lengths of kernels are spared",
            "schedule": "falls to zero over the planned steps",
            "warmup": "a twentieth of the steps",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return values, reasons

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to look for."""

    def forward(self, form: Seq) -> Tensor:
        """(B,C)."""
        form = trim(form)
        assert form.values is not None, "this net reads vectors"
        x = (form.values * form.mask.unsqueeze(2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.pool(x, form.mask)

    def flops(self) -> float:
        """Of one example of the greatest length."""
        return float(sum(block.flops(self.length) for block in self.blocks))  # type: ignore[operator]
