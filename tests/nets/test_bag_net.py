import torch

from limpid.core.contracts import Size
from limpid.core.forms import Seq, SeqShape
from limpid.nets.bag import Bag

SIZE = Size(rows=1000, outputs=1, task="regression")


def test_the_order_of_tokens_does_not_matter_and_their_number_does():
    shape = SeqShape(vocabulary=50, length=6)
    torch.manual_seed(0)
    net = Bag(Bag.plan(Bag.Spec(), shape, SIZE)[0], shape).eval()
    tokens = torch.tensor([[3, 9, 4, 0, 0, 0], [4, 3, 9, 0, 0, 0], [3, 9, 4, 4, 0, 0]])
    y = net(Seq(mask=tokens != 0, tokens=tokens))
    torch.testing.assert_close(y[0], y[1])
    assert not torch.allclose(y[0], y[2])


def test_a_large_vocabulary_has_narrow_vectors():
    def width(vocabulary):
        return Bag.plan(Bag.Spec(), SeqShape(vocabulary=vocabulary, length=9), SIZE)[0].token_width

    assert width(1 << 14) == 64
    assert width(1 << 17) == 16
    assert width(1 << 24) == 8
