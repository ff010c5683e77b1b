"""Suspected label errors: the definition by hand, and planted flips found."""

from __future__ import annotations

import numpy as np

from limpid.auditing.mislabelled import suspects


def by_hand(probability: np.ndarray, given: np.ndarray) -> set[int]:
    """Northcutt et al. 2021, equations 1 and 2, row by row."""
    classes = probability.shape[1]
    threshold = [np.mean([p[k] for p, g in zip(probability, given, strict=True) if g == k]) for k in range(classes)]
    found = set()
    for n, (p, g) in enumerate(zip(probability, given, strict=True)):
        reached = [k for k in range(classes) if p[k] >= threshold[k]]
        if reached and (best := max(reached, key=lambda k: p[k])) != g and p[best] > p[g]:
            found.add(n)
    return found


def test_suspects_are_those_of_the_definition() -> None:
    draws = np.random.default_rng(0)
    for classes in (2, 3, 7):
        probability = draws.dirichlet(np.full(classes, 0.3), 500)
        given = np.array([draws.choice(classes, p=p) for p in probability])
        found = suspects(probability, given)
        assert set(found.tolist()) == by_hand(probability, given)
        margin = probability[found].max(axis=1) - probability[found, given[found]]
        assert (np.diff(margin) <= 1e-12).all() or classes > 2


def test_flipped_rows_stand_first() -> None:
    draws = np.random.default_rng(1)
    truth = draws.integers(0, 3, 3_000)
    logits = 4.0 * np.eye(3)[truth] + draws.normal(0, 1.0, (3_000, 3))
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = draws.random(3_000) < 0.05
    given = np.where(flipped, (truth + draws.integers(1, 3, 3_000)) % 3, truth)
    first = suspects(probability, given)[:100]
    assert flipped[first].mean() > 0.95


def test_a_class_that_no_row_has_is_no_threshold() -> None:
    probability = np.array([[0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
    assert suspects(probability, np.array([0, 1, 1])).tolist() == [2]
