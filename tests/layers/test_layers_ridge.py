"""Heads in closed form: against scikit-learn, and against really leaving one example out."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from limpid.layers.ridge import PENALTIES, solve

RNG = np.random.default_rng(2)


def problem(rows: int = 40, features: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    x = RNG.normal(size=(rows, features)) + 3
    y = x[:, :5].sum(axis=1) + RNG.normal(size=rows)
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


def unit_of(x: torch.Tensor) -> float:
    centred = x.double() - x.double().mean(dim=0)
    return float(centred.square().sum(dim=1).mean())


@pytest.mark.parametrize("features", [8, 90])
def test_it_is_scikit_learns_ridge_with_its_choice_of_penalty(features: int) -> None:
    x, y = problem(features=features)
    found = solve(x, y, 1, classes=False)
    theirs = RidgeCV(alphas=[p * unit_of(x) for p in PENALTIES]).fit(x.numpy().astype(float), y.numpy())
    assert found.penalty * unit_of(x) == pytest.approx(theirs.alpha_)
    assert found.weight.numpy()[0] == pytest.approx(theirs.coef_, rel=1e-3, abs=1e-5)
    assert float(found.bias) == pytest.approx(theirs.intercept_, rel=1e-3)


def test_left_out_is_what_leaving_out_gives() -> None:
    x, y = problem(rows=15)
    found = solve(x, y, 1, classes=False)
    for row in range(15):
        rest = np.arange(15) != row
        model = Ridge(alpha=found.penalty * unit_of(x)).fit(x.numpy()[rest].astype(float), y.numpy()[rest])
        assert found.left_out[row, 0] == pytest.approx(model.predict(x.numpy()[row : row + 1])[0], rel=1e-4, abs=1e-4)


def test_weights_count_like_copies() -> None:
    x, y = problem(rows=12, features=6)
    times = torch.tensor([1, 2, 3] * 4)
    weighted = solve(x, y, 1, classes=False, weight=times.float())
    penalty = weighted.penalty
    copied = Ridge(alpha=penalty * 1.0)
    mass = times.double() / times.double().mean()
    share = mass / mass.sum()
    centred = (x.double() - share @ x.double()) * mass.sqrt().unsqueeze(1)
    copied.set_params(alpha=penalty * float(centred.square().sum(dim=1).mean()))
    copied.fit(x.numpy().astype(float), y.numpy(), sample_weight=mass.numpy())
    assert weighted.weight.numpy()[0] == pytest.approx(copied.coef_, rel=1e-4, abs=1e-5)
    without = solve(x, y, 1, classes=False, weight=torch.tensor([0.0] * 3 + [1.0] * 9))
    alone = solve(x[3:], y[3:], 1, classes=False)
    torch.testing.assert_close(without.weight, alone.weight)
    assert np.isnan(without.left_out[:3]).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_become_logits_that_are_honest_out_of_sample(classes: int) -> None:
    centres = RNG.normal(size=(classes, 30)) * 0.6
    target = torch.arange(200) % classes
    x = torch.from_numpy(centres[target.numpy()] + RNG.normal(size=(200, 30))).float()
    found = solve(x[:100], target[:100], classes, classes=True)
    logits = x[100:] @ found.weight.T + found.bias
    assert logits.shape == (100, classes)
    chance = torch.softmax(logits, dim=1)
    right = (chance.argmax(dim=1) == target[100:]).float()
    assert float(right.mean()) > 1.2 / classes
    assert float(chance.amax(dim=1).mean()) == pytest.approx(float(right.mean()), abs=0.12)


def test_labels_have_factors_of_their_own() -> None:
    x = torch.randn(80, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.stack(
        [(x[:, 0] > 0).float(), (torch.rand(80, generator=torch.Generator().manual_seed(1)) > 0.5).float()], 1
    )
    found = solve(x, labels, 2, classes=True)
    assert found.weight.shape == (2, 5) and found.factor.shape == (2,)
    assert found.factor[0] > 2 * found.factor[1]  # the second label is noise
    assert ((x @ found.weight.T + found.bias)[:, 0] > 0).float().eq(labels[:, 0]).float().mean() > 0.9


def test_constant_features_and_a_single_class_do_no_harm() -> None:
    found = solve(torch.ones(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]), 2, classes=True)
    assert torch.isfinite(found.weight).all() and not found.weight.abs().max() > 1e-3
    alone = solve(torch.randn(6, 3), torch.zeros(6, dtype=torch.long), 2, classes=True)
    assert torch.isfinite(alone.weight).all() and bool(alone.bias[0] > alone.bias[1])
