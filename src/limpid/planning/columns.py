"""What each column is and whether the model reads it: kinds with evidence, the user's word above all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import polars as pl

from limpid.core.contracts import Size
from limpid.core.errors import DataError, RequestError, raise_together
from limpid.core.names import unknown_column
from limpid.core.schema import ColumnFacts, ColumnSpec, Recognition
from limpid.core.spec import parse
from limpid.data.facts import column_facts
from limpid.data.kinds import recognise_all
from limpid.modalities import CATALOGUE
from limpid.planning.needs import Given, net_asked, with_needs, within_limits


@cache
def recognisers() -> dict[str, Callable[[ColumnFacts], Recognition | None]]:
    """Kind -> its recogniser, in the catalogue's order."""
    return {e.name: CATALOGUE.load(e.name, where="data.columns").recognise for e in CATALOGUE}


@dataclass(frozen=True)
class Columns:
    """The columns of a table as decided.

    Args:
        specs: column -> what it is.
        facts: column -> what was counted.
        because: dotted path -> reason.
    """

    specs: dict[str, ColumnSpec]
    facts: dict[str, ColumnFacts]
    because: dict[str, str]


def decide_columns(
    frame: pl.DataFrame,
    asked: Mapping[str, Any],
    *,
    total_rows: int,
    keep: Sequence[str],
    drop: Sequence[str],
    cells: Mapping[str, pl.Series] | None = None,
) -> Columns:
    """Recognise every column, lay the user's word on it, and leave out what no model should read.

    Args:
        frame: rows to look at.
        asked: column -> kind or mapping, from `--set data.columns...`.
        total_rows: rows of the whole table, of which `frame` may be a sample.
        keep: columns that have a role of their own (target, weight, group, time) and are not left out here.
        drop: kinds that are left out ("constant", "key").
        cells: of columns that hold whole files, some of these.

    Raises:
        RequestError: the user's word names a column that is not there, or a kind that does not exist.
        DataError: no column is left to learn from.
    """
    _check_asked(asked, frame.columns)
    specs: dict[str, ColumnSpec] = {}
    because: dict[str, str] = {}
    files = cells or {}
    facts = {name: column_facts(files.get(name, frame[name]), total_rows=total_rows) for name in frame.columns}
    claims = recognise_all(list(facts.values()), recognisers(), targets=keep)
    for name, (kind, found) in claims.items():
        word = _word(asked.get(name), name)
        specs[name] = spec = _lay(word, kind, found, facts[name])
        path = f"data.columns.{name}"
        because[path] = "as asked" if word.get("kind") else "; ".join([found.because, *facts[name].notes])
        if spec.missing:
            counts = ", ".join(f"{c} ({facts[name].missing_codes.get(c, 0):,} times)" for c in spec.missing)
            because[f"{path}.missing"] = "as asked" if "missing" in word else f"stands for a missing value: {counts}"
        if spec.kind in drop and not word.get("kind") and "use" not in word and name not in keep:
            specs[name] = spec.with_(use=False)
            because[f"{path}.use"] = {
                "constant": "one value everywhere teaches nothing",
                "key": "it names the row; a model would learn it by heart and fail on new rows",
            }.get(spec.kind, f"{spec.kind} columns are left out")
    return Columns(specs, facts, because)


def _check_asked(asked: Mapping[str, Any], names: Sequence[str]) -> None:
    problems = [unknown_column(name, names, where=f"data.columns.{name}") for name in asked if name not in names]
    raise_together(problems)


def _word(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    word = {"kind": value} if isinstance(value, str) else value
    if not isinstance(word, Mapping) or not isinstance(word.get("options") or {}, Mapping):
        raise RequestError(
            f"data.columns.{name} cannot be {value!r}",
            where=f"data.columns.{name}",
            expected="a kind, or a mapping with kind, missing, use, options",
            fix=f"for example --set data.columns.{name}=category",
        )
    if "kind" in word:
        CATALOGUE.load(str(word["kind"]), where=f"data.columns.{name}.kind")
    return dict(word)


def _lay(word: Mapping[str, Any], kind: str, found: Recognition, facts: ColumnFacts) -> ColumnSpec:
    chosen = str(word.get("kind") or kind)
    if chosen == kind:
        options = dict(found.options)
    else:
        # The user's kind: its own recogniser may still know the date format or the separator.
        claim = recognisers()[chosen](facts)
        options = dict(claim.options) if claim is not None else {}
    if chosen == "labels" and "separator" not in options and facts.dtype == "text":
        options["separator"] = _separator(facts)
    values: dict[str, Any] = {"kind": chosen, "missing": tuple(facts.missing_codes), **word}
    values["kind"] = chosen
    values["options"] = {**options, **dict(word.get("options") or {})}
    if isinstance(values["missing"], str):
        values["missing"] = (values["missing"],)
    if not isinstance(values["missing"], (list, tuple)):
        raise RequestError(
            f"data.columns.{facts.name}.missing cannot be {str(values['missing'])[:100]!r}",
            where=f"data.columns.{facts.name}.missing",
            expected="a list of texts that stand for a missing value",
            fix=f"for example --set data.columns.{facts.name}.missing='[\"-999\"]'",
        )
    values["missing"] = tuple(str(m) for m in values["missing"])
    return parse(ColumnSpec, values, where=f"data.columns.{facts.name}")


def _separator(facts: ColumnFacts) -> str:
    """The mark that most of the frequent values hold, where the user says that a column holds sets."""
    return max("|;,", key=lambda mark: sum(count for value, count in facts.top if mark in value))


def plan_options(
    columns: Columns, facts: Mapping[str, ColumnFacts], size: Size, nets: Any = None, needs: Given | None = None
) -> tuple[dict[str, ColumnSpec], dict[str, str]]:
    """Decide every `auto` of the modalities from the facts of training rows.

    Args:
        columns: the columns as decided so far.
        facts: column -> what was counted in training rows.
        size: how much there is to learn from.
        nets: what the user asked of nets, as it stands in the settings.
        needs: what these nets need of their columns.

    Returns:
        the columns with their options filled in, and the reasons by dotted path.
    """
    specs = dict(columns.specs)
    because: dict[str, str] = {}
    for name, spec in columns.specs.items():
        modality = CATALOGUE.load(spec.kind, where=f"data.columns.{name}.kind")
        if not spec.use or modality.form is None or name not in facts:
            continue
        where = f"data.columns.{name}.options"
        own = replace(size, net=net_asked(nets, name, columns.specs).get("name"))
        need = (needs or {}).get(name)
        asked, given = (spec, {}) if need is None else with_needs(spec, need)
        planned, reasons = modality.plan(parse(modality.Spec, asked.options, where=where), facts[name], own)
        specs[name] = spec.with_(options=planned.model_dump(mode="json"))
        if need is not None:
            specs[name], limits = within_limits(specs[name], asked, need)
            reasons = {**given, **reasons, **limits}
        because.update({f"{where}.{field}": reason for field, reason in reasons.items()})
    return specs, because


def check_any(specs: Mapping[str, ColumnSpec], source: str) -> None:
    """Refuse a table of which nothing is left to learn from.

    Raises:
        DataError: no column is used.
    """
    if any(spec.use for spec in specs.values()):
        return
    left_out = ", ".join(f"{name} ({spec.kind})" for name, spec in list(specs.items())[:8])
    raise DataError(
        "no column is left to learn from",
        where=source,
        expected="at least one column besides the target that is neither constant nor a key",
        fix=f"left out were: {left_out or 'none, there is only the target'}; "
        "use one all the same with --set data.columns.NAME=category",
    )
