"""Which rule turns a gradient into an update, and which parameters does weight decay spare?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from limpid.core.errors import RequestError
from limpid.layers.parameters import groups
from limpid.planning.train_spec import TrainSpec
from limpid.training import eager

_MUON_MOMENTUM = 0.95


class Optimisers:
    """The optimiser of a network, or two of them where matrices have a rule of their own.

    Args:
        model: its parameters are divided into those that decay, those that are spared, and hidden matrices.
        spec: optimiser, momentum, second_moment, weight_decay.
    """

    def __init__(self, model: nn.Module, spec: TrainSpec) -> None:
        self.names: dict[Tensor, str] = {p: name for name, p in model.named_parameters() if p.requires_grad}
        self.parameters = list(self.names)
        with eager.without_compiler():
            self.members = build(model, spec)
        self.rate = 0.0

    def set_rate(self, lr: float) -> None:
        """The learning rate of the next step."""
        self.rate = lr
        for member in self.members:
            for group in member.param_groups:
                group["lr"] = lr

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

    Muon (Jordan et al. 2024) moves a hidden matrix by the nearest orthogonal one to its momentum; with the scale of
    Moonshot (Liu et al. 2025, arXiv 2502.16982) its updates are as large as those of AdamW, so both share one rate.
    """
    assert spec.weight_decay != "auto", "the plan decides the weight decay"
    decay = spec.weight_decay
    divided = groups(model)
    if spec.optimiser != "muon":
        lists = ((divided.decayed, decay), (divided.spared, 0.0))
        return [_rule(spec, [{"params": list(p), "weight_decay": d} for p, d in lists if p])]
    hidden = [p for p in divided.matrices if p.ndim == 2]
    inside = {id(p) for p in hidden}
    rest = [{"params": [p for p in divided.decayed if id(p) not in inside], "weight_decay": decay}]
    rest.append({"params": list(divided.spared), "weight_decay": 0.0})
    rest = [group for group in rest if group["params"]]
    chosen: list[Optimizer] = []
    if hidden:
        chosen.append(_muon(hidden, decay))
    if rest:
        chosen.append(AdamW(rest, lr=0.0, betas=(spec.momentum, spec.second_moment), fused=True))
    return chosen


def _muon(matrices: list[nn.Parameter], decay: float) -> Optimizer:
    try:
        from torch.optim import Muon
    except ImportError as error:
        raise RequestError(
            f"torch {torch.__version__} has no optimiser called muon",
            where="train.optimiser",
            expected="torch 2.9 or newer for muon",
            fix="pip install --upgrade torch, or choose --set train.optimiser=adamw",
        ) from error
    return Muon(matrices, lr=0.0, weight_decay=decay, momentum=_MUON_MOMENTUM, adjust_lr_fn="match_rms_adamw")


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
