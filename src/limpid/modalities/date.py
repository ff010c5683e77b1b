"""Columns that hold a date or a time: its place on the line of time, and its places in the day, week and year."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from pydantic import AfterValidator, Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import FieldsShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.cleaning import parse_dates
from limpid.data.dates import check_format
from limpid.data.stored import Stored, decided

_DAY = 86_400_000_000  # microseconds
_CYCLES = ("hour", "weekday", "day", "month", "yearday")
_FARTHEST = 4e6  # days; beyond the year 9999


class DateSpec(Spec):
    """How dates are read."""

    format: Auto | Annotated[str, Field(max_length=64), AfterValidator(check_format)] = Field(
        AUTO, description="iso, unix_s, unix_ms, unix_us or a strptime format such as %d/%m/%Y; empty for typed dates"
    )


class Date:
    """Days since 1970, standardised, and a sine and a cosine for each cycle that varies in training rows."""

    Spec: ClassVar[type[Spec]] = DateSpec
    form: ClassVar[str | None] = "fields"

    def __init__(self, spec: DateSpec, name: str, can_miss: bool, fitted: Mapping[str, Any]) -> None:
        self.name = name
        self.can_miss = can_miss
        self.format = spec.format or "iso"
        self.line = bool(fitted["line"])
        self.center = float(fitted["center"])
        self.width = float(fitted["width"])
        self.low = float(fitted["low"])
        self.high = float(fitted["high"])
        self.cycles: list[str] = list(fitted["cycles"])

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim columns of which at least 95 % of the cells read as dates."""
        if facts.present == 0 or facts.date_share < 0.95:
            return None
        written = f"written as {facts.date_format}" if facts.date_format else "stored as dates"
        because = f"{facts.date_share:.0%} of {facts.present:,} cells are dates, {written}"
        if facts.sorted_share == 1.0:
            because += ", in order of time"
        return Recognition(0.96, because, {"format": facts.date_format})

    @classmethod
    def plan(cls, spec: DateSpec, facts: ColumnFacts, size: Size) -> tuple[DateSpec, Reasons]:
        """Decide the format by the cells."""
        if spec.format != AUTO:
            return spec, {}
        return spec.with_(format=facts.date_format), {"format": "what the cells show"}

    @classmethod
    def fit(cls, spec: DateSpec, column: pl.Series) -> Self:
        """Learn the span of time and which cycles vary."""
        assert spec.format != AUTO, "fit before plan"
        micros, missing, _ = _micros(column, spec.format or "iso")
        present = micros[~missing]
        fitted: dict[str, Any] = {"line": True, "center": 0.0, "width": 1.0, "low": 0.0, "high": 0.0, "cycles": []}
        if len(present):
            days = present / _DAY
            width = float(days.std())
            fitted |= {"center": float(days.mean()), "low": float(days.min()), "high": float(days.max())}
            fitted["width"] = width if width > 1e-9 else 1.0
            phases = {cycle: _phase(present, cycle) for cycle in _CYCLES}
            vary = {cycle for cycle, phase in phases.items() if phase.min() < phase.max()}
            # The day of the year says the month as well, unless every date is of the same day of its month.
            vary.discard("month" if "day" in vary else "yearday")
            if fitted["high"] - fitted["low"] < 1:
                vary &= {"hour"}
            fitted["cycles"] = [c for c in _CYCLES if c in vary]
            # Without cycles the line stays even where it is one point: it carries the flag of a missing date.
            fitted["line"] = fitted["high"] - fitted["low"] >= 1 or not vary
        return cls(spec, column.name, bool(missing.any()), fitted)

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`numbers` and `missing`, both (N,F) float32."""
        micros, missing, bad = _micros(column, self.format)
        if bad.any():
            example = column.gather(np.flatnonzero(bad)[:1])[0]
            repairs.add(self.name, "could not be read as a date, taken as missing", int(bad.sum()), example)
        numbers = np.zeros((len(column), self._features), np.float32)
        at = 0
        if self.line:
            reach = (self.high - self.low) / 2
            days = np.clip(micros / _DAY, self.low - reach, self.high + reach)
            numbers[:, 0] = (days - self.center) / self.width
            at = 1
        for cycle in self.cycles:
            angle = 2 * np.pi * _phase(micros, cycle)
            numbers[:, at], numbers[:, at + 1] = np.sin(angle), np.cos(angle)
            at += 2
        numbers[missing] = 0
        return {"numbers": numbers, "missing": np.repeat(missing[:, None], self._features, 1).astype(np.float32)}

    @property
    def _features(self) -> int:
        return int(self.line) + 2 * len(self.cycles)

    def shape(self) -> FieldsShape:
        """The line of time, and two numeric features for each cycle."""
        cycles = (f"{self.name}.{cycle}_{wave}" for cycle in self.cycles for wave in ("sin", "cos"))
        names = (*([f"{self.name}.days"] if self.line else []), *cycles)
        return FieldsShape(numbers=names, can_miss=(self.can_miss,) * len(names))

    def state(self) -> dict[str, Any]:
        """Name, span of time and cycles."""
        return {
            "name": self.name,
            "can_miss": self.can_miss,
            "line": self.line,
            "center": self.center,
            "width": self.width,
            "low": self.low,
            "high": self.high,
            "cycles": self.cycles,
        }

    @classmethod
    def from_state(cls, spec: DateSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, not finite, or impossible.
        """
        decided(spec, "a date column")
        stored = Stored(state, where="a date column")
        name, can_miss = stored.text("name"), stored.flag("can_miss")
        fitted: dict[str, Any] = {key: stored.number(key) for key in ("center", "width", "low", "high")}
        if any(abs(v) > _FARTHEST for v in fitted.values()) or fitted["width"] <= 0 or fitted["low"] > fitted["high"]:
            stored.refuse("its span of time is impossible", "a positive 'width', and 'low' not above 'high'")
        fitted["line"] = stored.flag("line")
        fitted["cycles"] = stored.texts("cycles", limit=len(_CYCLES), characters=16)
        if not set(fitted["cycles"]) <= set(_CYCLES):
            stored.refuse("it names an unknown cycle", f"cycles of {', '.join(_CYCLES)}")
        stored.done()
        return cls(spec, name, can_miss, fitted)


def _micros(column: pl.Series, format: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Microseconds since 1970 (0 where missing), which cells are missing, and which of them were bad."""
    dates, bad = parse_dates(column, format)
    cells = dates.cast(pl.Int64)
    if not cells.null_count():
        return cells.to_numpy(), np.zeros(len(cells), bool), bad
    return cells.fill_null(0).to_numpy(), cells.is_null().to_numpy(), bad


def _phase(micros: np.ndarray, cycle: str) -> np.ndarray:
    """Where in the cycle each time lies, 0 to 1."""
    days = np.floor_divide(micros, _DAY)
    if cycle == "hour":
        return np.asarray((micros - days * _DAY) / _DAY)
    if cycle == "weekday":
        return np.asarray(((days + 3) % 7) / 7)  # 1970-01-01 was a Thursday; Monday is 0
    dates = days.astype("M8[D]")
    months = dates.astype("M8[M]")
    if cycle == "day":
        return np.asarray((dates - months).astype(np.int64) / 31)
    if cycle == "month":
        return np.asarray((months.astype(np.int64) % 12) / 12)
    assert cycle == "yearday", cycle
    return np.asarray((dates - dates.astype("M8[Y]").astype("M8[D]")).astype(np.int64) / 366)
