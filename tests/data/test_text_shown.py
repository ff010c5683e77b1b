import polars as pl

from limpid.data.text_shown import show_texts
from limpid.modalities.text import Text


def facts(*texts):
    return dict(show_texts(pl.Series("t", texts, dtype=pl.String))["facts"])


def test_lengths_and_vocabulary_are_counted():
    found = facts("The cat sat.", "the DOG", "a b c d e f g", None)
    assert found["texts"] == "3 looked at, 0 of them empty"
    assert found["words"] == "half of the texts 4 or fewer, nine of ten 2 to 7, at most 7"
    assert found["vocabulary"] == "12 different words of 13, 11 of them once"
    assert found["most frequent"].startswith("the (2), a (1), b (1)")


def test_signs_are_no_frequent_words():
    assert facts("! ! ?")["most frequent"] == "signs alone"


def test_nothing_to_show():
    assert facts(None) == {"texts": "0 looked at, 0 of them empty"}
    assert facts("", " ") == {"texts": "2 looked at, 2 of them empty"}


def test_a_column_shows_its_texts():
    found = dict(Text.show(pl.Series("t", ["one two", "", None]), None, {})["facts"])
    assert found["texts"] == "1 looked at, 0 of them empty"
