"""Random numbers by row: the same whatever else is in the batch, and as random as they should be."""

import numpy as np
import torch
from scipy import stats

from limpid.layers.draws import Draws


def draws(rows, seed=0, passes=0):
    return Draws(seed, passes, np.asarray(rows, dtype=np.int64))


def test_a_row_draws_the_same_in_any_batch():
    whole = draws(range(100)).uniform("shift", 2, 3)
    assert whole.shape == (100, 2, 3) and whole.dtype == torch.float32
    order = np.random.default_rng(0).permutation(100)
    assert torch.equal(draws(order).uniform("shift", 2, 3), whole[torch.from_numpy(order)])
    assert torch.equal(draws([17]).uniform("shift", 2, 3), whole[17:18])


def test_seed_pass_row_and_purpose_all_count():
    base = draws([1, 2]).uniform("a")
    others = [draws([1, 2], seed=1), draws([1, 2], passes=1), draws([3, 4])]
    assert not any(torch.equal(base, other.uniform("a")) for other in others)
    assert not torch.equal(base, draws([1, 2]).uniform("b"))


def test_they_are_uniform_and_unrelated():
    values = draws(range(20_000)).uniform("x", 3).double().numpy()
    assert values.min() >= 0 and values.max() < 1
    assert stats.kstest(values.ravel(), "uniform").pvalue > 1e-3
    neighbours = np.corrcoef(np.column_stack([values[:-1], values[1:]]).T) - np.eye(6)
    assert np.abs(neighbours).max() < 0.03
    passes = [draws(range(5_000), passes=n).uniform("x").numpy() for n in range(4)]
    assert np.abs(np.corrcoef(passes) - np.eye(4)).max() < 0.06


def test_normal_ones_are_normal():
    values = draws(range(20_000)).normal("n", 2).numpy().ravel()
    assert np.isfinite(values).all()
    assert stats.kstest(values, "norm").pvalue > 1e-3
