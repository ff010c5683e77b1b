"""Losses for each example against closed forms and torch's own."""

import math

import pytest
import torch
from torch.nn import functional as F

from limpid.layers import losses

generator = torch.Generator().manual_seed(0)
logits = torch.randn(6, 4, generator=generator, dtype=torch.float64)
classes = torch.tensor([0, 1, 2, 3, 1, 1])
labels = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]]).double()
weight = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)


def test_cross_entropy_is_minus_log_softmax_times_the_weight_of_the_class():
    expected = -torch.log_softmax(logits, 1)[torch.arange(6), classes]
    assert torch.allclose(losses.cross_entropy(logits, classes), expected)
    assert torch.allclose(losses.cross_entropy(logits, classes, class_weight=weight), expected * weight[classes])


def test_label_smoothing_spreads_its_share_over_all_classes():
    log = torch.log_softmax(logits, 1)
    expected = -(0.9 * log[torch.arange(6), classes] + 0.1 * log.mean(1))
    assert torch.allclose(losses.cross_entropy(logits, classes, smoothing=0.1), expected)


def test_focal_is_cross_entropy_for_gamma_zero_and_its_closed_form_otherwise():
    entropy = losses.cross_entropy(logits, classes)
    assert torch.allclose(losses.focal(logits, classes, gamma=0.0), entropy)
    p = torch.softmax(logits, 1)[torch.arange(6), classes]
    assert torch.allclose(losses.focal(logits, classes, gamma=2.0), (1 - p) ** 2 * entropy)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_has_a_finite_gradient_where_an_example_is_certain(gamma: float):
    certain = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    losses.focal(certain, torch.tensor([0, 0]), gamma=gamma).sum().backward()
    assert torch.isfinite(certain.grad).all()


def test_binary_cross_entropy_averages_the_labels_and_weighs_the_positive_ones():
    plain = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    assert torch.allclose(losses.binary_cross_entropy(logits, labels), plain.mean(1))
    weighed = F.binary_cross_entropy_with_logits(logits, labels, reduction="none", pos_weight=weight)
    assert torch.allclose(losses.binary_cross_entropy(logits, labels, positive_weight=weight), weighed.mean(1))
    soft = F.binary_cross_entropy_with_logits(logits, labels * 0.8 + 0.1, reduction="none").mean(1)
    assert torch.allclose(losses.binary_cross_entropy(logits, labels, smoothing=0.2), soft)


def test_the_focal_variant_of_labels_shrinks_what_is_certain():
    sure = torch.tensor([[6.0, -6.0]])
    target = torch.tensor([[1.0, 0.0]])
    p = 1 / (1 + math.exp(-6.0))
    expected = (1 - p) ** 2 * -math.log(p)
    assert losses.binary_cross_entropy(sure, target, gamma=2.0).item() == pytest.approx(expected, rel=1e-4)


def test_one_hot_cross_entropy_is_the_sum_over_classes():
    hot = F.one_hot(classes, 4).double()
    expected = F.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(1)
    assert torch.allclose(losses.one_hot_cross_entropy(logits, classes), expected)
    assert torch.allclose(
        losses.one_hot_cross_entropy(logits, classes, class_weight=weight), expected * weight[classes]
    )


def test_regression_losses_average_the_targets_of_an_example():
    outputs, target = torch.tensor([[1.0, 4.0]]), torch.tensor([[0.5, 1.0]])
    assert losses.squared_error(outputs, target).tolist() == [(0.25 + 9) / 2]
    assert losses.absolute_error(outputs, target).tolist() == [(0.5 + 3) / 2]
    assert losses.huber(outputs, target).tolist() == [(0.125 + 2.5) / 2]


def test_pinball_is_least_at_the_quantile():
    target = torch.arange(1.0, 101.0)[:, None]
    grid = torch.arange(0.5, 101.0, 1.0)
    for level in (0.05, 0.5, 0.9):
        total = [losses.pinball(torch.full((100, 1, 1), float(g)), target, [level]).mean().item() for g in grid]
        assert abs(grid[int(torch.tensor(total).argmin())].item() - 100 * level) <= 1.0


def test_every_loss_gives_one_value_for_each_example():
    values = torch.zeros(6, 4, dtype=torch.float64)
    for loss in (losses.squared_error, losses.absolute_error, losses.huber):
        assert loss(logits, values).shape == (6,)
    assert losses.pinball(torch.zeros(6, 4, 3), values.float(), [0.1, 0.5, 0.9]).shape == (6,)
