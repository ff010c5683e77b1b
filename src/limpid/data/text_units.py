"""What a token of text is: a hashed word, a word of a vocabulary, a character, or a piece made by byte pairs.

Each unit learns from training rows, turns texts into token ids, and stores what it learnt as plain data. Id 0 is
padding; where there is a vocabulary, id 1 stands for what it lacks.

Legend of shapes: N texts, T tokens of a row.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.data.byte_pairs import BEGIN, MOST_CHARACTERS, BytePairs, learn_byte_pairs
from limpid.data.hashed import hash_words
from limpid.data.stored import Stored
from limpid.data.vocabulary import LARGEST
from limpid.data.words import PER_WORD, Words, count_words, lay_out, ramp, split_words

UNKNOWN, FIRST = 1, 2
"""Ids of what is not in a vocabulary, and of its most frequent entry."""

_LONGEST_WORD = 200  # characters; a longer word is no entry of a vocabulary

Tokens = npt.NDArray[np.int32]


class Unit(Protocol):
    """A way to make tokens of text."""

    size: int  # number of ids, padding included

    def tokens(self, texts: pl.Series, length: int) -> Tokens:
        """(N,T) ids of texts, T being `length`."""

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""


class Hashed:
    """Words by their hash, and behind a text's words the pieces of each of them.

    Args:
        size: number of ids.
        pieces: whether there are pieces.
    """

    def __init__(self, size: int, pieces: bool) -> None:
        self.size = size
        self.pieces = pieces

    def tokens(self, texts: pl.Series, length: int) -> Tokens:
        """(N,T)."""
        tokens = np.zeros((len(texts), length), np.int32)
        words = split_words(texts, length)
        if words.different:
            ids, pieces, counts = hash_words(words.different, self.size, pieces=self.pieces)
            tokens[words.row, ramp(words.counts)] = ids[words.word]
            if self.pieces:
                lay_out(tokens, words, pieces, counts, words.counts)
        return tokens

    def state(self) -> dict[str, Any]:
        """Nothing: the hash is fixed."""
        return {}


class KnownWords:
    """Words of a vocabulary, in their order.

    Args:
        vocabulary: the words, case folded.
    """

    def __init__(self, vocabulary: list[str]) -> None:
        self.vocabulary = vocabulary
        self.size = FIRST + len(vocabulary)
        self._ids = {word: n for n, word in enumerate(vocabulary, FIRST)}

    @classmethod
    def learn(cls, texts: pl.Series, length: int, size: int, least: int) -> KnownWords:
        """The most frequent words of the texts, each of them occurring `least` times or more."""
        table = count_words(texts, length).filter(pl.col("count") >= least)
        table = table.filter(pl.col("value").str.len_chars() <= _LONGEST_WORD)
        return cls(table["value"].head(min(size - FIRST, LARGEST)).to_list())

    def tokens(self, texts: pl.Series, length: int) -> Tokens:
        """(N,T)."""
        tokens = np.zeros((len(texts), length), np.int32)
        words = split_words(texts, length)
        if words.different:
            ids = np.array([self._ids.get(w, UNKNOWN) for w in words.different], np.int32)
            tokens[words.row, ramp(words.counts)] = ids[words.word]
        return tokens

    def state(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": self.vocabulary}

    @classmethod
    def read(cls, stored: Stored, size: int) -> KnownWords:
        """The inverse of `state`."""
        return cls(stored.texts("vocabulary", limit=min(size - FIRST, LARGEST), characters=_LONGEST_WORD))


class Characters:
    """Characters of a vocabulary, case folded, blanks included.

    Args:
        vocabulary: single characters.
    """

    def __init__(self, vocabulary: list[str]) -> None:
        self.vocabulary = vocabulary
        self.size = FIRST + len(vocabulary)
        codes = np.array([ord(c) for c in vocabulary], np.uint32)
        order = np.argsort(codes)
        self._codes = codes[order]
        self._ids = (order + FIRST).astype(np.int32)

    @classmethod
    def learn(cls, texts: pl.Series, length: int, size: int, least: int) -> Characters:
        """The most frequent characters of the texts, each of them occurring `least` times or more."""
        codes, counts = np.unique(_letters(texts, length)[0], return_counts=True)
        order = np.lexsort((codes, -counts))
        chosen = codes[order][counts[order] >= least][: min(size - FIRST, LARGEST)]
        return cls([chr(c) for c in chosen.tolist()])

    def tokens(self, texts: pl.Series, length: int) -> Tokens:
        """(N,T)."""
        tokens = np.zeros((len(texts), length), np.int32)
        codes, counts = _letters(texts, length)
        ids = np.full(len(codes), UNKNOWN, np.int32)
        if len(self._codes):
            place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
            known = self._codes[place] == codes
            ids[known] = self._ids[place[known]]
        tokens[np.repeat(np.arange(len(counts)), counts), ramp(counts)] = ids
        return tokens

    def state(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": self.vocabulary}

    @classmethod
    def read(cls, stored: Stored, size: int) -> Characters:
        """The inverse of `state`."""
        found = stored.texts("vocabulary", limit=min(size - FIRST, LARGEST), characters=1)
        if "" in found:
            stored.refuse("'vocabulary' holds an empty text", "single characters")
        return cls(found)


class Pairs:
    """Words as pieces by byte pairs, in their order.

    Args:
        pairs: alphabet and merges.
    """

    def __init__(self, pairs: BytePairs) -> None:
        self.pairs = pairs
        self.size = pairs.size

    @classmethod
    def learn(cls, texts: pl.Series, length: int, size: int, least: int) -> Pairs:
        """Learn merges from the words of the texts.

        Raises:
            RequestError: the package `tokenizers` is not installed.
        """
        return cls(learn_byte_pairs(count_words(texts, length), min(size, LARGEST), least, FIRST))

    def tokens(self, texts: pl.Series, length: int) -> Tokens:
        """(N,T)."""
        tokens = np.zeros((len(texts), length), np.int32)
        words: Words = split_words(texts, length)
        if words.different:
            found = [self.pairs.ids(w) for w in words.different]
            counts = np.array([len(ids) for ids in found], np.int64)
            lay_out(tokens, words, [n for ids in found for n in ids], counts, np.zeros(len(texts), np.int64))
        return tokens

    def state(self) -> dict[str, Any]:
        """Alphabet and merges."""
        return {"alphabet": self.pairs.alphabet, "merges": [" ".join(pair) for pair in self.pairs.merges]}

    @classmethod
    def read(cls, stored: Stored, size: int) -> Pairs:
        """The inverse of `state`; a merge must be of pieces that were there before it."""
        limit = min(size, LARGEST)
        alphabet = stored.texts("alphabet", limit=limit, characters=1)
        known = set(alphabet)
        merges = []
        for text in stored.texts("merges", limit=limit, characters=2 * (MOST_CHARACTERS + len(BEGIN)) + 1):
            left, _, right = text.partition(" ")
            if left not in known or right not in known or "" in (left, right):
                stored.refuse(f"the merge {text[:80]!r} is not of known pieces", "merges in the order they were learnt")
            known.add(left + right)
            merges.append((left, right))
        return cls(BytePairs(alphabet, merges, FIRST))


def _letters(texts: pl.Series, length: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Code points of the first characters of all texts, one text after the other, and how many each text has."""
    # Normalising may join several characters into one.
    found = texts.str.slice(0, length * PER_WORD).str.normalize("NFKC").str.slice(0, length)
    cut = ["" if t is None else t.casefold()[:length] for t in found.to_list()]
    counts = np.array([len(t) for t in cut], np.int64)
    return np.frombuffer("".join(cut).encode("utf-32-le"), np.uint32), counts
