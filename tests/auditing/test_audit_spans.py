"""Intervals against scipy, scikit-learn and published numbers."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from limpid.auditing import spans


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (8, 10), (81, 263), (500, 500), (15, 148)])
def test_rate_is_wilsons(hits: int, count: int) -> None:
    found = spans.rate(hits, count)
    wanted = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert found.value == hits / count


def test_rate_gap_is_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 gives .0524 to .3339.
    found = spans.rate_gap(spans.rate(56, 70), spans.rate(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_means_are_students_and_welchs() -> None:
    g = np.random.default_rng(0)
    a, b = g.normal(1, 2, 40), g.normal(0, 5, 25)
    wanted = stats.ttest_1samp(a, 0).confidence_interval(0.95)
    assert (spans.mean(a).low, spans.mean(a).high) == pytest.approx((wanted.low, wanted.high))
    wanted = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (spans.mean_gap(a, b).low, spans.mean_gap(a, b).high) == pytest.approx((wanted.low, wanted.high))


def test_rate_ratio_is_katzs() -> None:
    found = spans.rate_ratio(spans.rate(20, 100), spans.rate(40, 100))
    reach = 1.959964 * np.sqrt(1 / 20 - 1 / 100 + 1 / 40 - 1 / 100)
    assert (found.low, found.high) == pytest.approx((0.5 * np.exp(-reach), 0.5 * np.exp(reach)), rel=1e-6)


def test_area_is_scikit_learns_and_its_interval_holds_as_often_as_it_says() -> None:
    g = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        mark = g.random(300) < 0.4
        score = g.normal(size=300) + mark
        found = spans.auc(mark, score)
        assert found.value == pytest.approx(roc_auc_score(mark, score))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= stats.norm.cdf(1 / np.sqrt(2)) <= found.high
    assert 180 <= held <= 200


def test_an_area_near_one_is_not_more_certain_than_its_rows_allow() -> None:
    g = np.random.default_rng(1)
    mark = np.arange(40) < 20
    true, held = stats.norm.cdf(3 / np.sqrt(2)), 0
    for _ in range(300):
        found = spans.auc(mark, g.normal(size=40) + 3 * mark)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true <= found.high
    assert held >= 275
    apart = spans.auc(mark, mark.astype(float))
    assert (apart.value, apart.high) == (1.0, pytest.approx(1.0))
    low = apart.low
    assert low is not None
    variance = low * (1 - low) * (1 + 19 * ((1 - low) / (2 - low) + low / (1 + low))) / 400
    assert 1 - low == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)
    assert spans.auc(~mark, mark.astype(float)).high == pytest.approx(1 - low)


def test_nothing_to_judge_is_said_so() -> None:
    assert str(spans.rate(0, 0)) == "not defined"
    assert spans.mean(np.array([np.nan])).value is None
    assert spans.auc(np.array([True, True]), np.array([0.1, 0.2])).value is None
    assert spans.rate_gap(spans.NONE, spans.rate(1, 2)).value is None
