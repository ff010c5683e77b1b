import pytest
import torch

from limpid.core.forms import Seq, SeqShape
from limpid.layers.sequences import Entry, Pool, trim


def seq(*rows):
    tokens = torch.tensor(rows)
    return Seq(mask=tokens != 0, tokens=tokens)


def test_trimming_keeps_what_there_is_and_its_order():
    found = trim(seq([1, 2, 3, 0, 0, 0], [4, 0, 0, 5, 0, 0], [0, 0, 6, 0, 0, 0], [0] * 6))
    assert found.tokens.tolist() == [[1, 2, 3], [4, 5, 0], [6, 0, 0], [0, 0, 0]]
    assert torch.equal(found.mask, found.tokens != 0)


def test_vectors_are_trimmed_alike():
    tokens = torch.tensor([[1, 0, 3, 0], [0, 2, 0, 0]])
    values = torch.stack([tokens, tokens * 10], dim=-1).float()
    found = trim(Seq(mask=tokens != 0, values=values))
    assert found.values.tolist() == [[[1, 10], [3, 30]], [[2, 20], [0, 0]]]


def test_nothing_at_all_keeps_one_column():
    assert trim(seq([0, 0, 0])).tokens.shape == (1, 1)
    assert trim(Seq(mask=torch.zeros(0, 5, dtype=torch.bool), tokens=torch.zeros(0, 5).long())).mask.shape == (0, 1)


def test_padding_enters_as_zero_and_is_not_learnt_from():
    entry = Entry(SeqShape(vocabulary=9, length=3), 4)
    form = seq([5, 7, 0])
    y = entry(form)
    assert torch.equal(y[0, 0], entry.embedding[5])
    assert not y[0, 2].any()
    y.sum().backward()
    assert entry.embedding.grad.sum(dim=1).nonzero().flatten().tolist() == [5, 7]


def test_padded_vectors_may_hold_anything():
    values = torch.tensor([[[1.0, 2.0], [float("nan"), float("inf")]]])
    form = Seq(mask=torch.tensor([[True, False]]), values=values)
    for width in (2, 5):
        y = Entry(SeqShape(width=2, length=2), width)(form)
        assert torch.isfinite(y).all()
        assert not y[0, 1].any()


@pytest.mark.parametrize("how", ["attention", "mean", "max"])
def test_pooling_sees_what_is_there_and_nothing_else(how):
    torch.manual_seed(0)
    pool = Pool(how, 3)
    x = torch.randn(2, 4, 3)
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    y = pool(torch.where(mask.unsqueeze(-1), x, 1e9), mask)
    there = x[0, :2]
    if how == "attention":
        weight = torch.softmax(pool.scores(there).squeeze(-1), dim=0)
        expected = (weight.unsqueeze(-1) * there).sum(dim=0)
    else:
        expected = there.mean(dim=0) if how == "mean" else there.amax(dim=0)
    torch.testing.assert_close(y[0], expected)
    assert not y[1].any()
