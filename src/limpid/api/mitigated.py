"""Trainings that treat groups alike, from a run's plan and its data: what they buy and cost beside the same without."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from limpid.api.again import fitted, looked_at, prepare_model
from limpid.api.fair import with_groups
from limpid.api.frozen import with_features
from limpid.api.prepare import Prepared, encode, prepare
from limpid.api.replay import known_request
from limpid.auditing.judged import Judged
from limpid.auditing.trades import Answered, Trades, weigh
from limpid.bundle.model import Model as Bundle
from limpid.bundle.model import forward
from limpid.core.contracts import Prediction
from limpid.core.errors import LimpidError
from limpid.core.events import unheard
from limpid.core.run import RunFolder
from limpid.core.seeds import derive
from limpid.data.encoded import Encoded
from limpid.data.groups import Grouping
from limpid.planning.plan import Plan, plan_from_dict
from limpid.planning.settings import read_recipe

STRENGTHS = (1.0, 3.0, 10.0)


def mitigate(folder: RunFolder, data: Any, held: Judged, grouping: Grouping) -> Trades:
    """Train anew in each way and measure on the judged rows; nothing is written.

    Args:
        folder: of a finished run.
        data: what the audit was given, in case the plan's file is no longer where it was.
        held: the judged rows, as the run's own model answers them.
        grouping: of the same rows, by one column.
    """
    column = grouping.name
    try:
        request = known_request(folder, (None, data))
        if request is None:
            return Trades(column, why="the data that the run was trained on are not at hand as they were")
        plan = plan_from_dict(read_recipe(folder.plan), where=str(folder.plan))
        if plan.net.name == "external":
            return Trades(column, why="the network is a module of the user's own, which the run folder does not hold")
        if plan.train.epochs == 0:
            return Trades(column, why="the network is solved for in closed form, without steps to pay a penalty in")
        prepared = prepare(request, unheard, look=False)
        try:
            return _mitigate(prepared, plan, held, grouping)
        finally:
            prepared.left_out.release()
    except LimpidError as error:
        return Trades(column, why=f"{error.what} ({error.where})")


def _mitigate(prepared: Prepared, plan: Plan, held: Judged, grouping: Grouping) -> Trades:
    if held.target.ndim == 2 and held.classes:
        return Trades(grouping.name, why="for sets of labels trades are not measured")
    parts = {name: part for name, part in prepared.draft.parts.items() if name != "test"}
    prepared = replace(prepared, draft=replace(prepared.draft, parts=parts))
    encoded = encode(prepared, unheard, None)
    asked = plan.train.with_(fairness=(grouping.name,))
    encoded, _ = with_groups(prepared.draft, encoded, asked)
    model, _ = prepared.build()
    encoded = with_features(prepared, model, encoded, unheard)
    valid = encoded["valid"]
    assert valid.group is not None
    names = tuple(str(n) for n in range(int(valid.group.max(initial=0)) + 1))
    valid_groups = Grouping(grouping.name, valid.group, names)
    ways: list[tuple[str, dict[str, Any]]] = [("the same training without", {"fairness": ()})]
    if held.classes:
        ways.append(("reweighed rows", {"fairness": (grouping.name,), "fairness_by": "reweigh"}))
    ways += [
        (f"a penalty of {w:g}", {"fairness": (grouping.name,), "fairness_by": "penalty", "fairness_weight": w})
        for w in STRENGTHS
    ]
    answers = [_answered(prepared, plan, encoded, held, name, changes) for name, changes in ways]
    return weigh(answers, grouping, valid_groups)


def _answered(
    prepared: Prepared, plan: Plan, encoded: dict[str, Encoded], held: Judged, name: str, changes: dict[str, Any]
) -> Answered:
    """One training, and its answers."""
    train, valid = encoded["train"], encoded["valid"]
    spec = plan.train.with_(**changes, folds=0, refit=False, watch=False)
    model, _ = prepared.build()
    prepare_model(prepared, train, model, spec)
    fitted(prepared, model, train, looked_at(prepared, valid), spec, seed=derive(plan.seed, "training"))
    model.fold()
    model.eval().cpu()
    task = deepcopy(prepared.draft.task)
    assert valid.target is not None
    outputs = forward(model, valid.arrays)
    task.calibrate(outputs, np.asarray(valid.target), valid.weight)
    bundle = replace(held.bundle, task=task, network=model, more=[])
    answered = task.predict(bundle.raw(held.arrays))
    settings = {f"train.{k}": v[0] if isinstance(v, tuple) else v for k, v in changes.items() if v != ()}
    return Answered(
        name,
        settings,
        replace(held, bundle=bundle, prediction=answered, loss=task.example_loss(held.target, answered)),
        _judged(bundle, valid, task.predict(outputs)),
    )


def _judged(bundle: Bundle, valid: Encoded, prediction: Prediction) -> Judged:
    assert valid.target is not None
    target = np.asarray(valid.target)
    return Judged(
        bundle,
        pl.DataFrame({"row": valid.rows}),
        valid.arrays,
        target,
        valid.rows,
        np.full(len(valid), "valid"),
        prediction,
        bundle.task.example_loss(target, prediction),
        valid.weight,
    )
