"""A decision surface: a heat map with contours and marks for the page, a picture of characters for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from limpid.reporting.figures import INK, SAYS, Figure, axis, figure
from limpid.reporting.wording import label, listing, mapping, number, plain, real

_SHADES = " .:-=+*#%@"
_MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST, _EVERY, _TALL = 40, 7, 20
_SURE = 0.8
_COLOURS = ("#9ecae9", "#f6b48f", "#8fd3b6", "#cdb1cb", "#d9c28a", "#b4bcc8", "#e6cf6f", "#c7e2f0")


def surface_figure(record: Mapping[str, Any]) -> Figure | None:
    """The heat map; None where there is none.

    What is decided can be read without colour: contours are lines, and numbers (of classes letters) stand in the field.

    Args:
        record: of `limpid.explanation.surface.surface`.
    """
    grid = _grid(record)
    if grid is None:
        return None
    xs, ys, values, chosen, names = grid
    numbers = [bool(n) for n in listing(record.get("numbers"))]
    titles = [plain(c, 50) for c in listing(record.get("columns"))]
    letters = [_MARKS[n % len(_MARKS)] for n in range(len(names))]
    shares = record.get("kind") == "probability"
    cells: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for j, line in enumerate(values):
        for i, value in enumerate(line):
            place = {**_place("x", xs, i, numbers[0]), **_place("y", ys, j, numbers[1])}
            said = {"c": _class(names, letters, chosen[j][i])} if chosen else {}
            cells.append({**place, "v": float(f"{value:.4g}"), **said})
            if _marked(i, len(xs), numbers[0]) and _marked(j, len(ys), numbers[1]):
                text = letters[chosen[j][i]] if chosen else f"{value:.2f}" if shares else number(value, 2)
                marks.append({"x": _at(xs, i, numbers[0]), "y": _at(ys, j, numbers[1]), "t": text})
    encoding = {**_axis("x", titles[0], numbers[0]), **_axis("y", titles[1], numbers[1])}
    layers = [
        {"data": {"values": cells}, "mark": {"type": "rect", "aria": False}, "encoding": encoding | _colour(record)},
        *_density(record, encoding),
        *_lines(record, encoding, numbers[1]),
        {
            "data": {"values": marks},
            "mark": {"type": "text", "fontSize": 11, "fontWeight": "bold", "color": INK, "aria": False},
            "encoding": {**_only(encoding), "text": {"field": "t", "type": "nominal"}},
        },
    ]
    what = plain(record.get("of"), 80)
    how = {
        "probability": "the thick line is where the answer changes",
        "classes": "thick lines are borders between answers, letters name them, paler is less sure",
        "value": "thick lines join equal answers",
    }.get(str(record.get("kind")), "")
    return figure(
        f"{what[:1].upper()}{what[1:]} over {titles[0]} and {titles[1]}",
        f"Figures in the field are what is answered, {how}; circles are rows, larger for more of them: where none are, "
        "the model answers about what it has not seen.",
        f"Heat map of {what} over {titles[0]} ({number(len(xs))} points) and {titles[1]} ({number(len(ys))} points).",
        layer=layers,
        height=max(180, 30 * len(ys)) if not numbers[1] else 320,
    )


def surface_printed(record: Mapping[str, Any]) -> RenderableType:
    """The same as characters: darker for more, or a letter for each class, small where it is less sure than 80 %."""
    grid = _grid(record)
    if grid is None:
        return Group()
    xs, ys, values, chosen, names = grid
    numbers = [bool(n) for n in listing(record.get("numbers"))]
    low, high = (0.0, 1.0) if record.get("kind") == "probability" else _span(values)
    rows = list(range(len(ys)))
    if numbers[1]:  # a character is twice as tall as wide
        rows = rows[:: max(1, -(-len(rows) // _TALL))][::-1]
    titles = [plain(c, 40) for c in listing(record.get("columns"))]
    names_of = [number(ys[j], 4) if numbers[1] else plain(ys[j], 18) for j in rows]
    wide = max(map(len, names_of))
    lines = []
    for j, name in zip(rows, names_of, strict=True):
        drawn = ""
        for i, value in enumerate(values[j]):
            if chosen:
                letter = _MARKS[chosen[j][i] % len(_MARKS)]
                drawn += letter if value >= _SURE else letter.lower()
            else:
                level = (value - low) / ((high - low) or 1.0)
                drawn += _SHADES[min(len(_SHADES) - 1, max(0, int(level * len(_SHADES))))]
        lines.append(f"{name:>{wide}} |{drawn}|")
    ends = (
        f"{number(xs[0], 4)} to {number(xs[-1], 4)}"
        if numbers[0]
        else ", ".join(f"{n + 1} {plain(v, 18)}" for n, v in enumerate(xs))
    )
    if chosen:
        there = sorted({c for line in chosen for c in line})
        key = ", ".join(f"{_MARKS[c % len(_MARKS)]} {names[c]}" for c in there) + "; small letters are below 80 % sure"
    else:
        key = f"from '{_SHADES[0]}' {number(low, 3)} to '{_SHADES[-1]}' {number(high, 3)}"
        cut = [number(v, 3) for v in listing(record.get("levels"))]
        key += f"; the answer changes at {cut[0]}" if record.get("kind") == "probability" and cut else ""
    held = "; ".join(f"{plain(h.get('column'), 30)} {plain(h.get('value'), 30)}" for h in _held(record))
    parts = [
        Text(),
        Text(f"{plain(record.get('of'), 80)} over {titles[0]} and {titles[1]}", style="bold underline"),
        Text(f"up: {titles[1]}; to the right: {titles[0]}, {ends}"),
        Text("\n".join(lines), no_wrap=True),
        Text(key),
    ]
    return Group(*parts, *([Text(f"held: {held}")] if held else []))


def surface_held(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the other columns hold, the classes' letters, and rows that lie outside."""
    grid = _grid(record)
    names = [] if grid is None or grid[3] is None else grid[4]
    there = sorted({c for line in grid[3] for c in line}) if grid is not None and grid[3] else []
    return {
        "held": [(plain(h.get("column"), 60), plain(h.get("value"), 120)) for h in _held(record)],
        "more": number(record.get("more_held")) if record.get("more_held") else "",
        "outside": number(record.get("outside")) if record.get("outside") else "",
        "letters": [(_MARKS[c % len(_MARKS)], names[c]) for c in there],
    }


def _held(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [mapping(h) for h in listing(record.get("held"))[:12]]


Grid = tuple[list[Any], list[Any], list[list[float]], list[list[int]] | None, list[str]]


def _grid(record: Mapping[str, Any]) -> Grid | None:
    """What is drawn, checked: points, values, classes."""
    xs, ys = listing(record.get("x"))[:_MOST], listing(record.get("y"))[:_MOST]
    values = [[real(v) or 0.0 for v in listing(line)[:_MOST]] for line in listing(record.get("values"))[:_MOST]]
    if not xs or not ys or len(values) != len(ys) or any(len(line) != len(xs) for line in values):
        return None
    if len(listing(record.get("columns"))) != 2 or len(listing(record.get("numbers"))) != 2:
        return None
    names = [plain(n, 40) for n in listing(record.get("names"))]
    if record.get("chosen") is None:
        return list(xs), list(ys), values, None, names
    chosen = [[int(real(c) or 0) for c in listing(line)[:_MOST]] for line in listing(record.get("chosen"))[:_MOST]]
    fits = len(chosen) == len(ys) and all(len(line) == len(xs) for line in chosen)
    if not fits or any(not 0 <= c < len(names) for line in chosen for c in line):
        return None
    return list(xs), list(ys), values, chosen, names


def _span(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    every = [v for line in values for v in line]
    return min(every), max(every)


def _place(name: str, points: Sequence[Any], n: int, is_number: bool) -> dict[str, Any]:
    if not is_number:
        return {name: label(points[n], 24)}
    step = (points[1] - points[0]) / 2 if len(points) > 1 else 0.5
    return {name: points[n] - step, f"{name}2": points[n] + step}


def _at(points: Sequence[Any], n: int, is_number: bool) -> Any:
    return points[n] if is_number else label(points[n], 24)


def _marked(n: int, count: int, is_number: bool) -> bool:
    every = min(_EVERY, max(1, count // 5))
    return not is_number or n % every == every // 2


def _class(names: Sequence[str], letters: Sequence[str], place: int) -> str:
    return f"{letters[place]} {names[place]}"


def _axis(name: str, title: str, is_number: bool) -> dict[str, Any]:
    if not is_number:
        return {name: axis(name, title, "nominal", sort=None, axis={"labelAngle": -40} if name == "x" else {})}
    scale = {"zero": False, "nice": False}
    return {name: axis(name, title, scale=scale, axis={"grid": False}), f"{name}2": {"field": f"{name}2"}}


def _only(encoding: Mapping[str, Any]) -> dict[str, Any]:
    """The same axes for marks that are points."""
    return {name: encoding[name] for name in ("x", "y")}


def _colour(record: Mapping[str, Any]) -> dict[str, Any]:
    if record.get("chosen") is not None:
        names = [plain(n, 40) for n in listing(record.get("names"))]
        letters = [_MARKS[n % len(_MARKS)] for n in range(len(names))]
        domain = [_class(names, letters, n) for n in range(len(names))]
        colours = [_COLOURS[n % len(_COLOURS)] for n in range(len(names))]
        shown = {"field": "c", "type": "nominal", "scale": {"domain": domain, "range": colours}, "legend": None}
        sure = {"field": "v", "type": "quantitative", "scale": {"domain": [0, 1], "range": [0.1, 1]}, "legend": None}
        return {"color": shown, "opacity": sure}
    scale: dict[str, Any] = {"range": ["#ffffff", "#5ba3cf"], "interpolate": "rgb"}
    if record.get("kind") == "probability":
        scale = {"domain": [0, 0.5, 1], "range": ["#f3b48d", "#ffffff", "#7fb8dd"], "interpolate": "rgb"}
    return {"color": {"field": "v", "type": "quantitative", "scale": scale, "legend": None}}


def _density(record: Mapping[str, Any], encoding: Mapping[str, Any]) -> list[dict[str, Any]]:
    values = []
    for c in map(mapping, listing(record.get("counts"))[:400]):
        x, y, n = c.get("x"), c.get("y"), real(c.get("n"))
        if n:
            place = [v if real(v) is not None and not isinstance(v, str) else label(v, 24) for v in (x, y)]
            values.append({"x": place[0], "y": place[1], "n": n, "says": f"{number(n)} rows"})
    if not values:
        return []
    size = {"field": "n", "type": "quantitative", "scale": {"range": [4, 160]}, "legend": None}
    mark = {"type": "point", "filled": False, "color": "#4b5563", "opacity": 0.6, "strokeWidth": 1}
    return [
        {"data": {"values": values}, "mark": mark, "encoding": {**_only(encoding), "size": size, "description": SAYS}}
    ]


def _lines(record: Mapping[str, Any], encoding: Mapping[str, Any], number_up: bool) -> list[dict[str, Any]]:
    found = [mapping(c) for c in listing(record.get("contours"))[:4_000]]
    if not found:
        return []
    if not number_up:
        values = [{"x": real(c.get("x")), "y": label(c.get("y"), 24)} for c in found]
        mark = {"type": "tick", "thickness": 2.5, "color": INK, "aria": False}
        return [{"data": {"values": values}, "mark": mark, "encoding": _only(encoding)}]
    values = [{k: real(c.get(k)) for k in ("x", "y", "x2", "y2")} for c in found]
    mark = {"type": "rule", "strokeWidth": 2, "color": INK, "aria": False}
    return [{"data": {"values": values}, "mark": mark, "encoding": dict(encoding)}]
