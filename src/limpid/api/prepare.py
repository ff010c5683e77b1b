"""The way from a request to a plan and encoded data: what `train` and `plan` have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from limpid._version import __version__
from limpid.api.encode import LeftOut, encode_part
from limpid.api.fair import check_fairness
from limpid.api.request import Request
from limpid.api.shown import show_columns
from limpid.api.starts import read_starts
from limpid.core.contracts import Reasons, Size
from limpid.core.errors import RequestError
from limpid.core.events import Decided, Listener, Noted, StageEnded, StageStarted
from limpid.core.forms import Shape
from limpid.core.seeds import derive
from limpid.core.spec import AUTO, parse
from limpid.data.encoded import Encoded
from limpid.data.profile import profile
from limpid.data.table import Table
from limpid.nets import CATALOGUE
from limpid.planning.assemble import Assembled, build
from limpid.planning.augmentation import Augmentation, augmentation
from limpid.planning.begin import put_weights
from limpid.planning.draft import Draft, decide_data
from limpid.planning.forecast import asks_forecast, decide_forecast
from limpid.planning.networks import plan_nets, read_nets
from limpid.planning.parts import COMPARED_BYTES, row_bytes
from limpid.planning.plan import Component, EvaluateSpec, Plan
from limpid.planning.start import Starts
from limpid.planning.train_plan import Pace, plan_training
from limpid.planning.train_spec import TrainSpec
from limpid.training.measure import flops, machine_key, threads
from limpid.training.pace import can_bf16, measure_pace

_PACE_ROWS = 8_192
_PACE_BYTES = 256 << 20
_COMPARED_ROWS = 300_000
JUDGED_ROWS = 200_000
"""Rows of a part that figures are of, at most."""
WATCHED_ROWS = 50_000
"""Validation rows that the training looks at, at most; calibration and figures look at more."""


@contextmanager
def stage(tell: Listener, name: str, detail: str = "") -> Iterator[None]:
    """Say when a stage begins and ends."""
    start = time.monotonic()
    tell(StageStarted(name, detail))
    yield
    tell(StageEnded(name, time.monotonic() - start))


@dataclass
class Prepared:
    """Data that were looked at, and the nets that will read them."""

    request: Request
    draft: Draft
    profile: dict[str, Any]
    nets: dict[str, Component]
    advice: dict[str, Any]
    advice_reasons: Reasons
    because: Reasons
    evaluate: EvaluateSpec
    starts: Starts = field(default_factory=Starts)
    frozen: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    judging: float = 0.0
    """Seconds that the trained network will take to answer validation and test rows."""

    @property
    def sizes(self) -> dict[str, int]:
        """Part -> number of its rows."""
        return {name: len(part.rows) for name, part in self.draft.parts.items()}

    @property
    def asked(self) -> TrainSpec:
        """What was asked of the training; the rest says "auto"."""
        return asked_training(self.request)

    @property
    def shapes(self) -> dict[str, Shape]:
        """Input name -> shape."""
        return self.draft.encoders.shapes()

    def augmentation(self) -> Augmentation:
        """What changes training examples."""
        return augmentation(self.draft.encoders, self.shapes, derive(self.draft.seed, "augmentation"), self.frozen)

    def build(self) -> tuple[Assembled, list[str]]:
        """The network with its first weights, which follow from the seed and what it starts from; says what was taken.

        Inputs whose nets stay as they are, are noted.
        """
        names = list(self.nets)
        model = build(
            self.nets[names[0]],
            {n: self.nets[n] for n in names[1:]},
            self.shapes,
            self.draft.encoders.inputs,
            self.draft.task,
            seed=derive(self.draft.seed, "weights"),
            module=self.request.module,
        )
        self.frozen = model.frozen
        return model, put_weights(model, self.starts, self.draft.task)


def prepare(request: Request, tell: Listener, *, look: bool = True) -> Prepared:
    """Look at the data and decide everything but the training.

    Args:
        request: the call.
        tell: hears of stages and decisions.
        look: whether the data are described, which decides nothing.

    Raises:
        LimpidError: the request or the data are wrong.
    """
    starts = read_starts(request, tell)
    with stage(tell, "look", ", ".join(t.name for t in request.tables.values())):
        draft = _draft(request, starts)
        check_fairness(draft, asked_training(request))
    with stage(tell, "profile"):
        found = look_closely(draft) if look else {}
        for leak in found.get("leaks", []):
            if leak.get("level") in ("warning", "fault", "look"):
                tell(Noted(leak["level"], f"leak suspect: {leak['what']}: {leak['evidence']}"))
    inputs = draft.encoders.inputs
    seconds = training_seconds(request, len(draft.parts["train"].rows))
    size = Size(
        rows=len(draft.parts["train"].rows),
        outputs=draft.task.outputs,
        task=draft.task.name,
        seconds=seconds,
        flops_per_second=flops("fp32", 0, request.device),
        half_flops_per_second=flops("bf16", 0, request.device) if can_bf16(request.device) else None,
    )
    nets, because, advice, advice_reasons = plan_nets(
        read_nets(request.settings, inputs),
        draft.encoders.shapes(),
        inputs,
        size,
        external=request.module is not None,
        defaults=draft.encoders.default_nets,
        starts=starts,
    )
    evaluate = parse(EvaluateSpec, request.settings.get("evaluate") or {}, where="evaluate")
    because = {**draft.because, **because}
    if size.rows < getattr(draft.task, "refit_below", 0) and "refit" not in advice:
        advice["refit"] = True
        advice_reasons["refit"] = "few rows, and a task whose latest rows say most about the next ones"
    return Prepared(request, draft, found, nets, advice, advice_reasons, because, evaluate, starts)


def asked_training(request: Request) -> TrainSpec:
    """The train section of a request."""
    return parse(TrainSpec, request.settings.get("train") or {}, where="train")


def _draft(request: Request, starts: Starts) -> Draft:
    seconds = training_seconds(request, request.tables["train"].rows)
    if asks_forecast(request.task, request.settings):
        return forecast_draft(request, seconds)
    return decide_data(
        request.tables,
        request.settings,
        target=request.target,
        task=request.task,
        seed=request.seed,
        source=request.source,
        seconds=seconds,
        starts=starts,
    )


def forecast_draft(request: Request, seconds: float | None = None) -> Draft:
    """What looking at series gives.

    Args:
        request: the call.
        seconds: time for the training under a budget, roughly, or None.
    """
    return decide_forecast(
        request.tables,
        request.settings,
        target=request.target,
        seed=request.seed,
        source=request.source,
        seconds=seconds,
    )


def look_closely(draft: Draft) -> dict[str, Any]:
    """The profile of training rows; the other parts are only compared with them for copies, which decides nothing."""
    because = {name: draft.because.get(f"data.columns.{name}", "") for name in draft.data.columns}
    rows = {name: len(part.rows) for name, part in draft.parts.items()}
    frame, parts = draft.sample, None
    names = list(draft.data.columns)
    train = draft.parts["train"]
    if not _has(train.table, names):  # rows are made of the source's rows: these are looked at
        made = profile(
            frame, draft.data.columns, draft.facts, list(draft.data.target), because=because, seed=draft.seed
        )
        # That neighbours are alike is what a forecast lives on.
        return {**made, "leaks": [leak for leak in made.get("leaks", []) if leak.get("kind") != "order"]}
    bytes_ = sum(rows.values()) * row_bytes(draft.parts["train"].table, names)
    if sum(rows.values()) <= _COMPARED_ROWS and bytes_ <= COMPARED_BYTES:
        frames = [part.table.look(names, rows=part.rows) for part in draft.parts.values() if _has(part.table, names)]
        named = [np.full(rows[n], n) for n, part in draft.parts.items() if _has(part.table, names)]
        if len({tuple(f.schema.items()) for f in frames}) == 1:
            frame, parts = pl.concat(frames), np.concatenate(named)
    found = profile(
        frame, draft.data.columns, draft.facts, list(draft.data.target), because=because, parts=parts, seed=draft.seed
    )
    show_columns(found, train.table, draft.data.columns, draft.data.target[0], train.rows)
    return found


def _has(table: Table, names: list[str]) -> bool:
    return set(names) <= set(table.columns)


def training_seconds(request: Request, rows: int) -> float | None:
    """Time for the training loop under the budget: what is left after looking, baselines, evaluation and report."""
    left = request.clock.left
    if left is None:
        return None
    assert request.clock.budget is not None
    return max(1.0, left - reserve(request.clock.budget, rows) - 0.1 * request.clock.budget)


def reserve(budget: float, rows: int) -> float:
    """Seconds kept for what follows the training: evaluation, saving, report."""
    # Of a long budget less is kept than of a short one: what it is for does not grow with it. Beyond some two million
    # training rows, samples of the same size are judged.
    share = 0.04 * min(budget, 60.0) + 0.01 * max(0.0, budget - 60.0)
    return min(0.4 * budget, 2.5 + share + min(rows, 10 * JUDGED_ROWS) * 4e-6)


def encode(prepared: Prepared, tell: Listener, folder: Path | None, *, most: int | None = None) -> dict[str, Encoded]:
    """Encode all parts, or the first `most` rows of each."""
    draft = prepared.draft
    whole = max(1, sum(len(part.rows) for part in draft.parts.values()))
    encoded = {}
    with stage(tell, "encode", f"{sum(len(p.rows) for p in draft.parts.values()):,} rows"):
        for name, part in draft.parts.items():
            encoded[name] = encode_part(
                part if most is None else part.head(most),
                draft.encoders,
                draft.task,
                draft.repairs,
                None if folder is None else folder / name,
                # Shared out by rows, so that parts together hold no more than one would alone.
                draft.data.resident_bytes * len(part.rows) // whole,
                prepared.left_out,
            )
    for repair in draft.repairs:
        tell(Noted("look", f"{repair.where}: {repair.count:,} {repair.what}"))
    return encoded


def finish_plan(prepared: Prepared, train: Encoded, tell: Listener, model: Assembled) -> tuple[Plan, float]:
    """Measure the machine's pace with this network and fill in the training.

    Args:
        prepared: all but the training.
        train: encoded training rows.
        tell: hears of decisions.
        model: the network with its first weights; it is left as it is.

    Returns:
        the plan, and the expected seconds of the training loop.
    """
    request, draft = prepared.request, prepared.draft
    asked = prepared.asked
    _any_size(prepared, asked)
    rows = prepared.sizes["train"]
    seconds = None
    if request.clock.budget is not None:
        seconds = max(0.5, (request.clock.left or 0.0) - reserve(request.clock.budget, rows))
    pace = Pace({"fp32": 1.0}, 0.0, 1)
    layers = len(model.depths())
    if prepared.advice.get("epochs") == 0 and asked.epochs == AUTO:
        pace = Pace({"fp32": 1.0}, 0.0, threads())  # there is no step to be timed
    elif asked.epochs == AUTO or AUTO in (asked.precision, asked.threads, asked.channels_last):
        pace = _pace(prepared, asked, train, request.device, model, layers)
    valid, test = (min(prepared.sizes.get(n, 0), JUDGED_ROWS) for n in ("valid", "test"))
    prepared.judging = pace.judging(valid, test, min(prepared.sizes.get("valid", 0), WATCHED_ROWS))
    if seconds is not None:
        seconds = max(0.5, seconds - prepared.judging)
    spec, reasons, expected = plan_training(
        asked, prepared.advice, prepared.advice_reasons, rows=rows, pace=pace, seconds=seconds, layers=layers
    )
    because = {**prepared.because, **{f"train.{field}": reason for field, reason in reasons.items()}}
    old = request.settings.get("because") or {}
    because.update({p: str(r) for p, r in old.items() if because.get(p, "as asked") == "as asked" or request.replay})
    names = list(prepared.nets)
    plan = Plan(
        limpid=__version__,
        seed=draft.seed,
        budget_seconds=request.clock.budget,
        data=draft.data,
        split=draft.split,
        task=Component(name=draft.task.name, settings=draft.task.spec.model_dump(mode="json")),
        net=prepared.nets[names[0]],
        nets={n: prepared.nets[n] for n in names[1:]},
        train=spec,
        evaluate=prepared.evaluate,
        machine={"key": machine_key(), "device": request.device, "seconds_expected": round(expected, 1)},
        because=because,
    )
    tree = plan.as_dict()
    for path, reason in because.items():
        tell(Decided(path, value_at(tree, path), reason))
    return plan, expected


def _any_size(prepared: Prepared, asked: TrainSpec) -> None:
    """Pictures are shown small only where every net that reads some takes any size.

    Raises:
        RequestError: it is asked for, and one of them does not.
    """
    forms = prepared.draft.encoders.inputs
    readers = [net.name for name, net in prepared.nets.items() if forms[name] == "grid"]
    fixed = [n for n in readers if n == "external" or not getattr(CATALOGUE.load(n, where="net"), "any_size", False)]
    if fixed or not readers:
        prepared.advice.pop("small", None)
    if asked.small not in (AUTO, 0.0) and (fixed or not readers):
        raise RequestError(
            f"pictures cannot be shown small: {fixed[0]} reads one size alone" if fixed else "there are no pictures",
            where="train.small",
            expected="nets that read pictures of any size, such as resnet",
            fix="leave train.small out, or choose --net resnet",
        )


def _pace(prepared: Prepared, asked: TrainSpec, train: Encoded, device: str, model: Assembled, layers: int) -> Pace:
    rows = np.arange(max(1, min(len(train), _PACE_ROWS, int(_PACE_BYTES * len(train) / max(train.nbytes, 1)))))
    sample = train.take(rows)
    guess, _, _ = plan_training(
        asked,
        prepared.advice,
        prepared.advice_reasons,
        rows=prepared.sizes["train"],
        pace=Pace({"fp32": 1.0}, 0.0, 1),
        seconds=None,
        layers=layers,
    )
    return measure_pace(
        model,
        prepared.draft.task,
        sample,
        guess.with_(precision=asked.precision, threads=asked.threads, channels_last=asked.channels_last),
        valid_rows=min(prepared.sizes.get("valid", 0), WATCHED_ROWS),
        device=device,
        fresh=prepared.request.clock.budget is not None,
        augment=prepared.augmentation(),
        signature=str({n: c.as_dict() for n, c in prepared.nets.items()})
        + str({n: s.model_dump() for n, s in prepared.shapes.items()}),
    )


def value_at(tree: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of a plan; column names may hold dots. None where it has none of its own.

    Example:
        >>> value_at({"train": {"lr": 0.1}}, "train.lr")
        0.1
    """
    node: Any = tree
    rest = path
    while rest:
        if not isinstance(node, Mapping):
            return None
        key = rest
        while key not in node:
            key, dot, _ = key.rpartition(".")
            if not dot:
                return None
        node = node[key]
        rest = rest[len(key) + 1 :]
    return node
