"""A run's first steps once more: from its plan and its data, without writing anything into its folder.

What it costs is bounded: of large data or networks fewer steps are taken, or none, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from limpid.api.again import fitted, looked_at, prepare_model, sample_of
from limpid.api.frozen import with_features
from limpid.api.origin import MOST_CELLS, versions
from limpid.api.prepare import JUDGED_ROWS, Prepared, encode, prepare
from limpid.api.request import Request, choose_device, read_request
from limpid.auditing.replayed import EDITED, Replay, compared
from limpid.bundle.model import Model as Bundle
from limpid.core.errors import LimpidError, RequestError
from limpid.core.events import FIRST_STEPS, Event, StepEnded, unheard
from limpid.core.files import digest
from limpid.core.run import RunFolder
from limpid.core.seeds import derive
from limpid.data.encoded import Encoded, joined
from limpid.planning.plan import Plan, plan_from_dict
from limpid.planning.settings import read_recipe
from limpid.training.measure import device_key, machine_key

_CELLS = {"text": 10, "image": 100, "audio": 100, "series": 100, "window": 100}
_MOST_FLOPS = 2e12  # of all steps, forward and back
_BACK = 3  # a step takes about three forward passes


def replay(folder: RunFolder, bundle: Bundle, data: Any, net: Any = None) -> Replay:
    """Train for the first steps again and compare.

    Args:
        folder: of a finished run.
        bundle: its model.
        data: what the audit was given, in case the plan's file is no longer where it was.
        net: what makes the module of a run with one of the user's own.
    """
    try:
        return _replay(folder, bundle, data, net)
    except LimpidError as error:
        return Replay(why=f"the run could not be repeated: {error.what} ({error.where})")


def _replay(folder: RunFolder, bundle: Bundle, data: Any, net: Any) -> Replay:
    content = folder.read(folder.metrics) if folder.finished else {}
    plan = plan_from_dict(read_recipe(folder.plan), where=str(folder.plan))
    origin = content.get("origin") or {}
    if why := _impossible(folder, plan, content, origin, net):
        return Replay(why=why)
    device, differs = _then_and_now(plan, content)
    was = str(plan.machine.get("device", device))
    if was != device:  # what dropout draws is another thing on each kind of device
        return Replay(why=f"the run was trained on {was}, and there is none here")
    if origin and digest(folder.plan) != origin.get("plan"):
        differs.append(f"{EDITED}, which has been edited since")
    request, why = _request(folder, plan, (None, data), device, origin.get("data") or {}, net)
    if request is None:
        return Replay(why=why)
    prepared = prepare(request, unheard, look=False)
    try:
        parts = {name: part for name, part in prepared.draft.parts.items() if name != "test"}
        prepared = replace(prepared, draft=replace(prepared.draft, parts=parts))
        return _compared(folder, bundle, plan, prepared, tuple(differs))
    finally:
        prepared.left_out.release()


def known_request(folder: RunFolder, sources: tuple[Any, ...]) -> Request | None:
    """The call of a run once more, with data that are as the run read them; None where there are none such.

    Args:
        folder: of the run.
        sources: data to try in turn; None stands for what the plan names.
    """
    plan = plan_from_dict(read_recipe(folder.plan), where=str(folder.plan))
    content = folder.read(folder.metrics) if folder.finished else {}
    device, _ = _then_and_now(plan, content)
    return _request(folder, plan, sources, device, (content.get("origin") or {}).get("data") or {}, None)[0]


def _impossible(folder: RunFolder, plan: Plan, content: Mapping[str, Any], origin: Mapping[str, Any], net: Any) -> str:
    """Why the run cannot be replayed from its folder alone, or ""."""
    if not folder.finished:
        return "the run is not finished"
    if plan.net.name == "external" and (isinstance(net, torch.nn.Module) or not callable(net)):
        return "the network is a module of the user's own, and what makes it with its first weights is not at hand"
    if origin.get("own"):
        return "the run was given a loss or a metric of the user's own, which its folder does not hold"
    rows = sum(n for n in (content.get("rows") or {}).values() if isinstance(n, int))
    columns = [spec for name, spec in plan.data.columns.items() if spec.use or name in plan.data.target]
    cells = rows * sum(_CELLS.get(spec.kind, 1) for spec in columns)
    if cells > MOST_CELLS:
        return (
            f"the data are too large to be encoded once more: {cells:,} cells, the limit is {MOST_CELLS:,} (a text "
            "counts for 10, a picture, a recording or a series for 100)"
        )
    ranged = plan.because.get("train.lr", "").startswith("a range test")
    if ranged and any(e.get("event") == "GuardActed" and "rate" in str(e.get("did")) for e in folder.read_events()):
        return "a guard has lowered the learning rate that a range test had found, so the plan no longer holds it"
    return ""


def _then_and_now(plan: Plan, content: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The device to replay on, and how machine and versions differ from the run's."""
    was = str(plan.machine.get("device", "cpu"))
    try:
        device = choose_device(was)
    except RequestError:  # no GPU here
        device = choose_device("cpu")
    then = str((content.get("origin") or {}).get("device") or was)
    pairs = [("device", then, device_key(device)), ("machine", str(plan.machine.get("key", "")), machine_key())]
    now = versions()
    pairs += [(name, str(v), now.get(name, "none")) for name, v in (content.get("versions") or {}).items()]
    return device, [f"{name} ({then} then, {here} now)" for name, then, here in pairs if then and then != here]


def _request(
    folder: RunFolder, plan: Plan, sources: tuple[Any, ...], device: str, known: Mapping[str, Any], net: Any
) -> tuple[Request | None, str]:
    """The call once more, with the plan's file (None) or with the audit's data, whichever the run read; else why."""
    source = plan.data.source
    why = ""
    for given in sources:
        if given is None and source.startswith("<"):
            why = "the run was trained on a frame in memory, which is not at hand"
            continue
        try:
            request = read_request(
                given,
                target=None,
                task=None,
                valid=None,
                test=None,
                net=net if plan.net.name == "external" else None,
                budget=None,
                device=device,
                seed=None,
                sets=None,
                recipe=None,
                folder=folder,
            )
        except LimpidError as error:
            why = why or f"the data of the run cannot be read: {error.what} ({error.where})"
            continue
        changed = [part for part, table in request.tables.items() if known and known.get(part) != table.digest()]
        if not changed and (known or given is None):
            return request, ""
        named = source if changed and changed[0] == "train" else f"the {changed[0]} data" if changed else ""
        why = why or f"{named} has been changed since the run: its digest is another"
    return None, why


def _compared(folder: RunFolder, bundle: Bundle, plan: Plan, prepared: Prepared, differs: tuple[str, ...]) -> Replay:
    device = prepared.request.device
    encoded = encode(prepared, unheard, None)
    model, _ = prepared.build()
    encoded = with_features(prepared, model, encoded, unheard)
    train_part, valid_part = encoded["train"], encoded["valid"]
    setting = f"{len(train_part):,} training rows, seed {plan.seed}, {plan.train.threads} threads, {device}"
    if plan.train.epochs == 0:
        if plan.train.refit is True:
            valid = sample_of(valid_part, JUDGED_ROWS, derive(plan.seed, "judged", "valid"))
            train_part = joined(train_part, valid)
            setting = f"{len(train_part):,} training and validation rows, seed {plan.seed}, {device}"
        prepare_model(prepared, train_part, model, plan.train)
        if plan.train.refit is not True:
            model.fold()
        return Replay("weights", gap=_apart(model, bundle.network), setting=setting, differs=differs)
    recorded = _recorded(folder)
    each = _BACK * max(model.flops(), 1.0) * int(plan.train.batch) * plan.train.accumulate
    steps = min(len(recorded), int(_MOST_FLOPS // each))
    if not recorded:
        return Replay(why="the run does not hold the losses of its first steps")
    if steps == 0:
        return Replay(why=f"a step takes {each:.1e} operations, the limit is {_MOST_FLOPS:.0e}")
    prepare_model(prepared, train_part, model, plan.train)
    heard = _losses(prepared, plan, model, train_part, valid_part, steps)
    return compared(recorded[:steps], heard, setting, differs)


def _losses(
    prepared: Prepared, plan: Plan, model: Any, train_part: Encoded, valid_part: Encoded, steps: int
) -> list[float]:
    """Losses of the first steps of a new training."""
    heard: dict[int, float] = {}

    def listen(event: Event) -> None:
        if isinstance(event, StepEnded) and event.step <= steps:
            heard.setdefault(event.step, event.loss)

    # Only one schedule asks how good the network is on validation rows.
    looks = plan.train.schedule == "plateau"
    fitted(
        prepared,
        model,
        train_part,
        looked_at(prepared, valid_part) if looks else None,
        plan.train.with_(stop_step=steps),
        seed=derive(plan.seed, "training"),
        tell=listen,
    )
    return [heard[step] for step in sorted(heard)]


def _recorded(folder: RunFolder) -> list[float]:
    """Losses of the first steps as they first were, from step 1 without a gap."""
    found: dict[int, float] = {}
    for event in folder.read_events():
        step, loss = event.get("step"), event.get("loss")
        if event.get("event") == "StepEnded" and isinstance(step, int) and isinstance(loss, (int, float)):
            found.setdefault(step, float(loss))
    return [found[n] for n in range(1, FIRST_STEPS + 1) if set(range(1, n + 1)) <= set(found)]


def _apart(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """The largest difference of two networks' values, relative to the largest value of the same tensor."""
    here, there = one.cpu().state_dict(), other.state_dict()
    if {n: v.shape for n, v in here.items()} != {n: v.shape for n, v in there.items()}:
        return 1.0
    gaps = [0.0]
    for name, value in here.items():
        if torch.equal(value, there[name]):
            continue
        a, b = value.double(), there[name].cpu().double()
        gaps.append(float((a - b).abs().max() / torch.maximum(a.abs().max(), b.abs().max())))
    return max(gaps)
