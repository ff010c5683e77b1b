"""The training as its events tell it: curves, what guards did, where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limpid.core.events import FIRST_STEPS
from limpid.reporting import figures
from limpid.reporting.figures import Figure
from limpid.reporting.wording import capped, duration, metric_title, number, plain, real

MAX_GUARDS, MAX_NOTES = 30, 40
Events = Sequence[Mapping[str, Any]]


def _of(events: Events, name: str) -> list[Mapping[str, Any]]:
    return [e for e in events if e.get("event") == name]


def _epochs(events: Events) -> list[Mapping[str, Any]]:
    """The last record of each epoch: a resumed run goes through some of them again."""
    last = {int(epoch): e for e in _of(events, "EpochEnded") if (epoch := real(e.get("epoch"))) is not None}
    return [last[epoch] for epoch in sorted(last)]


def _line(records: Events, x: str, y: str) -> list[tuple[float, float]]:
    points = ((real(e.get(x)), real(e.get(y))) for e in records)
    return [(a, b) for a, b in points if a is not None and b is not None]


def curve_figures(events: Events) -> dict[str, Figure | None]:
    """Loss, metric, rate, norms and throughput over the epochs."""
    epochs = _epochs(events)
    started: Mapping[str, Any] = next(iter(reversed(_of(events, "TrainingStarted"))), {})
    best = max((real(e.get("epoch")) or 0 for e in epochs if e.get("best")), default=None)
    metric = metric_title(str(started.get("metric") or "metric"))
    higher = "Higher" if started.get("greater_is_better", True) else "Lower"
    marked: dict[str, Any] = (
        {"mark_at": best, "mark_says": f"best epoch {number(best)}"} if best is not None and len(epochs) > 1 else {}
    )
    kept = " The dotted green line is the epoch whose weights were kept." if marked else ""
    steps = _of(events, "StepEnded")
    # The first steps are always there; only where later ones are too do they draw the whole schedule.
    rates = _line(steps, "step", "lr") if len(steps) > len(epochs) + FIRST_STEPS else []
    fine = "step" if rates else "epoch"
    rates = rates or _line(epochs, "epoch", "lr")
    return {
        "loss": figures.curves(
            {"training": _line(epochs, "epoch", "train_loss"), "validation": _line(epochs, "epoch", "valid_loss")},
            "Loss",
            f"Both lines should fall; where validation rises while training falls, the network learns by heart.{kept}",
            x="epoch",
            y="mean loss",
            **marked,
        ),
        "metric": figures.curves(
            {"validation": _line(epochs, "epoch", "metric")},
            f"Validation {metric}",
            f"{higher} is better; a line that has gone flat has nothing more to gain.{kept}",
            x="epoch",
            y=metric,
            **marked,
        ),
        "rate": figures.curves(
            {"learning rate": rates},
            "Learning rate",
            "The size of the steps; it usually rises for a short while and then falls.",
            x=fine,
            y="learning rate",
        ),
        "gradient": figures.curves(
            {"gradient norm": _line(epochs, "epoch", "gradient_norm")},
            "Gradient norm",
            "How hard the loss pulls at the weights; a sudden jump is instability, a fall to nearly 0 a dead network.",
            x="epoch",
            y="norm before clipping",
            log=True,
        ),
        "update": figures.curves(
            {"update ratio": _line(epochs, "epoch", "update_ratio")},
            "Size of the updates",
            "What a step changes, relative to the weights; about 0.001 is usual, above 0.1 wild, below 0.00001 idle.",
            x="epoch",
            y="|update| / |weight|",
            log=True,
        ),
        "throughput": figures.curves(
            {"throughput": _line(epochs, "epoch", "rows_per_second")},
            "Throughput",
            "Rows learnt from in a second; a fall says that something else used the machine.",
            x="epoch",
            y="rows per second",
            zero=True,
        ),
    }


def story(events: Events) -> dict[str, Any]:
    """What to say of the training in words."""
    started = _of(events, "TrainingStarted")
    ended = _of(events, "TrainingEnded")
    first: Mapping[str, Any] = started[0] if started else {}
    last: Mapping[str, Any] = ended[-1] if ended else {}
    stages = [
        (plain(e.get("stage"), 20), duration(e.get("seconds")))
        for e in _of(events, "StageEnded")
        if real(e.get("seconds")) is not None
    ]
    return {
        "trained": bool(_epochs(events)),
        "resumed": max(0, len(started) - 1),
        "device": plain(first.get("device"), 20),
        "precision": plain(first.get("precision"), 10),
        "rows": number(first.get("rows")),
        "steps": number(last.get("step") or first.get("steps")),
        "stopped": {
            "early": "validation stopped improving",
            "epochs": "all planned epochs were done",
            "budget": "the budget was used up",
            "interrupted": "it was interrupted",
        }.get(str(last.get("stopped")), plain(last.get("stopped"), 40)),
        "best_epoch": number(last.get("best_epoch")) if real(last.get("best_epoch")) is not None else "",
        "checkpoints": len(_of(events, "CheckpointSaved")),
        "stages": stages[:30],
    }


def guards(events: Events) -> dict[str, Any]:
    """What guards caught, and the warnings that were given on the way."""
    acted, more = capped(_of(events, "GuardActed"), MAX_GUARDS)
    said = [e for e in _of(events, "Noted") if e.get("level") in ("look", "warning", "fault")]
    unique = list({plain(e.get("text"), 400): str(e.get("level")) for e in said}.items())
    notes, more_notes = capped(unique, MAX_NOTES)
    return {
        "acted": [
            {
                "guard": plain(e.get("guard"), 40),
                "step": number(e.get("step")),
                "what": plain(e.get("what"), 300),
                "did": plain(e.get("did"), 300),
            }
            for e in acted
        ],
        "more": more,
        "notes": [{"text": text, "level": "warning" if level == "warning" else "look"} for text, level in notes],
        "more_notes": more_notes,
    }
