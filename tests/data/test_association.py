"""Measures of association against scipy and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from limpid.data.association import (
    correlation_ratio,
    cramers_v,
    pairs,
    pearson,
    pool,
    ranks,
    spearman,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_ranks_equal_scipys_and_pass_over_missing_cells(rng: np.random.Generator) -> None:
    x = rng.integers(0, 30, 200).astype(float)
    assert np.array_equal(ranks(x), stats.rankdata(x))
    holed = np.array([3.0, np.nan, 1.0, 1.0])
    assert np.array_equal(ranks(holed), [3.0, np.nan, 1.5, 1.5], equal_nan=True)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e150])
@pytest.mark.parametrize("noise", [0.01, 1.0, 30.0])
def test_pearson_and_spearman_equal_scipys(rng: np.random.Generator, noise: float, scale: float) -> None:
    x = rng.normal(size=300)
    y = -x + noise * rng.normal(size=300)
    assert pearson(x * scale, y) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
    assert spearman(x * scale, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)


def test_a_pair_is_measured_on_the_cells_that_both_have(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=400), rng.normal(size=400)
    y += x
    x[rng.random(400) < 0.3] = np.nan
    y[rng.random(400) < 0.3] = np.nan
    both = ~(np.isnan(x) | np.isnan(y))
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x[both], y[both])[0], abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x[both], y[both])[0], abs=1e-12)


def test_columns_that_do_not_vary_or_are_empty_give_nothing() -> None:
    x = np.arange(50.0)
    for other in (np.full(50, 3.3), np.full(50, np.nan), np.full(50, np.inf)):
        assert pearson(x, other) == 0.0
        assert spearman(x, other) == 0.0
    assert correlation_ratio(np.zeros(50, dtype=np.int64), x) == 0.0
    assert cramers_v(np.full(50, -1), np.arange(50) % 2) == 0.0


def test_cramers_v_equals_the_corrected_chi_square(rng: np.random.Generator) -> None:
    a = rng.integers(0, 4, 500)
    b = np.where(rng.random(500) < 0.4, a, rng.integers(0, 6, 500))
    table = stats.contingency.crosstab(a, b).count
    phi2 = stats.chi2_contingency(table, correction=False).statistic / 500
    r, k = table.shape
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / 499)
    expected = np.sqrt(phi2 / (min(r - (r - 1) ** 2 / 499, k - (k - 1) ** 2 / 499) - 1))
    assert cramers_v(a, b) == pytest.approx(expected, abs=1e-12)


def test_cramers_v_is_not_fooled_by_many_levels(rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 200, 1000), rng.integers(0, 200, 1000)
    raw = stats.contingency.association(stats.contingency.crosstab(a, b).count, method="cramer")
    assert raw > 0.4
    assert cramers_v(a, b) < 0.1


def test_cramers_v_of_two_keys_costs_no_table_of_all_pairs() -> None:
    n = 300_000  # a full table would need 720 GB
    assert 0.0 <= cramers_v(np.arange(n), np.arange(n)[::-1].copy()) <= 1.0


def test_the_correlation_ratio_equals_that_of_an_analysis_of_variance(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 5, 400)
    y = codes * 0.4 + rng.normal(size=400)
    f = stats.f_oneway(*[y[codes == k] for k in range(5)]).statistic
    eta2 = f * 4 / (f * 4 + 395)
    assert correlation_ratio(codes, y, corrected=False) == pytest.approx(np.sqrt(eta2), abs=1e-12)
    epsilon2 = 1 - (1 - eta2) * 399 / 395
    assert correlation_ratio(codes, y) == pytest.approx(np.sqrt(epsilon2), abs=1e-12)


def test_the_correlation_ratio_passes_over_missing_cells(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 5, 400)
    y = codes + rng.normal(size=400)
    holed, gaps = y.copy(), codes.copy()
    holed[:50] = np.nan
    gaps[50:90] = -1
    assert correlation_ratio(gaps, holed) == pytest.approx(correlation_ratio(codes[90:], y[90:]), abs=1e-12)


def test_pool_keeps_the_most_frequent_levels() -> None:
    codes = np.array([5, 5, 5, 2, 2, 9, 7, -1])
    pooled = pool(codes, 3)
    assert pooled[0] == pooled[1] == pooled[2]
    assert pooled[3] == pooled[4] != pooled[0]
    assert pooled[5] == pooled[6] == 2
    assert pooled[7] == -1
    assert pool(codes, 50) is codes


def test_pairs_name_the_measure_and_put_the_strongest_first(rng: np.random.Generator) -> None:
    x = rng.normal(size=500)
    group = (x > 0).astype(np.int64)
    numbers = {"x": x, "exp": np.exp(5 * x), "noise": rng.normal(size=500)}
    found = pairs(numbers, {"group": group, "same": 1 - group})
    strongest = {(p["a"], p["b"]): p for p in found}
    assert strongest["x", "exp"]["measure"] == "spearman"
    assert strongest["x", "exp"]["value"] == 1.0
    assert strongest["group", "same"]["measure"] == "cramers_v"
    assert strongest["group", "x"]["measure"] == "eta"
    sizes = [abs(p["value"]) for p in found]
    assert sizes == sorted(sizes, reverse=True)
    assert len(pairs(numbers, {}, top=2)) == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-1, 4),
            st.integers(-1, 3),
            st.floats(allow_nan=True, allow_infinity=True),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=60,
    )
)
def test_no_measure_leaves_its_range_whatever_the_cells(rows: list[tuple[int, int, float, float]]) -> None:
    a, b = (np.array([r[i] for r in rows], dtype=np.int64) for i in (0, 1))
    x, y = (np.array([r[i] for r in rows], dtype=np.float64) for i in (2, 3))
    assert 0.0 <= cramers_v(a, b) <= 1.0
    assert 0.0 <= correlation_ratio(a, x) <= 1.0
    assert -1.0 <= pearson(x, y) <= 1.0
    assert -1.0 <= spearman(x, y) <= 1.0
