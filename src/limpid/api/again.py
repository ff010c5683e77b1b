"""Fits after the first one: without each part of the rows in turn, whose mean is the model, or once on all rows."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from limpid.api.finish import all_metrics
from limpid.api.prepare import WATCHED_ROWS, Prepared, reserve, stage
from limpid.bundle.model import forward
from limpid.core.contracts import Prediction
from limpid.core.events import Listener, Noted, StageStarted, unheard
from limpid.core.forms import FieldsShape
from limpid.core.run import RunFolder
from limpid.core.seeds import derive, generator
from limpid.data.encoded import Encoded, joined
from limpid.evaluation.intervals import paired
from limpid.layers.line import LineHead, blended
from limpid.planning.assemble import Assembled
from limpid.planning.begin import put_weights
from limpid.planning.plan import Plan
from limpid.planning.train_spec import TrainSpec
from limpid.training.fairness import reweighed
from limpid.training.supervised import fit

if TYPE_CHECKING:
    from limpid.training.state import Outcome

Outputs = NDArray[np.float32]
Places = NDArray[np.int64]

_PREPARE_ROWS = 50_000
_SAMPLE_BYTES = 1 << 30
_PREPARE_BYTES = 64 << 20
_FEWEST = 8
_SHARES = tuple(n / 20 for n in range(21))
_DOUBT = 0.5  # standard errors; none, a quarter and a whole one were worse on few rows of seven tables
_SPAN = 3.92  # standard errors in a 95 % interval


def again(
    prepared: Prepared,
    plan: Plan,
    model: Assembled,
    train_part: Encoded,
    valid_part: Encoded,
    outcome: Outcome,
    folder: RunFolder,
    tell: Listener,
    *,
    resume: bool,
) -> tuple[Plan, list[Assembled]]:
    """What the plan wants besides the first fit, as far as the budget has time for it.

    Args:
        model: the network of the first fit; where a line stands beside it, it gets its share.

    Returns:
        the plan with what was done and why, and the networks to keep, whose mean answers: the first one, one for each
        part that was left out, or one fitted on all rows.
    """
    growth = 1 + len(valid_part) / len(train_part)
    parts = 0 if plan.train.folds == "auto" else plan.train.folds
    if parts > 1:
        why = _too_late(prepared, outcome, (parts - 1) * growth, f"leaving out each of {parts} parts in turn")
        if why is None:
            both = joined(train_part, valid_part)
            place = places(both, derive(prepared.draft.seed, "folds"), parts)
            why = _no_parts(prepared, outcome, place, parts)
        if why is None:
            with stage(tell, "folds", f"{parts} networks, each without one of {parts} parts of the rows"):
                members, answers = fold(prepared, plan, train_part, both, place, outcome, folder, tell, resume=resume)
                share, found = weigh(prepared, members, answers)
            if plan.train.fairness and plan.train.fairness_by == "penalty" and share < 1:
                share, found = 1.0, f"{found}; but a line pays no penalty for differences between groups"
            tell(Noted("info", found))
            for each in (model, *members):
                if isinstance(each.head, LineHead):
                    each.head.weigh(share)
            field = "net.line" if isinstance(model.head, LineHead) else "train.folds"
            return plan.model_copy(update={"because": {**plan.because, field: found}}), members
        tell(Noted("look", why))
        plan = _changed(plan, "folds", 0, why)
    if plan.train.refit is not True:
        return plan, [model]
    if late := _too_late(prepared, outcome, growth, "fitting anew on training and validation rows"):
        late = f"{late}: the network that was judged is the one that is kept"
        tell(Noted("look", late))
        return _changed(plan, "refit", False, late), [model]
    both = joined(train_part, valid_part)
    with stage(tell, "refit", "on training and validation rows together"):
        return plan, [repeated(prepared, plan, train_part, both, outcome, folder, "refit", resume=resume)]


def _changed(plan: Plan, field: str, value: Any, why: str) -> Plan:
    because = {**plan.because, f"train.{field}": why}
    return plan.model_copy(update={"train": plan.train.with_(**{field: value}), "because": because})


def repeated(
    prepared: Prepared,
    plan: Plan,
    train_part: Encoded,
    rows: Encoded,
    outcome: Outcome,
    folder: RunFolder,
    name: str,
    *,
    resume: bool,
) -> Assembled:
    """A network fitted on other rows, for as many steps a row as were best in the first fit.

    Args:
        train_part: rows of the first fit.
        rows: of this one.
        name: of its checkpoints and its random numbers.
    """
    model, _ = prepared.build()
    prepare_model(prepared, rows, model, plan.train)
    if not outcome.best_step:
        return model.eval()
    spec = plan.train
    per_epoch = spec.epoch_steps or -(-len(train_part) // (int(spec.batch) * spec.accumulate))
    growth = len(rows) / len(train_part)
    spec = spec.with_(
        lr=outcome.lr,
        epoch_steps=max(1, round(per_epoch * growth)),
        stop_step=max(1, round(outcome.best_step * growth)),
        course=tuple((round(step * growth), max(1, round(end * growth))) for step, end in spec.course),
        patience=0,
        watch=False,  # what is shown of a training is shown of the first
    )
    seed = derive(plan.seed, name)
    fitted(prepared, model, rows, None, spec, seed=seed, folder=folder.checkpoint / name, resume=resume)
    model.fold()
    return model


def fitted(
    prepared: Prepared,
    model: Assembled,
    train: Encoded,
    valid: Encoded | None,
    spec: TrainSpec,
    *,
    seed: int,
    folder: Path | None = None,
    resume: bool = False,
    tell: Listener = unheard,
    deadline: float | None = None,
) -> Outcome:
    """One training of the prepared data, of whatever rows.

    Args:
        model: trained in place.
        train, valid: encoded rows.
        spec: settings without any "auto".
        seed: what order and dropout follow from.
        folder: of the checkpoints, or None.
        resume: whether to go on from a checkpoint where there is one.
        tell: hears events.
        deadline: `time.monotonic()` value to be done by, or None.

    Raises:
        KeyboardInterrupt: it was interrupted; what can be gone on with is saved.
        TrainingError, RunError: as `training.supervised.fit` has them.
    """
    request = prepared.request
    outcome = fit(
        model,
        prepared.draft.task,
        train,
        valid,
        spec,
        seed=seed,
        device=request.device,
        folder=folder,
        resume=resume,
        tell=tell,
        deadline=deadline,
        loss=request.loss,
        metric=request.metric,
        columns=columns_of(prepared),
        augment=prepared.augmentation(),
    )
    if outcome.stopped == "interrupted":
        raise KeyboardInterrupt
    return outcome


def looked_at(prepared: Prepared, valid: Encoded) -> Encoded:
    """The validation rows that a training looks at: of very many a sample."""
    return sample_of(valid, WATCHED_ROWS, derive(prepared.draft.seed, "watched"))


def fold(
    prepared: Prepared,
    plan: Plan,
    train_part: Encoded,
    both: Encoded,
    place: Places,
    outcome: Outcome,
    folder: RunFolder,
    tell: Listener,
    *,
    resume: bool,
) -> tuple[list[Assembled], list[tuple[Encoded, Outputs]]]:
    """A network without each part of the rows in turn.

    Args:
        both: training and validation rows.
        place: (N,) the part of each.

    Returns:
        the networks, and the part that each of them never saw, with the raw outputs (N,K) or (N,M,K) for it.
    """
    members, answers = [], []
    parts = int(place.max()) + 1
    for part in range(parts):
        tell(StageStarted("folds", f"network {part + 1} of {parts}"))
        rest, left = (both.take(np.flatnonzero(chosen)) for chosen in (place != part, place == part))
        members.append(repeated(prepared, plan, train_part, rest, outcome, folder, f"fold-{part}", resume=resume))
        answers.append((left, forward(members[-1].eval(), left.arrays)))
    return members, answers


def places(rows: Encoded, seed: int, parts: int) -> Places:
    """(N,) the part that each row is left out with, drawn by the seed; copies of a row go together.

    Args:
        rows: all of them.
        seed: of the draw.
        parts: how many.
    """
    names = sorted(rows.arrays)
    seen = [sha256(b"".join(rows.arrays[n][row].tobytes() for n in names)).hexdigest() for row in range(len(rows))]
    _, first, group = np.unique(np.array(seen), return_index=True, return_inverse=True)
    # Groups count in the order of their first rows, so that the draw does not depend on digests.
    drawn = generator(seed).permutation(len(first)) % parts
    return np.asarray(drawn[np.argsort(np.argsort(first))][group], dtype=np.int64)


def weigh(prepared: Prepared, members: list[Assembled], answers: list[tuple[Encoded, Outputs]]) -> tuple[float, str]:
    """The share of the network beside a line, by answers for rows that were left out of both.

    Shares from 0 to 1 are tried, in twentieths. The smallest one counts that is worse than the best by half a standard
    error of the difference at most (paired, by bootstrap): some hundred rows cannot tell the shares near the best one
    apart, and of what they cannot tell apart the simpler is the better guess (Breiman et al. 1984, with a whole one).

    Args:
        members: networks; where no line stands beside them, their share is 1.
        answers: the part that each never saw, and what it answers.

    Returns:
        the share, and what was found, in words.
    """
    task, metric = prepared.draft.task, all_metrics(prepared)[0]
    parts = [part for part, _ in answers]
    target = np.concatenate([part.target for part in parts if part.target is not None])
    weights = [part.weight for part in parts if part.weight is not None]
    weight = np.concatenate(weights) if weights else None

    def found(outputs: list[Outputs]) -> tuple[Prediction, float]:
        prediction = task.predict(np.concatenate(outputs))
        return prediction, float(metric.compute(target, prediction, weight))

    told = f"{metric.name} of {len(target):,} rows that were left out: "
    learnt = [outputs for _, outputs in answers]
    if not isinstance(members[0].head, LineHead):
        return 1.0, f"{told}{found(learnt)[1]:.4g}"
    lines = [_straight(model, part) for model, part in zip(members, parts, strict=True)]
    tried = [
        found([blended(torch.from_numpy(a), b, share).numpy() for a, b in zip(learnt, lines, strict=True)])
        for share in _SHARES
    ]
    scores = np.array([score for _, score in tried])
    losses = -scores if metric.greater_is_better else scores
    seed = derive(prepared.draft.seed, "share")

    def error(place: int, best: int) -> float:
        gap = paired(metric, target, tried[place][0], tried[best][0], weight, seed)
        return 0.0 if gap is None else (gap[1] - gap[0]) / _SPAN

    chosen, best = simplest(losses, error)
    share = _SHARES[chosen]
    told += f"the network {scores[-1]:.4g}, a line {scores[0]:.4g}, "
    told += f"{share:.0%} network and {1 - share:.0%} line {scores[chosen]:.4g}"
    if chosen != best:
        told += f"; with {_SHARES[best]:.0%} network it is {scores[best]:.4g}, too close to tell apart"
    return share, told


def simplest(losses: NDArray[np.float64], error: Callable[[int, int], float]) -> tuple[int, int]:
    """The first of some models, the simpler ones first, that may be as good as the best.

    Args:
        losses: (C,) of each.
        error: the standard error of the difference of two of them.

    Returns:
        its place, and the place of the best; of equal ones, that is the last.

    Example:
        >>> simplest(np.array([3.0, 1.2, 1.0, 1.1]), lambda place, best: 0.5)
        (1, 2)
    """
    best = len(losses) - 1 - int(np.argmin(losses[::-1]))
    doubtful = (p for p in range(best) if losses[p] - losses[best] <= _DOUBT * error(p, best))
    return next(doubtful, best), best


def _straight(model: Assembled, part: Encoded) -> torch.Tensor:
    """(N,K) what the line beside a network answers."""
    assert isinstance(model.head, LineHead)
    device = model.head.get_buffer("share").device
    batch = {name: torch.from_numpy(np.array(array)).to(device) for name, array in part.arrays.items()}
    found: torch.Tensor = model.head.line(model.form(model.inputs[0], batch))
    return found.cpu()


def _no_parts(prepared: Prepared, outcome: Outcome, place: Places, parts: int) -> str | None:
    """Why no parts are left out; None where they can be."""
    if prepared.draft.split.how in ("group", "time"):
        return f"rows of a {prepared.draft.split.how} hang together, so leaving out single ones would say little"
    if not outcome.best_step:
        return "no step of the training was better than its beginning, so there is nothing to repeat"
    if np.bincount(place, minlength=parts).min() < _FEWEST:
        return f"{len(place):,} rows, copies together, are too few to leave out {parts} parts"
    return None


def _too_late(prepared: Prepared, outcome: Outcome, fits: float, what: str) -> str | None:
    """Why the budget leaves no time for so many more fits of as many rows as the first; None where it does."""
    clock, rows = prepared.request.clock, prepared.sizes["train"]
    if clock.budget is None or clock.left is None:
        return None
    needed = outcome.seconds * outcome.best_step / max(outcome.steps, 1) * fits
    left = clock.left - reserve(clock.budget, rows) - prepared.judging
    if needed <= left:
        return None
    return f"{what} would take about {needed:.1f} s, and the budget leaves {max(left, 0.0):.1f} s"


def sample_of(part: Encoded, most: int, seed: int, most_bytes: int = _SAMPLE_BYTES) -> Encoded:
    """Up to `most` rows of a part, fewer large ones, in their order, from a seeded draw."""
    most = max(1, min(most, int(most_bytes * len(part) / max(part.nbytes, 1))))
    if len(part) <= most:
        return part
    return part.take(np.sort(generator(seed, "sample").choice(len(part), most, replace=False)))


def prepare_model(prepared: Prepared, train_part: Encoded, model: Assembled, spec: TrainSpec) -> None:
    """Have the network look once at training examples, weighted as the training will weigh them; what it starts from
    has the last word."""
    part = sample_of(train_part, _PREPARE_ROWS, derive(prepared.draft.seed, "prepare rows"), _PREPARE_BYTES)
    part = reweighed(part, spec)
    assert part.target is not None
    batch = {name: torch.from_numpy(np.array(a)) for name, a in part.arrays.items()}
    target = prepared.draft.task.prepare_target(torch.from_numpy(np.array(part.target)))
    weight = None if part.weight is None else torch.from_numpy(np.array(part.weight))
    torch.manual_seed(derive(prepared.draft.seed, "prepare"))
    model.prepare(batch, target, weight, then=lambda: put_weights(model, prepared.starts, prepared.draft.task))


def columns_of(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """Names of the numbers of each input, for messages about bad values."""
    return {
        f"{name}.numbers": shape.numbers for name, shape in prepared.shapes.items() if isinstance(shape, FieldsShape)
    }
