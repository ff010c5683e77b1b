"""A map of what the network learnt: rows as it sees them before its last layer, in two dimensions.

Legend of shapes: N rows, D features of the last hidden layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model
from limpid.explanation.encoded_row import shown_cell
from limpid.explanation.neighbours import features

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

MOST = 400
_CELLS, _CELL = 10, 80
_LEVELS = 4
_WORST = 0.9


def landscape(
    model: Model, frame: pl.DataFrame, arrays: Mapping[str, Array], target: Array, rows: Array
) -> dict[str, Any]:
    """Rows by the two directions in which the features of the last hidden layer vary most (principal components).

    Args:
        model: whose features these are; of several networks the first one's.
        frame: (N) raw rows.
        arrays: the same encoded.
        target: (N,...) encoded targets.
        rows: (N,) source row numbers.

    Returns:
        {"points": [{"x", "y" (0 to 1), "group", "wrong", "row", "truth", "answer", "cells"}], "groups": names, "share":
        of the variance that the two directions hold, "wrong": what a marked point is}; {} for fewer than ten rows.
    """
    if len(rows) < 10:
        return {}
    index = np.unique(np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(np.int64))
    some = {name: array[index] for name, array in arrays.items()}
    place, share = projected(features(model, some))
    prediction = model.task.predict(model.raw(some))
    decoded = model.task.decode(prediction)
    truth = model.task.readable(target[index])
    loss = model.task.example_loss(target[index], prediction)
    groups, names, wrong, said = grouped(model, target[index], truth, decoded, loss)
    answers = decoded[decoded.columns[0]].to_list()
    answers = answers if len(answers) == len(index) else [None] * len(index)
    points = [
        {
            "x": round(float(place[n, 0]), 4),
            "y": round(float(place[n, 1]), 4),
            "group": int(groups[n]),
            "wrong": bool(wrong[n]),
            "row": int(rows[index[n]]),
            "truth": shown_cell(truth[n])[:_CELL],
            "answer": "" if answers[n] is None else shown_cell(answers[n])[:_CELL],
            "cells": {c: shown_cell(frame[c][int(index[n])])[:_CELL] for c in frame.columns[:_CELLS]},
        }
        for n in range(len(index))
    ]
    return {"points": points, "groups": names, "share": share, "wrong": said}


def projected(found: Floats) -> tuple[Floats, float]:
    """(N,2) principal components, each from 0 to 1, and the share of the variance that they hold.

    Args:
        found: (N,D); each feature counts by its spread.

    Example:
        >>> place, share = projected(np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]))
        >>> abs(share - 1) < 1e-9, sorted(place[:, 0].round(3).tolist())
        (True, [0.0, 0.5, 1.0])
    """
    centred = found - found.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    power = float((sizes**2).sum())
    two = left[:, :2] * sizes[:2]
    if two.shape[1] < 2:
        two = np.column_stack([two, np.zeros(len(two))])
    share = float((sizes[:2] ** 2).sum() / power) if power > 0 else 0.0
    low, reach = two.min(axis=0), np.ptp(two, axis=0)
    return (two - low) / np.where(reach > 0, reach, 1.0), share


def grouped(
    model: Model, target: Array, truth: list[Any], decoded: pl.DataFrame, loss: Array
) -> tuple[Array, list[str], Array, str]:
    """Group of each row, the groups' names, which rows are marked, and what that means.

    Groups are the classes, or quarters of the target's values; of several labels or steps their mean counts.

    Args:
        model: that answers.
        target: (N,...) encoded targets.
        truth: the same as people write them.
        decoded: the model's answers.
        loss: (N) of each row.
    """
    task: Any = model.task
    if task.name == "classification" and not task.multi_label:
        wrong = np.array([str(a) != str(t) for a, t in zip(decoded["prediction"].to_list(), truth, strict=True)])
        return np.asarray(target, dtype=np.int64), [str(c) for c in task.classes], wrong, "the answer is wrong"
    value = np.asarray(target, dtype=np.float64).reshape(len(target), -1)
    middle = np.nan_to_num(np.nanmean(value, axis=1))
    edges = np.unique(np.quantile(middle, np.linspace(0, 1, _LEVELS + 1)[1:-1]))
    names = ["lowest quarter", "second quarter", "third quarter", "highest quarter"]
    if len(edges) < _LEVELS - 1:
        names = [f"part {n + 1} of {len(edges) + 1}, from low to high" for n in range(len(edges) + 1)]
    wrong = loss >= np.quantile(loss, _WORST)
    return np.searchsorted(edges, middle, side="left"), names, wrong, "one of the tenth with the largest loss"
