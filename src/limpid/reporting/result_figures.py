"""Figures of how right a model is: curves, reliability, confusion, residuals, contenders, weak slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limpid.reporting.figures import BLUE, GREY, INK, ORANGE, SAYS, Figure, axis, bars, figure, thin
from limpid.reporting.wording import (
    LOWER_IS_BETTER,
    label,
    listing,
    mapping,
    metric_title,
    number,
    percent,
    plain,
    real,
    score,
)

MAX_CLASSES = 31
"""Classes in a confusion matrix: thirty, and one for the rest."""


def _square(
    points: Sequence[tuple[float, float]], title: str, reads: str, alt: str, x: str, y: str, diagonal: bool
) -> Figure:
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
            "mark": {"type": "line", "point": {"size": 12, "opacity": 0}, "color": BLUE},
            "encoding": {
                "x": axis("x", x, scale=fixed),
                "y": axis("y", y, scale=fixed),
                "order": {"value": 0},
                "description": SAYS,
            },
        }
    )
    return figure(title, reads, alt, layer=layers, height=300)


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
    values: list[dict[str, Any]] = []
    for record in map(mapping, bins):
        mean, share, count = real(record.get("mean")), real(record.get("share")), real(record.get("count"))
        if mean is not None and share is not None and count:
            says = f"said {mean:.2f}, happened {share:.2f} ({count:,.0f} rows)"
            values.append({"x": mean, "y": share, "n": count, "says": says})
    if not values:
        return None
    worst = max(values, key=lambda v: abs(v["x"] - v["y"]))
    fixed = {"domain": [0, 1]}
    return figure(
        "Reliability of the probabilities",
        "On the dashed line, of the rows given 70 %, about 70 % turned out so; larger dots hold more rows.",
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
                    "x": axis("x", "predicted probability", scale=fixed),
                    "y": axis("y", "share that turned out so", scale=fixed),
                    "size": {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [30, 260]}},
                    "description": SAYS,
                },
            },
        ],
    )


def confusion(classes: Sequence[Any], counts: Sequence[Any], limit: int = MAX_CLASSES) -> Figure | None:
    """The confusion matrix as a heat map, each row's counts as shares of that row."""
    names = [label(c, 12) for c in classes][:limit]
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
    side = max(260, min(420, 150 + 34 * len(names)))
    size = 13 if len(names) <= 10 else 8
    flat = few and max(map(len, names)) * len(names) < 45
    top = {"orient": "top", "labelAngle": 0 if flat else -50, "labelFontSize": size}
    axes = {
        "x": axis("x", "predicted", "nominal", sort=None, axis=top),
        "y": axis("y", "true", "nominal", sort=None, axis={"labelFontSize": size}),
    }
    shade = {
        "field": "share",
        "type": "quantitative",
        "title": "share of the true class",
        "scale": {"scheme": "blues", "domain": [0, 1]},
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rect"},
            "encoding": {
                **axes,
                "color": shade | {"legend": {"format": ".0%", "gradientLength": 140}},
                "description": SAYS,
            },
        }
    ]
    if few:
        ink = {"condition": {"test": "datum.share > 0.55", "value": "#FFFFFF"}, "value": INK}
        text = {"field": "t", "type": "nominal"}
        layers.append({"mark": {"type": "text", "aria": False}, "encoding": {**axes, "text": text, "color": ink}})
    right = sum(rows[i][i] for i in range(len(rows)))
    total = sum(map(sum, rows)) or 1.0
    return figure(
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
    values: list[dict[str, Any]] = []
    for i, row in enumerate(counts[: max(len(actual) - 1, 0)]):
        for j, n in enumerate(listing(row)[: max(len(predicted) - 1, 0)]):
            if (count := real(n)) and None not in (*actual[i : i + 2], *predicted[j : j + 2]):
                true = f"{number(actual[i])} to {number(actual[i + 1])}"
                said = f"{number(predicted[j])} to {number(predicted[j + 1])}"
                says = f"true {true}, predicted {said}: {count:,.0f} rows"
                values.append(
                    {
                        "x": actual[i],
                        "x2": actual[i + 1],
                        "y": predicted[j],
                        "y2": predicted[j + 1],
                        "n": count,
                        "says": says,
                    }
                )
    if not values:
        return None
    low = max(min(v["x"] for v in values), min(v["y"] for v in values))
    high = min(max(v["x2"] for v in values), max(v["y2"] for v in values))
    exact = {"zero": False, "nice": False}
    return figure(
        "Predicted against true values",
        "On the dashed line the model is right, above it said too much, below it too little; darker is more rows.",
        f"Heat map of predicted against true values, {len(values)} occupied cells.",
        height=320,
        layer=[
            {
                "data": {"values": values},
                "mark": {"type": "rect"},
                "encoding": {
                    "x": axis("x", "true value", scale=exact),
                    "x2": {"field": "x2"},
                    "y": axis("y", "predicted value", scale=exact),
                    "y2": {"field": "y2"},
                    "color": {
                        "field": "n",
                        "type": "quantitative",
                        "title": "rows",
                        "scale": {"type": "log", "scheme": "blues"},
                        "legend": {"gradientLength": 140, "tickCount": 3, "format": "~s"},
                    },
                    "description": SAYS,
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
    values: list[dict[str, Any]] = []
    for row in rows:
        value = real(row.get("value"))
        if value is None:
            continue
        low, high = real(row.get("low")), real(row.get("high"))
        says = f"{plain(row.get('name'), 40)}: {score(value)}" + (
            f" (95 % interval {score(low)} to {score(high)})" if low is not None else ""
        )
        values.append(
            {
                "y": label(row.get("name")),
                "x": value,
                "low": low if low is not None else value,
                "high": high if high is not None else value,
                "who": "network" if row.get("ours") else "baseline",
                "says": says,
            }
        )
    if not values:
        return None
    values, beyond = _without_far(values)
    better = "left" if metric in LOWER_IS_BETTER else "right"
    place = {"y": axis("y", "", "nominal", sort=None)}
    # Without this the network's interval would vanish beside a baseline that is far off, or touch the frame.
    scale = {"zero": False, "padding": 12}
    colour = {
        "field": "who",
        "type": "nominal",
        "title": None,
        "scale": {"domain": ["network", "baseline"], "range": [BLUE, GREY]},
    }
    return figure(
        f"{metric_title(metric)[:1].upper()}{metric_title(metric)[1:]} on held-out rows",
        f"Further {better} is better; the bar is the 95 % interval, and what lies within it is no clear difference."
        + (f" Not drawn, being far off: {'; '.join(beyond)}." if beyond else ""),
        "; ".join(v["says"] for v in values) + ".",
        data={"values": values},
        height=70 + 34 * len(values),
        layer=[
            {
                "mark": {"type": "rule", "strokeWidth": 3, "aria": False},
                "encoding": {
                    **place,
                    "x": axis("low", metric_title(metric), scale=scale),
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {
                    **place,
                    "x": {"field": "x", "type": "quantitative"},
                    "color": colour,
                    "shape": {
                        "field": "who",
                        "type": "nominal",
                        "title": None,
                        "scale": {"domain": ["network", "baseline"], "range": ["circle", "diamond"]},
                    },
                    "description": SAYS,
                },
            },
        ],
    )


def _without_far(values: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Leave out baselines so far off that the rest would fall on one spot, and say so."""
    ours = [v for v in values if v["who"] == "network"]
    if not ours:
        return values, []
    others = sorted((v for v in values if v["who"] != "network"), key=lambda v: abs(v["x"] - ours[0]["x"]))
    kept = list(ours)
    for value in others:
        low, high = min(v["low"] for v in kept), max(v["high"] for v in kept)
        reach = max(max(high, value["x"]) - min(low, value["x"]), 0.0)
        if len(kept) > 2 and reach > 5 * (high - low):
            break
        kept.append(value)
    return [v for v in values if v in kept], [v["says"] for v in values if v not in kept]


def slices(rows: Sequence[Any], metric: str) -> Figure | None:
    """Where the model is weakest: the gap of each slice to all rows."""
    items: list[tuple[str, float, str]] = []
    for row in map(mapping, rows):
        gap = real(row.get("gap"))
        if gap is not None:
            name = f"{label(row.get('column'), 12)} = {label(row.get('value'), 10)}"
            alike = sum(n.startswith(name) for n, _, _ in items)
            name += f" ({alike + 1})" if alike else ""  # bars of one name would lie upon each other
            figures = f"{score(row.get('score'))}, {number(gap, 3)} from all rows, {number(row.get('rows'))} rows"
            said = f"{label(row.get('column'), 40)} = {label(row.get('value'), 40)}: {figures}"
            items.append((name, abs(gap), said))
    return bars(
        items[:10],
        "Where the model is weakest",
        f"How far {metric_title(metric)} on these rows lies from that on all rows; longer is weaker.",
        "gap to all rows",
    )


def label_scores(labels: Sequence[Any]) -> Figure | None:
    """F1 of each label of a multi-label task, from `[{label, rows, f1, average_precision}]`."""
    items = []
    for entry in map(mapping, labels):
        f1 = real(entry.get("f1"))
        if f1 is not None:
            name = label(entry.get("label"))
            items.append((name, f1, f"{name}: F1 {f1:.3f}, {number(entry.get('rows'))} rows"))
    return bars(
        items[:30], "F1 of each label", "The longer the bar, the better this label is found; 1 is perfect.", "F1"
    )
