"""What training steps say of season, horizon, history and scale."""

import numpy as np
import pytest

from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.data.frequency import Frequency
from limpid.data.table import open_table
from limpid.data.timelines import Layout
from limpid.data.windows import Cutting
from limpid.planning import seasons

random = np.random.default_rng(0)


def book(values, frequency="1"):
    found = Frequency.parse(frequency)
    clock = "date" if found.dated else "count"
    columns = {"t": ColumnSpec(kind="date" if found.dated else "number"), "y": ColumnSpec(kind="number")}
    layout = Layout.model_validate({"clock": clock, "time": ("t",), "target": "y", "columns": columns})
    stamps = found.stamps(np.arange(len(values)))
    times = stamps.astype("M8[us]") if found.dated else stamps
    return Cutting(layout, found, 1, 1, (), 1, 1).book([open_table({"t": times, "y": values})], Repairs())


def period(values, frequency="1"):
    made = book(values, frequency)
    return seasons.find_period(made, np.ones(len(values), bool))[0]


STEPS = np.arange(400)


@pytest.mark.parametrize("length", [5, 12, 31])
def test_a_season_of_a_clock_is_found_by_its_autocorrelation(length):
    wave = np.sin(2 * np.pi * STEPS / length) + 0.3 * random.normal(size=400) + 0.02 * STEPS
    assert period(wave) == length


@pytest.mark.parametrize(
    "values", [random.normal(size=400), np.cumsum(random.normal(size=400)), STEPS * 2.0, np.ones(400), STEPS[:9] % 3]
)
def test_noise_and_trends_have_no_season(values):
    assert period(values) == 1


def test_the_natural_cycle_that_repeats_best_is_taken():
    daily = 5 * np.sin(2 * np.pi * np.arange(24 * 60) / 24) + random.normal(size=24 * 60)
    weekly = daily * (1 + (np.arange(24 * 60) // 24 % 7 < 5))
    assert period(daily, "1h") in (24, 168) and period(weekly, "1h") == 168
    assert period(daily[:40], "1h") == 1  # not seen twice
    assert period(random.normal(size=60), "1mo") == 12
    assert period(random.normal(size=60), "1y") == 1


def test_horizons_and_histories_fit_the_series():
    hourly = Frequency.parse("1h")
    assert seasons.choose_horizon(hourly, 24, 5_000)[0] == 24
    assert seasons.choose_horizon(hourly, 24, 100)[0] == 10
    assert seasons.choose_horizon(Frequency.parse("1w"), 52, 5_000)[0] == 13
    assert seasons.choose_horizon(Frequency.parse("1"), 7, 5_000)[0] == 7
    assert seasons.choose_history(24, 24, 5_000)[0] == 48
    assert seasons.choose_history(24, 168, 5_000)[0] == 336
    assert seasons.choose_history(24, 12, 96)[0] == 36


def test_the_logarithm_is_taken_where_the_spread_grows_with_the_level():
    season = np.sin(2 * np.pi * STEPS / 12)
    level = np.exp(STEPS / 150)
    factor = level * np.exp(0.2 * season + 0.02 * random.normal(size=400))
    steady = 100 * level + 10 * season + random.normal(size=400)

    def chosen(values):
        return seasons.choose_transform(book(values), np.ones(len(values), bool), 12)[0]

    assert chosen(factor) == "log"
    assert chosen(steady) == "none"
    assert chosen(factor - 5) == "none"
    assert chosen(np.where(STEPS % 3 == 0, 0, factor)) == "none"
    assert chosen(factor[:30]) == "none"


def test_only_training_steps_are_looked_at():
    wave = np.sin(2 * np.pi * STEPS / 12)
    made = book(np.where(STEPS < 200, wave, random.normal(size=400)))
    assert seasons.find_period(made, STEPS < 200)[0] == 12
