"""Which texts get a code of their own: the frequent ones, in an order that the data decide."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MISSING, OTHER, FIRST = 0, 1, 2
"""Codes of a missing cell, of an unseen or rare value, and of the most frequent known one."""

LARGEST = 100_000
"""Most values that a vocabulary may hold; what bounds the size of a bundle."""


def learn_vocabulary(texts: pl.Series, min_count: int, limit: int) -> list[str]:
    """The values that appear at least `min_count` times, most frequent first, equal ones by name.

    Args:
        texts: canonical texts; nulls are passed over.
        min_count: fewer occurrences make a value a rare one.
        limit: most values kept.

    Example:
        >>> learn_vocabulary(pl.Series(["b", "a", "a", "c", "b", None]), 2, 10)
        ['a', 'b']
    """
    table = texts.drop_nulls().alias("value").value_counts(name="count").filter(pl.col("count") >= min_count)
    return table.sort(["count", "value"], descending=[True, False])["value"].head(min(limit, LARGEST)).to_list()


def codes_of(vocabulary: Sequence[str]) -> dict[str, int]:
    """Value -> code."""
    return {value: code for code, value in enumerate(vocabulary, FIRST)}
