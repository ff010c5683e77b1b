"""Rows that stand for a class, and rows that stand apart, for the page and the terminal of `limpid explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from limpid.reporting.shown import shown
from limpid.reporting.terminal import table_of
from limpid.reporting.wording import listing, mapping, number, percent, plain

MAX_GROUPS, MAX_ROWS, MAX_CELLS = 24, 12, 6


def prototypes(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page needs; None where there is nothing.

    Args:
        record: of `limpid.explanation.prototypes.standing_for`.
    """
    groups = [mapping(g) for g in listing(record.get("groups"))[:MAX_GROUPS]]
    if not groups:
        return None
    return {
        "rows": number(record.get("rows")),
        "near": number(record.get("near")),
        "wrong": plain(record.get("wrong"), 60),
        "more": number(record.get("more_groups")) if record.get("more_groups") else "",
        "groups": [
            {
                "name": plain(g.get("group"), 60),
                "rows": number(g.get("rows")),
                "entries": [_entry(r) | {"why": _stands(r)} for r in _rows(g.get("prototypes"))],
            }
            for g in groups
        ],
        "outliers": [_entry(r) | {"why": _apart(r)} for r in _rows(record.get("outliers"))],
        "strangers": [_entry(r) | {"why": _among(r)} for r in _rows(record.get("strangers"))],
    }


def prototypes_printed(record: Mapping[str, Any]) -> RenderableType:
    """Tables of the same for the terminal."""
    groups = [mapping(g) for g in listing(record.get("groups"))[:MAX_GROUPS]]
    if not groups:
        return Group()
    table = table_of("stands for", "row", "true value", "answer", "near to it", "what it is")
    for group in groups:
        title = f"{plain(group.get('group'), 30)} ({number(group.get('rows'))} rows)"
        for n, row in enumerate(_rows(group.get("prototypes"))):
            table.add_row(Text("" if n else title), *_cells(row), number(row.get("stands_for")), Text(_what(row)))
    parts: list[RenderableType] = [Text(), Text("rows that stand for the others", style="bold underline"), table]
    odd = [*((r, _apart(r)) for r in _rows(record.get("outliers")))]
    odd += [(r, _among(r)) for r in _rows(record.get("strangers"))]
    if odd:
        apart = table_of("row", "true value", "answer", "why", "what it is")
        for row, why in odd:
            apart.add_row(*_cells(row), Text(why), Text(_what(row)))
        parts += [Text(), Text("rows that stand apart", style="bold underline"), apart]
    return Group(*parts)


def _rows(record: Any) -> Sequence[Mapping[str, Any]]:
    return [mapping(r) for r in listing(record)[:MAX_ROWS]]


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    name = plain(row.get("name") or f"row {plain(row.get('row'), 20)}", 80)
    seen = shown(
        {
            "pictures": [{"title": name, "png": row["png"]}] if row.get("png") else [],
            "lines": [{"title": name, "values": row["line"]}] if row.get("line") else [],
        }
    )
    pictured = bool(seen["pictures"] or seen["lines"])
    cells = list(mapping(row.get("cells")).items())[:MAX_CELLS]
    return {
        "name": name,
        "truth": plain(row.get("truth"), 80),
        "answer": plain(row.get("answer"), 80),
        "wrong": bool(row.get("wrong")),
        "picture": next(iter(seen["pictures"]), None),
        "line": next(iter(seen["lines"]), None),
        # Of a picture or a series the cell only says how large it is.
        "cells": [] if pictured and len(cells) == 1 else [(plain(k, 40), plain(v, 240)) for k, v in cells],
    }


def _stands(row: Mapping[str, Any]) -> str:
    return f"nearest to {number(row.get('stands_for'))} of them"


def _apart(row: Mapping[str, Any]) -> str:
    group = plain(row.get("group"), 40)
    return f"{number(row.get('distance'), 2)} times as far as usual from every prototype of {group}"


def _among(row: Mapping[str, Any]) -> str:
    share, group = percent(row.get("others")), plain(row.get("group"), 40)
    return f"{share} of its neighbours are not {group}, most of all {plain(row.get('most'), 40)}"


def _cells(row: Mapping[str, Any]) -> tuple[Text, Text, Text]:
    name = plain(row.get("name") or row.get("row"), 40)
    return Text(name), Text(plain(row.get("truth"), 30)), Text(plain(row.get("answer"), 30))


def _what(row: Mapping[str, Any]) -> str:
    if row.get("png"):
        return "a picture (see --html)"
    if row.get("line"):
        return "a series (see --html)"
    return plain("; ".join(f"{k} {v}" for k, v in list(mapping(row.get("cells")).items())[:3]), 90)
