"""Words and pieces of words as hash values: token ids without a vocabulary that would have to be stored.

As in fastText (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", arXiv 1607.04606).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limpid.data.words import Ints, ramp

PIECES = (3, 4, 5)
"""Characters of a piece, the marks of a word's beginning and end included."""

_LONGEST_WORD = 40  # characters; of a longer one only these count
_BASE = np.uint64(0x100000001B3)
_POWERS = np.cumprod(np.concatenate([[np.uint64(1)], np.full(_LONGEST_WORD + 2, _BASE)]), dtype=np.uint64)


def hash_words(words: Sequence[str], buckets: int, *, pieces: bool) -> tuple[np.ndarray, np.ndarray, Ints]:
    """Ids of words, ids of all their pieces one word after the other, and the number of pieces of each word.

    Args:
        words: case folded; at least one.
        buckets: number of ids, 0 (padding) included; pieces of each size have hashes of their own.
        pieces: whether pieces are wanted; they then have the ids from `first_piece` on, and words those before.

    Example:
        >>> ids, found, counts = hash_words(["cat"], 2**16, pieces=True)
        >>> len(ids), len(found), counts.tolist()
        (1, 5, [5])
    """
    marked = [f"<{w[:_LONGEST_WORD]}>" for w in words]
    letters = np.frombuffer("".join(marked).encode("utf-32-le"), np.uint32).astype(np.uint64)
    lengths = np.array([len(w) for w in marked], np.int64)
    starts = np.cumsum(lengths) - lengths
    place = ramp(lengths)
    whole = np.add.reduceat((letters + np.uint64(1)) * _POWERS[place], starts)
    border = first_piece(buckets) if pieces else buckets
    ids = _bucket(whole, 0, 1, border)
    if not pieces:
        return ids, np.zeros(0, np.int32), np.zeros(len(words), np.int64)
    owner = np.repeat(np.arange(len(words)), lengths)
    left = lengths[owner] - place  # letters from here to the end of the word
    found, owners = [], []
    for size in PIECES:
        # A piece as long as the marked word is the word itself.
        begins = np.flatnonzero((left >= size) & (lengths[owner] > size))
        value = np.zeros(len(begins), np.uint64)
        for step in range(size):
            value = value * _BASE + letters[begins + step] + np.uint64(1)
        found.append(_bucket(value, size, border, buckets))
        owners.append(owner[begins])
    order = np.argsort(np.concatenate(owners), kind="stable")
    counts = np.bincount(np.concatenate(owners), minlength=len(words))
    return ids, np.concatenate(found)[order], counts


def first_piece(buckets: int) -> int:
    """The first of the ids of pieces, where words and pieces share so many ids."""
    return buckets // 2


def _bucket(value: np.ndarray, space: int, first: int, end: int) -> np.ndarray:
    """Ids `first` to `end` - 1 of hash values."""
    value = value + np.uint64(0x9E3779B97F4A7C15 * (space + 1) % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # the finaliser of SplitMix64
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    return np.asarray((value % np.uint64(end - first) + np.uint64(first)).astype(np.int32))
