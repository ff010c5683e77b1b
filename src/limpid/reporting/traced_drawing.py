"""Small pictures of what layers hold: bars, strips, maps and curves, each with words beside its shades.

Shades run from light (lowest) to dark (highest), so that a picture reads without colour.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO

from limpid.reporting.wording import listing, mapping, number, plain, real

_WIDTH, _HEIGHT = 320, 84
_MOST_SIDE = 192
_LIGHT, _DARK = (247, 250, 252), (0, 62, 99)


def drawn(picture: object, says: str) -> str:
    """A picture of `limpid.explanation.pictures` as HTML; "" where there is none.

    Args:
        picture: {"kind", "values", "of"}.
        says: what it shows, for those who do not see it.
    """
    record = mapping(picture)
    values = listing(record.get("values"))
    if record.get("kind") == "bars":
        return _bars([real(v) or 0.0 for v in values], says)
    if record.get("kind") == "strip":
        rows = _rows(values)
        return _image(rows, says, wide=True) + _key([rows]) if rows else ""
    if record.get("kind") == "maps":
        maps = [rows for rows in map(_rows, values) if rows]
        if not maps:
            return ""
        images = "".join(
            _image(rows, f"{says}, {n + 1} of {len(maps)}", bounds=_bounds(maps)) for n, rows in enumerate(maps)
        )
        more = len(maps) < (int(real(listing(record.get("of"))[0]) or 0) if listing(record.get("of")) else 0)
        return f'<div class="maps">{images}</div>' + _key(maps, f"the first {len(maps)} are shown" if more else "")
    return ""


def curve(record: object) -> str:
    """An activation's curve with the example's values on it; "" where there is none."""
    found = mapping(record)
    x, y = ([real(v) or 0.0 for v in listing(found.get(axis))] for axis in ("x", "y"))
    points = [(real(p[0]) or 0.0, real(p[1]) or 0.0) for p in listing(found.get("points")) if len(listing(p)) == 2]
    if len(x) < 2 or len(x) != len(y):
        return ""
    low, high = min(*y, *(p[1] for p in points)), max(*y, *(p[1] for p in points))
    left, right, span = x[0], x[-1], (high - low) or 1.0

    def at(a: float, b: float) -> tuple[float, float]:
        return (a - left) / ((right - left) or 1) * (_WIDTH - 16) + 8, 112 - (b - low) / span * 104

    line = "M" + "L".join("{:.1f},{:.1f}".format(*at(a, b)) for a, b in zip(x, y, strict=True))
    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="3.2"/>'.format(*at(*p)) for p in points)
    zero = f'<path class="axis" d="M{at(0, 0)[0]:.1f},8V112"/>' if left < 0 < right else ""
    base = f'<path class="axis" d="M8,{at(0, 0)[1]:.1f}H{_WIDTH - 8}"/>' if low <= 0 <= high else ""
    says = f"The curve from {number(left)} to {number(right)} with {len(points)} of the example's values on it"
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} 120" width="{_WIDTH}" height="120" role="img" '
        f'aria-label="{escape(says, quote=True)}">{zero}{base}<path class="line" d="{line}"/>{dots}</svg>'
    )


def _bars(values: Sequence[float], says: str) -> str:
    if not values:
        return ""
    low, high = min(*values, 0.0), max(*values, 0.0)
    span = (high - low) or 1.0
    step = _WIDTH / len(values)
    zero = high / span * (_HEIGHT - 4) + 2
    up = "".join(_bar(n, v, step, zero, span) for n, v in enumerate(values) if v >= 0)
    down = "".join(_bar(n, v, step, zero, span) for n, v in enumerate(values) if v < 0)
    return (
        f'<svg class="bars" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(plain(says, 200), quote=True)}"><path class="up" d="{up}"/>'
        f'<path class="down" d="{down}"/><path class="axis" d="M0,{zero:.1f}H{_WIDTH}"/></svg>'
        f'<p class="key">bars up are positive, down negative; from {number(min(values))} to {number(max(values))}</p>'
    )


def _bar(place: int, value: float, step: float, zero: float, span: float) -> str:
    height = value / span * (_HEIGHT - 4)
    return f"M{place * step + step * 0.08:.1f},{zero:.1f}v{-height:.1f}h{step * 0.84:.1f}v{height:.1f}z"


def _rows(value: object) -> list[list[float]]:
    rows = [[real(v) or 0.0 for v in listing(row)] for row in listing(value)]
    return [row for row in rows if row] if rows and len({len(r) for r in rows}) == 1 else []


def _bounds(maps: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float]:
    flat = [v for rows in maps for row in rows for v in row]
    return min(flat), max(flat)


def _image(
    rows: Sequence[Sequence[float]], says: str, *, wide: bool = False, bounds: tuple[float, float] | None = None
) -> str:
    from PIL import Image

    low, high = bounds or _bounds([rows])
    span = (high - low) or 1.0
    image = Image.new("RGB", (len(rows[0]), len(rows)))
    shades = [(v - low) / span for row in rows for v in row]
    image.putdata([tuple(round(a + (b - a) * s) for a, b in zip(_LIGHT, _DARK, strict=True)) for s in shades])
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    address = b64encode(file.getvalue()).decode("ascii")
    kind = "strip" if wide else "map"
    return f'<img class="{kind}" src="data:image/png;base64,{address}" alt="{escape(plain(says, 200), quote=True)}">'


def _key(maps: Sequence[Sequence[Sequence[float]]], more: str = "") -> str:
    low, high = _bounds(maps)
    return f'<p class="key">light is {number(low)}, dark is {number(high)}{"; " + more if more else ""}</p>'
