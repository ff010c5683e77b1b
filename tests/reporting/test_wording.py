"""Values for people: short, harmless, never an error."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.reporting import wording


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.none(), st.lists(st.text())), st.integers(3, 60)
)
def test_plain_is_one_short_line_that_utf8_and_xml_can_hold(value: Any, limit: int) -> None:
    text = wording.plain(value, limit)
    assert len(text) <= limit
    assert text.isprintable() or not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)
    text.encode("utf-8")


@pytest.mark.parametrize("harm", ["\x00", "\x1b[2J", "\u202e", "\ud800", "\x9b31m", "\u2066", "\uffff"])
def test_what_steers_terminals_and_readers_is_shown_as_a_mark(harm: str) -> None:
    assert harm[0] not in wording.plain(f"a{harm}b")
    assert "\ufffd" in wording.plain(f"a{harm}b")


def test_a_huge_value_is_cut_before_anything_looks_at_all_of_it() -> None:
    assert wording.plain("x" * 10_000_000, 9) == "xxxx…xxxx"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (48_123.4, "48,123"),
        (0.92651, "0.9265"),
        (1.234e-5, "1.234e-05"),
        (-12.5, "-12.50"),
        (12, "12"),
        (10**30, "1.000e+30"),
    ],
)
def test_numbers(value: float, said: str) -> None:
    assert wording.number(value) == said


@pytest.mark.parametrize("value", [None, "x", math.nan, math.inf, True, [], 10**400])
def test_what_is_no_number_is_a_dash(value: Any) -> None:
    for write in (wording.number, wording.score, wording.percent, wording.duration):
        assert write(value) == "–"


def test_shares_never_round_to_all_or_nothing() -> None:
    assert wording.percent(0.99999) == "> 99.9 %"
    assert wording.percent(0.0000001) == "< 0.1 %"
    assert (wording.percent(0), wording.percent(1)) == ("0 %", "100 %")
