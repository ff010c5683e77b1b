"""Figures as SVG inside a page: only shapes and text, each shape with a tooltip, no script, no style, no link.

The report is drawn when it is written instead of carrying a renderer: it stays small, prints, opens at once on a
phone, and needs no script at all, so that its content security policy can forbid every one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any
from xml.etree import ElementTree

from limpid.reporting.png import svg
from limpid.reporting.wording import plain

_SPACE = "{http://www.w3.org/2000/svg}"
_SHAPES = {"g", "path", "rect", "line", "circle", "text", "tspan", "defs", "linearGradient", "stop", "clipPath"}
_ATTRIBUTES = frozenset(
    "x y x1 y1 x2 y2 cx cy r rx ry dx dy d width height transform fill stroke stroke-width stroke-dasharray opacity "
    "fill-opacity stroke-opacity stroke-linecap stroke-miterlimit text-anchor font-size font-weight font-style offset "
    "stop-color gradientUnits dominant-baseline".split()
)
_INNER_LINK = re.compile(r"url\(#([\w-]+)\)")
_LONG = re.compile(r"(\.\d\d)\d+")


def inline(figure: Mapping[str, Any], name: str) -> str:
    """Draw a figure as an SVG element that may stand in a page.

    Args:
        figure: a specification of `limpid.reporting.figures`.
        name: a word that is unique in the page, for the inner links of the drawing.
    """
    bare = {key: value for key, value in figure.items() if key != "title"}
    try:
        source = ElementTree.fromstring(svg(bare))
    except (ValueError, ElementTree.ParseError) as error:
        # A run must not lose its report to one label that the renderer cannot set.
        return f'<p class="note">This figure could not be drawn: {escape(plain(error, 120))}.</p>'
    width, height = source.get("width", "420"), source.get("height", "250")
    # The renderer counts its inner names on from drawing to drawing; ours begin anew, so that a page is repeatable.
    inner = [link for element in source.iter() if (link := element.get("id"))]
    names = {link: f"{name}-{place}" for place, link in enumerate(inner)}
    inside = "".join(_copy(child, names) for child in source)
    alt = escape(plain(figure.get("description", ""), 600), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {escape(width)} {escape(height)}" '
        f'width="{escape(width)}" height="{escape(height)}" role="img" aria-label="{alt}">{inside}</svg>'
    )


def inline_all(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Draw several figures at once."""
    names: Sequence[str] = list(figures)
    if not names:
        return {}
    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(lambda name: inline(figures[name], name), names))
    return dict(zip(names, drawn, strict=True))


def _copy(element: ElementTree.Element, names: Mapping[str, str]) -> str:
    """An element with what is on the lists and nothing else; a described mark becomes one with a tooltip."""
    tag = element.tag.removeprefix(_SPACE) if isinstance(element.tag, str) else ""
    if tag not in _SHAPES or element.get("display") == "none":
        return ""
    written = []
    for key, value in element.attrib.items():
        if key == "id":
            value = names[value]
        elif key in ("fill", "stroke", "clip-path") and "url(" in value:
            link = _INNER_LINK.fullmatch(value)
            if link is None or link.group(1) not in names:
                continue
            value = f"url(#{names[link.group(1)]})"
        elif key not in _ATTRIBUTES:
            continue
        elif key == "d" or key == "transform":
            value = _LONG.sub(r"\1", value)
        written.append(f' {key}="{escape(value, quote=True)}"')
    inside = "".join(_copy(child, names) for child in element)
    if element.get("role") == "graphics-symbol" and (says := element.get("aria-label")):
        inside = f"<title>{escape(says)}</title>{inside}"
    text = escape(element.text or "") if tag in ("text", "tspan") else ""
    if tag == "g" and not inside:
        return ""
    if tag == "path" and not element.get("d"):
        return ""
    if tag == "g" and not written:
        return inside
    return f"<{tag}{''.join(written)}>{text}{inside}</{tag}>" if text or inside else f"<{tag}{''.join(written)}/>"


def spark(counts: Sequence[float], says: str) -> str:
    """A histogram the size of a word.

    Args:
        counts: heights of its bars.
        says: its text alternative.
    """
    top = max(counts, default=0)
    if top <= 0:
        return ""
    step = 120 / len(counts)
    gap = 0.5 if step > 3 else 0
    bars = "".join(
        f"M{i * step:.1f},28v{-max(1.0, 26 * n / top) if n > 0 else 0:.1f}h{step - gap:.1f}V28z"
        for i, n in enumerate(counts)
    )
    return (
        f'<svg class="spark" viewBox="0 0 120 29" width="120" height="29" role="img" '
        f'aria-label="{escape(plain(says, 300), quote=True)}"><path class="spark-bars" d="{bars}"/>'
        '<path class="spark-base" d="M0,28.5h120"/></svg>'
    )
