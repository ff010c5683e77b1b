"""Does the network learn at all? Signs that it does not, each said once in plain words with what to try."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from limpid.training.batches import Batch
from limpid.training.objective import outputs_of

_HIDDEN = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh)
_FEWEST = 10
_DEAD_SHARE = 0.9
_SAME = 1e-6


@dataclass(frozen=True)
class Advice:
    """A finding.

    Args:
        name: of the guard.
        what: what was found.
        fix: what to try.
    """

    name: str
    what: str
    fix: str


def constant_prediction(outputs: np.ndarray, target: np.ndarray) -> Advice | None:
    """Whether every example gets the same answer though the targets differ.

    Args:
        outputs: (N,K) or (N,M,K) raw outputs on validation rows.
        target: (N,...) their targets.
    """
    if len(outputs) < _FEWEST or (target == target[:1]).all():
        return None
    means = outputs.mean(axis=1) if outputs.ndim == 3 else outputs
    spread = means.max(axis=0) - means.min(axis=0)
    if (spread > _SAME * (1 + np.abs(means).max(axis=0))).any():
        return None
    return Advice(
        "constant prediction",
        f"the network gives all {len(outputs)} validation rows the same answer",
        "try a learning rate ten times lower, or less weight decay; if that does not help, the columns may not tell "
        "anything about the target: limpid inspect DATA --target COL",
    )


def dead_units(model: nn.Module, batch: Batch, precision: str) -> Advice | None:
    """Whether most hidden units give the same value for every example, so that nothing passes through them.

    Args:
        model: the network; its mode is put back.
        batch: training rows.
        precision: of the forward pass.
    """
    if len(batch) < _FEWEST:
        return None
    counts: dict[str, tuple[int, int]] = {}
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def seen(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if output.dim() < 2 or len(output) != len(batch):
                return
            flat = output.detach().flatten(1)
            dead = int((flat.amax(dim=0) == flat.amin(dim=0)).sum())
            counts[name] = (dead, flat.shape[1])

        handles.append(module.register_forward_hook(seen))

    for name, module in model.named_modules():
        if isinstance(module, _HIDDEN):
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
    worst = max(counts, key=lambda name: counts[name][0] / counts[name][1], default=None)
    if worst is None or counts[worst][0] <= _DEAD_SHARE * counts[worst][1]:
        return None
    dead, units = counts[worst]
    return Advice(
        "dead network",
        f"{dead} of {units} hidden units of {worst} give the same value for every row",
        "try a learning rate ten times lower, or an activation that always passes a gradient (gelu, silu)",
    )


def no_gradient(norm_sum: float) -> Advice | None:
    """Whether the gradient was exactly zero in every step of an epoch."""
    if norm_sum != 0.0:
        return None
    return Advice(
        "dead network",
        "every gradient of the epoch was zero: the network cannot learn any more",
        "try a learning rate ten times lower, or an activation that always passes a gradient (gelu, silu)",
    )


def no_better_than_constant(best: float | None, trivial: float, epochs: int) -> Advice | None:
    """Whether the best validation loss is no better than that of the best constant answer.

    Args:
        best: the lowest validation loss so far.
        trivial: validation loss of the best constant outputs.
        epochs: epochs so far.
    """
    if best is not None and best < trivial * (1 - 1e-3 if trivial > 0 else 1 + 1e-3):
        return None
    said = "not finite" if best is None else f"{best:.4g}"
    return Advice(
        "no better than a constant",
        f"after {epochs} epochs the best validation loss is {said}; answering the same for every row gives {trivial:.4g}",
        "look at limpid inspect DATA --target COL: are the right columns there? then try another learning rate "
        "(--set train.lr=range) and more epochs (--set train.epochs=N)",
    )
