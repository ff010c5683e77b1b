import math

import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.errors import RequestError
from limpid.core.forms import Grid, GridShape
from limpid.core.spec import parse
from limpid.nets.vit import ViT, patches_of, sines


def shape(channels=3, height=32, width=32):
    return GridShape(channels=channels, height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels)


def plan(grid=None, seconds=None, **settings):
    size = Size(rows=20_000, outputs=3, task="classification", seconds=seconds)
    return ViT.plan(parse(ViT.Spec, settings, where="net"), grid or shape(), size)[0]


@pytest.mark.parametrize(
    ("height", "width", "patch", "patches"),
    [(32, 32, 4, 64), (8, 8, 1, 64), (1, 3, 1, 3), (40, 12, 3, 56), (224, 224, 28, 64)],
)
def test_about_64_patches(height, width, patch, patches):
    grid = shape(height=height, width=width)
    assert plan(grid).patch == patch
    assert math.prod(patches_of(patch, grid)) == patches


def test_less_time_means_smaller_and_heads_divide():
    small, large = plan(seconds=5), plan(seconds=50_000)
    assert (small.blocks, small.width) < (large.blocks, large.width)
    assert plan(heads=3).width % 12 == 0
    assert plan(width=36).heads == 1
    with pytest.raises(RequestError, match="divide"):
        plan(width=32, heads=5)
    with pytest.raises(RequestError, match="no registers"):
        plan(registers=0, answer="registers")


def test_places_tell_patches_apart_by_row_and_column():
    table = sines(5, 7, 16)
    assert table.shape == (35, 16)
    assert len(table.unique(dim=0)) == 35
    torch.testing.assert_close(table[3 * 7 + 2, 0], torch.tensor(3.0).sin())
    torch.testing.assert_close(table[3 * 7 + 2, 8], torch.tensor(2.0).sin())


def test_order_of_patches_matters_only_through_their_places():
    torch.manual_seed(0)
    grid = shape(height=8, width=8)
    net = ViT(plan(grid, width=16, blocks=1, patch=4), grid).eval()
    x = torch.randn(2, 3, 8, 8)
    swapped = torch.cat([x[..., 4:], x[..., :4]], dim=-1)
    assert not torch.allclose(net(Grid(x)), net(Grid(swapped)), atol=1e-3)
    net.places.zero_()
    torch.testing.assert_close(net(Grid(x)), net(Grid(swapped)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [{"registers": 0}, {"answer": "registers"}, {"registers": 2}])
def test_registers_and_answers(settings):
    torch.manual_seed(0)
    grid = shape(channels=1, height=7, width=10)
    net = ViT(plan(grid, width=16, blocks=2, patch=3, dropout=0.0, **settings), grid)
    y = net(Grid(torch.randn(4, 1, 7, 10)))
    y.square().sum().backward()
    assert y.shape == (4, 16)
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
