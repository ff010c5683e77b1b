"""What do the layers of a network look like while it learns? Their outputs, gradients, weights and updates.

Every fifty steps at most a fixed sample of training rows is sent through the network as it predicts, so that what
changes from one look to the next is the network and not the rows. Looking changes nothing: no weight, no statistic and
no random number depends on it.

Legend: B rows of the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from limpid.training.batches import Batch
from limpid.training.objective import outputs_of
from limpid.training.state import Snapshot

HIDDEN = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh)
_EVERY = 50
_MOST_LOOKS = 48
_MOST_LAYERS = 60
_DIGITS = 4


@dataclass(frozen=True)
class LayerSeen:
    """One layer at one step.

    Args:
        name, kind: of the module, under the name of the input that it reads.
        mean, spread: of all its outputs for the sample; spread is their standard deviation.
        dead: share of units that give the same value for every row, behind the activation that follows the layer;
            None where none follows.
        weight: Euclidean norm of its parameters.
        gradient: norm of their gradient before clipping, None where they have none.
        ratio: norm of the step's change over the norm of the parameters, None where nothing moved them.
    """

    name: str
    kind: str
    mean: float
    spread: float
    dead: float | None
    weight: float
    gradient: float | None
    ratio: float | None


@dataclass
class Shown:
    """A layer with parameters, and what a sample of rows showed of it.

    Args:
        name, module: of the layer.
        mean, spread: () of its outputs.
        dead: () share of dead units behind the activation that follows, None where none does.
        units: how many there are.
    """

    name: str
    module: nn.Module
    mean: Tensor
    spread: Tensor
    dead: Tensor | None = None
    units: int = 0


class LayerWatch:
    """Looks at every layer now and then, less and less often as the training goes on.

    Args:
        model: the network.
        sample: most -> so many training rows at most, as they are stored, always the same ones.
        precision: of the forward pass.
    """

    def __init__(self, model: nn.Module, sample: Callable[[int], Batch], precision: str) -> None:
        self.looks: list[dict[str, Any]] = []
        self._model, self._sample, self._precision = model, sample, precision
        self._every = _EVERY
        self._due = False
        self._gradients: dict[str, Tensor] = {}

    def before_step(self, step: int, snapshot: Snapshot | None) -> None:
        """Keep the norms of the gradients, where this step is to be looked at.

        Args:
            step: the number of steps done.
            snapshot: the state before the step, where there is one; without it no update can be told.
        """
        self._due = snapshot is not None and (not self.looks or step + 1 >= self.looks[-1]["step"] + self._every)
        if not self._due:
            return
        held = {name: p.grad for name, p in self._model.named_parameters() if p.grad is not None}
        norms = torch._foreach_norm(list(held.values())) if held else []
        self._gradients = dict(zip(held, norms, strict=True))

    def after_step(self, step: int, snapshot: Snapshot | None, most: int) -> dict[str, Any] | None:
        """Look, where this step is to be looked at: {"step", "layers": [fields of a LayerSeen]}.

        Args:
            step: the number of steps done.
            snapshot: the state before the step.
            most: rows that fit into memory at once.
        """
        if not self._due or snapshot is None:
            return None
        self._due = False
        look = {"step": step, "layers": [asdict(layer) for layer in self._seen(snapshot, most)]}
        self._gradients = {}
        self.looks.append(look)
        if len(self.looks) > _MOST_LOOKS:
            self.looks = self.looks[::2]
            self._every *= 2
        return look

    def rolled_back(self, step: int) -> None:
        """Forget what was seen of steps that were taken back."""
        self.looks = [look for look in self.looks if look["step"] <= step]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"looks": self.looks, "every": self._every}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`.

        Raises:
            KeyError, TypeError: it is something else.
        """
        self.looks, self._every = list(state["looks"]), max(_EVERY, int(state["every"]))

    def _seen(self, snapshot: Snapshot, most: int) -> list[LayerSeen]:
        rows = outputs_of_layers(self._model, self._sample(most), self._precision)
        figures: list[Tensor] = []
        names = {id(p): name for name, p in self._model.named_parameters()}
        for row in rows:
            own = [p for p in row.module.parameters(recurse=False) if p.is_floating_point()]
            known = [(p, names[id(p)]) for p in own if id(p) in names]
            moved = [
                p.detach() - old for p, name in known if (old := snapshot.tensors.get(f"model/{name}")) is not None
            ]
            pulls = [self._gradients[name] for _, name in known if name in self._gradients]
            missing = torch.tensor(float("nan"))
            figures += [
                row.mean,
                row.spread,
                missing if row.dead is None else row.dead,
                _joint([p.detach().norm() for p in own]),
                _joint(pulls) if pulls else missing,
                _joint([m.norm() for m in moved]) if moved else missing,
            ]
        if not figures:
            return []
        device = rows[0].mean.device
        table = torch.stack([f.to(device, torch.float32) for f in figures]).view(len(rows), -1).tolist()
        readable = getattr(self._model, "readable", str)  # a module of its own has no inputs with names
        each = zip(rows, table, strict=True)
        return [_layer(readable(row.name), type(row.module).__name__, *values) for row, values in each]


def outputs_of_layers(model: nn.Module, batch: Batch, precision: str) -> list[Shown]:
    """The layers with matrices that run, in their order, with the activations that follow them.

    Args:
        model: its mode is put back.
        batch: rows to send through, in evaluation mode.
        precision: of the forward pass.
    """
    rows: list[Shown] = []
    handles = []
    members = getattr(model, "members", None)

    def watch(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            value = output[0] if isinstance(output, tuple) else output
            value = value.data if isinstance(value, PackedSequence) else value
            if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2:
                return
            if isinstance(module, HIDDEN):
                if rows and rows[-1].dead is None and len(value) == len(batch):
                    still = unmoved(value, rows[-1].module, members)
                    rows[-1].dead, rows[-1].units = still.float().mean(), len(still)
            elif len(rows) < _MOST_LAYERS and all(row.module is not module for row in rows):
                spread, mean = torch.std_mean(value.detach().float(), correction=0)
                rows.append(Shown(name, module, mean, spread))

        handles.append(module.register_forward_hook(hook))

    for name, module in model.named_modules():
        matrices = any(p.ndim >= 2 for p in module.parameters(recurse=False))
        if name and (matrices or isinstance(module, HIDDEN)):
            watch(name, module)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            outputs_of(model, batch, precision)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return rows


def unmoved(output: Tensor, before: nn.Module | None = None, members: int | None = None) -> Tensor:
    """(units,) bool: which units give the same value for every row (and every place, for maps and sequences).

    Args:
        output: (B,D), (B,M,D) with members, (B,T,D), (B,C,T) behind a convolution, (B,C,H,W).
        before: the layer that the activation follows, which says where the channels are.
        members: M.

    Example:
        >>> unmoved(torch.tensor([[0.0, 1.0], [0.0, 2.0]])).tolist()
        [True, False]
    """
    values = output.detach()
    if values.dim() >= 3 and isinstance(before, nn.modules.conv._ConvNd):
        values = values.movedim(1, -1)
    elif values.dim() == 3 and members is not None and values.shape[1] == members:
        values = values.flatten(1)
    values = values.reshape(-1, values.shape[-1])
    return values.amax(dim=0) == values.amin(dim=0)


def _joint(norms: list[Tensor]) -> Tensor:
    joint: Tensor = torch.linalg.vector_norm(torch.stack([n.float() for n in norms]))
    return joint


def _layer(
    name: str, kind: str, mean: float, spread: float, dead: float, weight: float, gradient: float, moved: float
) -> LayerSeen:
    before = weight if weight > 0 else float("nan")
    return LayerSeen(
        name,
        kind,
        mean=_short(mean) or 0.0,
        spread=_short(spread) or 0.0,
        dead=_short(dead),
        weight=_short(weight) or 0.0,
        gradient=_short(gradient),
        ratio=_short(moved / before),
    )


def _short(value: float) -> float | None:
    """Four digits are plenty for a curve; None for what is not a number."""
    return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None
