"""The verb `train`: from raw data to a run folder with a model and a report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limpid.api.again import again, fitted, looked_at, prepare_model, sample_of
from limpid.api.fair import with_groups
from limpid.api.finish import finish
from limpid.api.forecasts import windows_of
from limpid.api.frozen import with_features
from limpid.api.prepare import JUDGED_ROWS, Prepared, encode, finish_plan, prepare, reserve, stage
from limpid.api.request import Request, read_request
from limpid.api.runs import Run
from limpid.api.shown import seen
from limpid.api.watched import training_record
from limpid.core.errors import LimpidError, RequestError, RunError
from limpid.core.events import Listener, Noted, RunEnded, broadcast
from limpid.core.files import write_bytes
from limpid.core.forms import FieldsShape, GridShape, Shape
from limpid.core.run import RunFolder, new_name
from limpid.core.seeds import derive
from limpid.data.encoded import Encoded
from limpid.planning.assemble import Assembled, describe
from limpid.planning.plan import Plan, write_plan

if TYPE_CHECKING:
    from limpid.training.state import Outcome

_PREPARE_ROWS = 50_000
_SAMPLE_BYTES = 1 << 30
_PREPARE_BYTES = 64 << 20


def train(
    data: Any = None,
    *,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    valid: Any = None,
    test: Any = None,
    net: Any = None,
    budget: str | float | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    set: Mapping[str, Any] | Sequence[str] | None = None,
    recipe: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    listen: Listener | None = None,
    loss: Callable[..., Any] | None = None,
    metric: Any = None,
    started: float | None = None,
) -> Run:
    """Train a model and write a run folder.

    Args:
        data: a path, a glob, `sample:NAME`, a frame (polars or pandas), a 2-D array, a dictionary of columns.
        target: the column to predict, or several.
        task: classification or regression; chosen from the target by default.
        valid, test: further data of the same columns; cut from `data` by default.
        net: a name of the catalogue, a torch.nn.Module, or a callable that makes one from the width of its input.
        budget: wall time for everything, such as "60s"; trains until it stops improving by default.
        device: cpu or cuda; chosen by default.
        out: the run folder; a new one under runs/ by default.
        seed: of everything random.
        set: settings by dotted path, {"train.lr": 0.01} or ["train.lr=0.01"].
        recipe: a plan.yaml to replay, or a part of one.
        resume: start, continue or return the run in `out`.
        quiet: no progress on stderr.
        listen: hears every event.
        loss: the user's own, (outputs (B,K), target) -> (B,).
        metric: the user's own, a `limpid.Metric`; training is judged by it.
        started: `time.monotonic()` of the first instruction, for the budget.

    Raises:
        LimpidError: the request or the data are wrong, or the training cannot go on.

    Example:
        >>> import limpid
        >>> run = limpid.train("sample:iris", budget="20s", quiet=True)  # doctest: +SKIP
    """
    if resume and out is None:
        raise RequestError(
            "--resume needs the run to go on with",
            where="--resume",
            expected="--out with the run folder",
            fix="add --out runs/NAME",
        )
    folder = RunFolder(Path(out)) if out is not None else None
    if folder is not None and resume and folder.finished:
        return Run(folder.path)
    old = folder if folder is not None and resume else None
    if old is not None and data is None and not old.plan.is_file() and recipe is None:
        raise RunError(
            "there is no plan to go on with, and no data were named",
            where=f"--out {old.path}",
            expected="a run folder with plan.yaml, or DATA",
            fix="name the data as in the first call",
        )
    request = read_request(
        data,
        target=target,
        task=task,
        valid=valid,
        test=test,
        net=net,
        budget=budget,
        device=device,
        seed=seed,
        sets=set,
        recipe=recipe,
        folder=old,
        loss=loss,
        metric=metric,
        started=started,
    )
    if folder is None:
        folder = RunFolder(Path("runs") / new_name(_word(request)))
    fresh = folder.open_new(resume=resume)
    try:
        listeners: list[Listener] = [folder.hear]
        if not quiet:
            from limpid.training.progress import Progress

            listeners.append(Progress())
        if listen is not None:
            listeners.append(listen)
        tell = broadcast(*listeners)
        _run(request, folder, tell, resume=resume)
    except LimpidError:
        folder.close()
        if fresh and not folder.plan.is_file():  # a mistake leaves nothing behind, so that --out can be used again
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    finally:
        folder.close()
    return Run(folder.path)


def _word(request: Request) -> str:
    given = request.target if request.target is not None else (request.settings.get("data") or {}).get("target")
    if given is None:
        return "run"
    return given if isinstance(given, str) else "-".join(map(str, given))


def _run(request: Request, folder: RunFolder, tell: Listener, *, resume: bool) -> None:
    prepared = prepare(request, tell)
    try:
        _carry_out(prepared, folder, tell, resume=resume)
    finally:
        prepared.left_out.release()


def _carry_out(prepared: Prepared, folder: RunFolder, tell: Listener, *, resume: bool) -> None:
    from limpid.evaluation import baselines, forecast_baselines

    request = prepared.request
    folder.write(folder.profile, prepared.profile)
    scratch = folder.path / "encoded"
    encoded = encode(prepared, tell, scratch)
    for name in ("valid", "test"):
        if name in encoded and len(encoded[name]) > JUDGED_ROWS:
            tell(
                Noted(
                    "info", f"figures are of a random sample of {JUDGED_ROWS:,} of {len(encoded[name]):,} {name} rows"
                )
            )
            encoded[name] = sample_of(encoded[name], JUDGED_ROWS, derive(prepared.draft.seed, "judged", name))
    encoded, groups = with_groups(prepared.draft, encoded, prepared.asked)
    if groups:
        prepared.because["train.fairness"] = groups
    train_part, valid_part = encoded["train"], encoded.get("valid")
    if valid_part is None:
        raise RequestError(
            "there are no validation rows",
            where="split.valid",
            expected="a share above 0, or a file for --valid",
            fix="leave split.valid out, or add --valid FILE",
        )
    beside: list[Any] = []
    if prepared.evaluate.baselines:
        with stage(tell, "baselines"):
            budget = request.clock.budget
            limit = None if budget is None else min(0.18 * budget, 0.5 * (request.clock.left or 0.0))
            if (series := windows_of(prepared)) is not None:
                beside = forecast_baselines.run(series, encoded, prepared.draft.task, limit)
            else:
                beside = baselines.run(
                    train_part,
                    valid_part,
                    encoded.get("test"),
                    prepared.draft.task,
                    prepared.shapes.get("fields"),
                    limit,
                    derive(prepared.draft.seed, "baselines"),
                )
    earlier = folder.plan.read_bytes() if folder.plan.is_file() else None
    model, notes = prepared.build()
    for note in notes:
        tell(Noted("info", note))
    drawing = _drawn(model, prepared, train_part)
    folder.write(folder.path / "network.json", drawing)
    if looks := seen(train_part, prepared.augmentation(), prepared.draft.encoders.inputs):
        folder.write(folder.seen, looks)
    encoded = with_features(prepared, model, encoded, tell)
    train_part, valid_part = encoded["train"], encoded["valid"]
    with stage(tell, "plan"):
        plan, expected = finish_plan(prepared, train_part, tell, model)
        write_plan(plan, folder.plan)
    if request.clock.budget is None:
        tell(Noted("info", f"training takes about {_spoken(expected)} at most; early stopping usually ends it sooner"))
    prepare_model(prepared, train_part, model, plan.train)
    left = None
    if request.clock.budget is not None:
        left = request.clock.deadline(reserve(request.clock.budget, len(train_part)) + prepared.judging)
    try:
        outcome = fitted(
            prepared,
            model,
            train_part,
            looked_at(prepared, valid_part),
            plan.train,
            seed=derive(plan.seed, "training"),
            folder=folder.checkpoint,
            resume=resume,
            tell=tell,
            deadline=left,
        )
    except RunError:
        if earlier is not None:  # the checkpoint there is of another plan: the one that it belongs to
            write_bytes(folder.plan, earlier)
        raise
    model.fold()
    if record := training_record(prepared, outcome.watched, train_part):
        folder.write(folder.training, record)
    plan = _settled(plan, outcome)
    plan, final = again(prepared, plan, model, train_part, valid_part, outcome, folder, tell, resume=resume)
    write_plan(plan, folder.plan)
    folder.write(folder.path / "network.json", {**drawing, **_kept(final, refit=plan.train.refit is True)})
    report = finish(prepared, plan, folder, model, final, encoded, outcome, beside, tell, request.clock)
    shutil.rmtree(scratch, ignore_errors=True)
    budget, took = request.clock.budget, request.clock.elapsed
    if budget is not None and took > 1.1 * budget:
        text = f"the run took {took:.1f} s: reading, judging and the report alone need more than {budget:g} s"
        tell(Noted("warning", text))
    tell(RunEnded(request.clock.elapsed, str(report)))


def _drawn(model: Assembled, prepared: Prepared, train_part: Encoded) -> dict[str, Any]:
    import torch

    part = train_part.take(np.arange(min(2, len(train_part))))
    batch = {name: torch.from_numpy(np.array(a)) for name, a in part.arrays.items()}
    details = {}
    for name, shape in prepared.shapes.items():
        details[name] = _detail(shape)
    return describe(model, batch, details)


def _detail(shape: Shape) -> str:
    """A line on what an input is made of."""
    if isinstance(shape, FieldsShape):
        return f"{len(shape.numbers)} numbers, {len(shape.categories)} categories"
    if isinstance(shape, GridShape):
        return f"{shape.channels} channels of {shape.height} x {shape.width}"
    if shape.vocabulary is None:
        return f"up to {shape.length} steps of {shape.width} values"
    return f"up to {shape.length} tokens"


def _kept(final: list[Assembled], *, refit: bool) -> dict[str, Any]:
    """What of the model its drawing cannot show: how many such networks it holds, and what stands beside them.

    Args:
        final: the networks that are kept.
        refit: whether they were fitted after the training that the curves show.
    """
    from limpid.layers.line import LineHead

    head = final[0].head
    share = float(head.get_buffer("share")) if isinstance(head, LineHead) else 1.0
    return {"networks": len(final), "share": share, "again": refit or len(final) > 1}


def _settled(plan: Plan, outcome: Outcome) -> Plan:
    """The plan with what only the training could find: the rate of a range test, the step where the clock stopped."""
    found: dict[str, Any] = {}
    because = dict(plan.because)
    if plan.train.lr == "range":
        found["lr"] = outcome.lr
        because["train.lr"] = f"a range test found the loss to fall fastest near {outcome.lr:.2g} (Smith 2017)"
    if outcome.turns:
        found["course"] = outcome.turns
        because["train.course"] = "steps took longer than was measured, so the rest of the schedule was compressed"
    if outcome.stopped == "budget":
        found["stop_step"] = outcome.steps
        because["train.stop_step"] = f"the clock stopped the training after {outcome.seconds:.0f} s"
    if not found:
        return plan
    return plan.model_copy(update={"train": plan.train.with_(**found), "because": because})


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
