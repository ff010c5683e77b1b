"""How series are laid out in a table that was not made for them, and the table with one series in a cell.

wide    a row is a series, its time steps are columns: t1, t2, ..., t150
long    a row is a time step: which series (id), when (time), and one or several values
"""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from pydantic import Field, model_validator

from limpid.core.spec import Spec
from limpid.data.sources.base import Table
from limpid.data.sources.long import group_rows
from limpid.data.sources.wide import WideTable

Name = Annotated[str, Field(min_length=1, max_length=1000)]

MOST_STEPS = 65_536
"""Columns that may be the time steps of one series."""


class SeriesLayout(Spec):
    """Where the series of a table stand."""

    layout: Literal["wide", "long", "none"] = Field(
        default="long",
        description="wide: a row is a series and columns are its time steps; long: a row is a time step; none: neither",
    )
    columns: Annotated[tuple[Name, ...], Field(max_length=MOST_STEPS)] = Field(
        default=(), description="wide: the columns of the time steps in their order"
    )
    id: Name | None = Field(default=None, description="long: the column that says which series a row belongs to")
    time: Name | None = Field(default=None, description="long: the column that orders the rows of a series")
    values: Annotated[tuple[Name, ...], Field(max_length=4_096)] = Field(
        default=(), description="long: the columns that change within a series, its channels"
    )
    decimal: Literal[".", ","] = Field(default=".", description="sign that begins the fraction in text")
    name: Name = Field(default="series", description="what the column of series is called")

    @model_validator(mode="after")
    def _fits(self) -> SeriesLayout:
        if self.layout == "long" and (self.id is None or self.time is None):
            raise ValueError("a long table needs id and time, the names of two columns")
        if self.layout == "wide" and (self.id is not None or self.time is not None):
            raise ValueError("id and time are of long tables")
        return self


def arrange(table: Table, layout: SeriesLayout | None) -> Table:
    """The table with its series in one column; one that has that column already stays as it is.

    Args:
        table: any table.
        layout: complete, with its columns or values; None leaves the table as it is.

    Raises:
        DataError: a column of the layout is missing, or the table's series cannot be put together.
    """
    if layout is None or layout.layout == "none":
        return table
    made = isinstance(table.schema.get(layout.name), pl.List | pl.Array)
    if layout.layout == "wide":
        return table if made else WideTable(table, layout.columns, layout.name, layout.decimal)
    assert layout.id is not None and layout.time is not None
    if made:
        return table
    return group_rows(table, layout.id, layout.time, layout.values, layout.name, layout.decimal)
