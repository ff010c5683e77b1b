import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from limpid.layers.packing import pack
from limpid.layers.recurrent import GATES, Recurrent

ORDER = {"rnn": [0], "lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}  # torch's gates in our order
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
            ours.weight[r] = arranged(getattr(theirs, "weight_ih" + suffix), cell)
            ours.recurrent_weight[r] = arranged(getattr(theirs, "weight_hh" + suffix), cell)
            bias = getattr(theirs, "bias_hh" + suffix).clone()
            if cell == "gru":
                ours.new_bias[r, 0] = bias[2 * width :]
                bias[2 * width :] = 0
            ours.bias[r, 0] = arranged(getattr(theirs, "bias_ih" + suffix) + bias, cell)
    return ours, theirs


def arranged(theirs, cell):
    """torch's (G*H,...) as ours (...,G*H)."""
    return torch.cat([theirs.chunk(GATES[cell])[n] for n in ORDER[cell]]).t()


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
    torch.testing.assert_close(ours(x, pack(mask))[mask], packed(theirs, x)[mask], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cell", "directions"), CASES)
def test_gradients_are_those_of_torch(cell, directions):
    ours, theirs = pair(cell, directions)
    x, mask = inputs()
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    factor = torch.randn(5, 7, 5 * directions, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    factor = factor * mask.unsqueeze(-1)
    (ours(mine, pack(mask)) * factor).sum().backward()
    (packed(theirs, yours) * factor).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad, rtol=1e-10, atol=1e-12)
    for r in range(directions):
        suffix = "_l0" + ("_reverse" if r else "")
        found = {
            "weight_ih": ours.weight.grad[r],
            "weight_hh": ours.recurrent_weight.grad[r],
            "bias_ih": ours.bias.grad[r, 0],
        }
        if cell == "gru":
            torch.testing.assert_close(ours.new_bias.grad[r, 0], getattr(theirs, "bias_hh" + suffix).grad[10:])
        for name, value in found.items():
            expected = arranged(getattr(theirs, name + suffix).grad, cell)
            torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", list(THEIRS))
def test_gradients_agree_with_finite_differences(cell):
    torch.manual_seed(3)
    layer = Recurrent(cell, 2, 3).double()
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    packing = pack(torch.arange(4) < torch.tensor([[4], [0], [2]]))
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, packing))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


@pytest.mark.parametrize("cell", list(THEIRS))
def test_one_step(cell):
    layer = Recurrent(cell, 2, 3)
    y = layer(torch.randn(4, 1, 2), pack(torch.ones(4, 1, dtype=torch.bool)))
    y.sum().backward()
    assert y.shape == (4, 1, 6)
    assert layer.weight.grad.any()
    assert not layer.recurrent_weight.grad.any(), "the first state is zero, so no recurrent weight had a say"


@pytest.mark.parametrize("cell", list(THEIRS))
def test_padding_changes_nothing_and_is_answered_with_zero(cell):
    layer = Recurrent(cell, 3, 4)
    x, mask = inputs()
    x, more = x.float(), torch.zeros(5, 2, dtype=torch.bool)
    wide = torch.cat([mask, more], dim=1)
    y = layer(torch.cat([x, torch.full((5, 2, 3), torch.nan)], dim=1), pack(wide))
    torch.testing.assert_close(y[:, :7], layer(x, pack(mask)))
    assert not y[~wide].any()


@pytest.mark.parametrize("cell", list(THEIRS))
def test_nothing_but_padding(cell):
    layer = Recurrent(cell, 3, 4)
    y = layer(torch.ones(2, 5, 3), pack(torch.zeros(2, 5, dtype=torch.bool)))
    assert y.shape == (2, 5, 8)
    assert not y.any()


def test_without_gradients_the_states_are_the_same():
    layer = Recurrent("lstm", 3, 4)
    x, mask = inputs()
    with torch.no_grad():
        bare = layer(x.float(), pack(mask))
    assert torch.equal(bare, layer(x.float(), pack(mask)))


def test_the_forget_gate_starts_open_and_recurrent_weights_orthogonal():
    layer = Recurrent("lstm", 2, 4)
    assert layer.bias.view(2, 4, 4)[:, 1].eq(1).all()
    assert layer.bias.sum() == 8
    for gate in layer.recurrent_weight[0].chunk(4, dim=1):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(4), rtol=1e-5, atol=1e-5)


def test_operations_are_counted_as_torch_counts_them():
    from torch.utils.flop_counter import FlopCounterMode

    layer = Recurrent("gru", 8, 16)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(3, 6, 8), pack(torch.ones(3, 6, dtype=torch.bool)))
    assert layer.flops(6) * 3 == counter.get_total_flops()
