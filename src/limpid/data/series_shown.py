"""What a person wants to see of series: how many, how long, with which gaps, and a few of them as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from limpid.data.series import Ragged

_LINES = 24
_EACH = 3  # series of a group, or channels of its first one
_POINTS = 150


def show_series(read: Ragged, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """Facts and lines of a column.

    Args:
        read: its cells.
        groups: of each cell its class, or None.

    Returns:
        {"facts": [[label, value]], "lines": [{"title", "values"}]}, None where a number is absent.
    """
    there = np.flatnonzero(read.lengths > 0)
    lengths = read.lengths[there]
    gaps = np.isnan(read.values)
    facts = [["series", f"{len(there):,}"], ["channels", f"{read.channels:,}"]]
    if len(there):
        low, high = int(lengths.min()), int(lengths.max())
        middle = int(np.median(lengths))
        facts.append(["time steps", f"{low:,}" if low == high else f"{low:,} to {high:,}, half below {middle:,}"])
        facts.append(["gaps", f"{gaps.mean():.2%} of the numbers" if gaps.any() else "none"])
    if not gaps.all() and gaps.size:
        facts.append(["values", f"{np.nanmin(read.values):.4g} to {np.nanmax(read.values):.4g}"])
    return {"facts": facts, "lines": _lines(read, there, groups)}


def _lines(read: Ragged, there: np.ndarray, groups: Sequence[str | None] | None) -> list[dict[str, Any]]:
    names = [""] * len(read.lengths) if groups is None else [g or "(missing)" for g in groups]
    cells: dict[str, list[int]] = {}
    for row in there.tolist():
        cells.setdefault(names[row], []).append(row)
    wanted: list[tuple[str, int, int]] = []
    for name in sorted(cells):
        for place in range(_EACH):
            if read.channels == 1 and place < len(cells[name]):
                wanted.append((name, cells[name][place], 0))
            elif read.channels > 1 and place < read.channels:
                wanted.append((f"{name}, channel {place + 1}".removeprefix(", "), cells[name][0], place))
    return [{"title": name, "values": _thinned(read, row, channel)} for name, row, channel in wanted[:_LINES]]


def _thinned(read: Ragged, row: int, channel: int) -> list[float | None]:
    """One series in at most 150 points, means of neighbours; None where all of them are absent."""
    start = int(read.starts[row])
    values = read.values[start : start + int(read.lengths[row]), channel]
    stride = -(-len(values) // _POINTS)
    found: list[float | None] = []
    for begin in range(0, len(values), stride):
        part = values[begin : begin + stride]
        known = part[~np.isnan(part)]
        found.append(float(f"{known.mean():.6g}") if len(known) else None)
    return found
