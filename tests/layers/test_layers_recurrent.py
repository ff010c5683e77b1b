import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from limpid.layers.recurrent import GATES, Recurrent

THEIRS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LENGTHS = torch.tensor([7, 1, 4, 7, 2])
CASES = [(cell, directions) for cell in THEIRS for directions in (1, 2)]


def pair(cell, directions, inputs=3, width=5, seed=0):
    """A layer of ours and one of torch's with the same weights, in float64."""
    torch.manual_seed(seed)
    theirs = THEIRS[cell](inputs, width, batch_first=True, bidirectional=directions == 2).double()
    ours = Recurrent(cell, inputs, width, bidirectional=directions == 2).double()
    with torch.no_grad():
        for r in range(directions):
            suffix = "_l0" + ("_reverse" if r else "")
            part = slice(r * GATES[cell] * width, (r + 1) * GATES[cell] * width)
            ours.input.weight[part] = getattr(theirs, "weight_ih" + suffix)
            ours.recurrent_weight[r] = getattr(theirs, "weight_hh" + suffix).t()
            bias = getattr(theirs, "bias_hh" + suffix).clone()
            if cell == "gru":
                ours.new_bias[r, 0] = bias[2 * width :]
                bias[2 * width :] = 0
            ours.input.bias[part] = getattr(theirs, "bias_ih" + suffix) + bias
    return ours, theirs


def inputs(width=3, seed=1):
    x = torch.randn(5, 7, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x, torch.arange(7) < LENGTHS.unsqueeze(1)


def packed(layer, x):
    y, _ = layer(pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False))
    return pad_packed_sequence(y, batch_first=True)[0]


@pytest.mark.parametrize(("cell", "directions"), CASES)
def test_states_are_those_of_torch_on_packed_sequences(cell, directions):
    ours, theirs = pair(cell, directions)
    x, mask = inputs()
    torch.testing.assert_close(ours(x, mask)[mask], packed(theirs, x)[mask], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cell", "directions"), CASES)
def test_gradients_are_those_of_torch(cell, directions):
    ours, theirs = pair(cell, directions)
    x, mask = inputs()
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    factor = torch.randn(5, 7, 5 * directions, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    factor = factor * mask.unsqueeze(-1)
    (ours(mine, mask) * factor).sum().backward()
    (packed(theirs, yours) * factor).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad, rtol=1e-10, atol=1e-12)
    for r in range(directions):
        suffix = "_l0" + ("_reverse" if r else "")
        part = slice(r * GATES[cell] * 5, (r + 1) * GATES[cell] * 5)
        found = {
            "weight_ih": ours.input.weight.grad[part],
            "weight_hh": ours.recurrent_weight.grad[r].t(),
            "bias_ih": ours.input.bias.grad[part],
        }
        if cell == "gru":
            torch.testing.assert_close(ours.new_bias.grad[r, 0], getattr(theirs, "bias_hh" + suffix).grad[10:])
        for name, value in found.items():
            torch.testing.assert_close(value, getattr(theirs, name + suffix).grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", list(THEIRS))
def test_gradients_agree_with_finite_differences(cell):
    torch.manual_seed(3)
    layer = Recurrent(cell, 2, 3).double()
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(4) < torch.tensor([[4], [0], [2]])

    def run(x, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, mask)) * mask.unsqueeze(-1)

    names = [name for name, _ in layer.named_parameters()]
    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


@pytest.mark.parametrize("cell", list(THEIRS))
def test_one_step(cell):
    layer = Recurrent(cell, 2, 3)
    y = layer(torch.randn(4, 1, 2), torch.ones(4, 1, dtype=torch.bool))
    y.sum().backward()
    assert y.shape == (4, 1, 6)
    assert layer.input.weight.grad.any()
    assert not layer.recurrent_weight.grad.any(), "the first state is zero, so no recurrent weight had a say"


@pytest.mark.parametrize("cell", list(THEIRS))
def test_padding_in_front_of_the_second_direction_leaves_its_state_alone(cell):
    layer = Recurrent(cell, 3, 4)
    x, mask = inputs()
    x, more = x.float(), torch.zeros(5, 2, dtype=torch.bool)
    wide = layer(torch.cat([x, torch.full((5, 2, 3), 50.0)], dim=1), torch.cat([mask, more], dim=1))
    assert torch.equal(wide[:, :7][mask], layer(x, mask)[mask])


def test_the_forget_gate_starts_open_and_recurrent_weights_orthogonal():
    layer = Recurrent("lstm", 2, 4)
    assert layer.input.bias.view(2, 4, 4)[:, 1].eq(1).all()
    assert layer.input.bias.sum() == 8
    for gate in layer.recurrent_weight[0].chunk(4, dim=1):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(4), rtol=1e-5, atol=1e-5)


def test_operations_are_counted_as_torch_counts_them():
    from torch.utils.flop_counter import FlopCounterMode

    layer = Recurrent("gru", 8, 16)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(3, 6, 8), torch.ones(3, 6, dtype=torch.bool))
    assert layer.flops(6) * 3 == counter.get_total_flops()
