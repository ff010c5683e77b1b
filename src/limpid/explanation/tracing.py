"""One example step by step: through every layer forward, the loss, back, and one step of the optimiser.

Everything is done on a copy of the network, as it predicts (dropout off, statistics of training).

Legend of shapes: K outputs, M members.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from limpid.bundle.model import forward
from limpid.core.contracts import Task, WrittenLoss
from limpid.explanation import opened
from limpid.explanation.pictures import figures, picture
from limpid.layers.attention import Attention
from limpid.layers.dropout import Dropout
from limpid.layers.line import LineHead
from limpid.layers.sequences import Pool
from limpid.planning.assemble import Assembled
from limpid.planning.train_spec import TrainSpec
from limpid.training.optim import Optimisers, total_norm

Array = npt.NDArray[Any]

WITHIN = 1e-5
"""How far a loss may be from the same computed another way, relative to its size where that is above 1."""
_RATE = 0.01
_MOST_LAYERS = 400
_MOST_MEMBERS = 64


@dataclass
class _Seen:
    """A layer that ran, and what went in and out."""

    name: str
    module: nn.Module
    inputs: tuple[Any, ...]
    output: Tensor
    value: Tensor


def trace_network(
    network: Assembled, task: Task, arrays: Mapping[str, Array], target: Array | None, train: TrainSpec | None
) -> dict[str, Any]:
    """What happens in a network with one example.

    Args:
        network: trained; it is copied, not changed.
        task: fitted.
        arrays: one encoded row.
        target: (1,...) its encoded target; None traces the way forward alone.
        train: how the network was trained, decided; None takes one step of plain gradient descent.

    Returns:
        "layers": in the order in which they ran, see `_describe`; "output": raw outputs; with a target "loss",
        "update" and "checks"; "notes".
    """
    model = copy.deepcopy(network).cpu().eval()
    notes: list[str] = []
    learns = [p for name, p in model.named_parameters() if name not in model.still and p.is_floating_point()]
    for parameter in learns:
        parameter.requires_grad_(True)
    batch = {name: torch.from_numpy(np.array(array[:1])) for name, array in arrays.items()}
    with torch.inference_mode():
        answer = model(batch).float().numpy()
    line = model.head if isinstance(model.head, LineHead) else None
    share = 1.0 if line is None else float(line.get_buffer("share"))
    if line is not None and share < 1:
        line.weigh(1.0)
        notes.append(
            f"the answer is {share:.3g} times the network's and {1 - share:.3g} times that of a line; what learns, and "
            "what is traced here, is the network alone"
        )
    with torch.enable_grad():
        seen, outputs = _run(model, batch, notes)
    found: dict[str, Any] = {"notes": notes}
    raw = outputs.detach().float()
    found["output"] = {"raw": _numbers(raw[0]), "members": raw.shape[1] if raw.dim() == 3 else None}
    step: dict[str, Any] = {}
    if target is not None:
        step = _learn(model, task, batch, outputs, torch.from_numpy(np.array(target[:1])), train, arrays, learns, notes)
        found |= {key: step[key] for key in ("loss", "update", "checks")}
    found["layers"] = [_describe(one, step.get("before", {})) for one in seen]
    after = None
    if target is not None:
        if line is not None:
            line.weigh(share)
        after = forward(model, {name: np.asarray(array[:1]) for name, array in arrays.items()})
    found["answers"] = (answer, after)
    return found


def _run(model: Assembled, batch: Mapping[str, Tensor], notes: list[str]) -> tuple[list[_Seen], Tensor]:
    """Send the example through and note every layer that runs."""
    seen: list[_Seen] = []
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not isinstance(output, Tensor) or len(seen) >= _MOST_LAYERS:
                return
            if output.requires_grad and not output.is_leaf:
                output.retain_grad()
            times = sum(one.module is module for one in seen)
            entered = tuple(i.detach().clone() if isinstance(i, Tensor) else i for i in inputs)
            said = f"{name} ({times + 1})" if times else name
            seen.append(_Seen(said, module, entered, output, output.detach().clone()))

        handles.append(module.register_forward_hook(hook))

    for path, module in model.named_modules():
        leaf = not any(True for _ in module.children())
        own = any(True for _ in module.parameters(recurse=False))
        if not path or isinstance(module, (Dropout, nn.Dropout, nn.Identity)):
            continue
        if leaf or own or isinstance(module, (Attention, Pool)):
            watch(model.readable(path), module)
    try:
        outputs = model(batch)
    finally:
        for handle in handles:
            handle.remove()
    if len(seen) >= _MOST_LAYERS:
        notes.append(f"the first {_MOST_LAYERS} layers are shown")
    return seen, outputs


def _learn(
    model: Assembled,
    task: Task,
    batch: Mapping[str, Tensor],
    outputs: Tensor,
    target: Tensor,
    train: TrainSpec | None,
    arrays: Mapping[str, Array],
    learns: list[nn.Parameter],
    notes: list[str],
) -> dict[str, Any]:
    """The loss, the way back, one step, and the loss again."""
    prepared = task.prepare_target(target)
    loss, each = _loss(task, outputs, prepared)
    written = _written(task, outputs, prepared)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in learns if p.grad is not None]
    norm = float(total_norm(gradients))
    before = {id(p): p.detach().clone() for p in learns}
    how, rate, clipped = _step(model, train, gradients, norm)
    changes = [(p, torch.sub(p.detach(), before[id(p)])) for p in learns if p.grad is not None]
    expected = sum(float((p.grad * change).sum()) for p, change in changes if p.grad is not None)
    with torch.no_grad():
        after, _ = _loss(task, model(batch), prepared)
    # Once more from nothing but the weights, the way in which predictions are made.
    again = forward(model.eval(), {name: np.asarray(array[:1]) for name, array in arrays.items()})
    written_after = _written(task, torch.from_numpy(again), prepared)
    if not gradients:
        notes.append("no parameter of this network learns by gradients, so a step changes nothing")
    update_norm = math.sqrt(sum(float(change.double().square().sum()) for _, change in changes))
    value = float(loss.detach())
    return {
        "loss": {
            "value": value,
            "formula": written[0].formula,
            "steps": list(written[0].steps),
            "members": each if len(each) > 1 else None,
        },
        "update": {
            "optimiser": how,
            "lr": rate,
            "clipped": clipped,
            "gradient_norm": norm,
            "update_norm": update_norm,
            "loss_before": value,
            "loss_after": float(after),
            "expected_change": expected,
        },
        "checks": [
            _check("the loss written out in numbers, against the loss of training", _mean(written), value),
            _check("the loss after the step, recomputed from the stepped weights", _mean(written_after), float(after)),
        ],
        "before": before,
    }


def _loss(task: Task, outputs: Tensor, prepared: Tensor) -> tuple[Tensor, list[float]]:
    """The mean loss of all members, and that of each."""
    flat = outputs.float().reshape(-1, outputs.shape[-1])
    each = task.loss(flat, prepared.expand(len(flat), *prepared.shape[1:]))
    return each.mean(), each.detach().tolist()[:_MOST_MEMBERS]


def _written(task: Task, outputs: Tensor, prepared: Tensor) -> list[WrittenLoss]:
    flat = outputs.detach().float().reshape(-1, outputs.shape[-1])
    return [task.written_loss(row, prepared[0]) for row in flat]


def _mean(written: list[WrittenLoss]) -> float:
    return sum(one.value for one in written) / len(written)


def _check(what: str, one: float, other: float) -> dict[str, Any]:
    difference = abs(one - other) / max(1.0, abs(other))
    return {"what": what, "difference": difference, "within": WITHIN, "ok": bool(difference <= WITHIN)}


def _step(
    model: Assembled, train: TrainSpec | None, gradients: list[Tensor], norm: float
) -> tuple[str, float, float | None]:
    """One step on the copy: the optimiser of the plan with an empty memory, or plain gradient descent."""
    if not gradients:
        return "none", 0.0, None
    if train is None:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=_RATE)
        return "gradient descent", _RATE, None
    rate = float(train.lr) if isinstance(train.lr, float) else _RATE
    clip = train.clip if isinstance(train.clip, float) and norm > train.clip else None
    if clip is not None:
        torch._foreach_mul_(gradients, clip / norm)
    rules = Optimisers(model, train)
    rules.set_rate(rate)
    rules.step()
    if clip is not None:  # what is shown are the gradients themselves
        torch._foreach_mul_(gradients, norm / clip)
    return str(train.optimiser), rate, clip


def _describe(one: _Seen, before: Mapping[int, Tensor]) -> dict[str, Any]:
    """A layer as plain numbers.

    {"name", "kind", "does", "shape", "mean", "spread", "low", "high", "silent", "parameters", "picture", "curve",
    "inside", "gradient": {"norm", "mean", "spread", ..., "picture"} or None, "weights": {"norm", "gradient", "update",
    "ratio"} or None}.
    """
    value = one.value
    entering = next((i for i in one.inputs if isinstance(i, Tensor)), None)
    gradient = one.output.grad
    own = [p for p in one.module.parameters(recurse=False)]
    weights = None
    if any(p.grad is not None for p in own):
        known = [p for p in own if id(p) in before]
        size = _norm([before[id(p)] for p in known])
        update = _norm([torch.sub(p.detach(), before[id(p)]) for p in known])
        weights = {
            "norm": size,
            "gradient": _norm([p.grad for p in own if p.grad is not None]),
            "update": update,
            "ratio": update / size if size else None,
        }
    return {
        "name": one.name,
        "kind": type(one.module).__name__,
        "does": opened.sentence(one.module),
        "shape": list(value.shape[1:]),
        **figures(value),
        "silent": opened.silent(one.module, value),
        "parameters": sum(p.numel() for p in own),
        "picture": picture(value[0]) if value.dim() else None,
        "curve": None if entering is None else opened.curve(one.module, entering),
        "inside": opened.inside(one.module, one.inputs, value),
        "gradient": None
        if gradient is None
        else {"norm": _norm([gradient]), **figures(gradient), "picture": picture(gradient[0])},
        "weights": weights,
    }


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.detach().double().square().sum()) for t in tensors))


def _numbers(outputs: Tensor) -> Any:
    """Raw outputs, at most 64 members of 64 outputs."""
    return outputs[:_MOST_MEMBERS].tolist() if outputs.dim() == 1 else outputs[:_MOST_MEMBERS, :_MOST_MEMBERS].tolist()
