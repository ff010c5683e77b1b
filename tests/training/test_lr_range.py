"""The learning-rate range test."""

import numpy as np
import pytest
import torch
from training_doubles import Classes, fingerprint, rows, settings, small

from limpid.training.lr_range import lr_range, suggest
from limpid.training.supervised import fit


def test_it_suggests_a_rate_that_trains(monkeypatch):
    train, valid = rows(400), rows(100, seed=1)
    found = lr_range(small, Classes(), train, settings(), seed=0)
    assert 1e-3 < found.suggested < 0.2
    assert list(found.lrs) == sorted(found.lrs) and len(found.lrs) == len(found.losses)
    scores = {}
    for lr in (found.suggested / 1000, found.suggested):
        scores[lr] = fit(small(), Classes(), train, valid, settings(lr=lr), seed=0).score
    assert scores[found.suggested] < scores[found.suggested / 1000]


def test_it_stops_where_the_loss_explodes():
    found = lr_range(lambda: small(norm=False), Classes(), rows(100), settings(optimiser="sgd"), seed=0, highest=1e6)
    assert found.lrs[-1] < 1e6 and np.isfinite(found.losses).all()


def test_it_is_the_same_twice_and_leaves_no_trace():
    model = small()
    before, threads = fingerprint(model), torch.get_num_threads()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = lr_range(lambda: small(), Classes(), rows(100), settings(), seed=0)
    assert one == lr_range(lambda: small(), Classes(), rows(100), settings(), seed=0)
    assert fingerprint(model) == before and torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_the_suggestion_is_where_a_known_curve_is_steepest():
    lrs = np.logspace(-6, 0, 101)
    fall = 1 / (1 + np.exp(4 * (np.log10(lrs) + 3)))
    losses = np.where(lrs < 0.1, fall, 3.0)
    assert suggest(lrs.tolist(), losses.tolist()) == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0, 3.0, 4.0]])
def test_a_curve_that_says_nothing_gives_the_usual_rate(losses):
    assert suggest([10.0**n for n in range(len(losses))], losses) == 1e-3
