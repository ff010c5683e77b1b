"""Rows that stand for others, and rows that stand apart: against brute force, and on clusters whose truth is planted."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from limpid.explanation.looks import look, shortened
from limpid.explanation.prototypes import (
    EACH,
    among,
    chosen_of,
    closeness,
    distances,
    kernel,
    mmd_prototypes,
    scaled,
)


@pytest.mark.parametrize("seed", range(8))
def test_greedy_prototypes_are_near_the_best_of_all(seed: int) -> None:
    alike = kernel(distances(np.random.default_rng(seed).normal(size=(9, 2))))
    for most in (1, 2, 3):
        chosen = mmd_prototypes(alike, most)
        best = max(closeness(alike, s) for size in range(1, most + 1) for s in combinations(range(9), size))
        assert closeness(alike, chosen) <= best + 1e-12
        # The objective is submodular: a greedy choice reaches 1 - 1/e of the best.
        assert closeness(alike, chosen) >= (1 - 1 / np.e) * best
    first = mmd_prototypes(alike, 1)
    assert closeness(alike, first) == pytest.approx(max(closeness(alike, [n]) for n in range(9)))


def test_the_greedy_choice_follows_the_discrepancy_itself() -> None:
    alike = kernel(distances(np.random.default_rng(1).normal(size=(12, 3))))
    chosen = mmd_prototypes(alike, 3)
    for n in range(1, len(chosen)):
        values = {p: closeness(alike, [*chosen[:n], p]) for p in range(12) if p not in chosen[:n]}
        assert max(values, key=values.__getitem__) == chosen[n]
    # A squared discrepancy is never below 0, so nothing reaches more than all rows together.
    assert closeness(alike, chosen) <= closeness(alike, range(12)) + 1e-12


def test_copies_of_one_row_need_one_prototype() -> None:
    assert mmd_prototypes(kernel(distances(np.zeros((6, 2)))), 3) == [0]


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes of two and three clusters, and last an outlier of the first class; (N,2), classes, clusters."""
    draws = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [0.0, 10.0], [20.0, 0.0], [20.0, 10.0], [30.0, 5.0]])
    cluster = np.repeat(np.arange(5), 20)
    rows = centres[cluster] + draws.normal(size=(100, 2)) * 0.3
    rows = np.vstack([rows, [[-15.0, 25.0]]])
    return rows, np.append(np.array([0, 0, 1, 1, 1])[cluster], 0), np.append(cluster, -1)


@pytest.mark.parametrize("seed", range(5))
def test_each_planted_cluster_has_a_prototype_and_the_outlier_is_found(seed: int) -> None:
    rows, group, cluster = planted(seed)
    distance = distances(scaled(rows))
    chosen, covered = chosen_of(distance, group)
    assert {int(cluster[p]) for p in chosen[1]} == {2, 3, 4}
    assert {0, 1} <= {int(cluster[p]) for p in chosen[0]}
    assert all(len(each) <= EACH for each in chosen.values())
    assert sum(chosen[0].values()) == (group == 0).sum()
    if len(rows) - 1 not in chosen[0]:
        assert covered.argmax() == len(rows) - 1
        assert covered[-1] > 2
    assert covered[list(chosen[0])].max() == 0


def test_a_row_among_others_is_told() -> None:
    rows, group, _ = planted(0)
    group[45] = 0  # it lies in a cluster of the second class
    share, most = among(distances(rows), group)
    assert share.argmax() == 45
    assert share[45] == 1
    assert most[45] == 1
    assert share[:20].max() == 0


def test_neighbours_over_a_border_of_one_scale_are_no_strangers() -> None:
    rows = np.arange(40.0)[:, None]
    group = np.repeat([0, 1, 2, 3], 10)
    share, _ = among(distances(rows), group, apart=2)
    assert share.max() == 0


def test_distances_are_euclidean() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 3))
    expected = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
    assert np.allclose(distances(rows), expected, atol=1e-7)


def test_a_row_looks_like_itself() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, 0.25]})
    assert look(frame, {}, 1, ["c"]) == {"cells": {"c": "0.25", "a": "2", "b": "missing"}, "png": None, "line": None}
    arrays = {"column.values": np.arange(20.0).reshape(2, 10, 1), "column.length": np.array([10, 4])}
    assert look(frame[:, :1], arrays, 1)["line"] == [10.0, 11.0, 12.0, 13.0]
    pixels = {"column.pixels": np.full((2, 3, 8, 8), 200, np.uint8)}
    assert look(frame[:, :1], pixels, 0)["png"].startswith("iVBOR")
    long = np.random.default_rng(0).normal(size=640)
    assert np.allclose(shortened(long), long.reshape(64, 10).mean(axis=1), atol=1e-3)
