"""A pretrained model's own tokeniser, as data: the ids it gives, and what is refused."""

import json

import numpy as np
import polars as pl
import pytest

pytest.importorskip("tokenizers", reason="needs the extra hf")

from limpid.core.errors import BundleError
from limpid.data.given_tokens import GivenTokens
from limpid.data.stored import Stored


def made():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {token: n for n, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "film", "##s"])}
    tokeniser = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()
    tokeniser.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokeniser


TEXTS = pl.Series("x", ["good films", None, "", "bad", "good " * 1_000])


def test_ids_are_the_tokenisers_plus_one():
    unit = GivenTokens(made().to_str(), where="test")
    found = unit.tokens(TEXTS, 6)
    assert found.dtype == np.int32 and found.shape == (5, 6) and unit.size == 8
    for row, text in enumerate(TEXTS):
        ids = [] if text is None else made().encode(text).ids
        if len(ids) <= 6:
            assert found[row].tolist() == [i + 1 for i in ids] + [0] * (6 - len(ids))
    assert found[4].tolist() == [3, 5, 5, 5, 5, 4], "cut, with both marks"
    assert found.max() < unit.size


def test_padding_and_truncation_of_the_checkpoint_are_not_kept():
    tokeniser = made()
    tokeniser.enable_padding(length=20)
    tokeniser.enable_truncation(max_length=3)
    unit = GivenTokens(tokeniser.to_str(), where="test")
    assert (unit.tokens(TEXTS, 6) == GivenTokens(made().to_str(), where="test").tokens(TEXTS, 6)).all()


def test_what_was_stored_gives_the_same():
    unit = GivenTokens(made().to_str(pretty=True), where="test")
    state = json.loads(json.dumps(unit.state()))
    again = GivenTokens.read(Stored(state, where="test"), 100)
    assert again.state() == unit.state()
    assert (again.tokens(TEXTS, 9) == unit.tokens(TEXTS, 9)).all()
    with pytest.raises(BundleError, match="8 ids"):
        GivenTokens.read(Stored(state, where="test"), 4)


GOOD = json.loads(made().to_str())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        json.dumps({**GOOD, "code": "import os"}),
        json.dumps({**GOOD, "model": None}),
        json.dumps({**GOOD, "model": {"type": "Nonsense"}}),
        json.dumps({**GOOD, "model": {**GOOD["model"], "vocab": {"a": -1}}}),
        json.dumps({**GOOD, "model": {**GOOD["model"], "vocab": {"a": 10**30}}}),
        json.dumps({**GOOD, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}}),
        json.dumps({**GOOD, "pre_tokenizer": 3}),
        json.dumps({**GOOD, "version": "99"}),
    ],
)
def test_damaged_tokenisers_are_refused(text):
    with pytest.raises(BundleError) as caught:
        GivenTokens(text, where="test")
    assert len(str(caught.value)) < 2_000
