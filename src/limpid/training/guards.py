"""What can go wrong in a step, how is it noticed, and who is the culprit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from limpid.core.errors import RequestError, TrainingError
from limpid.data.encoded import Encoded
from limpid.planning.train_spec import TrainSpec
from limpid.training.batches import Batch
from limpid.training.policies import values_of
from limpid.training.state import Position

MOST_ROLLBACKS = 3
_SPIKE_SIGMAS = 6.0
_SPIKE_STEPS = 20
_SPIKE_WARMUP = 50
_SPIKE_MEMORY = 0.02
_SPIKE_FLOOR = 0.05
_SHOWN = 5

_MEMORY_WORDS = ("not enough memory", "out of memory", "allocate memory", "bad_alloc", "bad allocation")


def trouble(position: Position, loss: float, norm: float) -> str | None:
    """What is wrong with a step: "not finite", "spike", or None; keeps the statistics of the loss.

    A spike is a loss above its running mean by six standard deviations for 20 steps in a row, as PaLM's authors
    (Chowdhery et al. 2022) met them. Losses of a spike are kept out of the statistics, and the deviation counts as a
    twentieth of the mean at least, so that a loss close to zero may wander.
    """
    if not (isfinite(loss) and isfinite(norm)):
        return "not finite"
    p = position
    deviation = max(sqrt(max(p.spike_variance, 0.0)), _SPIKE_FLOOR * abs(p.spike_mean))
    if p.spike_count >= _SPIKE_WARMUP and loss > p.spike_mean + _SPIKE_SIGMAS * deviation:
        p.spike_streak += 1
        return "spike" if p.spike_streak >= _SPIKE_STEPS else None
    p.spike_streak = 0
    p.spike_count += 1
    share = max(_SPIKE_MEMORY, 1 / p.spike_count)
    difference = loss - p.spike_mean
    p.spike_mean += share * difference
    p.spike_variance = (1 - share) * (p.spike_variance + share * difference * difference)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in any of the ways in which torch and numpy say it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS)


def batch_statistics(model: nn.Module) -> list[Tensor]:
    """The running statistics of batch norm, which a step moves besides the weights."""
    return [b for m in _batch_norms(model) for b in (m.running_mean, m.running_var) if b is not None]


def least_rows(model: nn.Module) -> int:
    """Rows that a forward pass in training needs: two for batch norm."""
    return 2 if _batch_norms(model) else 1


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@dataclass(frozen=True)
class Extreme:
    """The most extreme value of a batch.

    Args:
        where: the input and its column.
        row: position in the batch.
        value: the value.
        usual: the largest magnitude in the rest of the input, 0 where there is no rest.
        finite: whether it is finite.
    """

    where: str
    row: int
    value: float
    usual: float
    finite: bool

    def __str__(self) -> str:
        rest = f"; elsewhere its input reaches {self.usual:.3g}" if self.finite and self.usual else ""
        return f"{self.value:.3g} in {self.where}{rest}"


def most_extreme(batch: Batch, columns: Mapping[str, Sequence[str]]) -> Extreme | None:
    """The value of a batch that is not finite, or else the one farthest out of line.

    Args:
        batch: rows freshly taken from their source.
        columns: names of the columns of an input, where they are known.
    """
    found: list[Extreme] = []
    places = {**batch.inputs, "the target": batch.target}
    if batch.weight is not None:
        places["the sample weight"] = batch.weight
    for name, tensor in places.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        values = tensor.detach().cpu().numpy().astype(np.float64).reshape(len(tensor), -1)
        size = np.abs(values)
        size[~np.isfinite(size)] = np.inf
        row, column = divmod(int(size.argmax()), size.shape[1])
        names = columns.get(name, ())
        label = f"column {names[column]!r}" if column < len(names) else f"{name}, feature {column + 1}"
        others = np.delete(size, row, axis=0)
        usual = float(others[np.isfinite(others)].max(initial=0.0))
        value = float(values[row, column])
        where = label if name in batch.inputs else name
        found.append(Extreme(where, row, value, usual, isfinite(value)))
    # Inputs are scaled to about one; the target need not be, so it is only blamed where it is out of line.
    return max(found, key=lambda e: (not e.finite, abs(e.value) / max(e.usual, 1.0)), default=None)


def check_batch(batch: Batch, rows: np.ndarray, columns: Mapping[str, Sequence[str]], step: int) -> None:
    """Refuse data that are not finite: no learning rate is low enough for them.

    Args:
        batch: rows freshly taken from their source.
        rows: source row numbers, by position.

    Raises:
        TrainingError: naming the row and the column.
    """
    extreme = most_extreme(batch, columns)
    if extreme is None or extreme.finite:
        return
    raise TrainingError(
        f"the encoded data hold a value that is not finite: {extreme}",
        where=f"row {int(rows[batch.index[extreme.row]])}, met in training step {step}",
        expected="finite numbers in every input, target and sample weight",
        fix=f"mend or drop this row, or leave out {extreme.where}",
    )


def check_weights(model: nn.Module, step: int) -> None:
    """Refuse weights that are not finite before the first step.

    Raises:
        TrainingError: naming the parameters.
    """
    bad = _not_finite(values_of(model))
    if bad:
        raise TrainingError(
            f"the network holds values that are not finite: {_listed(bad)}",
            where=f"the network, before step {step}",
            expected="finite weights to begin with",
            fix="check the initialisation of the network",
        )


def diverged(
    model: nn.Module,
    batch: Batch,
    rows: np.ndarray,
    columns: Mapping[str, Sequence[str]],
    *,
    step: int,
    loss: float,
    what: str,
    lr: float,
) -> TrainingError:
    """The report after the last retry: parameters, rows and statistics of the inputs.

    Args:
        model: with the gradients of the step still in place.
        batch: the rows of the step.
        rows: source row numbers, by position.
        columns: names of the columns of an input.
        step, loss: where it happened.
        what: "not finite" or "spike".
        lr: the learning rate of the last try.
    """
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    bad = _not_finite(gradients) or _not_finite(values_of(model))
    shown = ", ".join(str(int(r)) for r in rows[batch.index[:_SHOWN]])
    extreme = most_extreme(batch, columns)
    says = f"the loss is {loss:.3g}" if what == "not finite" else f"the loss stays at {loss:.3g}, far above its course"
    parts = [f"{says} in step {step}, after {MOST_ROLLBACKS} retries, each with half the learning rate"]
    if bad:
        parts.append(f"first seen in {_listed(bad)}")
    if extreme is not None:
        parts.append(f"the most extreme value of the step is {extreme} (row {int(rows[batch.index[extreme.row]])})")
    return TrainingError(
        "; ".join(parts),
        where=f"training step {step}, {len(batch)} rows, among them {shown}",
        expected="a loss and gradients that stay finite and near their course",
        fix=f"lower the rate (--set train.lr={lr / 10:.1g}), clip gradients (--set train.clip=1), or mend the row that "
        "is named here",
    )


def no_memory(micro_batch: int, detail: str) -> TrainingError:
    """The report where even the smallest micro-batch does not fit."""
    return TrainingError(
        f"memory does not suffice for {micro_batch} row{'s' if micro_batch > 1 else ''} at a time",
        where=detail.strip().splitlines()[0][:200] if detail.strip() else "the forward or backward pass",
        expected="room for the network, its optimiser, its average and one row",
        fix="choose a smaller network (--set net.width=64 or another --net), or close other programs",
    )


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [n for n, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def check_request(spec: TrainSpec, train: Encoded) -> None:
    """Refuse what cannot be trained, before anything is set up.

    Raises:
        RequestError: a setting still says "auto".
        TrainingError: there is no row to learn from.
    """
    if spec.autos():
        raise RequestError(
            f"the settings {', '.join('train.' + name for name in spec.autos())} are not decided",
            where="train",
            expected="a complete plan",
            fix="make the plan with limpid plan, or set them",
        )
    if not len(train):
        raise TrainingError(
            "there is no row to learn from",
            where="the training part",
            expected="at least one row with a target",
            fix="check the target column and the split: limpid inspect DATA --target COL",
        )
