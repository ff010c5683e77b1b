from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from limpid.core.contracts import Size
from limpid.core.errors import RequestError
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.date import Date, DateSpec

ISO = DateSpec(format="iso")


def features(encoder: Date, values: list[object]) -> dict[str, np.ndarray]:
    numbers = encoder.encode(pl.Series("d", values), Repairs())["numbers"]
    return dict(zip(encoder.shape().numbers, numbers.T, strict=True))


def angle(found: dict[str, np.ndarray], cycle: str) -> np.ndarray:
    sine, cosine = found[f"d.{cycle}_sin"], found[f"d.{cycle}_cos"]
    assert np.hypot(sine, cosine) == pytest.approx(1, abs=1e-6)
    return np.arctan2(sine, cosine) / (2 * np.pi) % 1


def test_parts_against_the_calendar() -> None:
    times = [datetime(2012, 2, 29) + timedelta(hours=37 * i) for i in range(400)]
    encoder = Date.fit(ISO, pl.Series("d", times))
    assert encoder.cycles == ["hour", "weekday", "day", "yearday"]
    found = features(encoder, times)
    assert angle(found, "hour") == pytest.approx([t.hour / 24 for t in times], abs=1e-6)
    assert angle(found, "weekday") == pytest.approx([t.weekday() / 7 for t in times], abs=1e-6)
    assert angle(found, "day") == pytest.approx([(t.day - 1) / 31 for t in times], abs=1e-6)
    assert angle(found, "yearday") == pytest.approx([(t.timetuple().tm_yday - 1) / 366 for t in times], abs=1e-6)
    days = np.array([t.timestamp() for t in times])
    assert np.corrcoef(found["d.days"], days)[0, 1] == pytest.approx(1)
    assert found["d.days"].std() == pytest.approx(1, rel=1e-5)


def test_dates_before_1970() -> None:
    days = [date(1901, 3, 4) + timedelta(i) for i in range(30)]
    found = features(Date.fit(ISO, pl.Series("d", days)), days)
    assert angle(found, "weekday") == pytest.approx([d.weekday() / 7 for d in days], abs=1e-6)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([f"2011-{m:02}-01" for m in range(1, 13)], ["d.days", "d.weekday", "d.month"]),
        ([f"{y}-01-01" for y in range(2000, 2012)], ["d.days", "d.weekday"]),
        (["2011-01-01"] * 5, ["d.days"]),
        ([f"2011-01-{d:02}" for d in (3, 10, 17)], ["d.days", "d.day", "d.yearday"]),
        ([f"2011-01-01 {h:02}:00" for h in range(24)], ["d.hour"]),
    ],
)
def test_parts_that_do_not_vary_are_dropped(values: list[str], names: list[str]) -> None:
    shape = Date.fit(ISO, pl.Series("d", values)).shape()
    assert list(dict.fromkeys(n.removesuffix("_sin").removesuffix("_cos") for n in shape.numbers)) == names


def test_times_of_day_are_a_cycle() -> None:
    column = pl.Series("d", ["10:00", "16:30", "23:00"])
    found = features(Date.fit(DateSpec(format="%H:%M"), column), column.to_list())
    assert angle(found, "hour") == pytest.approx([10 / 24, 16.5 / 24, 23 / 24], abs=1e-6)


def test_bad_and_missing_cells() -> None:
    encoder = Date.fit(ISO, pl.Series("d", ["2011-01-01", "2012-05-05", None]))
    repairs = Repairs()
    parts = encoder.encode(pl.Series("d", ["2011-01-01", "soon", None]), repairs)
    assert parts["missing"].max(axis=1).tolist() == [0, 1, 1] and (parts["numbers"][1:] == 0).all()
    assert [(r.where, r.count, r.example) for r in repairs] == [("d", 1, "soon")]
    assert all(encoder.shape().can_miss)


def test_the_future_is_drawn_in() -> None:
    encoder = Date.fit(ISO, pl.Series("d", ["2011-01-01", "2011-12-31"]))
    days = features(encoder, ["2011-12-31", "2012-03-01", "2500-01-01", "9999-12-31"])["d.days"]
    assert days[0] < days[1] < days[2] == days[3] <= 2


def test_typed_and_written_dates_are_alike() -> None:
    days = [date(2011, 1, 1) + timedelta(3 * i) for i in range(100)]
    written = pl.Series("d", [d.strftime("%d/%m/%Y") for d in days])
    spec, reasons = Date.plan(DateSpec(), column_facts(written), Size(100, 2, "x"))
    assert spec.format == "%d/%m/%Y" and reasons
    encoder = Date.fit(spec, written)
    typed = encoder.encode(pl.Series("d", days), Repairs())
    assert np.array_equal(typed["numbers"], encoder.encode(written, Repairs())["numbers"])


def test_a_format_that_cannot_be_used_is_refused() -> None:
    with pytest.raises((RequestError, ValidationError), match="%Q"):
        DateSpec(format="%Q")
