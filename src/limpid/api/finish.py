"""What follows the training: calibration, evaluation, the bundle, predictions, the report."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from limpid._version import __version__
from limpid.api import forecasts
from limpid.api.card import write_card
from limpid.api.clock import Clock
from limpid.api.encode import rows_frame
from limpid.api.figures import figures
from limpid.api.origin import origin_of, versions
from limpid.api.prepare import Prepared, stage
from limpid.api.single_answers import affordable, single_answers
from limpid.bundle.model import Model as Bundle
from limpid.bundle.model import forward
from limpid.core.contracts import Metric
from limpid.core.errors import LimpidError
from limpid.core.events import Evaluated, Listener, Noted
from limpid.core.files import replacing
from limpid.core.run import RunFolder
from limpid.core.seeds import derive
from limpid.data.encoded import Encoded
from limpid.data.windows import Windows
from limpid.planning.assemble import Assembled
from limpid.planning.networks import portable
from limpid.planning.plan import Plan

_BOOTSTRAP_ROWS = 200_000
_IMPORTANCE_ROWS, _FEWEST_ROWS, _SHUFFLES = 1_000, 50, 5
_IMPORTANCE_FLOPS = 1e11  # a second or two
_REPORT_SECONDS = 2.5


def finish(
    prepared: Prepared,
    plan: Plan,
    folder: RunFolder,
    network: Assembled,
    final: list[Assembled],
    encoded: dict[str, Encoded],
    outcome: Any,
    beside: list[Any],
    tell: Listener,
    clock: Clock,
) -> Path:
    """Evaluate, save and report; returns the report's path.

    Args:
        network: fitted on training rows; validation rows are judged by it in the precision of the training, and
            calibrate the task.
        final: what is saved and judged on test rows: the same, or others that were fitted on validation rows too.
    """
    draft = prepared.draft
    task = draft.task
    network.eval()
    bundle = Bundle(
        task=task,
        targets={n: plan.data.columns[n] for n in plan.data.target},
        encoders=draft.encoders,
        network=final[0],
        more=final[1:],
        net=portable(plan.net),
        nets={name: portable(net) for name, net in plan.nets.items()},
        rows=len(encoded["train"]) + (len(encoded["valid"]) if final[0] is not network else 0),
        series=plan.data.series if plan.data.series is not None and plan.data.series.layout != "none" else None,
    )
    with stage(tell, "evaluate"):
        held = {name: part for name, part in encoded.items() if name in ("valid", "test")}
        outputs = {
            name: forward(network, part.arrays, precision=str(plan.train.precision))
            if name == "valid"
            else bundle.raw(part.arrays)
            for name, part in held.items()
        }
        valid = held["valid"]
        judged_by = all_metrics(prepared)
        calibration = task.calibrate(outputs["valid"], _target(valid), valid.weight)
        metrics = {
            name: figures(task, outputs[name], _target(part), part.weight, judged_by) for name, part in held.items()
        }
        for name, values in metrics.items():
            tell(Evaluated(name, plan.net.name, {k: v for k, v in values.items() if v is not None}))
        for baseline in beside:
            for part, values in baseline.metrics.items():
                tell(Evaluated(part, baseline.name, {k: v for k, v in values.items() if v is not None}))
        judged = "test" if "test" in held else "valid"
        content = _metrics(prepared, plan, held, outputs, metrics, calibration, outcome, beside, judged)
        content["origin"] = origin_of(prepared.request, folder.plan, sum(content["rows"].values()))
        table, answers = draft.parts[judged].table, task.predict(outputs[judged])
        forecasts.describe(content["details"], table, held[judged], answers, beside, judged)
        tell(Noted("info", content["verdict"]))
        if plan.evaluate.importance:
            content["importance"] = importance(bundle, held[judged], plan.seed, clock)
    for fitted in (network, *final):
        fitted.cpu()
    bundle.card = write_card(plan, content, prepared.profile)
    with stage(tell, "save"):
        bundle.save(folder.model, version=__version__)
        _write_frames(prepared, folder, bundle, held, outputs)
    content["seconds"] = round(clock.elapsed, 2)
    folder.write(folder.metrics, content)
    with stage(tell, "report"):
        if plan.evaluate.explained:
            shuffled = content.get("importance", {}).get("rows", 0)
            shuffles = _SHUFFLES * len(bundle.encoders.columns) if shuffled else 0
            train = len(encoded["train"])
            passes = affordable(train, int(plan.train.batch), outcome.epochs, shuffles, shuffled)
            try:
                single = single_answers(bundle, prepared, held[judged], judged, answers, passes, clock)
            except (LimpidError, RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
                # The model is saved and judged: what cannot be explained, by a file that changed meanwhile or a module
                # of the user's own, is no reason to lose it.
                single = []
                tell(Noted("look", f"no single answer is explained in the report: {error}"))
            if single:
                folder.write(folder.explained, {"part": judged, "answers": single})
        from limpid.reporting.report import write_report

        report = write_report(folder)
    return report


def importance(bundle: Bundle, part: Encoded, seed: int, clock: Clock) -> dict[str, Any]:
    """What the model needs, by shuffling columns of some held-out rows; {} where that would cost too much.

    Without a budget the number of rows follows from the operations that they take, so that no clock is read; under one
    it stops in time for the report.
    """
    end = clock.deadline(_REPORT_SECONDS)
    if end is not None and time.monotonic() > end:
        return {}
    from limpid.explanation.importance import permutation_importance

    columns = len(bundle.encoders.columns)
    each = max(bundle.network.flops(), 1e3) * (1 + len(bundle.more)) * columns * _SHUFFLES
    rows = min(len(part), _IMPORTANCE_ROWS, int(_IMPORTANCE_FLOPS / each))
    if columns < 2 or rows < _FEWEST_ROWS:
        return {}
    index = np.linspace(0, len(part) - 1, rows).astype(np.int64)
    found = permutation_importance(
        bundle,
        {name: np.asarray(array[index]) for name, array in part.arrays.items()},
        _target(part)[index],
        seed=derive(seed, "importance"),
        go_on=lambda: end is None or time.monotonic() < end,
    )
    return found if found["importance"] else {}


def all_metrics(prepared: Prepared) -> list[Metric]:
    """The user's own metric first, where there is one, then the task's."""
    own = prepared.request.metric
    return [*([own] if own is not None else []), *prepared.draft.task.metrics]


def _target(part: Encoded) -> np.ndarray:
    assert part.target is not None
    return part.target


def _metrics(
    prepared: Prepared,
    plan: Plan,
    held: dict[str, Encoded],
    outputs: dict[str, np.ndarray],
    metrics: dict[str, dict[str, float | None]],
    calibration: dict[str, str],
    outcome: Any,
    beside: list[Any],
    judged: str,
) -> dict[str, Any]:
    from limpid.evaluation import details, intervals, verdict

    task = prepared.draft.task
    part = held[judged]
    prediction = task.predict(outputs[judged])
    judged_by = all_metrics(prepared)
    bounds = intervals.bootstrap(
        judged_by,
        _target(part),
        prediction,
        part.weight,
        derive(plan.seed, "bootstrap"),
        repeats=plan.evaluate.intervals,
    )
    gaps = verdict.differences(
        judged_by[0],
        _target(part),
        prediction,
        part.weight,
        beside,
        derive(plan.seed, "gaps"),
        part=judged,
        repeats=max(1, plan.evaluate.intervals),
    )
    compared = {b.name: {"metrics": b.metrics, "seconds": b.seconds, "note": b.note} for b in beside}
    return {
        "task": task.name,
        "target": list(plan.data.target),
        "net": plan.net.name,
        "seed": plan.seed,
        "rows": {name: len(p.rows) for name, p in prepared.draft.parts.items()},
        "metrics": metrics,
        "intervals": {judged: {name: list(low_high) for name, low_high in bounds.items()}},
        "judged": judged,
        "metric": judged_by[0].name,
        "greater_is_better": judged_by[0].greater_is_better,
        "baselines": compared,
        "verdict": verdict.verdict(judged_by[0], metrics[judged], bounds, beside, part=judged, gaps=gaps),
        "calibration": calibration,
        "details": details.details(
            task,
            outputs[judged],
            part,
            prepared.shapes.get("fields"),
            prepared.draft.encoders.value_of,
        ),
        "seconds": 0.0,
        "epochs": outcome.epochs,
        "stopped": outcome.stopped,
        "repairs": prepared.draft.repairs.as_list(),
        "versions": versions(),
        "command": "limpid " + " ".join(shlex.quote(a) for a in sys.argv[1:]) if _from_shell() else "limpid.train(...)",
    }


def _from_shell() -> bool:
    return Path(sys.argv[0]).name in ("limpid", "limpid.exe", "__main__.py") and len(sys.argv) > 1


def _write_frames(
    prepared: Prepared, folder: RunFolder, bundle: Bundle, held: dict[str, Encoded], outputs: dict[str, np.ndarray]
) -> None:
    with replacing(folder.rows) as file:
        rows_frame(prepared.draft.parts).write_parquet(file)
    if prepared.left_out.rows:
        with replacing(folder.left_out) as file:
            prepared.left_out.frame().write_csv(file)
    frames = []
    for name, part in held.items():
        answer = bundle.task.decode(bundle.task.predict(outputs[name]))
        source = prepared.draft.parts[name]
        places = np.searchsorted(source.rows, part.rows)
        truth = source.target[places].rename({c: f"target_{c}" for c in source.target.columns})
        place = pl.DataFrame({"part": [name] * len(part.rows), "row": part.rows})
        if isinstance(source.table, Windows):
            place = place.with_columns(pl.Series("window", source.table.names_of_rows(part.rows)))
        frames.append(pl.concat([place, truth, answer], how="horizontal"))
    with replacing(folder.predictions) as file:
        pl.concat(frames, how="vertical_relaxed").write_parquet(file)
