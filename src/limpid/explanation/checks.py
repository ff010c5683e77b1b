"""May an attribution be believed? What can be measured about it, and a sentence on each.

Legend of shapes: U units.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from limpid.explanation.attribution import Attribution, incompleteness
from limpid.explanation.question import Question
from limpid.explanation.units import Row
from limpid.planning.assemble import Assembled

Floats = npt.NDArray[np.float64]

COMPLETE = 0.05
"""Share of the whole by which the parts may miss it."""
AGREES, STABLE, DIFFERS = 0.5, 0.8, 0.6
_NOISE, _NOISES = 0.02, 3
_FEWEST = 4
_SHUFFLES, _SHUFFLED_NETWORKS = 4, 2
_LARGE = 100_000


@dataclass(frozen=True)
class Check:
    """One property of an attribution.

    Args:
        name: completeness, agreement, stability or randomised weights.
        value: the figure, None where it cannot be told.
        passed: whether it may be believed by this, None where it cannot be told.
        says: a sentence with the figure.
    """

    name: str
    value: float | None
    passed: bool | None
    says: str


def completeness(found: Attribution) -> Check:
    """Whether the parts add up to the difference that they divide."""
    if found.total is None:
        return Check("completeness", None, None, "this method does not promise that its parts add up")
    relative = incompleteness(found)
    passed = relative <= COMPLETE or abs(float(found.units.sum()) - found.total) <= 1e-4
    says = f"the parts add up to {found.units.sum():.4g} of {found.total:.4g}, {relative:.1%} off"
    return Check("completeness", relative, passed, says)


def agreement(found: Attribution, others: Sequence[Attribution]) -> Check:
    """Whether methods that take parts away see the same: likeness with the others, in the median."""
    alike = [likeness(found.units, other.units) for other in others if other.method != found.method]
    if not alike or len(found.units) < _FEWEST:
        return Check("agreement", None, None, "there are too few parts or methods to compare")
    middle = float(np.median(alike))
    return Check(
        "agreement", middle, middle >= AGREES, f"its likeness with the other methods is {middle:.2f} (1 is the same)"
    )


def stability(row: Row, found: Attribution, method: Callable[[Row, int | None], Attribution | None]) -> Check:
    """Whether it stays what it is when numbers, pixels or steps move by two hundredths of their spread.

    Args:
        row: that was explained.
        found: its attribution.
        method: gives it again, of a row and a seed of noise on looked-up vectors.
    """
    each = []
    for n in range(_NOISES):
        near, moved = _moved(row, n)
        again = method(near, n)
        if again is not None and (moved or not np.array_equal(again.units, found.units)):
            each.append(likeness(found.units, again.units))
    if not each:
        return Check("stability", None, None, "words and categories cannot be moved by a little")
    alike = float(np.mean(each))
    return Check("stability", alike, alike >= STABLE, f"under small noise its likeness with itself is {alike:.2f}")


def _moved(row: Row, seed: int) -> tuple[Row, bool]:
    """The row with a little noise on what is a number, and whether anything is."""
    draws = np.random.default_rng(seed)
    arrays = dict(row.arrays)
    for name, array in row.arrays.items():
        owner, _, part = name.rpartition(".")
        if part in ("numbers", "values") and array.size:
            size = _NOISE * max(1.0, float(np.std(array)))
            arrays[name] = (array + draws.normal(0, size, array.shape)).astype(array.dtype)
        elif part == "pixels":
            shape: Any = row.shapes[owner]
            noisy = array + draws.normal(0, _NOISE, array.shape) * np.asarray(shape.std).reshape(1, -1, 1, 1)
            arrays[name] = (np.clip(np.rint(noisy), 0, 255) if array.dtype == np.uint8 else noisy).astype(array.dtype)
    moved = any(arrays[name] is not array for name, array in row.arrays.items())
    return Row(row.encoders, row.frame, arrays, row.baseline), moved


def randomised(found: Attribution, others: Sequence[Attribution | None]) -> Check:
    """Whether it depends on what was learnt: with weights shuffled it must look different (Adebayo et al. 2018).

    Args:
        found: the attribution.
        others: the same of each of `unlearnt`; some are averaged, since of few parts two sets are alike by chance.
    """
    if len(found.units) < _FEWEST:
        return Check("randomised weights", None, None, "there are too few parts to compare")
    each = [0.0 if other is None else likeness(found.units, other.units) for other in others]
    alike = abs(float(np.mean(each)))
    says = (
        f"with weights shuffled its likeness with itself is {alike:.2f} (what looks at the model falls towards 0, in "
        f"the mean of {len(each)} shuffles)"
    )
    return Check("randomised weights", alike, alike <= DIFFERS, says)


def unlearnt(question: Question) -> Iterator[Question]:
    """The same question to networks whose weights were shuffled, one after the other."""
    for n in range(_SHUFFLES):
        yield question.of([shuffled_copy(network, n) for network in question.networks[:_SHUFFLED_NETWORKS]])


def likeness(one: Floats, two: Floats) -> float:
    """The cosine of two attributions: 1 where they are the same up to a factor, 0 where they have nothing in common.

    Where a method says only what speaks for the answer, both are centred first: two heaps of positive numbers have a
    large cosine whatever they are.
    """
    if (one >= 0).all() or (two >= 0).all():
        one, two = one - one.mean(), two - two.mean()
    sizes = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two / sizes) if sizes > 0 else 0.0


def shuffled_copy(network: Assembled, seed: int) -> Assembled:
    """A copy whose weights stand in another order, layer by layer: the same sizes, and nothing that was learnt.

    Of buffers only those that stand for what a line or words speak for are shuffled: edges of bins must stay in order.
    """
    copied = copy.deepcopy(network)
    draws = torch.Generator().manual_seed(seed)
    learnt = {name for name, _ in copied.named_parameters()}
    with torch.no_grad():
        for name, value in copied.state_dict().items():
            known = name in learnt or name.rpartition(".")[2] in ("weight", "score")
            if known and value.is_floating_point() and value.numel() > 1:
                # Of large tables whole rows change places, which is much faster.
                flat = value.clone() if value.numel() > _LARGE and value.dim() > 1 else value.flatten()
                value.copy_(flat[torch.randperm(len(flat), generator=draws)].view_as(value))
    return copied
