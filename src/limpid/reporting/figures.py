"""Every figure as a Vega-Lite specification: a plain dictionary that holds counts and curves, never raw rows.

The report, notebooks and the studio draw the same specifications. Each has a `title`, a `description` (its text
alternative) and, under `usermeta`, one sentence that says how to read it (`reads`). Field names are fixed words and
user strings are only ever values, so that no column name is taken for an expression. Colours are those of Okabe and
Ito, told apart by colour-blind readers and in grey.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from limpid.reporting.wording import (
    label,
    listing,
    mapping,
    number,
    percent,
    plain,
    real,
)

Figure = dict[str, Any]

BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#6B7280", "#1F2937"
WIDTH, HEIGHT = 400, 250
MAX_POINTS = 200
_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"

THEME: dict[str, Any] = {
    "background": "#FFFFFF",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelLimit": 0,
        "labelPadding": 4,
        "titlePadding": 10,
        "gridColor": "#E5E7EB",
        "domainColor": "#9CA3AF",
        "tickColor": "#9CA3AF",
        "tickCount": 5,
    },
    "legend": {
        "labelFontSize": 13,
        "titleFontSize": 13,
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "orient": "top",
        "labelLimit": 0,
    },
    "line": {"strokeWidth": 2},
    "bar": {"color": BLUE},
    "point": {"color": BLUE, "filled": True, "size": 60},
    "rule": {"color": GREY},
    "text": {"fontSize": 13, "color": INK},
}


def figure(title: str, reads: str, alt: str, **body: Any) -> Figure:
    """A specification in our theme.

    Args:
        title: its name.
        reads: one sentence on how to read it.
        alt: what it shows, for those who do not see it.
        body: data, mark, encoding or layer, and what differs from the usual size.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": title,
        "description": alt,
        "usermeta": {"reads": reads},
        "width": WIDTH,
        "height": HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": {"left": 12, "right": 10, "top": 6, "bottom": 4},  # a browser's font may be wider than ours
        "config": THEME,
        **body,
    }


def axis(field: str, title: str, kind: str = "quantitative", **more: Any) -> dict[str, Any]:
    """The encoding of a field on an axis."""
    return {"field": field, "type": kind, "title": title, **more}


SAYS = {"field": "says", "type": "nominal"}


def histogram(record: Mapping[str, Any], title: str, *, unit: str = "rows") -> Figure | None:
    """Bars of a histogram `{edges, counts}`.

    Args:
        record: the histogram of the profile or of the residuals.
        title: what is counted.
        unit: what the counts are of.
    """
    edges, counts = listing(record.get("edges")), [real(c) or 0.0 for c in listing(record.get("counts"))]
    if not counts or len(edges) != len(counts) + 1:
        return None
    if any(isinstance(e, str) for e in edges):
        values = [
            {"x": plain(e, 20), "n": n, "says": f"from {plain(e, 20)}: {n:,.0f} {unit}"}
            for e, n in zip(edges, counts, strict=False)
        ]
        x = axis("x", plain(title, 50), "nominal", sort=None, axis={"labelAngle": -50, "labelOverlap": "greedy"})
        encoding: dict[str, Any] = {"x": x, "y": axis("n", unit), "description": SAYS}
        mark: dict[str, Any] = {"type": "bar"}
    else:
        ends = [real(e) for e in edges]
        values = [
            {"x": a, "x2": b, "n": n, "says": f"{number(a)} to {number(b)}: {n:,.0f} {unit}"}
            for a, b, n in zip(ends, ends[1:], counts, strict=False)
            if a is not None and b is not None
        ]
        encoding = {
            "x": axis(
                "x",
                plain(title, 50),
                bin="binned",
                scale={"zero": False, "nice": False},
                axis={"grid": False, "tickCount": 6},
            ),
            "x2": {"field": "x2"},
            "y": axis("n", unit),
            "description": SAYS,
        }
        mark = {"type": "bar", "binSpacing": 1 if len(values) < 60 else 0}
    top = max(range(len(counts)), key=lambda i: counts[i])
    return figure(
        f"Distribution of {plain(title, 60)}",
        f"A bar's height is the number of {unit} whose value lies in its range.",
        f"Histogram of {plain(title, 60)} with {len(counts)} bars; the highest begins at {plain(edges[top], 20)}.",
        data={"values": values},
        mark=mark,
        encoding=encoding,
    )


def bars(items: Sequence[tuple[str, float, str]], title: str, reads: str, unit: str) -> Figure | None:
    """Horizontal bars of (label, value, sentence)."""
    if not items:
        return None
    values: list[dict[str, Any]] = [
        {"y": label(name), "n": n, "says": says, "i": i} for i, (name, n, says) in enumerate(items)
    ]
    # Labels that were cut may be equal; the place in the list keeps them apart.
    seen: dict[str, int] = {}
    for value in values:
        seen[value["y"]] = seen.get(value["y"], 0) + 1
        if seen[value["y"]] > 1:
            value["y"] = f"{value['y']} ({seen[value['y']]})"
    return figure(
        title,
        reads,
        f"{title}: {len(values)} bars; " + ", ".join(f"{plain(v['y'], 30)} {number(v['n'])}" for v in values[:5]) + ".",
        data={"values": values},
        height=max(90, 34 + 24 * len(values)),
        mark={"type": "bar", "height": {"band": 0.7}},
        encoding={
            "y": axis("y", "", "nominal", sort=None),
            "x": axis("n", unit),
            "description": SAYS,
        },
    )


def balance(record: Mapping[str, Any]) -> Figure | None:
    """Class balance of a target as the profile gives it."""
    shown = listing(record.get("balance"))[:20]
    items = [
        (
            str(c.get("value")),
            real(c.get("count")) or 0.0,
            f"{plain(c.get('value'))}: {percent(c.get('share'))} of the rows",
        )
        for c in map(mapping, shown)
    ]
    return bars(items, "Classes of the target", "A bar is the number of rows of one class.", "rows")


def associations(columns: Sequence[Mapping[str, Any]], target: str) -> Figure | None:
    """The columns that go with the target most."""
    found = []
    for column in columns:
        link = mapping(column.get("association"))
        value = real(link.get("value"))
        if value is not None and abs(value) >= 0.01:
            found.append(
                (
                    str(column.get("name")),
                    abs(value),
                    f"{plain(column.get('name'))}: {MEASURES.get(str(link.get('measure')), '')} {value:.3f}",
                )
            )
    found.sort(key=lambda item: -item[1])
    return bars(
        found[:15],
        f"What goes with {plain(target, 40)}",
        "The longer the bar, the more this column alone goes with the target: 0 not at all, 1 fully.",
        "strength of association",
    )


MEASURES = {"pearson": "Pearson's r", "spearman": "Spearman's rho", "cramers_v": "Cramer's V", "eta": "eta"}


def thin(points: Sequence[Any], limit: int = MAX_POINTS) -> list[Any]:
    """At most `limit` of the points, evenly, with the first and the last."""
    if len(points) <= limit:
        return list(points)
    return [points[round(i * (len(points) - 1) / (limit - 1))] for i in range(limit)]


def _around(values: Sequence[float]) -> dict[str, Any]:
    """The domain around a single value, which an axis cannot find by itself."""
    low, high = min(values), max(values)
    return {"domain": [low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)]} if low == high else {}


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    reads: str,
    *,
    x: str,
    y: str,
    log: bool = False,
    zero: bool = False,
    mark_at: float | None = None,
    mark_says: str = "",
) -> Figure | None:
    """Lines over epochs or steps.

    Args:
        series: name -> points (x, y).
        title, reads: the figure's name and how to read it.
        x, y: titles of the axes.
        log: whether y is logarithmic; points at or below 0 are then left out.
        zero: whether y begins at 0.
        mark_at: x of a vertical line, such as the best epoch.
        mark_says: what that line is.
    """
    lines = {
        name: thin([(a, b) for a, b in points if math.isfinite(b) and (b > 0 or not log)])
        for name, points in series.items()
    }
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        return None
    values = [
        {"x": a, "y": b, "s": name, "says": f"{x} {number(a)}: {name} {number(b)}"}
        for name, points in lines.items()
        for a, b in points
    ]
    dots = max(len(p) for p in lines.values()) <= 40
    scale = {"domain": list(lines), "range": [BLUE, ORANGE, GREEN, GREY][: len(lines)]}
    legend = {"symbolType": "stroke", "symbolSize": 300, "symbolStrokeWidth": 2}
    color: dict[str, Any] = {"field": "s", "type": "nominal", "title": None, "scale": scale, "legend": legend}
    dashes = {"domain": list(lines), "range": [[1, 0], [6, 3], [2, 2], [8, 2]][: len(lines)]}
    whole = all(a == int(a) for points in lines.values() for a, _ in points)
    x_axis: dict[str, Any] = {"grid": False}
    if whole and len({v["x"] for v in values}) <= 12:
        x_axis |= {"values": sorted({v["x"] for v in values}), "format": "d"}
    x_scale = {"zero": False, "nice": False, **_around([v["x"] for v in values])}
    y_scale = {"type": "log"} if log else {"zero": zero, **_around([v["y"] for v in values])}
    layers: list[dict[str, Any]] = [
        {
            "mark": {
                "type": "line",
                "point": {"size": 25 if dots else 12, "opacity": 1 if dots else 0},
                "interpolate": "linear",
            },
            "encoding": {
                "x": axis("x", x, scale=x_scale, axis=x_axis),
                "y": axis("y", y, scale=y_scale, axis={"format": "~g"} if log else {}),
                "color": color,
                "strokeDash": {"field": "s", "type": "nominal", "title": None, "scale": dashes},
                "description": SAYS,
            },
        }
    ]
    if len(lines) == 1:
        for channel in ("color", "strokeDash"):
            layers[0]["encoding"][channel]["legend"] = None
    if mark_at is not None:
        layers.append(
            {
                "data": {"values": [{"x": mark_at, "says": mark_says}]},
                "mark": {"type": "rule", "strokeDash": [3, 3], "color": GREEN},
                "encoding": {"x": {"field": "x", "type": "quantitative"}, "description": SAYS},
            }
        )
    last = "; ".join(f"{name} from {number(p[0][1])} to {number(p[-1][1])}" for name, p in lines.items())
    return figure(title, reads, f"{title} over {x}: {last}.", data={"values": values}, layer=layers)
