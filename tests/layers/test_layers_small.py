"""Activations, norms, initialisations, attention, bag, parameter groups, precision, sizing."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn import functional as F

from limpid.core.contracts import Size
from limpid.layers.activations import ReGLU, activation
from limpid.layers.attention import Attention, Block
from limpid.layers.bag import TokenBag, value_bag
from limpid.layers.initialise import initialise
from limpid.layers.norms import BatchNorm, norm
from limpid.layers.parameters import depths, groups
from limpid.layers.precision import working_dtype
from limpid.layers.sizing import allowance, largest


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "gelu", "silu"])
def test_activations_are_those_of_torch(name):
    x = torch.randn(20)
    expected = getattr(F, name, None) or getattr(torch, name)
    torch.testing.assert_close(activation(name)(x), expected(x))


def test_reglu_gates_the_first_half():
    assert ReGLU()(torch.tensor([[3.0, 4.0, 2.0, -1.0]])).tolist() == [[6.0, 0.0]]


def test_batch_norm_takes_a_batch_of_one_in_training():
    layer = BatchNorm(3).train()
    before = layer.running_mean.clone()
    assert torch.isfinite(layer(torch.randn(1, 3))).all()
    assert torch.equal(layer.running_mean, before)
    reference = nn.BatchNorm1d(3).train()
    x = torch.randn(8, 3)
    torch.testing.assert_close(layer(x), reference(x))
    assert norm("none", 3) is None


@pytest.mark.parametrize(
    ("how", "std"), [("kaiming", (2 / 400) ** 0.5), ("xavier", (2 * 2 / 1000) ** 0.5), ("normal", 0.02)]
)
def test_initial_weights_have_the_published_spread(how, std):
    torch.manual_seed(0)
    layer = nn.Linear(400, 600)
    initialise(layer, how, "relu")
    assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert not layer.bias.any()


def test_orthogonal_weights_are_orthogonal():
    layer = nn.Linear(16, 16)
    initialise(layer, "orthogonal", "sigmoid")
    torch.testing.assert_close(layer.weight @ layer.weight.t(), torch.eye(16), atol=1e-5, rtol=0)


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    ours, theirs = Attention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in (ours.query, ours.key, ours.value)]))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(ours.output.weight)
    x, y = torch.randn(3, 2, 8), torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x, y), theirs(x, y, y, need_weights=False)[0])


def test_attention_trains_like_it_predicts_but_for_the_dropout():
    torch.manual_seed(0)
    layer = Attention(8, 2, dropout=0.5)
    layer.dropout.forward = lambda weights: weights
    x = torch.randn(2, 4, 8)
    torch.testing.assert_close(layer.train()(x, x), layer.eval()(x, x))


def test_gradients_of_a_block_and_its_last_token():
    torch.manual_seed(0)
    block = Block(4, 2, 5, attention_dropout=0, hidden_dropout=0, residual_dropout=0, first=False).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(block, (x,))
    torch.testing.assert_close(block(x, last=1), block(x)[:, -1:])


def test_a_bag_is_the_sum_over_the_root_of_the_count():
    layer = TokenBag(10, 4)
    tokens = torch.tensor([[3, 5, 3, 0], [7, 0, 0, 0], [0, 0, 0, 0]])
    e = layer.embedding
    expected = torch.stack([(2 * e[3] + e[5]) / 3**0.5, e[7], torch.zeros(4)])
    torch.testing.assert_close(layer(tokens, tokens != 0), expected)
    vectors = e[tokens]
    torch.testing.assert_close(value_bag(vectors, tokens != 0), expected)


def test_a_bag_honours_a_mask_beyond_the_padding():
    layer = TokenBag(10, 4)
    tokens, mask = torch.tensor([[3, 5]]), torch.tensor([[True, False]])
    torch.testing.assert_close(layer(tokens, mask), layer.embedding[3:4])


def test_gradients_of_a_bag():
    layer = TokenBag(6, 3).double()
    tokens = torch.tensor([[3, 5, 3, 0], [1, 2, 0, 0]])
    weight = layer.embedding.detach().clone().requires_grad_()
    assert gradcheck(lambda w: functional_call(layer, {"embedding": w}, (tokens, tokens != 0)), (weight,))


def test_each_parameter_is_decayed_or_spared():
    module = nn.ModuleDict(
        {
            "category_embedding": nn.Embedding(3, 4),
            "hidden": nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
            "convolution": nn.Conv1d(4, 4, 3),
            "head": nn.Linear(4, 2),
        }
    )
    module.register_parameter("input_adapter", nn.Parameter(torch.ones(2, 4)))
    module.register_parameter("member_bias", nn.Parameter(torch.ones(2, 4)))
    module["head"].bias.requires_grad_(False)
    names = {id(p): n for n, p in module.named_parameters()}
    found = groups(module)
    decayed, spared, matrices = ({names[id(p)] for p in part} for part in found)
    assert decayed == {"hidden.0.weight", "convolution.weight", "head.weight"}
    assert matrices == {"hidden.0.weight", "convolution.weight"}
    assert decayed | spared == {n for n, p in module.named_parameters() if p.requires_grad}
    assert not decayed & spared


def test_working_dtype_follows_autocast_but_never_narrows_doubles():
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert working_dtype(single) is torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert working_dtype(single) is torch.bfloat16
        assert working_dtype(double) is torch.float64


def test_the_allowance_shrinks_with_rows_and_grows_with_seconds():
    def flops(rows, seconds):
        return allowance(Size(rows=rows, outputs=1, task="regression", seconds=seconds)).flops

    assert flops(1_000_000, 60) < flops(100_000, 60) < flops(20_000, 600)
    assert flops(20_000, 10) == pytest.approx(flops(20_000, 5) * 2)
    assert flops(20_000, 1e9) == flops(20, 1e9) == 3e6  # what predicting allows
    # 300,000 examples at three forward passes each, at 75 GFLOP/s, in 10 seconds
    assert flops(20_000, 10) == pytest.approx(10 * 0.75e11 / (3 * 300_000))


def test_several_networks_share_the_seconds():
    size = Size(rows=500, outputs=1, task="regression", seconds=1e9)
    assert allowance(size, 5).flops == allowance(size).flops / 5  # each predicts, one after the other
    hurried = Size(rows=500, outputs=1, task="regression", seconds=0.1)
    assert allowance(hurried, 5).flops == pytest.approx(allowance(hurried).flops / 6)  # and a first fit went before
    assert "5 networks" in allowance(size, 5).because and "each of 6 fits" in allowance(hurried, 5).because


def test_the_first_candidate_that_fits_is_taken_or_the_last():
    limit = allowance(Size(rows=20_000, outputs=1, task="regression", seconds=10))
    assert largest([9e6, 1e5, 1e4], float, limit)[0] == 1e5
    assert largest([9e9, 9e8], float, limit)[0] == 9e8
    assert "largest size considered" in largest([10.0, 5.0], float, limit)[1]


def test_depth_is_counted_from_the_output_down():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(2))
            self.stem = nn.Linear(2, 2)
            self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2)])
            self.activation = nn.ReLU()

    found = depths(Net())
    assert found == [
        ["blocks.1.weight", "blocks.1.bias"],
        ["blocks.0.0.weight", "blocks.0.0.bias", "blocks.0.1.weight", "blocks.0.1.bias"],
        ["stem.weight", "stem.bias"],
        ["token"],
    ]
    assert sorted(n for names in found for n in names) == sorted(n for n, _ in Net().named_parameters())
    own = nn.Linear(2, 2)
    own.depths = lambda: [["bias"], ["weight"]]
    assert depths(own) == [["bias"], ["weight"]]
