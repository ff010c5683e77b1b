import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler

from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.number import Number, NumberSpec

RNG = np.random.default_rng(0)


def spec(**changes: object) -> NumberSpec:
    return NumberSpec.model_validate({"scale": "standard", "decimal": ".", "also_category": False, **changes})


def numbers(encoder: Number, values: object) -> np.ndarray:
    return encoder.encode(pl.Series("x", values, strict=False), Repairs())["numbers"][:, 0]


def test_standard_equals_scikit_learn() -> None:
    values = RNG.normal(7, 3, 500)
    ours = numbers(Number.fit(spec(), pl.Series("x", values)), values)
    assert ours == pytest.approx(StandardScaler().fit_transform(values[:, None])[:, 0], abs=1e-5)


def test_robust_equals_scikit_learn_with_the_smooth_clip() -> None:
    values = RNG.standard_t(2, 500)
    ours = numbers(Number.fit(spec(scale="robust"), pl.Series("x", values)), values)
    scaled = RobustScaler().fit_transform(values[:, None])[:, 0]
    assert ours == pytest.approx(scaled / np.sqrt(1 + (scaled / 3) ** 2), abs=1e-5)
    assert np.abs(ours).max() < 3
    free = numbers(Number.fit(spec(scale="robust", clip=False), pl.Series("x", values)), values)
    assert free == pytest.approx(scaled, rel=1e-5, abs=1e-5)


def test_quantile_is_near_scikit_learn_and_normal() -> None:
    values = RNG.lognormal(size=20_000)
    ours = numbers(Number.fit(spec(scale="quantile"), pl.Series("x", values)), values)
    oracle = QuantileTransformer(output_distribution="normal", n_quantiles=1_000, subsample=None)
    theirs = oracle.fit_transform(values[:, None])[:, 0]
    middle = np.abs(theirs) < 2
    assert np.abs(ours - theirs)[middle].max() < 0.01
    assert abs(ours.mean()) < 0.01 and abs(ours.std() - 1) < 0.02 and np.abs(ours).max() < 5
    order = np.argsort(values)
    assert (np.diff(ours[order]) >= 0).all()


def test_a_column_of_mostly_zeros_keeps_its_tail() -> None:
    values = np.concatenate([np.zeros(9_000), RNG.lognormal(5, 1, 1_000)])
    encoder = Number.fit(spec(scale="quantile"), pl.Series("x", values))
    tail = np.unique(values)[1:]
    assert len(np.unique(numbers(encoder, tail))) > 80
    zero = numbers(encoder, [0.0])[0]
    assert -0.2 < zero < 0 < 1 < numbers(encoder, tail).min()  # the middle of its ranks, not the far end


@pytest.mark.parametrize("scale", ["standard", "robust", "quantile"])
@pytest.mark.parametrize("values", [[5.0] * 9, [1e300, -1e300, 3.0], [1e15, 1e15 + 1], [5e-324, 0.0], [0.1 + 0.2, 0.3]])
def test_extreme_training_columns(scale: str, values: list[float]) -> None:
    encoder = Number.fit(spec(scale=scale), pl.Series("x", values))
    encoded = numbers(encoder, [*values, 0.0, 1e308, -1e308, 1e-310])
    assert np.isfinite(encoded).all() and np.abs(encoded[: len(values)]).max() < 5
    if len(set(values)) == 1:
        assert (encoded[: len(values)] == 0).all()


def test_values_beyond_the_training_range_are_drawn_in() -> None:
    values = np.linspace(0, 10, 101)
    for scale in ("standard", "robust", "quantile"):
        encoder = Number.fit(spec(scale=scale), pl.Series("x", values))
        far = numbers(encoder, [1e6, 15.0, 10.0, 9.0])
        assert far[0] <= 5 and far[0] >= far[1] >= far[2] > far[3]
    free = Number.fit(spec(clip=False), pl.Series("x", values))
    assert numbers(free, [1e6])[0] > 1e5


def test_missing_bad_and_infinite_cells_are_flagged_and_counted() -> None:
    encoder = Number.fit(spec(), pl.Series("age", ["1", "2", None]))
    assert encoder.shape().can_miss == (True,)
    repairs = Repairs()
    parts = encoder.encode(pl.Series("age", ["1", None, "many", "few", "inf"]), repairs)
    assert parts["missing"][:, 0].tolist() == [0, 1, 1, 1, 1] and (parts["numbers"][1:] == 0).all()
    assert [(r.where, r.count, r.example) for r in repairs] == [("age", 2, "many"), ("age", 1, "inf")]


def test_training_ignores_infinities() -> None:
    encoder = Number.fit(spec(), pl.Series("x", [1.0, 3.0, float("inf")]))
    assert (encoder.center, encoder.width) == (2.0, 1.0)


def test_few_values_are_codes_too() -> None:
    encoder = Number.fit(spec(also_category=True), pl.Series("x", [10, 20, 30, 10]))
    assert encoder.shape().cardinalities == (5,) and len(encoder.shape().categories) == 1
    parts = encoder.encode(pl.Series("x", [10, 20, 30, 25, 99, None]), Repairs())
    assert parts["categories"][:, 0].tolist() == [2, 3, 4, 1, 1, 0]


def test_decimal_comma() -> None:
    encoder = Number.fit(spec(decimal=","), pl.Series("x", ["1,5", "2,5"]))
    assert numbers(encoder, ["1.002,5", "2,5"])[1] == 1 and encoder.center == 2


@pytest.mark.parametrize(
    ("values", "scale", "also"),
    [
        (RNG.uniform(size=1_000), "standard", False),
        (RNG.lognormal(0, 2, 1_000), "quantile", False),
        (RNG.lognormal(0, 2, 100), "robust", False),
        (RNG.integers(1, 5, 1_000), "standard", True),
        (RNG.integers(1, 5, 40), "standard", False),
        (RNG.integers(0, 2, 1_000), "standard", False),
    ],
)
def test_the_plan_looks_at_the_distribution(values: np.ndarray, scale: str, also: bool) -> None:
    column = pl.Series("x", values)
    planned, reasons = Number.plan(NumberSpec(), column_facts(column), Size(len(values), 2, "classification"))
    assert (planned.scale, planned.also_category) == (scale, also)
    assert set(reasons) == {"scale", "decimal", "also_category"}
    assert Number.plan(planned, column_facts(column), Size(9, 2, "x")) == (planned, {})


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.sampled_from(["standard", "robust", "quantile"]))
def test_scaling_keeps_the_order(values: list[float], scale: str) -> None:
    encoder = Number.fit(spec(scale=scale), pl.Series("x", values))
    encoded = numbers(encoder, sorted(values))
    assert (np.diff(encoded) >= 0).all()
