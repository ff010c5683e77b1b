"""What the layers and the examples of a training looked like, from training.json.

What a file says is checked and bounded: it may be damaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from markupsafe import Markup

from limpid.reporting import figures
from limpid.reporting.figures import Figure
from limpid.reporting.shown import line_svg, shown
from limpid.reporting.wording import capped, listing, mapping, number, percent, plain, real

MAX_LAYERS, MAX_POINTS, MAX_ROWS, MAX_PASSES = 30, 32, 12, 16
_SPARK = (84, 24)
_QUANTITIES = ("mean", "spread", "dead", "weight", "gradient", "ratio")
_LISTS = (
    (
        "hardest",
        "The hardest examples",
        "the largest mean loss over the later half of the passes: rare cases, noise, or wrong targets",
    ),
    (
        "late_rows",
        "Learnt late",
        "right in the end, but wrong at more than half of the passes: more often learnt by heart than by rule",
    ),
    (
        "forgotten_rows",
        "Forgotten",
        "right once and wrong again later: the network has no firm rule for them",
    ),
)


def by_layer(looks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Looks at all layers, step by step, turned to layer by layer.

    Args:
        looks: of each "step" and "layers", the fields of a `LayerSeen` each, as in events of the name LayersSeen.

    Returns:
        {"steps", "layers": [{"name", "kind", and a list over the steps for each of the other six}]}.

    Example:
        >>> by_layer([{"step": 1, "layers": [{"name": "head", "mean": 0.5}]}])["layers"][0]["mean"]
        [0.5]
    """
    found: dict[str, dict[str, Any]] = {}
    for place, look in enumerate(looks):
        for layer in map(mapping, listing(look.get("layers"))):
            name = str(layer.get("name"))
            entry = found.setdefault(name, {"name": name, "kind": layer.get("kind", "")})
            for quantity in _QUANTITIES:
                entry.setdefault(quantity, [None] * len(looks))[place] = layer.get(quantity)
    return {"steps": [look.get("step") for look in looks], "layers": list(found.values())}


def recorded(record: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """training.json, or of a run that is still at work what its events say."""
    if record:
        return record
    # A resumed run looks at some steps again, and one that was rolled back may look at them in another order.
    looks = {step: e for e in events if e.get("event") == "LayersSeen" and (step := real(e.get("step"))) is not None}
    return {"layers": by_layer([looks[step] for step in sorted(looks)])} if looks else {}


def layers(record: Mapping[str, Any]) -> dict[str, Any]:
    """The layers as lines of a table, each quantity with its last value and its course.

    Args:
        record: training.json.

    Returns:
        {"steps", "layers": [{"name", "kind", "output", "dead", "weight", "gradient", "ratio"}], "more"}; each of the
        last five is {"value", "line"}.
    """
    whole = mapping(record.get("layers"))
    steps = [real(s) for s in listing(whole.get("steps"))]
    shown_layers, more = capped([mapping(x) for x in listing(whole.get("layers"))], MAX_LAYERS)
    return {
        "steps": len(steps),
        "first": number(steps[0]) if steps else "",
        "last": number(steps[-1]) if steps else "",
        "layers": [_layer(one) for one in shown_layers],
        "more": more,
    }


def _layer(one: Mapping[str, Any]) -> dict[str, Any]:
    name = plain(one.get("name"), 60)
    mean, spread = _values(one, "mean"), _values(one, "spread")
    output = f"{number(_last(mean))} ± {number(_last(spread))}" if _last(mean) is not None else ""
    return {
        "name": name,
        "kind": plain(one.get("kind"), 30),
        "output": {"value": output, "line": _spark(spread, f"spread of the outputs of {name}")},
        "dead": _cell(one, "dead", f"dead units behind {name}", percent),
        "weight": _cell(one, "weight", f"weight norm of {name}", number),
        "gradient": _cell(one, "gradient", f"gradient norm of {name}", number, log=True),
        "ratio": _cell(one, "ratio", f"update ratio of {name}", number, log=True),
    }


def _cell(one: Mapping[str, Any], key: str, title: str, say: Any, *, log: bool = False) -> dict[str, Any]:
    values = _values(one, key)
    last = _last(values)
    drawn = [log10(v) if v is not None and v > 0 else None for v in values] if log else values
    return {"value": "" if last is None else say(last), "line": _spark(drawn, title)}


def _values(one: Mapping[str, Any], key: str) -> list[float | None]:
    values = [real(v) for v in listing(one.get(key))]
    every = max(1, -(-len(values) // MAX_POINTS))
    return values[::-1][::every][::-1]  # the last one stays


def _last(values: Sequence[float | None]) -> float | None:
    return next((v for v in reversed(values) if v is not None), None)


def _spark(values: list[float | None], title: str) -> Markup:
    if sum(v is not None for v in values) < 2:
        return Markup("")
    return Markup(line_svg(values, title, *_SPARK))  # our own drawing, its text escaped


def examples(record: Mapping[str, Any]) -> dict[str, Any]:
    """What to say of the examples: shares, and lists of single ones with the course of their loss.

    Args:
        record: training.json.
    """
    whole = mapping(record.get("examples"))
    passes = [p for p in map(real, listing(whole.get("passes"))) if p is not None][:MAX_PASSES]
    if not passes:
        return {}
    shares = {name: percent(whole[name]) for name in ("always", "late", "forgotten", "never") if name in whole}
    lists = []
    for key, title, what in _LISTS:
        rows = [_example(mapping(row)) for row in listing(whole.get(key))[:MAX_ROWS]]
        if rows:
            lists.append({"title": title, "what": what, "rows": rows, "open": key == "hardest"})
    watched, rows_of = real(whole.get("watched")), real(whole.get("rows"))
    return {
        "passes": [number(p) for p in passes],
        "watched": number(watched),
        "all": watched == rows_of,
        "rows": number(rows_of),
        "level": number(whole.get("level")) if real(whole.get("level")) is not None else "",
        "shares": shares,
        "lists": lists,
    }


def right_figure(record: Mapping[str, Any]) -> Figure | None:
    """The share of examples that were answered rightly, pass by pass."""
    whole = mapping(record.get("examples"))
    pairs = zip(listing(whole.get("passes")), listing(whole.get("right")), strict=False)
    points = [(a, b) for p, r in pairs if (a := real(p)) is not None and (b := real(r)) is not None]
    if len(points) < 2:
        return None
    return figures.curves(
        {"training examples": points[:MAX_PASSES]},
        "Training examples answered rightly",
        "As the network met them while it learnt, with dropout and augmentation. A line that climbs to 1 while "
        "validation stands still means that examples are learnt by heart.",
        x="pass over the training rows",
        y="share of right answers",
    )


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    losses = [real(v) for v in listing(row.get("losses"))[:MAX_PASSES]]
    right = listing(row.get("right"))[:MAX_PASSES]
    known = [v for v in losses if v is not None]
    name = plain(row.get("name") or f"row {number(row.get('row'))}", 80)
    cells = list(mapping(row.get("cells")).items())[:6]
    picture = shown({"pictures": [{"title": name, "png": row.get("png")}]})["pictures"] if row.get("png") else []
    return {
        "name": name,
        "picture": picture[0] if picture else None,
        "cells": [(plain(k, 40), plain(v, 160)) for k, v in cells],
        "target": plain(row.get("target"), 80),
        "line": _spark(losses, f"loss of {name}"),
        "first": number(known[0]) if known else "",
        "last": number(known[-1]) if known else "",
        "losses": len(known),
        "marks": "".join("·" if r is None else "✓" if r else "✗" for r in right),
    }
