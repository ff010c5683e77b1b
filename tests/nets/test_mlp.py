import pytest
import torch
from torch import nn

from limpid.core.contracts import Size
from limpid.core.errors import RequestError
from limpid.core.forms import Fields, FieldsShape
from limpid.core.spec import parse
from limpid.nets.mlp import MLP

SHAPE = FieldsShape(numbers=("a", "b"), can_miss=(False, False))
SIZE = Size(rows=1000, outputs=1, task="regression")


def build(**settings):
    spec, _ = MLP.plan(parse(MLP.Spec, settings, where="net"), SHAPE, SIZE)
    torch.manual_seed(0)
    return MLP(spec, SHAPE)


def linears(net):
    return [layer for layer in net.layers if isinstance(layer, nn.Linear)]


def test_widths_rule_over_width_and_depth():
    net = build(widths=[7, 5, 3], numbers="plain")
    assert [(layer.in_features, layer.out_features) for layer in linears(net)] == [(2, 7), (7, 5), (5, 3)]
    assert net.width == 3
    assert [layer.out_features for layer in linears(build(width=9, depth=2))] == [9, 9]


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "gelu", "silu"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_each_activation_and_norm_trains_one_row_and_many(activation, norm):
    net = build(activation=activation, norm=norm, width=8)
    for rows in (1, 6):
        y = net.train()(Fields(torch.randn(rows, 2), torch.zeros(rows, 2), torch.zeros(rows, 0, dtype=torch.long)))
        assert torch.isfinite(y).all()
        assert y.shape == (rows, 8)
    kinds = [type(layer).__name__ for layer in net.layers]
    assert kinds[:1] == ["Linear"]
    assert ("BatchNorm" in kinds, "LayerNorm" in kinds) == (norm == "batch", norm == "layer")


def test_initialisations_differ_and_orthogonal_is():
    weights = {
        how: linears(build(initialisation=how, activation="tanh", width=16))[1].weight.detach()
        for how in ("kaiming", "xavier", "orthogonal", "normal")
    }
    assert len({float(w.std()) for w in weights.values()}) == 4
    gram = weights["orthogonal"] @ weights["orthogonal"].t()
    torch.testing.assert_close(gram, torch.eye(16) * (5 / 3) ** 2, atol=1e-4, rtol=0)


def test_a_plain_net_is_the_formula():
    net = build(widths=[4, 3], numbers="plain", activation="tanh").eval()
    x = torch.randn(5, 2)
    first, second = linears(net)
    expected = torch.tanh(second(torch.tanh(first(x))))
    torch.testing.assert_close(net(Fields(x, torch.zeros(5, 2), torch.zeros(5, 0, dtype=torch.long))), expected)


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"activation": "rleu"}, "net.activation"), ({"widths": [0]}, "net.widths"), ({"widht": 3}, "net.widht")],
)
def test_wrong_settings_are_named(setting, named):
    with pytest.raises(RequestError) as error:
        parse(MLP.Spec, setting, where="net")
    assert error.value.where == named
