"""Bricks for grids: whitening against numpy, norm and pooling of single places, sizes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from limpid.core.contracts import Size
from limpid.layers.grids import (
    GridBatchNorm,
    batch_rows,
    convolution,
    convolution_flops,
    grid_allowance,
    grid_norm,
    halved,
    halving,
    shrunk,
)
from limpid.layers.whitening import Whitening


def pictures(rows=400, channels=3, height=9, width=7):
    """Neighbouring pixels resemble each other, as in pictures."""
    draws = np.random.default_rng(0).normal(size=(rows, channels, height, width))
    return torch.tensor(draws.cumsum(axis=2).cumsum(axis=3) * 0.3 + draws * 0.1, dtype=torch.float32)


def test_whitened_patches_are_uncorrelated_with_unit_variance():
    layer = Whitening(3, (2, 2), 1, 12)
    x = pictures()
    layer.prepare(x)
    with torch.no_grad():
        y = layer(x)[:, :12].transpose(0, 1).flatten(1).double()
    second_moment = (y @ y.t() / y.shape[1]).numpy()
    patches = np.lib.stride_tricks.sliding_window_view(x.numpy().astype(float), (2, 2), axis=(2, 3))
    flat = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values = np.linalg.eigvalsh(flat.T @ flat / len(flat))[::-1]
    np.testing.assert_allclose(second_moment, np.diag(values / (values + 5e-4)), atol=2e-3)


def test_each_filter_has_its_negative_and_the_largest_directions_stay():
    layer = Whitening(1, (3, 3), 2, 4)
    layer.prepare(pictures(channels=1))
    assert layer.filters == 8
    assert torch.equal(layer.weight[:4], -layer.weight[4:])
    norms = layer.weight[:4].flatten(1).norm(dim=1)
    assert (norms.diff() >= 0).all(), "large eigenvalues come first and are divided by most"


def test_whitening_constant_pictures_is_finite():
    layer = Whitening(2, (1, 2), 1, 12)
    layer.prepare(torch.zeros(5, 2, 1, 3))
    assert layer.filters == 8
    assert torch.isfinite(layer(torch.ones(1, 2, 1, 3))).all()


def test_batch_norm_takes_a_single_value_and_is_otherwise_torchs():
    layer = GridBatchNorm(3).train()
    assert torch.isfinite(layer(torch.randn(1, 3, 1, 1))).all()
    assert not layer.running_mean.any()
    x = torch.randn(4, 3, 5, 2)
    torch.testing.assert_close(layer(x), nn.BatchNorm2d(3).train()(x))
    assert grid_norm("none", 3) is None


def test_layer_norm_of_a_grid_is_over_all_values_of_an_example():
    x = torch.randn(2, 3, 4, 5)
    y = grid_norm("layer", 3)(x)
    torch.testing.assert_close(y, nn.functional.layer_norm(x, x.shape[1:]))


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (4, 5)])
def test_halving_leaves_single_places_alone(kind, height, width):
    y = halving(kind, height, width)(torch.randn(2, 3, height, width))
    assert tuple(y.shape[2:]) == halved(height, width)


def test_convolution_flops_are_torchs():
    layer = convolution(3, 8, 5)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, 3, 6, 4))
    assert convolution_flops(3, 8, 5, 6, 4) == counter.get_total_flops()
    assert float(convolution(64, 256, 3).weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_more_time_allows_more_and_predicting_has_the_last_word():
    size = Size(rows=45_000, outputs=10, task="classification", seconds=60)
    short, longer = grid_allowance(size), grid_allowance(Size(**{**vars(size), "seconds": 120}))
    assert longer.flops == pytest.approx(2 * short.flops)
    endless = grid_allowance(Size(**{**vars(size), "seconds": 1e9}))
    assert endless.flops == pytest.approx(30 * 1e11 / 10_000)
    assert "predicted" in endless.because


def test_batches_shrink_with_rows_and_with_pixels():
    def rows(count, side):
        return batch_rows(Size(rows=count, outputs=2, task="classification"), side, side)

    assert [rows(n, 32) for n in (100, 1_000, 10_000, 50_000)] == [32, 64, 128, 512]
    assert rows(50_000, 224) == 32


def test_shrunk_bytes_are_shrunk_numbers_rounded():
    pixels = torch.randint(0, 256, (20, 3, 32, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    small, exact = shrunk(pixels), shrunk(pixels.float())
    assert small.dtype is torch.uint8 and small.shape == (20, 3, 24, 18)
    assert float((small.float() - exact).abs().max()) <= 1.0
