"""Pictures, sounds, series and texts as a person wants to see them: thumbnails, lines and a few facts of a column.

A record is what a kind of column says of its cells, as JSON: {"facts": [[label, value]], "pictures": [{"title",
"png"}], "lines": [{"title", "values"}]}; png is base64. Records come from files, so everything is checked and bounded.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from html import escape
from typing import Any

from markupsafe import Markup

from limpid.reporting.wording import listing, mapping, number, plain, real

MAX_PICTURES, MAX_LINES, MAX_FACTS, MAX_PNG = 60, 24, 20, 64_000
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PNG = b"\x89PNG\r\n\x1a\n"
_WIDTH, _HEIGHT = 150, 44


def shown(record: Any) -> dict[str, Any]:
    """What the templates need of a record; nothing of one that is damaged.

    Args:
        record: of one column.

    Example:
        >>> shown({"facts": [["size", "32 x 32"]]})["facts"]
        [('size', '32 x 32')]
    """
    whole = mapping(record)
    facts = [listing(f) for f in listing(whole.get("facts"))[:MAX_FACTS]]
    return {
        "facts": [(plain(f[0], 40), plain(f[1], 160)) for f in facts if len(f) == 2],
        "pictures": [p for p in map(_picture, listing(whole.get("pictures"))[:MAX_PICTURES]) if p],
        "lines": [line for line in map(_line, listing(whole.get("lines"))[:MAX_LINES]) if line],
    }


def _picture(record: Any) -> dict[str, Any] | None:
    data = mapping(record).get("png")
    if not isinstance(data, str) or len(data) > MAX_PNG or not _BASE64.fullmatch(data):
        return None
    if not b64decode(data[:16] + "=" * (-len(data[:16]) % 4)).startswith(_PNG):
        return None
    # Letters, digits, +, / and = alone: nothing that could end the attribute.
    return {"title": plain(mapping(record).get("title"), 60), "source": Markup(f"data:image/png;base64,{data}")}


def _line(record: Any) -> dict[str, Any] | None:
    values = [real(v) for v in listing(mapping(record).get("values"))[:400]]
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return None
    title = plain(mapping(record).get("title"), 60)
    return {
        "title": title,
        "svg": Markup(line_svg(values, title)),
        "range": f"{number(min(known))} to {number(max(known))}",
    }


def line_svg(values: list[float | None], title: str, width: int = _WIDTH, height: int = _HEIGHT) -> str:
    """A small line drawing with gaps where values are missing.

    Args:
        values: at equal distances; at least one is known.
        title: what they are, for those who cannot see the line.
        width, height: in pixels.
    """
    known = [v for v in values if v is not None]
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = (width - 4) / max(len(values) - 1, 1)
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{2 + place * step:.1f},{height - 3 - (value - low) / span * (height - 6):.1f}")
    drawn = "".join(
        f'<polyline points="{" ".join(piece)}" fill="none" stroke="currentColor" stroke-width="1.2"/>'
        for piece in pieces
        if piece
    )
    alt = escape(f"{title}: a line from {number(low)} to {number(high)}", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{alt}">{drawn}</svg>'
    )


def columns_shown(columns: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The columns of a profile that have something to show."""
    found = [{"name": plain(c.get("name"), 60), **shown(c.get("shown"))} for c in columns if c.get("shown")]
    return [c for c in found if c["facts"] or c["pictures"] or c["lines"]]
