"""Forecasts on their way from rows to people: the series of new rows go on, and are judged at rolling origins.

Legend of shapes: S series, N windows, H steps ahead, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from limpid.bundle.model import Model as Bundle
from limpid.core.contracts import Prediction
from limpid.core.errors import DataError, RequestError
from limpid.core.names import did_you_mean, unknown_column
from limpid.core.repairs import Repairs
from limpid.data.cutoffs import origins, past_scales, thin
from limpid.data.encoded import Encoded
from limpid.data.table import Table
from limpid.data.timelines import Book, written_stamps
from limpid.data.windows import WINDOW, Cutting, Windows
from limpid.planning.forecast import TASK, window_targets

if TYPE_CHECKING:
    from limpid.api.prepare import Prepared

_ROWS = 8_192
_SAMPLED = 100
_EXAMPLES = 4
_MOST_POINTS = 150


def windows_of(prepared: Prepared) -> Mapping[str, Windows] | None:
    """The windows of each part, where the rows of a run are windows."""
    tables = {name: part.table for name, part in prepared.draft.parts.items()}
    found = {name: table for name, table in tables.items() if isinstance(table, Windows)}
    return found if len(found) == len(tables) else None


def describe(
    details: dict[str, Any], table: Table, part: Encoded, prediction: Prediction, beside: Sequence[Any], judged: str
) -> None:
    """Add to the details of a run what only windows can tell; nothing where its rows are no windows.

    Args:
        details: of metrics.json; gets "examples", windows of several series and times with their bands, and
            "horizon_baselines", the errors of the baselines by step ahead; the worst rows get their window's name.
        table, part, prediction: of the judged part.
        beside: the baselines.
        judged: the part's name.
    """
    if not isinstance(table, Windows):
        return
    rows = np.asarray(part.rows)
    assert part.target is not None
    truth = np.asarray(part.target, dtype=np.float64)[:, : table.horizon]
    for worst, name in zip(
        details["worst"], table.names_of_rows(np.array([w["row"] for w in details["worst"]], dtype=np.int64)),
        strict=True,
    ):  # fmt: skip
        worst["window"] = name
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(_EXAMPLES, len(rows))).astype(np.int64))
    details["examples"] = [_example(table, int(rows[n]), truth[n], prediction, int(n)) for n in chosen]
    steps = [step["step"] - 1 for step in details["horizon"]]
    details["horizon_baselines"] = {
        b.name: [float(f"{v:.6g}") for v in np.nanmean(np.abs(b.answers[judged].values - truth)[:, steps], axis=0)]
        for b in beside
        if judged in b.answers and len(b.answers[judged].values) == len(truth)
    }


def _example(table: Windows, row: int, truth: np.ndarray, prediction: Prediction, place: int) -> dict[str, Any]:
    """One window, thinned to what a figure can show."""
    one = np.array([row])
    steps = min(table.history, max(2 * table.horizon, 24), _MOST_POINTS)
    past = table.past(one, steps)[0]
    shown = np.unique(np.linspace(0, table.horizon - 1, min(table.horizon, _MOST_POINTS)).astype(np.int64))
    assert prediction.lower is not None
    assert prediction.upper is not None
    ahead = np.stack([truth, prediction.values[place], prediction.lower[place], prediction.upper[place]], axis=1)
    stamps = table.book.frequency.stamps(table.index(one, -steps)[0])
    named = table.book.frequency.written(stamps)
    wanted = {*range(-steps, 0), *shown.tolist()}
    return {
        "name": table.names_of_rows(one)[0],
        "target": table.book.layout.target,
        "past": [[k - steps + 1, _figure(v)] for k, v in enumerate(past)],
        "ahead": [[int(h) + 1, *map(_figure, ahead[h])] for h in shown],
        "stamps": {
            str(k + 1): name for k, name in zip(range(-steps, table.horizon), named, strict=True) if k in wanted
        },
    }


def _figure(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def cutting_of(bundle: Bundle) -> Cutting | None:
    """How a model cuts windows out of rows, where it forecasts."""
    if bundle.task.name != TASK:
        return None
    found: Cutting | None = bundle.task.cutting  # type: ignore[attr-defined]
    if found is None:
        raise RequestError(
            "this model does not say how its series are laid out",
            where="the model",
            expected="a model that limpid trained on a table",
            fix="train it again",
        )
    return found


def forecast_table(
    bundle: Bundle, table: Table, repairs: Repairs, keep: Sequence[str] = (), *, quantiles: bool = False
) -> pl.DataFrame:
    """The next H steps of every series of a table, after its last known value.

    Args:
        bundle: a model that forecasts.
        table: rows of the past, and of the future where columns are known ahead.
        repairs: tally of what had to be mended.
        keep: columns whose value at the cutoff is written too.
        quantiles: whether all quantiles are given, in place of the 90 % band.

    Returns:
        H rows a series, in the order in which the series begin: id columns, kept columns, time columns, `prediction`,
        `lower`, `upper`. Where a series cannot be forecast its answers are null and a column `error` says why.

    Raises:
        RequestError: a column to keep does not exist.
        DataError: a column that the model needs is missing, or no row has a time.
    """
    cutting = cutting_of(bundle)
    assert cutting is not None
    keep = list(dict.fromkeys([keep] if isinstance(keep, str) else keep))
    book = _book(cutting, table, repairs, keep)
    ends = book.ends
    reasons = _reasons(book, cutting, ends)
    good = np.flatnonzero([reason is None for reason in reasons])
    windows = Windows(book, cutting, good, ends[good])
    _count_unknown(windows, repairs)
    levels = bundle.task.quantiles  # type: ignore[attr-defined]
    names = [f"q{100 * q:g}" for q in levels] if quantiles else ["lower", "upper"]
    answers = np.full((len(ends), cutting.horizon, 1 + len(names)), np.nan)
    at = 0
    for prediction in _predicted(bundle, windows, repairs):
        some = good[at : at + len(prediction.values)]
        at += len(some)
        assert prediction.lower is not None
        assert prediction.upper is not None
        bounds = prediction.quantiles if quantiles else np.stack([prediction.lower, prediction.upper], axis=2)
        assert bounds is not None
        answers[some] = np.concatenate([prediction.values[:, :, None], bounds], axis=2)
    columns = [*_labels(book, ends, table, keep, cutting.horizon), *_times(book, cutting, ends, table)]
    flat = answers.reshape(-1, answers.shape[2])
    written = {c.name for c in columns}
    for place, name in enumerate(["prediction", *names]):
        while name in written:
            name += "_model"
        columns.append(pl.Series(name, flat[:, place]).fill_nan(None))
    if len(good) < len(ends):
        told = np.repeat(np.array(reasons, dtype=object), cutting.horizon).tolist()
        columns.append(pl.Series("error", told, dtype=pl.String))
        first = next(r for r in reasons if r is not None)
        repairs.add(table.name, "series cannot be forecast; column 'error' says why", len(ends) - len(good), first)
    return pl.DataFrame(columns)


def _book(cutting: Cutting, table: Table, repairs: Repairs, keep: Sequence[str]) -> Book:
    for name in keep:
        if name not in table.columns:
            raise unknown_column(name, table.columns, where=f"--keep {name}", of=table.name)
    absent = [n for n in cutting.layout.needed if n not in table.columns]
    if absent:
        raise DataError(
            f"{'columns are' if len(absent) > 1 else 'a column is'} missing: {', '.join(map(repr, absent[:10]))}",
            where=f"columns of {table.name}",
            expected=f"the {len(cutting.layout.needed)} columns that the model was trained with, the target's past too",
            fix=did_you_mean(absent[0], table.columns),
        )
    repairs.merge(table.repairs)
    return cutting.book([table], repairs)


def _reasons(book: Book, cutting: Cutting, ends: np.ndarray) -> list[str | None]:
    """Why each series cannot be forecast; None where it can."""
    return [
        None
        if end >= cutting.least
        else f"it has {end} known steps, the model needs {cutting.least}"
        if end
        else "it has no known value"
        for end in ends.tolist()
    ]


def _count_unknown(windows: Windows, repairs: Repairs) -> None:
    """Count series whose known-ahead columns do not reach over all steps to come."""
    layout = windows.book.layout
    ahead = len(layout.channels(layout.known))
    if not ahead or not len(windows):
        return
    lacking = 0
    for start in range(0, len(windows), _ROWS):
        some = np.arange(start, min(start + _ROWS, len(windows)))
        cells = windows.windows(some)[:, windows.history :]
        first = 1 + len(layout.channels(layout.past))
        lacking += int(np.isnan(cells[:, :, first : first + ahead]).any(axis=(1, 2)).sum())
    repairs.add(
        windows.name,
        f"series lack rows of the steps to come for {', '.join(layout.known)}; the last known values were held",
        lacking,
    )


def _predicted(bundle: Bundle, windows: Windows, repairs: Repairs) -> Any:
    for _, raw in raw_outputs(bundle, windows, np.arange(len(windows)), repairs):
        prediction: Prediction = bundle.task.predict(raw)
        yield prediction


def raw_outputs(bundle: Bundle, windows: Windows, rows: np.ndarray, repairs: Repairs) -> Any:
    """(rows, raw outputs) of windows, some at a time."""
    names = [n for n in windows.columns if n in bundle.encoders.columns]
    at = 0
    for frame in windows.gather(names, rows, _ROWS):
        arrays = bundle.encoders.encode(frame, repairs, where=windows.name)
        if len(names) > 1 or WINDOW not in names:
            bundle.encoders.count_unknown(arrays, frame, repairs)
        yield rows[at : at + frame.height], bundle.raw(arrays)
        at += frame.height


def _labels(book: Book, ends: np.ndarray, table: Table, keep: Sequence[str], horizon: int) -> list[pl.Series]:
    """The id columns, and the kept columns at the last known step of each series, H times each."""
    layout = book.layout
    series = np.repeat(np.arange(len(ends)), horizon)
    columns = [book.names[n][series] for n in layout.ids]
    others = [n for n in keep if n not in layout.ids and n not in layout.time]
    if others:
        place = book.starts[:-1] + np.maximum(ends, 1) - 1
        rows = np.maximum(book.row[place], 0)
        order = np.argsort(rows, kind="stable")
        frame = table.read(others, rows=rows[order])[np.argsort(order, kind="stable")]
        columns += [frame[n][series] for n in others]
    return columns


def _times(book: Book, cutting: Cutting, ends: np.ndarray, table: Table) -> list[pl.Series]:
    """The time columns of the H steps after each series' last known value, or its last row where it has none."""
    last = np.where(ends > 0, ends, np.diff(book.starts))
    index = (book.first + last)[:, None] + np.arange(cutting.horizon)
    sample = table.sample(list(cutting.layout.time), _SAMPLED) if cutting.layout.time else pl.DataFrame()
    return written_stamps(cutting.layout, book.frequency.stamps(index.ravel()), sample)


def evaluate_forecast(bundle: Bundle, table: Table, repairs: Repairs) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs and encoded targets at rolling origins over all that a table holds.

    Raises:
        DataError: a column is missing, or no series is long enough for a window.
    """
    windows, target = judged_windows(bundle, table, repairs)
    outputs = np.concatenate([raw for _, raw in raw_outputs(bundle, windows, np.arange(len(windows)), repairs)])
    return outputs, target


def judged_windows(bundle: Bundle, table: Table, repairs: Repairs) -> tuple[Windows, np.ndarray]:
    """The windows at rolling origins over all that a table holds, and their encoded targets.

    Raises:
        DataError: a column is missing, or no series is long enough for a window.
    """
    cutting = cutting_of(bundle)
    assert cutting is not None
    book = _book(cutting, table, repairs, ())
    found = origins(book, cutting, np.zeros(len(book.values), dtype=np.int8))
    repairs.add(table.name, "windows without a value to come, or without one before, were left out", found.empty)
    repairs.add(table.name, "series are too short for a window and were left out", found.short)
    kept = thin(found, 0, int(bundle.task.spec.origins))
    if not len(kept):
        raise DataError(
            f"no series is long enough: a window needs {cutting.least} steps before and {cutting.horizon} after",
            where=table.name,
            expected=f"series of at least {cutting.least + cutting.horizon} steps",
            fix="give the rows before the ones to judge as well",
        )
    windows = Windows(book, cutting, found.series[kept], found.cutoff[kept])
    rows = np.arange(len(windows))
    target = bundle.task.encode(window_targets(windows, rows, past_scales(book, cutting.period, None)))
    return windows, target
