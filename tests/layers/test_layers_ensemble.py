import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from limpid.layers.ensemble import EnsembleLinear, MemberLinear


def check(layer, *inputs):
    layer = layer.double()
    names, values = zip(*layer.named_parameters(), strict=True)
    inputs = [x.double().requires_grad_() for x in inputs]

    def call(*arguments):
        return functional_call(layer, dict(zip(names, arguments[len(inputs) :], strict=True)), arguments[: len(inputs)])

    assert gradcheck(call, (*inputs, *(v.detach().requires_grad_() for v in values)))


def random_adapters(layer):
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "adapter" in name:
                parameter.normal_()
    return layer


@pytest.mark.parametrize("adapters", ["input", "both"])
@pytest.mark.parametrize("rows", [2, 9])  # below and above the width: the two ways to order the products
def test_each_member_is_a_linear_layer_with_a_rank_one_factor(adapters, rows):
    torch.manual_seed(0)
    layer = random_adapters(EnsembleLinear(3, 5, members=4, adapters=adapters))
    x = torch.randn(rows, 3)
    y = layer(x)
    for m in range(4):
        scale = layer.output_adapter[m] if adapters == "both" else torch.ones(5)
        bias = layer.bias[m] if adapters == "both" else layer.bias
        weight = layer.weight * torch.outer(scale, layer.input_adapter[m])
        torch.testing.assert_close(y[:, m], x @ weight.t() + bias)
    torch.testing.assert_close(layer(x.unsqueeze(1).expand(-1, 4, -1)), y)


def test_without_adapters_the_members_share_everything():
    layer = EnsembleLinear(3, 5, members=4)
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(layer(x), x @ layer.weight.t() + layer.bias)


@pytest.mark.parametrize(("rows", "adapters"), [(1, "input"), (6, "input"), (1, "both"), (6, "both")])
def test_gradients_of_the_first_layer(rows, adapters):
    torch.manual_seed(0)
    check(random_adapters(EnsembleLinear(3, 4, members=2, adapters=adapters)), torch.randn(rows, 3))


def test_gradients_of_hidden_and_member_layers():
    torch.manual_seed(0)
    check(random_adapters(EnsembleLinear(3, 4, members=2, adapters="both")), torch.randn(3, 2, 3))
    check(EnsembleLinear(3, 4, members=2), torch.randn(3, 2, 3))
    check(MemberLinear(3, 2, members=2), torch.randn(3, 2, 3))
    check(MemberLinear(3, 40, members=2), torch.randn(2, 2, 3))


@pytest.mark.parametrize("outputs", [1, 3, 100])  # the dense product, and one for each member
def test_member_heads_are_independent_linear_layers(outputs):
    layer = MemberLinear(6, outputs, members=4)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(5, 4, 6)
    expected = torch.stack([x[:, m] @ layer.weight[m].t() + layer.bias[m] for m in range(4)], dim=1)
    torch.testing.assert_close(layer(x), expected)


def test_diversify_draws_one_factor_for_each_chunk():
    layer = EnsembleLinear(6, 2, members=50, adapters="input")
    layer.diversify([2, 1, 3], "normal")
    adapter = layer.input_adapter
    assert torch.equal(adapter[:, 0], adapter[:, 1])
    assert torch.equal(adapter[:, 3], adapter[:, 5])
    assert not torch.equal(adapter[:, 1], adapter[:, 2])
    assert len(adapter[:, 0].unique()) == 50
    layer.diversify(None, "signs")
    assert set(layer.input_adapter.unique().tolist()) == {-1.0, 1.0}


def test_heads_return_full_precision_under_autocast():
    layer = MemberLinear(8, 2, members=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.randn(3, 4, 8)).dtype is torch.float32
        assert EnsembleLinear(8, 4, members=2, adapters="input")(torch.randn(3, 8)).dtype is torch.bfloat16
