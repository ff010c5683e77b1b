"""What changes a step besides its gradient: clipping, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def clip(gradients: list[Tensor], norm: float, most: float | None) -> None:
    """Shrink all gradients by one factor, so that their joint norm is `most` at most (Pascanu et al. 2013)."""
    if most is not None and norm > most:
        torch._foreach_mul_(gradients, most / (norm + 1e-6))


def values_of(model: nn.Module) -> dict[str, Tensor]:
    """Everything that training may change in a model, by name: parameters and buffers, each once; not copies.

    What a model's attribute `still` names never changes and is left out.
    """
    still: frozenset[str] = getattr(model, "still", frozenset())
    found: dict[str, Tensor] = {name: p.data for name, p in model.named_parameters() if name not in still}
    found.update((name, buffer) for name, buffer in model.named_buffers() if name not in still)
    return found


class Average:
    """An exponential moving average of the weights and of the statistics of batch norm.

    It leans on the newest weights in the first steps: the decay is min(decay, (1+n) / (10+n)) in step n, so the random
    initial weights are soon forgotten.

    Args:
        model: what is averaged.
        decay: of one step, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self.values = {name: value.detach().clone() for name, value in values_of(model).items()}
        self._pair()

    def _pair(self) -> None:
        """Look up, once and not in every step, which tensor is averaged into which."""
        pairs = [(self.values[name], value.detach()) for name, value in values_of(self._model).items()]
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after step number `step` (the first is 0) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([a for a, _ in self._floats], [b for _, b in self._floats], 1 - decay)
        for mean, value in self._counts:
            mean.copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the model holds the average, afterwards the weights that are trained."""
        held = {name: value.detach().clone() for name, value in values_of(self._model).items()}
        try:
            load_values(self._model, self.values)
            yield
        finally:
            load_values(self._model, held)
            self._pair()


@torch.no_grad()
def load_values(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Copy values into the model's parameters and buffers.

    Raises:
        KeyError: one of them is missing in `values`.
    """
    for name, place in values_of(model).items():
        place.copy_(values[name])


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no value is NaN or infinite."""
    # The largest magnitude is NaN or infinite where any value is. Some states of an optimiser stay with the processor
    # while the weights are on a GPU; one answer leaves each device.
    peaks: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            peaks.setdefault(tensor.device, []).append(tensor.detach().abs().amax().float())
    return all(bool(torch.isfinite(torch.stack(each)).all()) for each in peaks.values())
