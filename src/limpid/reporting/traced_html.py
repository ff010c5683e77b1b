"""The page of `limpid trace --html`: one example forward and back, a step at a time, without any script.

Each step is a radio button with its panel behind it: the arrow keys go from step to step, and so do the labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from limpid.reporting import traced_drawing
from limpid.reporting.pages import page
from limpid.reporting.wording import listing, mapping, number, plain, real, score

MAX_STEPS = 400
_SHOWN = 60
_EMPTY: Mapping[str, Any] = {"detail": "", "does": "", "facts": [], "drawings": [], "tables": [], "more": 0}


def trace_html(record: Mapping[str, Any]) -> str:
    """A self-contained page.

    Args:
        record: of `limpid.trace(...)`.

    Example:
        >>> "<script" in trace_html({"columns": [{"column": "<script>", "raw": "<script>"}]})
        False
    """
    layers = [mapping(layer) for layer in listing(record.get("layers"))]
    loss, update = mapping(record.get("loss")), mapping(record.get("update"))
    steps = [_entry(record), *(_forward(layer) for layer in layers), _output(record)]
    if loss:
        steps += [_loss(loss), *(_backward(layer) for layer in reversed(layers) if layer.get("gradient"))]
        steps.append(_update(record, update))
    name = plain(record.get("name") or f"row {record.get('row', 0)}", 80)
    target = plain(", ".join(map(str, listing(record.get("target")))), 80)
    context = {
        "title": f"Trace: {name} of {plain(record.get('data', ''), 80)}",
        "name": name,
        "source": plain(record.get("data", ""), 80),
        "what": f"{plain(record.get('task', ''), 30)} of {target}, net {plain(record.get('net', ''), 40)}",
        "answer": _pairs(mapping(mapping(record.get("output")).get("prediction"))),
        "truth": plain(mapping(record.get("output")).get("truth"), 80) if loss else "not given",
        "loss": score(loss.get("value")) if loss else "",
        "after": score(update.get("loss_after")) if update else "",
        "notes": [plain(note, 300) for note in listing(record.get("notes"))],
        "checks": [
            {
                "what": plain(check.get("what"), 120),
                "difference": number(check.get("difference"), 2),
                "within": number(check.get("within")),
                "ok": bool(check.get("ok")),
            }
            for check in map(mapping, listing(record.get("checks")))
        ],
        "steps": [{**_EMPTY, **step} for step in steps[:MAX_STEPS]],
        "more": max(0, len(steps) - MAX_STEPS),
    }
    return page("trace.html.j2", context, {})


def _entry(record: Mapping[str, Any]) -> dict[str, Any]:
    columns = [mapping(c) for c in listing(record.get("columns"))]
    rows = []
    for column in columns[:_SHOWN]:
        encoded = [mapping(e) for e in listing(column.get("encoded"))]
        said = "; ".join(f"{plain(e.get('name'), 40)} {_value(e.get('value'))}" for e in encoded[:12])
        more = f"; and {len(encoded) - 12} more" if len(encoded) > 12 else ""
        note = f" ({plain(column.get('note'), 160)})" if column.get("note") else ""
        rows.append(
            (
                plain(column.get("column"), 60),
                plain(column.get("kind"), 20),
                plain(column.get("raw"), 300),
                said + more + note,
            )
        )
    parts = [
        (
            plain(part.get("part"), 60),
            plain(part.get("type"), 12),
            "×".join(str(n) for n in listing(part.get("shape"))) or "one",
            f"{number(part.get('low'))} to {number(part.get('high'))}" if part.get("low") is not None else "empty",
        )
        for part in map(mapping, listing(record.get("parts")))
    ]
    return {
        "way": "in",
        "title": "the row as it is read",
        "detail": f"{len(columns)} columns",
        "does": "Each cell becomes numbers, in the way that was fitted on training rows.",
        "tables": [
            _grid("Cells", ("column", "kind", "raw", "encoded"), rows),
            _grid("What the network reads", ("part", "type", "shape", "range"), parts),
        ],
        "more": max(0, len(columns) - _SHOWN),
    }


def _forward(layer: Mapping[str, Any]) -> dict[str, Any]:
    facts = [("shape", _shape(layer)), *_spread(layer)]
    if (silent := real(layer.get("silent"))) is not None:
        facts.append(("silent units (zero or saturated)", f"{silent:.1%}"))
    if parameters := real(layer.get("parameters")):
        facts.append(("parameters", number(parameters)))
    says = f"what {plain(layer.get('name'), 60)} gives"
    drawings = [_drawing("what it gives", _reads(layer), traced_drawing.drawn(layer.get("picture"), says))]
    if curve := traced_drawing.curve(layer.get("curve")):
        reads = "The line is what the layer makes of a value; each dot is a value of this example."
        drawings.append(_drawing("its curve", reads, curve))
    for inner in map(mapping, listing(layer.get("inside"))):
        title, reads = plain(inner.get("title"), 80), plain(inner.get("reads"), 240)
        reads += f" ({plain(inner.get('note'), 160)})" if inner.get("note") else ""
        drawings.append(_drawing(title, reads, traced_drawing.drawn(inner.get("picture"), title)))
    return {**_head("forward", layer), "facts": facts, "drawings": [d for d in drawings if d["drawing"]]}


def _backward(layer: Mapping[str, Any]) -> dict[str, Any]:
    gradient, weights = mapping(layer.get("gradient")), mapping(layer.get("weights"))
    facts = [("gradient's norm", number(gradient.get("norm"))), *_spread(gradient)]
    if weights:
        facts += [
            ("norm of its weights", number(weights.get("norm"))),
            ("norm of their gradient", number(weights.get("gradient"))),
            ("norm of the step", number(weights.get("update"))),
            ("step relative to weight", number(weights.get("ratio"), 2)),
        ]
    reads = (
        "How fast the loss would grow with each value of this layer's output: above zero, a step pushes the value "
        "down; below, up."
    )
    drawing = traced_drawing.drawn(gradient.get("picture"), f"gradient at {plain(layer.get('name'), 60)}")
    return {
        **_head("back", layer),
        "does": "The gradient of the loss arrives at what this layer gave"
        + (", and says how its weights should change." if weights else "."),
        "facts": facts,
        "drawings": [_drawing("the gradient", reads, drawing)] if drawing else [],
    }


def _output(record: Mapping[str, Any]) -> dict[str, Any]:
    output = mapping(record.get("output"))
    raw = listing(output.get("raw"))
    rows = [(f"member {n + 1}", _numbers(row)) for n, row in enumerate(raw)] if output.get("members") else []
    return {
        "way": "out",
        "title": "the answer",
        "detail": f"{output.get('members')} members" if rows else "",
        "does": "The last layer's numbers become the answer: members are averaged, and what validation rows said of "
        "the confidence is applied.",
        "facts": [] if rows else [("raw outputs", _numbers(raw))],
        "tables": [
            *([_grid("Raw outputs of each member", ("member", "raw outputs"), rows)] if rows else []),
            _grid("Answer", ("what", "value"), _pairs(mapping(output.get("prediction")))),
        ],
    }


def _loss(loss: Mapping[str, Any]) -> dict[str, Any]:
    members = [f"{v:.4g}" for v in (real(m) for m in listing(loss.get("members"))) if v is not None]
    first = " (of the first member)" if members else ""
    return {
        "way": "loss",
        "title": "the loss",
        "detail": score(loss.get("value")),
        "does": "One number for how wrong the answer is; training makes it small.",
        "facts": [
            ("formula", plain(loss.get("formula"), 240)),
            *((f"in numbers{first}", plain(step, 300)) for step in listing(loss.get("steps"))),
            *([("of each member", ", ".join(members)), ("mean", score(loss.get("value")))] if members else []),
        ],
    }


def _update(record: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    before = mapping(mapping(record.get("output")).get("prediction"))
    after = mapping(update.get("prediction_after"))
    rows = [(plain(k, 60), _value(v), _value(after.get(k))) for k, v in list(before.items())[:_SHOWN]]
    change = (real(update.get("loss_after")) or 0.0) - (real(update.get("loss_before")) or 0.0)
    clipped = update.get("clipped")
    return {
        "way": "step",
        "title": "one step of the optimiser",
        "detail": f"loss {score(update.get('loss_before'))} to {score(update.get('loss_after'))}",
        "does": "All weights move a little against their gradients; then the example is sent through again.",
        "facts": [
            ("optimiser", f"{plain(update.get('optimiser'), 30)}, rate {number(update.get('lr'))}, its memory empty"),
            (
                "norm of all gradients",
                number(update.get("gradient_norm")) + (f", clipped to {number(clipped)}" if clipped else ""),
            ),
            ("norm of the step", number(update.get("update_norm"))),
            ("change that the gradients promise", number(update.get("expected_change"))),
            ("change of the loss, recomputed", number(change)),
        ],
        "tables": [_grid("The answer before and after", ("what", "before", "after"), rows)],
    }


def _head(way: str, layer: Mapping[str, Any]) -> dict[str, Any]:
    does = plain(layer.get("does") or "", 200)
    return {
        "way": way,
        "title": plain(layer.get("kind"), 40),
        "detail": plain(layer.get("name"), 60),
        "does": does[:1].upper() + does[1:] + ("." if does else ""),
    }


def _grid(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {"title": title, "heads": heads, "rows": rows}


def _drawing(title: str, reads: str, drawing: str) -> dict[str, Any]:
    return {"title": title, "reads": reads, "drawing": Markup(drawing)}  # built here from numbers and escaped words


def _reads(layer: Mapping[str, Any]) -> str:
    kind = mapping(layer.get("picture")).get("kind")
    if kind == "strip":
        return "Positions (or members) run from left to right, values from top to bottom."
    if kind == "maps":
        return "One picture a map: dark is where it answers strongly."
    return "One bar a value."


def _shape(layer: Mapping[str, Any]) -> str:
    return "×".join(str(n) for n in listing(layer.get("shape"))) or "one"


def _spread(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("mean", number(record.get("mean"))),
        ("spread", number(record.get("spread"))),
        ("range", f"{number(record.get('low'))} to {number(record.get('high'))}"),
    ]


def _pairs(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(plain(name, 60), _value(value)) for name, value in list(answer.items())[:_SHOWN]]


def _numbers(values: Sequence[Any]) -> str:
    shown = ", ".join(number(v) for v in values[:12])
    return shown + (f", and {len(values) - 12} more" if len(values) > 12 else "")


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return _numbers(value) if all(real(v) is not None for v in value) else plain(", ".join(map(str, value)), 200)
    return number(value) if real(value) is not None else plain(value, 300)
