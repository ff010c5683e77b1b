"""A column as numbers or as codes, for counting: what the profile and the leak check look at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.data.cleaning import canonical, clean, parse_dates, parse_numbers

MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class View:
    """One column of N cells.

    Args:
        name: the column's name.
        kind: number, category, labels, date, text, series, key, constant.
        numbers: (N,) values of a number, or days since 1970 of a date, NaN where missing; None for other kinds.
        codes: (N,) of other kinds, -1 where missing, 0 for the most frequent level; None for numbers and dates.
        levels: text of each code; none for series.
        bad: cells that hold something that could not be read as the kind says.
    """

    name: str
    kind: str
    numbers: npt.NDArray[np.float64] | None = None
    codes: npt.NDArray[np.int64] | None = None
    levels: tuple[str, ...] = field(default=(), repr=False)
    bad: int = 0

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the cell is missing, or could not be read."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    def take(self, rows: npt.NDArray[np.int64]) -> View:
        """The same column on some rows; levels keep their codes."""
        return View(
            self.name,
            self.kind,
            None if self.numbers is None else self.numbers[rows],
            None if self.codes is None else self.codes[rows],
            self.levels,
            self.bad,
        )


def view(column: pl.Series, spec: ColumnSpec, facts: ColumnFacts | None = None) -> View:
    """Read a column as its kind says; nothing raises, what cannot be read counts as missing and in `bad`.

    Args:
        column: the cells as the source gives them.
        spec: its kind, its missing codes and options such as the date format.
        facts: what was counted in it; gives the decimal sign and date format where the options do not.
    """
    cells = clean(column, spec)
    if spec.kind == "number":
        decimal = spec.options.get("decimal", facts.decimal if facts is not None else ".")
        values, bad = parse_numbers(cells, decimal if decimal in (".", ",") else ".")
        numbers = values.to_numpy().astype(np.float64)
        endless = np.isinf(numbers)
        return View(column.name, "number", np.where(endless, np.nan, numbers), bad=_count(bad) + int(endless.sum()))
    if spec.kind == "date":
        form = spec.options.get("format", facts.date_format if facts is not None else "iso")
        moments, bad = parse_dates(cells, form if isinstance(form, str) and form != "auto" else "iso")
        ticks = moments.cast(pl.Datetime("us")).to_physical().cast(pl.Float64).to_numpy()
        return View(column.name, "date", ticks.astype(np.float64) / MICROSECONDS_A_DAY, bad=_count(bad))
    return _hashed(cells) if spec.kind == "series" else _coded(cells, spec.kind)


def _hashed(cells: pl.Series) -> View:
    """Codes that tell equal series from different ones; a series has no name that would serve as a level."""
    present = ~cells.is_null().to_numpy()
    marks = cells.to_frame().hash_rows(seed=0).to_numpy()
    _, codes = np.unique(marks[present], return_inverse=True)
    order = np.argsort(-np.bincount(codes), kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    found = np.full(len(cells), -1, np.int64)
    found[present] = ranks[codes]
    return View(cells.name, "series", codes=found)


def _count(mask: pl.Series | npt.NDArray[np.bool_]) -> int:
    return int(np.asarray(mask).sum())


def _coded(cells: pl.Series, kind: str) -> View:
    text = canonical(cells).alias("level")
    counts = text.drop_nulls().value_counts().sort(["count", "level"], descending=[True, False])
    levels = counts.get_column("level")
    coded = text.to_frame().join(
        pl.DataFrame({"level": levels, "code": np.arange(len(levels), dtype=np.int64)}),
        on="level",
        how="left",
        maintain_order="left",
    )
    codes = coded.get_column("code").fill_null(-1).to_numpy().astype(np.int64)
    return View(cells.name, kind, codes=codes, levels=tuple(levels.to_list()))
