"""Everything that happens, as frozen events that listeners hear and cannot change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FIRST_STEPS = 5
"""So many steps of a training are always told, so that it can be replayed and compared."""


@dataclass(frozen=True)
class Event:
    """Base of all events; `at` is the time in seconds since 1970."""

    at: float = field(default_factory=time.time, kw_only=True)

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON, with its name."""
        return {"event": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class StageStarted(Event):
    """A step of the way of the data begins ("read", "split", "plan", "encode", "train", "evaluate", "report")."""

    stage: str
    detail: str = ""


@dataclass(frozen=True)
class StageEnded(Event):
    """A step ended after `seconds`."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Decided(Event):
    """One `auto` was decided."""

    path: str
    value: Any
    because: str


@dataclass(frozen=True)
class Noted(Event):
    """Something a person should know: a repair, a warning, advice. `level` is info, look or warning."""

    level: str
    text: str


@dataclass(frozen=True)
class TrainingStarted(Event):
    """The loop begins; a resumed one at a step above 0."""

    rows: int
    steps: int
    steps_per_epoch: int
    epochs: int
    step: int
    parameters: int
    device: str
    precision: str
    metric: str
    greater_is_better: bool


@dataclass(frozen=True)
class StepEnded(Event):
    """Sent for the first steps of a training, whose losses an audit compares, then a few times a second at most."""

    step: int
    epoch: int
    loss: float
    lr: float
    rows_per_second: float
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class EpochEnded(Event):
    """The figures of an epoch: means over its steps, and the score on validation rows.

    Args:
        gradient_norm: mean norm of the gradient before clipping.
        update_ratio: mean of |update| / |weight| over the matrix weights.
    """

    epoch: int
    step: int
    train_loss: float
    valid_loss: float
    metric: float
    best: bool
    lr: float
    gradient_norm: float
    update_ratio: float
    rows_per_second: float
    seconds: float


@dataclass(frozen=True)
class LayersSeen(Event):
    """What the layers look like after a step; sent every fifty steps at most.

    Args:
        layers: of each the fields of a `LayerSeen` (training/layer_watch.py).
    """

    step: int
    layers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class GuardActed(Event):
    """A guard caught something and did something about it."""

    guard: str
    step: int
    what: str
    did: str


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """State from which the run can go on."""

    step: int
    path: str


@dataclass(frozen=True)
class TrainingEnded(Event):
    """`stopped` says why: "epochs", "early", "budget", "interrupted"."""

    stopped: str
    step: int
    epoch: int
    best_epoch: int
    metric: float
    seconds: float


@dataclass(frozen=True)
class Evaluated(Event):
    """Figures of one part of the data, of the model or of a baseline."""

    part: str
    model: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RunEnded(Event):
    """The last event of a run."""

    seconds: float
    report: str


Listener = Callable[[Event], None]
"""Hears every event; an error in a listener is a fault of ours, so it is not caught."""


def unheard(event: Event) -> None:
    """A listener for what nobody wants to hear of."""


def broadcast(*listeners: Listener) -> Listener:
    """One listener that passes each event on to several."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
