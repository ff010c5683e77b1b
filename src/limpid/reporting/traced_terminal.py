"""What `limpid trace` prints: the columns, the layers forward, the loss in numbers, the layers back, the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from limpid.reporting.terminal import blocks, table_of
from limpid.reporting.wording import listing, mapping, number, plain, real, score

_MOST_COLUMNS, _MOST_LAYERS = 40, 80


def traced(record: Mapping[str, Any]) -> RenderableType:
    """The tables of one trace.

    Args:
        record: of `limpid.trace(...)`.
    """
    name = plain(record.get("name") or f"row {record.get('row')}", 80)
    parts: list[RenderableType] = [
        Text(f"{name} of {plain(record.get('data'), 80)}, net {plain(record.get('net'), 40)}", style="bold"),
        _heading("1. the row, and what becomes of it"),
        _columns(record),
        _heading("2. forward"),
        _layers(record),
        _heading("3. the answer"),
        _answer(record),
    ]
    if loss := mapping(record.get("loss")):
        parts += [_heading("4. the loss, in numbers"), Text(plain(loss.get("formula"), 300))]
        parts += [Text("  " + plain(step, 300)) for step in listing(loss.get("steps"))]
        if members := listing(loss.get("members")):
            parts.append(
                Text(f"  that is the first of {len(members)} members; their mean is {score(loss.get('value'))}")
            )
        parts += [_heading("5. back"), _back(record), _heading("6. one step of the optimiser"), _step(record)]
        for check in map(mapping, listing(record.get("checks"))):
            mark, style = ("ok", "green") if check.get("ok") else ("NOT", "bold red")
            said = f"{mark}  {plain(check.get('what'), 120)}: differ by {number(check.get('difference'), 2)}"
            parts.append(Text(said, style=style))
    parts += [Text(f"note: {plain(note, 300)}") for note in listing(record.get("notes"))]
    return Group(*parts)


def _heading(text: str) -> RenderableType:
    return Group(Text(), Text(text, style="bold underline"))


def _columns(record: Mapping[str, Any]) -> RenderableType:
    table = table_of("column", "kind", "raw", "encoded")
    columns = [mapping(c) for c in listing(record.get("columns"))]
    for column in columns[:_MOST_COLUMNS]:
        encoded = [mapping(e) for e in listing(column.get("encoded"))]
        pairs = [(plain(e.get("name"), 30), e.get("value")) for e in encoded[:6]]
        said = "; ".join(f"{name} {number(v) if real(v) is not None else plain(v, 80)}" for name, v in pairs)
        said += f"; and {len(encoded) - 6} more" if len(encoded) > 6 else ""
        note = f" ({plain(column.get('note'), 120)})" if column.get("note") else ""
        cells = (
            plain(column.get("column"), 40),
            plain(column.get("kind"), 12),
            plain(column.get("raw"), 80),
            said + note,
        )
        table.add_row(*map(Text, cells))
    more = len(columns) - _MOST_COLUMNS
    return Group(table, Text(f"and {more} more columns")) if more > 0 else table


def _layers(record: Mapping[str, Any]) -> RenderableType:
    table = table_of("layer", "kind", "shape", "mean", "spread", "silent", "values", right=(3, 4, 5))
    layers = [mapping(layer) for layer in listing(record.get("layers"))]
    for layer in layers[:_MOST_LAYERS]:
        silent = real(layer.get("silent"))
        picture = mapping(layer.get("picture"))
        shape = "×".join(str(n) for n in listing(layer.get("shape"))) or "one"
        drawn = (
            blocks([abs(real(v) or 0.0) for v in listing(picture.get("values"))])
            if picture.get("kind") == "bars"
            else ""
        )
        table.add_row(
            Text(plain(layer.get("name"), 44)),
            Text(plain(layer.get("kind"), 28)),
            shape,
            number(layer.get("mean"), 3),
            number(layer.get("spread"), 3),
            "" if silent is None else f"{silent:.0%}",
            Text(drawn),
        )
    more = len(layers) - _MOST_LAYERS
    return Group(table, Text(f"and {more} more layers")) if more > 0 else table


def _answer(record: Mapping[str, Any]) -> RenderableType:
    output = mapping(record.get("output"))
    table = table_of("what", "value")
    for name, value in list(mapping(output.get("prediction")).items())[:30]:
        table.add_row(Text(plain(name, 60)), Text(number(value) if real(value) is not None else plain(value, 120)))
    if output.get("truth") is not None:
        table.add_row("true value", Text(plain(output.get("truth"), 80)))
    return table


def _back(record: Mapping[str, Any]) -> RenderableType:
    table = table_of("layer", "gradient", "weights", "their gradient", "step", "step / weight", right=(1, 2, 3, 4, 5))
    layers = [mapping(layer) for layer in listing(record.get("layers")) if mapping(layer).get("gradient")]
    for layer in layers[::-1][:_MOST_LAYERS]:
        weights = mapping(layer.get("weights"))
        cells = [number(weights.get(key), 3) if weights else "" for key in ("norm", "gradient", "update", "ratio")]
        table.add_row(Text(plain(layer.get("name"), 44)), number(mapping(layer.get("gradient")).get("norm"), 3), *cells)
    return table


def _step(record: Mapping[str, Any]) -> RenderableType:
    update = mapping(record.get("update"))
    before, after = real(update.get("loss_before")) or 0.0, real(update.get("loss_after")) or 0.0
    said = (
        f"{plain(update.get('optimiser'), 30)}, rate {number(update.get('lr'))}: "
        f"loss {score(before)} to {score(after)} "
        f"(change {number(after - before)}; the gradients promised {number(update.get('expected_change'))})"
    )
    answers = mapping(mapping(record.get("output")).get("prediction")), mapping(update.get("prediction_after"))
    table = table_of("answer", "before", "after")
    for name, value in list(answers[0].items())[:12]:
        cells = [number(v) if real(v) is not None else plain(v, 60) for v in (value, answers[1].get(name))]
        table.add_row(Text(plain(name, 40)), *map(Text, cells))
    return Group(Text(said), table)
