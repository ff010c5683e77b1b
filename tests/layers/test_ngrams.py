"""Neighbouring tokens as tokens, and what each token speaks for, against counts by hand and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import BernoulliNB, MultinomialNB

from limpid.layers.ngrams import indicators, neighbours, scores


def test_runs_of_tokens_have_ids_of_their_own():
    tokens = torch.tensor([[3, 7, 3, 7, 0, 0], [7, 3, 9, 0, 0, 0]])
    pairs = neighbours(tokens, 2, 1 << 20)
    assert pairs.shape == (2, 5)
    assert pairs[0, 0] == pairs[0, 2] != pairs[0, 1] == pairs[1, 0]
    assert (pairs != 0).sum(dim=1).tolist() == [3, 2], "a run ends with the last token"
    triples = neighbours(tokens, 3, 1 << 20)
    assert (triples != 0).sum(dim=1).tolist() == [2, 1] and triples[0, 0] != triples[0, 1]
    assert neighbours(tokens[:, :1], 2, 100).shape == (2, 0)


def test_ids_of_runs_stay_in_their_table():
    draws = torch.Generator().manual_seed(0)
    found = neighbours(torch.randint(1, 1_000_000, (50, 40), generator=draws), 2, 17)
    assert found.min() == 1 and found.max() == 17


def example(rows=60, length=7, vocabulary=12, seed=0):
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, vocabulary, (rows, length), generator=draws)
    return tokens, torch.randint(0, 3, (rows,), generator=draws)


def counted(tokens, vocabulary):
    """(N,V-1) whether each token stands in each row."""
    return np.array([[int(v in row) for v in range(1, vocabulary)] for row in tokens.tolist()])


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_of_classes_they_are_the_log_ratios_of_naive_bayes(chosen):
    tokens, classes = example()
    found, examples = scores(tokens, classes, 12, 3, 1)
    x = counted(tokens, 12)
    peer = MultinomialNB(alpha=1.0).fit(x, classes.numpy() == chosen)
    np.testing.assert_allclose(
        found[1:, chosen], peer.feature_log_prob_[1] - peer.feature_log_prob_[0], rtol=1e-4, atol=1e-5
    )
    assert examples[1:].tolist() == x.sum(axis=0).tolist()
    assert not isinstance(peer, BernoulliNB) and found[0].tolist() == [0.0] * 3, "padding speaks for nothing"


def test_rare_tokens_say_nothing_and_count_for_nothing():
    tokens, classes = example()
    tokens[0, 0] = 12
    found, examples = scores(tokens, classes, 13, 3, 2)
    without = tokens.masked_fill(tokens == 12, 0)
    assert examples[12] == 1 and found[12].tolist() == [0.0] * 3
    torch.testing.assert_close(found[:12], scores(without, classes, 12, 3, 2)[0])


def test_of_values_they_are_shrunk_means():
    tokens = torch.tensor([[1, 2], [1, 1], [2, 0], [3, 0]])
    values = torch.tensor([2.0, 4.0, -1.0, -5.0])
    found, _ = scores(tokens, values, 4, 1, 1)
    z = (values - values.mean()) / values.std(correction=0)
    expected = [0.0, float(z[:2].sum()) / 7, float(z[[0, 2]].sum()) / 7, float(z[3]) / 6]
    torch.testing.assert_close(found[:, 0], torch.tensor(expected))


def test_targets_of_every_kind_have_indicators():
    classes = torch.tensor([0, 1, 2, 3])
    assert indicators(classes, 4)[0].tolist() == torch.eye(4).tolist()
    assert indicators(torch.tensor([0, 1]), 1)[0].tolist() == [[0.0], [1.0]]
    labels, shares = indicators(torch.tensor([[1.0, 0, 1], [0, 0, 1]]), 2)
    assert shares and labels.tolist() == [[1.0, 0.0], [1.0, 0.0]], "the third label shares the first one's place"
    many, _ = indicators(torch.arange(100), 32)
    assert many.shape == (100, 32) and many.sum(dim=1).max() == 1
    same, shares = indicators(torch.full((5,), 3.5), 1)
    assert not shares and same.abs().max() == 0
