"""Sequences of one length, divided by their roles; the moving average against torch's own."""

import pytest
import torch

from limpid.core.forms import Seq, SeqShape
from limpid.layers.stretches import Stretch, decompose

WINDOW = SeqShape(width=5, length=9, ahead=3, known=2)


def test_windows_are_divided_by_role():
    values = torch.randn(4, 9, 5)
    own, past, ahead = Stretch(WINDOW, 8)(Seq(mask=torch.ones(4, 9).bool(), values=values))
    assert torch.equal(own, values[:, :6, :1])
    assert torch.equal(past, values[:, :6, 1:3])
    assert torch.equal(ahead, values[:, 6:, 3:])


def test_other_sequences_are_all_their_own():
    shape = SeqShape(width=2, length=4)
    mask = torch.tensor([[True, False, True, False, False], [True] * 5])
    values = torch.arange(20.0).view(2, 5, 2)
    own, past, ahead = Stretch(shape, 8)(Seq(mask=mask, values=values))
    assert own[0].tolist() == [[0, 1], [4, 5], [0, 0], [0, 0]]
    assert torch.equal(own[1], values[1, :4])
    assert past.numel() == ahead.numel() == 0


@pytest.mark.parametrize("kernel", [1, 3, 25])
def test_the_two_parts_add_up_and_the_average_is_torchs(kernel):
    x = torch.randn(3, 40, 2)
    trend, rest = decompose(x, kernel)
    assert torch.allclose(trend + rest, x, atol=1e-6)
    inner = torch.nn.functional.avg_pool1d(x.transpose(1, 2), kernel, 1).transpose(1, 2)
    half = kernel // 2
    assert torch.allclose(trend[:, half : 40 - half], inner, atol=1e-6)
