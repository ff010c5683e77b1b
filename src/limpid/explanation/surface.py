"""What the model answers over two columns of a table while the others hold typical values.

Legend of shapes: N rows, X and Y points along the two columns, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model
from limpid.core.errors import RequestError
from limpid.core.names import unknown_column
from limpid.core.repairs import Repairs
from limpid.explanation.encoded_row import shown_cell
from limpid.explanation.importance import frequent, like, numbers_of, tabular

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Segment = tuple[float, float, float, float]

POINTS = 40
"""Points along a number."""
_CATEGORIES, _BINS, _HELD = 12, 16, 12
_SPAN = (0.01, 0.99)
_LEVELS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Axis:
    """One of the two columns.

    Args:
        column: its name.
        number: whether it is a number; otherwise a category.
        points: the values that are asked about: floats in order, or the most frequent categories.
    """

    column: str
    number: bool
    points: list[Any]


def surface(model: Model, frame: pl.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """The answers over a grid of two columns; of a number and a category the number lies along x.

    Numbers run from their 1 % to their 99 % quantile in 40 points (whole numbers of a short range one by one),
    categories are the twelve most frequent. The other columns hold the median or the most frequent value; what is no
    number or category of a table (a text, a picture) holds the first row's cell.

    Args:
        model: that answers.
        frame: (N) raw rows that say what is typical.
        columns: two of the model's, checked by `columns_of`.

    Returns:
        {"columns": [x, y], "numbers": [whether x is a number, y], "x", "y": their points, "kind": probability, classes
        or value, "of": what is answered, "values": Y lists of X, of classes the certainty, "chosen": Y lists of X
        places in "names" or None, "levels": of the contours, "contours": [{"level", "x", "y", "x2", "y2"}] between two
        numbers, [{"level", "x", "y": category}] between a number and a category, "held": [{"column", "value"}],
        "more_held", "counts": rows by bin [{"x", "y", "n"}], "outside": rows that lie outside}.
    """
    found = [_axis(model, frame, name) for name in columns]
    x, y = found if found[0].number or not found[1].number else found[::-1]
    held = typical_row(model, frame)
    asked = pl.concat([held] * (len(x.points) * len(y.points)))
    for axis, values in ((x, x.points * len(y.points)), (y, [p for p in y.points for _ in x.points])):
        name = axis.column
        column = like(asked, name, np.array(values)) if axis.number else pl.Series(name, values, strict=False)
        asked = asked.with_columns(column if axis.number else _cast(column, asked[name].dtype))
    encoded = model.encoders.encode(asked, Repairs())
    given = np.asarray(model.task.predict(model.raw(encoded)).values, dtype=np.float64)
    answer = _answered(model, given.reshape(len(given), -1), (len(y.points), len(x.points)))
    others = [n for n in model.encoders.columns if n not in (x.column, y.column)]
    return {
        "columns": [x.column, y.column],
        "numbers": [x.number, y.number],
        "x": x.points,
        "y": y.points,
        **{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in answer.items()},
        "contours": _contours(x, y, answer),
        "held": [{"column": n, "value": _said(held[n][0])} for n in others[:_HELD]],
        "more_held": max(0, len(others) - _HELD),
        **_counts(model, frame, x, y),
    }


def columns_of(model: Model, asked: Sequence[str] | None, ranked: Sequence[str]) -> list[str] | None:
    """Which two columns the surface is of.

    Args:
        model: that reads them.
        asked: by the user, or None for the two that matter most.
        ranked: columns by importance.

    Returns:
        two names, or None where none were asked for and the model reads fewer than two that are fit.

    Raises:
        RequestError: there is no such column, it is named twice, or is neither a number nor a category of a table.
    """
    fit = [n for n in ranked if model.encoders.columns[n].kind in ("number", "category") and tabular(model, n)]
    if asked is None:
        return fit[:2] if len(fit) > 1 else None
    where = "--surface " + " ".join(asked)
    if len(asked) != 2 or asked[0] == asked[1]:
        raise RequestError(
            "a decision surface is of two different columns",
            where=where,
            expected="two names",
            fix="name another column beside " + (repr(asked[0]) if asked else "the first"),
        )
    known = list(model.encoders.columns)
    for name in asked:
        if name not in known:
            raise unknown_column(name, known, where=where, of="the model")
        kind = model.encoders.columns[name].kind
        if kind not in ("number", "category") or not tabular(model, name):
            raise RequestError(
                f"the column {name!r} is of kind {kind}, which has no axis",
                where=where,
                expected="columns of kind number or category",
                fix="choose two of " + ", ".join(map(repr, fit[:12])) if fit else "this model reads none of them",
            )
    return list(asked)


def typical_row(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    """One raw row that holds the median of each number and the most frequent value of each other column of a table."""
    row = frame[:1]
    for name in model.encoders.columns:
        if not tabular(model, name):
            continue
        if model.encoders.columns[name].kind == "number":
            middle = numbers_of(model, frame, name).cast(pl.Float64).median()
            row = row.with_columns(like(row, name, np.array([middle])))
        elif len(cells := frame[name].drop_nulls()):
            row = row.with_columns(_cast(pl.Series(name, frequent(cells, 1), strict=False), row[name].dtype))
    return row


def crossings(x: Floats, y: Floats, values: Floats, level: float) -> list[Segment]:
    """Where a grid of values crosses a level, as pieces of lines (marching squares, Lorensen and Cline 1987).

    Args:
        x: (X) and y: (Y) points in order.
        values: (Y,X).
        level: that is crossed; a piece runs straight through each cell, its ends by linear interpolation.

    Example:
        >>> crossings(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([[0.0, 1.0], [0.0, 1.0]]), 0.25)
        [(0.25, 0.0, 0.25, 1.0)]
    """
    found: list[Segment] = []
    above = values >= level
    for j in range(len(y) - 1):
        for i in range(len(x) - 1):
            corners = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
            if len({bool(above[b, a]) for a, b in corners}) == 1:
                continue
            ends = []
            for (a, b), (c, d) in zip(corners, corners[1:] + corners[:1], strict=True):
                if above[b, a] != above[d, c]:
                    part = (level - values[b, a]) / (values[d, c] - values[b, a])
                    ends.append((float(x[a] + part * (x[c] - x[a])), float(y[b] + part * (y[d] - y[b]))))
            # Four ends are a saddle: which two belong together is not told by the corners.
            ends = ends if len(ends) == 2 or above[j, i] else ends[1:] + ends[:1]
            found += [(*ends[n], *ends[n + 1]) for n in range(0, len(ends), 2)]
    return found


def _axis(model: Model, frame: pl.DataFrame, name: str) -> Axis:
    if model.encoders.columns[name].kind != "number":
        return Axis(name, False, frequent(frame[name].drop_nulls(), _CATEGORIES))
    values = numbers_of(model, frame, name).drop_nulls().cast(pl.Float64).to_numpy()
    if not len(values):
        return Axis(name, True, [0.0])
    low, high = np.quantile(values, _SPAN)
    if (values == np.rint(values)).all() and high - low < POINTS:
        return Axis(name, True, np.arange(np.floor(low), np.ceil(high) + 1).tolist())
    return Axis(name, True, np.linspace(low, high, POINTS).tolist())


def _answered(model: Model, given: Floats, shape: tuple[int, int]) -> dict[str, Any]:
    task: Any = model.task
    target = ", ".join(model.target)
    if task.name != "classification":
        values = given[:, 0].reshape(shape)
        levels = sorted({float(v) for v in np.quantile(values, _LEVELS)}) if np.ptp(values) > 0 else []
        of = f"the predicted {model.target[0]}"
        return {"kind": "value", "of": of, "values": values, "chosen": None, "names": [], "levels": levels}
    names = [str(c) for c in task.classes]
    cut = np.atleast_1d(np.asarray(task.threshold, dtype=np.float64))
    if task.multi_label or len(names) == 2:
        place = int(given.mean(axis=0).argmax()) if task.multi_label else 1
        level = float(cut[min(place, len(cut) - 1)] if task.multi_label else cut[0])
        of = f"the probability of {target} = {names[place]}"
        values = given[:, place].reshape(shape)
        return {"kind": "probability", "of": of, "values": values, "chosen": None, "names": [], "levels": [level]}
    chosen = np.asarray(task.decide(given)).reshape(shape)
    return {
        "kind": "classes",
        "of": f"the class of {target}",
        "values": given.max(axis=1).reshape(shape),
        "chosen": chosen,
        "names": names,
        "levels": [],
    }


def _contours(x: Axis, y: Axis, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Where the decision changes (of values: where they cross a quarter of what is answered)."""
    if not x.number:
        return []
    along, values, chosen = np.array(x.points, dtype=np.float64), answer["values"], answer["chosen"]
    if not y.number:
        found = []
        for name, line, picked in zip(y.points, values, chosen if chosen is not None else values, strict=True):
            if chosen is not None:
                places = np.flatnonzero(np.diff(picked))
                found += [{"level": None, "x": float(along[n : n + 2].mean()), "y": name} for n in places]
            for level in answer["levels"]:
                for n in np.flatnonzero(np.diff(line >= level)):
                    part = (level - line[n]) / (line[n + 1] - line[n])
                    found.append({"level": level, "x": float(along[n] + part * (along[n + 1] - along[n])), "y": name})
        return found
    up = np.array(y.points, dtype=np.float64)
    pieces = [(level, s) for level in answer["levels"] for s in crossings(along, up, values, level)]
    if chosen is not None:
        pieces = [(None, s) for s in _borders(edges(along), edges(up), chosen)]
    return [{"level": level, **dict(zip(("x", "y", "x2", "y2"), s, strict=True))} for level, s in pieces]


def _borders(x: Floats, y: Floats, chosen: Array) -> list[Segment]:
    """Edges of cells between two classes."""
    beside = [(float(x[i + 1]), float(y[j]), float(x[i + 1]), float(y[j + 1])) for j, i in _changes(chosen, 1)]
    above = [(float(x[i]), float(y[j + 1]), float(x[i + 1]), float(y[j + 1])) for j, i in _changes(chosen, 0)]
    return beside + above


def _changes(chosen: Array, axis: int) -> Array:
    return np.argwhere(np.diff(chosen, axis=axis) != 0)


def edges(points: Floats) -> Floats:
    """The edges of cells around points at equal distances, one more than there are points."""
    step = (points[1] - points[0]) / 2 if len(points) > 1 else 0.5
    return np.append(points - step, points[-1] + step)


def _counts(model: Model, frame: pl.DataFrame, x: Axis, y: Axis) -> dict[str, Any]:
    """How many rows lie where, in bins: what the surface says of empty ones nobody has seen."""
    places, names = [], []
    for axis in (x, y):
        if axis.number:
            values = numbers_of(model, frame, axis.column).cast(pl.Float64).fill_null(np.nan).to_numpy()
            every = edges(np.array(axis.points, dtype=np.float64))
            cuts = np.linspace(every[0], every[-1], min(_BINS, len(axis.points)) + 1)
            place = np.digitize(values, cuts) - 1
            place[(place >= len(cuts) - 1) | ~np.isfinite(values)] = -1
            middle: list[Any] = ((cuts[:-1] + cuts[1:]) / 2).tolist()
        else:
            order = {name: n for n, name in enumerate(axis.points)}
            place = np.array([order.get(v, -1) for v in frame[axis.column].cast(pl.String).to_list()])
            middle = axis.points
        places.append(place)
        names.append(middle)
    inside = (places[0] >= 0) & (places[1] >= 0)
    pairs, tally = np.unique(np.stack([p[inside] for p in places]), axis=1, return_counts=True)
    return {
        "counts": [{"x": names[0][a], "y": names[1][b], "n": int(n)} for (a, b), n in zip(pairs.T, tally, strict=True)],
        "outside": int((~inside).sum()),
    }


def _said(cell: Any) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else shown_cell(cell)


def _cast(column: pl.Series, kind: pl.DataType) -> pl.Series:
    return column.cast(kind, strict=False)
