"""Windows of series, as a forecast reads them: the target measured by the window's own level, covariates beside it.

A cell is an array of T steps by C channels: the target, channels known up to the cutoff, channels known ahead. NaN
stands for what is not known. The target is encoded as (z - level) / spread, z being the target or its logarithm, level
the mean of its last period and spread one for all windows or the window's own; so a network sees the shape of what
happened and the head puts the level back (as NLinear, Zeng et al. 2022, arXiv 2205.13504, and reversible instance
normalisation, Kim et al. 2022, do).

Legend of shapes: N windows, L steps of history, H steps ahead, T = L + H, C channels, D values of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import SeqShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import Spec
from limpid.data.log_scale import to_log
from limpid.data.stored import Stored, decided

Floats = npt.NDArray[np.float64]

_MOST_CHANNELS = 2_000
_MOST_STEPS = 100_000
_FAR = 15.0  # spreads beyond which a value is cut off
_LEAST_SPREAD = 0.02  # of the spread of all windows, below which a window's own does not shrink
_SIZES = (1e-30, 1e30)
_EXTRA = ("level", "spread")


class WindowSpec(Spec):
    """How windows are laid out; the view that cuts them out decides it."""

    history: Annotated[int, Field(ge=1, le=_MOST_STEPS)] = Field(default=1, description="steps up to the cutoff")
    horizon: Annotated[int, Field(ge=0, le=_MOST_STEPS)] = Field(default=0, description="steps after the cutoff")
    channels: Annotated[tuple[str, ...], Field(min_length=1, max_length=_MOST_CHANNELS)] = Field(
        default=("value",), description="names of the channels, the target's first"
    )
    known: Annotated[int, Field(ge=0, le=_MOST_CHANNELS)] = Field(
        default=0, description="channels at the end that are known ahead"
    )
    period: Annotated[int, Field(ge=1, le=_MOST_STEPS)] = Field(
        default=1, description="steps of a season; the level is the mean of the last one"
    )
    transform: Literal["none", "log"] = Field(default="none", description="scale that the target is measured on")
    unit: Annotated[float, Field(ge=1e-30, le=1e30)] = Field(
        default=1.0, description="value of the target below which the log scale is nearly linear, in its own units"
    )
    spread: Literal["all", "own"] = Field(
        default="all", description="whether windows are measured by one spread, or each by its own"
    )


class Window:
    """The encoder of windows."""

    Spec: ClassVar[type[Spec]] = WindowSpec
    form: str | None = "seq"
    net: ClassVar[str | None] = "dlinear"
    leads: ClassVar[bool] = True
    of_files: ClassVar[bool] = False

    def __init__(self, spec: WindowSpec, name: str, fitted: Mapping[str, Any]) -> None:
        self.name, self.spec = name, spec
        self.gaps = bool(fitted["gaps"])
        self.centers = np.array(fitted["centers"], dtype=np.float64)
        self.widths = np.array(fitted["widths"], dtype=np.float64)
        self.level = tuple(float(v) for v in fitted["level"])
        self.spread = tuple(float(v) for v in fitted["spread"])

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """No column of a source is one: windows are cut out of series."""
        return None

    @classmethod
    def plan(cls, spec: WindowSpec, facts: ColumnFacts, size: Size) -> tuple[WindowSpec, Reasons]:
        """Nothing is left to decide."""
        return spec, {}

    @classmethod
    def fit(cls, spec: WindowSpec, column: pl.Series) -> Self:
        """Learn scales of the covariates, and of levels and spreads, from training windows."""
        cells, _ = _cells(column, spec)
        target = cells[:, : spec.history, 0]
        known = np.isfinite(target)
        centers, widths = _scales(cells[:, :, 1:])
        fitted: dict[str, Any] = {
            "gaps": bool((~known).any()) if known.size else True,
            "centers": centers,
            "widths": widths,
            "level": (0.0, 1.0),
            "spread": (1.0, 0.0, 1.0),
        }
        encoder = cls(spec, column.name, fitted)
        z = encoder.transform(target)
        level, _ = encoder._filled(z)
        deviation = _deviation(np.where(known, z - level[:, None], np.nan))
        several = deviation[np.isfinite(deviation) & (deviation > 0)]
        whole = float(np.median(several)) if len(several) else 1.0
        own = np.log(np.maximum(np.nan_to_num(deviation, nan=whole), _LEAST_SPREAD * whole) / whole)
        fitted["level"] = _centre(level)
        fitted["spread"] = (whole, *_centre(own))
        return cls(spec, column.name, fitted)

    def transform(self, values: Floats) -> Floats:
        """The target on the scale that it is measured on."""
        return to_log(values, self.spec.unit) if self.spec.transform == "log" else values

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`values` (N,T,D) float16, `length` (N,) and `level` (N,2): the level and the spread to put back."""
        cells, bad = _cells(column, self.spec)
        if bad.any():
            repairs.add(self.name, "is no window, taken as one without values", int(bad.sum()))
        rows, history, steps = len(cells), self.spec.history, self.spec.history + self.spec.horizon
        z = self.transform(cells[:, :history, 0])
        known = np.isfinite(z)
        level, filled = self._filled(z)
        deviation = _deviation(np.where(known, z - level[:, None], np.nan))
        whole, middle, width = self.spread
        own = np.maximum(np.nan_to_num(deviation, nan=whole), _LEAST_SPREAD * whole)
        spread = own if self.spec.spread == "own" else np.full(rows, whole)
        values = np.zeros((rows, steps, self.shape().width or 1), dtype=np.float64)
        values[:, :history, 0] = (filled - level[:, None]) / spread[:, None]
        at = 1
        if self.gaps:
            values[:, :history, 1] = ~known
            at = 2
        covariates = _squashed((cells[:, :, 1:] - self.centers) / self.widths)
        past = covariates.shape[2] - self.spec.known
        values[:, :history, at : at + past] = _carried(covariates[:, :history, :past])
        ahead = at + past
        values[:, :, ahead : ahead + self.spec.known] = _carried(covariates[:, :, past:])
        values[:, :, -2] = ((level - self.level[0]) / self.level[1])[:, None]
        values[:, :, -1] = ((np.log(own / whole) - middle) / width)[:, None]
        return {
            "values": np.clip(values, -_FAR, _FAR).astype(np.float16),
            "length": np.full(rows, steps, dtype=np.int32),
            "level": np.stack([level, spread], axis=1).astype(np.float32),
        }

    def _filled(self, z: Floats) -> tuple[Floats, Floats]:
        """(N,) mean of the last period's known values, and (N,L) the values with gaps filled by the last known one."""
        filled = _carried(z, self.level[0])
        period = min(self.spec.period, z.shape[1])
        return filled[:, -period:].mean(axis=1), filled

    def shape(self) -> SeqShape:
        """The target, its gaps, covariates, level and spread at each of T steps."""
        spec = self.spec
        width = len(spec.channels) + int(self.gaps) + len(_EXTRA)
        return SeqShape(
            width=width, length=spec.history + spec.horizon, ahead=spec.horizon, known=spec.known + len(_EXTRA)
        )

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""
        return {
            "name": self.name,
            "gaps": self.gaps,
            "centers": self.centers.tolist(),
            "widths": self.widths.tolist(),
            "level": list(self.level),
            "spread": list(self.spread),
        }

    @classmethod
    def from_state(cls, spec: WindowSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, or impossible.
        """
        stored = Stored(state, where="a window column")
        decided(spec, "a window column")
        name = stored.text("name", limit=100_000)
        fitted: dict[str, Any] = {"gaps": stored.flag("gaps")}
        others = len(spec.channels) - 1
        for key, count in (("centers", others), ("widths", others), ("level", 2), ("spread", 3)):
            fitted[key] = stored.numbers(key, limit=count)
            if len(fitted[key]) != count:
                stored.refuse(f"{key!r} has {len(fitted[key])} values", f"{count} values")
        stored.done()
        sizes = [*fitted["widths"], fitted["level"][1], fitted["spread"][0], fitted["spread"][2]]
        if not all(_SIZES[0] <= v <= _SIZES[1] for v in sizes):
            stored.refuse("a width is not above zero", "positive widths")
        if not all(abs(v) <= _SIZES[1] for key in ("centers", "level", "spread") for v in fitted[key]):
            stored.refuse("a centre is too large", f"numbers up to {_SIZES[1]:g} in size")
        if spec.known + 1 > len(spec.channels):
            stored.refuse("more channels are known ahead than there are", "fewer known channels")
        if (spec.history + spec.horizon) * len(spec.channels) > 1 << 26:
            stored.refuse("its windows are too large", "windows of fewer steps")
        return cls(spec, name, fitted)


def _cells(column: pl.Series, spec: WindowSpec) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(N,T,C) the windows of a column, and which cells are none; those are NaN throughout."""
    steps, channels = spec.history + spec.horizon, len(spec.channels)
    rows = len(column)
    cells = np.full((rows, steps, channels), np.nan)
    present = ~column.is_null().to_numpy() if rows else np.zeros(0, dtype=bool)
    inner: Any = column.dtype
    depth = 0
    while isinstance(inner, (pl.List, pl.Array)):
        inner, depth = inner.inner, depth + 1
    if depth != 2 or not inner.is_float() or not rows:
        return cells, present
    lists = column.cast(pl.List(pl.List(pl.Float64)))
    long = lists.list.len().fill_null(0).to_numpy() == steps
    wide = lists.list.eval(pl.element().list.len() == channels).list.all().fill_null(False).to_numpy()
    good = present & long & wide.astype(bool)
    if good.any():
        flat = lists.filter(pl.Series(good)).explode().explode().to_numpy()
        cells[good] = np.where(np.isfinite(flat), flat, np.nan).reshape(-1, steps, channels)
    cells[np.abs(cells) > _SIZES[1]] = np.nan
    cells[~np.isfinite(cells)] = np.nan
    return cells, present & ~good


def _carried(values: Floats, otherwise: float = 0.0) -> Floats:
    """Gaps along axis 1 filled with the last known value, those at the beginning with the first known one."""
    known = np.isfinite(values)
    if known.all():
        return values
    steps = values.shape[1]
    shape = (1, steps) + (1,) * (values.ndim - 2)
    place = np.where(known, np.arange(steps).reshape(shape), -1)
    last = np.maximum.accumulate(place, axis=1)
    first = known.argmax(axis=1)
    source = np.where(last < 0, np.expand_dims(first, 1), last)
    filled = np.take_along_axis(values, source, axis=1)
    return np.where(np.isfinite(filled), filled, otherwise)


def _squashed(values: Floats) -> Floats:
    """Values beyond one width grow as their logarithm only: a storm must not drown a breeze."""
    size = np.abs(values)
    return np.where(size > 1, np.sign(values) * (1 + np.log(np.maximum(size, 1))), values)


def _scales(values: Floats) -> tuple[list[float], list[float]]:
    """Centre and width of each channel: 0 and 1 for those within -1 and 1, mean and deviation of the others."""
    centers, widths = [], []
    for c in range(values.shape[2]):
        channel = values[:, :, c]
        channel = channel[np.isfinite(channel)]
        if not len(channel) or np.abs(channel).max() <= 1.0:
            centers.append(0.0)
            widths.append(1.0)
        else:
            centre, width = _centre(channel)
            centers.append(centre)
            widths.append(width)
    return centers, widths


def _centre(values: Floats) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    centre, width = float(values.mean()), float(values.std())
    return centre, width if width > 1e-12 * max(abs(centre), 1e-12) and width >= _SIZES[0] else 1.0


def _deviation(values: Floats) -> Floats:
    """(N,) root of the mean square over axis 1, NaN where nothing is known."""
    known = np.isfinite(values)
    squares = np.where(known, values, 0.0) ** 2
    count = known.sum(axis=1)
    mean = squares.sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, np.sqrt(mean), np.nan)
