"""Words as pieces that were merged from characters by their frequency (byte-pair encoding).

Sennrich et al. 2016, "Neural machine translation of rare words with subword units" (arXiv 1508.07909). The merges are
learnt with the package `tokenizers`; applying them needs nothing but this file, so predicting does without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat

import polars as pl

from limpid.core.errors import RequestError

BEGIN = "▁"
"""Stands before each word, so that a piece at the beginning of a word is told from one inside."""

MOST_CHARACTERS = 40
"""Of a longer word only its first characters count."""

_ALPHABET = 2_000
_REMEMBERED = 200_000


class BytePairs:
    """The alphabet and the merges, in the order in which they were learnt.

    Args:
        alphabet: single characters.
        merges: pairs of known pieces.
        first: id of the first character; what is unknown gets the id before it.

    Example:
        >>> pairs = BytePairs(["▁", "a", "b"], [("a", "b"), ("▁", "ab")], first=2)
        >>> pairs.ids("abba"), pairs.size
        ([6, 4, 3], 7)
    """

    def __init__(self, alphabet: Sequence[str], merges: Sequence[tuple[str, str]], first: int) -> None:
        self.alphabet = list(alphabet)
        self.merges = list(merges)
        self._unknown = first - 1
        self._ids: dict[str, int] = {}
        for piece in (*alphabet, *(left + right for left, right in merges)):
            self._ids.setdefault(piece, first + len(self._ids))
        self._rank = {pair: n for n, pair in enumerate(merges)}
        self.size = first + len(self._ids)
        self._known: dict[str, list[int]] = {}

    def ids(self, word: str) -> list[int]:
        """The ids of a word's pieces."""
        found = self._known.get(word)
        if found is None:
            found = [self._ids.get(piece, self._unknown) for piece in self._pieces(word)]
            if len(self._known) < _REMEMBERED:
                self._known[word] = found
        return found

    def _pieces(self, word: str) -> list[str]:
        parts = list(BEGIN + word[:MOST_CHARACTERS])
        last = len(self._rank)
        while len(parts) > 1:
            rank, place = min((self._rank.get(pair, last), n) for n, pair in enumerate(pairwise(parts)))
            if rank == last:
                break
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return parts


def learn_byte_pairs(words: pl.DataFrame, size: int, least: int, first: int) -> BytePairs:
    """Learn merges from words and how often they occur.

    Args:
        words: columns `value` and `count`.
        size: ids wanted, those before `first` included.
        least: occurrences that a pair needs to be merged.
        first: id of the first character.

    Raises:
        RequestError: the package `tokenizers` is not installed.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        raise RequestError(
            "byte pairs are learnt with the package tokenizers, which is not installed",
            where="data.columns, unit: bpe",
            expected="the extra limpid[text]",
            fix="python -m pip install 'limpid[text]', or choose the unit words",
        ) from error
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=max(size - first, 1), min_frequency=least, limit_alphabet=_ALPHABET, show_progress=False
    )
    tokenizer.train_from_iterator(_repeated(words), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [(str(left), str(right)) for left, right in model["merges"]]
    made = {left + right for left, right in merges}
    alphabet = sorted((p for p in model["vocab"] if p not in made), key=lambda p: int(model["vocab"][p]))
    return BytePairs(alphabet, merges, first)


def _repeated(words: pl.DataFrame) -> Iterator[str]:
    """Each word as often as it occurs; the trainer counts them again, and knows no other way in."""
    values: Iterable[tuple[str, int]] = words.select("value", "count").iter_rows()
    for value, count in values:
        marked = BEGIN + value[:MOST_CHARACTERS]
        for times in _portions(count):
            yield " ".join(repeat(marked, times))


def _portions(count: int, most: int = 1_000) -> Iterator[int]:
    yield from repeat(most, count // most)
    if count % most:
        yield count % most
