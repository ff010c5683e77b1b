"""The complete state of a training: from it, and from nothing else, the following steps are determined.

Two kinds of figures: a Position is rolled back with the weights when a guard acts; a Ledger keeps what must outlive
that, such as the best weights' score and how often a guard has acted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from limpid.training.optim import Optimisers
from limpid.training.policies import Average, all_finite, load_values, values_of

D = TypeVar("D")


@dataclass
class Position:
    """Where the training stands.

    Args:
        step: optimiser steps done.
        scores, losses: of validation, one for each epoch done; None where not finite.
        loss_sum, row_sum, norm_sum, ratio_sum, step_count, ratio_count: running sums of the epoch.
        spike_mean, spike_variance, spike_count, spike_streak: running statistics of the loss for the spike guard.
    """

    step: int = 0
    scores: list[float | None] = field(default_factory=list)
    losses: list[float | None] = field(default_factory=list)
    loss_sum: float = 0.0
    row_sum: int = 0
    norm_sum: float = 0.0
    ratio_sum: float = 0.0
    step_count: int = 0
    ratio_count: int = 0
    spike_mean: float = 0.0
    spike_variance: float = 0.0
    spike_count: int = 0
    spike_streak: int = 0

    def begin_epoch(self) -> None:
        """Empty the running sums."""
        self.loss_sum = self.norm_sum = self.ratio_sum = 0.0
        self.row_sum = self.step_count = self.ratio_count = 0

    def add_step(self, loss: float, norm: float, rows: int) -> None:
        """Count one step."""
        self.step += 1
        self.step_count += 1
        self.loss_sum += loss * rows
        self.row_sum += rows
        self.norm_sum += norm


@dataclass
class Ledger:
    """What a roll-back does not undo.

    Args:
        lr: peak learning rate.
        lr_scale: halved by each roll-back.
        rollbacks: how many there were.
        micro_batch: rows in one forward pass, halved when memory runs out.
        valid_rows: rows in one forward pass of validation.
        best_score, best_loss, best_epoch, best_step: of the best weights; epoch 0 stands for none yet.
        said: names of the notes that were given, each of them once.
        turns: where the end of the schedule was moved (course.py).
        seconds: time spent before the last resume.
        stopped: why the training ended, "" while it goes on.
    """

    lr: float
    micro_batch: int
    valid_rows: int
    lr_scale: float = 1.0
    rollbacks: int = 0
    best_score: float | None = None
    best_loss: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    said: list[str] = field(default_factory=list)
    turns: list[list[int]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = ""


@dataclass(frozen=True)
class Watched:
    """What was seen of a training (watch.py).

    Args:
        layers: at some steps, {"step", "layers": [fields of a `LayerSeen`]}.
        examples: what `RowWatch.concluded` says with each course as a dictionary, or None.
    """

    layers: list[dict[str, Any]]
    examples: dict[str, Any] | None


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        stopped: "epochs", "early", "budget" or "interrupted".
        steps: optimiser steps done.
        epochs: whole epochs done.
        best_epoch, best_step: where the weights that were kept stood, 0 where none was validated.
        metric: name of the metric that the training was judged by.
        score: of the best weights on validation rows, None without any.
        valid_loss: their loss there.
        lr: peak learning rate, after the range test and roll-backs.
        rollbacks: how often a guard rolled back.
        micro_batch: rows in one forward pass at the end.
        seconds: time spent, over all resumes.
        turns: where the end of the schedule was moved (course.py).
        watched: what was seen of layers and examples, or None.
    """

    stopped: str
    steps: int
    epochs: int
    best_epoch: int
    best_step: int
    metric: str
    score: float | None
    valid_loss: float | None
    lr: float
    rollbacks: int
    micro_batch: int
    seconds: float
    turns: tuple[tuple[int, int], ...] = ()
    watched: Watched | None = None


@dataclass(frozen=True)
class Snapshot:
    """A copy of everything at one step.

    Args:
        tensors: "model/NAME", "optimiser/NAME/QUANTITY", "average/NAME".
        position: the figures.
    """

    tensors: dict[str, Tensor]
    position: dict[str, Any]

    def part(self, kind: str) -> dict[str, Tensor]:
        """The tensors of one kind, by their names within it."""
        return {name[len(kind) + 1 :]: t for name, t in self.tensors.items() if name.startswith(kind + "/")}


class Learner:
    """A network with its optimiser and average, which are copied and put back together.

    Args:
        model: the network.
        optimisers: what updates it.
        average: the moving average of its weights, or None.
    """

    def __init__(self, model: nn.Module, optimisers: Optimisers, average: Average | None) -> None:
        self.model = model
        self.optimisers = optimisers
        self.average = average
        self.position = Position()

    def tensors(self) -> dict[str, Tensor]:
        """The state's tensors themselves, not copies."""
        found = {f"model/{name}": t for name, t in values_of(self.model).items()}
        found.update({f"optimiser/{name}": t for name, t in self.optimisers.state().items()})
        if self.average is not None:
            found.update({f"average/{name}": t for name, t in self.average.values.items()})
        return found

    def capture(self) -> Snapshot:
        """A copy of the state."""
        copies = {name: t.detach().clone() for name, t in self.tensors().items()}
        return Snapshot(copies, asdict(self.position))

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a copy.

        Raises:
            KeyError: the copy is of another network.
        """
        load_values(self.model, snapshot.part("model"))
        self.optimisers.load(snapshot.part("optimiser"))
        if self.average is not None:
            saved = snapshot.part("average")
            for name, value in self.average.values.items():
                value.copy_(saved[name])
        self.position = from_dict(Position, snapshot.position)

    def finite(self) -> bool:
        """Whether the weights, the optimiser's memory and the average are free of NaN and infinity."""
        return all_finite(list(self.tensors().values()))

    def model_values(self) -> dict[str, Tensor]:
        """A copy of what is validated and kept: the average where there is one, else the weights."""
        values = self.average.values if self.average is not None else values_of(self.model)
        return {name: value.detach().clone() for name, value in values.items()}


def update_ratio(model: nn.Module, before: Snapshot) -> float:
    """Mean over the matrices of |update| / |weight|; a matrix that was zero has no ratio."""
    ratios = []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and parameter.requires_grad:
                old = before.tensors[f"model/{name}"]
                ratios.append(torch.stack(((parameter - old).norm(), old.norm())))
    if not ratios:
        return 0.0
    moved, size = torch.stack(ratios).unbind(dim=1)
    return float((moved[size > 0] / size[size > 0]).mean()) if bool((size > 0).any()) else 0.0


def from_dict(kind: type[D], values: Mapping[str, Any]) -> D:
    """Build a Position or a Ledger from JSON.

    Raises:
        KeyError: a field is missing.
        TypeError: a field that does not exist, or of another type.
    """
    expected = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if set(values) != expected:
        raise TypeError(f"fields {sorted(set(values) ^ expected)} are missing or unknown")
    copied = {name: list(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**copied)
