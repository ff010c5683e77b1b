"""Columns and series that give a forecast away: planted ones are found, honest ones are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from limpid.auditing.series_leaks import copies, findings_of, follows
from limpid.data.frequency import Frequency
from limpid.data.table import open_table
from limpid.data.timelines import Book, Layout
from limpid.data.windows import Windows
from limpid.planning.forecast import decide_forecast

LENGTH, HORIZON, SEASON = 240, 6, 12


def series(count: int = 4, seed: int = 0) -> np.ndarray:
    """(S,L) seasons with noise."""
    g = np.random.default_rng(seed)
    phase = g.random((count, 1)) * 6
    return 50 + 10 * np.sin(np.arange(LENGTH) * 2 * np.pi / SEASON + phase) + g.normal(0, 3, (count, LENGTH))


def book_of(target: np.ndarray, *, past: np.ndarray | None = None, known: np.ndarray | None = None) -> Book:
    count = len(target)
    columns = [target, *([] if past is None else [past]), *([] if known is None else [known])]
    layout = Layout(
        clock="count",
        time=("t",),
        ids=("shop",),
        target="sales",
        past=() if past is None else ("past",),
        known=() if known is None else ("known",),
    )
    starts = np.arange(count + 1) * target.shape[1]
    steps = int(starts[-1])
    return Book(
        "shops", layout, Frequency("count", 1), pl.DataFrame({"shop": [f"s{n}" for n in range(count)]}), starts,
        np.zeros(count, dtype=np.int64), np.stack([c.ravel() for c in columns], axis=1), np.arange(steps),
        np.zeros(steps, dtype=np.int8),
    )  # fmt: skip


def shifted(values: np.ndarray, steps: int) -> np.ndarray:
    """The values of so many steps before; NaN where there are none."""
    found = np.full(values.shape, np.nan)
    if steps > 0:
        found[:, steps:] = values[:, :-steps]
    elif steps < 0:
        found[:, :steps] = values[:, -steps:]
    else:
        found[:] = values
    return found


@pytest.mark.parametrize(
    ("known", "steps", "level", "what"),
    [
        (True, 0, "fault", "known ahead, is the target of the same step"),
        (True, 2, "fault", "is the target 2 steps before"),
        (True, -1, "fault", "is the target of the next step"),
        (False, -3, "fault", "known up to the cutoff, is the target 3 steps later"),
        (True, SEASON, "ok", "no column"),  # the season before is known at the cutoff
        (True, HORIZON, "ok", "no column"),
        (False, 0, "ok", "no column"),
        (False, 1, "ok", "no column"),
    ],
)
def test_a_column_that_holds_the_target(known: bool, steps: int, level: str, what: str) -> None:
    target = series()
    column = {"known" if known else "past": 3 * shifted(target, steps) + 7}
    (finding,) = findings_of(book_of(target, **column), HORIZON, SEASON, 0)
    assert finding.level == level and what in finding.what


def test_a_column_that_nearly_tells_the_target_and_one_that_does_not() -> None:
    target = series()
    g = np.random.default_rng(1)
    told = {0.3: "warning", 1.0: "look", 10.0: "ok"}
    for noise, level in told.items():
        found = findings_of(book_of(target, known=target + g.normal(0, noise, target.shape)), HORIZON, SEASON, 0)
        assert [f.level for f in found] == [level], noise
    found = findings_of(book_of(target, past=shifted(target, -1) + g.normal(0, 0.3, target.shape)), HORIZON, SEASON, 0)
    assert [f.level for f in found] == ["ok"]


def test_the_figure_is_the_squared_correlation_of_the_changes() -> None:
    target = series(1)
    other = target + np.random.default_rng(2).normal(0, 4, target.shape)
    (found,) = follows(book_of(target, known=other), HORIZON, SEASON)
    wanted = np.corrcoef(np.diff(target[0]), np.diff(other[0]))[0, 1] ** 2
    assert found.shift == 0 and found.squared == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(6))
def test_smooth_and_wandering_series_raise_no_alarm(seed: int) -> None:
    g = np.random.default_rng(seed)
    smooth = np.sin(np.arange(LENGTH) / 40 + np.arange(3)[:, None])
    walks = np.cumsum(g.normal(size=(3, LENGTH)), axis=1)
    for target, other in ((smooth, smooth), (walks, walks)):
        assert [f.level for f in findings_of(book_of(target, past=other), HORIZON, SEASON, 0)] == ["ok"]
    other = np.cumsum(g.normal(size=(3, LENGTH)), axis=1)
    assert [f.level for f in findings_of(book_of(walks, known=other), HORIZON, SEASON, 0)] == ["ok"]


def test_series_that_are_copies_and_stamps_that_stand_twice() -> None:
    target = series(5)
    target[3] = target[1]
    target[4] = 7.0  # nothing ever happens there
    book = book_of(target)
    assert copies(book) == [("s1", "s3")]
    told = [f.what for f in findings_of(book, HORIZON, SEASON, 12)]
    assert told == ["2 of 5 series are copies of one another", "12 rows have the time of another row of their series"]


@pytest.mark.parametrize(
    ("name", "target", "known"),
    [
        ("air-passengers/airline-passengers.csv", "Passengers", ()),
        ("beijing-pm25/pollution.csv", "pm2.5", ("TEMP", "cbwd")),
    ],
)
def test_real_series_raise_no_alarm_until_a_leak_is_planted(
    name: str, target: str, known: tuple[str, ...], real_data: Callable[[str], Path]
) -> None:
    frame = read_csv(real_data(name)).head(6_000)
    values = frame[target].cast(pl.Float64, strict=False)
    planted = {  # what is known ahead holds the step after, and what is known up to the cutoff runs two steps early
        "ok": (frame, known),
        "fault": (frame.with_columns((2 * values.shift(-1)).alias("hint")), (*known, "hint")),
        "fault, by a column of the past": (frame.with_columns((values.shift(-2) + 1).alias("hint")), known),
    }
    for level, (data, ahead) in planted.items():
        settings = {"task": {"name": "forecasting", "known": list(ahead), "horizon": 12}}
        draft = decide_forecast({"train": open_table(data)}, settings, target=target, seed=0, source={}, seconds=None)
        table = draft.parts["train"].table
        assert isinstance(table, Windows)
        found = findings_of(table.book, table.horizon, table.cutting.period, 0)
        assert [f.level for f in found] == [level.partition(",")[0]], (level, found)


def read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, null_values="NA", infer_schema_length=None)
