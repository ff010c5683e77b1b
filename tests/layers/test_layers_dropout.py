import pytest
import torch

from limpid.layers.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_it_drops_the_share_and_keeps_the_mean(share):
    torch.manual_seed(0)
    y = Dropout(share)(torch.ones(400, 1000))
    assert float((y == 0).float().mean()) == pytest.approx(share, abs=0.003)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.004)


def test_every_place_is_dropped_alike():
    # A generator that fills 63 of 64 bits would favour one place in eight.
    torch.manual_seed(0)
    dropped = torch.stack([Dropout(0.5)(torch.ones(64)) == 0 for _ in range(4000)]).float().mean(dim=0)
    assert float((dropped - 0.5).abs().max()) < 0.05


def test_the_gradient_is_that_of_the_mask():
    torch.manual_seed(0)
    x = torch.ones(50, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_it_is_reproducible_and_off_in_evaluation():
    layer, x = Dropout(0.3), torch.randn(7, 5)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(first, layer(x))
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_an_empty_batch_passes():
    assert Dropout(0.5)(torch.ones(0, 4)).shape == (0, 4)


def test_the_precision_stays():
    assert Dropout(0.5)(torch.ones(3, 3, dtype=torch.bfloat16)).dtype is torch.bfloat16
