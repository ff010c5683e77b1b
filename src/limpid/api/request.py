"""What one call of `train` or `plan` asks for, brought into one form."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limpid.api.clock import Clock
from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean
from limpid.core.run import RunFolder
from limpid.data.sources.layout import arrange
from limpid.data.table import Table, open_parts, open_table, with_files
from limpid.planning.laid_out import decide_layout
from limpid.planning.settings import merge, parse_sets, read_recipe, seconds

DEVICES = ("auto", "cpu", "cuda")


@dataclass
class Request:
    """A call, with its recipe, its options and its `--set`s laid on one another.

    Args:
        tables: train, and valid and test where files were given.
        source: how the user named each table.
        settings: the joint settings tree.
        target, task: as asked, or None.
        module: the user's own module or a callable that makes one, or None.
        seed: of the run.
        device: cpu or cuda.
        clock: wall time since the start, and the budget.
        replay: whether the settings are a whole plan of an earlier run.
        loss, metric: the user's own.
    """

    tables: dict[str, Table]
    source: dict[str, str]
    settings: dict[str, Any]
    target: str | Sequence[str] | None
    task: str | None
    module: Any
    seed: int
    device: str
    clock: Clock
    replay: bool
    loss: Callable[..., Any] | None = None
    metric: Any = None


def read_request(
    data: Any,
    *,
    target: str | Sequence[str] | None,
    task: str | None,
    valid: Any,
    test: Any,
    net: Any,
    budget: str | float | None,
    device: str | None,
    seed: int | None,
    sets: Mapping[str, Any] | Sequence[str] | None,
    recipe: str | Path | None,
    folder: RunFolder | None,
    loss: Callable[..., Any] | None = None,
    metric: Any = None,
    started: float | None = None,
) -> Request:
    """Bring the options of a call into one form.

    Args:
        folder: the run folder to go on with, where its plan is to be replayed.
        started: `time.monotonic()` of the first instruction.

    Raises:
        LimpidError: an option is wrong, or the data cannot be read.
    """
    settings: dict[str, Any] = {}
    replay = False
    if recipe is not None:
        settings = read_recipe(Path(recipe))
    if folder is not None and folder.plan.is_file():
        settings = read_recipe(folder.plan)
        replay = True
    asked = parse_sets(sets)
    module = None
    if isinstance(net, str):
        asked = merge(asked, {"net": {"name": net}})
    elif net is not None:
        module = net
    new_net = (asked.get("net") or {}).get("name")
    if new_net and new_net != (settings.get("net") or {}).get("name"):
        settings.pop("net", None)  # the settings of one net mean nothing to another
    settings = merge(settings, asked)
    if budget is None and settings.get("budget_seconds") is not None and not replay:
        budget = settings["budget_seconds"]
    planned = settings.get("data") or {}
    data = _given(data, planned.get("source"), "DATA", "DATA, such as people.csv or sample:iris")
    valid = valid if valid is not None else planned.get("valid")
    test = test if test is not None else planned.get("test")
    given = {
        "train": data,
        **({"valid": valid} if valid is not None else {}),
        **({"test": test} if test is not None else {}),
    }
    options = {"train": "DATA", "valid": "--valid", "test": "--test"}
    tables = open_parts(data, what="DATA")
    tables.update({part: open_table(value, what=options[part]) for part, value in given.items() if part != "train"})
    tables = {part: with_files(table, _named_files(settings)) for part, table in tables.items()}
    own = tables["train"]
    if target is None and not planned.get("target") and own.target is not None:
        target = own.target
        if task is None and not (settings.get("task") or {}).get("name"):
            task = own.task
    tables, settings = _laid_out(tables, settings, target, task)
    return Request(
        tables=tables,
        source={("source" if part == "train" else part): name_of(value) for part, value in given.items()},
        settings=settings,
        target=target,
        task=task,
        module=module,
        seed=_whole(seed if seed is not None else settings.get("seed", 0)),
        device=choose_device(device),
        clock=Clock(time.monotonic() if started is None else started, seconds(budget)),
        replay=replay,
        loss=loss,
        metric=metric,
    )


def _laid_out(
    tables: dict[str, Table], settings: dict[str, Any], target: str | Sequence[str] | None, task: str | None
) -> tuple[dict[str, Table], dict[str, Any]]:
    """The tables with series in one column where they stand in many columns or rows, and the settings that say so."""
    data = settings.get("data") or {}
    if (task or (settings.get("task") or {}).get("name")) == "forecasting" and data.get("series") is None:
        return tables, settings  # a forecast reads long tables itself
    layout, because = decide_layout(tables["train"], data.get("series"), other_roles(settings, target))
    if layout is None:
        return tables, settings
    decided = {"data": {"series": layout.model_dump(mode="json")}, "because": {"data.series": because}}
    if (settings.get("because") or {}).get("data.series"):
        decided.pop("because")  # a replayed plan keeps its reason
    return {part: arrange(table, layout) for part, table in tables.items()}, merge(settings, decided)


def other_roles(settings: Mapping[str, Any], target: str | Sequence[str] | None) -> set[str]:
    """Columns that cannot be time steps of a series, since they have another role or a kind of their own."""
    data, split = settings.get("data") or {}, settings.get("split") or {}
    given = target if target is not None else data.get("target") or ()
    several = given if isinstance(given, (list, tuple)) else ()  # what is no name is refused where targets are resolved
    named = [given, *given.split(",")] if isinstance(given, str) else [str(g) for g in several]
    roles = [data.get("weight"), split.get("group"), split.get("time"), *(data.get("columns") or {})]
    return {str(name).strip() for name in (*named, *roles) if name}


def _named_files(settings: Mapping[str, Any]) -> list[str]:
    """Columns of which the user says that they are pictures or recordings: their text names files."""
    columns = (settings.get("data") or {}).get("columns") or {}
    kinds = {n: c.get("kind") if isinstance(c, Mapping) else c for n, c in columns.items()}
    return [n for n, kind in kinds.items() if kind in ("image", "audio")]


def _given(data: Any, planned: Any, where: str, expected: str) -> Any:
    if data is not None:
        return data
    if planned and not str(planned).startswith("<"):
        return str(planned)
    raise RequestError("no data were named", where=where, expected=expected, fix="limpid train DATA --target COLUMN")


def name_of(data: Any) -> str:
    """How data are named in a plan: a path as it was written, otherwise what they are."""
    if isinstance(data, (str, Path)):
        return str(data)
    return f"<{type(data).__module__.partition('.')[0]} {type(data).__name__}>"


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise RequestError(
            f"the seed cannot be {value!r}", where="seed", expected="a whole number of 0 or more", fix="use --seed 0"
        )
    return value


def choose_device(asked: str | None) -> str:
    """cpu or cuda; `auto` takes a GPU where torch sees one.

    Raises:
        RequestError: the device does not exist here.
    """
    if asked is not None and asked not in DEVICES:
        raise RequestError(
            f"there is no device {asked!r}",
            where="--device",
            expected=f"one of {', '.join(DEVICES)}",
            fix=did_you_mean(asked, DEVICES),
        )
    if asked == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise RequestError(
            "torch sees no GPU here",
            where="--device cuda",
            expected="a machine with an NVIDIA GPU and a CUDA build of torch",
            fix="use --device cpu, or see limpid doctor",
        )
    return "cpu"
