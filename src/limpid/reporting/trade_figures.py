"""Accuracy against gap: what trainings that treat groups alike buy and cost, from audit.json."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from limpid.reporting.figures import BLUE, ORANGE, SAYS, Figure, axis, figure
from limpid.reporting.wording import listing, mapping, number, plain, real

MAX_FIGURES, MAX_WAYS = 4, 12


def trade_figures(audit: Mapping[str, Any]) -> dict[str, Figure | None]:
    """A figure for each column of groups: "trade_0", "trade_1", ...; thresholds of groups are among the marks.

    Args:
        audit: audit.json.
    """
    cuts = {plain(mapping(t).get("column"), 40): mapping(t) for t in listing(audit.get("mitigation"))}
    records = [mapping(r) for r in listing(audit.get("trained"))[:MAX_FIGURES]]
    records += [{}] * (MAX_FIGURES - len(records))
    return {f"trade_{n}": _figure(r, cuts.get(plain(r.get("column"), 40), {})) for n, r in enumerate(records)}


def _figure(record: Mapping[str, Any], cuts: Mapping[str, Any]) -> Figure | None:
    column, metric = plain(record.get("column"), 40), plain(record.get("metric"), 30)
    best = plain(record.get("best"), 60)
    marks = []
    for way in map(mapping, listing(record.get("ways"))[:MAX_WAYS]):
        score, gap, name = real(way.get("score")), real(way.get("gap")), plain(way.get("name"), 60)
        if score is not None and gap is not None:
            marks.append(_mark(score, gap, name, name == best))
    pairs = [listing(cuts.get(key)) for key in ("accuracy", "equalised_odds")]
    if metric == "accuracy" and all(len(p) == 2 and real(p[1]) is not None for p in pairs):
        marks.append(_mark(float(pairs[0][1]), float(pairs[1][1]), "thresholds by group", False))
    if len(marks) < 2:
        return None
    for letter, mark in zip(ascii_uppercase, marks, strict=False):
        mark["letter"] = letter
    key = ", ".join(f"{m['letter']} {m['name']}" for m in marks)
    better = "up and to the left" if metric == "accuracy" else "down and to the left"
    where: dict[str, Any] = {"scale": {"zero": False, "nice": True, "padding": 12}}
    shared = {"x": axis("gap", f"gap between groups of {column}", **where), "y": axis("score", metric, **where)}
    kinds = {"domain": ["tried", "chosen by validation rows"], "range": [BLUE, ORANGE]}
    shapes = {"domain": kinds["domain"], "range": ["circle", "diamond"]}
    layers = [
        {
            "mark": {"type": "point", "filled": True, "size": 80},
            "encoding": {
                **shared,
                "color": {"field": "kind", "type": "nominal", "title": None, "scale": kinds},
                "shape": {"field": "kind", "type": "nominal", "title": None, "scale": shapes},
                "description": SAYS,
            },
        },
        {
            # Names of marks that lie close to each other could not be read.
            "mark": {"type": "text", "dx": 10, "dy": -7, "fontSize": 12, "fontWeight": "bold"},
            "encoding": {**shared, "text": {"field": "letter", "type": "nominal"}},
        },
    ]
    alt = "; ".join(m["says"] for m in marks)
    return figure(
        f"{metric.capitalize()} against gap, {column}",
        f"Each mark is a model on the same rows ({key}); {better} is better.",
        f"{metric.capitalize()} against gap between groups of {column}: {alt}.",
        data={"values": marks},
        layer=layers,
    )


def _mark(score: float, gap: float, name: str, chosen: bool) -> dict[str, Any]:
    kind = "chosen by validation rows" if chosen else "tried"
    return {
        "score": score,
        "gap": gap,
        "name": name,
        "kind": kind,
        "says": f"{name}: gap {number(gap, 3)}, {number(score)}",
    }
