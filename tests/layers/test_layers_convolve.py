"""A convolution whose gradient is a product on small maps: torch's own answers and gradients."""

import pytest
import torch
from torch import nn

from limpid.layers import convolve
from limpid.layers.convolve import Convolution, filters_gradient


def pair(inputs, outputs, kernel=3, **options):
    own = Convolution(inputs, outputs, kernel, bias=False, **options)
    theirs = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    theirs.load_state_dict(own.state_dict())
    return own, theirs


@pytest.fixture
def used(monkeypatch):
    """How often the product was taken."""
    calls = []
    real = convolve.filters_gradient
    monkeypatch.setattr(convolve, "filters_gradient", lambda *words: calls.append(1) or real(*words))
    return calls


@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (2, 8, 1, 1), (3, 4, 7, 2), (1, 1, 8, 8)])
def test_in_double_precision_the_gradient_is_exact(shape):
    x = torch.randn(shape, dtype=torch.float64)
    weight = torch.randn(6, shape[1], 3, 3, dtype=torch.float64, requires_grad=True)
    y = nn.functional.conv2d(x, weight, padding=1)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    torch.testing.assert_close(filters_gradient(x, gradient), weight.grad)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_bf16_it_is_torchs_to_rounding(layout, used):
    own, theirs = pair(16, 24, padding=1)
    x = torch.randn(32, 16, 7, 7).to(memory_format=layout)
    answers, gradients = [], []
    for layer in (own, theirs):
        seen = x.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(seen)
        y.float().square().mean().backward()
        answers.append(y)
        gradients.append((layer.weight.grad, seen.grad))
    assert len(used) == 1
    assert answers[0].dtype is torch.bfloat16 and torch.equal(answers[0], answers[1])
    for one, two in zip(*gradients, strict=True):
        assert one.dtype is torch.float32
        torch.testing.assert_close(one, two, rtol=0.02, atol=0.02 * float(two.abs().max()))


@pytest.mark.parametrize(
    ("options", "side"),
    [({"padding": 1}, 9), ({"padding": 1, "stride": 2}, 6), ({"kernel": 5, "padding": 2}, 6), ({"padding": 0}, 6)],
)
def test_elsewhere_it_is_left_to_torch(options, side, used):
    own, theirs = pair(4, 4, **options)
    x = torch.randn(8, 4, side, side)
    for layer in (own, theirs):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer(x).float().sum().backward()
    assert not used and torch.equal(own.weight.grad, theirs.weight.grad)


def test_in_single_precision_and_without_gradients_it_is_left_to_torch(used):
    own, theirs = pair(4, 4, padding=1)
    x = torch.randn(8, 4, 5, 5)
    own(x).sum().backward()
    theirs(x).sum().backward()
    assert not used and torch.equal(own.weight.grad, theirs.weight.grad)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(own(x), theirs(x))
    own.weight.requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        own(x.requires_grad_()).float().sum().backward()
    assert not used and x.grad is not None
