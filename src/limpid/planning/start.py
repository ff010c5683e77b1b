"""What a run takes over from a model that it starts from: columns with their encoders, nets with their settings.

The weights themselves are put in by begin.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limpid.core.contracts import Modality, Reasons, Task
from limpid.core.errors import LimpidError, RequestError, raise_together
from limpid.core.forms import FIELDS, Shape
from limpid.core.names import nearest
from limpid.core.schema import ColumnSpec
from limpid.core.spec import AUTO
from limpid.modalities import CATALOGUE
from limpid.planning.plan import Component, StartSpec
from limpid.planning.settings import merge

if TYPE_CHECKING:
    from torch import Tensor


_FREE = frozenset({"augment"})
"""Options on which what the weights learnt does not depend, so that the user may choose them anew."""


@dataclass(frozen=True)
class Start:
    """One input's net of a trained model.

    Args:
        path: where the user asked for it, "net" or "nets.COLUMN".
        input: name of the input, in the model and here.
        spec: which model, as the plan keeps it.
        net: the net with all of its settings.
        shape: of the input.
        columns: column -> what it is, in the model's order.
        encoders: column -> its fitted encoder.
        weights: of the net, by name.
    """

    path: str
    input: str
    spec: StartSpec
    net: Component
    shape: Shape
    columns: Mapping[str, ColumnSpec]
    encoders: Mapping[str, Modality]
    weights: Mapping[str, Tensor] = field(repr=False)

    @property
    def run(self) -> str:
        """The model as the user named it."""
        return self.spec.run


@dataclass(frozen=True)
class Starts:
    """All that a run starts from; without anything it changes nothing.

    Args:
        inputs: input name -> the net that it starts from, the main one first.
        tasks: run as the user named it -> that model's task.
        heads: run -> the weights of its head, by name.
        fuses: run -> the inputs that its fusing layer joins, and the layer's weights.
    """

    inputs: Mapping[str, Start] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict, repr=False)
    heads: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)
    fuses: Mapping[str, tuple[tuple[str, ...], Mapping[str, Tensor]]] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.inputs)

    @property
    def columns(self) -> dict[str, Start]:
        """Column -> the start that reads it."""
        return {name: start for start in self.inputs.values() for name in start.columns}

    @property
    def encoders(self) -> dict[str, Modality]:
        """Column -> the encoder that is taken over."""
        return {name: start.encoders[name] for name, start in self.columns.items()}

    def ask(self, asked: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """The user's word on columns, with what the starts say of theirs.

        Args:
            asked: column -> kind or mapping, from `--set data.columns...` or a plan.
            names: columns of the data.

        Raises:
            RequestError: a column of a start is absent, or the user says something else of it.
        """
        if not self:
            return dict(asked)
        absent = [(name, start) for name, start in self.columns.items() if name not in names]
        if absent:
            raise _absent(absent, names)
        result, problems = dict(asked), list[LimpidError]()
        for name, start in self.columns.items():
            own = start.columns[name]
            word = asked.get(name) or {}
            word = {"kind": word} if isinstance(word, str) else dict(word)
            problems += _contradictions(name, word, own, start)
            free = {k: v for k, v in _options(word).items() if k in _FREE}
            result[name] = {**word, "kind": own.kind, "options": merge(own.options, free)}
        raise_together(problems)
        return result

    def lay(
        self,
        specs: Mapping[str, ColumnSpec],
        asked: Mapping[str, Any],
        roles: Mapping[str, str],
        because: dict[str, str],
    ) -> dict[str, ColumnSpec]:
        """The columns as decided, with those of the starts read and other columns of a started table left out.

        Args:
            specs: column -> what it is.
            asked: the user's own word on columns.
            roles: column -> what it is besides an input ("the target").
            because: takes the reasons.

        Raises:
            RequestError: a column of a start has another role here.
        """
        result = dict(specs)
        for name, start in self.columns.items():
            if name in roles:
                raise RequestError(
                    f"the start {start.run} reads {name!r}, which is {roles[name]} here",
                    where=f"{start.path}.start",
                    expected="a model of which all columns are inputs here too",
                    fix=f"start from another model, or leave {start.path}.start out",
                )
            codes = specs[name].missing
            word = asked.get(name)
            if not (isinstance(word, Mapping) and "missing" in word):
                codes = tuple(dict.fromkeys((*start.columns[name].missing, *codes)))
            result[name] = specs[name].with_(use=True, missing=codes)
            because.pop(f"data.columns.{name}.use", None)
            because[f"data.columns.{name}"] = f"as in the start {start.run}, so that its weights read what they learnt"
        table = self.inputs.get(FIELDS)
        if table is None:
            return result
        for name, spec in specs.items():
            form = CATALOGUE.load(spec.kind, where=f"data.columns.{name}.kind").form
            if name not in self.columns and spec.use and form == FIELDS and name not in roles and not asked.get(name):
                result[name] = spec.with_(use=False)
                because[f"data.columns.{name}.use"] = (
                    f"the start {table.run} does not read it; data.columns.{name}={spec.kind} adds it, with new weights"
                )
        return result

    def keep(self, specs: Mapping[str, ColumnSpec], because: dict[str, str]) -> dict[str, ColumnSpec]:
        """The columns of the starts read after all, whatever was left out since."""
        result = dict(specs)
        for name in self.columns:
            result[name] = specs[name].with_(use=True)
            because.pop(f"data.columns.{name}.use", None)
        return result

    def check_inputs(self, inputs: Mapping[str, str]) -> None:
        """Refuse a start whose input is none here, or not the main one where it should be.

        Args:
            inputs: input name -> form, the main one first.

        Raises:
            RequestError: naming both.
        """
        main = next(iter(inputs))
        for name, start in self.inputs.items():
            if start.path == "net" and name != main:
                path = "net.start" if name not in inputs else f"nets.{name}.start"
                raise RequestError(
                    f"the main input of {start.run} is {name!r}, the main input here is {main!r}",
                    where="net.start",
                    expected=f"a model whose main input is {main!r}",
                    fix=f"--set {path}={start.run}" if name in inputs else "start from another model",
                )
            if name not in inputs:
                raise RequestError(
                    f"there is no input {name!r} here that the net of {start.run} could read",
                    where=f"{start.path}.start",
                    expected=f"one of {', '.join(inputs)}",
                    fix=f"leave {start.path}.start out",
                )

    def settings(self, name: str, word: Mapping[str, Any], spec: type[Any]) -> tuple[dict[str, Any], Reasons]:
        """The settings of a started net: those of the start unless the user asks for others.

        Args:
            name: of the input.
            word: what the user asked of the net, its name apart.
            spec: the net's settings class.

        Returns:
            the settings, and a reason for each that is not the net's usual one.
        """
        start = self.inputs[name]
        base = start.net.settings
        because = {}
        for key in spec.model_fields:
            value = word.get(key, base.get(key))
            if value == AUTO:
                continue
            if key in word and key in base and _plain(word[key]) != _plain(base[key]):
                because[key] = f"as asked; the start {start.run} has {base[key]}"
            elif spec.model_fields[key].default == AUTO:
                because[key] = f"as in the start {start.run}"
        return {**base, **word}, because

    def __iter__(self) -> Iterator[Start]:
        return iter(self.inputs.values())


def refuse_other_net(start: Start, given: str) -> RequestError:
    """The error for a net that is named beside a start of another net."""
    return RequestError(
        f"the start {start.run} holds a {start.net.name}, and a {given} is asked for",
        where=f"{start.path}.start",
        expected=f"the net of the start, {start.net.name}",
        fix=f"leave the name of the net out, or start from a model with a {given}",
    )


def _absent(absent: Sequence[tuple[str, Start]], names: Sequence[str]) -> RequestError:
    first, start = absent[0]
    hints = [f"{near!r} looks like {name!r}" for name, _ in absent if (near := nearest(name, names))]
    listed = ", ".join(repr(name) for name, _ in absent[:10])
    return RequestError(
        f"the start {start.run} reads {'columns' if len(absent) > 1 else 'a column'} that the data do not have: "
        + listed
        + (f" and {len(absent) - 10} more" if len(absent) > 10 else ""),
        where=f"{start.path}.start",
        expected=f"data with the {len(start.columns)} columns that the start was trained with",
        fix="add or rename the columns" + (f" ({'; '.join(hints[:3])})" if hints else "")
        if hints
        else f"add {first!r}, or start from a model of columns like these",
    )


def _contradictions(name: str, word: Mapping[str, Any], own: ColumnSpec, start: Start) -> list[LimpidError]:
    """What the user says of a column that contradicts the start."""
    found: list[tuple[str, Any, Any]] = []
    if word.get("kind") not in (None, own.kind):
        found.append(("kind", word["kind"], own.kind))
    if word.get("use") is False:
        found.append(("use", False, True))
    if not found:
        found += [
            (f"options.{key}", value, own.options.get(key))
            for key, value in _options(word).items()
            if key not in _FREE and value != AUTO and _plain(own.options.get(key)) != _plain(value)
        ]
    return [
        RequestError(
            f"{name!r} cannot be read with {key} {value}: the start {start.run} has {theirs}",
            where=f"data.columns.{name}.{key}",
            expected=f"{theirs}, which the start's weights depend on",
            fix=f"leave data.columns.{name}.{key} out, or leave {start.path}.start out",
        )
        for key, value, theirs in found
    ]


def _options(word: Mapping[str, Any]) -> Mapping[str, Any]:
    options = word.get("options") or {}
    return options if isinstance(options, Mapping) else {}  # anything else is refused with the other columns


def _plain(value: Any) -> Any:
    """A value as it comes back from a file: tuples are lists."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
