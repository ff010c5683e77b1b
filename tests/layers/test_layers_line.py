"""A line beside a network: against scikit-learn's ridge regression, and blended by its share."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from torch import nn

from limpid.core.forms import Fields, FieldsShape
from limpid.layers.line import Line, LineHead, blended

SHAPE = FieldsShape(
    numbers=("a", "b", "c"), can_miss=(False, True, False), categories=("d", "e"), cardinalities=(4, 300)
)


def fields(rows=200, seed=0):
    draws = torch.Generator().manual_seed(seed)
    missing = torch.zeros(rows, 3)
    missing[:, 1] = (torch.rand(rows, generator=draws) < 0.3).float()
    numbers = torch.randn(rows, 3, generator=draws) * (1 - missing)
    codes = (torch.rand(rows, 2, generator=draws) * torch.tensor([4, 300])).long()
    return Fields(numbers, missing, codes)


def straight(form):
    effect = torch.tensor([0.5, -1.0, 2.0, 0.0])[form.categories[:, 0]]
    return (form.numbers @ torch.tensor([1.0, -2.0, 0.5]) + 3 * form.missing[:, 1] + effect + 4).unsqueeze(1)


def test_what_is_linear_in_the_columns_is_found():
    line, form = Line(SHAPE, 1, classes=False), fields()
    assert line.matrix(form).shape == (200, 3 + 1 + 4), "a category of many codes is left to the network"
    line.prepare(form, straight(form), None)
    new = fields(seed=1)
    torch.testing.assert_close(line(new), straight(new), rtol=0, atol=2e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_ridge_regression(weighted):
    line, form = Line(SHAPE, 2, classes=False), fields()
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    target = straight(form) * torch.tensor([1.0, -1.0]) + 2 * noise
    weight = torch.linspace(0.1, 1.9, 200) if weighted else None
    line.prepare(form, target, weight)
    x = line.matrix(form).double().numpy()
    fits = [
        np.abs(Ridge(alpha=a).fit(x, target.numpy(), sample_weight=weight).predict(x) - line(form).numpy()).max()
        for a in np.logspace(-3, 3.5, 400)
    ]
    assert min(fits) < 0.02


def test_for_classes_its_outputs_are_logits():
    line, form = Line(SHAPE, 3, classes=True), fields(600)
    score = straight(form)[:, 0] + torch.randn(600, generator=torch.Generator().manual_seed(3))
    target = torch.bucketize(score, torch.tensor([3.5, 5.5]))
    line.prepare(form, target, None)
    probability = torch.softmax(line(form), dim=1).numpy()
    shares = np.bincount(target.numpy()) / 600
    assert log_loss(target, probability) < 0.75 * -(shares * np.log(shares)).sum()


def test_quantiles_begin_with_one_line():
    line, form = Line(SHAPE, 3, classes=False), fields()
    line.prepare(form, straight(form), None)
    answers = line(form)
    torch.testing.assert_close(answers[:, 0], answers[:, 2])


@pytest.mark.parametrize("members", [None, 5])
def test_the_network_stands_alone_until_it_is_weighed_and_while_it_learns(members):
    form = fields(20)
    features = torch.randn(20, 7) if members is None else torch.randn(20, members, 7)
    head = LineHead(nn.Linear(7, 1), Line(SHAPE, 1, classes=False))
    head.prepare(form, straight(form))
    learnt = head.head(features)
    assert torch.equal(head.eval()(features, form), learnt)
    head.weigh(0.25)
    assert torch.equal(head.train()(features, form), learnt)
    line = head.line(form)
    wanted = 0.25 * learnt + 0.75 * (line if members is None else line.unsqueeze(1))
    torch.testing.assert_close(head.eval()(features, form), wanted)
    head.weigh(0.0)
    torch.testing.assert_close(head(features, form).reshape(20, -1)[:, :1], line)


def test_a_single_row_leaves_the_line_at_zero():
    line, form = Line(SHAPE, 1, classes=False), fields(1)
    line.prepare(form, torch.ones(1, 1), None)
    assert not line(form).any()


def test_the_share_of_one_is_the_network():
    assert torch.equal(blended(torch.ones(2, 3, 1), torch.zeros(2, 1), 1.0), torch.ones(2, 3, 1))
