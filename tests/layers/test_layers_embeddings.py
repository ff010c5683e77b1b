import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from limpid.layers.categories import CategoryEmbedding, KnownCodes, OneHot
from limpid.layers.embeddings import LinearEmbedding, PeriodicEmbedding, PiecewiseLinearEmbedding


def prepared(how="tree", rows=300, **changes):
    torch.manual_seed(0)
    layer = PiecewiseLinearEmbedding(3, 4, bins=8, how=how, **changes)
    x = torch.randn(rows, 3)
    x[:, 2] = x[:, 2].round()
    layer.prepare(x, torch.zeros_like(x), (x[:, :1] > 0).float() + x[:, 1:2])
    return layer, x


@pytest.mark.parametrize("how", ["tree", "quantile"])
def test_piecewise_equals_interpolation_between_knots(how):
    layer, x = prepared(how)
    torch.nn.init.normal_(layer.weight)
    y = layer(x)
    for feature in range(3):
        used = layer.inverse_width[feature] > 0
        left = layer.left[feature, used]
        edges = torch.cat([left, left[-1:] + 1 / layer.inverse_width[feature, used][-1:]])
        heights = torch.cat([torch.zeros(1, 4), layer.weight[feature, used].cumsum(dim=0)]).detach()
        bent = np.stack(
            [np.interp(x[:, feature].numpy(), edges.numpy(), heights[:, d].numpy()) for d in range(4)], axis=1
        )
        straight = x[:, feature, None] * layer.linear.weight[feature] + layer.linear.bias[feature]
        np.testing.assert_allclose(y[:, feature].detach().numpy(), straight.detach().numpy() + bent, atol=2e-5)


def test_piecewise_starts_linear_and_stays_bounded_beyond_its_bins():
    layer, x = prepared()
    torch.testing.assert_close(layer(x), layer.linear(x))
    torch.nn.init.normal_(layer.weight)
    far, farther = torch.full((1, 3), 50.0), torch.full((1, 3), 80.0)
    torch.testing.assert_close(layer(far) - layer.linear(far), layer(farther) - layer.linear(farther))


def test_missing_cells_have_no_say_in_the_bins():
    torch.manual_seed(0)
    x = torch.randn(200, 1) + 10
    y = (x > 10).float()
    missing = torch.zeros_like(x)
    clean, dirty = (PiecewiseLinearEmbedding(1, 2, bins=6) for _ in range(2))
    clean.prepare(x, missing, y)
    more = torch.cat([x, torch.zeros(100, 1)])
    dirty.prepare(more, torch.cat([missing, torch.ones(100, 1)]), torch.cat([y, torch.ones(100, 1)]))
    # The scale of a target does not move the best cuts.
    assert torch.equal(clean.left, dirty.left)
    assert torch.equal(clean.inverse_width, dirty.inverse_width)


def test_columns_without_any_value_or_with_values_float32_cannot_tell_apart_stay_finite():
    layer = PiecewiseLinearEmbedding(2, 2, bins=6)
    x = torch.zeros(50, 2)
    x[:, 1] = torch.linspace(1e8, 1e8 + 1, 50)
    missing = torch.zeros_like(x)
    missing[:, 0] = 1
    layer.prepare(x, missing, torch.arange(50.0).unsqueeze(1))
    assert torch.isfinite(layer.left).all()
    assert torch.isfinite(layer.inverse_width).all()
    assert torch.isfinite(layer(x)).all()


def test_many_rows_are_sampled_the_same_way_each_time():
    x = torch.randn(60_000, 1)
    layers = [PiecewiseLinearEmbedding(1, 2, bins=4) for _ in range(2)]
    for layer in layers:
        layer.prepare(x, torch.zeros_like(x), x**2)
    assert torch.equal(layers[0].left, layers[1].left)


@pytest.mark.parametrize("target", [torch.randint(0, 3, (300,)), torch.rand(300, 2), torch.rand(300)])
def test_targets_of_each_task_are_understood(target):
    layer = PiecewiseLinearEmbedding(2, 2, bins=4)
    x = torch.randn(300, 2)
    layer.prepare(x, torch.zeros_like(x), target)
    assert (layer.inverse_width > 0).any(dim=1).all()


@pytest.mark.parametrize(
    "layer",
    [
        LinearEmbedding(2, 3),
        PiecewiseLinearEmbedding(2, 3, bins=4),
        PeriodicEmbedding(2, 3, frequencies=4, sigma=0.3),
    ],
)
def test_gradients_of_embeddings(layer):
    torch.manual_seed(1)
    layer = layer.double()
    names, values = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(5, 2, dtype=torch.float64)

    def call(*arguments):
        return functional_call(layer, dict(zip(names, arguments, strict=True)), (x,))

    assert gradcheck(call, tuple(v.detach().requires_grad_() for v in values))


def test_periodic_is_the_published_formula():
    layer = PeriodicEmbedding(2, 3, frequencies=4, sigma=0.5)
    x = torch.randn(5, 2)
    angle = 2 * math.pi * layer.frequencies * x[:, :, None]
    waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
    torch.testing.assert_close(layer(x), torch.relu(waves @ layer.linear.weight.t() + layer.linear.bias))
    assert float(layer.frequencies.detach().abs().max()) <= 1.5


def test_one_hot_and_tables_address_each_feature_apart():
    codes = torch.tensor([[0, 2], [1, 0]])
    assert OneHot([2, 3])(codes, torch.float32).tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]
    table = CategoryEmbedding([2, 3], 4)
    torch.testing.assert_close(table(codes), table.weight[torch.tensor([[0, 4], [1, 2]])])


def test_known_codes_are_replaced_only_in_training_and_only_where_unseen_ones_are_rare():
    torch.manual_seed(0)
    layer = KnownCodes(3, share=0.2)
    codes = torch.full((5000, 3), 3)
    codes[:, 1] = 0
    codes[:2500, 2] = 1
    layer.prepare(codes)
    seen = layer(codes)
    assert float((seen[:, 0] == 1).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert (seen[:, 1] == 0).all()
    assert int((seen[:, 2] == 1).sum()) == 2500
    assert torch.equal(layer.eval()(codes), codes)


def test_a_cell_missing_for_the_first_time_counts_as_unseen():
    layer = KnownCodes(2, share=0.0)
    layer.prepare(torch.tensor([[2, 0], [3, 2]]))
    assert layer(torch.tensor([[0, 0]])).tolist() == [[1, 0]]
