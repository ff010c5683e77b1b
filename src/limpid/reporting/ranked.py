"""Named values as bars to both sides of zero, with intervals where they have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from limpid.reporting.wording import number, plain, real

WIDTH = 420
_ROW = 22


def ranked(entries: Sequence[Mapping[str, Any]]) -> str:
    """How important columns are: [{"column", "loss", "low", "high"}] of `limpid.explanation.importance` as SVG."""
    named = [
        (plain(e.get("column"), 44), real(e.get("loss")) or 0.0, (real(e.get("low")), real(e.get("high"))))
        for e in entries
    ]
    return rows(named, "How much worse the metric gets when a column is shuffled, with 95 % intervals") if named else ""


def rows(named: Sequence[tuple[str, float, tuple[float | None, float | None] | None]], says: str) -> str:
    """Bars with names and signed values.

    Args:
        named: name, value, and (low, high) of its interval or None.
        says: what the drawing shows, for those who do not see it.
    """
    top = max((abs(v) for _, v, _ in named), default=0.0) or 1.0
    low, high = min(0.0, *(v for _, v, _ in named)) / top, max(0.0, *(v for _, v, _ in named)) / top
    left, room = 210, WIDTH - 210 - 70
    scale = room / ((high - low) or 1.0)
    zero = left - low * scale
    parts = []
    for n, (name, value, span) in enumerate(named):
        y = n * _ROW
        width = abs(value) / top * scale
        x = zero if value >= 0 else zero - width
        style = "up" if value >= 0 else "down"
        parts.append(
            f'<text class="bar-name" x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(plain(name, 34))}</text>'
        )
        parts.append(f'<rect class="{style}" x="{x:.1f}" y="{y + 4}" width="{max(width, 0.5):.1f}" height="14"/>')
        if span is not None and span[0] is not None and span[1] is not None:
            a, b = (zero + min(max(v / top, low), high) * scale for v in span if v is not None)
            parts.append(f'<path class="span" d="M{a:.1f},{y + 11}H{b:.1f}"/>')
        sign = "+" if value >= 0 else "−"
        parts.append(
            f'<text class="bar-value" x="{WIDTH - 64}" y="{y + 15}">{sign}{escape(number(abs(value), 3))}</text>'
        )
    parts.append(f'<path class="axis" d="M{zero:.1f},0V{len(named) * _ROW}"/>')
    height = len(named) * _ROW
    return (
        f'<svg class="rows" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(says, quote=True)}">{"".join(parts)}</svg>'
    )
