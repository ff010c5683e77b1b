"""The trained models that a run starts from: found, verified and taken apart into what planning needs of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.api.request import Request
from limpid.core.errors import LimpidError, RequestError, RunError
from limpid.core.events import Listener, Noted
from limpid.core.files import digest
from limpid.core.forms import FIELDS
from limpid.core.names import did_you_mean
from limpid.core.run import find_bundle
from limpid.planning.encoders import input_of
from limpid.planning.plan import StartSpec, read_start
from limpid.planning.start import Start, Starts

if TYPE_CHECKING:
    from limpid.bundle.model import Model as Bundle


def read_starts(request: Request, tell: Listener) -> Starts:
    """What `net.start` and `nets.COLUMN.start` name; `net.start` brings the nets of further columns with it.

    Args:
        request: the call.
        tell: hears what cannot be taken over.

    Raises:
        LimpidError: a model is not there, damaged or changed since the plan, or has no such input.
    """
    words = _words(request.settings)
    if not words:
        return Starts()
    if request.module is not None and "net" in words:
        raise RequestError(
            "a module of your own cannot start from a trained model",
            where="net.start",
            expected="a net of limpid's own catalogue",
            fix="leave net.start out, and load the weights into your module yourself",
        )
    bundles: dict[str, Bundle] = {}
    specs: dict[str, StartSpec] = {}
    inputs: dict[str, Start] = {}
    for path, word in words.items():
        if word.run not in bundles:
            specs[word.run], bundles[word.run] = _open(word, path)
        spec, bundle = specs[word.run], bundles[word.run]
        _check_unchanged(word, spec, path)
        names = list(bundle.encoders.inputs)
        name = names[0] if path == "net" else path.removeprefix("nets.")
        if name not in names:
            raise RequestError(
                f"{word.run} reads no input {name!r}",
                where=f"{path}.start",
                expected=f"one of its inputs: {', '.join(names)}",
                fix=did_you_mean(name, names),
            )
        inputs[name] = _start(path, name, spec, bundle)
    if "net" in words:
        run = words["net"].run
        for name in list(bundles[run].encoders.inputs)[1:]:
            if name in inputs or _named(request.settings, name):
                continue
            found = _start(f"nets.{name}", name, specs[run], bundles[run])
            absent = [c for c in found.columns if c not in request.tables["train"].columns]
            if absent:
                tell(Noted("look", f"{run} also reads {', '.join(map(repr, absent))}, which the data do not have"))
            else:
                inputs[name] = found
    return Starts(
        inputs,
        {run: bundle.task for run, bundle in bundles.items()},
        {run: bundle.network.head.state_dict() for run, bundle in bundles.items()},
        {
            run: (tuple(bundle.network.inputs), bundle.network.fuse.state_dict())
            for run, bundle in bundles.items()
            if bundle.network.fuse is not None
        },
    )


def _words(settings: Mapping[str, Any]) -> dict[str, StartSpec]:
    """Path -> the start that the user asked for there, the main net first."""
    net = settings.get("net") or {}
    found = {"net": read_start(net.get("start"), "net.start")}
    further = {key: entry for key, entry in net.items() if isinstance(entry, Mapping) and key != "start"}
    for name, entry in {**further, **(settings.get("nets") or {})}.items():
        if isinstance(entry, Mapping):
            found[f"nets.{name}"] = read_start(entry.get("start"), f"nets.{name}.start")
    return {path: word for path, word in found.items() if word is not None}


def _named(settings: Mapping[str, Any], name: str) -> bool:
    """Whether the user, or a plan, says anything of the net of a further input."""
    return name in (settings.get("net") or {}) or name in (settings.get("nets") or {})


def _open(word: StartSpec, path: str) -> tuple[StartSpec, Bundle]:
    """The model that a user named, with the sha256 of its weights."""
    from limpid.bundle.model import Model

    folder = find_bundle(Path(word.run))
    try:
        bundle = Model.load(folder)
    except RequestError as error:
        raise RequestError(
            f"{word.run} was trained with a module of the user's own, which no other run can start from",
            where=f"{path}.start",
            expected="a model with nets of limpid's own catalogue",
            fix="start from another model",
        ) from error
    except LimpidError as error:
        raise type(error)(
            f"the start {word.run} cannot be used: {error.what}",
            where=error.where,
            expected=error.expected,
            fix=error.fix,
        ) from error
    return StartSpec(run=word.run, sha256=digest(folder / "weights.safetensors")), bundle


def _check_unchanged(word: StartSpec, found: StartSpec, path: str) -> None:
    if word.sha256 is not None and word.sha256 != found.sha256:
        raise RunError(
            f"the start {word.run} has other weights than when the plan was made",
            where=f"{path}.start",
            expected=f"weights with the sha256 {word.sha256[:16]}...",
            fix=f"restore that model, or begin a new run with --set {path}.start={word.run} in place of the plan's",
        )


def _start(path: str, name: str, spec: StartSpec, bundle: Bundle) -> Start:
    encoders = bundle.encoders
    kinds = {column: encoders.modality(column) for column in encoders.columns}
    columns = [c for c, kind in kinds.items() if (name == FIELDS) == (kind.form == FIELDS)]
    if name != FIELDS:
        columns = [c for c in columns if input_of(c) == name]
    place = bundle.network.inputs.index(name)
    return Start(
        path=path,
        input=name,
        spec=spec,
        net=bundle.net if place == 0 else bundle.nets[name],
        shape=encoders.shapes()[name],
        columns={c: encoders.columns[c] for c in columns},
        encoders={c: kinds[c] for c in columns},
        weights=bundle.network.nets[f"input_{place}"].state_dict(),
    )
