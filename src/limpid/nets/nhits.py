"""nhits: blocks that look at a series at several rates, each explaining a part of it and answering as coarsely.

Legend: B examples, L steps of the past, H steps ahead, C channels of the answer, D width.

Challu et al. 2022, "N-HiTS: neural hierarchical interpolation for time series forecasting" (arXiv 2201.12886).
Published defaults: three stacks of one block, two hidden layers of 512, maximum pooling by 2, 2 and 1 (8, 4, 1 for
long horizons), answers at a 4th, a 2nd and all of the steps, linear interpolation between them. Here a block answers
in several channels, from which the task's head makes quantiles, and reads beside the series what else is known of the
past and of the steps to come, as means over a few stretches.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.dropout import Dropout
from limpid.layers.recipes import by_steps, tier
from limpid.layers.sizing import allowance, largest
from limpid.layers.stretches import Stretch

_WIDTHS = (512, 384, 256, 192, 128, 64, 32)
_STEPS = 2_500

Rate = Annotated[int, Field(ge=1, le=1024)]


class NHiTSSpec(Spec):
    """Settings of nhits."""

    pools: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=16)] = Field(
        default=(2, 2, 1), description="steps that each block joins before it looks, by their maximum"
    )
    rates: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=16)] = Field(
        default=(4, 2, 1), description="steps between two points of each block's answer; one for each block"
    )
    width: Auto | Annotated[int, Field(ge=1, le=8192)] = Field(default=AUTO, description="width of the hidden layers")
    depth: Annotated[int, Field(ge=1, le=16)] = Field(default=2, description="hidden layers of a block")
    channels: Auto | Annotated[int, Field(ge=1, le=64)] = Field(
        default=AUTO, description="values that a block answers with at each point"
    )
    dropout: Auto | Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=AUTO, description="share of hidden values set to zero in training"
    )
    points: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=12, description="stretches whose means say what else was known; half as many for what is known ahead"
    )
    token_width: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=16, description="width of a token's vector, where the sequence holds tokens"
    )


class Block(nn.Module):
    """One block: what it sees of the series explains a part of it, and is continued.

    Args:
        own: values of a step that are forecast.
        steps: L.
        beside: values that are known beside the series, flattened.
        ahead: H, or the number of points of the answer for a sequence without steps to come.
        pool, rate, spec: of the block.
        last: whether no block comes behind it, so that nothing need be explained.
    """

    def __init__(
        self, own: int, steps: int, beside: int, ahead: int, pool: int, rate: int, spec: NHiTSSpec, *, last: bool
    ) -> None:
        super().__init__()
        assert spec.width != AUTO and spec.channels != AUTO and spec.dropout != AUTO
        self.own, self.steps, self.ahead, self.channels = own, steps, ahead, spec.channels
        self.pool = min(pool, steps)
        self.points = max(1, ceil(ahead / rate))
        self.knots = max(1, ceil(steps / rate))
        widths = [own * ceil(steps / self.pool) + beside] + [spec.width] * spec.depth
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            if spec.dropout:
                layers.append(Dropout(spec.dropout))
        self.hidden = nn.Sequential(*layers)
        self.back = None if last else nn.Linear(spec.width, own * self.knots)
        self.forth = nn.Linear(spec.width, self.channels * self.points)

    def forward(self, series: Tensor, beside: Tensor) -> tuple[Tensor | None, Tensor]:
        """(B,own,L) and the rest to what is explained (B,own,L), None in the last block, and the answer (B,C,H)."""
        seen = F.max_pool1d(series, self.pool, ceil_mode=True) if self.pool > 1 else series
        x = self.hidden(torch.cat([seen.flatten(1), beside], dim=1))
        back = None if self.back is None else stretched(self.back(x).view(-1, self.own, self.knots), self.steps)
        return back, stretched(self.forth(x).view(-1, self.channels, self.points), self.ahead)


def stretched(points: Tensor, steps: int) -> Tensor:
    """(B,C,points) to (B,C,steps), with straight lines between the points.

    As a product, since the gradient of torch's own interpolation differs from run to run on a GPU.
    """
    count = points.shape[2]
    if count == steps:
        return points
    lines = F.interpolate(torch.eye(count, device=points.device).unsqueeze(0), size=steps, mode="linear")
    return points @ lines[0].to(points.dtype)


class NHiTS(nn.Module):
    """Blocks one after the other, each on what the ones before left unexplained; their answers add up.

    Args:
        spec: without autos.
        shape: of the seq.

    Shapes and units:
        Seq to (B,D), D being C x H.
    """

    Spec: ClassVar[type[NHiTSSpec]] = NHiTSSpec
    takes: ClassVar[str] = "seq"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None

    def __init__(self, spec: NHiTSSpec, shape: SeqShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.channels != AUTO
        self.stretch = Stretch(shape, spec.token_width)
        own, steps = self.stretch.own, self.stretch.steps
        ahead = self.stretch.ahead or min(16, steps)
        self.points = min(spec.points, steps), max(1, min(spec.points // 2, self.stretch.ahead))
        beside = self.points[0] * self.stretch.past + self.points[1] * self.stretch.known
        rates = [*spec.rates, *[spec.rates[-1]] * len(spec.pools)][: len(spec.pools)]
        self.blocks = nn.ModuleList(
            Block(own, steps, beside, ahead, pool, rate, spec, last=place == len(rates) - 1)
            for place, (pool, rate) in enumerate(zip(spec.pools, rates, strict=True))
        )
        self.width = spec.channels * ahead

    @classmethod
    def plan(cls, spec: NHiTSSpec, shape: SeqShape, size: Size) -> tuple[NHiTSSpec, Reasons]:
        """Published defaults, narrower where rows, seconds and length ask for it."""
        settled: dict[str, Any] = {}
        because: Reasons = {}
        if spec.channels == AUTO:
            settled["channels"] = 8
            because["channels"] = "about one for each quantile that the head makes of them"
        if spec.width == AUTO:
            values = shape.length + spec.points * (spec.token_width if shape.width is None else shape.width)

            def cost(width: int) -> float:
                return 2.0 * len(spec.pools) * width * (values + spec.depth * width)

            width, reason = largest(_WIDTHS, cost, allowance(size))
            settled["width"], because["width"] = width, f"published: 512; {reason}"
        if spec.dropout == AUTO:
            share = 0.1 if size.rows < 100_000 else 0.0
            settled["dropout"] = share
            because["dropout"] = f"published: 0; 0.1 below 100,000 windows, which overlap: {size.rows:,} here"
        return spec.with_(**settled), because

    @classmethod
    def train_defaults(cls, spec: NHiTSSpec, shape: SeqShape, size: Size) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        batch = tier(size.rows, [(2_000, 32), (20_000, 128)], 256)
        return by_steps(
            size.rows,
            batch,
            _STEPS,
            epochs=(6, 100),
            averaged=0.2,
            patience=5,
            values={"lr": 0.001, "weight_decay": 0.01, "schedule": "one-cycle", "warmup": 0.2},
            reasons={
                "batch": f"published: 256 windows; fewer for few: {size.rows:,} here",
                "optimiser": "robust without tuning",
                "lr": "as published",
                "weight_decay": "windows overlap, so there is less to learn from than their number says",
            },
        )

    def prepare(self, form: Seq, target: Tensor) -> None:
        """Nothing to find."""

    def forward(self, form: Seq) -> Tensor:
        """(B,D)."""
        own, past, ahead = self.stretch(form)
        beside = self.beside(past, ahead)
        left = own.transpose(1, 2)
        answer: Tensor | None = None
        for block in self.blocks:
            back, forth = block(left, beside)
            left = left if back is None else left - back
            answer = forth if answer is None else answer + forth
        assert answer is not None
        return answer.flatten(1)

    def beside(self, past: Tensor, ahead: Tensor) -> Tensor:
        """(B,beside) means over stretches of what else is known, since neighbouring steps say nearly the same."""
        pooled = [
            F.adaptive_avg_pool1d(x.transpose(1, 2), points).flatten(1)
            for x, points in zip((past, ahead), self.points, strict=True)
            if x.numel()
        ]
        return torch.cat(pooled, dim=1) if pooled else past.flatten(1)

    def flops(self) -> float:
        """Of one example."""
        return 2.0 * sum(p.numel() for p in self.blocks.parameters() if p.dim() == 2)
