import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.forms import Grid, GridShape
from limpid.core.spec import parse
from limpid.nets.resnet import ResNet, stem_places


def shape(channels=3, height=32, width=32):
    return GridShape(channels=channels, height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels)


def plan(grid=None, seconds=None, **settings):
    size = Size(rows=20_000, outputs=3, task="classification", seconds=seconds)
    return ResNet.plan(parse(ResNet.Spec, settings, where="net"), grid or shape(), size)[0]


def small(grid=None, **settings):
    torch.manual_seed(0)
    grid = grid or shape(height=8, width=8)
    return ResNet(plan(grid, **{"widths": (8, 8), **settings}), grid)


@pytest.mark.parametrize(("side", "stride", "places"), [(8, 1, 7), (32, 1, 31), (64, 2, 31), (96, 4, 23), (224, 8, 28)])
def test_large_pictures_take_strides(side, stride, places):
    grid = shape(height=side, width=side)
    spec = plan(grid)
    assert spec.stem_stride == stride
    assert stem_places(spec, grid) == (places, places)


def test_less_time_means_narrower():
    assert plan(seconds=5).widths < plan(seconds=50_000).widths


def pictures(rows=200):
    """Bright on one side: class 1 to the right, class 0 to the left."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 3, 8, 8, generator=draws)
    y = torch.arange(rows) % 2
    x[y == 0, :, :, :4] += 2.0
    x[y == 1, :, :, 4:] += 2.0
    return x, y


def test_mirror_images_stand_in_only_where_they_are_alike():
    x, y = pictures()
    net = small()
    net.prepare(Grid(x), y)
    assert not net.mirrors, "left and right tell the classes apart"
    net.prepare(Grid(x), torch.zeros_like(y))
    assert net.mirrors, "as one class, left and right are alike"
    grey = shape(channels=1, height=8, width=8)
    net = small(grey)
    net.prepare(Grid(x[:, :1]), torch.zeros_like(y))
    assert not net.mirrors, "grey pictures may be letters or spectrograms"


def test_an_answer_is_the_mean_over_both_images():
    x, _ = pictures(6)
    net, plain = small(test_mirror="always").eval(), small(test_mirror="never").eval()
    both = 0.5 * (plain(Grid(x)) + plain(Grid(x.flip(-1))))
    torch.testing.assert_close(net(Grid(x)), both)
    torch.testing.assert_close(net(Grid(x.flip(-1))), net(Grid(x)))
    torch.testing.assert_close(net.train()(Grid(x)), plain.train()(Grid(x)))


def test_convolutions_begin_as_an_identity():
    net = small(widths=(32, 32), stem_components=16)
    layer = net.groups[1].first[0]
    x = torch.randn(1, 32, 5, 5)
    torch.testing.assert_close(layer(x), x)


def test_the_first_layer_is_found_and_does_not_learn():
    x, y = pictures()
    net = small()
    before = net.stem.weight.clone()
    net.prepare(Grid(x), y)
    assert not torch.equal(before, net.stem.weight)
    assert "stem.weight" not in dict(net.named_parameters())
    assert "stem.weight" in net.state_dict()


@pytest.mark.parametrize("side", [64, 224])
def test_larger_pictures_learn(side):
    grid = shape(channels=3, height=side, width=side)
    net = small(grid, widths=(8, 16, 16))
    x = torch.zeros(16, 3, side, side)
    y = torch.arange(16) % 2
    x[y == 1, 0, side // 4 : side // 2, side // 4 : side // 2] = 1.0
    x = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    net.prepare(Grid(x), y)
    head = torch.nn.Linear(net.width, 2)
    optimiser = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=0.01)
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(head(net(Grid(x))), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2
