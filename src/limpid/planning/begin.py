"""Weights of a trained model put into a new one by name, wherever their shapes agree."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limpid.core.contracts import Task
from limpid.core.errors import RequestError
from limpid.planning.assemble import Assembled
from limpid.planning.start import Start, Starts

_NAMED = 4


@torch.no_grad()
def put_weights(model: Assembled, starts: Starts, task: Task) -> list[str]:
    """Put the weights of the starts into a new network, and note in it which of its parameters have a past.

    A head is taken over where its outputs mean the same, the fusing layer where all that it joins is of one model.

    Args:
        model: the network, its nets in the order of their inputs.
        starts: what it starts from.
        task: of the new model.

    Returns:
        a sentence for each start on what was taken and what is new.

    Raises:
        RequestError: not one weight of a start fits.
    """
    notes: list[str] = []
    for place, name in enumerate(model.inputs):
        start = starts.inputs.get(name)
        if start is None:
            continue
        prefix = f"nets.input_{place}."
        taken, new = _copy(start.weights, model.nets[f"input_{place}"], prefix, model.began)
        if not taken:
            raise _nothing_fits(start)
        notes.append(_told(start, taken, new))
    main = starts.inputs.get(model.inputs[0])
    if main is None:
        return notes
    alike = getattr(task, "answers_like", None)
    if alike is not None and alike(starts.tasks[main.run]):
        taken, new = _copy(starts.heads[main.run], model.head, "head.", model.began)
        notes.append(f"the head of {main.run} is taken over: it predicts the same" if taken and not new else _NEW_HEAD)
    else:
        notes.append(_NEW_HEAD)
    joined, weights = starts.fuses.get(main.run, ((), {}))
    of_one = all(starts.inputs[n].spec == main.spec for n in model.inputs if n in starts.inputs)
    if model.fuse is not None and list(joined) == model.inputs and of_one and set(joined) == set(starts.inputs):
        _copy(weights, model.fuse, "fuse.", model.began)
    return notes


_NEW_HEAD = "the head is new: it predicts something else than the start"


def _copy(weights: Mapping[str, Tensor], module: nn.Module, prefix: str, began: set[str]) -> tuple[int, list[str]]:
    """Copy what fits; returns how many numbers, and the names of parameters that are new."""
    parameters = dict(module.named_parameters())
    taken, new = 0, []
    for name, value in module.state_dict(keep_vars=True).items():
        old = weights.get(name)
        if old is not None and old.shape == value.shape and old.dtype == value.dtype:
            value.data.copy_(old)
            if name in parameters:
                taken += value.numel()
                began.add(prefix + name)
        elif name in parameters:
            new.append(name)
    return taken, new


def _told(start: Start, taken: int, new: list[str]) -> str:
    said = f"{taken:,} weights of {start.net.name} on {start.input!r} come from {start.run}"
    if not new:
        return said + ", all that it has"
    listed = ", ".join(new[:_NAMED]) + (f" and {len(new) - _NAMED} more" if len(new) > _NAMED else "")
    return f"{said}; new, since their shapes differ: {listed}"


def _nothing_fits(start: Start) -> RequestError:
    return RequestError(
        f"not one weight of {start.run} fits the new {start.net.name}",
        where=f"{start.path}.start",
        expected="a net of the same settings as the start",
        fix=f"leave the settings of the net to the start, or leave {start.path}.start out",
    )
