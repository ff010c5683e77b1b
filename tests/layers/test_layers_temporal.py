"""Causal convolutions and batch norm with a mask: against torch's own, and deaf to padding."""

import torch
from torch import nn
from torch.nn import functional as F

from limpid.layers.temporal import CausalConv, MaskedBatchNorm, last_step, masked_mean


def test_a_causal_convolution_is_torchs_with_weight_norm_and_padding_before() -> None:
    torch.manual_seed(0)
    ours = CausalConv(3, 5, kernel=4, dilation=2)
    theirs = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 5, 4, dilation=2), dim=0)
    with torch.no_grad():
        ours.gain.mul_(torch.rand(5) + 0.5)
        theirs.parametrizations.weight.original0.copy_(ours.gain.view(5, 1, 1))
        theirs.parametrizations.weight.original1.copy_(ours.weight)
        theirs.bias.copy_(ours.bias)
    x = torch.randn(2, 3, 20)
    torch.testing.assert_close(ours(x), theirs(F.pad(x, (6, 0))))


def test_no_step_sees_a_later_one() -> None:
    layer = CausalConv(2, 3, kernel=3, dilation=4)
    x = torch.randn(1, 2, 30)
    changed = x.clone()
    changed[:, :, 17:] += 5
    assert torch.equal(layer(x)[:, :, :17], layer(changed)[:, :, :17])
    assert not torch.equal(layer(x)[:, :, 17:], layer(changed)[:, :, 17:])


def test_batch_norm_without_padding_is_torchs() -> None:
    torch.manual_seed(1)
    ours, theirs = MaskedBatchNorm(4), nn.BatchNorm1d(4)
    mask = torch.ones(6, 9, dtype=torch.bool)
    for _ in range(3):
        x = torch.randn(6, 4, 9) * 3 + 1
        torch.testing.assert_close(ours(x, mask), theirs(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    assert torch.equal(ours.num_batches_tracked, theirs.num_batches_tracked)
    torch.testing.assert_close(ours.eval()(x, mask), theirs.eval()(x), rtol=1e-4, atol=1e-5)


def test_batch_norm_leaves_padding_out_of_its_statistics() -> None:
    one, two = MaskedBatchNorm(2), MaskedBatchNorm(2)
    x = torch.randn(3, 2, 5)
    padded = torch.cat([x, torch.full((3, 2, 7), 99.0)], dim=2)
    mask = torch.arange(12) < 5
    y = two(padded, mask.expand(3, 12))
    torch.testing.assert_close(y[:, :, :5], one(x, torch.ones(3, 5, dtype=torch.bool)), rtol=1e-4, atol=1e-5)
    assert not y[:, :, 5:].any()
    torch.testing.assert_close(one.running_var, two.running_var)
    before = two.running_mean.clone()
    assert torch.isfinite(two(padded, torch.zeros(3, 12, dtype=torch.bool))).all()
    assert torch.equal(two.running_mean, before)


def test_pooling_reads_real_steps() -> None:
    x = torch.arange(12.0).view(2, 1, 6)
    mask = torch.tensor([[True] * 4 + [False] * 2, [False] * 6])
    assert masked_mean(x, mask).tolist() == [[1.5], [0.0]]
    assert last_step(x, mask).tolist() == [[3.0], [0.0]]
