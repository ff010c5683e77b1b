"""What is known once the data were looked at: kinds, target, task, parts, profile, fitted encoders.

The order is the guarantee: kinds come from the training file, everything that is fitted or decided afterwards from
training rows alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from limpid.core.contracts import Size, Task
from limpid.core.errors import DataError, RequestError
from limpid.core.names import unknown_column
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.core.seeds import generator
from limpid.core.spec import parse
from limpid.data.facts import column_facts
from limpid.data.split import SplitSpec
from limpid.data.table import Table
from limpid.planning.columns import Columns, check_any, decide_columns, plan_options
from limpid.planning.encoders import Encoders
from limpid.planning.needs import needs_of
from limpid.planning.parts import (
    FIT_CELLS,
    Part,
    cells,
    check_weights,
    classes_beside,
    divide,
    look,
    row_bytes,
    with_known_classes,
    with_target,
    without_copies,
)
from limpid.planning.plan import DataSpec
from limpid.planning.settings import merge
from limpid.planning.start import Starts
from limpid.planning.target import check_numbers, choose_task, no_target, resolve_names, target_kind
from limpid.tasks import CATALOGUE as TASKS

FIT_ROWS = 500_000
_FIT_ROWS_LEAST = 20_000
_FIT_CELLS = 5_000_000
_FIT_BYTES = 512 << 20


@dataclass
class Draft:
    """Everything that was decided before nets and training."""

    seed: int
    data: DataSpec
    split: SplitSpec
    task: Task
    columns: Columns
    parts: dict[str, Part]
    encoders: Encoders
    facts: dict[str, ColumnFacts]
    because: dict[str, str]
    repairs: Repairs
    sample: pl.DataFrame = field(repr=False)

    @property
    def inputs(self) -> list[str]:
        """Columns that the model reads."""
        return list(self.encoders.columns)


def decide_data(
    tables: Mapping[str, Table],
    settings: Mapping[str, Any],
    *,
    target: str | Sequence[str] | None,
    task: str | None,
    seed: int,
    source: Mapping[str, str],
    seconds: float | None = None,
    starts: Starts | None = None,
) -> Draft:
    """From tables and settings to a draft.

    Args:
        tables: "train", and "valid" and "test" where files were given for them.
        settings: the user's settings tree.
        target: target columns asked for.
        task: the task asked for.
        seed: of the split.
        source: how each table was named by the user, for the plan.
        seconds: time for the training under a budget, roughly, or None.
        starts: the models that nets start from.

    Raises:
        LimpidError: the request or the data are wrong; see the parts.
    """
    train = tables["train"]
    starts = starts or Starts()
    repairs = Repairs()
    for table in tables.values():
        repairs.merge(table.repairs)
    if train.rows == 0:
        raise _no_rows(train.name)
    because: dict[str, str] = {}
    data = data_spec(settings, source)
    split_spec = parse(SplitSpec, settings.get("split") or {}, where="split")

    frame = look(train)
    for field_name, name in (
        ("data.weight", data.weight),
        ("split.group", split_spec.group),
        ("split.time", split_spec.time),
    ):
        if name is not None and name not in frame.columns:
            raise unknown_column(name, frame.columns, where=field_name)
    targets = resolve_names(target if target is not None else list(data.target) or None, frame.columns)
    roles = {"data.weight": data.weight, "split.group": split_spec.group, "split.time": split_spec.time}
    _check_roles(roles, targets)
    keep = [n for n in (*targets, *roles.values()) if n is not None]
    asked = dict((settings.get("data") or {}).get("columns") or {})
    columns = decide_columns(
        frame,
        starts.ask(asked, frame.columns),
        total_rows=train.rows,
        keep=keep,
        drop=data.drop,
        cells=cells(train),
    )
    because.update(columns.because)
    if not targets:
        raise no_target(data.source, columns.facts, {n: s.kind for n, s in columns.specs.items()})
    asked_task = task or (settings.get("task") or {}).get("name")
    task_name, reason = choose_task(asked_task, targets, columns.specs, columns.facts)
    because["task.name"] = reason
    specs = dict(columns.specs)
    for name in targets:
        specs[name] = target_kind(task_name, name, specs[name], columns.facts[name]).with_(use=False)
        because[f"data.columns.{name}.use"] = "it is the target"
    _set_aside(specs, because, data.weight, "it holds the sample weights")
    _set_aside(
        specs, because, split_spec.group, "rows that share it stay together; new groups would be unknown to the model"
    )
    taken_roles = {data.weight: "the column of weights", split_spec.group: "the column of groups"}
    roles_of = {name: role for name, role in taken_roles.items() if name is not None}
    specs = starts.lay(specs, asked, {**dict.fromkeys(targets, "the target"), **roles_of}, because)
    check_any(specs, train.name)

    whole = {
        name: with_target(name, table, targets, specs, task_name, data.weight, repairs)
        for name, table in tables.items()
    }
    split_spec, parts = divide(whole, specs, columns.facts, split_spec, task_name, targets, seed, because)
    del whole
    if data.duplicates == "drop":
        parts["train"] = without_copies(parts["train"], specs, repairs)
    for part in parts.values():
        check_weights(part)
    if task_name == "regression":
        check_numbers(parts["train"].target, parts["train"].rows, train.name)

    sample = _sample(parts["train"], specs, because)
    files = cells(parts["train"].table, parts["train"].rows, FIT_CELLS)
    one_class = task_name == "classification" and len(targets) == 1
    facts = {
        name: column_facts(
            files.get(name, sample[name]),
            total_rows=len(parts["train"].rows),
            classes=classes_beside(parts["train"], files[name]) if name in files and one_class else None,
        )
        for name in sample.columns
    }
    specs = starts.keep(_drop_constant(specs, facts, data, because), because)
    check_any(specs, train.name)
    fitted_task = _plan_task(task_name, settings, parts["train"], targets, facts, specs, because)
    if task_name == "classification":
        parts = {name: with_known_classes(part, fitted_task, repairs) for name, part in parts.items()}
    size = Size(rows=len(parts["train"].rows), outputs=fitted_task.outputs, task=task_name, seconds=seconds)
    nets = {**(settings.get("net") or {}), **{k: v for k, v in (settings.get("nets") or {}).items() if k != "name"}}
    needs = needs_of(nets, {name: spec for name, spec in specs.items() if name not in starts.columns})
    specs, reasons = plan_options(Columns(specs, columns.facts, {}), facts, size, nets, needs)
    because.update(reasons)
    use_asked = [n for n, value in asked.items() if isinstance(value, Mapping) and "use" in value]
    specs = _select(data, specs, facts, sample, parts["train"], fitted_task, seed, because, use_asked)
    specs = starts.keep(specs, because)
    data = data.with_(target=tuple(targets), columns=specs)
    return Draft(
        seed=seed,
        data=data,
        split=split_spec,
        task=fitted_task,
        columns=Columns(specs, columns.facts, columns.because),
        parts=parts,
        encoders=Encoders.fit(specs, sample, files, starts.encoders, {n: need.fit for n, need in needs.items()}),
        facts=facts,
        because=because,
        repairs=repairs,
        sample=sample,
    )


def data_spec(settings: Mapping[str, Any], source: Mapping[str, str]) -> DataSpec:
    """The data section as the user asked for it, without the columns."""
    values = {k: v for k, v in dict(settings.get("data") or {}).items() if k not in ("columns", "target")}
    given = (settings.get("data") or {}).get("target") or ()
    values["target"] = (given,) if isinstance(given, str) else tuple(given)
    return parse(DataSpec, merge(values, dict(source)), where="data")


def _set_aside(specs: dict[str, ColumnSpec], because: dict[str, str], name: str | None, reason: str) -> None:
    if name is not None:
        specs[name] = specs[name].with_(use=False)
        because[f"data.columns.{name}.use"] = reason


def _check_roles(roles: Mapping[str, str | None], targets: Sequence[str]) -> None:
    for field_name, name in roles.items():
        if name in targets:
            raise RequestError(
                f"{name!r} is the target and cannot be {field_name} too",
                where=field_name,
                expected="another column than the target",
                fix=f"leave {field_name} out, or name another column",
            )


def _sample(train: Part, specs: Mapping[str, ColumnSpec], because: dict[str, str]) -> pl.DataFrame:
    """Training rows that profile and encoders are fitted on: all of them, or a seeded sample of bounded size."""
    rows = train.rows
    most = max(_FIT_ROWS_LEAST, min(FIT_ROWS, _FIT_CELLS // max(len(specs), 1)))
    most = min(most, int(_FIT_BYTES / row_bytes(train.table, list(specs))))
    if len(rows) > most:
        rows = np.sort(generator(0, "fit rows").choice(rows, most, replace=False))
        because["data.fitted_on"] = f"encoders and profile look at {most:,} of {len(train.rows):,} training rows"
    return train.table.look(list(specs), rows=rows)


def _drop_constant(
    specs: Mapping[str, ColumnSpec], facts: Mapping[str, ColumnFacts], data: DataSpec, because: dict[str, str]
) -> dict[str, ColumnSpec]:
    """A column may vary in the file and yet be constant in the training rows."""
    result = dict(specs)
    if "constant" not in data.drop:
        return result
    for name, spec in specs.items():
        fact = facts[name]
        if spec.use and fact.distinct <= 1 and (fact.missing == 0 or fact.distinct == 0):
            result[name] = spec.with_(use=False)
            because[f"data.columns.{name}.use"] = "one value in all training rows teaches nothing"
    return result


def _select(
    data: DataSpec,
    specs: dict[str, ColumnSpec],
    facts: Mapping[str, ColumnFacts],
    sample: pl.DataFrame,
    train: Part,
    task: Task,
    seed: int,
    because: dict[str, str],
    asked: Collection[str],
) -> dict[str, ColumnSpec]:
    """Leave out silent texts, and redundant and useless columns where the user asked for it."""
    from limpid.planning.select import redundant, silent, useless

    result = dict(specs)
    found: dict[str, str] = {}
    if "redundant" in data.drop:
        found.update(redundant(sample, result, facts))
        result = {n: s.with_(use=False) if n in found else s for n, s in result.items()}
    target = train.target if sample.height == train.target.height else None
    if target is not None:
        if "silent" in data.drop:
            free = {n: s for n, s in result.items() if s.kind != "text" or n not in asked}
            found.update(silent(sample, target, free, task, seed))
            result = {n: s.with_(use=False) if n in found else s for n, s in result.items()}
        if "useless" in data.drop:
            found.update(useless(sample, target, {n: s for n, s in result.items() if s.use}, task, seed))
            result = {n: s.with_(use=False) if n in found else s for n, s in result.items()}
    because.update({f"data.columns.{name}.use": reason for name, reason in found.items()})
    return result


def _plan_task(
    name: str,
    settings: Mapping[str, Any],
    train: Part,
    targets: Sequence[str],
    facts: Mapping[str, ColumnFacts],
    specs: Mapping[str, ColumnSpec],
    because: dict[str, str],
) -> Task:
    kind = TASKS.load(name, where="task")
    given = {k: v for k, v in dict(settings.get("task") or {}).items() if k != "name"}
    separator = specs[targets[0]].options.get("separator")
    if separator and "separator" in kind.Spec.model_fields:
        given.setdefault("separator", separator)
    spec = parse(kind.Spec, given, where="task")
    planned, reasons = kind.plan(spec, [facts[n] for n in targets], [specs[n].kind for n in targets], len(train.rows))
    because.update({f"task.{field}": reason for field, reason in reasons.items()})
    task: Task = kind.fit(planned, train.target, train.weight)
    return task


def _no_rows(name: str) -> DataError:
    return DataError(
        "there are no rows",
        where=name,
        expected="a table with a header and some rows",
        fix="check that this is the right file",
    )
