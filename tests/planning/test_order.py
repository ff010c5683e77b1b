"""Time order that matters is found, order that does not is not."""

import numpy as np
import polars as pl
import pytest

from limpid.core.schema import ColumnSpec
from limpid.data.facts import column_facts
from limpid.planning.order import between_blocks, find_time


def table(sort: bool):
    days = np.arange(2000)
    if not sort:
        days = np.random.default_rng(0).permutation(days)
    frame = pl.DataFrame({"day": pl.Series((np.datetime64("2020-01-01") + days).astype(str))})
    specs = {"day": ColumnSpec(kind="date", options={"format": "iso"})}
    return frame, specs, {"day": column_facts(frame["day"])}, days


def test_a_drifting_target_in_time_order_is_found():
    frame, specs, facts, days = table(sort=True)
    found = find_time(frame, specs, facts, days / 2000 + np.random.default_rng(1).normal(size=2000))
    assert found is not None
    assert found[0] == "day"


def test_a_steady_target_is_not():
    frame, specs, facts, _ = table(sort=True)
    assert find_time(frame, specs, facts, np.random.default_rng(1).normal(size=2000)) is None


def test_shuffled_rows_are_exchangeable():
    frame, specs, facts, days = table(sort=False)
    assert find_time(frame, specs, facts, days / 2000.0) is None


def test_share_between_blocks_is_eta_squared():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    groups = values.reshape(3, 2)
    expected = 2 * ((groups.mean(1) - values.mean()) ** 2).sum() / ((values - values.mean()) ** 2).sum()
    assert between_blocks(values, 3) == pytest.approx(expected)
    assert between_blocks(np.ones(6), 3) == 0.0
