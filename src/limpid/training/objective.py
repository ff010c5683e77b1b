"""What is minimised: the loss of each example, with the members of an ensemble averaged and sample weights applied.

Legend: B examples, M members, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from limpid.core.errors import RequestError
from limpid.training.arithmetic import autocast
from limpid.training.batches import Batch
from limpid.training.eager import without_compiler

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (B,K), prepared target (B,...)) -> (B,)."""


def outputs_of(model: nn.Module, batch: Batch, precision: str) -> Tensor:
    """(B,K) or (B,M,K) raw outputs in fp32."""
    with autocast(precision, batch.target.device.type):
        outputs: Tensor = model(batch.inputs)
    return outputs.float() if outputs.dtype is torch.bfloat16 else outputs


def example_losses(loss: Loss, outputs: Tensor, target: Tensor) -> Tensor:
    """(B,) loss of each example; members are folded into B and averaged, so each learns the target on its own.

    Raises:
        RequestError: the loss does not give one value for each example.
    """
    members = outputs.shape[1] if outputs.dim() == 3 else 1
    if outputs.dim() == 3:
        outputs = outputs.flatten(0, 1)
        target = target.repeat_interleave(members, dim=0)
    values: Any = loss(outputs, target)
    if not isinstance(values, Tensor) or values.shape != (len(outputs),):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise RequestError(
            f"the loss gave {shape}, not one value for each example",
            where="loss",
            expected=f"a tensor of shape ({len(outputs)},) for {len(outputs)} examples",
            fix="leave out the mean over examples, in torch with reduction='none'",
        )
    return values.view(-1, members).mean(dim=1) if members > 1 else values


def batch_losses(loss: Loss, outputs: Tensor, batch: Batch, own: Tensor | None = None) -> Tensor:
    """(B,) weighted loss of each example; of a mixed one that of both its targets, by their shares.

    Args:
        own: (B,) `example_losses` with each one's own target, where they are known already.
    """
    losses = example_losses(loss, outputs, batch.target) if own is None else own
    if batch.partner is not None:
        assert batch.share is not None
        losses = batch.share * losses + (1 - batch.share) * example_losses(loss, outputs, batch.partner)
    return weighted(losses, batch.weight)


def weighted(losses: Tensor, weight: Tensor | None) -> Tensor:
    """(B,) losses times sample weights."""
    return losses if weight is None else losses * weight


def constant_outputs(loss: Loss, target: Tensor, width: int) -> Tensor:
    """(K,) the best outputs that do not look at the inputs: what a model must beat to have learnt anything.

    Args:
        loss: per example.
        target: prepared targets of training rows.
        width: K.
    """
    constant = torch.zeros(width, requires_grad=True, device=target.device)
    with without_compiler():
        search = torch.optim.LBFGS([constant], max_iter=60, line_search_fn="strong_wolfe")

    def value() -> Tensor:
        constant.grad = None
        mean = loss(constant.expand(len(target), -1), target).mean()
        mean.backward()  # type: ignore[no-untyped-call]
        return mean

    with torch.enable_grad():
        search.step(value)  # type: ignore[no-untyped-call]
    return constant.detach()
