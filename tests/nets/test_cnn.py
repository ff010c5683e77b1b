import pytest
import torch
from torch import nn

from limpid.core.contracts import Size
from limpid.core.forms import Grid, GridShape
from limpid.core.spec import parse
from limpid.nets.cnn import CNN, channels_of


def shape(channels=3, height=32, width=32):
    return GridShape(channels=channels, height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels)


def plan(grid=None, seconds=None, rows=20_000, **settings):
    size = Size(rows=rows, outputs=3, task="classification", seconds=seconds)
    return CNN.plan(parse(CNN.Spec, settings, where="net"), grid or shape(), size)[0]


def test_stages_follow_from_the_longer_side():
    assert [plan(shape(height=h, width=w)).stages for h, w in ((1, 3), (8, 8), (32, 32), (40, 12), (224, 224))] == [
        1,
        1,
        3,
        3,
        6,
    ]


def test_channels_double_and_less_time_means_fewer():
    assert channels_of(plan(width=8, stages=3)) == (8, 16, 32)
    assert plan(seconds=5).width < plan(seconds=5_000).width
    assert plan(widths=(5, 7)).stages == 2


def test_it_is_the_textbook_network():
    torch.manual_seed(0)
    net = CNN(plan(widths=(4,), hidden=5, norm="none"), shape(height=4, width=4)).eval()
    x = torch.randn(2, 3, 4, 4)
    conv, dense = net.layers[0], net.dense[2]
    by_hand = nn.functional.conv2d(x, conv.weight, conv.bias, padding=1)
    by_hand = nn.functional.max_pool2d(by_hand.relu(), 2).flatten(1)
    torch.testing.assert_close(net(Grid(x)), (by_hand @ dense.weight.t() + dense.bias).relu())


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("pool", ["max", "mean"])
def test_every_norm_and_pooling(norm, pool):
    net = CNN(plan(width=4, norm=norm, pool=pool, convolutions=2, kernel=5), shape(height=9, width=5))
    assert net(Grid(torch.randn(3, 3, 9, 5))).shape == (3, net.width)


def test_where_something_is_matters():
    torch.manual_seed(0)
    net = CNN(plan(width=4), shape(height=8, width=8)).eval()
    x = torch.zeros(2, 3, 8, 8)
    x[0, :, 1, 1] = x[1, :, 6, 6] = 3.0
    assert not torch.allclose(*net(Grid(x)))
