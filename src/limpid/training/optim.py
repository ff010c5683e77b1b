"""Which rule turns a gradient into an update, which parameters does weight decay spare, and which wait their turn?

The layers of a net that starts from a trained model may begin to learn one after another from the head down, and at
rates that fall with their depth (Howard & Ruder 2018, "Universal language model fine-tuning for text classification",
arXiv 1801.06146). A parameter that waits has no gradient, so its optimiser leaves it and its memory alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from limpid.layers.parameters import groups
from limpid.planning.train_spec import TrainSpec
from limpid.training import eager
from limpid.training.muon import Muon

_MUON_MOMENTUM = 0.95


class Optimisers:
    """The optimiser of a network, or two of them where matrices have a rule of their own.

    Args:
        model: its parameters are divided into those that decay, those that are spared, and hidden matrices. A method
            `depths` names those that have a past, by depth from the head down.
        spec: optimiser, momentum, second_moment, weight_decay, unfreeze, depth_decay.
    """

    def __init__(self, model: nn.Module, spec: TrainSpec) -> None:
        self.names: dict[Tensor, str] = {p: name for name, p in model.named_parameters() if p.requires_grad}
        self.parameters = list(self.names)
        self._unfreeze = 0.0 if spec.unfreeze == "auto" else spec.unfreeze
        own = depths_of(model)
        self._depths = [(p, own[name]) for p, name in self.names.items() if own.get(name)]
        self._deepest = max((depth for _, depth in self._depths), default=0)
        with eager.without_compiler():
            self.members = build(model, spec)
        self.rate = 0.0

    def set_rate(self, lr: float) -> None:
        """The learning rate of the next step."""
        self.rate = lr
        for member in self.members:
            for group in member.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)

    def thaw(self, step: float, steps: int) -> None:
        """Let those parameters learn whose turn it is in step number `step` of `steps`, and have the others wait."""
        if self._unfreeze:
            each = self._unfreeze * steps / self._deepest if self._deepest else 0.0
            for parameter, depth in self._depths:
                parameter.requires_grad_(step >= depth * each)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def gradients(self) -> list[Tensor]:
        """The gradients that there are."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def step(self) -> None:
        """Update the parameters by their gradients."""
        for member in self.members:
            eager.step(member)

    def state(self) -> dict[str, Tensor]:
        """What the rules remember, under "PARAMETER/QUANTITY"; the tensors themselves, not copies."""
        found = {}
        for member in self.members:
            for parameter, quantities in member.state.items():
                for quantity, value in quantities.items():
                    if value is not None:
                        assert isinstance(value, Tensor), f"{quantity} is not a tensor"
                        found[f"{self.names[parameter]}/{quantity}"] = value
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state`; takes copies.

        Raises:
            KeyError: a name of a parameter that does not exist.
        """
        owners = {
            self.names[parameter]: (parameter, member)
            for member in self.members
            for group in member.param_groups
            for parameter in group["params"]
        }
        for member in self.members:
            member.state.clear()
        for path, value in state.items():
            name, _, quantity = path.rpartition("/")
            parameter, member = owners[name]
            # Counters of steps live on the processor, unless a fused kernel reads them.
            beside = quantity != "step" or member.defaults.get("fused")
            copy = value.clone() if not beside else value.to(parameter.device, copy=True)
            member.state[parameter][quantity] = copy


def build(model: nn.Module, spec: TrainSpec) -> list[Optimizer]:
    """The optimisers that the spec names, with weight decay where it belongs.

    Muon is for hidden matrices and filters, AdamW for the rest; both share one rate.
    """
    assert spec.weight_decay != "auto", "the plan decides the weight decay"
    decay = spec.weight_decay
    divided = groups(model)
    factors = _factors(model, 1.0 if spec.depth_decay == "auto" else spec.depth_decay)
    if spec.optimiser != "muon":
        return [_rule(spec, [*_lists(divided.decayed, decay, factors), *_lists(divided.spared, 0.0, factors)])]
    hidden = divided.matrices
    inside = {id(p) for p in hidden}
    rest = _lists([p for p in divided.decayed if id(p) not in inside], decay, factors)
    rest += _lists(divided.spared, 0.0, factors)
    chosen: list[Optimizer] = []
    if hidden:
        chosen.append(Muon(_lists(hidden, decay, factors), momentum=_MUON_MOMENTUM, weight_decay=decay))
    if rest:
        chosen.append(AdamW(rest, lr=0.0, betas=(spec.momentum, spec.second_moment), fused=True))
    return chosen


def depths_of(model: nn.Module) -> dict[str, int]:
    """Parameter name -> depth from 1, for those that have a past; all others learn like the head."""
    named = getattr(model, "depths", None)
    return {name: depth for depth, names in enumerate(named() if named else [], 1) for name in names}


def _factors(model: nn.Module, decay: float) -> dict[int, float]:
    """Identity of each parameter with a past -> what its rate is multiplied with."""
    own = depths_of(model) if decay < 1 else {}
    return {id(p): decay ** own[name] for name, p in model.named_parameters() if name in own}


def _lists(parameters: list[nn.Parameter], decay: float, factors: dict[int, float]) -> list[dict[str, Any]]:
    """Groups of one factor each, in the order in which the factors come."""
    found: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        found.setdefault(factors.get(id(parameter), 1.0), []).append(parameter)
    return [{"params": list(p), "weight_decay": decay, "factor": factor} for factor, p in found.items()]


def _rule(spec: TrainSpec, lists: list[dict[str, Any]]) -> Optimizer:
    moments = (spec.momentum, spec.second_moment)
    if spec.optimiser == "sgd":
        return SGD(lists, lr=0.0, momentum=spec.momentum, fused=True)
    if spec.optimiser == "nesterov":
        return SGD(lists, lr=0.0, momentum=spec.momentum, nesterov=spec.momentum > 0, fused=True)
    if spec.optimiser == "adam":
        return Adam(lists, lr=0.0, betas=moments, fused=True)
    if spec.optimiser == "rmsprop":
        return RMSprop(lists, lr=0.0, alpha=spec.second_moment, momentum=spec.momentum, foreach=True)
    return AdamW(lists, lr=0.0, betas=moments, fused=True)


def total_norm(gradients: list[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, not finite where one of them is not."""
    if not gradients:
        return torch.zeros(())
    norms: tuple[Tensor, ...] = torch._foreach_norm(gradients)
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total
