"""What a person wants to have seen of a training while it ran: its layers, and its examples.

A watch changes nothing that is learnt: with and without it the weights are the same to the last bit.

Legend: B examples, K outputs, M members.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limpid.core.contracts import Task
from limpid.core.events import LayersSeen, Listener
from limpid.planning.train_spec import TrainSpec
from limpid.training.batches import Batch, Source
from limpid.training.layer_watch import LayerWatch
from limpid.training.objective import Loss, constant_outputs
from limpid.training.row_watch import RowWatch
from limpid.training.state import Snapshot, Watched

_SAMPLE, _CONSTANT_ROWS = 256, 2_000
_STEPS = 32
_EXPLAINED = _LARGER = 0.5


class Watch:
    """Sees the steps of a training pass by.

    Args:
        model, task: what learns, and for what.
        train: training rows.
        loss: per example.
        spec: says whether anything is watched, and the precision of the forward pass.
        tell: hears what the layers look like.
    """

    def __init__(
        self, model: nn.Module, task: Task, train: Source, loss: Loss, spec: TrainSpec, tell: Listener
    ) -> None:
        self.on = spec.watch
        rows = len(train)
        self._places = np.unique(np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.int64))
        self._train, self._loss, self._tell = train, loss, tell
        self._judge = getattr(task, "right", None)
        self.layers = LayerWatch(model, self._sample, str(spec.precision))
        self.rows = RowWatch(rows if self.on else 1)
        self._number = 0
        self._wanted = False
        self._width = 0
        self._pieces: list[tuple[Tensor, Tensor | None]] = []
        self._kept: list[tuple[np.ndarray, list[tuple[Tensor, Tensor | None]]]] = []

    def begin(self, number: int) -> None:
        """A step of a pass begins.

        Args:
            number: of the pass, from 0.
        """
        if number != self._number:
            self._flush()
        self._number, self._wanted = number, self.on and self.rows.wants(number)
        self._pieces = []

    def saw(self, batch: Batch, outputs: Tensor, losses: Tensor) -> None:
        """Examples went through.

        Args:
            batch: what was shown.
            outputs: (B,K) or (B,M,K) raw outputs.
            losses: (B,) of each with its own target, without sample weights.
        """
        if not self._wanted:
            return
        losses, self._width = losses.detach(), outputs.shape[-1]
        right = None
        if self._judge is not None:
            answers = outputs.detach()
            right = self._judge(answers.mean(dim=1) if answers.dim() == 3 else answers, batch.target)
        if batch.share is not None:  # of a mixture it is only known how the larger part was answered
            losses = torch.where(batch.share > _LARGER, losses, float("nan"))
        self._pieces.append((losses, right))

    def before_update(self, step: int, snapshot: Snapshot | None) -> None:
        """The gradients are there, and the weights are about to move."""
        if self.on:
            self.layers.before_step(step, snapshot)

    def after_update(self, step: int, snapshot: Snapshot | None, index: np.ndarray, most: int) -> None:
        """The weights have moved.

        Args:
            step: number of steps done.
            snapshot: the state before, where there is one.
            index: (B,) positions of the rows of the step.
            most: rows that fit into memory at once.
        """
        if self._pieces:
            # Left where they are for some steps: a GPU is neither asked nor waited for in each of them.
            self._kept.append((index, self._pieces))
            self._pieces = []
            if len(self._kept) >= _STEPS:
                self._flush()
        look = self.layers.after_step(step, snapshot, most)
        if look is not None:
            self._tell(LayersSeen(look["step"], tuple(look["layers"])))

    def _flush(self) -> None:
        """Record the examples of the steps since this was last done, which are of one pass."""
        if not self._kept:
            return
        index = np.concatenate([index for index, _ in self._kept])
        pieces = [piece for _, pieces in self._kept for piece in pieces]
        losses = torch.cat([loss for loss, _ in pieces]).float().cpu().numpy()
        right = [found for _, found in pieces if found is not None]
        self.rows.saw(self._number, index, losses, torch.cat(right).cpu().numpy() if right else None)
        self._kept = []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        self._flush()
        return {"layers": self.layers.state(), "rows": self.rows.state(), "width": self._width}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps beside `state`; asked for after it."""
        return {name: torch.from_numpy(array) for name, array in self.rows.arrays().items()}

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """The inverse of `state` and `tensors`.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: they are of something else.
        """
        self.layers.restore(state["layers"])
        self.rows.restore(state["rows"], {name: t.cpu().numpy() for name, t in tensors.items()})
        self._width = int(state["width"])

    def conclude(self) -> Watched | None:
        """What was seen; None where nothing was watched."""
        if not self.on:
            return None
        self._flush()
        level = None if self.rows.judged or not self._width else self._level()
        examples = self.rows.concluded(level)
        if examples is not None:
            for name in ("hardest", "late_rows", "forgotten_rows"):
                if name in examples:
                    examples[name] = [asdict(course) for course in examples[name]]
        return Watched(self.layers.looks, examples)

    def _sample(self, most: int) -> Batch:
        return self._train.take(self._places[:: -(-len(self._places) // most)])

    def _level(self) -> float | None:
        """Half of what the best constant answer costs; None where that says nothing, as for a loss below 0."""
        every = max(1, len(self._train) // _CONSTANT_ROWS)
        sample = self._train.take(np.arange(0, len(self._train), every))
        constant = constant_outputs(self._loss, sample.target, self._width)
        with torch.no_grad():
            mean = float(self._loss(constant.expand(len(sample), -1), sample.target).mean())
        return _EXPLAINED * mean if 0 < mean < float("inf") else None
