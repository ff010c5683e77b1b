"""Columns that hold words: a sequence of hashed words and pieces of words, so that no vocabulary need be stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import SeqShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.cleaning import canonical, plain
from limpid.data.stored import Stored, decided

# Scripts without blanks between words give a word for each character.
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}"
_WORD = rf"[{_ALONE}]|[\w--[{_ALONE}]]+|[^\w\s]"
_PIECES = (3, 4, 5)  # characters, the marks of a word's beginning and end included
_LONGEST_WORD = 40  # characters; of a longer one only these count
_PER_WORD = 24  # characters of text looked at for each token of the sequence
_FEW = 64  # texts; below it, Python costs less than starting a polars query
_ROWS = 8_192  # texts encoded at once, which bounds the memory


class TextSpec(Spec):
    """How text becomes tokens."""

    buckets: Auto | Annotated[int, Field(ge=16, le=2**22)] = Field(
        AUTO, description="number of token ids, padding included; words share an id by chance where there are few"
    )
    max_tokens: Auto | Annotated[int, Field(ge=1, le=8_192)] = Field(
        AUTO, description="most tokens of one text: first its words, then pieces of its words"
    )
    pieces: bool = Field(True, description="whether pieces of 3 to 5 characters of each word are tokens too")


class Text:
    """Token ids from 1 on, 0 is padding: the words in their order, then the pieces of 3 to 5 characters of each word.

    Text is normalised (Unicode NFKC, case folded) and hashed, as in fastText (Bojanowski et al., "Enriching Word
    Vectors with Subword Information", 2017); nothing is learnt from training rows. Signs such as "!" are words, and so
    is each character of scripts without blanks between words.
    """

    Spec: ClassVar[type[Spec]] = TextSpec
    form: ClassVar[str | None] = "seq"

    def __init__(self, spec: TextSpec, name: str) -> None:
        assert spec.buckets != AUTO and spec.max_tokens != AUTO, "fit before plan"
        self.name = name
        self.buckets = spec.buckets
        self.max_tokens = spec.max_tokens
        self.pieces = spec.pieces

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim text that is neither one of few values nor a name of the row; weakly, any text."""
        if facts.dtype != "text" or facts.present == 0:
            return None
        if facts.number_share >= 0.95 or facts.date_share >= 0.95:
            return Recognition(0.1, "it could be read as words")
        because = (
            f"{facts.distinct:,} different texts in {facts.present:,} cells, {facts.mean_words:.1f} words and "
            f"{facts.mean_characters:.0f} characters on average"
        )
        return Recognition(0.75 if facts.mean_words > 4 else 0.6, because)

    @classmethod
    def plan(cls, spec: TextSpec, facts: ColumnFacts, size: Size) -> tuple[TextSpec, Reasons]:
        """Decide the number of token ids and the length by how much text there is."""
        changes: dict[str, int] = {}
        reasons: Reasons = {}
        words = max(facts.mean_words, 1.0)
        if spec.buckets == AUTO:
            total = size.rows * words
            changes["buckets"] = 2 ** min(max(round(math.log2(max(total, 2.0))) - 1, 14), 17)
            reasons["buckets"] = f"about {total:,.0f} words in all; half of it as a power of two, within 2^14 to 2^17"
        if spec.max_tokens == AUTO:
            mean = words + (3 * facts.mean_characters if spec.pieces else 0)
            changes["max_tokens"] = 8 * math.ceil(min(max(1.5 * mean, 16), 512) / 8)
            reasons["max_tokens"] = f"1.5 times the mean of {mean:.0f} tokens, within 16 to 512"
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: TextSpec, column: pl.Series) -> Self:
        """Nothing to learn but the column's name."""
        return cls(spec, column.name)

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`tokens` (N, max_tokens) int32."""
        column = plain(column)
        texts = column if column.dtype == pl.String else canonical(column)
        tokens = np.zeros((len(texts), self.max_tokens), np.int32)
        for start in range(0, len(texts), _ROWS):
            part = texts.slice(start, _ROWS)
            tokens[start : start + len(part)] = self._tokens(part)
        return {"tokens": tokens}

    def _tokens(self, texts: pl.Series) -> np.ndarray:
        tokens = np.zeros((len(texts), self.max_tokens), np.int32)
        words = texts.str.slice(0, self.max_tokens * _PER_WORD).str.normalize("NFKC").str.extract_all(_WORD)
        if len(texts) <= _FEW:  # the same as below, without starting polars queries
            cut = [w[: self.max_tokens] if w else [] for w in words.to_list()]
            row_words = np.array([len(w) for w in cut], np.int64)
            places: dict[str, int] = {}
            word = np.array([places.setdefault(w, len(places)) for ws in cut for w in ws], np.int64)
            different = list(places)
        else:
            lists = words.list.head(self.max_tokens)
            row_words = lists.list.len().fill_null(0).to_numpy().astype(np.int64)  # (N,) words in each text
            flat = lists.filter(pl.Series(row_words > 0)).explode()
            known = flat.unique()
            index = pl.Series(np.arange(len(known), dtype=np.int64))
            word = flat.replace_strict(known, index, return_dtype=pl.Int64).to_numpy()  # (W,) index into `different`
            different = known.to_list()
        if not different:
            return tokens
        ids, pieces, piece_counts = self._hash([w.casefold() for w in different])
        row = np.repeat(np.arange(len(texts)), row_words)
        tokens[row, _ramp(row_words)] = ids[word]
        if self.pieces:
            _put_pieces(tokens, row, word, row_words, pieces, piece_counts)
        return tokens

    def _hash(self, words: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids of words, ids of all their pieces one word after the other, and the number of pieces of each word."""
        marked = [f"<{w[:_LONGEST_WORD]}>" for w in words]
        letters = np.frombuffer("".join(marked).encode("utf-32-le"), np.uint32).astype(np.uint64)
        lengths = np.array([len(w) for w in marked], np.int64)
        starts = np.cumsum(lengths) - lengths
        place = _ramp(lengths)
        whole = np.add.reduceat((letters + np.uint64(1)) * _POWERS[place], starts)
        ids = self._bucket(whole, 0)
        if not self.pieces:
            return ids, np.zeros(0, np.int32), np.zeros(len(words), np.int64)
        owner = np.repeat(np.arange(len(words)), lengths)
        left = lengths[owner] - place  # letters from here to the end of the word
        found, owners = [], []
        for size in _PIECES:
            # A piece as long as the marked word is the word itself.
            begins = np.flatnonzero((left >= size) & (lengths[owner] > size))
            value = np.zeros(len(begins), np.uint64)
            for step in range(size):
                value = value * _BASE + letters[begins + step] + np.uint64(1)
            found.append(self._bucket(value, size))
            owners.append(owner[begins])
        order = np.argsort(np.concatenate(owners), kind="stable")
        counts = np.bincount(np.concatenate(owners), minlength=len(words))
        return ids, np.concatenate(found)[order], counts

    def _bucket(self, value: np.ndarray, space: int) -> np.ndarray:
        """Ids 1 to buckets - 1 of hash values; words and pieces of each size have hashes of their own."""
        value = value + np.uint64(0x9E3779B97F4A7C15 * (space + 1) % 2**64)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # the finaliser of SplitMix64
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value = value ^ (value >> np.uint64(31))
        return np.asarray((value % np.uint64(self.buckets - 1) + np.uint64(1)).astype(np.int32))

    def shape(self) -> SeqShape:
        """A seq of token ids."""
        return SeqShape(vocabulary=self.buckets, length=self.max_tokens)

    def state(self) -> dict[str, Any]:
        """Name only: the hash is fixed."""
        return {"name": self.name}

    @classmethod
    def from_state(cls, spec: TextSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: the name is missing or there is more than a name.
        """
        decided(spec, "a text column")
        stored = Stored(state, where="a text column")
        name = stored.text("name")
        stored.done()
        return cls(spec, name)


_BASE = np.uint64(0x100000001B3)
_POWERS = np.cumprod(np.concatenate([[np.uint64(1)], np.full(_LONGEST_WORD + 2, _BASE)]), dtype=np.uint64)


def _ramp(lengths: np.ndarray) -> np.ndarray:
    """0, 1, .. length - 1 for each length, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) - np.repeat(ends - lengths, lengths))


def _put_pieces(
    tokens: np.ndarray, row: np.ndarray, word: np.ndarray, row_words: np.ndarray, pieces: np.ndarray, counts: np.ndarray
) -> None:
    """Write the pieces of each word behind the words of its text, as far as there is room."""
    first = np.cumsum(counts) - counts
    here = counts[word]  # (W,) pieces of each word in the texts
    before = np.cumsum(here) - here
    row_first = np.searchsorted(row, np.arange(len(tokens)))  # index of each row's first word
    offset = before - np.append(before, here.sum())[row_first][row] + row_words[row]  # column of a word's first piece
    room = np.clip(tokens.shape[1] - offset, 0, here)
    place = _ramp(room)
    columns = np.repeat(offset, room) + place
    tokens[np.repeat(row, room), columns] = pieces[np.repeat(first[word], room) + place]
