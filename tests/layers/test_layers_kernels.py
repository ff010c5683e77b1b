"""Convolution kernels: against torch's convolution, the published dilations, and padding."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limpid.layers.kernels import KERNELS, KernelFeatures, dilations


def made(
    channels: int, length: int, features: int = 840, seed: int = 0
) -> tuple[KernelFeatures, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    layer = KernelFeatures(channels, length, features)
    values = torch.randn(30, length, channels)
    mask = torch.ones(30, length, dtype=torch.bool)
    layer.prepare(values, mask)
    return layer, values, mask


@pytest.mark.parametrize("channels", [1, 4])
def test_answers_are_those_of_torchs_convolution(channels: int) -> None:
    layer, values, _ = made(channels, 60)
    three = torch.tensor([[k == j for k in range(9)] for j in range(9)]).float()
    for place, dilation in enumerate(layer.dilations):
        weight = torch.full((KERNELS, channels, 9), 0.0)
        from limpid.layers.kernels import _THREE

        for kernel in range(KERNELS):
            taps = -torch.ones(9) + 3 * three[_THREE[kernel]].sum(dim=0)
            read = layer.chosen[place, kernel][: int(layer.counts[place, kernel])] if channels > 1 else [0]
            for channel in read:
                weight[kernel, int(channel)] += taps
        expected = F.conv1d(values.transpose(1, 2).double(), weight.double(), padding=4 * dilation, dilation=dilation)
        torch.testing.assert_close(layer._answers(values, place).double(), expected, rtol=1e-5, atol=1e-4)


def test_dilations_are_the_published_ones() -> None:
    # arXiv 2012.08791, section 3.1: exponents spread over [0, log2((length - 1) / 8)], at most 32 of them.
    for length, features in ((150, 119), (24, 119), (1_000, 119), (500, 3), (9, 10), (2, 1)):
        found, shares = dilations(length, features)
        assert found == sorted(set(found)) and found[0] == 1
        assert found[-1] <= max(1, (length - 1) // 8) and sum(shares) == features and min(shares) > 0
    assert dilations(24, 119) == ([1, 2], [79, 40])


def test_features_are_proportions_and_biases_quantiles() -> None:
    layer, values, mask = made(1, 50)
    features = layer(values, mask)
    assert features.shape == (30, layer.features) == (30, 840)
    assert float(features.min()) >= 0 and float(features.max()) <= 1
    # A bias is a quantile of answers to a training series, so over all of them it is exceeded about half of the time.
    assert float(features.mean()) == pytest.approx(0.5, abs=0.05)


def test_one_kernel_by_hand() -> None:
    layer, values, _ = made(1, 20, 84)
    layer.biases.zero_()
    features = layer(values, torch.ones(30, 20, dtype=torch.bool))
    assert layer.dilations == [1]
    answers = layer._answers(values, 0)
    whole, inner = (answers > 0).float().mean(dim=2), (answers[:, :, 4:-4] > 0).float().mean(dim=2)
    assert torch.equal(features[:, 0::2], whole[:, 0::2]) and torch.equal(features[:, 1::2], inner[:, 1::2])


@pytest.mark.parametrize("channels", [1, 3])
def test_neither_padding_nor_company_changes_a_bit(channels: int) -> None:
    layer, values, mask = made(channels, 70)
    mask = torch.arange(70) < torch.randint(0, 71, (30, 1))
    values = values * mask.unsqueeze(2)
    alone = torch.cat([layer(values[n : n + 1], mask[n : n + 1]) for n in range(30)])
    assert torch.equal(layer(values, mask), alone)
    longer = torch.cat([values, torch.full((30, 40, channels), 9.0)], dim=1)
    padded = torch.cat([mask, torch.zeros(30, 40, dtype=torch.bool)], dim=1)
    assert torch.equal(layer(longer, padded), alone)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(values, mask), alone)


def test_preparing_is_a_function_of_the_seed_and_the_examples() -> None:
    one, two, other = (made(2, 30, seed=s)[0] for s in (1, 1, 2))
    assert torch.equal(one.biases, two.biases) and not torch.equal(one.biases, other.biases)
    state = np.random.get_state()[1].copy()
    made(2, 30)
    assert (np.random.get_state()[1] == state).all()


def test_examples_without_a_step_prepare_nothing() -> None:
    layer = KernelFeatures(1, 10, 84)
    layer.prepare(torch.zeros(3, 10, 1), torch.zeros(3, 10, dtype=torch.bool))
    assert not layer(torch.zeros(3, 10, 1), torch.zeros(3, 10, dtype=torch.bool)).any()
