"""What a person wants to see of a column of text: how long its texts are, and which words they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from limpid.data.words import split_words

_MOST_WORDS = 2_000
_FREQUENT = 8
_SHARES = (0.05, 0.5, 0.95)


def show_texts(texts: pl.Series) -> dict[str, Any]:
    """Facts of some texts.

    Args:
        texts: cells as text, null where missing.

    Returns:
        {"facts": [[label, value]]}; signs count as words, as they do where text is read.

    Example:
        >>> show_texts(pl.Series(["one two", "two", None]))["facts"][0]
        ['texts', '2 looked at, 0 of them empty']
    """
    texts = texts.drop_nulls()
    words = split_words(texts, _MOST_WORDS)
    empty = int((words.counts == 0).sum())
    facts = [["texts", f"{len(texts):,} looked at, {empty:,} of them empty"]]
    if not len(words.word):
        return {"facts": facts}
    facts.append(["words", _spread(words.counts)])
    facts.append(["characters", _spread(texts.str.len_chars().to_numpy())])
    table = pl.DataFrame({"value": words.different, "count": np.bincount(words.word, minlength=len(words.different))})
    table = table.group_by("value").agg(pl.col("count").sum()).sort(["count", "value"], descending=[True, False])
    once = int((table["count"] == 1).sum())
    facts.append(["vocabulary", f"{table.height:,} different words of {len(words.word):,}, {once:,} of them once"])
    frequent = [(v, n) for v, n in table.iter_rows() if any(c.isalnum() for c in v)][:_FREQUENT]
    facts.append(["most frequent", ", ".join(f"{v[:24]} ({n:,})" for v, n in frequent) or "signs alone"])
    return {"facts": facts}


def _spread(lengths: np.ndarray) -> str:
    """Quantiles of lengths in words."""
    low, middle, high = (f"{v:,.0f}" for v in np.quantile(lengths, _SHARES))
    return f"half of the texts {middle} or fewer, nine of ten {low} to {high}, at most {int(lengths.max()):,}"
