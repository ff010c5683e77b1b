"""Regression: how much, one number or several, each with a 90 % interval.

Legend of shapes: B examples, N rows, M members, D width, R targets, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Metric, Prediction, Reasons, WrittenLoss
from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.cleaning import parse_numbers
from limpid.layers import curves, losses, written_losses
from limpid.layers import metrics as merit
from limpid.layers.conformal import COVERAGE, Widths, finite_list
from limpid.layers.heads import linear_head
from limpid.layers.scores import value_scores
from limpid.tasks.target_scale import TargetScale, damaged

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

QUANTILES = ((1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2)
"""What the quantile loss trains a head for: both ends of the interval, and the middle as the answer."""

_FAR = 20.0  # ranges between the 5 % and 95 % quantiles, beyond which a value looks like an error in the data
_MOST_TARGETS, _LARGEST = 10_000, float(np.finfo(np.float32).max)
_SCALE_BOUNDS = (0.5, 2.0)
MetricName = Literal["rmse", "mae", "r2", "median_absolute_error", "pinball"]
_METRICS: dict[MetricName, Callable[[Array, Array], merit.Scorer]] = {
    "rmse": merit.rmse,
    "mae": merit.mae,
    "r2": merit.r2,
    "median_absolute_error": merit.median_absolute_error,
}


class RegressionSpec(Spec):
    """How numbers are learnt."""

    transform: Auto | Literal["standard", "log", "quantile"] = Field(
        default=AUTO, description="scale that the network learns on: standardised, log (targets >= 0) or normal ranks"
    )
    loss: Auto | Literal["mse", "mae", "huber", "quantile"] = Field(
        default=AUTO,
        description="what is made small; quantile trains heads for the 5 %, 50 % and 95 % quantiles, the answer is "
        "the 50 % one",
    )
    metric: Auto | MetricName = Field(default=AUTO, description="the figure that training is judged by")
    decimal: Auto | Literal[".", ","] = Field(default=AUTO, description="sign before the decimals in a text target")


class Regression:
    """The task; made by `fit` or `from_state`.

    Args:
        spec: settings without an auto left.
        names: the R target columns.
        scales: of each target.
    """

    Spec: ClassVar[type[Spec]] = RegressionSpec
    name: ClassVar[str] = "regression"
    loop: ClassVar[str] = "supervised"
    needs: ClassVar[str] = "vec"
    target_kinds: ClassVar[frozenset[str]] = frozenset({"number", "category", "key", "constant"})

    def __init__(self, spec: RegressionSpec, names: tuple[str, ...], scales: tuple[TargetScale, ...]) -> None:
        self.spec = spec
        self.names = names
        self.quantiles: tuple[float, ...] = QUANTILES if spec.loss == "quantile" else ()
        self.outputs = len(names) * max(1, len(self.quantiles))
        self._scales = scales
        self._widths: tuple[Widths, ...] | None = None
        self._stretch = np.ones(len(names))

    # -- the plan -----------------------------------------------------------------------------------------------

    @classmethod
    def plan(
        cls, spec: RegressionSpec, targets: list[ColumnFacts], kinds: list[str], rows: int
    ) -> tuple[RegressionSpec, Reasons]:
        """Decide every `auto` from the facts of the target columns in training rows."""
        changes: dict[str, Any] = {}
        reasons: Reasons = {}

        def decide(field: str, value: Any, because: str) -> None:
            if getattr(spec, field) == AUTO:
                changes[field], reasons[field] = value, because

        decide("decimal", targets[0].decimal if targets[0].decimal in (".", ",") else ".", "as the target is written")
        outlier = next((text for facts in targets if (text := _outlier(facts))), None)
        by_middle = spec.metric in ("mae", "median_absolute_error")
        if by_middle:
            decide("loss", "mae", f"{spec.metric} is least at the median, which the absolute error aims at")
        elif outlier is not None:
            decide("loss", "huber", f"{outlier}; squared, such rows would drown all others")
        else:
            decide("loss", "mse", "the squared error aims at the mean, as rmse and r2 do")
        loss = changes.get("loss", spec.loss)
        skewed = all(_is_skewed(facts) for facts in targets)
        if loss in ("mae", "quantile") and skewed:
            decide("transform", "log", "the targets are above zero with a long tail; a median is the same on any scale")
        else:
            decide("transform", "standard", "the mean is learnt in the target's own units; a log or rank scale would "
                   "aim at another middle")  # fmt: skip
        if loss in ("mae", "quantile"):
            decide("metric", "mae", f"it is what the {loss} loss aims at")
        elif len(targets) > 1:
            decide("metric", "r2", "it weighs targets of different units alike")
        else:
            decide("metric", "rmse", "it is what the squared error aims at, in the target's own units")
        return spec.with_(**changes), reasons

    # -- the target ---------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, spec: RegressionSpec, target: pl.DataFrame, weight: Array | None) -> Self:
        """Learn the scale of each target from training rows.

        Raises:
            DataError: no training row has a target, or its values fit no scale.
        """
        assert not spec.autos(), f"{spec.autos()} are not decided"
        kind = "standard" if spec.transform == AUTO else spec.transform
        scales = []
        for column in target.get_columns():
            values = _numbers(column, spec.decimal)[0]
            values = values[np.isfinite(values)]
            if len(values) == 0:
                raise DataError(
                    "no training row has a target",
                    where=f"column {column.name}",
                    expected="numbers",
                    fix="choose another --target, or check how its numbers are written",
                )
            scales.append(TargetScale.fit(kind, values, robust=spec.loss != "mse", name=column.name))
        return cls(spec, tuple(target.columns), tuple(scales))

    def encode(
        self,
        target: pl.DataFrame,
        repairs: Repairs | None = None,
        *,
        rows: Array | None = None,
        unseen: Literal["error", "drop"] = "error",
    ) -> Array:
        """(N,R) float32 values in the targets' own units.

        Args:
            target: the target columns.
            repairs: tally of rows that were marked.
            rows: (N,) source row numbers from 0, for messages, which count from 1; their places by default.
            unseen: what becomes of a cell that is no finite number: an error, or a row marked with NaN.

        Raises:
            DataError: such a cell, with unseen="error".
        """
        values = np.empty((target.height, target.width), dtype=np.float32)
        bad = np.zeros(target.height, dtype=bool)
        for place, column in enumerate(target.get_columns()):
            exact = _numbers(column, self.spec.decimal)[0]
            strange = ~(np.abs(exact) <= _LARGEST)
            if strange.any():
                if unseen == "error":
                    raise _no_number(column, strange, rows)
                first = column[int(strange.argmax())]
                if repairs is not None:
                    count = int((strange & ~bad).sum())
                    repairs.add(column.name, "is no finite number, row left out", count, first)
                bad |= strange
                exact = np.where(strange, np.nan, exact)
            values[:, place] = exact
        values[bad] = np.nan
        return values

    def usable(self, target: Array) -> npt.NDArray[np.bool_]:
        """(N,) false for the rows that `encode` marked."""
        return np.asarray(np.isfinite(target).all(axis=1))

    # -- the network's end --------------------------------------------------------------------------------------

    def head(self, width: int, members: int | None) -> nn.Module:
        """A linear head; with the quantile loss Q outputs for each target, side by side."""
        return linear_head(width, self.outputs, members)

    def prepare_target(self, target: Tensor) -> Tensor:
        """(B,R) float32 values on the scale that is learnt."""
        return torch.stack([scale.forward(target[:, r]) for r, scale in enumerate(self._scales)], dim=1)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """(B,) loss of raw outputs (B,R), or (B,R*Q), against a prepared target (B,R)."""
        if self.quantiles:
            return losses.pinball(outputs.reshape(-1, len(self.names), len(QUANTILES)), target, self.quantiles)
        if self.spec.loss == "huber":
            return losses.huber(outputs, target)
        if self.spec.loss == "mae":
            return losses.absolute_error(outputs, target)
        return losses.squared_error(outputs, target)

    def scores(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor, int]:
        """What groups are compared by: errors in units of the spread."""
        return value_scores(outputs, target, len(self.quantiles))

    def written_loss(self, outputs: Tensor, target: Tensor) -> WrittenLoss:
        """The loss of one example's raw outputs (R) or (R*Q), with its numbers."""
        z, y = outputs.double(), target.double().tolist()
        if self.quantiles:
            return written_losses.pinball(z.view(len(y), len(QUANTILES)).tolist(), y, self.quantiles)
        how = {"huber": written_losses.huber, "mae": written_losses.absolute_error}
        return how.get(str(self.spec.loss), written_losses.squared_error)(z.tolist(), y)

    # -- the answer ---------------------------------------------------------------------------------------------

    def predict(self, outputs: Array) -> Prediction:
        """Values (N,R) in the targets' units, with 90 % intervals once they are calibrated; members are averaged."""
        answers, spread, tails = self._answers(outputs)
        values = np.empty_like(answers)
        lower, upper = np.empty_like(answers), np.empty_like(answers)
        for r, scale in enumerate(self._scales):
            values[:, r] = np.clip(answers[:, r] * self._stretch[r], scale.low, scale.high)
            if tails is not None:
                below, above = (0.0, 0.0) if self._widths is None else (self._widths[r].low, self._widths[r].high)
                lower[:, r] = np.minimum(tails[0][:, r] + below, values[:, r])
                upper[:, r] = np.maximum(tails[1][:, r] + above, values[:, r])
            elif self._widths is not None:
                alike = None if spread is None else spread[:, r]
                lower[:, r], upper[:, r] = self._widths[r].bounds(values[:, r], alike)
            if scale.low >= 0:
                lower[:, r] = np.maximum(lower[:, r], 0.0)
        if tails is None and self._widths is None:
            return Prediction(values)
        return Prediction(values, lower, upper)

    def _answers(self, outputs: Array) -> tuple[Floats, Floats | None, tuple[Floats, Floats] | None]:
        """(N,R) answers before calibration, members' spread (N,R), and lower and upper quantiles (N,R)."""
        raw = np.asarray(outputs, dtype=np.float64)
        raw = raw if raw.ndim == 3 else raw[:, None, :]
        members = len(raw[0]) if len(raw) else 1
        count = max(1, len(self.quantiles))
        own = np.empty(raw.shape)
        for r, scale in enumerate(self._scales):
            own[:, :, r * count : (r + 1) * count] = scale.inverse(raw[:, :, r * count : (r + 1) * count])
        mean = own.mean(axis=1)
        if self.quantiles:
            ordered = np.sort(mean.reshape(len(mean), len(self.names), count), axis=2)  # quantiles must not cross
            return ordered[:, :, 1], None, (ordered[:, :, 0], ordered[:, :, 2])
        return mean, own.std(axis=1) if members > 1 else None, None

    def calibrate(self, outputs: Array, target: Array, weight: Array | None) -> Reasons:
        """Find the widths of the intervals, and on bent scales the factor back to the mean, on validation rows."""
        answers, spread, tails = self._answers(outputs)
        if len(target) == 0 or not np.isfinite(answers).all():
            return {"intervals": "none: there is no validation row with a finite output to find them by"}
        truth = np.asarray(target, dtype=np.float64)
        reasons: Reasons = {}
        if self.spec.transform != "standard" and self.spec.loss == "mse":
            self._stretch = np.array([_stretch(answers[:, r], truth[:, r], weight) for r in range(len(self.names))])
            shown = ", ".join(f"{s:.4g}" for s in self._stretch[:5])
            reasons["stretch"] = f"{shown}: brings answers learnt on a {self.spec.transform} scale back to the mean"
        self._widths = None
        values = self.predict(outputs).values
        widths = []
        for r in range(len(self.names)):
            if tails is not None:
                widths.append(Widths.around(tails[0][:, r], tails[1][:, r], truth[:, r], weight))
            else:
                alike = None if spread is None else spread[:, r]
                widths.append(Widths.fit(values[:, r], truth[:, r], alike, weight))
        self._widths = tuple(widths)
        counted = widths[0].rows
        kind = (
            "the quantile heads, moved until they held"
            if tails is not None
            else "wider where errors are larger (by predicted value and members' spread), until they held"
            if widths[0].knots
            else "one width for all rows, such that they held"
        )
        short = "; so few rows promise less than 90 %" if counted < 19 else ""
        reasons["intervals"] = f"{kind} 90 % of {counted:,} validation rows (split conformal){short}"
        return reasons

    def outputs_of(self, answers: Array) -> Array:
        """(N,R) raw outputs, or (N,R*Q), that stand for values (N,R) in the targets' units."""
        scaled = self.prepare_target(torch.from_numpy(np.asarray(answers, dtype=np.float64))).numpy()
        return np.repeat(scaled, max(1, len(self.quantiles)), axis=1)

    def decode(self, prediction: Prediction) -> pl.DataFrame:
        """The columns of `limpid predict`: prediction, lower, upper; with several targets, of each by its name."""
        columns = []
        for r, name in enumerate(self.names):
            suffix = f"_{name}" if len(self.names) > 1 else ""
            columns.append(pl.Series(f"prediction{suffix}", prediction.values[:, r]))
            for bound, array in (("lower", prediction.lower), ("upper", prediction.upper)):
                if array is not None:
                    columns.append(pl.Series(f"{bound}{suffix}", array[:, r]))
        return pl.DataFrame(columns)

    def readable(self, target: Array) -> list[Any]:
        """The value of each encoded row, or the list of its values."""
        shown = [[float(f"{v:.6g}") for v in row] for row in np.asarray(target, dtype=np.float64).tolist()]
        return shown if len(self.names) > 1 else [row[0] for row in shown]

    # -- figures ------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Metric]:
        """All figures, the one that training is judged by first."""
        names: list[MetricName] = list(_METRICS)
        if self.quantiles or self.spec.metric == "pinball":
            names.append("pinball")
        ordered = [n for n in names if n == self.spec.metric] + [n for n in names if n != self.spec.metric]
        return [_metric(n, greater=n == "r2") for n in ordered]

    def example_loss(self, target: Array, prediction: Prediction) -> Array:
        """(N,) absolute error, in the target's units; with several targets, the mean in spreads of each."""
        error = np.abs(prediction.values - np.asarray(target, dtype=np.float64))
        if len(self.names) > 1:
            error = error / np.array([max(s.high - s.low, 1e-300) for s in self._scales])
        mean: Array = error.mean(axis=1)
        return mean

    def figures(self, target: Array, prediction: Prediction) -> dict[str, Any]:
        """What a report draws of predicted numbers; of the first target, and under "targets" of each of several.

        Returns:
            "predicted_actual": {"edges", "counts": [actual][predicted]} over the central 99 %.
            "residuals": {"edges", "counts"} of predicted minus actual.
            "coverage": share of rows inside their interval; "width": mean width of the intervals; None without.
            "intervals": [{"low", "high", "coverage", "width", "count"}] for fifths of the predicted value.
            "targets": {name: the same}, only with several.
        """
        each = {name: _figures_of(r, target, prediction) for r, name in enumerate(self.names[:_SHOWN])}
        result = dict(each[self.names[0]])
        if len(self.names) > 1:
            result["targets"] = each
        return result

    # -- saving -------------------------------------------------------------------------------------------------

    def answers_like(self, other: Any) -> bool:
        """Whether another task's raw outputs stand for the same targets, on scales of the same kind."""
        if not isinstance(other, Regression) or other.names != self.names:
            return False
        return [s.kind for s in other._scales] == [s.kind for s in self._scales]

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""
        return {
            "names": list(self.names),
            "scales": [scale.state() for scale in self._scales],
            "stretch": self._stretch.tolist(),
            "widths": None if self._widths is None else [w.state() for w in self._widths],
        }

    @classmethod
    def from_state(cls, spec: RegressionSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        if not isinstance(state, Mapping) or set(state) != {"names", "scales", "stretch", "widths"}:
            raise damaged("the task lacks its parts")
        if spec.autos():
            raise damaged("the task has settings that were never decided")
        names, scales, widths = state["names"], state["scales"], state["widths"]
        if (
            not isinstance(names, list)
            or not 1 <= len(names) <= _MOST_TARGETS
            or len(set(map(str, names))) != len(names)
        ):
            raise damaged("the targets are no list")
        if not all(isinstance(n, str) and len(n) <= 100_000 for n in names):
            raise damaged("a target has no name")
        stretch = finite_list(state["stretch"], len(names))
        if not isinstance(scales, list) or len(scales) != len(names) or stretch is None or len(stretch) != len(names):
            raise damaged("the scales and the targets do not fit together")
        if widths is not None and (not isinstance(widths, list) or len(widths) != len(names)):
            raise damaged("the intervals and the targets do not fit together")
        task = cls(spec, tuple(names), tuple(TargetScale.from_state(s) for s in scales))
        if any(scale.kind != spec.transform for scale in task._scales):
            raise damaged("the scales are not those of the settings")
        if not all(_SCALE_BOUNDS[0] <= s <= _SCALE_BOUNDS[1] for s in stretch):
            raise damaged("the factor back to the mean is impossible")
        task._stretch = np.array(stretch)
        task._widths = None if widths is None else tuple(Widths.from_state(w) for w in widths)
        return task


_SHOWN = 10


def _figures_of(r: int, target: Array, prediction: Prediction) -> dict[str, Any]:
    known = np.isfinite(prediction.values[:, r])
    truth, value = np.asarray(target[known, r], dtype=np.float64), prediction.values[known, r]
    residual = value - truth
    ends = np.quantile(residual, [0.005, 0.995]) if len(residual) else (0.0, 1.0)
    result: dict[str, Any] = {
        "predicted_actual": curves.histogram2d(truth, value),
        "residuals": curves.histogram(residual, low=float(ends[0]), high=float(ends[1])),
        "coverage": None,
        "width": None,
        "intervals": [],
    }
    if prediction.lower is None or prediction.upper is None or not len(truth):
        return result
    lower, upper = prediction.lower[known, r], prediction.upper[known, r]
    held, width = (lower <= truth) & (truth <= upper), upper - lower
    result["coverage"], result["width"] = float(held.mean()), float(width.mean())
    edges = np.unique(np.quantile(value, np.linspace(0, 1, 6)))
    place = np.clip(np.searchsorted(edges, value, side="right") - 1, 0, max(len(edges) - 2, 0))
    for b in np.unique(place):
        inside = place == b
        result["intervals"].append(
            {
                "low": float(edges[b]),
                "high": float(edges[min(b + 1, len(edges) - 1)]),
                "coverage": float(held[inside].mean()),
                "width": float(width[inside].mean()),
                "count": int(inside.sum()),
            }
        )
    return result


def _metric(name: MetricName, *, greater: bool) -> Metric:
    def make(target: Array, prediction: Prediction) -> merit.Scorer:
        if name != "pinball":
            return _METRICS[name](target, prediction.values)
        parts = [merit.pinball(target, prediction.values, 0.5)]
        if prediction.lower is not None and prediction.upper is not None:
            parts += [merit.pinball(target, prediction.lower, QUANTILES[0])]
            parts += [merit.pinball(target, prediction.upper, QUANTILES[2])]
        return lambda weights: np.asarray(sum(part(weights) for part in parts) / len(parts))

    def compute(target: Array, prediction: Prediction, weight: Array | None) -> float:
        return merit.once(make(target, prediction), len(target), weight)

    return Metric(name, greater, compute, make)


def _numbers(column: pl.Series, decimal: str) -> tuple[Floats, Array]:
    """(N,) float64 values, NaN where a cell is missing or no number, and which cells are none."""
    values, bad = parse_numbers(column, "," if decimal == "," else ".")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64), bad


def _no_number(column: pl.Series, strange: Array, rows: Array | None) -> DataError:
    first, count = int(strange.argmax()), int(strange.sum())
    cell = column[first]
    several = f", and so do {count - 1:,} more rows" if count > 1 else ""
    return DataError(
        f"the target holds {'nothing' if cell is None else repr(cell)[:100]}{several}",
        where=f"row {(first if rows is None else int(rows[first])) + 1}, column {column.name}",
        expected=f"a finite number up to {_LARGEST:.1g} in size",
        fix="correct the cell, or leave such rows out",
    )


def _stretch(value: Floats, truth: Floats, weight: Array | None) -> float:
    """Least-squares factor between answers and targets (Duan 1983 calls it smearing), held near 1 for few rows."""
    mass = np.ones(len(value)) if weight is None else np.asarray(weight, dtype=np.float64)
    square = float(mass @ value**2)
    if square <= 0:
        return 1.0
    factor = float(mass @ (value * truth)) / square
    trust = len(value) / (len(value) + 20.0)
    return float(np.clip(1 + trust * (factor - 1), *_SCALE_BOUNDS))


def _outlier(facts: ColumnFacts) -> str | None:
    """Says which value lies so far out that it looks like an error in the data."""
    if len(facts.quantiles) != 9:
        return None
    low, five, ninety_five, high = (facts.quantiles[i] for i in (0, 2, 6, 8))
    span = ninety_five - five
    far = max(high - ninety_five, five - low)
    if span <= 0 or far <= _FAR * span:
        return None
    value = high if high - ninety_five >= five - low else low
    return f"{facts.name} reaches {value:g} where nine in ten values lie from {five:g} to {ninety_five:g}"


def _is_skewed(facts: ColumnFacts) -> bool:
    """Whether targets are positive with a tail that spans more than a factor of ten above the middle."""
    if len(facts.quantiles) != 9 or facts.quantiles[0] <= 0:
        return False
    return facts.quantiles[7] > 10 * facts.quantiles[4]
