"""Several inputs in one network: what equal nets say is added up, what others say is mapped first."""

import torch
from torch import nn

from limpid.core.contracts import Size
from limpid.core.forms import SeqShape
from limpid.nets.bag import Bag
from limpid.nets.ngrams import Ngrams
from limpid.planning.assemble import Assembled, Fuse, alike

SIZE = Size(rows=5_000, outputs=2, task="classification")
TEXT = SeqShape(vocabulary=40, length=8)
PIECES = TEXT.with_(pieces=20)


class Task:
    name = "classification"

    def head(self, width, members):
        return nn.Linear(width, 2)


def ngrams(shape):
    torch.manual_seed(0)
    return Ngrams(Ngrams.plan(Ngrams.Spec(), shape, SIZE)[0], shape).eval()


def bag():
    torch.manual_seed(0)
    return Bag(Bag.plan(Bag.Spec(), TEXT, SIZE)[0], TEXT).eval()


def whole(*nets):
    names = [f"text{n}" for n in range(len(nets))]
    shapes = dict.fromkeys(names, TEXT)
    return Assembled(dict(zip(names, nets, strict=True)), dict.fromkeys(names, "seq"), shapes, Task()).eval()


def batch(count):
    tokens = torch.tensor([[3, 25, 0], [0, 0, 0], [5, 6, 30]])
    return {f"text{n}.tokens": tokens for n in range(count)}


def test_two_texts_add_up_what_they_speak_for():
    one, other = ngrams(PIECES), ngrams(PIECES)
    assert alike(one, other) and not alike(one, ngrams(TEXT)) and not alike(bag(), bag())
    both = whole(one, other)
    assert both.fuse.linear is None
    torch.testing.assert_close(both.features(batch(2)), 2 * whole(one).features(batch(1)))


def test_another_net_starts_by_saying_nothing_whatever_its_members():
    for main, other in ((bag(), ngrams(PIECES)), (ngrams(PIECES), bag()), (ngrams(PIECES), ngrams(TEXT))):
        both = whole(main, other)
        found = both.features(batch(2))
        torch.testing.assert_close(found, whole(main).features(batch(1)))
        assert both.members == main.members
        nn.init.ones_(both.fuse.linear.weight)
        assert not torch.allclose(both.features(batch(2)), found)


def test_an_absent_text_adds_nothing():
    both = whole(ngrams(PIECES), ngrams(PIECES))
    assert both.features(batch(2))[1].abs().max() == 0


def test_the_sum_leaves_others_out_of_some_rows_in_training_but_not_equals():
    torch.manual_seed(0)
    fuse = Fuse([None, 3], 4, 0.5).train()
    nn.init.ones_(fuse.linear.weight)
    main, equal, other = torch.zeros(1000, 4), torch.ones(1000, 4), torch.ones(1000, 3)
    found = fuse(main, [equal, other])
    assert set(found.unique().tolist()) == {1.0, 4.0} and 0.4 < float((found[:, 0] == 1).float().mean()) < 0.6
