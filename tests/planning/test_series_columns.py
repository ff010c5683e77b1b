"""Which column tells the time, which the series, and what the others are."""

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import RequestError
from limpid.data.timelines import Layout
from limpid.planning.columns import decide_columns
from limpid.planning.series_columns import assign, find_ids, find_time, static_columns

DAYS = [str(d) for d in np.arange("2020-01-01", "2020-04-10", dtype="M8[D]")]
random = np.random.default_rng(0)


def decided(frame, keep=("y",)):
    return decide_columns(
        frame, {}, total_rows=frame.height, keep=[k for k in keep if k in frame.columns], drop=("constant", "key")
    )


def time_of(data, asked=None):
    frame = pl.DataFrame(data)
    columns = decided(frame, ("y", *(asked or ())))
    return find_time(asked, columns.specs, columns.facts, "y")[:2]


Y = random.normal(size=100)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"day": DAYS, "n": np.arange(100), "y": Y}, ("date", ("day",))),
        ({"Year": [2020] * 50 + [2021] * 50, "month": np.arange(100) % 12 + 1, "y": Y}, ("parts", ("Year", "month"))),
        ({"year": np.arange(1900, 2000), "y": Y}, ("parts", ("year",))),
        ({"No": np.arange(1, 101), "y": Y}, ("count", ("No",))),
        ({"week": np.arange(100) % 50, "y": Y}, ("count", ("week",))),
        ({"heat": random.normal(size=100), "y": Y}, ("order", ())),
        ({"y": np.arange(100)}, ("order", ())),
    ],
)
def test_the_time_is_recognised(data, wanted):
    assert time_of(data) == wanted


def test_the_users_word_counts():
    data = {"day": DAYS, "n": np.arange(100), "y": Y, "name": ["a", "b"] * 50}
    assert time_of(data, ("n",)) == ("count", ("n",))
    assert time_of(data, ()) == ("order", ())
    for wrong, said in ((("name",), "tells no time"), (("nope",), "no column"), (("day", "n"), "not parts")):
        with pytest.raises(RequestError, match=said):
            time_of(data, wrong)


def panel(**more):
    shops = [f"s{k}" for k in range(4) for _ in range(25)]
    return pl.DataFrame({"day": DAYS[:25] * 4, "shop": shops, "y": Y, **more})


def ids_of(frame, asked=None):
    columns = decided(frame)
    layout = Layout.model_validate(
        {"clock": "date", "time": ("day",), "target": "y", "columns": {n: columns.specs[n] for n in ("day", "y")}}
    )
    return find_ids(asked, frame, layout, columns.specs, columns.facts)


def test_series_are_told_apart_by_the_column_within_which_moments_do_not_repeat():
    assert ids_of(panel(sky=random.choice(["a", "b"], 100)))[0] == ("shop",)
    assert ids_of(pl.DataFrame({"day": DAYS, "shop": ["a", "b"] * 50, "y": Y}))[0] == ()
    two = panel().with_columns(shop=pl.Series(["a", "b"] * 50), item=pl.Series([f"i{k // 50}" for k in range(100)]))
    two = two.with_columns(day=pl.Series([DAYS[k // 2 % 25] for k in range(100)]))
    assert set(ids_of(two)[0]) == {"shop", "item"}
    assert ids_of(panel(), ("shop",))[0] == ("shop",)
    assert ids_of(pl.concat([panel(), panel()[:30]]))[0] == ("shop",)  # copies of rows hide no series


def roles(frame, known=(), **changes):
    columns = decided(frame, ("y", "shop"))
    layout = Layout.model_validate({
        "clock": "date", "time": ("day",), "target": "y", "ids": ("shop",),
        "columns": {n: columns.specs[n] for n in ("day", "y")}, **changes,
    })  # fmt: skip
    return assign(frame, layout, known, columns.specs, columns.facts)


def test_every_other_column_has_a_role():
    frame = panel(
        heat=random.normal(size=100), sky=random.choice(["blue", "grey"], 100), promo=random.integers(0, 2, 100),
        size=[float(k) for k in range(4) for _ in range(25)], note=[f"text number {k}" for k in range(100)],
    )  # fmt: skip
    layout, specs, because = roles(frame, known=("promo",))
    assert set(layout.past) == {"heat", "sky"} and layout.known == ("promo",) and layout.static == ("size",)
    assert set(layout.levels["sky"]) == {"blue", "grey"}
    assert not specs["note"].use and not specs["day"].use and not specs["shop"].use
    assert all(f"data.columns.{n}.use" in because for n in frame.columns)
    static, _ = static_columns(layout, specs, 4)
    assert list(static) == ["shop", "size"]
    assert list(static_columns(layout, specs, 5_000)[0]) == ["size"]
    with pytest.raises(RequestError, match="no column"):
        roles(frame, known=("prom",))
