"""Forecasting: the next values of series, as quantiles of every step to come.

A row is a series and a cutoff. Its target holds the H values after the cutoff, NaN where one is missing; a second
column may hold the scale of the series, by which the loss and the scaled error weigh series of different size alike.

Legend of shapes: B examples, N windows, M members, D width, H steps ahead, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from limpid.core.contracts import Metric, Prediction, Reasons, WrittenLoss
from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.log_scale import from_log, to_log
from limpid.data.stored import Stored, decided
from limpid.data.windows import Cutting
from limpid.layers import forecast_metrics as merit
from limpid.layers import metrics as figures_of
from limpid.layers import written_losses
from limpid.layers.horizon import HorizonHead
from limpid.tasks.forecast_bands import Bands
from limpid.tasks.forecast_figures import figures

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
MetricName = Literal["mae", "rmse", "smape", "mase", "quantile_loss"]

_METRICS: tuple[MetricName, ...] = ("mae", "rmse", "smape", "mase", "quantile_loss")
_MOST_STEPS = 100_000
_LARGEST = 1e30
_DEFAULT_HORIZON = 12
Positive = Annotated[float, Field(ge=1e-30, le=1e30)]


class ForecastingSpec(Spec):
    """How series are continued."""

    horizon: Auto | Annotated[int, Field(ge=1, le=10_000)] = Field(default=AUTO, description="steps to forecast, H")
    history: Auto | Annotated[int, Field(ge=1, le=_MOST_STEPS)] = Field(
        default=AUTO, description="steps before the cutoff that the network reads, L"
    )
    time: Auto | tuple[str, ...] = Field(
        default=AUTO, description="column that tells the time; several where they hold year, month, day, hour"
    )
    id: Auto | tuple[str, ...] = Field(
        default=AUTO, description="column that tells the series apart, or several of them; empty for one series"
    )
    known: tuple[str, ...] = Field(
        default=(), description="columns whose values are known for the steps to come, such as holidays or prices"
    )
    frequency: Auto | str = Field(
        default=AUTO, description="length of a step: 15min, 1h, 1d, 1b (business days), 1w, 1mo, 1y; counts of a clock"
    )
    period: Auto | Annotated[int, Field(ge=1, le=_MOST_STEPS)] = Field(
        default=AUTO, description="steps in a season, such as 24 hours in a day; 1 for none"
    )
    stride: Auto | Annotated[int, Field(ge=1, le=_MOST_STEPS)] = Field(
        default=AUTO, description="steps between the cutoffs of training windows"
    )
    origins: Auto | Annotated[int, Field(ge=1, le=_MOST_STEPS)] = Field(
        default=AUTO, description="steps between the cutoffs that the model is judged at"
    )
    transform: Auto | Literal["none", "log"] = Field(default=AUTO, description="scale that the network learns on")
    unit: Auto | Positive = Field(
        default=AUTO, description="value below which the log scale is nearly linear, in the target's units"
    )
    quantiles: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=3, max_length=99)] = Field(
        default=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        description="quantiles that the network learns, rising, 0.05, 0.5 and 0.95 among them",
    )
    metric: Auto | MetricName = Field(default=AUTO, description="the figure that training is judged by")

    @field_validator("time", "id", "known", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, str) and value != AUTO:
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("quantiles")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)) or not {0.05, 0.5, 0.95} <= set(value):
            raise ValueError("the quantiles must rise, and hold 0.05, 0.5 and 0.95")
        return value


class Forecasting:
    """The task; made by `fit` or `from_state`.

    Args:
        spec: settings without an auto left.
        name: the target column.
        width: spread of the target on the scale that is learnt.
        low, high: bounds of an answer, in the target's units.

    Attributes:
        cutting: how windows are cut out of the rows of a table; None for a task that was fitted without.
    """

    Spec: ClassVar[type[Spec]] = ForecastingSpec
    name: ClassVar[str] = "forecasting"
    loop: ClassVar[str] = "supervised"
    needs: ClassVar[str] = "vec"
    target_kinds: ClassVar[frozenset[str]] = frozenset({"number", "category", "key", "constant"})
    refit_below: ClassVar[int] = 20_000  # windows; the latest values say most about the next ones
    further_dropout: ClassVar[float] = 0.0  # which series it is, is known for each window

    def __init__(self, spec: ForecastingSpec, name: str, width: float, low: float, high: float) -> None:
        assert spec.horizon != AUTO
        self.spec = spec
        self.column = name
        self.horizon = int(spec.horizon)
        self.quantiles = spec.quantiles
        self.outputs = self.horizon * len(self.quantiles)
        self.width, self.low, self.high = width, low, high
        self.cutting: Cutting | None = None
        self.bands: Bands | None = None

    # -- the plan -----------------------------------------------------------------------------------------------

    @classmethod
    def plan(
        cls, spec: ForecastingSpec, targets: list[ColumnFacts], kinds: list[str], rows: int
    ) -> tuple[ForecastingSpec, Reasons]:
        """Decide every `auto` that the series themselves have not decided yet."""
        values: dict[str, tuple[Any, str]] = {
            "horizon": (_DEFAULT_HORIZON, "a dozen steps, since nothing is known of their frequency"),
            "time": ((), "no column tells the time: the rows are taken in their order"),
            "id": ((), "all rows are of one series"),
            "frequency": ("1", "the rows are counted"),
            "period": (1, "no season was looked for"),
            "stride": (1, "every cutoff is trained on"),
            "origins": (1, "the model is judged at every cutoff"),
            "transform": ("none", "values are learnt in their own units, as nothing asks for another scale"),
            "unit": (1.0, "used by the log scale alone"),
            "metric": ("quantile_loss", "it is what is minimised, and judges the median and the bands together"),
        }
        values["history"] = (2 * _DEFAULT_HORIZON, "twice the default horizon")
        if spec.horizon != AUTO:
            values["history"] = (2 * int(spec.horizon), "twice the horizon")
        changes = {name: value for name, (value, _) in values.items() if getattr(spec, name) == AUTO}
        return spec.with_(**changes), {name: values[name][1] for name in changes}

    # -- the target ---------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, spec: ForecastingSpec, target: pl.DataFrame, weight: Array | None) -> Self:
        """Learn bounds and spread of the target from training windows.

        Raises:
            DataError: no window holds a value to come.
        """
        assert not spec.autos(), f"{spec.autos()} are not decided"
        values = _values(target.to_series(0), int(spec.horizon))
        known = values[np.isfinite(values)]
        if not len(known):
            raise DataError(
                "no training window has a value to come",
                where=f"column {target.columns[0]}",
                expected="numbers",
                fix="choose another --target, or a shorter task.horizon",
            )
        first, last = float(known.min()), float(known.max())
        reach = 2.0 * (last - first) + abs(last) + 1e-12
        low = 0.0 if first >= 0 else first - reach
        z = to_log(known, float(spec.unit)) if spec.transform == "log" else known
        width = float(z.std())
        return cls(spec, target.columns[0], width if width > 1e-30 else 1.0, low, last + reach)

    def encode(
        self,
        target: pl.DataFrame,
        repairs: Repairs | None = None,
        *,
        rows: Array | None = None,
        unseen: Literal["error", "drop"] = "error",
    ) -> Array:
        """(N,H+1) float32: the values to come, NaN where missing, and the scale of the series, NaN where not given.

        Raises:
            DataError: a window without any value to come, with unseen="error".
        """
        encoded = np.full((target.height, self.horizon + 1), np.nan, dtype=np.float32)
        encoded[:, : self.horizon] = _values(target.to_series(0), self.horizon)
        if target.width > 1:
            scale = target.to_series(1).cast(pl.Float64).fill_null(float("nan")).to_numpy()
            encoded[:, self.horizon] = np.where(scale > 0, scale, np.nan)
        empty = ~self.usable(encoded)
        if empty.any():
            first = int(empty.argmax())
            if unseen == "error":
                raise DataError(
                    f"{int(empty.sum()):,} windows have no value to come",
                    where=f"window {(first if rows is None else int(rows[first])) + 1}, column {self.column}",
                    expected="at least one of the values to come",
                    fix="leave such windows out",
                )
            if repairs is not None:
                repairs.add(self.column, "windows have no value to come and were left out", int(empty.sum()))
        return encoded

    def usable(self, target: Array) -> npt.NDArray[np.bool_]:
        """(N,) whether any value to come is known."""
        return np.asarray(np.isfinite(target[:, : self.horizon]).any(axis=1))

    # -- the network's end --------------------------------------------------------------------------------------

    def head(self, width: int, members: int | None) -> nn.Module:
        """Quantiles of every step, on top of what the window itself shows."""
        return HorizonHead(width, self.horizon, self.quantiles, int(self.spec.period), int(self.spec.history), members)

    def prepare_target(self, target: Tensor) -> Tensor:
        """(B,H+1) the values on the scale that is learnt, and what their loss is divided by."""
        exact = target[:, : self.horizon].double()
        divisor = torch.full_like(exact[:, :1], self.width)
        if self.spec.transform == "log":
            unit = float(self.spec.unit)
            exact = torch.where(exact > 0, torch.log1p(exact.clamp(min=0) / unit), exact / unit)
        else:
            scale = target[:, self.horizon :].double()
            divisor = torch.where(torch.isfinite(scale), scale, divisor)
        return torch.cat([exact, divisor], dim=1).float()

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """(B,) pinball loss (Koenker and Bassett 1978), averaged over quantiles and the steps that are known."""
        wanted, divisor = target[:, : self.horizon], target[:, self.horizon]
        known = torch.isfinite(wanted)
        levels = torch.tensor(self.quantiles, dtype=outputs.dtype, device=outputs.device)
        under = torch.where(known, wanted, 0.0).unsqueeze(-1) - outputs.view(-1, self.horizon, len(self.quantiles))
        each = torch.maximum(levels * under, (levels - 1) * under).mean(dim=-1) * known
        return each.sum(dim=1) / known.sum(dim=1).clamp(min=1) / divisor

    def written_loss(self, outputs: Tensor, target: Tensor) -> WrittenLoss:
        """The loss of one window's raw outputs (H*Q), with its numbers."""
        z, y = outputs.double().view(self.horizon, len(self.quantiles)).tolist(), target.double().tolist()
        found = written_losses.pinball(z, y[: self.horizon], self.quantiles)
        value = found.value / y[self.horizon]
        steps = (*found.steps, f"divided by the series' own scale {y[self.horizon]:.6g} = {value:.6g}")
        return WrittenLoss(found.formula + ", divided by the series' scale", steps, value)

    # -- the answer ---------------------------------------------------------------------------------------------

    def predict(self, outputs: Array) -> Prediction:
        """Medians (N,H), or means where the metric is rmse, with the 90 % band and all quantiles; members averaged."""
        quantiles = self._quantiles(outputs)
        if self.bands is not None:
            quantiles = self.bands.apply(quantiles, self.quantiles)
            quantiles = np.clip(quantiles, self.low, self.high)
        middle = self.quantiles.index(0.5)
        values = quantiles[:, :, middle]
        if self.spec.metric == "rmse":
            values = quantiles @ _mean_weights(self.quantiles)
        lower, upper = quantiles[:, :, self.quantiles.index(0.05)], quantiles[:, :, self.quantiles.index(0.95)]
        return Prediction(values, np.minimum(lower, values), np.maximum(upper, values), quantiles)

    def _quantiles(self, outputs: Array) -> Floats:
        """(N,H,Q) rising quantiles in the target's units, before calibration."""
        raw = np.asarray(outputs, dtype=np.float64)
        mean = raw.mean(axis=1) if raw.ndim == 3 else raw
        ordered = np.sort(mean.reshape(len(mean), self.horizon, len(self.quantiles)), axis=2)
        own = from_log(ordered, float(self.spec.unit)) if self.spec.transform == "log" else ordered
        return np.clip(own, self.low, self.high)

    def calibrate(self, outputs: Array, target: Array, weight: Array | None) -> Reasons:
        """Stretch the quantiles of each step until nine in ten validation values lie within their band."""
        quantiles = self._quantiles(outputs)
        truth = np.asarray(target, dtype=np.float64)[:, : self.horizon]
        if not len(truth) or not np.isfinite(quantiles).all():
            return {"intervals": "none: there is no validation window with a finite output to find them by"}
        self.bands, reason = Bands.fit(quantiles, truth, self.quantiles)
        return {"intervals": reason}

    def outputs_of(self, answers: Array) -> Array:
        """(N,H*Q) raw outputs that stand for values (N,H), or for quantiles (N,H,Q), in the target's units."""
        exact = np.asarray(answers, dtype=np.float64)
        if exact.ndim == 2:
            exact = np.repeat(exact[:, :, None], len(self.quantiles), axis=2)
        scaled = to_log(exact, float(self.spec.unit)) if self.spec.transform == "log" else exact
        return scaled.reshape(len(exact), -1).astype(np.float32)

    def decode(self, prediction: Prediction) -> pl.DataFrame:
        """One row a window: prediction, lower and upper, each an array of H values."""
        columns = [pl.Series("prediction", _arrays(prediction.values, self.horizon))]
        for bound, array in (("lower", prediction.lower), ("upper", prediction.upper)):
            if array is not None:
                columns.append(pl.Series(bound, _arrays(array, self.horizon)))
        return pl.DataFrame(columns)

    def readable(self, target: Array) -> list[Any]:
        """The values to come of each window; None where one is missing."""
        shown = np.asarray(target, dtype=np.float64)[:, : self.horizon].tolist()
        return [[float(f"{v:.6g}") if np.isfinite(v) else None for v in row] for row in shown]

    # -- figures ------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Metric]:
        """All figures, the one that training is judged by first."""
        first = [name for name in _METRICS if name == self.spec.metric]
        names = [*first, *(name for name in _METRICS if name != self.spec.metric), "coverage"]
        return [self._metric(name) for name in names]

    def _metric(self, name: str) -> Metric:
        def make(target: Array, prediction: Prediction) -> figures_of.Scorer:
            exact = np.asarray(target, dtype=np.float64)
            truth, value = exact[:, : self.horizon], np.asarray(prediction.values, dtype=np.float64)
            if name == "mase":
                return merit.mase(truth, value, np.where(exact[:, -1] > 0, exact[:, -1], self.width))
            if name == "quantile_loss":
                answers = value[:, :, None] if prediction.quantiles is None else prediction.quantiles
                return merit.quantile_loss(truth, answers, self.quantiles)
            if name == "coverage":
                assert prediction.lower is not None
                assert prediction.upper is not None
                return merit.coverage(truth, prediction.lower, prediction.upper)
            found: figures_of.Scorer = {"mae": merit.mae, "rmse": merit.rmse, "smape": merit.smape}[name](truth, value)
            return found

        def compute(target: Array, prediction: Prediction, weight: Array | None) -> float:
            return figures_of.once(make(target, prediction), len(target), weight)

        return Metric(name, name == "coverage", compute, make)

    def example_loss(self, target: Array, prediction: Prediction) -> Array:
        """(N,) mean absolute error of each window, over the scale of its series where that is known."""
        exact = np.asarray(target, dtype=np.float64)
        known = np.isfinite(exact[:, : self.horizon])
        error = np.where(known, np.abs(prediction.values - np.where(known, exact[:, : self.horizon], 0.0)), 0.0)
        scale = np.where(exact[:, -1] > 0, exact[:, -1], 1.0)
        return np.asarray(error.sum(axis=1) / np.maximum(known.sum(axis=1), 1) / scale)

    def figures(self, target: Array, prediction: Prediction) -> dict[str, Any]:
        """What a report draws: errors and bands by step ahead, residuals."""
        return figures(np.asarray(target, dtype=np.float64)[:, : self.horizon], prediction)

    # -- saving -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""
        return {
            "column": self.column,
            "width": self.width,
            "low": self.low,
            "high": self.high,
            "stretch": None if self.bands is None else list(self.bands.stretch),
            "cutting": None if self.cutting is None else self.cutting.state(),
        }

    @classmethod
    def from_state(cls, spec: ForecastingSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        stored = Stored(state, where="the task")
        decided(spec, "the task")
        width, low, high = (stored.number(key) for key in ("width", "low", "high"))
        if not (1e-30 <= width <= _LARGEST and low <= high):
            stored.refuse("its scale is impossible", "a positive width, and 'low' not above 'high'")
        task = cls(spec, stored.text("column", limit=100_000), width, low, high)
        if stored.take("stretch") is not None:
            stretch = stored.numbers("stretch", limit=task.horizon)
            if len(stretch) != task.horizon or not all(0 <= s <= 1e6 for s in stretch):
                stored.refuse("its bands are impossible", "a factor of 0 or more for each step")
            task.bands = Bands(tuple(stretch))
        cutting = stored.take("cutting")
        if cutting is not None:
            task.cutting = Cutting.from_state(cutting, int(spec.history), task.horizon, int(spec.period))
        stored.done()
        return task


def _values(column: pl.Series, horizon: int) -> Floats:
    """(N,H) cells as numbers; NaN where one is missing, endless, or the cell holds another number of them."""
    values = np.full((len(column), horizon), np.nan)
    if isinstance(column.dtype, (pl.List, pl.Array)) and len(column):
        lists = column.cast(pl.List(pl.Float64))
        good = (lists.list.len() == horizon).fill_null(False)
        if good.any():
            flat = lists.filter(good).explode(empty_as_null=False).to_numpy()
            values[good.to_numpy()] = flat.reshape(-1, horizon)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def _arrays(values: Array, horizon: int) -> pl.Series:
    if not len(values):
        return pl.Series([], dtype=pl.Array(pl.Float64, horizon))
    return pl.Series(np.ascontiguousarray(values, dtype=np.float64))


def _mean_weights(levels: tuple[float, ...]) -> Floats:
    """Weights by which quantiles add up to the mean: the share of the distribution that is nearest to each."""
    middles = [(a + b) / 2 for a, b in pairwise(levels)]
    return np.diff([0.0, *middles, 1.0])
