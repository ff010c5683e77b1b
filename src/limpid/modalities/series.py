"""Columns that hold a series in each cell: numbers in the order of time, of one channel or of several.

Legend of shapes: N cells, S time steps of all cells one after the other, D channels, T time steps of the longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import SeqShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, ColumnSpec, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.augment_series import SeriesAugmentSpec
from limpid.data.cleaning import clean
from limpid.data.series import MOST_CHANNELS, Ragged, moments, read_series
from limpid.data.series_shown import show_series
from limpid.data.stored import Stored, decided

_LONGEST = 65_536  # time steps that a network may be given
_ENOUGH = 2_048  # time steps from which neighbours are averaged
_IN_TEXT = 8  # numbers in a text from which it may be a series
_OUTLIER = 4  # times the usual length beyond which a series is cut instead of all others being averaged
_REACH = 1_000.0  # deviations beyond which a value is drawn in
_FIXED = ("convkernel",)  # nets that learn nothing from changed rows
_MANY_ROWS = 5_000
_LARGEST = 1e150  # beyond it, squares would be infinite


class SeriesSpec(Spec):
    """How series are read, scaled and brought to one length."""

    standardise: Auto | Literal["channel", "series", "none"] = Field(
        AUTO,
        description="channel: each channel to mean 0 and deviation 1 over all training rows; series: each series to "
        "mean 0 and deviation 1 by itself, so that its shape counts and not its level; none: as they are",
    )
    length: Auto | Annotated[int, Field(ge=1, le=_LONGEST)] = Field(
        AUTO, description="time steps that the network reads; shorter series are padded behind, longer ones are cut"
    )
    stride: Auto | Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        AUTO, description="neighbouring time steps that are averaged into one, 1 for none"
    )
    gaps: Literal["interpolate", "zero"] = Field(
        "interpolate",
        description="what stands where a number is absent: a line between its neighbours, or the mean; where training "
        "rows have gaps, a further channel marks them",
    )
    augment: Auto | SeriesAugmentSpec = Field(
        AUTO, description="how training rows are changed anew in each pass; none by {}, and none for fixed kernels"
    )


class Series:
    """`values` (N,T,D) and `length` (N,): standardised numbers, padded behind, with a mark of gaps as last channel.

    Standardising each series by itself is the practice of the UCR archive (Dau et al., "The UCR Time Series Archive",
    2019, arXiv 1810.07758), whose univariate series come so.
    """

    Spec: ClassVar[type[Spec]] = SeriesSpec
    form: ClassVar[str | None] = "seq"
    augmenter: ClassVar[str] = "limpid.layers.augment_series:SeriesAugment"

    def __init__(self, spec: SeriesSpec, name: str, center: list[float], scale: list[float], gaps: bool) -> None:
        assert spec.length != AUTO and spec.stride != AUTO and spec.standardise != AUTO, "fit before plan"
        self.name = name
        self.center = np.asarray(center, np.float64)
        self.scale = np.asarray(scale, np.float64)
        self.gaps = gaps
        self.length = spec.length
        self.stride = spec.stride
        self.standardise = spec.standardise
        self.interpolate = spec.gaps == "interpolate"
        assert spec.augment != AUTO
        self.augment = spec.augment.with_(marks=gaps)

    @property
    def channels(self) -> int:
        """D, the mark of gaps aside."""
        return len(self.center)

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim lists of numbers that are no sets: fractions, numbers that stand twice, dozens of them each."""
        found = facts.series
        short_text = facts.dtype == "text" and found is not None and found.lengths[2] < _IN_TEXT
        if found is None or not found.ordered or facts.present == 0 or short_text:
            return None
        shortest, _, _, _, longest = found.lengths
        steps = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
        channels = "" if found.channels == 1 else f" of {found.channels:,} channels"
        because = f"{facts.present:,} lists of {steps} time steps{channels}"
        signs = []
        if found.whole_share < 1:
            signs.append("with fractions")
        if found.repeat_share > 0:
            signs.append(f"{found.repeat_share:.0%} of them hold a number twice, which no set of labels does")
        return Recognition(0.92, ", ".join([because, *signs]))

    @classmethod
    def plan(cls, spec: SeriesSpec, facts: ColumnFacts, size: Size) -> tuple[SeriesSpec, Reasons]:
        """Decide scale, stride and length by the lengths and levels of training rows."""
        changes: dict[str, Any] = {}
        reasons: Reasons = {}
        found = facts.series
        _, _, middle, _, longest = found.lengths if found is not None else (0, 0, 0, 0, 0)
        if spec.standardise == AUTO:
            changes["standardise"], reasons["standardise"] = _choose_scale(facts, size)
        reach, why = max(longest, 1), "the longest training series"
        if longest > _OUTLIER * max(middle, 1):
            reach = _OUTLIER * max(middle, 1)
            why = f"{_OUTLIER} times the usual length of {middle:,}; the longest of {longest:,} is an exception and cut"
        if spec.stride == AUTO:
            stride = 1
            if spec.length == AUTO or spec.length < reach:
                stride = -(-reach // min(_ENOUGH, spec.length if spec.length != AUTO else _ENOUGH))
            changes["stride"] = stride
            reasons["stride"] = (
                f"{reach:,} time steps are few enough to be read one by one"
                if stride == 1
                else f"{reach:,} time steps would be slow; {stride} neighbours averaged leave {-(-reach // stride):,}"
            )
        stride = changes.get("stride", spec.stride)
        if spec.length == AUTO:
            changes["length"] = min(_LONGEST, -(-reach // stride))
            reasons["length"] = f"{why}: {reach:,} time steps" + (f", {stride} averaged into one" * (stride > 1))
        if spec.augment == AUTO:
            changes["augment"], reasons["augment"] = _choose_augmentation(size)
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: SeriesSpec, column: pl.Series) -> Self:
        """Learn the number of channels, their means and deviations, and whether there are gaps."""
        assert not spec.autos(), "fit before plan"
        read = read_series(column)
        channels = read.channels
        center, scale = np.zeros(channels), np.ones(channels)
        if spec.standardise == "channel":
            for channel in range(channels):
                center[channel], scale[channel] = _center_and_scale(read.values[:, channel])
        return cls(spec, column.name, center.tolist(), scale.tolist(), bool(np.isnan(read.values).any()))

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`values` (N,T,D) float32 and `length` (N,) int32."""
        read = read_series(column, self.channels)
        self._count(read, column, repairs)
        steps = np.minimum(read.lengths, self.length * self.stride)
        long = read.lengths > steps
        if long.any():
            what = f"longer than {self.length * self.stride:,} time steps, cut"
            repairs.add(self.name, what, int(long.sum()), f"{int(read.lengths.max()):,} steps")
        level, width = self._scales(read)
        owner = read.owner
        with np.errstate(over="ignore"):
            scaled = (np.clip(read.values, -_LARGEST, _LARGEST) - level[owner]) / width[owner]
        scaled = np.clip(scaled, -_REACH, _REACH)
        place = np.arange(len(owner)) - np.repeat(read.starts, read.lengths)
        kept = place < steps[owner]
        lengths = -(-steps // self.stride)
        values = np.zeros((len(read.lengths), self.length, self.channels + self.gaps), np.float32)
        if self.stride == 1:
            filled = self._filled(scaled, read)
            values[owner[kept], place[kept], : self.channels] = filled[kept]
            if self.gaps:
                values[owner[kept], place[kept], -1] = np.isnan(scaled).any(axis=1)[kept]
        else:
            self._put_averages(values, scaled, read, kept, place)
        return {"values": values, "length": lengths.astype(np.int32)}

    def _count(self, read: Ragged, column: pl.Series, repairs: Repairs) -> None:
        if read.bad.any():
            example = str(column.gather(np.flatnonzero(read.bad)[:1]).to_list()[0])[:80]
            repairs.add(self.name, f"{_no_series(self.channels)}, taken as missing", int(read.bad.sum()), example)
        repairs.add(
            self.name, "have time steps with another number of channels, cut or filled up", int(read.uneven.sum())
        )
        repairs.add(self.name, "hold infinite numbers, taken as gaps", int(read.endless.sum()))
        if not self.gaps:
            gaps = np.zeros(len(read.lengths), bool)
            gaps[read.owner[np.isnan(read.values).any(axis=1)]] = True
            repairs.add(self.name, "have gaps, which no training row had, filled in", int(gaps.sum()))

    def _scales(self, read: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """(N,D) what is subtracted from each series, and what it is divided by."""
        rows = len(read.lengths)
        if self.standardise != "series":
            return np.tile(self.center, (rows, 1)), np.tile(self.scale, (rows, 1))
        mean, deviation, _ = moments(read)
        # A deviation within rounding of the values themselves is none.
        flat = deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-290)
        return mean, np.where(flat, 1.0, deviation)

    def _filled(self, scaled: np.ndarray, read: Ragged) -> np.ndarray:
        """(S,D) without NaN: on a line between the neighbours in the same series, or 0."""
        gap = np.isnan(scaled)
        if not gap.any():
            return scaled
        filled = np.where(gap, 0.0, scaled)
        if not self.interpolate:
            return filled
        owner, starts = read.owner, read.starts
        for channel in range(scaled.shape[1]):
            for row in np.unique(owner[gap[:, channel]]):
                span = slice(int(starts[row]), int(starts[row] + read.lengths[row]))
                there = np.flatnonzero(~gap[span, channel])
                if len(there):
                    line = np.interp(np.arange(span.stop - span.start), there, scaled[span, channel][there])
                    filled[span, channel] = line
        return filled

    def _put_averages(
        self, values: np.ndarray, scaled: np.ndarray, read: Ragged, kept: np.ndarray, place: np.ndarray
    ) -> None:
        """Means of `stride` neighbours; of those that are present, where gaps are not filled."""
        filled = self._filled(scaled, read)
        if not len(filled):
            return
        owner, slot = read.owner[kept], place[kept] // self.stride
        first = np.flatnonzero(np.diff(owner, prepend=-1) | np.diff(slot, prepend=-1))
        count = np.diff(first, append=len(owner)).reshape(-1, 1)
        values[owner[first], slot[first], : self.channels] = np.add.reduceat(filled[kept], first, axis=0) / count
        if self.gaps:
            gap = np.isnan(scaled).any(axis=1)[kept].astype(np.float64)
            values[owner[first], slot[first], -1] = np.add.reduceat(gap, first) / count[:, 0]

    def shape(self) -> SeqShape:
        """A seq of vectors, one number for each channel and one for the mark of gaps where there is one."""
        return SeqShape(width=self.channels + self.gaps, length=self.length)

    @classmethod
    def show(cls, cells: pl.Series, groups: Sequence[str | None] | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a person wants to see: how many, how long, with what gaps, and a few series of each group.

        Args:
            cells: of the column.
            groups: of each cell its class, or None.
            options: settings, decided or not.
        """
        return show_series(read_series(clean(cells, ColumnSpec(kind="series"))), groups)

    def state(self) -> dict[str, Any]:
        """Name, scale of each channel, and whether gaps are marked."""
        return {
            "name": self.name,
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
            "gaps": self.gaps,
        }

    @classmethod
    def from_state(cls, spec: SeriesSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, not finite, too long, or does not fit the others.
        """
        decided(spec, "a series column")
        stored = Stored(state, where="a series column")
        name, gaps = stored.text("name"), stored.flag("gaps")
        center = stored.numbers("center", limit=MOST_CHANNELS)
        scale = stored.numbers("scale", limit=MOST_CHANNELS)
        if not center or len(center) != len(scale):
            stored.refuse("'scale' does not belong to 'center'", "a center and a scale for each channel")
        if any(s <= 0 or s > _LARGEST for s in scale) or any(abs(c) > _LARGEST for c in center):
            stored.refuse("a scale is impossible", "positive numbers in 'scale'")
        stored.done()
        return cls(spec, name, center, scale, gaps)


def _no_series(channels: int) -> str:
    return "are no series of numbers" if channels == 1 else f"are no series of {channels:,} channels"


def _choose_scale(facts: ColumnFacts, size: Size) -> tuple[str, str]:
    found = facts.series
    if found is None:
        return "channel", "there is no series to look at"
    if found.unit_share > 0.95:
        return "channel", f"{found.unit_share:.0%} of the series have mean 0 and deviation 1 already"
    if size.task == "classification" and found.channels == 1 and found.level_share > 0.5:
        return (
            "series",
            f"levels of the series make up {found.level_share:.0%} of all variance and would drown their shapes; the "
            "UCR archive's practice",
        )
    return (
        "channel",
        f"levels of the series make up {found.level_share:.0%} of all variance; level and size may say something",
    )


def _choose_augmentation(size: Size) -> tuple[SeriesAugmentSpec, str]:
    none = SeriesAugmentSpec()
    if size.net in (None, *_FIXED):
        return none, "the head is solved for on fixed features, with no pass that could show something new"
    if size.rows > _MANY_ROWS:
        return none, f"{size.rows:,} rows show by themselves what varies"
    chosen = SeriesAugmentSpec(share=0.5, scaling=0.1, time_warp=0.1, window=0.1)
    return chosen, f"{size.rows:,} rows are few: every second one is shown in another size, speed and part"


def _center_and_scale(values: np.ndarray) -> tuple[float, float]:
    known = np.clip(values[~np.isnan(values)], -_LARGEST, _LARGEST)
    if not len(known):
        return 0.0, 1.0
    largest = float(np.abs(known).max()) or 1.0
    unit = known / largest  # squares of numbers such as 1e300 would be infinite
    center, width = float(unit.mean()) * largest, float(unit.std()) * largest
    return center, width if width > 1e-9 * largest else 1.0
