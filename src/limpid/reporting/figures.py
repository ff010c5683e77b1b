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
    LOWER_IS_BETTER,
    listing,
    mapping,
    metric_title,
    number,
    percent,
    plain,
    real,
    score,
)

Figure = dict[str, Any]

BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#6B7280", "#1F2937"
WIDTH, HEIGHT = 420, 250
MAX_POINTS = 200
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

THEME: dict[str, Any] = {
    "background": "#FFFFFF",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 150,
        "gridColor": "#E5E7EB",
        "domainColor": "#9CA3AF",
        "tickColor": "#9CA3AF",
        "tickCount": 5,
    },
    "legend": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "orient": "top",
        "labelLimit": 150,
    },
    "line": {"strokeWidth": 2},
    "bar": {"color": BLUE},
    "point": {"color": BLUE, "filled": True, "size": 60},
    "rule": {"color": GREY},
    "text": {"fontSize": 11, "color": INK},
}


def _figure(title: str, reads: str, alt: str, **body: Any) -> Figure:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": title,
        "description": alt,
        "usermeta": {"reads": reads},
        "width": WIDTH,
        "height": HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": THEME,
        **body,
    }


def _axis(field: str, title: str, kind: str = "quantitative", **more: Any) -> dict[str, Any]:
    return {"field": field, "type": kind, "title": title, **more}


_SAYS = {"field": "says", "type": "nominal"}


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
        values = [{"x": plain(e, 20), "n": n, "says": f"from {plain(e, 20)}: {n:,.0f} {unit}"} for e, n in zip(edges, counts, strict=False)]
        x = _axis("x", plain(title, 50), "nominal", sort=None, axis={"labelAngle": -50, "labelOverlap": "greedy"})
        encoding: dict[str, Any] = {"x": x, "y": _axis("n", unit), "description": _SAYS}
        mark: dict[str, Any] = {"type": "bar"}
    else:
        ends = [real(e) for e in edges]
        values = [
            {"x": a, "x2": b, "n": n, "says": f"{number(a)} to {number(b)}: {n:,.0f} {unit}"}
            for a, b, n in zip(ends, ends[1:], counts, strict=False)
            if a is not None and b is not None
        ]
        encoding = {
            "x": _axis("x", plain(title, 50), scale={"zero": False, "nice": False}, axis={"grid": False}),
            "x2": {"field": "x2"},
            "y": _axis("n", unit),
            "description": _SAYS,
        }
        mark = {"type": "bar", "binSpacing": 1}
    top = max(range(len(counts)), key=lambda i: counts[i])
    return _figure(
        f"Distribution of {plain(title, 60)}",
        f"A bar's height is the number of {unit} whose value lies in its range.",
        f"Histogram of {plain(title, 60)} with {len(counts)} bars; the highest begins at {plain(edges[top], 20)}.",
        data={"values": values},
        mark=mark,
        encoding=encoding,
    )


def bars(items: Sequence[tuple[str, float, str]], title: str, reads: str, axis: str) -> Figure | None:
    """Horizontal bars of (label, value, sentence)."""
    if not items:
        return None
    values = [{"y": plain(label, 30), "n": n, "says": says, "i": i} for i, (label, n, says) in enumerate(items)]
    # Labels that were cut may be equal; the place in the list keeps them apart.
    seen: dict[str, int] = {}
    for value in values:
        seen[value["y"]] = seen.get(value["y"], 0) + 1
        if seen[value["y"]] > 1:
            value["y"] = f"{value['y']} ({seen[value['y']]})"
    return _figure(
        title,
        reads,
        f"{title}: {len(values)} bars; " + ", ".join(f"{plain(v['y'], 30)} {number(v['n'])}" for v in values[:5]) + ".",
        data={"values": values},
        height=max(90, 34 + 24 * len(values)),
        mark={"type": "bar", "height": {"band": 0.7}},
        encoding={
            "y": _axis("y", "", "nominal", sort=None),
            "x": _axis("n", axis),
            "description": _SAYS,
        },
    )


def balance(record: Mapping[str, Any]) -> Figure | None:
    """Class balance of a target as the profile gives it."""
    shown = listing(record.get("balance"))[:20]
    items = [
        (str(c.get("value")), real(c.get("count")) or 0.0, f"{plain(c.get('value'))}: {percent(c.get('share'))} of the rows")
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
            found.append((str(column.get("name")), abs(value), f"{plain(column.get('name'))}: {MEASURES.get(str(link.get('measure')), '')} {value:.3f}"))
    found.sort(key=lambda item: -item[1])
    return bars(
        found[:15],
        f"What goes with {plain(target, 40)}",
        "The longer the bar, the more this column alone goes with the target (0 not at all, 1 fully); it does not say why.",
        "strength of association",
    )


MEASURES = {"pearson": "Pearson's r", "spearman": "Spearman's rho", "cramers_v": "Cramer's V", "eta": "eta"}


def thin(points: Sequence[Any], limit: int = MAX_POINTS) -> list[Any]:
    """At most `limit` of the points, evenly, with the first and the last."""
    if len(points) <= limit:
        return list(points)
    return [points[round(i * (len(points) - 1) / (limit - 1))] for i in range(limit)]


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    reads: str,
    *,
    x: str,
    y: str,
    log: bool = False,
    mark_at: float | None = None,
    mark_says: str = "",
) -> Figure | None:
    """Lines over epochs or steps.

    Args:
        series: name -> points (x, y).
        title, reads: the figure's name and how to read it.
        x, y: titles of the axes.
        log: whether y is logarithmic; points at or below 0 are then left out.
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
    color: dict[str, Any] = {"field": "s", "type": "nominal", "title": None, "scale": scale}
    if len(lines) == 1:
        color["legend"] = None
    whole = all(a == int(a) for points in lines.values() for a, _ in points)
    x_axis: dict[str, Any] = {"grid": False}
    if whole and len({v["x"] for v in values}) <= 12:
        x_axis["values"] = sorted({v["x"] for v in values})
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "point": {"size": 25 if dots else 12, "opacity": 1 if dots else 0}, "interpolate": "linear"},
            "encoding": {
                "x": _axis("x", x, scale={"zero": False, "nice": False}, axis=x_axis),
                "y": _axis("y", y, scale={"type": "log"} if log else {"zero": False}),
                "color": color,
                "strokeDash": {"field": "s", "type": "nominal", "legend": None, "scale": {"domain": list(lines), "range": [[1, 0], [6, 3], [2, 2], [8, 2]][: len(lines)]}},
                "description": _SAYS,
            },
        }
    ]
    if mark_at is not None:
        layers.append(
            {
                "data": {"values": [{"x": mark_at, "says": mark_says}]},
                "mark": {"type": "rule", "strokeDash": [3, 3], "color": GREEN},
                "encoding": {"x": {"field": "x", "type": "quantitative"}, "description": _SAYS},
            }
        )
    last = "; ".join(f"{name} from {number(p[0][1])} to {number(p[-1][1])}" for name, p in lines.items())
    return _figure(title, reads, f"{title} over {x}: {last}.", data={"values": values}, layer=layers)


def _square(points: Sequence[tuple[float, float]], title: str, reads: str, alt: str, x: str, y: str, diagonal: bool) -> Figure:
    fixed = {"domain": [0, 1]}
    layers: list[dict[str, Any]] = []
    if diagonal:
        layers.append(
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "color": GREY, "strokeDash": [4, 4], "strokeWidth": 1, "aria": False},
                "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
            }
        )
    values = [{"x": a, "y": b, "says": f"{x} {a:.3f}, {y} {b:.3f}"} for a, b in points]
    layers.append(
        {
            "data": {"values": values},
            "mark": {"type": "line", "point": {"size": 12, "opacity": 0}, "order": None, "color": BLUE},
            "encoding": {
                "x": _axis("x", x, scale=fixed),
                "y": _axis("y", y, scale=fixed),
                "order": {"value": 0},
                "description": _SAYS,
            },
        }
    )
    layers[-1]["mark"].pop("order")
    return _figure(title, reads, alt, layer=layers, height=300)


def _points(record: Mapping[str, Any], a: str, b: str) -> list[tuple[float, float]]:
    pairs = zip(listing(record.get(a)), listing(record.get(b)), strict=False)
    return thin([(x, y) for x, y in ((real(x), real(y)) for x, y in pairs) if x is not None and y is not None])


def roc(record: Mapping[str, Any]) -> Figure | None:
    """The ROC curve from `{fpr, tpr}`."""
    points = _points(record, "fpr", "tpr")
    if len(points) < 2:
        return None
    near = min(points, key=lambda p: abs(p[0] - 0.1))
    return _square(
        points,
        "ROC curve",
        "The further the curve bends to the upper left, the better the model ranks; the dashed line is guessing.",
        f"ROC curve: at a false positive rate of {near[0]:.2f} the true positive rate is {near[1]:.2f}.",
        "false positive rate",
        "true positive rate",
        diagonal=True,
    )


def precision_recall(record: Mapping[str, Any]) -> Figure | None:
    """The precision-recall curve from `{recall, precision}`."""
    points = _points(record, "recall", "precision")
    if len(points) < 2:
        return None
    near = min(points, key=lambda p: abs(p[0] - 0.5))
    return _square(
        points,
        "Precision and recall",
        "Going right the model finds more of the positive rows; the height says how many of those it names are right.",
        f"Precision-recall curve: at a recall of {near[0]:.2f} the precision is {near[1]:.2f}.",
        "recall",
        "precision",
        diagonal=False,
    )


def reliability(bins: Sequence[Any]) -> Figure | None:
    """Predicted probability against what happened, from `[{mean, share, count}]`."""
    values = []
    for record in map(mapping, bins):
        mean, share, count = real(record.get("mean")), real(record.get("share")), real(record.get("count"))
        if mean is not None and share is not None and count:
            says = f"said {mean:.2f}, happened {share:.2f} ({count:,.0f} rows)"
            values.append({"x": mean, "y": share, "n": count, "says": says})
    if not values:
        return None
    worst = max(values, key=lambda v: abs(v["x"] - v["y"]))
    fixed = {"domain": [0, 1]}
    return _figure(
        "Reliability of the probabilities",
        "Dots on the dashed line mean that of the rows given 70 %, about 70 % turned out so; larger dots hold more rows.",
        f"Reliability diagram with {len(values)} dots; the furthest from the diagonal {worst['says']}.",
        height=300,
        layer=[
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "color": GREY, "strokeDash": [4, 4], "strokeWidth": 1, "aria": False},
                "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "opacity": 0.9},
                "encoding": {
                    "x": _axis("x", "predicted probability", scale=fixed),
                    "y": _axis("y", "share that turned out so", scale=fixed),
                    "size": {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [30, 260]}},
                    "description": _SAYS,
                },
            },
        ],
    )


def confusion(classes: Sequence[Any], counts: Sequence[Any], limit: int = 30) -> Figure | None:
    """The confusion matrix as a heat map, each row's counts as shares of that row."""
    names = [plain(c, 22) for c in classes][:limit]
    names = [n if names.count(n) == 1 else f"{n} #{i + 1}" for i, n in enumerate(names)]
    rows = [[real(v) or 0.0 for v in listing(row)[: len(names)]] for row in counts[: len(names)]]
    if len(names) < 2 or len(rows) != len(names) or any(len(r) != len(names) for r in rows):
        return None
    values = []
    for name, row in zip(names, rows, strict=True):
        total = sum(row) or 1.0
        for other, n in zip(names, row, strict=True):
            says = f"{name} predicted as {other}: {n:,.0f} rows, {percent(n / total)} of {name}"
            values.append({"y": name, "x": other, "n": n, "share": n / total, "t": f"{n:,.0f}", "says": says})
    few = len(names) <= 8
    side = max(200, min(420, 60 + 34 * len(names)))
    axes = {
        "x": _axis("x", "predicted", "nominal", sort=None, axis={"orient": "top", "labelAngle": 0 if few and max(map(len, names)) < 9 else -50, "labelLimit": 90}),
        "y": _axis("y", "true", "nominal", sort=None, axis={"labelLimit": 110}),
    }
    shade = {"field": "share", "type": "quantitative", "title": "share of the true class", "scale": {"scheme": "blues", "domain": [0, 1]}}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rect"}, "encoding": {**axes, "color": shade | {"legend": {"format": ".0%", "gradientLength": 140}}, "description": _SAYS}}
    ]
    if few:
        ink = {"condition": {"test": "datum.share > 0.55", "value": "#FFFFFF"}, "value": INK}
        text = {"field": "t", "type": "nominal"}
        layers.append({"mark": {"type": "text", "aria": False}, "encoding": {**axes, "text": text, "color": ink}})
    right = sum(rows[i][i] for i in range(len(rows)))
    total = sum(map(sum, rows)) or 1.0
    return _figure(
        "Confusion matrix",
        "A line is a true class, a column what the model said; all on the diagonal would be perfect.",
        f"Confusion matrix of {len(names)} classes; {percent(right / total)} of the rows lie on the diagonal.",
        data={"values": values},
        height=side,
        layer=layers,
    )


def predicted_actual(record: Mapping[str, Any]) -> Figure | None:
    """Predictions against true values as a two-dimensional histogram.

    Args:
        record: `{"edges": [...], "counts": [[...]]}`, or `actual_edges` and `predicted_edges` of their own; a line of
            `counts` is a bin of the actual value.
    """
    shared = listing(record.get("edges"))
    actual = [real(e) for e in (listing(record.get("actual_edges")) or shared)]
    predicted = [real(e) for e in (listing(record.get("predicted_edges")) or shared)]
    counts = listing(record.get("counts"))
    values = []
    for i, row in enumerate(counts[: max(len(actual) - 1, 0)]):
        for j, n in enumerate(listing(row)[: max(len(predicted) - 1, 0)]):
            if (count := real(n)) and None not in (*actual[i : i + 2], *predicted[j : j + 2]):
                says = f"true {number(actual[i])} to {number(actual[i + 1])}, predicted {number(predicted[j])} to {number(predicted[j + 1])}: {count:,.0f} rows"
                values.append({"x": actual[i], "x2": actual[i + 1], "y": predicted[j], "y2": predicted[j + 1], "n": count, "says": says})
    if not values:
        return None
    low = max(min(v["x"] for v in values), min(v["y"] for v in values))
    high = min(max(v["x2"] for v in values), max(v["y2"] for v in values))
    exact = {"zero": False, "nice": False}
    return _figure(
        "Predicted against true values",
        "Cells on the dashed line are right; above it the model said too much, below it too little; darker cells hold more rows.",
        f"Heat map of predicted against true values, {len(values)} occupied cells.",
        height=320,
        layer=[
            {
                "data": {"values": values},
                "mark": {"type": "rect"},
                "encoding": {
                    "x": _axis("x", "true value", scale=exact),
                    "x2": {"field": "x2"},
                    "y": _axis("y", "predicted value", scale=exact),
                    "y2": {"field": "y2"},
                    "color": {"field": "n", "type": "quantitative", "title": "rows", "scale": {"type": "log", "scheme": "blues"}, "legend": {"gradientLength": 140, "tickCount": 3, "format": "~s"}},
                    "description": _SAYS,
                },
            },
            {
                "data": {"values": [{"x": low, "y": low}, {"x": high, "y": high}] if high > low else []},
                "mark": {"type": "line", "color": ORANGE, "strokeDash": [4, 4], "strokeWidth": 1.5, "aria": False},
                "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
            },
        ],
    )


def contenders(rows: Sequence[Mapping[str, Any]], metric: str) -> Figure | None:
    """The model with its interval beside the baselines.

    Args:
        rows: `{"name", "value", "low", "high", "ours"}`, the last three optional.
        metric: the metric's name.
    """
    values = []
    for row in rows:
        value = real(row.get("value"))
        if value is None:
            continue
        low, high = real(row.get("low")), real(row.get("high"))
        says = f"{plain(row.get('name'), 40)}: {score(value)}" + (f" (95 % interval {score(low)} to {score(high)})" if low is not None else "")
        values.append({"y": plain(row.get("name"), 26), "x": value, "low": low if low is not None else value, "high": high if high is not None else value, "who": "network" if row.get("ours") else "baseline", "says": says})
    if not values:
        return None
    better = "left" if metric in LOWER_IS_BETTER else "right"
    place = {"y": _axis("y", "", "nominal", sort=None)}
    # Without this the network's interval would vanish beside a baseline that is far off, or touch the frame.
    scale = {"zero": False, "padding": 12}
    colour = {"field": "who", "type": "nominal", "title": None, "scale": {"domain": ["network", "baseline"], "range": [BLUE, GREY]}}
    return _figure(
        f"{metric_title(metric)[:1].upper()}{metric_title(metric)[1:]} on held-out rows",
        f"Further {better} is better; the bar through the dot is the 95 % interval, and what lies within it is no clear difference.",
        "; ".join(v["says"] for v in values) + ".",
        data={"values": values},
        height=70 + 34 * len(values),
        layer=[
            {"mark": {"type": "rule", "strokeWidth": 3, "aria": False}, "encoding": {**place, "x": _axis("low", metric_title(metric), scale=scale), "x2": {"field": "high"}, "color": colour}},
            {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1}, "encoding": {**place, "x": {"field": "x", "type": "quantitative"}, "color": colour, "shape": {"field": "who", "type": "nominal", "legend": None, "scale": {"domain": ["network", "baseline"], "range": ["circle", "diamond"]}}, "description": _SAYS}},
        ],
    )


def slices(rows: Sequence[Any], metric: str) -> Figure | None:
    """Where the model is weakest: the gap of each slice to all rows."""
    items = []
    for row in map(mapping, rows):
        gap = real(row.get("gap"))
        if gap is not None:
            name = f"{plain(row.get('column'), 16)} = {plain(row.get('value'), 12)}"
            items.append((name, gap, f"{name}: {score(row.get('score'))}, gap {number(gap, 3)}, {number(row.get('rows'))} rows"))
    return bars(
        items[:10],
        "Where the model is weakest",
        f"A bar is how far the score ({metric_title(metric)}) on these rows lies from the score on all rows; the longer, the weaker.",
        "gap to all rows",
    )
