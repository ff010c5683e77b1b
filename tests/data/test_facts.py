import os
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from limpid.core.schema import ColumnFacts
from limpid.data.facts import QUANTILES, column_facts
from limpid.data.missing_codes import date_codes, number_codes

RNG = np.random.default_rng(5)
START = date(2015, 1, 1)


def facts_of(values: object, name: str = "x") -> ColumnFacts:
    return column_facts(pl.Series(name, values, strict=False))


def test_counts_of_plain_numbers_equal_numpy() -> None:
    values = RNG.lognormal(size=3_000).round(4)
    facts = facts_of([str(v) for v in values])
    assert (facts.rows, facts.missing, facts.dtype) == (3_000, 0, "text")
    assert facts.distinct == len(np.unique(values))
    assert facts.number_share == 1 and facts.integer_share < 0.1
    assert facts.minimum == values.min() and facts.maximum == values.max()
    assert facts.mean == pytest.approx(values.mean()) and facts.std == pytest.approx(values.std())
    assert facts.quantiles == pytest.approx(np.quantile(values, QUANTILES, method="lower"), rel=0.01)


def test_typed_and_written_numbers_give_the_same_figures() -> None:
    values = RNG.integers(0, 50, 500)
    typed, written = facts_of(values), facts_of([str(v) for v in values])
    for name in (
        "number_share",
        "integer_share",
        "distinct",
        "minimum",
        "maximum",
        "mean",
        "quantiles",
        "sorted_share",
    ):
        assert getattr(typed, name) == getattr(written, name), name
    assert [count for _, count in typed.top] == [count for _, count in written.top]


def test_figures_do_not_depend_on_row_order_but_the_order_itself_does() -> None:
    values = sorted(RNG.normal(size=400).tolist())
    rising, mixed = facts_of(values), facts_of(RNG.permutation(values))
    assert rising.sorted_share == 1 and 0.4 < mixed.sorted_share < 0.6
    assert (rising.mean, rising.std, rising.top, rising.quantiles) == (
        mixed.mean,
        mixed.std,
        mixed.top,
        mixed.quantiles,
    )


def test_huge_numbers_have_finite_moments() -> None:
    facts = facts_of([1e300, -1e300, 1e-300, float("inf"), None])
    assert facts.number_share == 1 and np.isfinite([facts.std, facts.mean, facts.maximum]).all()


@pytest.mark.parametrize("code", ["?", "NA", "n/a", "null", "NaN", "#N/A", "\\N"])
def test_words_for_missing_are_codes_in_any_column(code: str) -> None:
    for values in (["1.5", "2", code, code], ["red", "blue", code, code]):
        facts = facts_of(values)
        assert dict(facts.missing_codes) == {code: 2} and facts.missing == 2 and facts.present == 2


@pytest.mark.parametrize("code", ["none", "-", ".", "unknown"])
def test_some_words_are_codes_only_among_numbers_and_dates(code: str) -> None:
    numbers = [str(v) for v in RNG.normal(size=100)]
    dates = [(START + timedelta(i)).isoformat() for i in range(100)]
    assert code in facts_of([*numbers, code]).missing_codes
    assert code in facts_of([*dates, code]).missing_codes
    assert not facts_of(["low", "high", code] * 10).missing_codes


def test_na_is_a_code_of_two_capitals_among_others() -> None:
    assert not facts_of(["NA", "EU", "AS", "AF", "SA", "OC"] * 9).missing_codes


def test_a_word_that_repeats_among_numbers_is_taken_as_missing() -> None:
    numbers = [str(v) for v in range(100)]
    assert dict(facts_of([*numbers, *["refused"] * 9]).missing_codes) == {"refused": 9}
    assert not facts_of([*numbers, *["100+"] * 9]).missing_codes  # it holds a number


def test_empty_cells_and_nulls_are_missing_without_a_code() -> None:
    facts = facts_of(["a", "", "  ", None, "b"])
    assert facts.missing == 3 and not facts.missing_codes and facts.distinct == 2


@pytest.mark.parametrize(
    ("code", "rest", "found"),
    [
        ("-999", RNG.uniform(0, 5_000, 900), True),  # never negative otherwise
        ("-999", RNG.uniform(-30, 40, 900), True),
        ("-200", RNG.uniform(0, 12, 900), True),  # isolated and frequent
        ("9999", RNG.uniform(0, 300, 900), True),
        ("99", RNG.uniform(0, 98, 900), False),  # a value like the others
        ("-1", RNG.uniform(0, 900, 900), False),
        ("0", RNG.uniform(900, 950, 900), False),
        ("-99", RNG.uniform(-5_000, 5_000, 900), False),
    ],
)
def test_impossible_numbers_at_suspicious_frequency_are_codes(code: str, rest: np.ndarray, found: bool) -> None:
    values = [*rest.round(1).astype(str), *[code] * 60]
    for cells in (values, [float(v) for v in values]):
        facts = facts_of(cells)
        assert dict(facts.missing_codes) == ({code: 60} if found else {})
        if found:
            assert facts.minimum == rest.round(1).min() and facts.maximum == rest.round(1).max()


def test_a_ceiling_of_nines_is_no_code() -> None:
    # capital gain of the adult census: 0.5 % of people hold 99999
    values = [*RNG.integers(0, 41_000, 10_000).tolist(), *[99_999] * 50]
    assert not facts_of(values).missing_codes


def test_single_extremes_are_never_codes() -> None:
    assert not number_codes(np.array([-999.0, 1, 2, 3, 4, 5, 6]), np.array([1, 9, 9, 9, 9, 9, 9])).any()


def test_placeholder_dates_are_codes() -> None:
    dates = [(START + timedelta(i)).isoformat() for i in range(300)]
    assert dict(facts_of([*dates, *["1900-01-01"] * 5]).missing_codes) == {"1900-01-01": 5}
    typed = [*(START + timedelta(i) for i in range(300)), date(9999, 12, 31)]
    assert dict(facts_of(typed).missing_codes) == {"9999-12-31": 1}
    century = np.array([f"{y}-01-01" for y in range(1880, 1990)], "M8[us]").astype(np.int64)
    assert not date_codes(century, np.full(len(century), 3)).any()  # 1970 among its neighbours


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (["1,234.5", "2,000.0", "7.25"], "."),
        (["1.234,5", "2.000,0", "7,25"], ","),
        (["0,123", "0,456", "1,789"], ","),
        (["1,234", "5,678"], "."),
        (["$1,234.50", "$7", "-$3"], "."),
        (["12 %", "7.5%"], "."),
        (["1 234", "5 678 901"], "."),
        (["1e5", "2.5E-3"], "."),
    ],
)
def test_written_numbers_are_recognised(cells: list[str], decimal: str) -> None:
    facts = facts_of(cells)
    assert (facts.number_share, facts.decimal) == (1.0, decimal)


def test_codes_with_leading_zeros_are_counted() -> None:
    assert facts_of(["02139", "94110", "00501", "10001"]).leading_zero_share == 0.5
    assert facts_of(["0", "0.5", "10"]).leading_zero_share == 0


@pytest.mark.parametrize(
    ("pattern", "format"),
    [
        ("%Y-%m-%d", "iso"),
        ("%Y/%m/%d", "iso"),
        ("%Y-%m-%dT%H:%M:%S", "iso"),
        ("%Y-%m", "iso"),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M"),
        ("%m/%d/%y %I:%M %p", "%m/%d/%y %I:%M %p"),
        ("%b-%Y", "%b-%Y"),
        ("%d %B %Y", "%d %b %Y"),
        ("%B %d, %Y", "%b %d, %Y"),
        ("%Y%m%d", "%Y%m%d"),
        ("%a, %d %b %Y %H:%M:%S +0000", "%a, %d %b %Y %H:%M:%S %z"),
        ("%H:%M", "%H:%M"),
    ],
)
def test_date_formats_are_recognised(pattern: str, format: str) -> None:
    times = [datetime(2015, 1, 1) + timedelta(hours=int(h)) for h in RNG.integers(0, 40_000, 300)]
    facts = facts_of([t.strftime(pattern) for t in times])
    assert (facts.date_share, facts.date_format) == (1.0, format)
    assert not facts.notes


def test_day_and_month_that_could_be_exchanged_are_said_so() -> None:
    facts = facts_of([f"0{1 + i % 9}/0{1 + i % 7}/2015" for i in range(60)])
    assert facts.date_format == "%m/%d/%Y" and "exchanged" in facts.notes[0]
    assert facts_of([f"0{1 + i % 9}.0{1 + i % 7}.2015" for i in range(60)]).date_format == "%d.%m.%Y"


def test_time_stamps_need_a_name_that_speaks_for_them() -> None:
    stamps = [str(v) for v in RNG.integers(1_400_000_000, 1_600_000_000, 50)]
    assert facts_of(stamps, "created_at").date_format == "unix_s"
    assert facts_of(stamps, "phone").date_share == 0


def test_numbers_years_and_words_are_no_dates() -> None:
    for cells in (["2001", "2002", "2003"] * 9, ["1.2011", "3.2012"] * 9, ["may", "march on"] * 9, ["1-2", "3-4"] * 9):
        assert facts_of(cells).date_share < 0.5


def test_label_sets_are_recognised_and_sentences_are_not() -> None:
    labels = ["drama", "comedy", "action", "war", "film noir"]
    sets = ["|".join(RNG.choice(labels, k, replace=False)) for k in RNG.integers(1, 4, 300)]
    facts = facts_of(sets)
    assert (facts.separator, facts.labels) == ("|", 5)
    assert facts_of(["Paris, TX", "Austin, TX", "Reno, NV"] * 50).separator == ""
    sentences = [f"{a}, and then {b}, of course, {i}" for i, (a, b) in enumerate(zip(sets, sets[::-1], strict=True))]
    assert facts_of(sentences).separator == ""


def test_lists_count_their_labels() -> None:
    facts = column_facts(pl.Series("l", [["a", "b"], ["b"], None, []]))
    assert (facts.dtype, facts.labels, facts.missing) == ("list", 2, 1)


def test_words_and_characters() -> None:
    facts = facts_of(["one two three", "four", "four"])
    assert facts.mean_words == pytest.approx(5 / 3) and facts.mean_characters == pytest.approx(21 / 3)
    assert facts.top[0] == ("four", 2) and facts.examples == ("one two three", "four")


def test_shown_values_are_bounded() -> None:
    facts = facts_of(["x" * 1_000_000, *map(str, range(90)), "y"])
    assert len(facts.top) <= 20 and all(len(v) <= 120 for v, _ in facts.top) and len(facts.examples) <= 5


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("x", [], dtype=pl.String),
        pl.Series("x", [None, None], dtype=pl.Null),
        pl.Series("x", [None, None], dtype=pl.Float64),
        pl.Series("x", [b"a", b"b"]),
        pl.Series("x", [{"a": 1}]),
        pl.Series("x", [True, None]),
        pl.Series("x", ["a", "b"], dtype=pl.Categorical),
        pl.Series("x", [timedelta(1)]),
        pl.Series("x", [float("nan"), float("inf")]),
        pl.Series("x", ["\x00", "\ud7ff", "𝒳"]),
    ],
)
def test_strange_columns_are_counted_without_an_error(column: pl.Series) -> None:
    facts = column_facts(column)
    assert facts.rows == len(column) and 0 <= facts.missing <= facts.rows


def test_a_sample_is_said_to_be_one() -> None:
    assert column_facts(pl.Series("x", [1, 2]), total_rows=5_000).notes == ("counted in 2 of 5,000 rows",)


def test_real_codes_for_missing_are_found() -> None:
    folder = os.environ.get("LIMPID_DATA")
    if not folder:
        pytest.skip("needs LIMPID_DATA")
    adult = pl.read_csv(Path(folder) / "adult/adult-train.csv", infer_schema=False, has_header=False)
    codes = [dict(column_facts(adult[c]).missing_codes) for c in adult.columns]
    assert {place: found for place, found in enumerate(codes) if found} == {
        1: {"?": 1836},
        6: {"?": 1843},
        13: {"?": 583},
    }
    pollution = pl.read_csv(Path(folder) / "beijing-pm25/pollution.csv", infer_schema=False)
    assert dict(column_facts(pollution["pm2.5"]).missing_codes) == {"NA": 2067}
