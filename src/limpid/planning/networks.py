"""Which network reads which input, with all of its settings decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.core.contracts import Reasons, Size
from limpid.core.errors import RequestError
from limpid.core.forms import FIELDS, Shape
from limpid.core.names import did_you_mean
from limpid.core.spec import parse
from limpid.nets import CATALOGUE, DEFAULTS
from limpid.planning.assemble import check_takes, content_of
from limpid.planning.plan import Component
from limpid.planning.start import Starts, refuse_other_net


def read_nets(settings: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What the user asked of each input's net: {} or {"name": ..., settings}.

    `net.FIELD` is a setting of the main net, `net.COLUMN` names another input's net or sets its fields.

    Args:
        settings: the settings tree.
        inputs: input name -> form, the main one first.

    Raises:
        RequestError: a net is named for an input that does not exist.
    """
    main = next(iter(inputs))
    asked: dict[str, dict[str, Any]] = {name: {} for name in inputs}
    value = settings.get("net") or {}
    if isinstance(value, str):
        value = {"name": value}
    for key, entry in value.items():
        if key in inputs and key not in (main, "start"):
            asked[key] = _asked(entry, f"net.{key}")
        else:
            asked[main][key] = entry
    for key, entry in (settings.get("nets") or {}).items():
        if key not in inputs:
            raise RequestError(
                f"there is no input {key!r} that a net could read",
                where=f"nets.{key}",
                expected=f"one of {', '.join(inputs)}",
                fix=did_you_mean(key, list(inputs)),
            )
        asked[key] = {**asked[key], **_asked(entry, f"nets.{key}")}
    return asked


def _asked(entry: Any, where: str) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name", ""), str):
        raise RequestError(
            f"{where} cannot be {str(entry)[:100]!r}",
            where=where,
            expected="the name of a net, or a mapping with its name and settings",
            fix=f"for example --set {where}=bag",
        )
    return dict(entry)


def plan_nets(
    asked: Mapping[str, Mapping[str, Any]],
    shapes: Mapping[str, Shape],
    inputs: Mapping[str, str],
    size: Size,
    *,
    external: bool,
    defaults: Mapping[str, str] | None = None,
    starts: Starts | None = None,
) -> tuple[dict[str, Component], Reasons, dict[str, Any], Reasons]:
    """Choose and complete the net of each input; the chain is checked before any data are encoded.

    Args:
        asked: what `read_nets` found.
        shapes, inputs: of each input, the main one first.
        size: how much there is to learn from and to spend.
        external: whether the user supplies a module for the main input.
        defaults: input -> the net that its kind of column asks for, in place of the form's default.
        starts: the models that nets start from.

    Returns:
        input -> net; reasons by dotted path; what the main net recommends for training, with reasons.

    Raises:
        RequestError: an unknown net or setting, or a net that does not take its input's form.
    """
    chosen: dict[str, Component] = {}
    because: Reasons = {}
    advice: dict[str, Any] = {}
    advice_reasons: Reasons = {}
    starts = starts or Starts()
    starts.check_inputs(inputs)
    for n, (name, form) in enumerate(inputs.items()):
        path = "net" if n == 0 else f"nets.{name}"
        word = dict(asked.get(name) or {})
        given = word.pop("name", None)
        word.pop("start", None)
        start = starts.inputs.get(name)
        if (n == 0 and external) or given == "external":
            chosen[name] = Component(name="external", settings={})
            because[f"{path}.name"] = "a module of the user's own"
            continue
        if start is not None and given not in (None, start.net.name):
            raise refuse_other_net(start, str(given))
        first = next(iter(shapes.values()))
        usual = _default(name, shapes[name], main=n == 0, beside=content_of(first), asked=defaults or {})
        kind_name = given or (usual if start is None else start.net.name)
        kind = CATALOGUE.load(kind_name, where=path)
        check_takes(kind_name, kind, name, shapes[name], where=path)
        because[f"{path}.name"] = "as asked" if given else _why_default(kind_name, name, form)
        if start is not None:
            because[f"{path}.name"] = f"the net of the start {start.run}"
            because[f"{path}.start"] = "its weights are the first ones here, wherever names and shapes agree"
            word, reasons = starts.settings(name, word, kind.Spec)
            because.update({f"{path}.{field}": reason for field, reason in reasons.items()})
        spec = parse(kind.Spec, word, where=path)
        planned, reasons = kind.plan(spec, shapes[name], size)
        because.update({f"{path}.{field}": reason for field, reason in reasons.items()})
        began = None if start is None else start.spec
        chosen[name] = Component(name=kind_name, start=began, settings=planned.model_dump(mode="json"))
        if n == 0 and hasattr(kind, "train_defaults"):
            advice, advice_reasons = kind.train_defaults(planned, shapes[name], size)
    return chosen, because, advice, advice_reasons


def portable(net: Component) -> Component:
    """A net as a bundle holds it: what it started from is left out, and what only this machine has."""
    own = None if net.name == "external" else getattr(CATALOGUE.load(net.name, where="net"), "portable", None)
    settings = net.settings if own is None else own(net.settings)
    return net.model_copy(update={"start": None, "settings": settings})


def _default(name: str, shape: Shape, *, main: bool, beside: str, asked: Mapping[str, str]) -> str:
    """The net of an input where none is named: its kind of column's, or the one for its form or content.

    Args:
        name, shape: of the input.
        main: whether it is the main one.
        beside: content of the main one.
        asked: input -> the net that its kind of column asks for.
    """
    if name in asked:
        return asked[name]
    if shape.form == FIELDS:
        # Beside a main input the table's columns say little that an ensemble would say better.
        return DEFAULTS[FIELDS] if main else "mlp"
    content = content_of(shape)
    if content == "tokens" and beside != content:
        return DEFAULTS["seq"]  # one vector, which is added to what the main input says
    return DEFAULTS.get(content, DEFAULTS[shape.form])


def _why_default(net: str, name: str, form: str) -> str:
    sentence = next(e.sentence for e in CATALOGUE if e.name == net)
    subject = "the table's columns" if name == FIELDS else f"column {name!r}"
    return f"the default for {subject} ({form}): {sentence[:1].lower()}{sentence[1:]}"
