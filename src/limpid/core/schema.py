"""What a column is, and how we know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, model_validator

from limpid.core.spec import Spec


class ColumnSpec(Spec):
    """What is decided of one column.

    `--set data.columns.zip=category` is short for `{kind: category}`.
    """

    kind: str = Field(description="kind of column: a name of the catalogue of modalities")
    missing: tuple[str, ...] = Field(default=(), description="values that stand for a missing one, such as ? or -999")
    use: bool = Field(
        default=True, description="whether the model reads it; false for what is left out, with the reason"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="settings of the modality")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


_SERIES_STEPS = 8  # whole numbers in a list from which it may be a series


@dataclass(frozen=True)
class SeriesFacts:
    """What was counted in a column of lists of numbers; a series is a cell that is not missing.

    Args:
        channels: numbers in one time step: 1 for plain lists, the commonest length of the inner lists otherwise.
        lengths: time steps of a series at quantiles 0, .05, .5, .95 and 1.
        gap_share: share of the numbers that are absent, not a number or infinite.
        gap_series: share of series with such a gap.
        repeat_share: share of series in which a number stands twice, which no set does.
        whole_share: share of the numbers that are whole.
        level_share: variance of the series' means as a share of the variance of all numbers, the mean over channels.
        unit_share: share of series that have mean 0 and deviation 1 already in each channel.
        uneven: series with a time step that has another number of channels.
    """

    channels: int
    lengths: tuple[int, int, int, int, int]
    gap_share: float = 0.0
    gap_series: float = 0.0
    repeat_share: float = 0.0
    whole_share: float = 0.0
    level_share: float = 0.0
    unit_share: float = 0.0
    uneven: int = 0

    @property
    def ordered(self) -> bool:
        """Whether they are surely no sets: no set holds a number twice, or fractions, or as many numbers each time."""
        _, _, middle, _, longest = self.lengths
        if self.channels > 1 or (self.whole_share < 1 and longest >= 2):
            return True
        return middle >= _SERIES_STEPS and (self.repeat_share > 0.2 or self.lengths[0] == longest)


@dataclass(frozen=True)
class ColumnFacts:
    """What was counted in one column before anything was decided; shares are of the cells that are not missing.

    Args:
        name: the column's name.
        rows: cells looked at.
        missing: cells that are null, empty, or one of `missing_codes`.
        missing_codes: code -> count, for codes taken as missing ("?", "NA", "-999" at suspicious frequency).
        distinct: number of different values.
        dtype: storage type in the source: "text", "integer", "float", "boolean", "date", "list" or "binary".
        number_share: share that reads as a number.
        integer_share: share that reads as a whole number.
        decimal: "." or ",", how the numbers write their decimals.
        leading_zero_share: share of whole numbers that begin with a needless zero (codes, not quantities).
        date_share: share that reads as a date or time.
        date_format: the strptime format that reads it, or "" for typed dates and "iso".
        mean_characters: mean length in characters.
        mean_words: mean number of words split at white space.
        character_quantiles, word_quantiles: of the lengths of texts, at the shares of `quantiles`; here signs count as
            words, as they do where text is read.
        separator: for text that looks like a set of labels, the separator ("|", ";" or ","), otherwise "".
        labels: number of different labels after splitting at the separator (or in the lists).
        top: the most frequent values as text with their counts, at most 20.
        minimum, maximum, mean, std, quantiles: of the numbers, where there are any; quantiles at 0, .01, .05, .25, .5,
            .75, .95, .99, 1.
        sorted_share: share of neighbouring numbers or dates that do not go down.
        examples: up to five values as text.
        notes: what a person should know of the counting, as sentences (day and month could be exchanged).
        cells: of a binary column up to 256 whole cells, evenly spread: the pictures or recordings themselves.
        classes: of each of `cells` the class of its row, where the target has one class a row; otherwise empty.
        series: what was counted in lists of numbers, None for other cells.
    """

    name: str
    rows: int
    missing: int
    missing_codes: Mapping[str, int]
    distinct: int
    dtype: str
    number_share: float = 0.0
    integer_share: float = 0.0
    decimal: str = "."
    leading_zero_share: float = 0.0
    date_share: float = 0.0
    date_format: str = ""
    mean_characters: float = 0.0
    mean_words: float = 0.0
    character_quantiles: tuple[float, ...] = ()
    word_quantiles: tuple[float, ...] = ()
    separator: str = ""
    labels: int = 0
    top: tuple[tuple[str, int], ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    sorted_share: float = 0.0
    examples: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = ()
    cells: tuple[bytes, ...] = field(default=(), repr=False)
    classes: tuple[str | None, ...] = field(default=(), repr=False)
    series: SeriesFacts | None = None

    @property
    def present(self) -> int:
        """Cells that are not missing."""
        return self.rows - self.missing

    @property
    def distinct_share(self) -> float:
        """Different values per present cell, 0 for an empty column."""
        return self.distinct / self.present if self.present else 0.0


@dataclass(frozen=True)
class Recognition:
    """A modality's claim on a column; the strongest claim wins.

    Args:
        strength: 0 to 1.
        because: the evidence, one sentence with its figures ("14 whole numbers from 1 to 17, few distinct").
        options: settings of the modality that the evidence fixes (the date format, the separator).
    """

    strength: float
    because: str
    options: Mapping[str, Any] = field(default_factory=dict)
