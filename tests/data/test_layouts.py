"""Series in columns and in rows: recognised with evidence, joined, grouped."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import DataError, RequestError
from limpid.data.sources.layout import SeriesLayout, arrange
from limpid.data.sources.wide import numbered
from limpid.data.table import Table, open_table
from limpid.planning.laid_out import decide_layout

RNG = np.random.default_rng(5)


def walks(rows: int = 60, steps: int = 24) -> np.ndarray:
    return np.cumsum(RNG.normal(size=(rows, steps)), axis=1) + RNG.normal(size=(rows, 1))


def wide(values: np.ndarray, name: str = "t", first: int = 1) -> dict[str, Any]:
    columns = {f"{name}{k + first}": values[:, k] for k in range(values.shape[1])}
    return {"who": [f"w{k}" for k in range(len(values))], **columns, "class": RNG.choice(["a", "b"], len(values))}


@pytest.mark.parametrize(("name", "first"), [("t", 1), ("", 0), ("value_", 1)])
def test_a_wide_table_is_recognised_with_evidence(name: str, first: int) -> None:
    values = walks()
    table = open_table(wide(values, name, first))
    layout, because = decide_layout(table, None, {"class"})
    assert layout is not None and layout.layout == "wide" and len(layout.columns) == 24
    assert "neighbours correlate" in because and "data.series=none" in because
    joined = arrange(table, layout)
    assert joined.columns == ("who", "series", "class") and joined.rows == 60
    assert np.allclose(np.array(joined.read(["series"])["series"].to_list()), values)
    assert joined.read(["class", "who"], rows=np.array([3]))["who"].to_list() == ["w3"]
    assert joined.digest() != table.digest()


def test_what_only_looks_like_a_series_is_left_alone() -> None:
    values = walks()
    for table in (
        wide(RNG.normal(size=(60, 24))),  # columns that do not go together
        wide(RNG.normal(size=(60, 1)) + 0.1 * RNG.normal(size=(60, 24))),  # all of them go together alike
        wide(values, "pixel"),
        wide(values[:, :10]),
        wide(values[:5]),
        {f"x{k * k}": values[:, k] for k in range(24)},
        {f"t{k}": [str(v) + "x" for v in values[:, k]] for k in range(24)},
    ):
        assert decide_layout(open_table(table), None, {"class"}) == (None, "")


def test_a_wide_table_asked_for() -> None:
    values = walks(20, 6)
    table = open_table({c: pl.Series(v).cast(pl.String) for c, v in wide(values).items()})
    layout, because = decide_layout(table, "wide", {"class"})
    assert layout is not None and layout.columns == tuple(f"t{k}" for k in range(1, 7)) and "as asked" in because
    assert np.allclose(np.array(arrange(table, layout).read(["series"])["series"].to_list()), values)
    assert decide_layout(table, "none", ())[0] == SeriesLayout(layout="none")
    assert arrange(table, SeriesLayout(layout="none")) is table
    odd = open_table({"b": [1.0, 2.0], "a": [3.0, 4.0], "word": ["x", "y"]})
    assert decide_layout(odd, {"layout": "wide"}, ())[0].columns == ("b", "a")  # type: ignore[union-attr]


def test_gaps_in_a_wide_table_stay_gaps() -> None:
    table = open_table({"t1": ["1", "", "x"], "t2": ["2", "3", "4"]})
    joined = arrange(table, SeriesLayout(layout="wide", columns=("t1", "t2")))
    assert joined.read()["series"].to_list() == [[1.0, 2.0], [None, 3.0], [None, 4.0]]


def test_numbered_columns() -> None:
    assert numbered(["0", "1", "2", "5", "6"]) == ["0", "1", "2"]
    assert numbered(["a1", "b2", "b3", "c"]) == ["b2", "b3"]
    assert numbered(["t1", "t2", "t3"], {"t3"}) == ["t1", "t2"]
    assert numbered(["t9", "t10", "t11"]) == ["t9", "t10", "t11"]


def long_table() -> dict[str, Any]:
    return {
        "id": ["b", "a", "b", "a", "a", None],
        "day": ["2024-01-02", "2024-01-03", "2024-01-01", "2024-01-01", "2024-01-02", "2024-01-01"],
        "x": [2.0, 30.0, 1.0, 10.0, None, 9.0],
        "y": ["20", "3", "10", "1", "2", "9"],
        "place": ["north", "south", "north", "south", "south", "east"],
        "class": ["p", "q", "p", "q", "q", "p"],
    }


def test_a_long_table_is_grouped_in_the_order_of_time() -> None:
    table = open_table(long_table())
    layout, because = decide_layout(table, {"id": "id", "time": "day"}, {"class"})
    assert layout is not None and layout.values == ("x", "y") and "as asked" in because
    grouped = arrange(table, layout)
    assert grouped.read().to_dicts() == [
        {"id": "b", "place": "north", "class": "p", "series": [[1.0, 10.0], [2.0, 20.0]]},
        {"id": "a", "place": "south", "class": "q", "series": [[10.0, 1.0], [None, 2.0], [30.0, 3.0]]},
    ]
    assert grouped.places == ("id",)
    assert [r.count for r in grouped.repairs if "had no id" in r.what] == [1]
    one, _ = decide_layout(table, {"id": "id", "time": "day", "values": ["x"]}, {"class"})
    assert one is not None and arrange(table, one).read()["series"].to_list() == [[1.0, 2.0], [10.0, None, 30.0]]


def test_one_column_of_values_keeps_its_name() -> None:
    values = {k: v for k, v in long_table().items() if k != "y"}
    layout, _ = decide_layout(open_table(values), {"id": "id", "time": "day"}, {"class"})
    assert layout is not None and layout.name == "x"
    grouped = arrange(open_table(values), layout)
    assert grouped.read()["x"].to_list() == [[1.0, 2.0], [10.0, None, 30.0]]
    ready = open_table({"x": [[1.0, 2.0]], "place": ["north"]})
    assert arrange(ready, layout) is ready


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"id": "nobody", "time": "day"}, "no column 'nobody'"),
        ({"id": "id"}, "needs id and time"),
        ("sideways", "data.series"),
        (3, "cannot be"),
        ({"id": "id", "time": "day", "colour": 1}, "colour"),
        ({"layout": "wide", "id": "id", "time": "day"}, "long tables"),
        ({"id": "day", "time": "place"}, "neither a number nor a date"),
        ({"id": "x", "time": "day", "values": ["absent"]}, "no column 'absent'"),
    ],
)
def test_wrong_layouts_are_said(asked: Any, said: str) -> None:
    table = open_table(long_table())

    def attempt() -> Table:
        return arrange(table, decide_layout(table, asked, {"class"})[0])

    with pytest.raises((RequestError, DataError)) as error:
        attempt()
    assert said in str(error.value)


def test_a_missing_time_step_is_named() -> None:
    with pytest.raises(DataError, match="1 of the 2 columns of the series are missing"):
        arrange(open_table({"t1": [1.0]}), SeriesLayout(layout="wide", columns=("t1", "t2")))
