"""The head of a forecast: quantiles of every step to come, relative to what the window itself shows.

Legend of shapes: B examples, M members, D width, L steps of history, H steps ahead, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limpid.layers.heads import linear_head

_DOUBT = 100.0  # examples' worth of doubt about how much of a season returns at a step
_ENOUGH = 200  # examples that tell the quantiles of a step by itself


class HorizonHead(nn.Module):
    """A linear layer on top of the last season, repeated and put back on the window's level.

    The forecast is level + spread * (share * season + linear(features)): it starts as a seasonal naive one with the
    quantiles of its errors on training windows, and learns what to change of it. How much of the season returns at
    each step is found by least squares before the first step.

    Args:
        width: D of what the net gives.
        horizon: H.
        quantiles: Q shares, rising.
        period: steps of a season; 1 for none.
        history: L.
        members: M, or None for a net without members.

    Shapes and units:
        Features (B,D) or (B,M,D) and the window's form to (B,H*Q) or (B,M,H*Q), on the scale of the form's level.
        Without a form, the level is 0 and the spread 1.
    """

    reads_input = True

    def __init__(
        self, width: int, horizon: int, quantiles: Sequence[float], period: int, history: int, members: int | None
    ) -> None:
        super().__init__()
        self.horizon, self.quantiles, self.period, self.history = horizon, tuple(quantiles), period, history
        self.linear = linear_head(width, horizon * len(quantiles), members)
        nn.init.zeros_(self.linear.weight)  # type: ignore[arg-type]
        self.register_buffer("share", torch.zeros(horizon))

    def forward(self, features: Tensor, form: Any = None) -> Tensor:
        """Raw quantiles."""
        raw: Tensor = self.linear(features).float()
        if form is None or form.level is None:
            return raw
        shape = (len(raw), *([1] * (raw.dim() - 2)))
        share = self.get_buffer("share")
        season = (share * self._season(form)).repeat_interleave(len(self.quantiles), dim=1)
        level, spread = form.level[:, 0].reshape(*shape, 1), form.level[:, 1].reshape(*shape, 1)
        answer: Tensor = level + spread * (season.reshape(*shape, -1) + raw)
        return answer

    def _season(self, form: Any) -> Tensor:
        """(B,H) the value one season earlier, or a whole number of seasons where one is shorter than the horizon."""
        steps = torch.arange(self.horizon, device=form.values.device)
        place = self.history - self.period + steps % self.period
        taken: Tensor = form.values[:, : self.history, 0].index_select(1, place.clamp(min=0)).float()
        return taken

    @torch.no_grad()
    def prepare(self, form: Any, target: Tensor, weight: Tensor | None = None) -> None:
        """Find how much of the season returns, and begin with the quantiles of what is then left.

        Args:
            form: windows with their level.
            target: (B,H) on the scale of the level, NaN where missing; further columns are ignored.
            weight: has no say.
        """
        assert form.level is not None, "windows come with their level"
        relative = (target[:, : self.horizon].double() - form.level[:, :1]) / form.level[:, 1:]
        known = torch.isfinite(relative)
        relative = torch.where(known, relative, 0.0)
        season = self._season(form).double() * known
        share = _share(relative, season)
        self.get_buffer("share").copy_(share)
        left = torch.where(known, relative - share * season, torch.nan)
        begin = _quantiles(left, self.quantiles).flatten().float()
        bias = self.linear.bias
        assert isinstance(bias, Tensor)
        bias.copy_(begin.expand_as(bias))


def _share(relative: Tensor, season: Tensor) -> Tensor:
    """(H,) how much of the season returns, by least squares; steps that few examples show lean on all steps."""
    product, square = (relative * season).sum(dim=0), season.square().sum(dim=0)
    typical = square.mean().clamp(min=1e-12)
    common = product.sum() / square.sum().clamp(min=1e-12)
    doubt = _DOUBT * typical / max(1, len(season))
    return ((product + doubt * common) / (square + doubt)).clamp(0.0, 1.1)


def _quantiles(left: Tensor, quantiles: Sequence[float]) -> Tensor:
    """(H,Q) quantiles over the examples (B,H) of each step and, where there are few, of its neighbours."""
    levels = torch.tensor(quantiles, dtype=left.dtype)
    count, horizon = left.shape
    reach = min(horizon // 4, -(-_ENOUGH // max(count, 1)) // 2)
    found = []
    for step in range(horizon):
        near = left[:, max(0, step - reach) : step + reach + 1].flatten()
        near = near[torch.isfinite(near)]
        found.append(torch.quantile(near, levels) if len(near) else torch.zeros_like(levels))
    return torch.stack(found)
