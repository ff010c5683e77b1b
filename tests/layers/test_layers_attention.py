import pytest
import torch
from torch import nn

from limpid.layers.attention import Attention, Block, rotate

MASK = torch.tensor([[True] * 6, [True, True, False, False, False, False], [True, False, True, True, False, True]])


def pair(width=8, heads=2):
    """Attention of ours and of torch with the same weights."""
    torch.manual_seed(0)
    ours, theirs = Attention(width, heads), nn.MultiheadAttention(width, heads, batch_first=True)
    with torch.no_grad():
        for n, layer in enumerate((ours.query, ours.key, ours.value)):
            part = slice(n * width, (n + 1) * width)
            layer.weight.copy_(theirs.in_proj_weight[part])
            layer.bias.copy_(torch.randn(width))
            theirs.in_proj_bias[part] = layer.bias
        ours.output.weight.copy_(theirs.out_proj.weight)
        ours.output.bias.copy_(theirs.out_proj.bias)
    return ours, theirs


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("own", [False, True])
def test_it_is_torchs_attention(mask, own):
    ours, theirs = pair()
    x = torch.randn(3, 6, 8)
    hidden = None if mask is None else ~mask
    expected, _ = theirs(x, x, x, key_padding_mask=hidden, need_weights=False)
    if own:  # the product that draws its own dropout; what it drops is rounded to nothing
        ours.dropout.share = 1e-9
    torch.testing.assert_close(ours.train(own)(x, x, mask), expected)


def test_a_row_of_padding_is_finite_and_gives_no_gradient_that_is_not():
    layer = Attention(8, 2, 0.1, rotary=True)
    x = torch.randn(2, 4, 8, requires_grad=True)
    mask = torch.tensor([[False] * 4, [True, False, False, False]])
    for training in (True, False):
        layer.train(training)(x, x, mask).sum().backward()
        assert torch.isfinite(x.grad).all()


def test_products_of_turned_vectors_depend_on_their_distance_alone():
    q, k = torch.randn(2, 16, dtype=torch.float64), torch.randn(2, 16, dtype=torch.float64)

    def product(place_q, place_k):
        return float((rotate(q[:1], place_q) * rotate(k[:1], place_k)).sum())

    assert product(3, 5) == pytest.approx(product(40, 42), rel=1e-5)
    assert product(3, 5) != pytest.approx(product(3, 6), rel=1e-3)
    torch.testing.assert_close(rotate(q, 9).norm(dim=-1), q.norm(dim=-1), rtol=1e-6, atol=0)


def test_turning_is_a_product_of_complex_numbers():
    # Su et al. 2021, section 3.2.2: pair i of position m is multiplied by exp(i m 10000^(-2 i / E)).
    x = torch.randn(5, 8, dtype=torch.float64)
    pace = 10_000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    turn = torch.exp(1j * torch.arange(5, dtype=torch.float64).unsqueeze(1) * pace)
    expected = torch.complex(x[:, :4], x[:, 4:]) * turn
    torch.testing.assert_close(rotate(x), torch.cat([expected.real, expected.imag], dim=1), rtol=1e-5, atol=1e-6)


def test_the_last_positions_alone_are_those_of_all():
    torch.manual_seed(1)
    block = Block(
        8, 2, 12, attention_dropout=0.0, hidden_dropout=0.0, residual_dropout=0.0, first=False, rotary=True
    ).eval()
    x = torch.randn(3, 6, 8)
    torch.testing.assert_close(block(x, last=2, mask=MASK), block(x, mask=MASK)[:, -2:])
