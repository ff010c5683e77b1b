"""Windows know nothing after their cutoff, and no value to come is in two parts."""

import numpy as np
import pytest

from limpid.core.errors import BundleError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.data.cutoffs import divide_steps, origins, past_scales, thin
from limpid.data.frequency import Frequency
from limpid.data.table import open_table
from limpid.data.timelines import Layout
from limpid.data.windows import WINDOW, Cutting, Windows, calendar_names, calendar_waves, choose_calendar

COLUMNS = {n: ColumnSpec(kind="number") for n in ("t", "y", "heat", "price")} | {"shop": ColumnSpec(kind="category")}


def cutting(*, history=5, horizon=3, calendar=(), period=4, least=4, **changes):
    given = {"clock": "count", "time": ("t",), "target": "y", "columns": COLUMNS, **changes}
    return Cutting(
        Layout.model_validate(given), Frequency("count", 1), history, horizon, tuple(calendar), period, least
    )


def lines(*lengths, starts=None):
    """Series of different lengths whose value is its time, with a gap."""
    rows = {"shop": [], "t": [], "y": [], "heat": [], "price": []}
    for n, length in enumerate(lengths):
        first = 0 if starts is None else starts[n]
        for t in range(first, first + length):
            rows["shop"].append(f"s{n}")
            rows["t"].append(t)
            rows["y"].append(None if t == 9 else 1000.0 * n + t)
            rows["heat"].append(-float(t))
            rows["price"].append(0.5 * t)
    return rows


def made(plan, *lengths, starts=None, part=None):
    book = plan.book([open_table(lines(*lengths, starts=starts))], Repairs())
    found = origins(book, plan, np.zeros(len(book.values), np.int8) if part is None else part(book))
    return Windows(book, plan, found.series, found.cutoff), found, book


def test_a_window_holds_the_past_and_the_target_the_future():
    table, _, _ = made(cutting(), 20)
    for row in range(len(table)):
        cutoff = int(table.cutoff[row])
        cells, ahead = table.windows(np.array([row]))[0, :, 0], table.targets(np.array([row]))[0]
        wanted = np.arange(cutoff - 5, cutoff + 3, dtype=float)
        wanted[(wanted == 9) | (wanted < 0)] = np.nan
        assert np.array_equal(cells[:5], wanted[:5], equal_nan=True)
        assert np.isnan(cells[5:]).all()
        assert np.array_equal(ahead, wanted[5:], equal_nan=True)


def test_past_columns_end_at_the_cutoff_and_known_ones_go_on():
    plan = cutting(past=("heat",), known=("price",), calendar=("cycle",))
    table, _, _ = made(plan, 20)
    cells = table.windows(np.array([2]))[0]
    cutoff = int(table.cutoff[2])
    assert np.isnan(cells[5:, 1]).all() and np.isfinite(cells[:5, 1]).sum() == 5
    assert cells[:, 2].tolist() == [0.5 * t for t in range(cutoff - 5, cutoff + 3)]
    assert np.isfinite(cells[:, 3:]).all() and cells.shape[1] == len(plan.channels) == 1 + 1 + 1 + 4
    assert plan.known == 1 + 4


def test_every_cutoff_with_enough_on_both_sides_is_there_and_others_are_counted():
    table, found, _ = made(cutting(ids=("shop",)), 12, 6, 7)
    assert found.short == 1
    assert table.cutoff[table.series == 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert table.cutoff[table.series == 2].tolist() == [4]
    alone, found, _ = made(cutting(horizon=1), 12)
    assert 9 not in alone.cutoff.tolist() and found.empty == 1  # its only value to come is missing


def test_no_value_to_come_is_in_two_parts():
    plan = cutting(ids=("shop",))
    book = plan.book([open_table(lines(60, 45, 30, starts=(0, 10, 30)))], Repairs())
    part, _ = divide_steps(book, plan, 0.2, 0.2, within=np.ones(len(book.values), bool))
    found = origins(book, plan, part)
    table = Windows(book, plan, found.series, found.cutoff)
    moments = {p: set() for p in range(3)}
    for row in range(len(table)):
        moments[int(found.part[row])] |= set(table.index(np.array([row]), 0)[0].tolist())
    assert all(moments.values())
    assert max(moments[0]) < min(moments[1]) <= max(moments[1]) < min(moments[2])


def test_a_part_holds_a_horizon_at_least():
    plan = cutting(horizon=12)
    book = plan.book([open_table(lines(60))], Repairs())
    part, said = divide_steps(book, plan, 0.05, 0.05, within=np.ones(60, bool))
    assert np.bincount(part).tolist() == [36, 12, 12]
    assert "test from 48 on" in said


def test_series_that_end_at_different_times_are_divided_by_their_own_ends():
    plan = cutting(ids=("shop",))
    book = plan.book([open_table(lines(40, 40, 40, starts=(0, 100, 200)))], Repairs())
    part, said = divide_steps(book, plan, 0.2, 0.2, within=np.ones(120, bool))
    assert "own end" in said
    for s in range(3):
        assert np.bincount(part[book.series == s]).tolist() == [24, 8, 8]


def test_thinning_keeps_the_last_cutoff():
    _, found, _ = made(cutting(), 40)
    kept = thin(found, 0, 5)
    assert found.cutoff[kept][-1] == found.cutoff[-1]
    assert (np.diff(found.cutoff[kept]) == 5).all()


def test_scales_of_the_past_are_those_of_a_seasonal_naive_forecast():
    plan = cutting(ids=("shop",))
    book = plan.book([open_table(lines(30, 3))], Repairs())
    scales = past_scales(book, 4, None)
    assert scales[0] == pytest.approx(4.0)  # the value is the time, so four steps change it by four
    assert scales[1] == pytest.approx(1.0)  # too short for a season: the change of one step


def test_rows_are_read_in_any_choice_and_chunk():
    table, _, _ = made(cutting(ids=("shop",), calendar=("cycle",)), 30, 20)
    whole = table.read()
    assert whole.columns == ["shop", WINDOW] and whole.height == len(table)
    some = np.array([1, 5, 17])
    assert table.read(rows=some).equals(whole[some])
    pieces = list(table.chunks([WINDOW], 7))
    assert sum(p.height for p in pieces) == len(table)
    assert whole.schema == dict(table.schema)
    assert table.names_of_rows(np.array([0])) == ["s0 after 3"]


def test_the_calendar_is_what_the_steps_show():
    hourly = Frequency.parse("1h")
    assert choose_calendar(hourly, 24 * 40, 24) == ("hour", "weekday")
    assert choose_calendar(hourly, 24 * 800, 24) == ("hour", "weekday", "yearday")
    assert choose_calendar(Frequency.parse("1mo"), 96, 12) == ("yearday",)
    assert choose_calendar(Frequency.parse("1"), 96, 12) == ("cycle",)
    assert choose_calendar(Frequency.parse("1"), 96, 1) == ()
    near, far = np.arange(48), np.array([0, 10**8, 5])
    for index in (near, far):
        waves = calendar_waves(hourly, index, ("hour",), 24)
        assert waves.shape == (len(index), len(calendar_names(("hour",))))
        assert np.allclose(waves[:, 0], np.sin(2 * np.pi * (index % 24) / 24), atol=1e-9)


def test_a_cutting_is_stored_and_hostile_state_refused():
    plan = cutting(ids=("shop",), calendar=("cycle",))
    state = plan.state()
    assert Cutting.from_state(state, 5, 3, 4) == plan
    for spoilt in (
        {"calendar": ["moon"]}, {"least": 99}, {"layout": {}}, {"layout": 3}, {"frequency": None}, {"more": 1},
        {"layout": {**state["layout"], "time": ["x"]}},
    ):  # fmt: skip
        with pytest.raises(BundleError):
            Cutting.from_state({**state, **spoilt}, 5, 3, 4)
