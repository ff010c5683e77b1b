"""Forecasts on their way from windows to people: series of new rows, examples for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from limpid.data.windows import Windows

if TYPE_CHECKING:
    from limpid.api.prepare import Prepared


def windows_of(prepared: Prepared) -> Mapping[str, Windows] | None:
    """The windows of each part, where the rows of a run are windows."""
    tables = {name: part.table for name, part in prepared.draft.parts.items()}
    found = {name: table for name, table in tables.items() if isinstance(table, Windows)}
    return found if len(found) == len(tables) else None
