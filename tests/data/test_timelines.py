"""Rows become series on a grid: every stamp, every repair counted."""

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.data.frequency import HOUR, Frequency
from limpid.data.table import open_table
from limpid.data.timelines import Layout, part_word, read_rows, read_stamps, regularise, written_stamps

START = np.datetime64("2021-05-01T00:00", "us")


def layout(**changes):
    columns = {"t": ColumnSpec(kind="date", options={"format": "iso"}), "y": ColumnSpec(kind="number")}
    columns |= {n: ColumnSpec(kind="category") for n in ("shop", "sky")} | {"heat": ColumnSpec(kind="number")}
    given = {"clock": "date", "time": ("t",), "target": "y", "columns": columns, **changes}
    return Layout.model_validate(given)


def hours(*which):
    return [str(START + np.timedelta64(h, "h"))[:19] for h in which]


def book(data, plan, frequency="1h"):
    repairs = Repairs()
    rows = read_rows([open_table(data)], plan, repairs)
    found = Frequency.parse(frequency).fitted(rows.stamps)
    return regularise(rows, plan, found, "data", repairs), {r.what: r.count for r in repairs}


def test_rows_are_sorted_joined_and_gaps_left_empty():
    data = {"t": hours(3, 0, 1, 1, 5), "y": [4.0, 1.0, 2.0, 3.0, 9.0]}
    found, repairs = book(data, layout())
    assert np.array_equal(found.values[:, 0], [1, 2.5, np.nan, 4, np.nan, 9], equal_nan=True)
    assert found.row.tolist() == [1, 2, -1, 0, -1, 4]
    assert {n: next(c for w, c in repairs.items() if n in w) for n in ("earlier", "share", "no row")} == {
        "earlier": 1, "share": 1, "no row": 2
    }  # fmt: skip


def test_series_are_told_apart_and_keep_their_own_lengths():
    data = {
        "shop": ["b", "a", "b", "a", "a", None],
        "t": hours(0, 7, 1, 8, 9, 0),
        "y": [1.0, 10.0, 2.0, 11.0, 12.0, 5.0],
    }
    found, _ = book(data, layout(ids=("shop",)))
    assert found.names["shop"].to_list() == ["b", "a", None]
    assert np.diff(found.starts).tolist() == [2, 3, 1]
    assert found.values[:, 0].tolist() == [1, 2, 10, 11, 12, 5]
    assert (found.index[2:5] - found.index[0]).tolist() == [7, 8, 9]


def test_the_end_is_the_last_known_value():
    data = {"t": hours(0, 1, 2, 3), "y": [1.0, 2.0, None, None], "heat": [1.0, 2.0, 3.0, 4.0]}
    found, _ = book(data, layout(known=("heat",)))
    assert found.ends.tolist() == [2]
    assert found.values[:, 1].tolist() == [1, 2, 3, 4]


def test_categories_become_channels_of_their_own():
    plan = layout(past=("sky",), levels={"sky": ("blue", "grey")})
    found, _ = book({"t": hours(0, 1, 2), "y": [1, 2, 3], "sky": ["grey", "pink", None]}, plan)
    assert plan.channels(("sky",)) == ["sky=blue", "sky=grey"]
    assert np.array_equal(found.values[:, 1:], [[0, 1], [0, 0], [np.nan, np.nan]], equal_nan=True)


def test_rows_without_a_time_or_a_number_are_counted():
    data = {"t": [*hours(0, 1), "soon", None], "y": ["1", "many", "3", "4"]}
    found, repairs = book(data, layout())
    assert np.array_equal(found.values[:, 0], [1, np.nan], equal_nan=True)
    assert sum(c for w, c in repairs.items() if "no time" in w) == 2
    assert sum(c for w, c in repairs.items() if "no finite number" in w) == 1


def test_no_time_at_all_is_an_error():
    with pytest.raises(DataError, match="no row has a time"):
        book({"t": ["soon", "later"], "y": [1, 2]}, layout())


def test_one_stamp_far_away_is_named():
    stamps = [*hours(*range(50)), "2921-01-01 00:00:00"]
    with pytest.raises(DataError, match="grid") as caught:
        book({"t": stamps, "y": [1.0] * 51}, layout())
    assert "row 51" in str(caught.value)


def test_parts_of_a_moment_are_put_together():
    plan = layout(
        clock="parts", time=("Year", "Month", "Day", "hour"),
        columns={n: ColumnSpec(kind="number") for n in ("Year", "Month", "Day", "hour", "y")},
    )  # fmt: skip
    frame = pl.DataFrame({"Year": [2020, 2021], "Month": [2, 2], "Day": [29, 29], "hour": [5, 5]})
    stamps, good = read_stamps(frame, plan)
    assert good.tolist() == [True, False]
    assert stamps[0] == np.datetime64("2020-02-29T05:00", "us").astype(np.int64)
    ahead = written_stamps(plan, stamps[:1] + HOUR, frame)
    assert [c.to_list() for c in ahead] == [[2020], [2], [29], [6]]
    assert part_word("MONTH") == "month" and part_word("monthly") == ""


@pytest.mark.parametrize(
    ("cells", "form", "wanted"),
    [
        (["2021-05"], "iso", "2021-06"),
        (["2021-05-01"], "iso", "2021-06-01"),
        (["2021-05-01 00:00:00"], "iso", "2021-06-01 00:00:00"),
        (["01.05.2021"], "%d.%m.%Y", "01.06.2021"),
        ([20210501], "%Y%m%d", 20210601),
        ([1619827200], "unix_s", 1622505600),
        ([START.item().date()], "", np.datetime64("2021-06-01").item()),
    ],
)
def test_steps_to_come_are_written_as_the_source_writes_them(cells, form, wanted):
    plan = layout(columns={"t": ColumnSpec(kind="date", options={"format": form}), "y": ColumnSpec(kind="number")})
    june = np.array(["2021-06-01"], dtype="M8[us]").astype(np.int64)
    assert written_stamps(plan, june, pl.DataFrame({"t": cells}))[0].to_list() == [wanted]
