import polars as pl

from limpid.data.facts import column_facts
from limpid.modalities.constant import Constant
from limpid.modalities.key import Key


def key(name: str, values: list[object]) -> str:
    found = Key.recognise(column_facts(pl.Series(name, values)))
    return found.because if found else ""


def test_running_numbers_in_any_order_are_keys() -> None:
    assert "running number" in key("x", list(range(10, 100)))
    assert "running number" in key("x", list(range(100, 10, -1)))
    assert not key("year", list(range(1900, 2000)))  # a year is more than a name
    assert not key("x", [float(i) for i in range(100)])
    assert not key("x", [f"{i}.0" for i in range(100)])


def test_a_sorted_quantity_is_no_key() -> None:
    assert not key("population", [i**3 for i in range(1, 200)])


def test_unique_numbers_need_the_name_of_a_key() -> None:
    values = [(i * 7919) ** 2 % 1_000_003 for i in range(200)]
    assert key("customerId", values) and key("id", values) and not key("paid", values) and not key("x", values)


def test_copies_of_a_few_rows_do_not_hide_a_key() -> None:
    assert key("token", [f"u{i}" for i in range(1_000)] + ["u1", "u2"])
    assert not key("token", [f"u{i % 900}" for i in range(1_000)])


def test_constants_say_what_they_hold() -> None:
    found = Constant.recognise(column_facts(pl.Series("x", ["a"] * 9)))
    assert found and found.because == "all 9 cells hold 'a'"
    found = Constant.recognise(column_facts(pl.Series("x", ["", None, "?"])))
    assert found and found.because == "all 3 cells are missing"
    assert Constant.recognise(column_facts(pl.Series("x", ["a", ""]))) is None
