"""The verb `train`: from raw data to a run folder with a model and a report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limpid.api.finish import finish
from limpid.api.forecasts import windows_of
from limpid.api.frozen import with_features
from limpid.api.prepare import JUDGED_ROWS, WATCHED_ROWS, Prepared, encode, finish_plan, prepare, reserve, stage
from limpid.api.request import Request, read_request
from limpid.api.runs import Run
from limpid.api.shown import seen
from limpid.core.errors import LimpidError, RequestError, RunError
from limpid.core.events import Listener, Noted, RunEnded, broadcast
from limpid.core.files import write_bytes
from limpid.core.forms import FieldsShape, GridShape, Shape
from limpid.core.run import RunFolder, new_name
from limpid.core.seeds import derive, generator
from limpid.data.encoded import Encoded, joined
from limpid.planning.assemble import Assembled, describe
from limpid.planning.begin import put_weights
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
    from limpid.training.supervised import fit

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
    folder.write(folder.path / "network.json", _drawn(model, prepared, train_part))
    if looks := seen(train_part, prepared.augmentation(), prepared.draft.encoders.inputs):
        folder.write(folder.seen, looks)
    encoded = with_features(prepared, model, encoded, tell)
    train_part, valid_part = encoded["train"], encoded["valid"]
    with stage(tell, "plan"):
        plan, expected = finish_plan(prepared, train_part, tell, model)
        write_plan(plan, folder.plan)
    if request.clock.budget is None:
        tell(Noted("info", f"training takes about {_spoken(expected)} at most; early stopping usually ends it sooner"))
    prepare_model(prepared, train_part, model)
    left = None
    if request.clock.budget is not None:
        left = request.clock.deadline(reserve(request.clock.budget, len(train_part)) + prepared.judging)
    try:
        outcome = fit(
            model,
            prepared.draft.task,
            train_part,
            sample_of(valid_part, WATCHED_ROWS, derive(prepared.draft.seed, "watched")),
            plan.train,
            seed=derive(plan.seed, "training"),
            device=request.device,
            folder=folder.checkpoint,
            resume=resume,
            tell=tell,
            deadline=left,
            loss=request.loss,
            metric=request.metric,
            columns=_columns(prepared),
            augment=prepared.augmentation(),
        )
    except RunError:
        if earlier is not None:  # the checkpoint there is of another plan: the one that it belongs to
            write_bytes(folder.plan, earlier)
        raise
    if outcome.stopped == "interrupted":
        raise KeyboardInterrupt
    model.fold()
    plan = _settled(plan, outcome)
    if plan.train.refit is True and (late := _too_late_to_refit(prepared, outcome, len(valid_part))):
        tell(Noted("look", late))
        because = {**plan.because, "train.refit": late}
        plan = plan.model_copy(update={"train": plan.train.with_(refit=False), "because": because})
    write_plan(plan, folder.plan)
    final = model
    if plan.train.refit is True:
        with stage(tell, "refit", "on training and validation rows together"):
            final = refit(prepared, plan, train_part, valid_part, outcome, folder, resume=resume)
    report = finish(prepared, plan, folder, model, final, encoded, outcome, beside, tell, request.clock)
    shutil.rmtree(scratch, ignore_errors=True)
    budget, took = request.clock.budget, request.clock.elapsed
    if budget is not None and took > 1.1 * budget:
        text = f"the run took {took:.1f} s: reading, judging and the report alone need more than {budget:g} s"
        tell(Noted("warning", text))
    tell(RunEnded(request.clock.elapsed, str(report)))


def sample_of(part: Encoded, most: int, seed: int, most_bytes: int = _SAMPLE_BYTES) -> Encoded:
    """Up to `most` rows of a part, fewer large ones, in their order, from a seeded draw."""
    most = max(1, min(most, int(most_bytes * len(part) / max(part.nbytes, 1))))
    if len(part) <= most:
        return part
    return part.take(np.sort(generator(seed, "sample").choice(len(part), most, replace=False)))


def refit(
    prepared: Prepared,
    plan: Plan,
    train_part: Encoded,
    valid_part: Encoded,
    outcome: Outcome,
    folder: RunFolder,
    *,
    resume: bool,
) -> Assembled:
    """The network fitted anew on training and validation rows, for as many steps a row as were best before."""
    from limpid.training.supervised import fit

    both = joined(train_part, valid_part)
    model, _ = prepared.build()
    prepare_model(prepared, both, model)
    if not outcome.best_step:
        return model.eval()
    spec = plan.train
    per_epoch = spec.epoch_steps or -(-len(train_part) // (int(spec.batch) * spec.accumulate))
    growth = len(both) / len(train_part)
    spec = spec.with_(
        lr=outcome.lr,
        epoch_steps=max(1, round(per_epoch * growth)),
        stop_step=max(1, round(outcome.best_step * growth)),
        course=tuple((round(step * growth), max(1, round(end * growth))) for step, end in spec.course),
        patience=0,
    )
    again = fit(
        model,
        prepared.draft.task,
        both,
        None,
        spec,
        seed=derive(plan.seed, "refit"),
        device=prepared.request.device,
        folder=folder.checkpoint / "refit",
        resume=resume,
        loss=prepared.request.loss,
        metric=prepared.request.metric,
        columns=_columns(prepared),
        augment=prepared.augmentation(),
    )
    if again.stopped == "interrupted":
        raise KeyboardInterrupt
    model.fold()
    return model


def prepare_model(prepared: Prepared, train_part: Encoded, model: Assembled) -> None:
    """Have the network look once at training examples; what it starts from has the last word."""
    import torch

    part = sample_of(train_part, _PREPARE_ROWS, derive(prepared.draft.seed, "prepare rows"), _PREPARE_BYTES)
    assert part.target is not None
    batch = {name: torch.from_numpy(np.array(a)) for name, a in part.arrays.items()}
    target = prepared.draft.task.prepare_target(torch.from_numpy(np.array(part.target)))
    weight = None if part.weight is None else torch.from_numpy(np.array(part.weight))
    torch.manual_seed(derive(prepared.draft.seed, "prepare"))
    model.prepare(batch, target, weight, then=lambda: put_weights(model, prepared.starts, prepared.draft.task))


def _columns(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """Names of the numbers of each input, for messages about bad values."""
    return {
        f"{name}.numbers": shape.numbers for name, shape in prepared.shapes.items() if isinstance(shape, FieldsShape)
    }


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


def _too_late_to_refit(prepared: Prepared, outcome: Outcome, more: int) -> str | None:
    """Why the budget leaves no time to fit the network anew on `more` rows besides; None where it does."""
    clock, rows = prepared.request.clock, prepared.sizes["train"]
    if clock.budget is None or clock.left is None:
        return None
    needed = outcome.seconds * outcome.best_step / max(outcome.steps, 1) * (rows + more) / rows
    left = clock.left - reserve(clock.budget, rows) - prepared.judging
    if needed <= left:
        return None
    return (
        f"fitting anew on training and validation rows would take about {needed:.1f} s, and the budget leaves "
        f"{max(left, 0.0):.1f} s: the network that was judged is the one that is kept"
    )


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
