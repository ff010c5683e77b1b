"""Clipping, the moving average, finiteness."""

import pytest
import torch
from torch import nn
from training_doubles import small

from limpid.training.policies import Average, all_finite, clip, load_values, values_of


def test_clip_is_torchs():
    ours = [torch.randn(4, 3), torch.randn(5)]
    theirs = [nn.Parameter(torch.zeros_like(g)) for g in ours]
    for parameter, gradient in zip(theirs, ours, strict=True):
        parameter.grad = gradient.clone()
    norm = nn.utils.clip_grad_norm_(theirs, 0.7)
    clip(ours, norm.item(), 0.7)
    for parameter, gradient in zip(theirs, ours, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_clip_leaves_small_gradients_alone():
    gradient = torch.ones(2)
    clip([gradient], 2**0.5, 5.0)
    clip([gradient], 2**0.5, None)
    assert torch.equal(gradient, torch.ones(2))


def test_average_follows_its_closed_form():
    model = nn.Linear(1, 1, bias=False)
    average = Average(model, 0.9)
    expected = model.weight.item()
    for step in range(30):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.values["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_average_takes_batch_norm_along_and_counts_whole():
    model = nn.BatchNorm1d(1)
    average = Average(model, 0.5)
    model.train()
    model(torch.full((4, 1), 10.0) + torch.arange(4.0)[:, None])
    average.update(0)
    assert average.values["running_mean"].item() == pytest.approx(0.9 * model.running_mean.item())
    assert average.values["num_batches_tracked"].item() == 1


def test_average_of_a_constant_is_exact():
    model = small()
    average = Average(model, 0.99)
    for step in range(50):
        average.update(step)
    assert all(torch.equal(average.values[n], v) for n, v in values_of(model).items())


def test_applied_puts_the_weights_back_also_after_an_error():
    model = small()
    average = Average(model, 0.9)
    with torch.no_grad():
        model.head.weight.add_(1.0)
    trained = model.head.weight.detach().clone()

    def fail():
        with average.applied():
            assert not torch.equal(model.head.weight, trained)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert torch.equal(model.head.weight, trained)


def test_load_values_copies():
    model = small()
    values = {n: v.clone() for n, v in values_of(small(seed=1)).items()}
    load_values(model, values)
    values["head.weight"].zero_()
    assert model.head.weight.abs().sum() > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_all_finite(bad):
    good = [torch.zeros(3), torch.arange(3), torch.zeros(0)]
    assert all_finite(good)
    assert not all_finite([*good, torch.tensor([0.0, bad])])
    assert all_finite([])
