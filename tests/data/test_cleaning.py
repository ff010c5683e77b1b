from datetime import date, datetime, time, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.core.errors import RequestError
from limpid.core.schema import ColumnSpec
from limpid.data.cleaning import (
    LONGEST_CATEGORY,
    canonical,
    canonical_text,
    clean,
    parse_dates,
    parse_numbers,
    plain,
    read_number,
    split_labels,
)
from limpid.data.dates import CANDIDATES, detect_format

MANY = 70  # enough for the way that long columns go


def spec(*missing: str) -> ColumnSpec:
    return ColumnSpec(kind="number", missing=missing)


@pytest.mark.parametrize("copies", [1, MANY])
def test_codes_blanks_and_empty_cells_become_null(copies: int) -> None:
    column = pl.Series("x", [" a ", "?", "", "\u00a0", None, "-999.0", "-999", "b"] * copies)
    cleaned = clean(column, spec("?", "-999"))
    assert cleaned.to_list() == ["a", None, None, None, None, None, None, "b"] * copies
    assert cleaned.name == "x"


@pytest.mark.parametrize("copies", [1, MANY])
def test_codes_fit_typed_columns(copies: int) -> None:
    assert clean(pl.Series([1.5, float("nan"), -999.0] * copies), spec("-999")).to_list() == [1.5, None, None] * copies
    assert clean(pl.Series([1, -999, None] * copies), spec("-999", "?")).to_list() == [1, None, None] * copies
    dates = clean(pl.Series([date(2011, 5, 1), date(1900, 1, 1)] * copies), spec("1900-01-01"))
    assert dates.to_list() == [date(2011, 5, 1), None] * copies
    assert clean(pl.Series([True, False] * copies), spec("false")).to_list() == [True, None] * copies


def test_without_codes_nothing_but_empties_changes() -> None:
    assert clean(pl.Series(["?", "NA"]), spec()).to_list() == ["?", "NA"]
    assert clean(pl.Series([-999]), spec()).to_list() == [-999]


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1,234.5", 1234.5, None),
        ("1.234,5", None, 1234.5),
        ("1,234", 1234, 1.234),
        ("1,23", None, 1.23),
        ("0,123", None, 0.123),
        ("12,34,567", None, None),
        ("$1,000", 1000, 1.0),
        ("-$5", -5, -5),
        ("$-5", -5, -5),
        ("--5", None, None),
        ("5 €", 5, 5),
        ("12.5%", 12.5, None),
        ("(7)", -7, -7),
        ("1 234 567", 1234567, 1234567),
        ("1\u00a0234", 1234, 1234),
        ("1'234", 1234, 1234),
        ("\u22123", -3, -3),
        ("+4", 4, 4),
        ("1e3", 1000, 1000),
        (".5", 0.5, None),
        ("1.", 1, None),
        ("-inf", -np.inf, -np.inf),
        ("", None, None),
        ("-", None, None),
        ("e5", None, None),
        ("12 kg", None, None),
        ("0x10", None, None),
        ("1_000", None, None),
        ("٣", None, None),
        ("9" * 400, None, None),
        ("1\n", 1, 1),
    ],
)
def test_numbers_as_people_write_them(text: str, point: float | None, comma: float | None) -> None:
    assert read_number(text, ".") == point
    assert read_number(text, ",") == comma


numberlike = st.text(alphabet="0123456789.,-+e$€% ()'infa", max_size=12)


@given(st.lists(st.one_of(st.none(), numberlike), min_size=1, max_size=8), st.sampled_from([".", ","]))
def test_long_and_short_columns_read_the_same_numbers(cells: list[str | None], decimal: str) -> None:
    column = pl.Series("x", [None if c is None else c.strip() for c in cells], dtype=pl.String)
    few, few_bad = parse_numbers(column, decimal)
    many, many_bad = parse_numbers(pl.concat([column] * MANY), decimal)
    assert few.to_list() * MANY == many.to_list() and few_bad.tolist() * MANY == many_bad.tolist()
    assert not (few_bad & column.is_null().to_numpy()).any()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_survive_being_written(values: list[float]) -> None:
    read, bad = parse_numbers(pl.Series("x", [repr(v) for v in values]))
    assert read.to_list() == values and not bad.any()


@given(st.lists(st.integers(-(10**14), 10**14), min_size=1))
def test_thousands_separators_are_taken_out(values: list[int]) -> None:
    for decimal, cells in ((".", [f"{v:,}" for v in values]), (",", [f"{v:,}".replace(",", ".") for v in values])):
        column = pl.Series("x", cells)
        for repeated in (column, pl.concat([column] * MANY)):
            read, bad = parse_numbers(repeated, decimal)
            assert read.to_list()[: len(values)] == values and not bad.any()


def test_what_is_no_number_is_bad_and_null_and_nan_is_only_missing() -> None:
    values, bad = parse_numbers(pl.Series(["1", "x", None, "nan", "inf"]))
    assert values.to_list() == [1.0, None, None, None, np.inf]
    assert bad.tolist() == [False, True, False, False, False]
    values, bad = parse_numbers(pl.Series([date(2020, 1, 1), None]))
    assert values.null_count() == 2 and bad.tolist() == [True, False]
    assert parse_numbers(pl.Series([True, False]))[0].to_list() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        ("2011-01-05", "iso", datetime(2011, 1, 5)),
        ("2011-1-5 7:30", "iso", datetime(2011, 1, 5, 7, 30)),
        ("2011-01-05T10:11:12.123456789Z", "iso", datetime(2011, 1, 5, 10, 11, 12, 123456)),
        ("2011-01-05T00:30:00+02:00", "iso", datetime(2011, 1, 4, 22, 30)),
        ("1949-01", "iso", datetime(1949, 1, 1)),
        ("1/13/2011", "%m/%d/%Y", datetime(2011, 1, 13)),
        ("13/1/2011", "%m/%d/%Y", None),
        ("1/13/2011 5:00", "%m/%d/%Y", datetime(2011, 1, 13, 5)),
        ("12:05 am", "%I:%M %p", datetime(1970, 1, 1, 0, 5)),
        ("1/1/11 1:05 PM", "%m/%d/%y %I:%M %p", datetime(2011, 1, 1, 13, 5)),
        ("1/1/99", "%m/%d/%y", datetime(1999, 1, 1)),
        ("Mar-2018", "%b-%Y", datetime(2018, 3, 1)),
        ("MARCH-2018", "%b-%Y", datetime(2018, 3, 1)),
        ("Mrz-2018", "%b-%Y", None),
        ("29.02.2012", "%d.%m.%Y", datetime(2012, 2, 29)),
        ("29.02.2011", "%d.%m.%Y", None),
        ("20111", "%Y%m%d", None),
        ("20110230", "%Y%m%d", None),
        ("20110228", "%Y%m%d", datetime(2011, 2, 28)),
        ("1300000000", "unix_s", datetime(2011, 3, 13, 7, 6, 40)),
        ("1300000000000", "unix_ms", datetime(2011, 3, 13, 7, 6, 40)),
        ("1e300", "unix_s", None),
        ("0000-01-01", "iso", None),
        ("2011-01-05 25:00", "iso", None),
        ("2011-01-05\n", "iso", None),
        ("2011-01-05" * 20, "iso", None),
        ("", "iso", None),
    ],
)
@pytest.mark.parametrize("copies", [1, MANY])
def test_dates_as_people_write_them(text: str, format: str, expected: datetime | None, copies: int) -> None:
    values, bad = parse_dates(pl.Series("d", [text, None] * copies), format)
    assert values.to_list() == [expected, None] * copies
    assert bad.tolist() == [expected is None, False] * copies


@pytest.mark.parametrize("format", CANDIDATES)
def test_every_format_agrees_with_the_standard_library(format: str) -> None:
    pattern = "%Y-%m-%d %H:%M:%S.%f" if format == "iso" else format
    times = [datetime(1972, 1, 1) + timedelta(seconds=i * 86_399 * 13, microseconds=i) for i in range(MANY)]
    zone = timezone(timedelta(hours=1, minutes=30)) if "%z" in format else None
    texts = [t.replace(tzinfo=zone).strftime(pattern) for t in times]
    expected = []
    for t in texts:
        parsed = datetime.strptime(t, pattern)
        if "%Y" not in pattern and "%y" not in pattern:
            parsed = parsed.replace(year=1970)
        expected.append((parsed - (parsed.utcoffset() or timedelta())).replace(tzinfo=None))
    many, bad = parse_dates(pl.Series(texts), format)
    assert many.to_list() == expected and not bad.any()
    assert parse_dates(pl.Series(texts[:9]), format)[0].to_list() == expected[:9]


datelike = st.text(alphabet="0123456789-/.: TZJanFebpm+", max_size=20)


@given(st.lists(datelike, min_size=1, max_size=5), st.sampled_from(CANDIDATES))
def test_long_and_short_columns_read_the_same_dates(cells: list[str], format: str) -> None:
    few, few_bad = parse_dates(pl.Series("x", cells, dtype=pl.String), format)
    many, many_bad = parse_dates(pl.Series("x", cells * MANY, dtype=pl.String), format)
    assert few.to_list() * MANY == many.to_list() and few_bad.tolist() * MANY == many_bad.tolist()


def test_one_format_does_not_stop_the_others_but_never_swaps_day_and_month() -> None:
    cells = ["1/13/2011", "2011-02-03", "4 May 2012", "March 5, 2018", "25/12/2011", "soon"]
    values, bad = parse_dates(pl.Series(cells), "%m/%d/%Y")
    assert [v and v.date() for v in values] == [
        date(2011, 1, 13),
        date(2011, 2, 3),
        date(2012, 5, 4),
        date(2018, 3, 5),
        None,
        None,
    ]
    assert bad.tolist() == [False] * 4 + [True] * 2


def test_whole_numbers_read_as_compact_dates_and_stamps() -> None:
    assert parse_dates(pl.Series([20110228]), "%Y%m%d")[0].to_list() == [datetime(2011, 2, 28)]
    assert parse_dates(pl.Series([1.3e9]), "unix_s")[0].to_list() == [datetime(2011, 3, 13, 7, 6, 40)]


def test_a_format_that_cannot_be_used_is_a_request_error() -> None:
    for format in ("%Q", "%d/%d/%Y", "100%"):
        with pytest.raises(RequestError, match="date format"):
            parse_dates(pl.Series(["x"]), format)


def test_detection_says_what_it_found() -> None:
    assert detect_format(["13/01/2011", "01/02/2011"]) == ("%d/%m/%Y", 1.0, False)
    assert detect_format(["01/02/2011", "03/04/2011"]) == ("%m/%d/%Y", 1.0, True)
    assert detect_format(["01-02-2011"]) == ("%d-%m-%Y", 1.0, True)
    assert detect_format(["x"]) == ("", 0.0, False) == detect_format([])


def test_typed_columns_become_plain() -> None:
    assert plain(pl.Series([time(1, 2)])).to_list() == [datetime(1970, 1, 1, 1, 2)]
    assert plain(pl.Series([timedelta(seconds=90)])).to_list() == [90.0]
    assert plain(pl.Series(["a"], dtype=pl.Enum(["a"]))).dtype == pl.String
    assert plain(pl.Series([None], dtype=pl.Null)).dtype == pl.String
    assert plain(pl.Series([1], dtype=pl.Decimal(10, 2))).dtype == pl.Float64
    zoned = pl.Series(["2011-01-05 10:00"]).str.to_datetime("%Y-%m-%d %H:%M").dt.replace_time_zone("Asia/Tokyo")
    assert plain(zoned).to_list() == [datetime(2011, 1, 5, 1)]
    nanos = pl.Series([datetime(2011, 1, 5)]).cast(pl.Datetime("ns"))
    assert plain(nanos).to_list() == [datetime(2011, 1, 5)] and plain(nanos).dtype == pl.Datetime("us")


@pytest.mark.parametrize("copies", [1, MANY])
def test_categories_have_one_spelling_in_every_type(copies: int) -> None:
    alike = [pl.Series([1] * copies), pl.Series([1.0] * copies), pl.Series(["1"] * copies), pl.Series(["1.0"] * copies)]
    assert {tuple(canonical(c).to_list()) for c in alike} == {("1",) * copies}
    assert canonical(pl.Series([True, None] * copies)).to_list() == ["true", None] * copies
    assert canonical(pl.Series(["True", "yes"] * copies)).to_list() == ["true", "yes"] * copies
    assert canonical(pl.Series([0.1] * copies, dtype=pl.Float32)).to_list() == ["0.1"] * copies
    assert canonical(pl.Series([date(2011, 1, 5)] * copies)).to_list() == ["2011-01-05"] * copies
    assert canonical(pl.Series([datetime(2011, 1, 5)] * copies)).to_list() == ["2011-01-05"] * copies
    assert canonical(pl.Series(["007", "1.50"] * copies)).to_list() == ["007", "1.50"] * copies


@given(st.text(), st.text())
def test_long_categories_are_cut_and_stay_different(one: str, two: str) -> None:
    head = "x" * LONGEST_CATEGORY
    a, b = canonical_text(head + one), canonical_text(head + two)
    assert len(a) <= LONGEST_CATEGORY + 17 and (a == b) == (one == two)
    assert canonical_text(a) == a or len(a) > LONGEST_CATEGORY


@pytest.mark.parametrize("copies", [1, MANY])
def test_labels_are_split_into_sets(copies: int) -> None:
    column = pl.Series("x", ["b| a |b", "", None, "a"] * copies)
    assert split_labels(column, "|").to_list() == [["b", "a"], [], None, ["a"]] * copies
    lists = pl.Series("x", [["b", "b", None], [], None] * copies)
    assert split_labels(lists, "").to_list() == [["b"], [], None] * copies
    assert split_labels(pl.Series([1, 2]), "").to_list() == [["1"], ["2"]]
