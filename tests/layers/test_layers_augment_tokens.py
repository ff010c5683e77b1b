import numpy as np
import pytest
import torch

from limpid.core.forms import SeqShape
from limpid.data.augment_tokens import TokenAugmentSpec
from limpid.layers.augment_tokens import TokenAugment
from limpid.layers.draws import Draws

SHAPE = SeqShape(vocabulary=50, length=30)
COUNTS = np.arange(400) % 31


def batch():
    tokens = torch.randint(2, 50, (400, 30), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    return tokens * (torch.arange(30) < torch.from_numpy(COUNTS).unsqueeze(1))


def changed(rows=None, passes=0, **settings):
    rows = np.arange(400) if rows is None else rows
    change = TokenAugment(TokenAugmentSpec(**settings), SHAPE)
    return change({"tokens": batch()[rows]}, Draws(3, passes, rows))["tokens"]


@pytest.mark.parametrize("how", ["remove", "unknown"])
def test_the_wanted_share_is_hidden_and_nothing_else_changes(how):
    tokens, shown = batch(), changed(dropout=0.3, how=how)
    hidden = shown != tokens
    assert shown.dtype == tokens.dtype
    assert set(shown[hidden].tolist()) == {0 if how == "remove" else 1}
    assert not hidden[tokens == 0].any()
    long = torch.from_numpy(COUNTS) >= 15
    share = float(hidden[long].sum() / (tokens[long] != 0).sum())
    assert share == pytest.approx(0.3, abs=0.02)


def test_one_token_always_stays():
    shown = changed(dropout=0.9)
    there = (shown != 0).sum(dim=1).numpy()
    assert (there[COUNTS > 0] >= 1).all()
    assert (there[COUNTS == 0] == 0).all()


def test_a_row_is_shown_alike_in_every_batch_and_otherwise_in_the_next_pass():
    whole = changed(dropout=0.5)
    some = np.array([7, 30, 333])
    assert torch.equal(changed(rows=some, dropout=0.5), whole[some])
    assert not torch.equal(changed(dropout=0.5, passes=1), whole)


def test_nothing_to_do():
    assert not TokenAugment(TokenAugmentSpec(), SHAPE)
    assert torch.equal(changed(dropout=0.0), batch())
