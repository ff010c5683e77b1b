"""The page of `limpid explain --html`: one answer in the natural picture of its data, or the model on the whole.

What speaks for the answer is marked with + and what speaks against it with −, so that nothing hangs on colour.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

from markupsafe import Markup

from limpid.reporting.landscape import landscape, legend
from limpid.reporting.pages import page
from limpid.reporting.prototypes import prototypes
from limpid.reporting.ranked import WIDTH, ranked, rows
from limpid.reporting.surface import surface_figure, surface_held
from limpid.reporting.wording import cell, listing, mapping, number, percent, plain, real, score
from limpid.reporting.wording import turned as how_turned

_BARS, _WORDS = 20, 400
_FOR, _AGAINST = (0, 62, 120), (166, 60, 0)


def explain_html(record: Mapping[str, Any]) -> str:
    """A self-contained page.

    Args:
        record: of `limpid.explain(...)`.

    Example:
        >>> "<script" in explain_html({"data": "<script>", "importance": [{"column": "<script>", "loss": 1.0}]})
        False
    """
    one = "methods" in record
    context = answered(record) if one else _whole(record)
    name = plain(record.get("name") or f"row {record.get('row', 0)}", 80) if one else "The model on the whole"
    context |= {
        "title": f"Explained: {name}, {plain(record.get('data', ''), 80)}",
        "name": name,
        "source": plain(record.get("data", ""), 80),
        "one": one,
        "notes": [plain(note, 300) for note in listing(record.get("notes"))],
    }
    return page("explain.html.j2", context, {"surface": surface_figure(mapping(record.get("surface")))})


def answered(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates need of one explained answer.

    Args:
        record: of `limpid.explain(...)` of one row.
    """
    units = [mapping(u) for u in listing(record.get("units"))]
    methods = []
    for method in map(mapping, listing(record.get("methods"))):
        values = [real(v) or 0.0 for v in listing(method.get("units"))]
        methods.append(
            {
                "name": plain(method.get("method"), 40),
                "trusted": bool(method.get("trusted")),
                "says": plain(method.get("says"), 400),
                "checks": [
                    {
                        "name": plain(c.get("name"), 40),
                        "mark": "·" if c.get("passed") is None else "✓" if c["passed"] else "✗",
                        "says": plain(c.get("says"), 300),
                    }
                    for c in map(mapping, listing(method.get("checks")))
                ],
                "bars": Markup(_bars(units, values)),
                "texts": [Markup(_text(units, values, c)) for c in _columns(units, "word")],
            }
        )
    turned = mapping(record.get("turned_by"))
    return {
        "answer": [(plain(k, 60), cell(v, 160)) for k, v in list(mapping(record.get("answer")).items())[:12]],
        "truth": plain(record.get("truth"), 60) if record.get("truth") is not None else "not given",
        "asked": plain(record.get("asked"), 240),
        "evidence": number(record.get("evidence")),
        "baseline": plain(record.get("baseline"), 400),
        "methods": methods,
        "pictures": [_picture(p) for p in map(mapping, listing(record.get("pictures")))],
        "turned": {
            "after": plain(turned.get("after"), 60),
            "how": how_turned(turned),
            "changes": [
                (plain(c.get("column"), 60), plain(c.get("from"), 60), plain(c.get("to"), 60))
                for c in map(mapping, listing(turned.get("changes")))
            ],
        }
        if turned
        else None,
        "neighbours": [
            (
                str(n.get("row")),
                plain(n.get("truth"), 40) if n.get("truth") is not None else "not given",
                number(n.get("distance"), 2),
                plain("; ".join(f"{k} {v}" for k, v in mapping(n.get("cells")).items()), 240),
            )
            for n in map(mapping, listing(record.get("neighbours")))
        ],
    }


def _whole(record: Mapping[str, Any]) -> dict[str, Any]:
    entries = [mapping(e) for e in listing(record.get("importance"))]
    return {
        "rows": number(record.get("rows")),
        "metric": plain(record.get("metric"), 40),
        "score": score(record.get("score")),
        "of": plain(record.get("of"), 120),
        "map": _map(mapping(record.get("map"))),
        "surface": surface_held(mapping(record.get("surface"))),
        "prototypes": prototypes(mapping(record.get("prototypes"))),
        "importance": Markup(ranked(entries[: 2 * _BARS])),
        "more": max(0, len(entries) - 2 * _BARS),
        "curves": [
            {"column": plain(c.get("column"), 60), "svg": Markup(_curve(c)), "number": c.get("kind") == "number"}
            for c in map(mapping, listing(record.get("curves")))
        ],
        "pairs": [
            (" with ".join(plain(c, 40) for c in listing(p.get("columns"))), number(p.get("strength"), 2))
            for p in map(mapping, listing(record.get("pairs")))
        ],
    }


def _map(record: Mapping[str, Any]) -> dict[str, Any] | None:
    svg = landscape(record)
    if not svg:
        return None
    return {
        "svg": Markup(svg),
        "legend": [(Markup(mark), name) for mark, name in legend(record)],
        "share": percent(record.get("share")),
        "wrong": plain(record.get("wrong"), 60),
        "points": [
            {
                "row": plain(p.get("row"), 20),
                "truth": plain(p.get("truth"), 80),
                "answer": plain(p.get("answer"), 80),
                "cells": [(plain(k, 40), plain(v, 80)) for k, v in mapping(p.get("cells")).items()],
            }
            for p in map(mapping, listing(record.get("points")))
        ],
    }


def _columns(units: Sequence[Mapping[str, Any]], kind: str) -> list[str]:
    return list(dict.fromkeys(str(u.get("column")) for u in units if u.get("kind") == kind))


def _bars(units: Sequence[Mapping[str, Any]], values: Sequence[float]) -> str:
    """The parts that did most, as bars to the right (for) and to the left (against)."""
    ranked = sorted(range(min(len(values), len(units))), key=lambda n: -abs(values[n]))[:_BARS]
    if not ranked:
        return ""
    named = []
    for n in ranked:
        unit = units[n]
        value = f" = {plain(unit.get('value'), 24)}" if unit.get("kind") == "column" else ""
        named.append((plain(unit.get("name"), 30) + value, values[n], None))
    return rows(named, "How much each part speaks for (+) or against (−) the answer")


def _text(units: Sequence[Mapping[str, Any]], values: Sequence[float], column: str) -> str:
    """A text with each word marked by how much it did: + and −, thicker and darker for more."""
    own = [(u, v) for u, v in zip(units, values, strict=False) if u.get("kind") == "word" and u.get("column") == column]
    top = max((abs(v) for _, v in own), default=0.0) or 1.0
    words = []
    for unit, value in own[:_WORDS]:
        level = min(4, int(abs(value) / top * 4.999))
        said = escape(plain(unit.get("name"), 60))
        if level == 0:
            words.append(f"<span>{said}</span>")
            continue
        sign, style = ("+", "for") if value > 0 else ("−", "against")
        words.append(f'<mark class="{style} level-{level}" title="{number(value, 3)}">{said}<sup>{sign}</sup></mark>')
    return " ".join(words)


def _picture(picture: Mapping[str, Any]) -> dict[str, Any]:
    method, column = plain(picture.get("method"), 40), plain(picture.get("column"), 60)
    if picture.get("kind") == "grid":
        drawing = _heat(picture, f"{method} over {column}")
        reads = (
            "Left what the network saw, right the same in grey with what speaks for the answer in blue and what speaks "
            "against it in orange; the table of parts below has the signs."
        )
    else:
        drawing = _series(picture, f"{method} along {column}")
        reads = "The line is the series; bars up below it are steps that speak for the answer, bars down against it."
    return {"title": f"{column}, by {method}", "svg": Markup(drawing), "reads": reads}


def _heat(picture: Mapping[str, Any], says: str) -> str:
    import numpy as np
    from PIL import Image

    heat = np.asarray(picture.get("heat"), dtype=np.float64)
    pixels = np.asarray(picture.get("pixels"), dtype=np.float64)
    if heat.ndim != 2 or pixels.ndim != 3 or not heat.size:
        return ""
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 255 or high <= 1 or pixels.shape[0] not in (1, 3):
        pixels = (pixels - low) / ((high - low) or 1.0) * 255
    colour = np.repeat(pixels[:1], 3, axis=0) if pixels.shape[0] not in (1, 3) or pixels.shape[0] == 1 else pixels
    grey = colour.mean(axis=0) * 0.55 + 100
    strength = np.clip(np.abs(heat) / (np.quantile(np.abs(heat), 0.99) or 1.0), 0, 1)[None]
    tint = np.where(heat[None] >= 0, np.array(_FOR).reshape(3, 1, 1), np.array(_AGAINST).reshape(3, 1, 1))
    mixed = grey[None] * (1 - 0.85 * strength) + tint * 0.85 * strength
    both = np.concatenate(
        [np.clip(colour, 0, 255), np.full((3, heat.shape[0], max(1, heat.shape[1] // 16)), 255), mixed], axis=2
    )
    image = Image.fromarray(both.transpose(1, 2, 0).astype(np.uint8))
    scale = max(1, 240 // max(heat.shape))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    image.thumbnail((900, 480))
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    address = b64encode(file.getvalue()).decode("ascii")
    return f'<img class="heat" src="data:image/png;base64,{address}" alt="{escape(plain(says, 200), quote=True)}">'


def _series(picture: Mapping[str, Any], says: str) -> str:
    line = [real(v) or 0.0 for v in listing(picture.get("line"))]
    heat = [real(v) or 0.0 for v in listing(picture.get("heat"))]
    if len(line) < 2 or len(line) != len(heat):
        return ""
    low, high = min(line), max(line)
    step = WIDTH / len(line)
    points = "L".join(
        f"{(n + 0.5) * step:.1f},{104 - (v - low) / ((high - low) or 1.0) * 96:.1f}" for n, v in enumerate(line)
    )
    top = max(map(abs, heat)) or 1.0
    bars = {"up": "", "down": ""}
    for n, v in enumerate(heat):
        bars["up" if v >= 0 else "down"] += (
            f"M{n * step:.1f},150v{-v / top * 36:.1f}h{step * 0.9:.1f}v{v / top * 36:.1f}z"
        )
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} 190" width="{WIDTH}" height="190" role="img" '
        f'aria-label="{escape(plain(says, 200), quote=True)}"><path class="stroke" d="M{points}"/>'
        f'<path class="up" d="{bars["up"]}"/><path class="down" d="{bars["down"]}"/>'
        f'<path class="axis" d="M0,150H{WIDTH}"/></svg>'
    )


def _curve(curve: Mapping[str, Any]) -> str:
    points = [mapping(p) for p in listing(curve.get("points"))]
    if curve.get("kind") != "number":
        named = [(plain(p.get("value"), 34), real(p.get("mean")) or 0.0, None) for p in points]
        return rows(named, "The mean answer at each value")
    x = [real(p.get("value")) or 0.0 for p in points]
    mean = [real(p.get("mean")) or 0.0 for p in points]
    single = [[real(v) or 0.0 for v in listing(row)] for row in listing(curve.get("single"))]
    effect = [real(p.get("effect")) for p in points]
    middle = sum(mean) / len(mean)
    local = [middle + e for e in effect if e is not None]
    every = [*mean, *local, *(v for row in single for v in row)]
    low, high = min(every), max(every)
    left, right = min(x), max(x)

    wide, tall = (WIDTH - 60) / ((right - left) or 1.0), 158 / ((high - low) or 1.0)

    def path(values: Sequence[float]) -> str:
        places = ((50 + (a - left) * wide, 170 - (b - low) * tall) for a, b in zip(x, values, strict=False))
        return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in places)

    thin = "".join(f'<path class="single" d="{path(row)}"/>' for row in single if len(row) == len(x))
    dashed = f'<path class="local" d="{path(local)}"/>' if len(local) == len(x) else ""
    says = (
        f"The answer from {number(left)} to {number(right)}: mean between {number(min(mean))} and {number(max(mean))}"
    )
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} 196" width="{WIDTH}" height="196" role="img" '
        f'aria-label="{escape(says, quote=True)}">{thin}{dashed}<path class="stroke" d="{path(mean)}"/>'
        f'<text class="bar-value" x="44" y="16" text-anchor="end">{escape(number(high, 3))}</text>'
        f'<text class="bar-value" x="44" y="172" text-anchor="end">{escape(number(low, 3))}</text>'
        f'<text class="bar-value" x="50" y="192">{escape(number(left, 3))}</text>'
        f'<text class="bar-value" x="{WIDTH - 10}" y="192" text-anchor="end">{escape(number(right, 3))}</text></svg>'
    )
