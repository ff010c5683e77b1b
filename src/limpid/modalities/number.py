"""Columns that hold a quantity: scaled to a size that nets like, with a flag where it is missing."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import FieldsShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.cleaning import parse_numbers
from limpid.data.stored import Stored, decided
from limpid.data.vocabulary import FIRST, MISSING, OTHER

_KNOTS = 1_000
_FEW_VALUES = 12  # most values of a whole number that is also read as a category; bins of a net can tell more apart
_MOST_VALUES = 1_000  # the same where the user asks for it
_LARGEST = 1e300  # beyond it, differences would be infinite
_SMOOTH = 3.0


class NumberSpec(Spec):
    """How numbers are read and scaled."""

    scale: Auto | Literal["standard", "robust", "quantile"] = Field(
        AUTO,
        description="standard: mean 0 and deviation 1; robust: median 0 and quartiles 1 apart, extremes drawn in "
        "smoothly; quantile: to a normal distribution",
    )
    decimal: Auto | Literal[".", ","] = Field(AUTO, description="sign that begins the fraction in text")
    clip: bool = Field(True, description="whether values far outside the training range are drawn in")
    also_category: Auto | bool = Field(
        AUTO, description="whether each different value also gets a code, as if the column were a category"
    )


class Number:
    """A number as float32 with the flag of a missing cell; few-valued whole numbers also as codes.

    `quantile` maps to a normal distribution through at most 1,000 knots; equal values share the middle of their ranks
    (as in Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data", 2021, without its noise). `robust` is
    the scaling with smooth clipping of RealMLP (Holzmüller et al., "Better by Default", 2024).
    """

    Spec: ClassVar[type[Spec]] = NumberSpec
    form: ClassVar[str | None] = "fields"

    def __init__(self, spec: NumberSpec, name: str, can_miss: bool, fitted: Mapping[str, Any]) -> None:
        self.name = name
        self.can_miss = can_miss
        self.decimal = "." if spec.decimal == AUTO else spec.decimal
        self.scale = spec.scale
        self.clip = spec.clip
        self.center = float(fitted["center"])
        self.width = float(fitted["width"])
        self.low = float(fitted["low"])
        self.high = float(fitted["high"])
        self.knots = np.asarray(fitted["knots"], np.float64)
        self.scores = np.asarray(fitted["scores"], np.float64)
        self.values = None if fitted["values"] is None else np.asarray(fitted["values"], np.float64)

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim columns of which at least 95 % of the cells read as numbers."""
        if facts.dtype == "boolean" or facts.number_share < 0.95 or facts.minimum is None or facts.maximum is None:
            return None
        kind = "whole numbers" if facts.integer_share == 1 else "numbers"
        because = f"{facts.distinct:,} different {kind} from {facts.minimum:.6g} to {facts.maximum:.6g}"
        if facts.number_share < 1:
            because += f" in {facts.number_share:.1%} of the cells, the others are no numbers"
        return Recognition(0.8, because, {"decimal": facts.decimal})

    @classmethod
    def plan(cls, spec: NumberSpec, facts: ColumnFacts, size: Size) -> tuple[NumberSpec, Reasons]:
        """Decide the scale by the shape of the distribution."""
        changes: dict[str, Any] = {}
        reasons: Reasons = {}
        if spec.scale == AUTO:
            changes["scale"], reasons["scale"] = _choose_scale(facts, size)
        if spec.decimal == AUTO:
            changes["decimal"], reasons["decimal"] = facts.decimal, "what the cells show"
        if spec.also_category == AUTO:
            few = facts.integer_share == 1 and 3 <= facts.distinct <= _FEW_VALUES
            enough = size.rows >= 20 * facts.distinct
            changes["also_category"] = few and enough
            reasons["also_category"] = (
                f"{facts.distinct} whole numbers, each may behave in its own way"
                if few and enough
                else f"too few rows for {facts.distinct} values"
                if few
                else "only whole numbers of few values gain by it"
            )
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: NumberSpec, column: pl.Series) -> Self:
        """Learn centre, width, range or knots from training rows."""
        assert not spec.autos(), "fit before plan"
        cells = _finite(parse_numbers(column, str(spec.decimal))[0].to_numpy())
        values = np.sort(cells[~np.isnan(cells)])
        fitted: dict[str, Any] = {"center": 0.0, "width": 1.0, "low": 0.0, "high": 0.0}
        fitted |= {"knots": [], "scores": [], "values": None}
        if len(values):
            fitted |= _fit_scale(values, spec.scale)
            fitted["low"], fitted["high"] = float(values[0]), float(values[-1])
        if spec.also_category:
            different, counts = np.unique(values, return_counts=True)
            kept = np.sort(different[np.argsort(-counts, kind="stable")[:_MOST_VALUES]])
            fitted["values"] = kept.tolist()
        return cls(spec, column.name, bool(np.isnan(cells).any()), fitted)

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`numbers` and `missing` (N,1) float32, and `categories` (N,1) int64 where values are codes as well."""
        series, bad = parse_numbers(column, self.decimal)
        cells = series.to_numpy()
        if bad.any():
            example = column.gather(np.flatnonzero(bad)[:1])[0]
            repairs.add(self.name, "could not be read as a number, taken as missing", int(bad.sum()), example)
        endless = np.isinf(cells)
        if endless.any():
            repairs.add(self.name, "infinite, taken as missing", int(endless.sum()), cells[endless][0])
        cells = _finite(cells)
        missing = np.isnan(cells)
        present = np.where(missing, self.center, cells)
        scaled = np.where(missing, 0.0, self._scaled(present)).astype(np.float32)
        parts = {"numbers": scaled.reshape(-1, 1), "missing": missing.astype(np.float32).reshape(-1, 1)}
        if self.values is not None:
            parts["categories"] = self._codes(present, missing).reshape(-1, 1)
        return parts

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.scale == "quantile":
            if not len(self.knots):
                return np.zeros_like(values)
            return np.asarray(np.interp(values, self.knots, self.scores))
        if self.clip and self.scale == "standard":
            reach = (self.high - self.low) / 2
            values = np.clip(values, self.low - reach, self.high + reach)
        with np.errstate(over="ignore"):  # without clipping, a value may exceed what float32 holds
            scaled = np.clip((values - self.center) / self.width, -1e30, 1e30)
            if self.clip and self.scale == "robust":
                scaled = scaled / np.sqrt(1.0 + (scaled / _SMOOTH) ** 2)
        return np.asarray(scaled)

    def _codes(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        assert self.values is not None
        if not len(self.values):
            return np.where(missing, MISSING, OTHER).astype(np.int64)
        at = np.minimum(np.searchsorted(self.values, values), len(self.values) - 1)
        codes = np.where(self.values[at] == values, at + FIRST, OTHER)
        return np.where(missing, MISSING, codes).astype(np.int64)

    def value_of(self, code: int) -> str:
        """What a code of the categorical feature stands for, for people."""
        if code in (MISSING, OTHER):
            return "(missing)" if code == MISSING else "(other)"
        assert self.values is not None
        return f"{self.values[code - FIRST]:g}"

    def shape(self) -> FieldsShape:
        """One numeric feature, and one categorical feature where values are codes as well."""
        if self.values is None:
            return FieldsShape(numbers=(self.name,), can_miss=(self.can_miss,))
        return FieldsShape(
            numbers=(self.name,),
            can_miss=(self.can_miss,),
            categories=(f"{self.name} (as category)",),
            cardinalities=(len(self.values) + FIRST,),
        )

    def state(self) -> dict[str, Any]:
        """Name, range and scale."""
        return {
            "name": self.name,
            "can_miss": self.can_miss,
            "center": self.center,
            "width": self.width,
            "low": self.low,
            "high": self.high,
            "knots": self.knots.tolist(),
            "scores": self.scores.tolist(),
            "values": None if self.values is None else self.values.tolist(),
        }

    @classmethod
    def from_state(cls, spec: NumberSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, not finite, too long, or does not fit the others.
        """
        decided(spec, "a number column")
        stored = Stored(state, where="a number column")
        name, can_miss = stored.text("name"), stored.flag("can_miss")
        fitted: dict[str, Any] = {key: stored.number(key) for key in ("center", "width", "low", "high")}
        wild = any(abs(v) > 2 * _LARGEST for v in fitted.values())
        if wild or fitted["width"] <= 0 or fitted["low"] > fitted["high"]:
            stored.refuse("its range is impossible", "a positive 'width', and 'low' not above 'high'")
        fitted["knots"] = stored.numbers("knots", limit=_KNOTS, rising=True)
        fitted["scores"] = stored.numbers("scores", limit=_KNOTS)
        if len(fitted["knots"]) != len(fitted["scores"]) or any(abs(s) > 10 for s in fitted["scores"]):
            stored.refuse("'scores' do not belong to 'knots'", "a score of -10 to 10 for each knot")
        wanted = stored.take("values") is not None
        fitted["values"] = stored.numbers("values", limit=_MOST_VALUES, rising=True) if wanted else None
        if wanted != spec.also_category:
            stored.refuse("'values' do not fit the setting 'also_category'", "values exactly where it is true")
        stored.done()
        return cls(spec, name, can_miss, fitted)


def _choose_scale(facts: ColumnFacts, size: Size) -> tuple[str, str]:
    if facts.minimum is None or facts.maximum is None or not facts.std or facts.mean is None:
        return "standard", "one value"
    reach = max(facts.maximum - facts.mean, facts.mean - facts.minimum) / facts.std
    lean = abs(facts.mean - facts.quantiles[4]) / facts.std
    shape = f"the farthest value is {reach:.1f} deviations from the mean, the median {lean:.2f}"
    smooth = facts.distinct >= 20
    if reach <= 5 and (lean <= 0.3 or not smooth):
        return "standard", f"no long tails: {shape}"
    if size.rows >= 500 and smooth:
        return "quantile", f"long or uneven tails: {shape}"
    return "robust", f"long or uneven tails, and too few rows or values for a smooth distribution: {shape}"


def _finite(cells: np.ndarray) -> np.ndarray:
    """Infinities as missing, and numbers held where their differences are finite."""
    return np.clip(np.where(np.isinf(cells), np.nan, cells), -_LARGEST, _LARGEST)


def _fit_scale(values: np.ndarray, scale: str) -> dict[str, Any]:
    """Learn from values in rising order, at least one."""
    low, high = float(values[0]), float(values[-1])
    if scale == "quantile":
        knots, scores = _normal_knots(values)
        return {"center": float(np.median(values)), "knots": knots, "scores": scores}
    largest = max(abs(low), abs(high)) or 1.0
    unit = values / largest  # squares of numbers such as 1e300 would be infinite
    if scale == "standard":
        center, width = float(unit.mean()) * largest, float(unit.std()) * largest
    else:
        quarter, center, three = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        width = three - quarter or (high - low) / 2
    # A deviation within rounding of the values themselves is none.
    return {"center": center, "width": width if width > 1e-12 * largest else 1.0}


def _normal_knots(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Values in rising order with the normal scores of the middle of their ranks, at most 1,000 of them."""
    different, first = np.unique(values, return_index=True)
    last = np.append(first[1:], len(values))
    middle = (first + last) / (2 * len(values))
    if len(different) > _KNOTS:
        wanted = np.searchsorted(middle, np.linspace(0, 1, _KNOTS))
        kept = np.unique(np.concatenate([[0], np.minimum(wanted, len(different) - 1)]))[:_KNOTS]
        kept[-1] = len(different) - 1
        different, middle = different[kept], middle[kept]
    normal = NormalDist()
    return different.tolist(), [normal.inv_cdf(float(m)) for m in middle]
