import pytest
import torch
from torch import nn

from limpid.core.contracts import Size
from limpid.core.forms import Fields, FieldsShape
from limpid.nets.tabm import TabM

SHAPE = FieldsShape(numbers=("a", "b"), can_miss=(False, False), categories=("c",), cardinalities=(3,))


def fields(rows):
    return Fields(torch.randn(rows, 2), torch.zeros(rows, 2), torch.randint(0, 3, (rows, 1)))


def build(**settings):
    spec, _ = TabM.plan(TabM.Spec(**settings), SHAPE, Size(rows=1000, outputs=1, task="regression", seconds=20))
    torch.manual_seed(0)
    return TabM(spec, SHAPE)


def test_unlimited_means_the_published_size():
    plenty = Size(rows=50_000, outputs=1, task="regression", flops_per_second=1e15)
    spec, because = TabM.plan(TabM.Spec(), SHAPE, plenty)
    assert (spec.members, spec.width, spec.depth, spec.dropout) == (32, 512, 2, 0.0)
    assert "published: 512" in because["width"]
    plain, _ = TabM.plan(TabM.Spec(numbers="plain"), SHAPE, plenty)
    assert plain.depth == 3


def test_less_time_means_a_smaller_net_and_what_the_user_set_stays():
    def cost(seconds, **settings):
        size = Size(rows=50_000, outputs=1, task="regression", seconds=seconds)
        spec, _ = TabM.plan(TabM.Spec(**settings), SHAPE, size)
        return spec.members * spec.width**2, spec

    assert cost(1)[0] < cost(10)[0] < cost(60)[0]
    assert cost(1, width=512)[1].width == 512
    assert cost(1, width=512)[1].members == 4
    assert cost(1, members=32)[1].members == 32


def test_classes_get_the_published_dropout_and_values_none():
    for task, share in (("classification", 0.1), ("regression", 0.0)):
        spec, because = TabM.plan(TabM.Spec(), SHAPE, Size(rows=5_000, outputs=2, task=task))
        assert spec.dropout == share
        assert because["dropout"]


def test_few_rows_mean_narrow_layers_and_smaller_batches():
    few, many = (Size(rows=rows, outputs=1, task="regression", flops_per_second=1e12) for rows in (900, 90_000))
    (small, _), (large, _) = TabM.plan(TabM.Spec(), SHAPE, few), TabM.plan(TabM.Spec(), SHAPE, many)
    assert small.width < large.width
    assert small.bins < large.bins
    little, much = TabM.train_defaults(small, SHAPE, few)[0], TabM.train_defaults(large, SHAPE, many)[0]
    assert little["batch"] < much["batch"]
    assert little["lr"] < much["lr"]
    assert little["epochs"] > much["epochs"]


@pytest.mark.parametrize(
    ("rows", "task", "numbers"),
    [(20_000, "regression", "both"), (20_000, "classification", "piecewise"), (2_000, "regression", "piecewise")],
)
def test_periodic_embeddings_join_where_they_were_measured_to_help(rows, task, numbers):
    assert TabM.plan(TabM.Spec(), SHAPE, Size(rows=rows, outputs=1, task=task))[0].numbers == numbers


def test_mini_members_share_all_weights_but_the_first_scaling():
    mini, full = build(variant="mini"), build(variant="full")
    adapters = [n for n, _ in mini.named_parameters() if "adapter" in n]
    assert adapters == ["layers.0.input_adapter"]
    assert len([n for n, _ in full.named_parameters() if "adapter" in n]) == 2 * len(full.layers)
    assert all(layer.bias.shape == (full.members, full.width) for layer in full.layers)


@pytest.mark.parametrize("variant", ["mini", "full"])
def test_members_differ_from_the_start_and_equal_adapters_make_them_equal(variant):
    net = build(variant=variant).eval()
    form = fields(5)
    y = net(form)
    assert not torch.allclose(y[:, 0], y[:, 1])
    with torch.no_grad():
        net.layers[0].input_adapter[1] = net.layers[0].input_adapter[0]
    y = net(form)
    torch.testing.assert_close(y[:, 0], y[:, 1])


def test_a_member_is_a_multilayer_perceptron_of_scaled_inputs():
    net = build().eval()
    form = fields(5)
    row = net.fields(form)
    for m in (0, 3):
        x = row * net.layers[0].input_adapter[m]
        for layer in net.layers:
            x = nn.functional.linear(x, layer.weight, layer.bias).relu()
        torch.testing.assert_close(net(form)[:, m], x)


def test_one_feature_has_one_factor_in_each_member():
    net = build(number_width=4)
    adapter = net.layers[0].input_adapter
    assert adapter.shape[1] == 4 + 4 + 3
    for start, stop in ((0, 4), (4, 8), (8, 11)):
        assert (adapter[:, start:stop] == adapter[:, start : start + 1]).all()
    signs = build(numbers="plain").layers[0].input_adapter
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
