"""Bins: the same thresholds as scikit-learn's trees, and defined on every kind of column."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from limpid.layers.bins import quantile_edges, target_matrix, tree_edges


def sklearn_edges(tree, x, y):
    tree = tree.fit(x[:, None], y).tree_
    return np.unique(np.r_[x.min(), tree.threshold[tree.feature >= 0], x.max()])


@pytest.mark.parametrize("bins", [2, 5, 16, 64])
@pytest.mark.parametrize("min_leaf", [1, 8])
def test_regression_edges_are_those_of_scikit_learn(bins, min_leaf):
    rng = np.random.default_rng(0)
    x = rng.normal(size=1500).astype(np.float32).astype(np.float64)
    y = np.sin(3 * x) + rng.normal(size=1500) * 0.3
    ours = tree_edges(x, target_matrix(y), bins=bins, min_leaf=min_leaf)
    theirs = sklearn_edges(DecisionTreeRegressor(max_leaf_nodes=bins, min_samples_leaf=min_leaf, random_state=0), x, y)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_edges_are_those_of_a_gini_tree(classes):
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000).astype(np.float32).astype(np.float64)
    y = np.digitize(x + rng.normal(size=2000) * 0.5, np.linspace(-1, 1, classes + 1)[1:-1])
    ours = tree_edges(x, target_matrix(y), bins=12, min_leaf=10)
    theirs = sklearn_edges(DecisionTreeClassifier(max_leaf_nodes=12, min_samples_leaf=10, random_state=0), x, y)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_edges_of_several_targets_minimise_the_joint_error():
    x = np.arange(100.0)
    y = np.stack([x > 20, x > 70], axis=1).astype(float)
    assert tree_edges(x, target_matrix(y), bins=3, min_leaf=1).tolist() == [0.0, 20.5, 70.5, 99.0]


def test_a_tree_finds_the_tail_that_quantiles_lose():
    x = np.where(np.arange(1000) < 950, 0.0, np.arange(1000))
    y = (x > 970).astype(float)[:, None]
    assert 970.5 in tree_edges(x, y, bins=8, min_leaf=1)
    assert 970.5 not in quantile_edges(x, bins=8)


def test_few_distinct_values_get_an_edge_each():
    x = np.array([3.0, 1.0, 2.0, 1.0, 3.0])
    assert tree_edges(x, np.zeros((5, 1)), bins=4, min_leaf=100).tolist() == [1.0, 2.0, 3.0]
    assert quantile_edges(x, bins=4).tolist() == [1.0, 2.0, 3.0]


def test_a_target_that_does_not_differ_gives_one_bin():
    x = np.arange(50.0)
    assert tree_edges(x, np.full((50, 1), 0.1), bins=8, min_leaf=1).tolist() == [0.0, 49.0]


@pytest.mark.parametrize("values", [[], [4.0], [4.0, 4.0, 4.0]])
def test_columns_with_no_or_one_value_have_edges(values):
    x = np.array(values)
    for edges in (tree_edges(x, np.zeros((len(x), 1)), bins=4, min_leaf=1), quantile_edges(x, bins=4)):
        assert len(edges) == 2
        assert edges[1] > edges[0]


@given(
    x=hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6, allow_nan=False, width=32)),
    bins=st.integers(1, 12),
    min_leaf=st.integers(1, 10),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_edges_ascend_span_the_values_and_respect_their_limits(x, bins, min_leaf, seed):
    y = np.random.default_rng(seed).normal(size=(len(x), 2))
    edges = tree_edges(x, y, bins=bins, min_leaf=min_leaf)
    assert 2 <= len(edges) <= bins + 1 or len(edges) == 2
    assert (np.diff(edges) > 0).all()
    assert edges[0] == x.min()
    assert edges[-1] >= x.max()
    if len(np.unique(x)) > bins + 1:
        counts, _ = np.histogram(x, edges)
        assert counts.min() >= min(min_leaf, len(x))


def test_target_matrix_pools_classes_beyond_the_sixteenth():
    hot = target_matrix(np.arange(40) % 20)
    assert hot.shape == (40, 16)
    assert (hot.sum(axis=1) == 1).all()
    assert hot[:, -1].sum() == 40 * 5 / 20


def test_target_matrix_scales_values_so_that_targets_count_alike():
    y = target_matrix(np.array([[1.0, 1000.0, 5.0], [3.0, 3000.0, 5.0]]))
    np.testing.assert_allclose(y, [[-1, -1, 0], [1, 1, 0]])
