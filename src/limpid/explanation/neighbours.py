"""Which rows the network takes for nearly the same, and what would have to be different for another answer.

Legend of shapes: N rows, D features of the last hidden layer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model, forward
from limpid.core.repairs import Repairs
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


@dataclass(frozen=True)
class _Aim:
    """What another answer is: another class, or of a value one beyond its 90 % interval.

    Args:
        own: the class that is answered, or None of values.
        value: that is answered.
        low, high: the interval.
    """

    own: int | None
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def reached(self, found: Floats) -> npt.NDArray[np.bool_]:
        """(N) of answers (N,K)."""
        if self.own is not None:
            return np.asarray(found.argmax(axis=1) != self.own)
        return np.asarray((found[:, 0] < self.low) | (found[:, 0] > self.high))

    def best(self, found: Floats) -> int:
        """Which of N changes to make: of classes the strongest, of values the smallest that is enough."""
        if self.own is not None:
            return int(found[:, self.own].argmin())
        moved = np.abs(found[:, 0] - self.value)
        enough = self.reached(found)
        return int(np.where(enough, moved, np.inf).argmin() if enough.any() else moved.argmax())


def counterfactual(
    model: Model, row: pl.DataFrame, others: pl.DataFrame, fixed: Collection[str] = ()
) -> dict[str, Any] | None:
    """The fewest columns of a table's row that would have to hold other values for another answer, greedily.

    Another answer is another class, or a value beyond the 90 % interval of this one. Values are those of other rows (of
    numbers some quantiles, of categories the frequent ones), so that each is plausible by itself. One column is changed
    at a time, the one that moves the answer most, at most four; a change that turns out not to be needed is taken back.

    Args:
        model: that classifies, or predicts one value.
        row: one raw row.
        others: raw rows that say what is plausible.
        fixed: columns that must stay.

    Returns:
        {"changes": [{"column", "from", "to"}], "before", "after", "probability" of a class or "interval" of the value
        before}, or None where four changes are not enough or the model reads no table.
    """
    aim = _aim(model, row)
    if aim is None:
        return None
    names = [n for n in model.encoders.columns if n not in fixed and tabular(model, n)]
    of_numbers = [n for n in names if model.encoders.columns[n].kind == "number"]
    plausible = others.with_columns([numbers_of(model, others, n) for n in of_numbers])
    current = row
    changed: list[str] = []
    while len(changed) < _CHANGES:
        cell = {n: current[n].to_list()[0] for n in names}
        tried = [(n, v) for n in names if n not in changed for v in _plausible(plausible[n]) if v != cell[n]]
        if not tried:
            return None
        asked = pl.concat([_changed(current, n, v) for n, v in tried], how="vertical_relaxed")
        found = answers(model, asked)
        best = aim.best(found)
        current = asked[best]
        changed.append(tried[best][0])
        if aim.reached(found[best : best + 1])[0]:
            return _needed(model, row, current, changed, aim)
    return None


def _aim(model: Model, row: pl.DataFrame) -> _Aim | None:
    if model.task.name == "classification" and not getattr(model.task, "multi_label", False):
        return _Aim(int(answers(model, row)[0].argmax()))
    if model.task.name != "regression" or len(model.target) != 1:
        return None
    given = model.task.predict(model.raw(model.encoders.encode(row, Repairs())))
    if given.lower is None or given.upper is None:
        return None
    value, low, high = (float(np.asarray(v).reshape(-1)[0]) for v in (given.values, given.lower, given.upper))
    return _Aim(None, value, low, high)


def _needed(model: Model, row: pl.DataFrame, current: pl.DataFrame, changed: list[str], aim: _Aim) -> dict[str, Any]:
    for name in list(changed):
        back = current.with_columns(row[name].cast(current[name].dtype, strict=False))
        if len(changed) > 1 and aim.reached(answers(model, back))[0]:
            current = back
            changed.remove(name)
    after = answers(model, current)[0]
    changes = [{"column": n, "from": shown_cell(row[n][0]), "to": shown_cell(current[n][0])} for n in changed]
    if aim.own is None:
        told = {"before": f"{aim.value:.6g}", "after": f"{after[0]:.6g}", "interval": [aim.low, aim.high]}
        return {"changes": changes, **told}
    classes = list(getattr(model.task, "classes", range(len(after))))
    return {
        "changes": changes,
        "before": str(classes[aim.own]),
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
