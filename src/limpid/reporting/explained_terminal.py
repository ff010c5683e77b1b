"""What `limpid explain` prints: each method with its verdict, the parts that did most; or the model on the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from limpid.reporting.prototypes import prototypes_printed
from limpid.reporting.surface import surface_printed
from limpid.reporting.terminal import table_of
from limpid.reporting.wording import listing, mapping, number, plain, real, score
from limpid.reporting.wording import turned as how_turned

_SHOWN = 15


def explained(record: Mapping[str, Any]) -> RenderableType:
    """Tables of one explanation.

    Args:
        record: of `limpid.explain(...)`.
    """
    return _answer(record) if "methods" in record else _whole(record)


def _answer(record: Mapping[str, Any]) -> RenderableType:
    name = plain(record.get("name") or f"row {record.get('row')}", 80)
    parts: list[RenderableType] = [
        Text(f"{name} of {plain(record.get('data'), 80)}", style="bold"),
        Text(f"answer: {_said(record.get('answer'))}; true value: {plain(record.get('truth') or 'not given', 60)}"),
        Text(f"explained is {plain(record.get('asked'), 200)} ({number(record.get('evidence'))})"),
        Text(f"nothing there means: {plain(record.get('baseline'), 300)}"),
        Text(),
    ]
    methods = [mapping(m) for m in listing(record.get("methods"))]
    table = table_of("method", "believe it?", "why")
    for method in methods:
        trusted = bool(method.get("trusted"))
        mark = Text("yes" if trusted else "NO", style="green" if trusted else "bold red")
        table.add_row(Text(plain(method.get("method"), 40)), mark, Text(plain(method.get("says"), 400)))
    parts.append(table)
    if methods:
        parts += [
            Text(),
            Text(f"parts that did most, by {plain(methods[0].get('method'), 40)}", style="bold underline"),
        ]
        parts.append(_parts(listing(record.get("units")), methods))
    if turned := mapping(record.get("turned_by")):
        changes = "; ".join(
            f"{plain(c.get('column'), 40)} from {plain(c.get('from'), 40)} to {plain(c.get('to'), 40)}"
            for c in map(mapping, listing(turned.get("changes")))
        )
        said = f"{plain(turned.get('after'), 40)} ({how_turned(turned)})"
        parts += [Text(), Text(f"it would be {said} with {changes}")]
    if near := listing(record.get("neighbours")):
        said = ", ".join(
            f"{n.get('row')} ({plain(n.get('truth'), 30) if n.get('truth') is not None else 'no target'}, "
            f"{number(n.get('distance'), 2)})"
            for n in map(mapping, near)
        )
        parts += [Text(), Text(f"rows that look most alike to the network (true value, distance; 1 is usual): {said}")]
    parts += [Text(f"note: {plain(note, 300)}") for note in listing(record.get("notes"))]
    return Group(*parts)


def _parts(units: Any, methods: list[Mapping[str, Any]]) -> Table:
    heads = ["part", "value", *(plain(method.get("method"), 24) for method in methods)]
    table = table_of(*heads, right=range(2, len(heads)))
    first = [real(v) or 0.0 for v in listing(methods[0].get("units"))]
    for place in sorted(range(len(first)), key=lambda n: -abs(first[n]))[:_SHOWN]:
        unit = mapping(units[place])
        value = "" if unit.get("kind") == "word" else plain(unit.get("value"), 40)
        row = [_signed(listing(m.get("units"))[place]) for m in methods]
        table.add_row(Text(plain(unit.get("name"), 40)), Text(value), *row)
    return table


def _whole(record: Mapping[str, Any]) -> RenderableType:
    parts: list[RenderableType] = [
        Text(f"{plain(record.get('data'), 80)}, {number(record.get('rows'))} rows", style="bold"),
        Text(f"how much worse {plain(record.get('metric'), 40)} gets with a column shuffled"),
        Text(f"it is {score(record.get('score'))} with all as they are"),
    ]
    table = table_of("column", "worse by", "95 % interval", right=(1, 2))
    for entry in map(mapping, listing(record.get("importance"))[: 2 * _SHOWN]):
        span = f"{number(entry.get('low'), 3)} to {number(entry.get('high'), 3)}"
        table.add_row(Text(plain(entry.get("column"), 60)), number(entry.get("loss")), span)
    parts.append(table)
    for pair in map(mapping, listing(record.get("pairs"))):
        one, two = (plain(c, 40) for c in listing(pair.get("columns")))
        parts.append(
            Text(f"{one} with {two}: {number(pair.get('strength'), 2)} of their joint effect is interaction (H)")
        )
    parts.append(surface_printed(mapping(record.get("surface"))))
    parts.append(prototypes_printed(mapping(record.get("prototypes"))))
    return Group(*parts)


def _signed(value: object) -> str:
    found = real(value)
    return "" if found is None else f"{found:+.3g}"


def _said(answer: object) -> str:
    pairs = list(mapping(answer).items())[:6]
    return ", ".join(f"{plain(k, 40)} {number(v) if real(v) is not None else plain(v, 60)}" for k, v in pairs)
