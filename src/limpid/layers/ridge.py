"""A linear head solved for in closed form: ridge regression, its penalty chosen by leaving out one example at a time.

Legend: N examples, F features, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limpid.layers.calibration import fit_binary_temperature, fit_temperature

PENALTIES = tuple(float(p) for p in np.logspace(-5, 1, 13))
"""What is tried, in units of the mean squared length of an example's features."""

_SHARP = 2.0  # logits of a score of 1, before the left-out scores say more


@dataclass(frozen=True)
class Solved:
    """A linear map from features to a task's raw outputs.

    Args:
        weight: (K,F) float32.
        bias: (K,) float32.
        penalty: the one of `PENALTIES` whose left-out examples were predicted best.
        left_out: (N,K) float64, what each example gets from the solution without it, before any scaling.
        factor: (K,) or (1,) what the ridge's scores are multiplied by to become logits; 1 for regression.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    left_out: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]


def spread(rows: int, most: int) -> Tensor:
    """(n,) places of up to `most` of `rows` examples, evenly spread, since they may be in the order of their classes.

    Example:
        >>> spread(7, 3).tolist()
        [0, 3, 6]
    """
    return torch.linspace(0, rows - 1, min(rows, most), dtype=torch.float64).long()


def solve(features: Tensor, target: Tensor, outputs: int, *, classes: bool, weight: Tensor | None = None) -> Solved:
    """The ridge solution with an intercept, and for classes the factor that makes its scores logits.

    Classes are coded as 1 and -1, each against the rest. All left-out errors follow from one inverse (Golub, Heath and
    Wahba 1979): the system has as many unknowns as examples, so it is quick for up to some thousands of them. The
    scores of left-out examples, which are honest where those of fitted ones are not, then set the temperature.

    Args:
        features: (N,F), at least two examples.
        target: (N,) class codes, (N,K) labels of 0 and 1, or (N,K) values.
        outputs: K.
        classes: whether the outputs are logits of classes or labels.
        weight: (N,) weights of the examples, or None.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> found = solve(x, 2 * x + 1, 1, classes=False)
        >>> bool((found.weight * 4 + found.bias - 9).abs() < 0.01)
        True
    """
    mass = torch.ones(len(features), dtype=torch.float64) if weight is None else weight.double()
    wanted = _coded(target, outputs) if classes else target.double().reshape(len(target), -1)
    assert wanted.shape == (len(features), outputs), f"targets of shape {tuple(target.shape)} for {outputs} outputs"
    used = mass > 0
    mass, x, y = mass[used] / mass[used].mean(), features[used].double(), wanted[used]
    share = mass / mass.sum()
    middle, level = share @ x, share @ y
    root = mass.sqrt().unsqueeze(1)
    x, y = (x - middle) * root, (y - level) * root
    gram = x @ x.T
    unit = float(gram.diagonal().mean())
    if unit <= 1e-20 * float(features.double().square().sum(dim=1).max()):
        unit = 1.0  # features that never vary, up to rounding
    best: tuple[float, float, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        ridge = penalty * unit
        inverse = _inverse(gram, ridge)
        dual = inverse @ y
        # The intercept takes each example's own share of the mean from what is left to it.
        left = (ridge * inverse.diagonal() - share).clamp_min(1e-12).unsqueeze(1)
        error = ridge * dual / left / root
        loss = float((mass.unsqueeze(1) * error.square()).mean())
        if best is None or loss <= best[0]:
            best = (loss, penalty, dual, error)
    assert best is not None
    _, penalty, dual, error = best
    slope = dual.T @ x
    intercept = level - slope @ middle
    left_out = torch.full_like(wanted, float("nan"))
    left_out[used] = wanted[used] - error
    factor = np.ones(1)
    if classes:
        factor = _factor(left_out[used].numpy(), target[used].numpy(), mass.numpy())
    scale = torch.from_numpy(factor)
    return Solved((slope * scale.unsqueeze(1)).float(), (intercept * scale).float(), penalty, left_out.numpy(), factor)


def _coded(target: Tensor, outputs: int) -> Tensor:
    """(N,K) of 1 and -1."""
    if target.dim() == 1:
        target = torch.nn.functional.one_hot(target, outputs)
    return target.double() * 2 - 1


def _inverse(gram: Tensor, ridge: float) -> Tensor:
    raised = gram.clone()
    raised.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(raised)
    return torch.linalg.inv(raised) if bool(failed) else torch.cholesky_inverse(factor)


def _factor(
    left_out: npt.NDArray[np.float64], target: npt.NDArray[np.int64], mass: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """What makes logits of scores, so that the log loss of left-out examples is least."""
    scores = np.clip(left_out, -3.0, 3.0) * _SHARP
    if target.ndim == 1:
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.array([_SHARP / fit_temperature(raised / raised.sum(axis=1, keepdims=True), target, mass)])
    chance = 1 / (1 + np.exp(-2 * scores))
    return np.array(
        [2 * _SHARP / fit_binary_temperature(chance[:, k], target[:, k], mass) for k in range(scores.shape[1])]
    )
