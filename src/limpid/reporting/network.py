"""The network as a drawing: inputs, the net of each, what joins them, the head; boxes and arrows as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from limpid.reporting.wording import listing, mapping, plain, plural, real

BOX, GAP, ROW, MARGIN = 250, 26, 50, 6
ARROW = 22
MAX_LANES, MAX_BOXES = 4, 12


@dataclass(frozen=True)
class _Box:
    title: str
    detail: str
    style: str  # input, layer, more, end
    weighty: bool = False  # whether it holds parameters


def network_svg(record: Mapping[str, Any]) -> str:
    """Draw network.json.

    Args:
        record: `{"inputs": [{"name", "form", "detail"}], "layers": [{"name", "kind", "shape", "parameters"}],
            "parameters"}`. A layer belongs to the input whose name stands in its own ("nets.review.embedding"),
            or, named after none, to the common end.

    Returns:
        An SVG element, or "" where there is nothing to draw.
    """
    inputs = [mapping(i) for i in listing(record.get("inputs"))]
    layers = [mapping(layer) for layer in listing(record.get("layers"))]
    if not inputs and not layers:
        return ""
    names = [str(i.get("name", "")) for i in inputs]
    lanes: dict[str, list[_Box]] = {name: [] for name in names}
    common: list[_Box] = []
    for layer in layers:
        owner = _owner(str(layer.get("name", "")), names)
        (lanes[owner] if owner is not None else common).append(_layer(layer, owner or ""))
    shown = names[:MAX_LANES]
    columns = []
    for name, entry in zip(shown, inputs, strict=False):
        first = _Box(plain(name, 30), plain(f"{entry.get('form', '')} {entry.get('detail', '')}".strip(), 40), "input")
        columns.append([first, *_cap(lanes[name])])
    if len(names) > MAX_LANES:
        columns.append([_Box(f"and {len(names) - MAX_LANES} more inputs", "each with a net of its own", "more")])
    return _draw(columns, _cap(common), _alt(record, names, layers))


def _owner(layer: str, names: Sequence[str]) -> str | None:
    parts = layer.split(".")
    for name in names:
        if layer == name or layer.startswith(f"{name}.") or f".{name}." in f".{layer}.":
            return name
    if len(names) == 1 and parts[0] not in ("head", "heads", "fuse", "fusion", "join"):
        return names[0]
    return None


def _layer(layer: Mapping[str, Any], owner: str) -> _Box:
    shape = layer.get("shape")
    size = "×".join(plain(s, 8) for s in shape[:6]) if isinstance(shape, (list, tuple)) else plain(shape or "", 20)
    parameters = real(layer.get("parameters"))
    path = str(layer.get("name", "")).removeprefix(f"{owner}.")
    detail = " · ".join(part for part in (plain(path, 20), size, _short(parameters)) if part)
    return _Box(plain(layer.get("kind") or path, 28), plain(detail, 44), "layer", bool(parameters))


def _short(count: float | None) -> str:
    """1,048,576 as 1.05M."""
    if not count:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:g}"


def _cap(boxes: list[_Box]) -> list[_Box]:
    if len(boxes) <= MAX_BOXES:
        return boxes
    weighty = [box for box in boxes if box.weighty]
    if MAX_BOXES >= len(weighty) > 2:
        return [*weighty, _Box(f"and {len(boxes) - len(weighty)} without parameters", "", "more")]
    half = MAX_BOXES // 2
    middle = _Box(f"… {len(boxes) - 2 * half} more layers …", "", "more")
    return [*boxes[:half], middle, *boxes[-half:]]


def _alt(record: Mapping[str, Any], names: Sequence[str], layers: Sequence[Any]) -> str:
    parameters = real(record.get("parameters"))
    return (
        f"The network: {plural(len(names), 'input')} ({plain(', '.join(names), 80)}), {plural(len(layers), 'layer')}"
        + (f", {plural(int(parameters), 'parameter')}" if parameters else "")
        + "."
    )


def _draw(columns: list[list[_Box]], common: list[_Box], alt: str) -> str:
    lanes = max(len(columns), 1)
    width = MARGIN * 2 + lanes * BOX + (lanes - 1) * GAP
    depth = max((len(c) for c in columns), default=0)
    height = MARGIN * 2 + (depth + len(common)) * (ROW + ARROW) - ARROW
    parts: list[str] = []
    middle = width / 2
    first_common = MARGIN + depth * (ROW + ARROW)
    for index, column in enumerate(columns):
        x = MARGIN + index * (BOX + GAP)
        for place, box in enumerate(column):
            y = MARGIN + place * (ROW + ARROW)
            parts.append(_box(box, x, y))
            if place + 1 < len(column):
                parts.append(_arrow(x + BOX / 2, y + ROW, x + BOX / 2, y + ROW + ARROW))
        if common:
            end = MARGIN + len(column) * (ROW + ARROW) - ARROW
            parts.append(_arrow(x + BOX / 2, end, middle, first_common))
    for place, box in enumerate(common):
        y = first_common + place * (ROW + ARROW)
        style = "end" if place + 1 == len(common) else box.style
        parts.append(_box(_Box(box.title, box.detail, style), middle - BOX / 2, y))
        if place + 1 < len(common):
            parts.append(_arrow(middle, y + ROW, middle, y + ROW + ARROW))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="network" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(alt, quote=True)}">{"".join(parts)}</svg>'
    )


def _box(box: _Box, x: float, y: float) -> str:
    centre = x + BOX / 2
    title = f'<text class="box-title" x="{centre:g}" y="{y + (21 if box.detail else 30):g}" text-anchor="middle">'
    detail = (
        f'<text class="box-detail" x="{centre:g}" y="{y + 38:g}" text-anchor="middle">{escape(box.detail)}</text>'
        if box.detail
        else ""
    )
    return (
        f'<g class="box {box.style}"><rect x="{x:g}" y="{y:g}" width="{BOX}" height="{ROW}" rx="8"/>'
        f"{title}{escape(box.title)}</text>{detail}</g>"
    )


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """Down, across and down again, with a head."""
    turn = y2 - ARROW / 2
    line = f"M{x1:g},{y1:g}V{turn:g}H{x2:g}V{y2 - 4:g}"
    return f'<path class="arrow" d="{line}"/><path class="arrow-head" d="M{x2 - 4:g},{y2 - 6:g}h8l-4,6z"/>'
