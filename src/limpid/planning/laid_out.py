"""Do the rows of a table hold series in columns or in rows? What the user says, or what the columns surely show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from limpid.core.errors import RequestError
from limpid.core.spec import parse
from limpid.data.facts import column_facts
from limpid.data.sources.layout import SeriesLayout
from limpid.data.sources.long import changing
from limpid.data.sources.wide import find_wide, numbered
from limpid.data.table import Table


def decide_layout(table: Table, asked: Any, left_out: Collection[str]) -> tuple[SeriesLayout | None, str]:
    """The layout of a table's series, and why.

    Args:
        table: the training table.
        asked: what stands under data.series: None, "wide", "none", or a mapping with id and time, or a whole layout.
        left_out: columns of another role (target, weight, group) and those whose kind the user named.

    Returns:
        None and "" where nothing was asked for and nothing was recognised.

    Raises:
        RequestError: the settings are wrong, or no column is a time step.
    """
    if asked is None:
        found = find_wide(table, left_out)
        if found is None:
            return None, ""
        name = _free_name(table.columns, found[0])
        return SeriesLayout(layout="wide", columns=tuple(found[0]), name=name, decimal="."), found[1]
    if isinstance(asked, str):
        asked = {"layout": asked}
    if not isinstance(asked, Mapping):
        raise RequestError(
            f"data.series cannot be {str(asked)[:100]!r}",
            where="data.series",
            expected="wide, none, or the columns of a long table",
            fix="--set data.series=wide, or --set data.series.id=COLUMN --set data.series.time=COLUMN",
        )
    layout = parse(SeriesLayout, asked, where="data.series")
    if layout.layout == "none":
        return layout, "as asked"
    if layout.layout == "wide":
        return (layout, "as asked") if layout.columns else _wide(table, layout, left_out)
    if layout.values:
        return layout, "as asked"
    assert layout.id is not None and layout.time is not None
    values, because = changing(table, layout.id, layout.time, left_out)
    name = values[0] if len(values) == 1 else _free_name(table.columns, values)
    decimal = column_facts(table.read([values[0]])[values[0]]).decimal
    return layout.with_(values=tuple(values), name=name, decimal=decimal), f"as asked; {because}"


def _wide(table: Table, layout: SeriesLayout, left_out: Collection[str]) -> tuple[SeriesLayout, str]:
    """The columns that count up, or all columns of numbers where none do."""
    steps = numbered(table.columns, left_out)
    because = "as asked; the columns whose names count up"
    sample = table.read([c for c in table.columns if c not in left_out]).head(1_000)
    facts = {c: column_facts(sample[c]) for c in sample.columns}
    numeric = [c for c in sample.columns if facts[c].number_share >= 0.95]
    if len(steps) < 2 or not set(steps) <= set(numeric):
        steps, because = numeric, "as asked; all columns of numbers, in their order"
    if len(steps) < 2:
        raise RequestError(
            f"{len(steps)} columns of numbers are no series",
            where="data.series",
            expected="a table with a column of numbers for each time step",
            fix="leave data.series out",
        )
    name = _free_name(table.columns, steps)
    return layout.with_(columns=tuple(steps), name=name, decimal=facts[steps[0]].decimal), because


def _free_name(columns: Sequence[str], taken: Collection[str]) -> str:
    others = set(columns) - set(taken)
    name = "series"
    while name in others:
        name += "_"
    return name
