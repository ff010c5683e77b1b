"""Tokens of a pretrained model: its own tokeniser, kept as the JSON that the package `tokenizers` reads.

Ids are the tokeniser's plus one, since 0 is limpid's padding. Beginning and end are marked as the model expects it.

Legend of shapes: N texts, T tokens of a row.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.errors import BundleError, LimpidError, RequestError
from limpid.core.files import load_json
from limpid.data.stored import Stored
from limpid.data.words import PER_WORD

_LARGEST = 128 << 20  # characters of a tokeniser's JSON
_PARTS = frozenset(
    {
        *("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor"),
        *("decoder", "model"),
    }
)


class GivenTokens:
    """A tokeniser as it came with a checkpoint.

    Args:
        text: tokenizer.json.
        where: what it belongs to, for messages.

    Raises:
        BundleError: it is damaged.
        RequestError: the package `tokenizers` is not installed.
    """

    def __init__(self, text: str, *, where: str) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise RequestError(
                "the tokens of a pretrained model need the package tokenizers, which is not installed",
                where=where,
                expected="limpid with its extra hf",
                fix="pip install 'limpid[hf]'",
            ) from error
        tree = load_json(text.encode("utf-8"), BundleError, where=where)
        if not isinstance(tree, dict) or not set(tree) <= _PARTS or not isinstance(tree.get("model"), dict):
            _refuse("it is not a tokenizer.json", where)
        # Compact and the same however it was written, since it stands in encoders.json.
        self.text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
        try:
            self._made = Tokenizer.from_str(self.text)
        except LimpidError:
            raise
        except BaseException as error:
            # The package has no exception of its own, and its Rust part panics with one that is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            _refuse(f"tokenizers says: {error}", where)
        self._made.no_padding()
        self.size = int(self._made.get_vocab_size(with_added_tokens=True)) + 1

    def tokens(self, texts: pl.Series, length: int) -> npt.NDArray[np.int32]:
        """(N,T); a row of a missing text is all padding."""
        self._made.enable_truncation(max_length=length)
        tokens = np.zeros((len(texts), length), np.int32)
        cells = texts.str.slice(0, length * PER_WORD).to_list()
        there = [row for row, text in enumerate(cells) if text is not None]
        encoded = self._made.encode_batch_fast([cells[row] for row in there])
        for row, one in zip(there, encoded, strict=True):
            ids = one.ids[:length]
            tokens[row, : len(ids)] = np.asarray(ids, np.int64) + 1
        # A tokeniser may give added tokens ids beyond the number that it says it has.
        return np.where(tokens < self.size, tokens, 0).astype(np.int32)

    def state(self) -> dict[str, Any]:
        """The tokeniser itself."""
        return {"tokeniser": self.text}

    @classmethod
    def read(cls, stored: Stored, size: int) -> GivenTokens:
        """The inverse of `state`; every part of it is checked."""
        made = cls(stored.text("tokeniser", limit=_LARGEST), where="a text column")
        if made.size > size:
            stored.refuse(f"its tokeniser has {made.size:,} ids", f"at most {size:,}")
        return made


def _refuse(what: str, where: str) -> NoReturn:
    raise BundleError(
        f"the tokeniser cannot be used: {' '.join(what.split())[:300]}",
        where=where,
        expected="a tokenizer.json as the package tokenizers writes it",
        fix="fetch the checkpoint anew, or restore the model from a copy",
    )
