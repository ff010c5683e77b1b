"""Writes docs/settings.md from the specs, so that the page cannot say anything else than the code.

`python docs/generate.py` writes it; a test compares it with `render()`.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from limpid.core.catalogue import Catalogue
from limpid.core.schema import ColumnSpec
from limpid.core.spec import Spec
from limpid.planning.plan import DataSpec, EvaluateSpec, SplitSpec, TrainSpec

PAGE = Path(__file__).resolve().parent / "settings.md"
HEAD = """\
# Settings

Every field of a plan. `--set PATH=VALUE` sets one (`--set train.lr=0.01`), `--recipe FILE` a file of them, and in
Python `set={"train.lr": 0.01}`. Where the default is `auto`, limpid decides after it has looked at the training rows
and writes the value with its reason into `plan.yaml`; `limpid plan DATA` shows it without training.

This page is made from the code by `make docs`.
"""
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    parts += _section("data", "Which data, and which of their columns", DataSpec)
    parts += _section("data.columns.NAME", "What one column is", ColumnSpec)
    parts += _catalogue("modalities", "data.columns.NAME.options", "for columns of the kind")
    parts += _section("split", "How rows are divided", SplitSpec)
    parts += _catalogue("tasks", "task", "for the task")
    parts += _catalogue("nets", "net", "for the net")
    parts.append("The nets of further input columns are set by `net.COLUMN=NAME`, and theirs are the same settings.\n")
    parts += _section("train", "How the network is trained", TrainSpec)
    parts += _section("evaluate", "How the model is judged", EvaluateSpec)
    return "\n".join(parts).rstrip("\n") + "\n"


def _catalogue(package: str, path: str, words: str) -> Iterator[str]:
    catalogue: Catalogue = import_module(f"limpid.{package}").CATALOGUE
    for entry in catalogue:
        member: Any = catalogue.load(entry.name, where="docs")
        yield from _section(path, f"{words} `{entry.name}`: {entry.sentence}", member.Spec)


def _section(path: str, title: str, spec: type[Spec]) -> Iterator[str]:
    yield f"## `{path}`: {title}\n" if not title.startswith("for ") else f"### `{path}` {title}\n"
    if not spec.model_fields:
        yield "No settings.\n"
        return
    yield "| field | values | default | meaning |\n|---|---|---|---|"
    for name, field in spec.model_fields.items():
        default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
        bounds = " and ".join(_bounds(field.metadata))
        values = " ".join([", ".join(dict.fromkeys(_values(field.annotation))), bounds]).rstrip()
        cells = (f"`{name}`", values, default, field.description or "")
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _values(kind: Any) -> Iterator[str]:
    """What a field may hold, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        bounds = _bounds(inner[1:])
        yield " ".join([*_values(inner[0]), " and ".join(bounds)]).rstrip()
    elif origin is Literal:
        yield from (f"`{v}`" for v in inner)
    elif origin in (Union, types.UnionType):
        for one in inner:
            yield from _values(one)
    elif origin in (tuple, list):
        yield "list of " + " or ".join(_values(inner[0]))
    elif origin is dict:
        yield "mapping"
    else:
        yield WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _bounds(metadata: Any) -> list[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = []
    for item in metadata:
        for part in getattr(item, "metadata", None) or [item]:
            for name, sign in signs.items():
                bound = getattr(part, name, None)
                if bound is not None:
                    found.append(f"{sign} {bound:,}" if isinstance(bound, int) else f"{sign} {bound:g}")
    return found


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, float):
        return f"`{value:.4g}`"
    if isinstance(value, (tuple, list)):
        return f"`{', '.join(map(str, value))}`" if value else "empty"
    if isinstance(value, dict):
        return "empty" if not value else f"`{value}`"
    return f"`{value}`" if value != "" else "empty"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)
