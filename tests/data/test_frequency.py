"""Frequencies: read, found, and used as a grid."""

import numpy as np
import polars as pl
import pytest

from limpid.core.errors import BundleError, RequestError
from limpid.data.frequency import DAY, HOUR, SECOND, Frequency, find_frequency


def moments(*texts):
    return np.array(texts, dtype="M8[us]").astype(np.int64)


def rising(start, step, count):
    return np.datetime64(start, "us").astype(np.int64) + step * np.arange(count)


def found(stamps, *, dated=True):
    return find_frequency(np.asarray(stamps, dtype=np.int64), np.zeros(len(stamps), np.int64), dated=dated)


@pytest.mark.parametrize("text", ["15min", "1h", "1d", "1b", "1w", "1mo", "3mo", "1y", "30s", "7", "36h"])
def test_what_is_read_is_written_alike(text):
    frequency = Frequency.parse(text)
    assert str(Frequency.parse(str(frequency))) == str(frequency)
    assert Frequency.from_state(frequency.state()) == frequency


@pytest.mark.parametrize("text", ["", "h1", "0h", "-1d", "1.5h", "2b", "fortnight", "9" * 30 + "h"])
def test_what_is_no_frequency_is_refused(text):
    with pytest.raises(RequestError, match="frequency"):
        Frequency.parse(text)


@pytest.mark.parametrize(
    ("step", "name"), [(HOUR, "1h"), (900 * SECOND, "15min"), (DAY, "1d"), (7 * DAY, "1w"), (SECOND, "1s")]
)
def test_a_fixed_step_is_found_with_its_phase(step, name):
    stamps = rising("2020-01-01T00:07", step, 200)
    frequency, _, regular = found(stamps)
    assert str(frequency) == name and regular
    index = frequency.index(stamps)
    assert (np.diff(index) == 1).all()
    assert (frequency.stamps(index) == stamps).all()


@pytest.mark.parametrize(("every", "name"), [("1mo", "1mo"), ("3mo", "3mo"), ("1y", "1y")])
@pytest.mark.parametrize("offset", ["0d", "14d"])
def test_months_quarters_and_years_are_found(every, name, offset):
    stamps = pl.datetime_range(pl.datetime(1949, 1, 1), pl.datetime(2001, 12, 31), every, eager=True)
    stamps = stamps.dt.offset_by(offset).to_physical().to_numpy()
    frequency, _, regular = found(stamps)
    assert str(frequency) == name and regular
    assert (np.diff(frequency.index(stamps)) == 1).all()
    assert (frequency.stamps(frequency.index(stamps)) == stamps).all()


def test_the_last_days_of_months_stay_the_last_days():
    stamps = moments("2019-11-30", "2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30")
    frequency, _, _ = found(stamps)
    assert str(frequency) == "1mo"
    ahead = frequency.stamps(frequency.index(stamps)[-1] + np.arange(1, 3))
    assert (ahead == moments("2020-05-31", "2020-06-30")).all()


def test_business_days_know_no_weekend():
    days = np.arange("2021-03-01", "2021-06-01", dtype="M8[D]")
    stamps = days[np.is_busday(days)].astype("M8[us]").astype(np.int64)
    frequency, _, _ = found(stamps)
    assert str(frequency) == "1b"
    assert (np.diff(frequency.index(stamps)) == 1).all()
    friday = moments("2021-05-28")
    assert frequency.stamps(frequency.index(friday) + 1) == moments("2021-05-31")


def test_gaps_and_jitter_do_not_hide_the_step():
    random = np.random.default_rng(0)
    stamps = np.delete(rising("2020-01-01", HOUR, 500), random.choice(500, 60, replace=False))
    assert str(found(stamps)[0]) == "1h"
    jittered = rising("2020-01-01", HOUR, 500) + random.integers(-300, 300, 500) * SECOND
    frequency, evidence, regular = found(jittered)
    assert str(frequency) == "1h" and not regular and "irregular" in evidence


def test_a_clock_counts_its_own_steps():
    frequency, _, regular = found(np.arange(3, 300, 5), dated=False)
    assert str(frequency) == "5" and regular and frequency.phase == 3
    assert (frequency.index(np.array([3, 8, 13])) == np.array([0, 1, 2])).all()


def test_seasons_are_whole_numbers_of_steps():
    assert Frequency.parse("1h").seasons == [24, 168]
    assert Frequency.parse("15min").seasons == [96, 672]
    assert Frequency.parse("1d").seasons == [7]
    assert Frequency.parse("1mo").seasons == [12]
    assert Frequency.parse("1y").seasons == Frequency.parse("1").seasons == []


@pytest.mark.parametrize(
    "spoilt", [{}, {"kind": "lunar"}, {"size": 0}, {"size": 10**30}, {"phase": -1}, {"within": 1e300}, {"more": 1}]
)
def test_hostile_state_is_refused(spoilt):
    state = {} if not spoilt else {**Frequency.parse("1h").state(), **spoilt}
    with pytest.raises(BundleError):
        Frequency.from_state(state)
