"""Which threshold of each group brings the groups' rates together at little cost?

Legend of shapes: N rows, G groups, C thresholds that are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.data.groups import SMALLEST

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

COST = 0.0075
"""Most accuracy that may be given up where the thresholds are chosen, so that it stays below a point elsewhere."""

_TRIED = 120
_HELD_TO = 100.0  # penalty on leaving the probabilities as they are, in rows
_ROUNDS = 6
_PRICE = 0.05  # gap that a share of right answers is worth
_FEWEST = 10  # positive and negative rows of a group for a threshold of its own


def choose(
    chance: Floats,
    true: Array,
    codes: Array,
    groups: int,
    own: float,
    beside: tuple[Floats, Array] | None = None,
) -> Floats | None:
    """(G,) thresholds with the smallest equalised-odds gap among those that keep accuracy within `COST`.

    Two groups are searched in full; more of them one group at a time, over and over, from the model's own threshold.

    Args:
        chance: (N,) probability of the positive class.
        true: (N,) bool.
        codes: (N,) group.
        groups: G.
        own: the model's own threshold, kept by groups with too few rows.
        beside: probabilities and groups of further rows, whose outcomes are not looked at.
    """
    found: dict[int, _Curve] = {}
    for g in range(groups):
        mine = codes == g
        more = np.zeros(0) if beside is None else beside[0][beside[1] == g]
        curve = _curve(chance[mine], true[mine], more, own)
        if curve is not None:
            found[g] = curve
    if len(found) < 2:
        return None
    curves = list(found.values())
    start = [int(np.argmin(np.abs(c.cuts - own))) for c in curves]
    result = np.full(groups, own)
    for g, place in zip(found, _search(curves, start), strict=True):
        result[g] = found[g].cuts[place]
    return result


@dataclass(frozen=True)
class _Curve:
    """What each of C thresholds gives within a group of `rows` rows; `right` counts the right answers to expect."""

    cuts: Floats
    tpr: Floats
    fpr: Floats
    right: Floats
    rows: int


def _curve(chance: Floats, true: Array, more: Floats, own: float) -> _Curve | None:
    """What each threshold gives within a group, None where it has too few rows.

    Single outcomes near a threshold are luck, and few rows of a group are positive. So the rates are of probabilities,
    calibrated on the outcomes of the group, and over as many rows as there are: both vary much less.
    """
    if min(int(true.sum()), int((~true).sum())) < _FEWEST or len(true) < SMALLEST:
        return None
    every = np.concatenate([chance, more])
    cuts = np.unique(np.append(np.quantile(every, np.linspace(0, 1, _TRIED)), own))
    order = np.argsort(every)
    mass = np.append(0.0, np.cumsum(calibrated(chance, true, every)[order]))
    below = np.searchsorted(every[order], cuts, side="right")
    positives, rows = mass[-1], len(every)
    hits = positives - mass[below]
    alarms = (rows - below) - hits
    negatives = rows - positives
    return _Curve(cuts, hits / positives, alarms / negatives, hits + negatives - alarms, rows)


def calibrated(chance: Floats, true: Array, of: Floats) -> Floats:
    """Probabilities `of`, with slope and offset of their log odds fitted to what came true of `chance` (Platt 1999).

    A penalty holds them to what they are, so that few rows change little.
    """
    start = np.array([0.0, 1.0])
    weight = start.copy()
    x = _odds(chance)
    for _ in range(25):
        said = _inverse(x @ weight)
        slope = x.T @ (said - true) + _HELD_TO * (weight - start)
        bend = (x * (said * (1 - said))[:, None]).T @ x + _HELD_TO * np.eye(2)
        step = np.linalg.solve(bend, slope)
        weight = weight - step
        if np.abs(step).max() < 1e-8:
            break
    return _inverse(_odds(of) @ weight)


def _odds(chance: Floats) -> Floats:
    """(N,2) a column of ones and the log odds."""
    kept = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.stack([np.ones(len(kept)), np.log(kept) - np.log1p(-kept)], axis=1)


def _inverse(odds: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return chance


def _search(curves: list[_Curve], start: list[int]) -> list[int]:
    """The place of each group's threshold on its curve."""
    total = sum(c.rows for c in curves)
    floor = sum(float(c.right[s]) for c, s in zip(curves, start, strict=True)) - COST * total

    def value(gap: Floats, right: Floats) -> Floats:
        # Among gaps that so many rows cannot tell apart, the most accurate choice is taken.
        return np.where(right >= floor, gap - _PRICE * right / total, np.inf)

    if len(curves) == 2:
        a, b = curves
        gap = np.maximum(np.abs(a.tpr[:, None] - b.tpr[None, :]), np.abs(a.fpr[:, None] - b.fpr[None, :]))
        worth = value(gap, a.right[:, None] + b.right[None, :])
        first, second = np.unravel_index(int(worth.argmin()), worth.shape)
        return [int(first), int(second)]
    places = list(start)
    for _, g in product(range(_ROUNDS), range(len(curves))):
        others = [n for n in range(len(curves)) if n != g]
        gap = np.maximum(
            *(
                np.maximum(max(rest), own) - np.minimum(min(rest), own)
                for rest, own in (
                    ([curves[n].tpr[places[n]] for n in others], curves[g].tpr),
                    ([curves[n].fpr[places[n]] for n in others], curves[g].fpr),
                )
            )
        )
        right = curves[g].right + sum(float(curves[n].right[places[n]]) for n in others)
        places[g] = int(value(gap, right).argmin())
    return places
