"""Rows that best stand for a class as the network sees it, rows that none of them covers, and rows among strangers.

Legend of shapes: N rows, D features of the last hidden layer, P prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model
from limpid.explanation.encoded_row import shown_cell
from limpid.explanation.landscape import grouped
from limpid.explanation.looks import look
from limpid.explanation.neighbours import features

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_ROWS, _VALUES = 1_000, 20_000_000
_FEWEST = 10
_GROUPS, _MARKS = 10, 5
EACH = 3
"""Prototypes of a group at most."""
_NEAR = 10
_ALONE, _AMONG = 2.0, 0.5
_SAID = 120


def standing_for(
    model: Model,
    frame: pl.DataFrame,
    arrays: Mapping[str, Array],
    target: Array,
    rows: Array,
    names: Sequence[str] | None = None,
    main: Sequence[str] = (),
) -> dict[str, Any]:
    """Prototypes of each class (of values: of each quarter), outliers, and rows among others' rows.

    Args:
        model: in whose last hidden layer rows are compared.
        frame: (N) raw rows.
        arrays: the same encoded.
        target: (N,...) encoded targets.
        rows: (N,) source row numbers.
        names: what each row is called, where it is a window.
        main: columns whose cells are shown first.

    Returns:
        {"rows": looked at, "groups": [{"group", "rows", "prototypes"}], "more_groups", "outliers", "strangers",
        "near": neighbours that were asked, "wrong": what a marked row is}. A row is {"row", "name", "truth", "answer",
        "wrong", "cells", "png", "line"}; prototypes have "stands_for" (rows of their group that lie nearest to them),
        outliers "distance" (to the nearest prototype of their group, 1 is usual), strangers "others" (share of
        neighbours that belong to another group) and "most" (their most frequent group). {} for fewer than ten rows.
    """
    if len(rows) < _FEWEST:
        return {}
    width = max(1, features(model, {k: v[:1] for k, v in arrays.items()}).shape[1])
    count = min(len(rows), _ROWS, max(_FEWEST, _VALUES // width))
    index = np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))
    some = {name: array[index] for name, array in arrays.items()}
    distance = distances(scaled(features(model, some)))
    prediction = model.task.predict(model.raw(some))
    decoded, truth = model.task.decode(prediction), model.task.readable(target[index])
    loss = model.task.example_loss(target[index], prediction)
    group, titles, wrong, marked = grouped(model, target[index], truth, decoded, loss)
    answers = decoded[decoded.columns[0]].to_list()
    answers = answers if len(answers) == len(index) else [None] * len(index)

    def said(place: int, **more: Any) -> dict[str, Any]:
        at = int(index[place])
        return {
            "row": int(rows[at]),
            "name": None if names is None else names[at],
            "truth": shown_cell(truth[place])[:_SAID],
            "answer": "" if answers[place] is None else shown_cell(answers[place])[:_SAID],
            "wrong": bool(wrong[place]),
            **look(frame, arrays, at, main),
            **more,
        }

    chosen, covered = chosen_of(distance, group)
    sizes = np.bincount(group, minlength=len(titles))
    order = [g for g in np.argsort(-sizes, kind="stable") if len(chosen.get(int(g), ()))]
    shown = sorted(int(g) for g in order[:_GROUPS])
    others, most = among(distance, group, apart=1 if classes_of(model) else 2)
    by_distance = [int(n) for n in np.argsort(-covered, kind="stable")[:_MARKS] if covered[n] > _ALONE]
    by_others = [int(n) for n in np.lexsort((-covered, -others))[:_MARKS] if others[n] > _AMONG]
    return {
        "rows": len(index),
        "near": min(_NEAR, len(index) - 1),
        "wrong": marked,
        "groups": [
            {
                "group": titles[g],
                "rows": int(sizes[g]),
                "prototypes": [said(p, stands_for=n) for p, n in chosen[g].items()],
            }
            for g in shown
        ],
        "more_groups": len(order) - len(shown),
        "outliers": [said(n, distance=float(covered[n]), group=titles[group[n]]) for n in by_distance],
        "strangers": [
            said(n, others=float(others[n]), group=titles[group[n]], most=titles[most[n]]) for n in by_others
        ],
    }


def classes_of(model: Model) -> bool:
    """Whether rows belong to classes; otherwise their groups are stretches of one scale, from low to high."""
    return model.task.name == "classification" and not getattr(model.task, "multi_label", False)


def scaled(found: Floats) -> Floats:
    """(N,D) features by their spread, so that each counts alike; those that never change stay out."""
    spread = found.std(axis=0)
    kept = spread > 1e-9
    return np.asarray((found[:, kept] - found[:, kept].mean(axis=0)) / spread[kept])


def distances(found: Floats) -> Floats:
    """(N,N) Euclidean distances of rows (N,D)."""
    square = (found**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(square[:, None] + square[None, :] - 2 * found @ found.T, 0.0)))


def chosen_of(distance: Floats, group: Array) -> tuple[dict[int, dict[int, int]], Floats]:
    """Prototypes of each group, and how far each row lies from the nearest of its own.

    Args:
        distance: (N,N).
        group: (N) of each row.

    Returns:
        group -> {place of a prototype: rows of the group that lie nearest to it}, the most of them first; and (N)
        distances, where 1 is the usual one of the group.
    """
    chosen: dict[int, dict[int, int]] = {}
    covered = np.zeros(len(group))
    for g in np.unique(group):
        own = np.flatnonzero(group == g)
        inside = distance[np.ix_(own, own)]
        places = mmd_prototypes(kernel(inside), EACH)
        gap = inside[:, places]
        nearest = gap.argmin(axis=1)
        counts = np.bincount(nearest, minlength=len(places))
        chosen[int(g)] = {int(own[places[n]]): int(counts[n]) for n in np.argsort(-counts, kind="stable")}
        far = gap.min(axis=1)
        known = far[far > 0]
        covered[own] = far / (float(np.median(known)) if len(known) else 1.0)
    return chosen, covered


def kernel(distance: Floats) -> Floats:
    """(N,N) likeness of rows: a Gaussian whose width is the median distance (Gretton et al. 2012)."""
    apart = distance[distance > 0]
    width = float(np.median(apart)) if len(apart) else 1.0
    return np.asarray(np.exp(-((distance / width) ** 2) / 2))


def mmd_prototypes(alike: Floats, most: int) -> list[int]:
    """Rows that stand for all, greedily, by maximum mean discrepancy (MMD-critic, Kim et al. 2016).

    The next one is that with which the prototypes' distribution comes nearest to that of all rows; it ends where no
    further one brings it nearer.

    Args:
        alike: (N,N) kernel of the rows.
        most: prototypes at most.

    Example:
        >>> mmd_prototypes(np.eye(4), 2)
        [0, 1]
    """
    mean = alike.mean(axis=1)
    chosen: list[int] = []
    inner, best = 0.0, -np.inf
    while len(chosen) < min(most, len(alike)):
        size = len(chosen) + 1
        within = inner + 2 * alike[:, chosen].sum(axis=1) + alike.diagonal()
        value = 2 * (mean[chosen].sum() + mean) / size - within / size**2
        value[chosen] = -np.inf
        place = int(value.argmax())
        if value[place] <= best + 1e-12:
            break
        chosen.append(place)
        best, inner = float(value[place]), float(within[place])
    return chosen


def closeness(alike: Floats, chosen: Sequence[int]) -> float:
    """What prototypes reach: the mean likeness of all pairs of rows, less their squared discrepancy from the rows."""
    places = list(chosen)
    return float(2 * alike[:, places].mean() - alike[np.ix_(places, places)].mean())


def among(distance: Floats, group: Array, *, apart: int = 1) -> tuple[Floats, Array]:
    """(N) share of each row's nearest rows that belong to another group, and (N) their most frequent group.

    Args:
        distance: (N,N).
        group: (N) of each row.
        apart: how far two numbers of groups lie apart at least to be another one; 2 for stretches of one scale, where
            neighbours over a border are no wonder.
    """
    others = distance.copy()
    np.fill_diagonal(others, np.inf)
    count = min(_NEAR, len(group) - 1)
    near = group[np.argsort(others, axis=1, kind="stable")[:, :count]]
    most = np.array([np.bincount(row).argmax() for row in near])
    return np.asarray((abs(near - group[:, None]) >= apart).mean(axis=1)), most
