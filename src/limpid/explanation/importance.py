"""What the model looks at on the whole: permutation importance, dependence on single columns, and what works together.

Legend of shapes: N rows, U columns (or inputs), G points of a grid, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model
from limpid.core.forms import FieldsShape
from limpid.core.repairs import Repairs
from limpid.data.cleaning import canonical_text, clean, parse_numbers
from limpid.explanation.statistics import mean_and_interval
from limpid.planning.encoders import input_of

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_REPEATS = 5
_CURVE_ROWS, _POINTS, _ICE = 200, 13, 12
_BINS = 12
_TOP, _PAIR_TOP, _PAIR_ROWS = 4, 3, 40
_MOST_COLUMNS = 200


def whole_model(
    model: Model, frame: pl.DataFrame, arrays: Mapping[str, Array], target: Array, *, seed: int = 0
) -> dict[str, Any]:
    """What the model looks at on some rows.

    Args:
        model: what answers.
        frame: (N) raw rows.
        arrays: the same encoded.
        target: (N,...) their encoded targets.
        seed: of the permutations.

    Returns:
        {"metric", "score", "importance": [{"column", "loss", "low", "high"}], "curves": [...], "pairs": [...], "of"}.
    """
    ranked = permutation_importance(model, arrays, target, seed=seed)
    of_table = [r["column"] for r in ranked["importance"] if tabular(model, r["column"])]
    output, of = _followed(model, arrays)
    curves = [dependence(model, frame, name, output) for name in of_table[:_TOP]]
    names = of_table[:_PAIR_TOP]
    pairs: list[dict[str, Any]] = [
        {"columns": [one, two], "strength": interaction(model, frame, one, two, output)}
        for n, one in enumerate(names)
        for two in names[n + 1 :]
    ]
    pairs.sort(key=lambda pair: pair["strength"], reverse=True)
    return {**ranked, "of": of, "curves": [c for c in curves if c["points"]], "pairs": pairs}


def permutation_importance(
    model: Model,
    arrays: Mapping[str, Array],
    target: Array,
    *,
    seed: int = 0,
    go_on: Callable[[], bool] = lambda: True,
) -> dict[str, Any]:
    """How much worse the first metric gets when one column's values are dealt out anew among the rows (Breiman 2001).

    All encoded parts of a column move together; each column is shuffled five times, and the interval is that of the
    mean (t distribution).

    Args:
        model: what answers.
        arrays: N encoded rows.
        target: (N,...) their encoded targets.
        seed: of the shuffles.
        go_on: asked before each shuffle; where it says no, only whole passes over the columns count, and with fewer
            than two of them there is no "importance".

    Returns:
        {"metric", "score", "rows", "importance": [{"column", "loss", "low", "high"}], the most important first}.
    """
    metric = model.task.metrics[0]
    sign = 1.0 if metric.greater_is_better else -1.0

    def score(changed: Mapping[str, Array]) -> float:
        return float(metric.compute(target, model.task.predict(model.raw(changed)), None))

    base = score(arrays)
    draws = np.random.default_rng(seed)
    names = list(model.encoders.columns)[:_MOST_COLUMNS]
    losses: list[list[float]] = []
    for _ in range(_REPEATS):
        one_pass = []
        for name in names:
            if not go_on():
                break
            order = draws.permutation(len(target))
            one_pass.append(sign * (base - score(_dealt(model, arrays, name, order))))
        if len(one_pass) < len(names):
            break
        losses.append(one_pass)
    found: list[dict[str, Any]] = []
    for n, name in enumerate(names if len(losses) > 1 else ()):
        mean, low, high = mean_and_interval([one_pass[n] for one_pass in losses])
        found.append({"column": name, "loss": mean, "low": low, "high": high})
    found.sort(key=lambda entry: entry["loss"], reverse=True)
    return {"metric": metric.name, "score": base, "rows": len(target), "importance": found}


def dependence(model: Model, frame: pl.DataFrame, name: str, output: int) -> dict[str, Any]:
    """How the answer follows one column, the others as they are.

    Partial dependence (Friedman 2001), twelve individual curves, and for numbers accumulated local effects (Apley and
    Zhu 2020), which do not ask the model about combinations that do not occur.

    Returns:
        {"column", "kind": number or category, "points": [{"value", "mean", "effect"}], "single": [[...] for rows]}.
    """
    rows = _spread(frame, _CURVE_ROWS)
    number = model.encoders.columns[name].kind == "number"
    rows = rows.with_columns(numbers_of(model, rows, name)) if number else rows
    values = rows[name].drop_nulls()
    if not len(values):
        return {"column": name, "kind": "empty", "points": [], "single": []}
    if number:
        grid = np.unique(np.quantile(values.cast(pl.Float64).to_numpy(), np.linspace(0.02, 0.98, _POINTS)))
        points: list[Any] = grid.tolist()
    else:
        points = frequent(values, _POINTS)
    answers = np.stack([_answers(model, _set(rows, name, point), output) for point in points])  # (G,N)
    effects: Sequence[float | None] = [None] * len(points)
    if number:
        effects = accumulated(model, frame, name, output, points)
    return {
        "column": name,
        "kind": "number" if number else "category",
        "points": [
            {
                "value": canonical_text(point) if isinstance(point, list) else point,
                "mean": float(a.mean()),
                "effect": effect,
            }
            for point, a, effect in zip(points, answers, effects, strict=True)
        ],
        "single": answers[:, : min(_ICE, answers.shape[1])].T.tolist(),
    }


def accumulated(
    model: Model, frame: pl.DataFrame, name: str, output: int, points: Sequence[float]
) -> list[float | None]:
    """Accumulated local effects at some points of a number, centred.

    They are the sum of what crossing each bin changes, for rows that lie in it.
    """
    rows = frame.with_columns(numbers_of(model, frame, name)).filter(pl.col(name).is_not_null())
    rows = _spread(rows, 10 * _CURVE_ROWS)
    values = rows[name].cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)))
    if len(edges) < 2:
        return [0.0] * len(points)
    place = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
    low = _answers(model, rows.with_columns(like(rows, name, edges[place])), output)
    high = _answers(model, rows.with_columns(like(rows, name, edges[place + 1])), output)
    counts = np.bincount(place, minlength=len(edges) - 1)
    steps = np.bincount(place, weights=high - low, minlength=len(edges) - 1) / np.maximum(counts, 1)
    curve = np.concatenate([[0.0], np.cumsum(steps)])
    centre = float(np.sum((curve[:-1] + curve[1:]) / 2 * counts) / max(counts.sum(), 1))
    return [float(v) for v in np.interp(points, edges, curve - centre)]


def interaction(model: Model, frame: pl.DataFrame, one: str, two: str, output: int) -> float:
    """Friedman's H of two columns (Friedman and Popescu 2008): 0 where effects only add up, 1 where all is joint."""
    rows = _spread(frame, _PAIR_ROWS)
    count = rows.height
    every = np.repeat(np.arange(count), count)  # the point that is asked about
    others = np.tile(np.arange(count), count)

    def partial(names: Sequence[str]) -> Floats:
        asked = rows[others].with_columns([rows[n][every].alias(n) for n in names])
        found = _answers(model, asked, output).reshape(count, count).mean(axis=1)
        return np.asarray(found - found.mean())

    joint, first, second = partial([one, two]), partial([one]), partial([two])
    power = float((joint**2).sum())
    return float(np.sqrt(max(0.0, ((joint - first - second) ** 2).sum() / power))) if power > 1e-12 else 0.0


def numbers_of(model: Model, frame: pl.DataFrame, name: str) -> pl.Series:
    """The raw cells of a column of numbers as such; tables of text hold them as they were written."""
    spec = model.encoders.columns[name]
    column = clean(frame[name], spec)
    return parse_numbers(column, str(spec.options.get("decimal", ".")))[0].alias(name)


def frequent(cells: pl.Series, most: int) -> list[Any]:
    """The most frequent cells, as text; sets of labels that are lists stay lists."""
    texts = cells if cells.dtype == pl.List else cells.cast(pl.String)
    return texts.value_counts(sort=True)[cells.name].head(most).to_list()


def tabular(model: Model, name: str) -> bool:
    """Whether a column is one of a table's."""
    return isinstance(model.encoders.modality(name).shape(), FieldsShape)


def _dealt(model: Model, arrays: Mapping[str, Array], name: str, order: Array) -> dict[str, Array]:
    """The rows with one column's parts in another order."""
    changed = dict(arrays)
    shape = model.encoders.modality(name).shape()
    if not isinstance(shape, FieldsShape):
        own = input_of(name) + "."
        return {k: v[order] if k.startswith(own) else v for k, v in changed.items()}
    for part, places in model.encoders.places(name).items():
        if places:
            moved = changed[part].copy()
            moved[:, places] = moved[order][:, places]
            changed[part] = moved
    return changed


def _followed(model: Model, arrays: Mapping[str, Array]) -> tuple[int, str]:
    """Which number of the answer the curves follow: the value, or the probability of one class."""
    target = ", ".join(model.target)
    if model.task.name != "classification":
        return 0, f"the predicted {target}"
    values = model.task.predict(model.raw({k: v[:_CURVE_ROWS] for k, v in arrays.items()})).values
    place = 1 if values.shape[1] == 2 else int(values.mean(axis=0).argmax())
    return place, f"the probability of {target} = {getattr(model.task, 'classes', [place] * (place + 1))[place]}"


def answers(model: Model, frame: pl.DataFrame) -> Floats:
    """(N,K) the model's answers to raw rows; what is mended in them is no repair of the user's data."""
    encoded = model.encoders.encode(frame, Repairs())
    return np.asarray(model.task.predict(model.raw(encoded)).values, dtype=np.float64)


def _answers(model: Model, frame: pl.DataFrame, output: int) -> Floats:
    return answers(model, frame)[:, output]


def _spread(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    if frame.height <= most:
        return frame
    return frame[np.linspace(0, frame.height - 1, most).astype(np.int64)]


def _set(frame: pl.DataFrame, name: str, value: Any) -> pl.DataFrame:
    if isinstance(value, list):
        return frame.with_columns(pl.Series(name, [value] * frame.height, dtype=frame[name].dtype))
    if frame[name].dtype == pl.String:
        return frame.with_columns(pl.lit(value).alias(name))
    return frame.with_columns(like(frame, name, np.full(frame.height, value)))


def like(frame: pl.DataFrame, name: str, values: Array) -> pl.Series:
    """Values as a column of the frame's type; whole numbers that are asked about between two stay fractions."""
    kind = frame[name].dtype
    return pl.Series(name, values, dtype=pl.Float64 if kind.is_numeric() else kind, strict=False)
