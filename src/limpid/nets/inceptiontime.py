"""inceptiontime: convolutions of several lengths side by side, in an ensemble, for series.

Legend: B examples, T time steps, D channels of the series, M members, N filters of one kernel length, C = 4 N channels.

Fawaz et al. 2020, "InceptionTime: finding AlexNet for time series classification", arXiv 1909.04939. Published: five
networks of six modules; a module has a bottleneck of 32, kernels of 40, 20 and 10 steps and a pooled path, 32 filters
each; residuals around every three modules; batches of 64, adam at 0.001. Here the members are trained in one pass over
the same batches, as groups of one network; statistics of batch norm leave padding out.
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
from limpid.layers.sequences import trim
from limpid.layers.sizing import allowance, largest
from limpid.layers.temporal import MaskedBatchNorm, masked_mean

_SIZES = ((5, 32), (3, 32), (2, 32), (1, 32), (1, 16), (1, 8))  # members and filters, the best first
_PATHS = 4  # three kernels and the pooled path


class InceptionTimeSpec(Spec):
    """Settings of inceptiontime."""

    ensemble: Auto | Annotated[int, Field(ge=1, le=32)] = Field(
        default=AUTO, description="members, networks whose answers are averaged"
    )
    filters: Auto | Annotated[int, Field(ge=1, le=512)] = Field(
        default=AUTO, description="filters of each kernel length, and width of the bottleneck"
    )
    modules: Annotated[int, Field(ge=1, le=24)] = Field(default=6, description="inception modules, one after the other")
    kernel: Auto | Annotated[int, Field(ge=4, le=512)] = Field(
        default=AUTO, description="time steps of the longest kernel; the others have a half and a quarter of it"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of the pooled features set to zero in training"
    )


class _Module(nn.Module):
    """Three convolutions and a pooled path side by side; `groups` members do not see each other."""

    def __init__(self, inputs: int, filters: int, kernel: int, groups: int, *, first: bool) -> None:
        super().__init__()
        inner = 1 if first else groups  # the series is the same for all members
        self.first, self.groups, self.filters = first, groups, filters
        self.bottleneck: nn.Module | None = None
        width, split = inputs, inner
        if inputs > (1 if first else groups):
            self.bottleneck = nn.Conv1d(inputs, filters * groups, 1, groups=inner, bias=False)
            width, split = filters * groups, groups
        self.sizes = [max(1, kernel // 2**n) for n in range(_PATHS - 1)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, filters * groups, size, groups=split, bias=False) for size in self.sizes
        )
        self.pooled = nn.Conv1d(inputs, filters * groups, 1, groups=inner, bias=False)
        self.norm = MaskedBatchNorm(_PATHS * filters * groups)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B,M*C,T) of each member's paths side by side, before the activation; 0 where the mask is false."""
        kept = mask.unsqueeze(1)
        narrow = x if self.bottleneck is None else self.bottleneck(x)
        paths = [
            conv(F.pad(narrow, ((size - 1) // 2, size // 2)))
            for conv, size in zip(self.convolutions, self.sizes, strict=True)
        ]
        lowest = x.masked_fill(~kept, torch.finfo(x.dtype).min)
        paths.append(self.pooled(F.max_pool1d(lowest, 3, stride=1, padding=1).masked_fill(~kept, 0.0)))
        batch, _, steps = x.shape
        # The four paths of one member stand together, so that the next grouped convolution finds them.
        joined = torch.stack([p.view(batch, self.groups, self.filters, steps) for p in paths], dim=2)
        y: Tensor = self.norm(joined.reshape(batch, -1, steps), mask)
        return y

    def flops(self, length: int) -> float:
        """For one series of `length` steps."""
        return 2.0 * length * sum(p.numel() for p in self.parameters() if p.dim() == 3)


class _Shortcut(nn.Module):
    """What is carried around three modules."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 1, groups=groups, bias=False)
        self.norm = MaskedBatchNorm(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B,M*C,T)."""
        y: Tensor = self.norm(self.conv(x), mask)
        return y


class InceptionTime(nn.Module):
    """An ensemble of inception networks.

    Args:
        spec: without autos.
        shape: of the seq, vectors.

    Shapes and units:
        Seq of values to (B,M,C), or (B,C) for a single member.
    """

    Spec: ClassVar[type[InceptionTimeSpec]] = InceptionTimeSpec
    takes: ClassVar[str] = "seq"
    reads: ClassVar[frozenset[str]] = frozenset({"values"})
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None

    def __init__(self, spec: InceptionTimeSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.ensemble != AUTO and spec.filters != AUTO and spec.kernel != AUTO and spec.dropout != AUTO
        assert shape.width is not None, "this net reads vectors"
        self.groups = spec.ensemble
        self.members = spec.ensemble if spec.ensemble > 1 else None
        self.width = _PATHS * spec.filters
        self.length = shape.length
        inner = self.width * self.groups
        self.modules_ = nn.ModuleList(
            _Module(shape.width if n == 0 else inner, spec.filters, spec.kernel, self.groups, first=n == 0)
            for n in range(spec.modules)
        )
        self.shortcuts = nn.ModuleDict(
            {
                str(n): _Shortcut(shape.width if n == 2 else inner, inner, 1 if n == 2 else self.groups)
                for n in range(2, spec.modules, 3)
            }
        )
        self.dropout = Dropout(spec.dropout)

    @classmethod
    def plan(cls, spec: InceptionTimeSpec, shape: SeqShape, size: Size) -> tuple[InceptionTimeSpec, Reasons]:
        """As published, with fewer members and filters where time is short."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.kernel == AUTO:
            kernel = 40
            while kernel > max(shape.length, 4):
                kernel //= 2
            settled["kernel"] = max(4, kernel)
            because["kernel"] = f"40 as published, halved until it is no longer than the series: {shape.length:,} steps"
        kernel = settled.get("kernel", spec.kernel)
        if AUTO in (spec.ensemble, spec.filters):
            sizes = [
                (spec.ensemble if spec.ensemble != AUTO else m, spec.filters if spec.filters != AUTO else f)
                for m, f in _SIZES
            ]

            def cost(pair: tuple[int, int]) -> float:
                return _cost(pair[0], pair[1], kernel, spec.modules, shape)

            (members, filters), reason = largest(list(dict.fromkeys(sizes)), cost, allowance(size))
            for field, value in (("ensemble", members), ("filters", filters)):
                if getattr(spec, field) == AUTO:
                    settled[field], because[field] = value, reason
        if spec.dropout == AUTO:
            settled["dropout"], because["dropout"] = 0.0, "as published: there is none"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: InceptionTimeSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        values: dict[str, Any] = {
            "batch": 16 if size.rows < 500 else 64,
            "optimiser": "adamw",
            "lr": 0.001,
            "weight_decay": 0.01,
            "schedule": "one-cycle",
            "warmup": 0.2,
            "clip": 1.0,
        }
        reasons = {
            "batch": f"64 as published, 16 below 500 rows so that a pass has several steps: {size.rows:,} here",
            "optimiser": "as published, with decay apart from the gradient",
            "lr": "as published",
            "weight_decay": "light; norms are spared",
            "schedule": "settles in a fixed number of steps; published: halve the rate where the loss stands still",
            "warmup": "a fifth of the steps, while batch norm finds its statistics",
            "clip": "keeps single bad batches from throwing the weights off",
        }
        return values, reasons

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to look for."""

    def forward(self, form: Seq) -> Tensor:
        """(B,M,C) or (B,C)."""
        form = trim(form)
        assert form.values is not None, "this net reads vectors"
        mask = form.mask
        x = (form.values * mask.unsqueeze(2)).transpose(1, 2)
        carried = x
        for n, module in enumerate(self.modules_):
            x = module(x, mask)
            if str(n) in self.shortcuts:
                x = carried = F.relu(x + self.shortcuts[str(n)](carried, mask))
            else:
                x = F.relu(x)
        pooled = self.dropout(masked_mean(x, mask))
        result: Tensor = pooled if self.members is None else pooled.view(len(x), self.groups, self.width)
        return result

    def flops(self) -> float:
        """Of one example of the greatest length, all members together."""
        modules = sum(module.flops(self.length) for module in self.modules_)  # type: ignore[operator]
        shortcuts = sum(p.numel() for p in self.shortcuts.parameters() if p.dim() == 3)
        return float(modules + 2 * self.length * shortcuts)


def _cost(members: int, filters: int, kernel: int, modules: int, shape: SeqShape) -> float:
    """Operations of one example without building the network."""
    inputs = shape.width or 1
    wide = _PATHS * filters
    taps = sum(max(1, kernel // 2**n) for n in range(_PATHS - 1))
    first = (inputs * filters if inputs > 1 else 0) + taps * filters * (filters if inputs > 1 else 1) + inputs * filters
    later = wide * filters + taps * filters * filters + wide * filters
    carried = sum(wide * (inputs if n == 2 else wide) for n in range(2, modules, 3))
    return float(2 * shape.length * members * (first + (modules - 1) * later + carried))
