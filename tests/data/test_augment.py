"""Whether mirror images may stand for the pictures themselves."""

import numpy as np
import pytest

from limpid.data.augment import ALIKE, mirror_asymmetry


def noise(rows=400, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 3, 6, 6))


def test_chance_alone_is_no_sign():
    for rows in (3, 20, 400):
        values = [mirror_asymmetry(noise(rows, seed)) for seed in range(20)]
        assert np.mean(values) < 2 / rows


def test_a_common_difference_is_its_share_of_the_energy():
    x = noise()
    x[..., 0] += 3.0
    # Per row of pixels: the antisymmetric part has variance 2 a pair and, at the edge, the squared mean 9.
    expected = 2 * 9 / (2 * 9 + 3 * 2 * 2)
    assert mirror_asymmetry(x) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["class", "value", "labels"])
def test_differences_that_only_classes_have_are_seen(kind):
    x, y = noise(), np.arange(400) % 2
    x[y == 0, ..., 0] += 2.0
    x[y == 1, ..., -1] += 2.0
    targets = {
        "class": y,
        "value": y.astype(np.float32) + np.linspace(0, 0.1, 400),
        "labels": np.stack([y, 1 - y], axis=1).astype(np.float32),
    }
    assert mirror_asymmetry(x) < 0.01
    assert mirror_asymmetry(x, targets[kind]) > 0.1


def stripes(rows, falling, seed=0):
    """Pictures (N,1,24,24) whose stripes rise or fall, at any phase, so that their mean is flat."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[0:24, 0:24]
    wave = np.where(falling, 1, -1)[:, None, None] * x + y
    lit = 100 + 60 * np.sin(wave / g.uniform(1.5, 4, (rows, 1, 1)) + g.uniform(0, 6, (rows, 1, 1)))
    return (lit + g.normal(0, 10, lit.shape))[:, None]


def test_stripes_that_are_each_others_mirror_images_are_told_apart():
    falling = np.arange(200) % 2
    x = stripes(200, falling)
    assert mirror_asymmetry(x) < ALIKE, "of all pictures nothing is common"
    assert mirror_asymmetry(x, falling) > 10 * ALIKE
    assert mirror_asymmetry(x, np.arange(200) // 2 % 2) < ALIKE, "of classes with both directions neither"


def test_many_small_classes_are_no_sign_of_a_direction():
    falling = np.arange(256) % 2
    x = stripes(256, falling)
    small = np.arange(256) // 2 % 100
    assert mirror_asymmetry(x, small) < ALIKE, "two or three pictures of each class"
    assert mirror_asymmetry(x, np.where(np.arange(256) < 200, falling, small)) > 10 * ALIKE, "two large ones among them"


def test_digits_have_a_direction():
    from sklearn.datasets import load_digits

    digits = load_digits()
    assert mirror_asymmetry(digits.images[:, None], digits.target) > 0.2


def test_single_pixels_and_single_pictures_say_nothing():
    assert mirror_asymmetry(np.zeros((4, 1, 2, 2), np.uint8), np.arange(4)) == 0.0
    assert mirror_asymmetry(np.ones((5, 1, 3, 1), np.uint8)) == 0.0
