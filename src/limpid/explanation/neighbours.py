"""Which rows the network takes for nearly the same, and what would have to be different for another answer.

Legend of shapes: N rows, D features of the last hidden layer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model, forward
from limpid.explanation.encoded_row import shown_cell
from limpid.explanation.importance import answers, frequent, numbers_of, tabular

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_VALUES = 12
_CHANGES = 4


def features(model: Model, arrays: Mapping[str, Array]) -> Floats:
    """(N,D) what the head of the first network reads, members side by side."""
    return (
        forward(model.network, arrays, of=model.network.features)
        .reshape(len(next(iter(arrays.values()))), -1)
        .astype(np.float64)
    )


def nearest(
    model: Model, one: Mapping[str, Array], many: Mapping[str, Array], count: int = 5
) -> list[tuple[int, float]]:
    """Positions of the rows nearest to one in the network's own space, with distances in units of the usual one.

    Args:
        model: whose space it is.
        one: an encoded row.
        many: N encoded rows.
        count: how many.
    """
    among, own = features(model, many), features(model, one)[0]
    scale = among.std(axis=0)
    scale[scale < 1e-9] = 1.0
    distance = np.sqrt((((among - own) / scale) ** 2).mean(axis=1))
    usual = float(np.median(distance)) or 1.0
    return [(int(n), float(distance[n] / usual)) for n in np.argsort(distance, kind="stable")[:count]]


def counterfactual(
    model: Model, row: pl.DataFrame, others: pl.DataFrame, fixed: Collection[str] = ()
) -> dict[str, Any] | None:
    """The fewest columns of a table's row that would have to hold other values for another class, greedily.

    Values are those of other rows (of numbers some quantiles, of categories the frequent ones), so that each is
    plausible by itself. One column is changed at a time, the one that moves the answer most, at most four; a change
    that turns out not to be needed is taken back.

    Args:
        model: that classifies.
        row: one raw row.
        others: raw rows that say what is plausible.
        fixed: columns that must stay.

    Returns:
        {"changes": [{"column", "from", "to"}], "before", "after", "probability"}, or None where four changes are not
        enough or the model reads no table.
    """
    if model.task.name != "classification" or getattr(model.task, "multi_label", False):
        return None
    names = [n for n in model.encoders.columns if n not in fixed and tabular(model, n)]
    of_numbers = [n for n in names if model.encoders.columns[n].kind == "number"]
    plausible = others.with_columns([numbers_of(model, others, n) for n in of_numbers])
    start = answers(model, row)[0]
    own = int(start.argmax())
    current = row
    changed: list[str] = []
    while len(changed) < _CHANGES:
        cell = {n: current[n].to_list()[0] for n in names}
        tried = [(n, v) for n in names if n not in changed for v in _plausible(plausible[n]) if v != cell[n]]
        if not tried:
            return None
        asked = pl.concat([_changed(current, n, v) for n, v in tried], how="vertical_relaxed")
        found = answers(model, asked)
        best = int(found[:, own].argmin())
        current = asked[best]
        changed.append(tried[best][0])
        if int(found[best].argmax()) != own:
            return _needed(model, row, current, changed, own)
    return None


def _needed(model: Model, row: pl.DataFrame, current: pl.DataFrame, changed: list[str], own: int) -> dict[str, Any]:
    for name in list(changed):
        back = current.with_columns(row[name].cast(current[name].dtype, strict=False))
        if len(changed) > 1 and int(answers(model, back)[0].argmax()) != own:
            current = back
            changed.remove(name)
    after = answers(model, current)[0]
    classes = list(getattr(model.task, "classes", range(len(after))))
    return {
        "changes": [{"column": n, "from": shown_cell(row[n][0]), "to": shown_cell(current[n][0])} for n in changed],
        "before": str(classes[own]),
        "after": str(classes[int(after.argmax())]),
        "probability": float(after.max()),
    }


def _plausible(column: pl.Series) -> list[Any]:
    known = column.drop_nulls()
    if not len(known):
        return []
    if known.dtype.is_numeric():
        return (
            known.unique().sort().gather(np.unique(np.linspace(0, known.n_unique() - 1, _VALUES).astype(int))).to_list()
        )
    return frequent(known, _VALUES)


def _changed(row: pl.DataFrame, name: str, value: Any) -> pl.DataFrame:
    return row.with_columns(pl.Series(name, [value], dtype=row[name].dtype, strict=False))
