import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.core.contracts import Size
from limpid.core.errors import BundleError, RequestError
from limpid.core.repairs import Repairs
from limpid.core.spec import parse
from limpid.data.facts import column_facts
from limpid.modalities.category import Category, CategorySpec

SPEC = CategorySpec(min_count=1, max_categories=100)


def codes(encoder: Category, values: list[object]) -> list[int]:
    return encoder.encode(pl.Series("x", values, strict=False), Repairs())["categories"][:, 0].tolist()


def test_codes_follow_frequency_then_name() -> None:
    encoder = Category.fit(SPEC, pl.Series("x", ["b", "c", "a", "c", None]))
    assert encoder.vocabulary == ["c", "a", "b"]
    assert codes(encoder, ["c", "a", "b", "new", None]) == [2, 3, 4, 1, 0]
    assert encoder.shape().cardinalities == (5,) and encoder.shape().categories == ("x",)


def test_rare_values_share_a_code() -> None:
    encoder = Category.fit(CategorySpec(min_count=2, max_categories=100), pl.Series("x", ["a", "a", "b"]))
    assert codes(encoder, ["a", "b"]) == [2, 1]
    encoder = Category.fit(CategorySpec(min_count=1, max_categories=1), pl.Series("x", ["a", "b", "b"]))
    assert codes(encoder, ["a", "b"]) == [1, 2]


@pytest.mark.parametrize("copies", [1, 300])
def test_types_do_not_matter(copies: int) -> None:
    encoder = Category.fit(SPEC, pl.Series("x", ["1", "1.0", "2", "0.1", "true"]))
    assert encoder.vocabulary == ["1", "0.1", "2", "true"]
    assert codes(encoder, [1, 2] * copies) == [2, 4] * copies
    assert codes(encoder, [1.0, 0.1] * copies) == [2, 3] * copies
    assert codes(encoder, [True] * copies) == [5] * copies
    single = pl.Series("x", [0.1] * copies, dtype=pl.Float32)
    assert encoder.encode(single, Repairs())["categories"][:, 0].tolist() == [3] * copies


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1, max_size=30))
def test_encode_then_decode_returns_the_value(values: list[str | None]) -> None:
    column = pl.Series("x", values, dtype=pl.String)
    encoder = Category.fit(SPEC, column)
    from limpid.data.cleaning import canonical

    assert encoder.decode(encoder.encode(column, Repairs())["categories"]) == canonical(column).to_list()


def test_the_plan_asks_more_rows_of_larger_tables() -> None:
    facts = column_facts(pl.Series("x", ["a", "b"] * 9))
    counts = [Category.plan(CategorySpec(), facts, Size(rows, 2, "x"))[0].min_count for rows in (100, 30_000, 10**7)]
    assert counts == [2, 6, 20]


def test_a_vocabulary_may_not_exceed_its_setting() -> None:
    small = CategorySpec(min_count=1, max_categories=1)
    with pytest.raises(BundleError, match="vocabulary"):
        Category.from_state(small, {"name": "x", "vocabulary": ["a", "b"]})


def test_wrong_settings_are_request_errors() -> None:
    with pytest.raises(RequestError, match="min_count"):
        parse(CategorySpec, {"min_count": 0}, where="data.columns.x.options")
    with pytest.raises(RequestError, match="not a setting"):
        parse(CategorySpec, {"mincount": 1}, where="data.columns.x.options")
