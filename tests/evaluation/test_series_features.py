"""Series as classical models read them: against scikit-learn's nearest neighbour."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from limpid.data.encoded import Encoded
from limpid.evaluation.features import LinearFeatures
from limpid.evaluation.series_features import SeriesFeatures, nearest

RNG = np.random.default_rng(4)


def part(rows: int, steps: int = 12, channels: int = 2) -> Encoded:
    values = RNG.normal(size=(rows, steps, channels)).astype(np.float32)
    return Encoded({"x.values": values, "x.length": np.full(rows, steps, np.int32)}, np.arange(rows))


def test_the_nearest_series_answers_as_in_scikit_learn() -> None:
    train, new = part(60), part(25)
    target = RNG.integers(0, 3, 60)
    flat = [p.arrays["x.values"].reshape(len(p), -1) for p in (train, new)]
    theirs = KNeighborsClassifier(1).fit(flat[0], target).predict(flat[1])
    chances = nearest(train, target, 3, False, 0, [])(new)
    assert chances.argmax(axis=1).tolist() == theirs.tolist()
    assert chances.sum(axis=1) == pytest.approx(1)
    values = RNG.normal(size=(60, 1))
    found = nearest(train, values, None, False, 0, [])(new)
    assert found[:, 0] == pytest.approx(KNeighborsRegressor(1).fit(flat[0], values[:, 0]).predict(flat[1]))


def test_how_sure_it_is_follows_from_leaving_one_out() -> None:
    train = part(40)
    target = np.arange(40) % 2
    train.arrays["x.values"][:] += target[:, None, None] * 50
    sure = nearest(train, target, 2, False, 0, [])(train)
    assert sure.max(axis=1) == pytest.approx(1 - 1 / 42)
    labels = np.stack([target, RNG.integers(0, 2, 40)], axis=1).astype(np.float32)
    both = nearest(train, labels, None, True, 0, [])(train)
    assert abs(both[0, 0] - 0.5) > 0.45 and abs(both[0, 1] - 0.5) < 0.4


def test_many_steps_are_averaged_and_many_rows_sampled() -> None:
    long = part(8, steps=5_000, channels=1)
    features = SeriesFeatures(long, np.arange(8), 1_000)
    matrix = features.matrix(long, np.arange(8))
    assert matrix.shape == (8, 1_000) and np.abs(matrix.mean(axis=0)).max() < 1e-6
    notes: list[str] = []
    few = part(5_200, steps=2, channels=1)
    nearest(few, np.zeros(5_200, np.int64), 2, False, 0, notes)
    assert notes and "5,000 of 5,200" in notes[0]


def test_a_linear_model_reads_the_values_beside_the_rest() -> None:
    rows = part(20, steps=4, channels=1)
    assert LinearFeatures(rows, np.arange(20), None).matrix(rows, np.arange(20)).shape == (20, 4)
