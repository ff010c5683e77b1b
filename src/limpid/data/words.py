"""How text falls into words, and how the tokens of words are laid out in rows; vectorised, for any Unicode.

Legend of shapes: N texts, W words in all of them, V different words, T tokens of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

# Scripts without blanks between words give a word for each character.
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}"
WORD = rf"[{_ALONE}]|[\w--[{_ALONE}]]+|[^\w\s]"
"""A word: letters and digits, one sign, or one character of a script without blanks."""

PER_WORD = 24
"""Characters of text that are looked at for each word that there is room for."""

_FEW = 64  # texts; below it, Python costs less than starting a polars query

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """The words of some texts.

    Args:
        different: (V) the words that occur, case folded; spellings that fold to the same one may both be there.
        word: (W) index into `different`, text by text in reading order.
        counts: (N) words of each text.
    """

    different: list[str]
    word: Ints
    counts: Ints

    @property
    def row(self) -> Ints:
        """(W) the text that each word stands in."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def split_words(texts: pl.Series, most: int) -> Words:
    """The first `most` words of each text, normalised (Unicode NFKC, case folded); a null has none.

    Args:
        texts: N texts.
        most: words of one text at most; of very long texts only the beginning is looked at.

    Example:
        >>> found = split_words(pl.Series(["To be, or", None]), 3)
        >>> [found.different[w] for w in found.word], found.counts.tolist()
        (['to', 'be', ','], [3, 0])
    """
    words = texts.str.slice(0, most * PER_WORD).str.normalize("NFKC").str.extract_all(WORD)
    if len(texts) <= _FEW:  # the same as below, without starting polars queries
        cut = [w[:most] if w else [] for w in words.to_list()]
        places: dict[str, int] = {}
        word = np.array([places.setdefault(w, len(places)) for ws in cut for w in ws], np.int64)
        return Words([w.casefold() for w in places], word, np.array([len(w) for w in cut], np.int64))
    lists = words.list.head(most)
    counts = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = lists.filter(pl.Series(counts > 0)).explode()
    known = flat.unique()
    index = pl.Series(np.arange(len(known), dtype=np.int64))
    word = flat.replace_strict(known, index, return_dtype=pl.Int64).to_numpy()
    return Words([w.casefold() for w in known.to_list()], word, counts)


def count_words(texts: pl.Series, most: int) -> pl.DataFrame:
    """Columns `value` and `count`: how often each word occurs, the most frequent first, equal ones by name."""
    found = split_words(texts, most)
    counts = np.bincount(found.word, minlength=len(found.different))
    table = pl.DataFrame({"value": pl.Series(found.different, dtype=pl.String), "count": counts})
    table = table.group_by("value").agg(pl.col("count").sum())
    return table.sort(["count", "value"], descending=[True, False])


def ramp(lengths: Ints) -> Ints:
    """0, 1, .. length - 1 for each length, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) - np.repeat(ends - lengths, lengths))


def lay_out(tokens: npt.NDArray[np.int32], words: Words, ids: Sequence[int] | Ints, counts: Ints, start: Ints) -> None:
    """Write the tokens of each text's words one after the other, as far as there is room.

    Args:
        tokens: (N,T) to be filled.
        words: of the texts.
        ids: tokens of all different words, one word after the other.
        counts: (V) how many of them belong to each.
        start: (N) first column of each text.
    """
    flat = np.asarray(ids)
    first = np.cumsum(counts) - counts
    here = counts[words.word]  # (W) tokens of each word in the texts
    before = np.concatenate([[0], np.cumsum(here)])
    row = words.row
    row_first = np.cumsum(words.counts) - words.counts  # index of each row's first word
    column = before[:-1] - before[row_first][row] + start[row]  # of a word's first token
    room = np.clip(tokens.shape[1] - column, 0, here)
    place = ramp(room)
    tokens[np.repeat(row, room), np.repeat(column, room) + place] = flat[np.repeat(first[words.word], room) + place]
