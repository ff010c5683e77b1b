"""What is a forecast to be compared with? Three models without a network, at the same origins, judged alike.

    seasonal naive   the value one season earlier
    drift            the last value, and the mean step of the past from then on
    linear           ridge regression of every step to come on the last values and the calendar, in closed form

Each gets bands from the quantiles of its errors on training windows, in units of the scale of their series, and these
are calibrated on the validation windows like the network's.

Legend of shapes: N windows, L steps of history, H steps ahead, Q quantiles, C columns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.contracts import Prediction, Task
from limpid.data.encoded import Encoded
from limpid.data.windows import Windows, calendar_waves
from limpid.evaluation.baselines import Baseline

Floats = npt.NDArray[np.float64]
Answer = Callable[[Windows, npt.NDArray[np.int64]], Floats]

_FIT_WINDOWS = 50_000
_SEASONS = 3  # seasons back that a missing value is looked for
_RIDGE = 1.0  # windows' worth of doubt about each standardised column
_MOST_LAGS = 400


def run(
    tables: Mapping[str, Windows], encoded: Mapping[str, Encoded], task: Task, seconds: float | None
) -> list[Baseline]:
    """Fit the baselines on training windows and judge them on the others.

    Args:
        tables: part -> its windows.
        encoded: part -> the same windows encoded, "train" and "valid" at the least; `rows` says which they are.
        task: fitted; it is not changed.
        seconds: wall time for all of them together, or None; the ridge is left out where it is short.

    Returns:
        seasonal naive, drift, linear.
    """
    started = time.monotonic()
    train = encoded["train"]
    rows = np.asarray(train.rows)
    if len(rows) > _FIT_WINDOWS:
        rows = rows[np.linspace(0, len(rows) - 1, _FIT_WINDOWS).astype(np.int64)]
    kept = np.searchsorted(train.rows, rows)
    assert train.target is not None
    target = np.asarray(train.target, dtype=np.float64)[kept]
    found = []
    for name, note, make in (
        ("seasonal naive", f"the value {tables['train'].cutting.period} steps earlier", _seasonal),
        ("drift", "the last value and the mean step of the past", _drift),
        ("linear", "", _linear),
    ):
        if name == "linear" and seconds is not None and time.monotonic() - started > 0.5 * seconds:
            found.append(Baseline(name, {}, 0.0, "left out: its time was up"))
            continue
        begun = time.monotonic()
        answer, said = make(tables["train"], rows, target)
        judged = _judged(answer, tables, encoded, task, rows, target)
        found.append(Baseline(name, judged[0], round(time.monotonic() - begun, 3), said or note, judged[1]))
    return found


def _judged(
    answer: Answer,
    tables: Mapping[str, Windows],
    encoded: Mapping[str, Encoded],
    task: Any,
    rows: npt.NDArray[np.int64],
    target: Floats,
) -> tuple[dict[str, dict[str, float | None]], dict[str, Prediction]]:
    levels = _error_quantiles(answer(tables["train"], rows), target, task.quantiles)
    judge = type(task).from_state(task.spec, task.state())
    judge.bands = None
    outputs = {}
    for name, part in encoded.items():
        if name != "train":
            assert part.target is not None
            scale = _scale(np.asarray(part.target, dtype=np.float64))
            middle = answer(tables[name], np.asarray(part.rows))
            outputs[name] = judge.outputs_of(middle[:, :, None] + scale[:, None, None] * levels)
    valid = encoded["valid"]
    judge.calibrate(outputs["valid"], np.asarray(valid.target), valid.weight)
    metrics: dict[str, dict[str, float | None]] = {}
    answers: dict[str, Prediction] = {}
    for name, raw in outputs.items():
        answers[name] = judge.predict(raw)
        truth = np.asarray(encoded[name].target)
        values = {m.name: float(m.compute(truth, answers[name], encoded[name].weight)) for m in judge.metrics}
        metrics[name] = {key: value if np.isfinite(value) else None for key, value in values.items()}
    return metrics, answers


def _scale(target: Floats) -> Floats:
    return np.where(target[:, -1] > 0, target[:, -1], 1.0)


def _error_quantiles(answers: Floats, target: Floats, levels: Sequence[float]) -> Floats:
    """(H,Q) quantiles of the errors of each step, in units of the scale; the middle one is 0, so that a point forecast
    stays what it is."""
    horizon = answers.shape[1]
    errors = (target[:, :horizon] - answers) / _scale(target)[:, None]
    found = np.zeros((horizon, len(levels)))
    for h in range(horizon):
        known = errors[np.isfinite(errors[:, h]), h]
        if len(known):
            found[h] = np.quantile(known, levels) - np.median(known)
    return found


# -- the three ------------------------------------------------------------------------------------------------------


def _seasonal(table: Windows, rows: npt.NDArray[np.int64], target: Floats) -> tuple[Answer, str]:
    period, horizon = table.cutting.period, table.horizon

    def answer(windows: Windows, some: npt.NDArray[np.int64]) -> Floats:
        past = windows.past(some, period * _SEASONS).reshape(len(some), _SEASONS, period)
        season = past[:, -1]
        for back in range(2, _SEASONS + 1):
            season = np.where(np.isfinite(season), season, past[:, -back])
        last = carried(windows.past(some, period * _SEASONS))[:, -1:]
        season = np.where(np.isfinite(season), season, last)
        return np.asarray(season[:, np.arange(horizon) % period])

    return answer, ""


def _drift(table: Windows, rows: npt.NDArray[np.int64], target: Floats) -> tuple[Answer, str]:
    steps = np.arange(1, table.horizon + 1)

    def answer(windows: Windows, some: npt.NDArray[np.int64]) -> Floats:
        book = windows.book
        known = np.flatnonzero(np.isfinite(book.values[:, 0]))
        codes = book.series[known]
        firsts = known[np.searchsorted(codes, np.arange(len(book.first))).clip(max=len(known) - 1)]
        last = carried(windows.past(some, windows.history))[:, -1]
        code = windows.series[some]
        begin = book.values[firsts[code], 0]
        length = windows.cutoff[some] - 1 - (firsts[code] - book.starts[code])
        slope = np.where(length > 0, (last - begin) / np.maximum(length, 1), 0.0)
        return np.asarray(last[:, None] + slope[:, None] * steps)

    return answer, ""


def _linear(table: Windows, rows: npt.NDArray[np.int64], target: Floats) -> tuple[Answer, str]:
    lags = min(table.history, _MOST_LAGS)
    period = min(table.cutting.period, lags)
    horizon = table.horizon

    def columns(windows: Windows, some: npt.NDArray[np.int64], scale: Floats) -> tuple[Floats, Floats]:
        past = carried(windows.past(some, lags))
        level = past[:, -period:].mean(axis=1)
        cutting = windows.cutting
        waves = calendar_waves(windows.book.frequency, windows.index(some, 0)[:, :1], cutting.calendar, cutting.period)
        relative = (past - level[:, None]) / scale[:, None]
        return np.concatenate([relative, (level / scale)[:, None], waves[:, 0]], axis=1), level

    scale = _scale(target)
    matrix, level = columns(table, rows, scale)
    wanted = (target[:, :horizon] - level[:, None]) / scale[:, None]
    mean, width = matrix.mean(axis=0), matrix.std(axis=0)
    width[width < 1e-9] = 1.0
    design = np.concatenate([(matrix - mean) / width, np.ones((len(matrix), 1))], axis=1)
    weights = _ridge(design, wanted)
    scales = _series_scales(table, rows, scale)

    def answer(windows: Windows, some: npt.NDArray[np.int64]) -> Floats:
        own = scales[windows.series[some]]
        found, base = columns(windows, some, own)
        full = np.concatenate([(found - mean) / width, np.ones((len(found), 1))], axis=1)
        return np.asarray(base[:, None] + own[:, None] * (full @ weights))

    return answer, f"ridge on the last {lags} values and the calendar, {len(rows):,} windows"


def _series_scales(table: Windows, rows: npt.NDArray[np.int64], scale: Floats) -> Floats:
    """(S,) the scale of each series; the mean over the others for one without training windows."""
    found = np.full(len(table.book.first), float(scale.mean()) if len(scale) else 1.0)
    found[table.series[rows]] = scale
    return found


def _ridge(design: Floats, wanted: Floats) -> Floats:
    """(C,H) weights in closed form; steps with missing values are fitted on the windows that know them."""
    penalty = _RIDGE * np.eye(design.shape[1])
    penalty[-1, -1] = 0.0  # the constant
    known = np.isfinite(wanted)
    if known.all():
        return np.asarray(np.linalg.solve(design.T @ design + penalty, design.T @ wanted))
    whole = np.asarray(known.all(axis=1))
    weights = np.zeros((design.shape[1], wanted.shape[1]))
    if whole.sum() >= 0.5 * len(whole):
        part = design[whole]
        return np.asarray(np.linalg.solve(part.T @ part + penalty, part.T @ wanted[whole]))
    for h in range(wanted.shape[1]):
        part = design[known[:, h]]
        if len(part):
            weights[:, h] = np.linalg.solve(part.T @ part + penalty, part.T @ wanted[known[:, h], h])
    return weights


def carried(values: Floats) -> Floats:
    """(N,L) gaps filled with the last known value, those at the beginning with the first known one, else 0."""
    known = np.isfinite(values)
    if known.all():
        return values
    place = np.where(known, np.arange(values.shape[1]), -1)
    last = np.maximum.accumulate(place, axis=1)
    source = np.where(last < 0, known.argmax(axis=1)[:, None], last)
    filled = np.take_along_axis(values, source, axis=1)
    return np.where(np.isfinite(filled), filled, 0.0)
