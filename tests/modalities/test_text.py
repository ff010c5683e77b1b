import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.text import Text, TextSpec


def encoder(**changes: object) -> Text:
    values = {"buckets": 2**16, "max_tokens": 64, "pieces": False, **changes}
    return Text.fit(TextSpec.model_validate(values), pl.Series("t", ["x"]))


def tokens(text: Text, *values: str | None) -> np.ndarray:
    return text.encode(pl.Series("t", values, dtype=pl.String), Repairs())["tokens"]


def test_words_keep_their_order_and_padding_is_zero() -> None:
    found = tokens(encoder(), "the cat the dog", "dog", "", None)
    assert (found != 0).sum(axis=1).tolist() == [4, 1, 0, 0]
    assert found[0, 0] == found[0, 2] != found[0, 1]
    assert found[1, 0] == found[0, 3]


def test_spellings_of_one_word_share_an_id() -> None:
    found = tokens(encoder(), "Straße", "STRASSE", "ｓｔｒａｓｓｅ", "ﬁne", "FINE")
    assert found[0, 0] == found[1, 0] == found[2, 0] and found[3, 0] == found[4, 0] != found[0, 0]


def test_signs_and_characters_of_scripts_without_blanks_are_words() -> None:
    found = tokens(encoder(), "win £5 now!", "日本語 text", "日本")
    assert (found != 0).sum(axis=1).tolist() == [5, 4, 2]
    assert found[1, :2].tolist() == found[2, :2].tolist()


def test_pieces_follow_the_words() -> None:
    found = tokens(encoder(pieces=True), "cat", "cats", "to cat")
    # <cat> has 3 pieces of 3 and 2 of 4; of 5 it is the word itself. <cats> has 4, 3 and 2.
    assert (found != 0).sum(axis=1).tolist() == [1 + 5, 1 + 9, 2 + 2 + 5]
    cat, cats = set(found[0, 1:6]), set(found[1, 1:10])
    assert len(cat & cats) == 3  # <ca, cat and <cat
    assert found[2, 1] == found[0, 0] and found[2, 4:9].tolist() == found[0, 1:6].tolist()


def test_the_hash_never_changes() -> None:
    # Bundles of earlier versions rely on these ids.
    found = tokens(encoder(pieces=True), "Don't panic: naïve 42!")
    assert found[0, :12].tolist() == [
        31620,
        62583,
        14619,
        49008,
        10847,
        63369,
        18478,
        25781,
        64417,
        65176,
        41183,
        43008,
    ]


def test_long_texts_are_cut_words_first() -> None:
    short = encoder(max_tokens=5, pieces=True)
    found = tokens(short, "one two three four five six seven", "one two")
    assert (found != 0).sum(axis=1).tolist() == [5, 5] and found[0, :2].tolist() == found[1, :2].tolist()
    huge = tokens(short, "x" * 1_000_000, "y " * 1_000_000)
    assert (huge != 0).all()


def test_ids_spread_evenly() -> None:
    found = tokens(encoder(buckets=101), *[f"word{i}" for i in range(20_000)])[:, 0]
    counts = np.bincount(found, minlength=101)
    assert counts[0] == 0
    chance = ((counts[1:] - 200.0) ** 2 / 200.0).sum()  # chi squared of 99 degrees of freedom
    assert 50 < chance < 160


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.integers(1, 40), st.booleans())
def test_few_and_many_texts_give_the_same_tokens(texts: list[str], length: int, pieces: bool) -> None:
    text = encoder(max_tokens=length, pieces=pieces)
    few, many = tokens(text, *texts), tokens(text, *(texts * 70))
    assert np.array_equal(np.tile(few, (70, 1)), many)
    filled = few != 0
    assert (np.diff(filled.astype(int), axis=1) <= 0).all()  # padding only at the end


def test_batches_do_not_change_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"row {i} of {i % 7} and more" for i in range(500)]
    whole = tokens(encoder(pieces=True), *texts)
    monkeypatch.setattr("limpid.modalities.text._ROWS", 100)
    assert np.array_equal(whole, tokens(encoder(pieces=True), *texts))


def test_the_plan_scales_with_the_amount_of_text() -> None:
    column = pl.Series("t", [f"this is message {i} about something else" for i in range(200)])
    facts = column_facts(column)
    small, reasons = Text.plan(TextSpec(), facts, Size(200, 2, "x"))
    large, _ = Text.plan(TextSpec(), facts, Size(10**6, 2, "x"))
    assert (small.buckets, large.buckets) == (2**14, 2**17) and small.max_tokens == large.max_tokens
    assert set(reasons) == {"buckets", "max_tokens"}
    found = tokens(Text.fit(small, column), *column.to_list())
    assert (found[:, -1] == 0).mean() > 0.9  # nearly every text fits


def test_numbers_are_words_too() -> None:
    text = encoder()
    assert np.array_equal(text.encode(pl.Series("t", [1.0, 22]), Repairs())["tokens"], tokens(text, "1", "22"))
