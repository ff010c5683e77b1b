"""How much each part of an input did for one answer: by gradients along a path, and by taking parts away.

Legend of shapes: N rows, U units, S steps of the path, C channels, H and W of a grid, T steps of a series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limpid.explanation.cam import cam
from limpid.explanation.lookups import find_lookups, on_the_path
from limpid.explanation.question import Question
from limpid.explanation.units import Row
from limpid.planning.assemble import Assembled, rows_at_once

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

RULES = ((64, 1), (128, 3), (1_024, 1), (4_096, 1))
"""Points of the path, and how they crowd at its beginning: each is tried where the one before did not add up."""
_CLOSE, _GAUSS = 0.01, 256
METHODS = ("integrated gradients", "gradient times input", "occlusion", "Shapley values", "Grad-CAM")
FLOATS = ("numbers", "missing", "pixels", "values")
"""Parts of forms that are numbers, so that a path between two of them is straight."""
_READ = ("numbers", "pixels", "values")
_EVALUATIONS, _FLOPS = 2_000, 2e11
_PATH_FLOPS, _FEWER = 2e10, 4


@dataclass(frozen=True)
class Attribution:
    """What a method says.

    Args:
        method: its name.
        units: (U).
        total: what they should add up to, or None where nothing is promised.
        values: finer ones, by "INPUT.PART", where the method has them: (C,H,W) of pixels, (T,D) of steps.
    """

    method: str
    units: Floats
    total: float | None = None
    values: dict[str, Array] = field(default_factory=dict)


def attribute(
    question: Question, row: Row, method: str, *, seed: int = 0, noise: int | None = None, few: bool = False
) -> Attribution | None:
    """One method's answer; None where it does not apply.

    Args:
        question: what is explained.
        row: of U units.
        method: one of METHODS.
        seed: of what a method draws.
        noise: seed of noise on looked-up vectors, for methods that go through them.
        few: whether the smallest number of draws and steps will do.
    """
    if method == "integrated gradients":
        return integrated_gradients(question, row, noise=noise, rules=RULES[:1] if few else RULES)
    if method == "gradient times input":
        return gradient_times_input(question, row, noise=noise)
    if method == "occlusion":
        return occlusion(question, row)
    if method == "Shapley values":
        draws = 1 if few else affordable(question, row) // (1 if noise is None else _FEWER)
        return shapley(question, row, evaluations=draws, seed=seed)
    return grad_cam(question, row)


def integrated_gradients(
    question: Question, row: Row, *, noise: int | None = None, rules: Sequence[tuple[int, int]] = RULES
) -> Attribution:
    """Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365).

    The path is straight, from the baseline row (padding for words, the channels' means for pictures, a series' own
    mean) to the row. The integral is a Gauss-Legendre sum. Where its parts do not add up, there are more points that
    crowd at the beginning, since a layer that scales what it gets to unit size does all of its work there; then, of
    networks that are cheap enough, very many, since bins of numbers and rectifiers bend the way at many places.
    """
    total = float(question.ask(row.arrays)[0] - at_baseline(question, row))
    best: Attribution | None = None
    flops = sum(n.flops() for n in question.networks)
    for steps, power in rules:
        if best is not None and steps * flops > _PATH_FLOPS:
            break
        points, weights = quadrature(steps, power)
        found = _along(question, row, points, weights, noise)
        one = Attribution("integrated gradients", row.gather(found), total, found)
        if best is None or incompleteness(one) < incompleteness(best):
            best = one
        if noise is not None or incompleteness(one) <= _CLOSE:
            break
    assert best is not None
    return best


def quadrature(steps: int, power: int) -> tuple[Floats, Floats]:
    """Points between 0 and 1 and their weights: Gauss-Legendre, or of many the middles of equal parts, in a root.

    Args:
        steps: number of points.
        power: 1 spreads them evenly; with more they crowd at 0.

    Example:
        >>> points, weights = quadrature(8, 3)
        >>> round(float(weights @ points**2), 6)
        0.333333
    """
    if steps > _GAUSS:
        root, weights = (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    else:
        points, weights = np.polynomial.legendre.leggauss(steps)
        root, weights = (points + 1) / 2, weights / 2
    return root**power, weights * power * root ** (power - 1)


def incompleteness(found: Attribution) -> float:
    """By how much the parts miss their total: relative to it, or to a tenth of the parts' sizes where they cancel.

    Where parts for and against nearly cancel, a small error is a large share of what is left.
    """
    assert found.total is not None
    whole = max(abs(found.total), 0.1 * float(np.abs(found.units).sum()), 1e-6)
    return abs(float(found.units.sum()) - found.total) / whole


def gradient_times_input(question: Question, row: Row, *, noise: int | None = None) -> Attribution:
    """The gradient at the row times the way from the baseline; "input x gradient" where the baseline is 0."""
    found = _along(question, row, np.ones(1), np.ones(1), noise)
    return Attribution("gradient times input", row.gather(found), None, found)


def _along(question: Question, row: Row, points: Floats, weights: Floats, noise: int | None = None) -> dict[str, Array]:
    """Weighted sum of gradients at points of the path, times the way; the mean of all networks."""
    found: dict[str, Array] = {}
    for network in question.networks:
        for name, value in _of_network(question, network, row, points, weights, noise).items():
            found[name] = found.get(name, 0) + value / len(question.networks)
    return found


def _of_network(
    question: Question, network: Assembled, row: Row, points: Floats, weights: Floats, noise: int | None
) -> dict[str, Array]:
    alpha, share = torch.from_numpy(points).float(), torch.from_numpy(weights)
    actual, begin = _tensors(row)
    lookups = find_lookups(network, actual, begin, row.shapes)
    sums = {
        name: torch.zeros(value.shape[1:], dtype=torch.float64)
        for name, value in actual.items()
        if name.rpartition(".")[2] in (*FLOATS, "tokens", "categories")
    }
    most = rows_at_once(network, 512)
    for start in range(0, len(alpha), most):
        a, w = alpha[start : start + most], share[start : start + most]
        batch: dict[str, Tensor] = {}
        leaves: list[tuple[str, Tensor, Tensor]] = []
        for name, value in actual.items():
            if name.rpartition(".")[2] not in FLOATS:
                batch[name] = value.expand(len(a), *value.shape[1:])
                continue
            way = value.float() - begin[name].float()
            point = begin[name].float() + a.view(-1, *([1] * (value.dim() - 1))) * way
            batch[name] = point.detach().requires_grad_(True)
            leaves.append((name, batch[name], way))
        draws = None if noise is None else torch.Generator().manual_seed(noise)
        with torch.enable_grad(), on_the_path(network, lookups, a, draws) as looked_up:
            evidence = question.evidence(network(batch)).sum()
        wanted = [leaf for _, leaf, _ in leaves] + [leaf for _, leaf, _ in looked_up]
        if not evidence.requires_grad:
            continue
        gradients = torch.autograd.grad(evidence, wanted, allow_unused=True)
        for (name, _, way), gradient in zip(leaves, gradients, strict=False):
            if gradient is not None:
                sums[name] += torch.tensordot(w, gradient.double() * way.double(), 1)
        for (lookup, _, way), gradient in zip(looked_up, gradients[len(leaves) :], strict=True):
            if gradient is not None:
                part = "tokens" if f"{lookup.name}.tokens" in actual else "categories"
                sums[f"{lookup.name}.{part}"] += lookup.shared(torch.tensordot(w, gradient.double() * way.double(), 1))
    return {name: value.numpy() for name, value in sums.items()}


def _tensors(row: Row) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The row, and where the path to it begins."""
    actual = {k: torch.from_numpy(np.array(v[:1])) for k, v in row.arrays.items()}
    begin = {k: torch.from_numpy(np.array(v)) for k, v in {**row.baseline, **_float_baseline(row)}.items()}
    return actual, begin


def _float_baseline(row: Row) -> dict[str, Array]:
    """Where the path begins, of parts that are not a table's: means of channels, and of a series over its steps."""
    found: dict[str, Array] = {}
    for name, array in row.arrays.items():
        owner, _, part = name.rpartition(".")
        if part == "pixels":
            shape: Any = row.shapes[owner]
            mean = np.asarray(shape.mean, np.float32).reshape(1, -1, 1, 1)
            found[name] = np.broadcast_to(mean, array[:1].shape).copy()
        elif part == "values":
            length = int(row.arrays[f"{owner}.length"][0])
            begin = array[:1].astype(np.float32)
            if length:
                begin[0, :length] = begin[0, :length].mean(axis=0)
            found[name] = begin
    return found


def unreached(question: Question, row: Row) -> list[str]:
    """Inputs of numbers, pixels or steps that no gradient reaches: their net counts or compares instead of computing.

    Args:
        question: what is explained.
        row: whose inputs are asked about.
    """
    reached: set[str] = set()
    there: dict[str, Tensor] = {}
    for network in question.networks:
        batch = {k: torch.from_numpy(np.array(v[:1])) for k, v in row.arrays.items()}
        leaves = {k: v.float().requires_grad_(True) for k, v in batch.items() if k.rpartition(".")[2] in _READ}
        leaves = {k: v for k, v in leaves.items() if v.numel()}
        there |= leaves
        with torch.enable_grad():
            evidence = question.evidence(network(batch | leaves)).sum()
        if leaves and evidence.requires_grad:
            found = torch.autograd.grad(evidence, list(leaves.values()), allow_unused=True)
            reached |= {k for k, gradient in zip(leaves, found, strict=True) if gradient is not None}
    return [name.rpartition(".")[0] for name in there if name not in reached]


def at_baseline(question: Question, row: Row) -> float:
    """The evidence where the path begins."""
    actual, begin = _tensors(row)
    each = []
    for network in question.networks:
        lookups = find_lookups(network, actual, begin, row.shapes)
        batch = {k: begin[k].float() if k.rpartition(".")[2] in FLOATS else v for k, v in actual.items()}
        with torch.no_grad(), on_the_path(network, lookups, torch.zeros(1)):
            each.append(float(question.evidence(network(batch))[0]))
    return float(np.mean(each))


def occlusion(question: Question, row: Row) -> Attribution:
    """What is lost when each unit is taken away by itself (Zeiler and Fergus 2014; leave-one-out)."""
    count = len(row.units)
    taken = np.vstack([np.zeros((1, count), bool), np.eye(count, dtype=bool)])
    found = question.ask(row.without(taken))
    return Attribution("occlusion", found[0] - found[1:])


def affordable(question: Question, row: Row) -> int:
    """Rows that Shapley values may ask for: some thousand, fewer of networks that are slow."""
    flops = max(1.0, sum(n.flops() for n in question.networks))
    return int(min(_EVALUATIONS, max(_FLOPS / flops, 2 * (len(row.units) + 1))))


def shapley(question: Question, row: Row, *, evaluations: int = _EVALUATIONS, seed: int = 0) -> Attribution:
    """Shapley values by permutations drawn in antithetic pairs (Strumbelj and Kononenko 2014; Mitchell et al. 2022).

    Args:
        question: what is explained.
        row: of U units.
        evaluations: rows that may be asked for; with fewer than two permutations' worth there is one pair.
        seed: of the permutations.

    Each permutation's differences add up to the whole, so the sum is exact whatever their number.
    """
    count = len(row.units)
    pairs = max(1, evaluations // (2 * (count + 1)))
    draws = np.random.default_rng(seed)
    orders = [order for _ in range(pairs) for first in (draws.permutation(count),) for order in (first, first[::-1])]
    total = np.zeros(count)
    whole = 0.0
    at_once = max(1, 1_024 // (count + 1))
    for start in range(0, len(orders), at_once):
        some = orders[start : start + at_once]
        ranks = np.array([np.argsort(order) for order in some]).reshape(len(some), count)
        # After k places of a permutation are there, those of a higher rank are still away.
        taken = ranks[:, None, :] >= np.arange(count + 1)[None, :, None]
        found = question.ask(row.without(taken.reshape(-1, count))).reshape(len(some), count + 1)
        for order, line in zip(some, found, strict=True):
            total[order] += np.diff(line)
        whole = float(found[-1, -1] - found[-1, 0])
    return Attribution("Shapley values", total / len(orders), whole)


def grad_cam(question: Question, row: Row) -> Attribution | None:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391), the mean of all networks.

    None where no convolutional net reads a grid.
    """
    batch = {k: torch.from_numpy(np.array(v[:1])) for k, v in row.arrays.items()}
    heat, name = None, ""
    for network in question.networks:
        found = cam(network, batch, question.evidence, row.shapes)
        if found is None:
            return None
        name = found[0]
        one = found[1].double().numpy() / len(question.networks)
        heat = one if heat is None else heat + one
    assert heat is not None
    units = np.zeros(len(row.units))
    for place, unit in enumerate(row.units):
        if unit.kind == "region" and unit.name_of_input == name:
            top, left, bottom, right = unit.where
            units[place] = float(heat[top:bottom, left:right].mean())
    return Attribution("Grad-CAM", units, None, {f"{name}.pixels": heat[None]})
