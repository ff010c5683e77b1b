"""The head of a forecast starts as a seasonal naive one, put on the window's own level."""

import numpy as np
import pytest
import torch

from limpid.core.forms import Seq
from limpid.layers.horizon import HorizonHead

LEVELS = (0.05, 0.5, 0.95)


def windows(rows=300, history=12, horizon=5, period=4, seed=0):
    """Windows of a season of its own each, on a level and a spread of its own, and what follows."""
    draws = torch.Generator().manual_seed(seed)
    season = torch.randn(rows, period, generator=draws)
    values = season.repeat(1, 5)[:, : history + horizon]
    level = torch.stack([torch.randn(rows, generator=draws) * 50, torch.rand(rows, generator=draws) + 0.5], dim=1)
    noise = 0.3 * torch.randn(rows, horizon, generator=draws)
    target = level[:, :1] + level[:, 1:] * (0.8 * values[:, history:] + 0.5 + noise)
    steps = torch.cat([values[:, :history], torch.zeros(rows, horizon)], dim=1).unsqueeze(-1)
    return Seq(mask=torch.ones(rows, history + horizon).bool(), values=steps, level=level), target


def head(members=None):
    torch.manual_seed(0)
    return HorizonHead(3, 5, LEVELS, 4, 12, members)


def test_without_learning_it_is_the_share_of_the_season_with_the_quantiles_of_its_errors():
    form, target = windows(4_000)
    made = head()
    made.prepare(form, target)
    answers = made(torch.randn(4_000, 3), form).view(4_000, 5, 3)
    assert made.share.numpy() == pytest.approx(np.full(5, 0.8), abs=0.05)
    below = (target.unsqueeze(-1) <= answers).float().mean(dim=(0, 1))
    assert below.tolist() == pytest.approx(LEVELS, abs=0.01)


def test_it_follows_level_and_spread():
    form, target = windows()
    made = head()
    made.prepare(form, target)
    features = torch.randn(300, 3)
    torch.nn.init.normal_(made.linear.weight)
    moved = Seq(mask=form.mask, values=form.values, level=form.level * 2 + torch.tensor([7.0, 0.0]))
    torch.testing.assert_close(made(features, moved), 2 * made(features, form) + 7, rtol=1e-4, atol=1e-3)


def test_missing_values_to_come_change_nothing_else():
    form, target = windows()
    holes = target.clone()
    holes[:100, 1] = torch.nan
    whole, part = head(), head()
    whole.prepare(form, target)
    part.prepare(form, holes)
    others = [0, 2, 3, 4]
    # Steps lean a little on one another, so the others move by a hair.
    assert torch.allclose(whole.share[others], part.share[others], atol=0.01)
    assert part.share[1] == pytest.approx(float(whole.share[1]), abs=0.1)
    bias = [h.linear.bias.view(5, 3)[others] for h in (whole, part)]
    assert torch.allclose(*bias, atol=0.02)
    empty = head()
    empty.prepare(form, torch.full_like(target, torch.nan))
    assert torch.isfinite(empty(torch.zeros(300, 3), form)).all()


def test_members_have_weights_of_their_own():
    form, target = windows()
    made = head(members=2)
    made.prepare(form, target)
    answers = made(torch.randn(300, 2, 3), form)
    assert answers.shape == (300, 2, 15)
    assert torch.equal(answers[:, 0], answers[:, 1])  # both begin alike
    torch.nn.init.normal_(made.linear.weight)
    assert not torch.equal(*made(torch.randn(300, 2, 3), form).unbind(dim=1))


def test_a_gradient_reaches_the_features_once_weights_are_not_zero():
    form, target = windows()
    made = head()
    made.prepare(form, target)
    torch.nn.init.normal_(made.linear.weight)
    features = torch.randn(300, 3, requires_grad=True)
    made(features, form).sum().backward()
    assert features.grad.abs().sum() > 0 and made.linear.bias.grad.abs().sum() > 0
