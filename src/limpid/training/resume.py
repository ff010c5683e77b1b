"""How is a training written into checkpoints, and found again?"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limpid.core.errors import RunError
from limpid.core.events import CheckpointSaved, GuardActed, Listener, Noted
from limpid.core.files import dump_json
from limpid.data.encoded import Encoded
from limpid.planning.train_spec import TrainSpec
from limpid.training.checkpoint import FINAL, Checkpoints, Saved
from limpid.training.policies import all_finite, values_of
from limpid.training.state import Learner, Ledger, Position, Snapshot, from_dict
from limpid.training.watch import Watch

_NO_INFLUENCE = {"checkpoint_seconds", "watch"}
_FAIRNESS = {"fairness", "fairness_by", "fairness_weight"}


class Memory:
    """What a training keeps beside its weights, and the folder that it is all written to.

    Args:
        folder: of the checkpoints, or None for a training that is not saved.
        identity: what the training is of; a checkpoint of another one is refused.
        tell: hears of saves.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any], tell: Listener) -> None:
        self.checkpoints = None if folder is None else Checkpoints(folder)
        self.identity = dict(identity)
        self.good: Snapshot | None = None
        self.best: dict[str, Tensor] | None = None
        self.watch: Watch | None = None
        self._tell = tell
        self._last = -1

    def refuse_old(self) -> None:
        """Refuse a folder with checkpoints where none was to be resumed from.

        Raises:
            RunError: there are some.
        """
        if self.checkpoints is not None and self.checkpoints.names():
            raise RunError(
                "the folder holds checkpoints of an earlier training",
                where=str(self.checkpoints.folder),
                expected="a new folder, or a training that is resumed",
                fix="add --resume to go on with it, or choose another --out",
            )

    def find(self) -> Saved | None:
        """The newest whole checkpoint of this training; damaged ones are said.

        Raises:
            RunError: it belongs to another training.
        """
        if self.checkpoints is None:
            return None
        found, problems = self.checkpoints.newest()
        for problem in problems:
            instead = f"goes on from {found.name}" if found is not None else "begins anew"
            self._tell(Noted("warning", f"checkpoint {problem}; the training {instead}"))
        if found is None:
            return None
        theirs = found.state.get("identity")
        if not isinstance(theirs, dict) or theirs.get("work") != self.identity["work"]:
            raise RunError(
                "the checkpoint belongs to another training: its plan, its data or its network differ",
                where=str(self.checkpoints.folder),
                expected="the plan, data and seed that the training began with",
                fix="repeat the command that began the run, or choose another --out",
            )
        if theirs.get("machine") != self.identity["machine"]:
            self._tell(
                Noted(
                    "look",
                    f"the training began on {theirs.get('machine')} and goes on on {self.identity['machine']}; "
                    "its last bits may differ from those of an uninterrupted one",
                )
            )
        return found

    def load(self, saved: Saved, learner: Learner) -> Ledger:
        """Put a checkpoint into the learner and this memory.

        Raises:
            RunError: it does not fit, though its digests do.
        """
        try:
            whole = Snapshot(saved.tensors, {})
            self.best = whole.part("best") or None
            ledger = from_dict(Ledger, saved.state["ledger"])
            if saved.name != FINAL:
                learner.restore(Snapshot(saved.tensors, saved.state["position"]))
                good = saved.state["good"]
                self.good = None if good is None else Snapshot(whole.part("good"), good)
                self._last = learner.position.step
            else:
                learner.position = from_dict(Position, saved.state["position"])
            if self.watch is not None and self.watch.on and saved.state.get("watch") is not None:
                self.watch.restore(saved.state["watch"], whole.part("watch"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"the checkpoint does not fit this network: {error}",
                where=f"{saved.name} in the folder of checkpoints",
                expected="a checkpoint of the same network and limpid version",
                fix="begin anew with another --out",
            ) from error
        return ledger

    def save(self, learner: Learner, ledger: Ledger, seconds: float, *, must: bool) -> None:
        """Write a checkpoint, unless there is one of this step or some value is not finite.

        Args:
            seconds: time spent so far, resumes included.
            must: whether a disk that cannot be written is an error; otherwise it is said and the training goes on.

        Raises:
            RunError: it could not be written, and `must` is true.
        """
        step = learner.position.step
        if self.checkpoints is None or step == self._last:
            return
        tensors = learner.tensors()
        good = None
        if self.good is not None:
            tensors.update({f"good/{name}": t for name, t in self.good.tensors.items()})
            good = self.good.position
        tensors.update({f"best/{name}": t for name, t in (self.best or {}).items()})
        if not all_finite(list(tensors.values())):
            self._tell(
                GuardActed("checkpoint", step, "some weights are not finite", "no checkpoint of them was written")
            )
            return
        state = {"position": asdict(learner.position), "good": good}
        self._write(f"step-{step}", tensors, state, ledger, seconds, step, must=must)
        self._last = step

    def finish(self, learner: Learner, ledger: Ledger, seconds: float) -> None:
        """Write the final state, from which a resumed training returns at once."""
        if self.checkpoints is None:
            return
        tensors = {f"best/{name}": t for name, t in (self.best or {}).items()}
        state = {"position": asdict(learner.position), "good": None}
        self._write(FINAL, tensors, state, ledger, seconds, learner.position.step, must=False)

    def _write(
        self,
        name: str,
        tensors: dict[str, Tensor],
        state: dict[str, Any],
        ledger: Ledger,
        seconds: float,
        step: int,
        *,
        must: bool,
    ) -> None:
        assert self.checkpoints is not None
        figures = {**asdict(ledger), "seconds": round(seconds, 3)}
        watch = None
        if self.watch is not None and self.watch.on:
            watch = self.watch.state()
            tensors = {**tensors, **{f"watch/{name}": t for name, t in self.watch.tensors().items()}}
        state = {"identity": self.identity, **state, "ledger": figures, "watch": watch}
        try:
            path = self.checkpoints.save(name, tensors, state)
        except RunError as error:
            if must:
                raise
            self._tell(
                GuardActed(
                    "checkpoint", step, error.what, "the training goes on; the checkpoint before this one is untouched"
                )
            )
            return
        self._tell(CheckpointSaved(step, str(path)))


def identity(
    model: nn.Module, train: Encoded, valid: Encoded | None, spec: TrainSpec, seed: int, device: str
) -> dict[str, str]:
    """What makes two trainings the same: settings, seed, network and rows; and the machine, for the last bits."""
    state = sha256()
    # Settings that are not in use say nothing, so that checkpoints of before they came go on to be good.
    unused = _NO_INFLUENCE if spec.fairness else _NO_INFLUENCE | _FAIRNESS
    state.update(dump_json(spec.model_dump(mode="json", exclude=unused), indent=None).encode())
    state.update(f"{seed} {torch.device(device).type}".encode())
    for name, value in values_of(model).items():
        state.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
    for part in (train, valid):
        for array in () if part is None else (part.rows, part.target, part.weight):
            state.update(b"-" if array is None else np.ascontiguousarray(array).data)
        if part is not None and part.group is not None:
            state.update(np.ascontiguousarray(part.group).data)
    machine = f"torch {torch.__version__}, {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"work": state.hexdigest(), "machine": machine}
