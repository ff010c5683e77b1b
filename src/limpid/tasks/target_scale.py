"""What the network learns instead of a target in its own units: standardised, on a log scale, or by rank.

Each scale maps to values of about mean 0 and spread 1 (torch, in training) and back (numpy, in prediction).

Legend of shapes: B examples, N rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limpid.core.errors import BundleError, DataError
from limpid.layers.conformal import finite_list

Floats = npt.NDArray[np.float64]
Kind = Literal["standard", "log", "quantile"]

_MOST_KNOTS = 1000
_MARGIN = 0.1  # of the training range, by which an answer may lie outside it


@dataclass(frozen=True)
class TargetScale:
    """The scale of one target.

    Args:
        kind: "standard": (y - centre) / width; "log": the same of log(1 + y / unit); "quantile": normal scores.
        centre, width: of what is standardised.
        unit: of the log scale, in the target's units: below it the scale is nearly linear.
        low, high: bounds of an answer, in the target's units: the training range and a tenth more on each side, but
            never below zero where no training row is.
        knots, scores: of the quantile scale.
    """

    kind: Kind
    centre: float
    width: float
    unit: float
    low: float
    high: float
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    @classmethod
    def fit(cls, kind: Kind, values: Floats, *, robust: bool, name: str) -> Self:
        """Learn a scale from training rows.

        Args:
            kind: which.
            values: (N,) finite targets.
            robust: median and interquartile range in place of mean and standard deviation.
            name: the column, for messages.

        Raises:
            DataError: a log scale for negative targets, or targets whose differences float32 cannot hold.
        """
        first, last = float(values.min()), float(values.max())
        margin = _MARGIN * (last - first)
        low, high = first - margin, last + margin
        if first >= 0:
            low = max(low, 0.0)
        if kind == "quantile":
            knots, scores = _normal_scores(values)
            return cls(kind, 0.0, 1.0, 1.0, low, high, knots, scores)
        unit = 1.0
        if kind == "log":
            if first < 0:
                raise DataError(
                    f"the target holds negative values, down to {first:g}, which have no place on a log scale",
                    where=f"column {name}",
                    expected="targets of zero and more",
                    fix="choose --set task.transform=standard or quantile",
                )
            above = values[values > 0]
            unit = min(1.0, float(np.quantile(above, 0.05))) if len(above) else 1.0
            values = np.log1p(values / unit)
        centre, width = _centre_and_width(values, robust)
        if kind == "standard" and width > 0 and abs(centre) * 2.0**-24 > 0.01 * width:
            raise DataError(
                f"the target's differences, about {width:g}, drown in its size, about {centre:g}",
                where=f"column {name}",
                expected="targets whose spread is at least a hundred-thousandth of their size",
                fix=f"subtract a constant from the target, such as {centre:.0f}, and train on the difference",
            )
        return cls(kind, centre, width if width > 0 else 1.0, unit, low, high)

    def forward(self, target: Tensor) -> Tensor:
        """(B,) targets on the scale, float32."""
        if self.kind == "quantile":
            knots = torch.tensor(self.knots, dtype=torch.float64, device=target.device)
            scores = torch.tensor(self.scores, dtype=torch.float64, device=target.device)
            if len(self.knots) == 1:
                return torch.zeros_like(target, dtype=torch.float32)
            exact = target.double().clamp(self.knots[0], self.knots[-1])
            right = torch.searchsorted(knots, exact.contiguous()).clamp(1, len(self.knots) - 1)
            share = (exact - knots[right - 1]) / (knots[right] - knots[right - 1])
            return torch.lerp(scores[right - 1], scores[right], share).float()
        exact = target.double()
        if self.kind == "log":
            # Held-out targets may lie below zero; the log scale goes on there as a straight line.
            exact = torch.where(exact > 0, torch.log1p(exact.clamp(min=0) / self.unit), exact / self.unit)
        return ((exact - self.centre) / self.width).float()

    def inverse(self, scaled: npt.NDArray[Any]) -> Floats:
        """Answers of any shape in the target's units, not beyond `low` and `high`."""
        exact = np.asarray(scaled, dtype=np.float64)
        if self.kind == "quantile":
            return np.interp(exact, self.scores, self.knots) if len(self.knots) > 1 else np.full(exact.shape, self.low)
        exact = exact * self.width + self.centre
        if self.kind == "log":
            exact = self.unit * np.expm1(np.clip(exact, -1.0, math.log1p(max(self.high, 0.0) / self.unit)))
        result: Floats = np.clip(exact, self.low, self.high)
        return result

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "centre": self.centre,
            "width": self.width,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "knots": list(self.knots),
            "scores": list(self.scores),
        }

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        names = ("centre", "width", "unit", "low", "high")
        if not isinstance(state, Mapping) or set(state) != {"kind", "knots", "scores", *names}:
            raise damaged("the scale of a target lacks its parts")
        if state["kind"] not in ("standard", "log", "quantile"):
            raise damaged("the scale of a target has no known kind")
        singles = finite_list([state[n] for n in names], len(names))
        knots, scores = finite_list(state["knots"], _MOST_KNOTS), finite_list(state["scores"], _MOST_KNOTS)
        if singles is None or knots is None or scores is None:
            raise damaged("the scale of a target holds something that is no number")
        centre, width, unit, low, high = singles
        if not (width > 0 and unit > 0 and low <= high and len(knots) == len(scores)):
            raise damaged("the scale of a target is impossible")
        if state["kind"] == "quantile" and not (knots and _grows(knots) and _grows(scores)):
            raise damaged("the scale of a target does not grow")
        return cls(state["kind"], centre, width, unit, low, high, tuple(knots), tuple(scores))


def damaged(what: str) -> BundleError:
    """The error for a task's state that limpid cannot have written."""
    return BundleError(
        what,
        where="encoders.json: task",
        expected="what limpid writes after training",
        fix="restore the bundle from a copy or train again",
    )


def _centre_and_width(values: Floats, robust: bool) -> tuple[float, float]:
    if robust:
        quarter, middle, three = np.quantile(values, [0.25, 0.5, 0.75])
        if three > quarter:
            return float(middle), float((three - quarter) / 1.349)
    centre = float(values.mean())
    width = float(values.std())
    # The mean of equal numbers may miss them by a rounding error, which is no spread.
    return centre, width if width > 1e-12 * max(abs(centre), 1e-300) else 0.0


def _normal_scores(values: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots at quantiles and the normal scores of their ranks; equal knots share the mean of their scores."""
    from statistics import NormalDist

    count = int(min(_MOST_KNOTS, max(2, len(values))))
    shares = (np.arange(count) + 0.5) / count
    knots = np.quantile(values, np.linspace(0, 1, count))
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(s) for s in shares])
    different, place = np.unique(knots, return_inverse=True)
    pooled = np.bincount(place, scores) / np.bincount(place)
    return tuple(float(k) for k in different), tuple(float(s) for s in pooled)


def _grows(values: list[float]) -> bool:
    return all(a < b for a, b in pairwise(values))
