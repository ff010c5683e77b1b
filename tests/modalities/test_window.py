"""Windows of a series, measured by their own level."""

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import BundleError
from limpid.core.repairs import Repairs
from limpid.modalities.window import Window, WindowSpec

SPEC = WindowSpec(
    history=6, horizon=2, channels=("y", "heat", "holiday", "hour.sin1"), known=2, period=3, transform="none"
)
random = np.random.default_rng(0)


def cells(rows=50, gaps=True):
    values = random.normal(size=(rows, 8, 4))
    values[:, :, 0] = 500 + 100 * random.normal(size=(rows, 1)) + 10 * values[:, :, 0]
    values[:, :, 1] = 20 + 5 * values[:, :, 1]
    values[:, :, 2] = values[:, :, 2] > 0
    values[:, :, 3] = np.clip(values[:, :, 3], -1, 1)
    values[:, 6:, :2] = np.nan
    if gaps:
        values[::5, 2:4, 0] = np.nan
    return values


def encoder(values, **changes):
    return Window.fit(SPEC.with_(**changes), pl.Series("window", values))


def test_level_and_spread_put_the_target_back():
    values = cells(gaps=False)
    made = encoder(values)
    parts = made.encode(pl.Series("window", values), Repairs())
    back = parts["values"][:, :6, 0] * parts["level"][:, 1:] + parts["level"][:, :1]
    assert back == pytest.approx(values[:, :6, 0], rel=1e-3)
    assert parts["level"][:, 0] == pytest.approx(values[:, 3:6, 0].mean(axis=1), rel=1e-5)
    assert len(np.unique(parts["level"][:, 1])) == 1  # one spread for all


def test_windows_may_be_measured_by_their_own_spread():
    values = cells(gaps=False)
    values[:25, :, 0] = 500 + 10 * (values[:25, :, 0] - 500)
    made = encoder(values, spread="own")
    parts = made.encode(pl.Series("window", values), Repairs())
    assert np.sqrt((parts["values"][:, :6, 0] ** 2).mean(axis=1)) == pytest.approx(1.0, rel=1e-2)


def test_what_is_not_known_ahead_is_zero_there():
    values = cells()
    made = encoder(values)
    shape = made.shape()
    assert (shape.width, shape.length, shape.ahead, shape.known) == (1 + 1 + 1 + 2 + 2, 8, 2, 4)
    parts = made.encode(pl.Series("window", values), Repairs())
    assert not parts["values"][:, 6:, :3].any()
    assert parts["values"][:, :, 4] == pytest.approx(values[:, :, 3], abs=1e-3)
    assert (parts["length"] == 8).all()


def test_gaps_hold_the_last_known_value_and_a_flag():
    values = cells()
    made = encoder(values)
    parts = made.encode(pl.Series("window", values), Repairs())["values"]
    assert (parts[::5, 2, 0] == parts[::5, 1, 0]).all() and (parts[::5, 3, 0] == parts[::5, 1, 0]).all()
    assert parts[::5, 2:4, 1].all() and not parts[1, :, 1].any()
    empty = values[:1].copy()
    empty[:, :, 0] = np.nan
    assert not made.encode(pl.Series("window", empty), Repairs())["values"][0, :, 0].any()


def test_the_log_scale_makes_factors_into_differences():
    values = cells(gaps=False)
    values[:, :6, 0] = np.exp(random.normal(size=(50, 6)))
    made = encoder(values, transform="log", unit=1e-9)
    one = made.encode(pl.Series("window", values), Repairs())
    ten = values.copy()
    ten[:, :, 0] *= 10
    other = made.encode(pl.Series("window", ten), Repairs())
    assert np.abs(one["values"][:, :, 0] - other["values"][:, :, 0]).max() < 0.01
    assert (other["level"][:, 0] - one["level"][:, 0]) == pytest.approx(np.log(10), rel=1e-4)


@pytest.mark.parametrize("column", [
    pl.Series("x", ["a", None]), pl.Series("x", [[1.0], None, []]), pl.Series("x", [[[1.0, 2.0]]]), pl.Series("x", [1]),
    pl.Series("x", [None]), pl.Series("x", [[[1e300] * 4] * 8, [[float("inf")] * 4] * 8]),
])  # fmt: skip
def test_whatever_comes_is_encoded(column):
    made = encoder(cells())
    repairs = Repairs()
    parts = made.encode(column, repairs)
    assert parts["values"].shape == (len(column), 8, 7)
    assert all(np.isfinite(p).all() for p in parts.values())
    one = made.encode(column[:1], Repairs())
    assert all(np.array_equal(one[k][0], parts[k][0]) for k in parts)


def test_lists_are_read_like_arrays():
    values = cells()
    made = encoder(values)
    array = made.encode(pl.Series("x", values), Repairs())
    lists = made.encode(pl.Series("x", values.tolist()), Repairs())
    assert all(np.array_equal(array[k], lists[k]) for k in array)


def test_no_source_column_is_one():
    from limpid.data.facts import column_facts

    assert Window.recognise(column_facts(pl.Series("x", [[1.0, 2.0]] * 5))) is None


def test_state_comes_back_and_hostile_state_is_refused():
    values = cells()
    made = encoder(values)
    state = made.state()
    twin = Window.from_state(SPEC, state)
    column = pl.Series("x", values)
    one, two = made.encode(column, Repairs()), twin.encode(column, Repairs())
    assert all(np.array_equal(one[k], two[k]) for k in one) and twin.shape() == made.shape()
    for field in state:
        for value in (None, True, [], "x", 1e300, [0.0], [1.0, 0.0, 1.0], {}):
            if value == state[field]:
                continue
            try:
                Window.from_state(SPEC, {**state, field: value})
            except BundleError:
                continue
            assert field in ("name", "gaps", "spread", "centers") and value in ("x", True, [1.0, 0.0, 1.0])
    with pytest.raises(BundleError):
        Window.from_state(SPEC, {**state, "more": 1})
    with pytest.raises(BundleError):
        Window.from_state(SPEC.with_(known=4), state)
