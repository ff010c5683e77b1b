"""A map of rows as SVG: a shape for each class, a ring around wrong answers, and each point a link to its row."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from limpid.reporting.wording import listing, mapping, plain, real

_WIDTH, _HEIGHT, _MARGIN = 620, 420, 14
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#8a5a83", "#5c3e00", "#374151", "#b8860b", "#56a0c9")
_SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-4.8l4.6,8h-9.2z",
    "M0,-5l4.4,5l-4.4,5l-4.4,-5z",
    "M-1.4,-4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2z",
    "M0,4.8l4.6,-8h-9.2z",
)
MAX_GROUPS = 24


def landscape(record: Mapping[str, Any]) -> str:
    """The map; "" where there is none.

    Args:
        record: of `limpid.explanation.landscape`.
    """
    points = [mapping(p) for p in listing(record.get("points"))]
    if not points:
        return ""
    marks = []
    for n, point in enumerate(points):
        x = _MARGIN + (real(point.get("x")) or 0.0) * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT - _MARGIN - (real(point.get("y")) or 0.0) * (_HEIGHT - 2 * _MARGIN)
        ring = '<circle class="ring" r="7.5"/>' if point.get("wrong") else ""
        says = escape(plain(f"row {point.get('row')}: {point.get('truth')}", 100), quote=True)
        marks.append(
            f'<a href="#point-{n}" aria-label="{says}"><g transform="translate({x:.1f},{y:.1f})"><title>{says}</title>'
            f"{ring}{_mark(int(real(point.get('group')) or 0))}</g></a>"
        )
    return (
        f'<svg class="landscape" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="group" '
        f'aria-label="Map of {len(points)} rows">{"".join(marks)}</svg>'
    )


def legend(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Shape and name of each group that the map shows, at most 24."""
    names = [plain(name, 40) for name in listing(record.get("groups"))]
    there = {int(real(mapping(p).get("group")) or 0) for p in listing(record.get("points"))}
    return [
        (
            f'<svg class="key-mark" viewBox="-6 -6 12 12" width="14" height="14" aria-hidden="true">{_mark(n)}</svg>',
            name,
        )
        for n, name in enumerate(names)
        if n in there
    ][:MAX_GROUPS]


def _mark(group: int) -> str:
    return f'<path fill="{_COLOURS[group % len(_COLOURS)]}" d="{_SHAPES[group % len(_SHAPES)]}"/>'
