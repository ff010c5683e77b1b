"""The plan: all that a run will do, with a reason for each choice; a file that a person can read, edit and replay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from limpid.core.errors import RequestError
from limpid.core.files import write_text
from limpid.core.schema import ColumnSpec
from limpid.core.spec import Spec, parse
from limpid.data.sources.layout import SeriesLayout
from limpid.data.split import SplitSpec
from limpid.planning.settings import FORMAT
from limpid.planning.train_spec import TrainSpec


class DataSpec(Spec):
    """Which data, which columns, and what each is."""

    source: str = Field(default="", description="what was given as DATA")
    valid: str | None = Field(default=None, description="what was given as --valid")
    test: str | None = Field(default=None, description="what was given as --test")
    target: tuple[str, ...] = Field(default=(), description="the target column, or several of them")
    weight: str | None = Field(default=None, description="column of sample weights, none by default")
    series: SeriesLayout | None = Field(
        default=None,
        description="how series stand in the table: wide, none, or the columns id and time of a long table; recognised "
        "in wide tables",
    )
    columns: dict[str, ColumnSpec] = Field(default_factory=dict, description="what each column is")
    drop: tuple[Literal["constant", "key", "silent", "useless", "redundant"], ...] = Field(
        default=("constant", "key", "silent"),
        description="what is left out: by default constant and key columns, and texts beside a table whose words say "
        "nothing of the target (silent); useless ones are found by permutation, redundant ones by correlation",
    )
    duplicates: Literal["keep", "drop"] = Field(
        default="keep", description="whether further copies of a training row are kept or dropped"
    )
    resident_bytes: int = Field(
        default=1 << 30, ge=0, description="encoded data above this size are memory-mapped from the disk, in bytes"
    )


class EvaluateSpec(Spec):
    """How the model is judged."""

    baselines: bool = Field(default=True, description="whether baselines are trained beside the model")
    importance: bool = Field(
        default=True, description="whether the report says how much worse the model gets with each column shuffled"
    )
    explained: bool = Field(
        default=True,
        description="whether the report explains up to three answers, where that is cheap beside training",
    )
    intervals: int = Field(default=400, ge=0, le=10_000, description="bootstrap samples behind the 95 % intervals")


class StartSpec(Spec):
    """The trained model that a net starts from, as it stands in the plan."""

    run: str = Field(description="a run folder or a bundle of limpid, as the user named it")
    sha256: str | None = Field(default=None, description="of that model's weights; a changed start is refused")


class Component(Spec):
    """A member of a catalogue with its own settings, as it stands in the plan: {name: tabm, members: 16}."""

    name: str
    start: StartSpec | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The flat form that people write."""
        start = {} if self.start is None else {"start": self.start.model_dump(mode="json")}
        return {"name": self.name, **start, **self.settings}


class Plan(Spec):
    """A complete plan, without any `auto` left."""

    limpid: str = Field(description="version that made the plan")
    format: int = FORMAT
    seed: int = 0
    budget_seconds: float | None = Field(default=None, description="wall time that the plan was made for, in seconds")
    data: DataSpec
    split: SplitSpec
    task: Component
    net: Component
    nets: dict[str, Component] = Field(default_factory=dict, description="nets of further inputs, by column")
    train: TrainSpec
    evaluate: EvaluateSpec
    machine: dict[str, Any] = Field(default_factory=dict, description="the machine that the plan was made on")
    because: dict[str, str] = Field(default_factory=dict, description="the reason for each choice, by dotted path")

    def as_dict(self) -> dict[str, Any]:
        """The plan as it is written to plan.yaml."""
        tree = self.model_dump(mode="json", exclude={"task", "net", "nets"})
        tree["data"]["columns"] = {
            name: spec.model_dump(mode="json", exclude_defaults=True) for name, spec in self.data.columns.items()
        }
        ordered = {k: tree[k] for k in ("limpid", "format", "seed", "budget_seconds", "data", "split")}
        ordered["task"] = self.task.as_dict()
        ordered["net"] = self.net.as_dict()
        ordered["nets"] = {name: net.as_dict() for name, net in self.nets.items()}
        return {**ordered, **{k: tree[k] for k in ("train", "evaluate", "machine", "because")}}


def plan_from_dict(tree: Mapping[str, Any], *, where: str) -> Plan:
    """Read a complete plan back.

    Raises:
        RequestError: it is not a complete plan of this format.
    """
    values = dict(tree)
    if values.get("format", FORMAT) != FORMAT:
        raise RequestError(
            f"the plan has format {values.get('format')!r}",
            where=where,
            expected=f"format {FORMAT}",
            fix="make the plan anew with limpid plan",
        )
    for section in ("task", "net"):
        values[section] = _component(values.get(section), f"{where}: {section}")
    nets = values.get("nets") or {}
    if not isinstance(nets, Mapping):
        nets = {}
    values["nets"] = {str(name): _component(net, f"{where}: nets.{name}") for name, net in nets.items()}
    values["split"] = parse(SplitSpec, values.get("split") or {}, where="split")
    values["train"] = parse(TrainSpec, values.get("train") or {}, where="train")
    return parse(Plan, values, where=where)


def _component(value: Any, where: str) -> Component:
    if isinstance(value, str):
        return Component(name=value)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise RequestError(
            "the name is missing",
            where=where,
            expected="a mapping with a name, such as {name: tabm}",
            fix="add the name",
        )
    start = read_start(value.get("start"), f"{where}.start")
    rest = {str(k): v for k, v in value.items() if k not in ("name", "start")}
    return Component(name=value["name"], start=start, settings=rest)


def read_start(value: Any, where: str) -> StartSpec | None:
    """The start of a net as a user or a plan names it: a path, or a mapping with the sha256 of its weights.

    Raises:
        RequestError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, str) and value:
        return StartSpec(run=value)
    if not isinstance(value, Mapping):
        raise RequestError(
            f"a start cannot be {str(value)[:100]!r}",
            where=where,
            expected="a run folder or a bundle",
            fix=f"for example --set {where}=runs/first",
        )
    return parse(StartSpec, value, where=where)


class _Dumper(yaml.SafeDumper):
    """Short lists on one line, so that a plan of a hundred columns stays readable."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    flat = all(not isinstance(v, (list, dict)) for v in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)


_Dumper.add_representer(list, _represent_list)


def dump_yaml(tree: Mapping[str, Any]) -> str:
    """YAML in the order of the mapping."""
    return yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def write_plan(plan: Plan, path: Path) -> None:
    """Write plan.yaml atomically."""
    write_text(path, dump_yaml(plan.as_dict()))
