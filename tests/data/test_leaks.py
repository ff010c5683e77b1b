"""Planted leaks are found; keys, honest columns and honest orders are not accused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from limpid.data.leaks import Leak, duplicates_across, find_leaks
from limpid.data.probe import Wanted, halves, score
from limpid.data.views import View

N = 2_000


def number(name: str, values: np.ndarray) -> View:
    return View(name, "number", numbers=np.asarray(values, dtype=float))


def category(name: str, values: np.ndarray, kind: str = "category") -> View:
    levels, codes = np.unique(np.asarray(values).astype(str), return_inverse=True)
    return View(name, kind, codes=codes.astype(np.int64), levels=tuple(levels))


def honest(rng: np.random.Generator, driver: np.ndarray) -> list[View]:
    """Columns that help, and columns that do not, none of which is a leak."""
    n = len(driver)
    holed = driver + rng.normal(0, 0.8, n)
    holed[rng.random(n) < 0.2] = np.nan
    return [
        number("helps", driver + rng.normal(0, 0.4, n)),
        number("holed", holed),
        number("noise", rng.normal(size=n)),
        number("heavy", np.exp(3 * rng.normal(size=n))),
        category("town", rng.integers(0, 12, n)),
        category("key", rng.permutation(n), "key"),
        category("note", rng.integers(0, n // 2, n), "text"),
        number("count", rng.permutation(n)),
    ]


def table(seed: int, task: str) -> tuple[list[View], View, np.ndarray]:
    rng = np.random.default_rng(seed)
    driver = rng.normal(size=N)
    if task == "binary":
        target = category("y", driver + rng.normal(0, 0.7, N) > 0.8)
    elif task == "classes":
        target = category("y", np.digitize(driver + rng.normal(0, 0.5, N), [-1, 0, 1.2]))
    else:
        target = number("y", np.exp(driver + rng.normal(0, 0.4, N)))
    return honest(rng, driver), target, driver


def answer_of(target: View) -> np.ndarray:
    return target.numbers if target.numbers is not None else target.codes.astype(float)


def shuffled(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(int(codes.max()) + 1)[codes.astype(int)]


PLANTS: dict[str, Callable[[np.ndarray, np.random.Generator], View]] = {
    "copy": lambda y, rng: number("leak", y),
    "other unit": lambda y, rng: number("leak", -3.5 * y + 11),
    "any rising function": lambda y, rng: number("leak", np.arctan(y) ** 3),
    "copy with gaps": lambda y, rng: number("leak", np.where(rng.random(len(y)) < 0.001, np.nan, y)),
    "copy with a little noise": lambda y, rng: number("leak", y * (1 + rng.normal(0, 1e-3, len(y)))),
    "rounded": lambda y, rng: number("leak", np.round(y, 2)),
    "folded": lambda y, rng: number("leak", (y + 1) * np.where(rng.random(len(y)) < 0.5, 1, -1)),
    "a few wrong": lambda y, rng: number("leak", np.where(rng.random(len(y)) < 0.002, y[::-1], y)),
}


@pytest.mark.parametrize("task", ["binary", "classes", "regression"])
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_column_is_found_and_no_other_is_accused(plant: str, task: str) -> None:
    for seed in range(3):
        views, target, _ = table(seed, task)
        rng = np.random.default_rng(seed + 50)
        leak = PLANTS[plant](answer_of(target), rng)
        found = find_leaks([*views, leak], target, seed=seed)
        assert {c for x in found if x.level == "warning" for c in x.columns} == {"leak"}, [x.what for x in found]
        assert {c for x in found for c in x.columns} == {"leak"}


@pytest.mark.parametrize("task", ["binary", "classes"])
def test_renamed_classes_are_a_copy(task: str) -> None:
    views, target, _ = table(1, task)
    renamed = category("leak", np.char.add("z", shuffled(target.codes, np.random.default_rng(1)).astype(str)))
    (found,) = find_leaks([*views, renamed], target)
    assert (found.kind, found.level, found.columns) == ("copy", "warning", ("leak",))
    assert "Cramer's V 1.0000" in found.evidence
    assert "data.columns.leak.use=false" in found.advice


def test_a_finer_category_than_the_target_predicts_it() -> None:
    views, target, _ = table(2, "classes")
    rng = np.random.default_rng(0)
    finer = category("sub_grade", target.codes * 10 + rng.integers(0, 10, N))
    (found,) = find_leaks([*views, finer], target)
    assert (found.kind, found.level, found.columns) == ("predicts", "warning", ("sub_grade",))
    assert found.score is not None and found.score > 0.995


def test_an_emptiness_that_tells_the_target_is_named() -> None:
    views, target, _ = table(3, "binary")
    rng = np.random.default_rng(0)
    paid = number("closed_on", np.where(target.codes == 1, rng.normal(size=N), np.nan))
    found = find_leaks([*views, paid], target)
    assert [x.columns for x in found] == [("closed_on",)]
    assert "whether the cell is empty says as much" in found[0].evidence


def test_numbers_that_add_up_to_the_target_are_found() -> None:
    rng = np.random.default_rng(4)
    casual, registered = rng.gamma(2, 30, N), rng.gamma(3, 60, N)
    others = [number(f"n{k}", rng.normal(size=N)) for k in range(10)]
    target = number("count", casual + registered)
    found = find_leaks([*others, number("casual", casual), number("registered", registered)], target)
    assert [(x.kind, x.level, set(x.columns)) for x in found] == [("sum", "warning", {"casual", "registered"})]


@pytest.mark.parametrize("task", ["binary", "classes", "regression"])
def test_clean_tables_raise_no_alarm(task: str) -> None:
    for seed in range(8):
        views, target, _ = table(seed, task)
        assert find_leaks(views, target, seed=seed) == []


def test_a_key_predicts_nothing_but_one_that_counts_a_sorted_file_does() -> None:
    rng = np.random.default_rng(5)
    answer = Wanted("y", classes=rng.integers(0, 2, N))
    fold = halves(N, rng)
    assert score(category("key", rng.permutation(N)), answer, fold) == 0.5
    value = Wanted("y", numbers=rng.normal(size=N))
    assert score(category("key", rng.permutation(N)), value, fold) < 0.01
    ordered = category("y", np.arange(N) >= N // 3)
    found = find_leaks([number("row_id", np.arange(N))], ordered)
    assert {x.kind for x in found} >= {"order"}
    assert any(x.columns == ("row_id",) and x.level == "warning" for x in found)


@pytest.mark.parametrize("task", ["binary", "classes", "regression"])
def test_a_file_sorted_by_its_target_is_named(task: str) -> None:
    views, target, _ = table(6, task)
    order = np.argsort(answer_of(target), kind="stable")
    (found,) = find_leaks([v.take(order) for v in views], target.take(order))
    assert (found.kind, found.level) == ("order", "warning")


def test_alike_neighbours_are_worth_a_look_and_a_shuffled_file_is_not() -> None:
    rng = np.random.default_rng(7)
    walk = number("price", np.cumsum(rng.normal(size=N)) + 0.1 * rng.normal(size=N))
    found = [x for x in find_leaks([number("noise", rng.normal(size=N))], walk) if x.kind == "order"]
    assert [x.level for x in found] == ["look"]
    assert "split.how=time" in found[0].advice
    assert find_leaks([number("noise", rng.normal(size=N))], walk.take(rng.permutation(N))) == []


def test_rows_of_one_group_that_share_their_target_are_worth_a_look() -> None:
    rng = np.random.default_rng(8)
    patient = rng.integers(0, 250, N)
    sick = rng.random(250) < 0.4
    target = category("y", np.where(rng.random(N) < 0.05, ~sick[patient], sick[patient]))
    columns = [category("patient", patient, "text"), number("noise", rng.normal(size=N))]
    (found,) = find_leaks(columns, target)
    assert (found.kind, found.level, found.columns) == ("group", "look", ("patient",))
    assert "split.group=patient" in found.advice


def test_a_smooth_whole_number_is_no_group() -> None:
    rng = np.random.default_rng(9)
    year = rng.integers(1800, 2000, N)
    assert [x for x in find_leaks([number("year", year)], number("y", year / 100 + rng.normal(0, 0.2, N)))] == []


def test_copies_across_parts_are_counted() -> None:
    rng = np.random.default_rng(10)
    parts = np.array(["train"] * 700 + ["valid"] * 100 + ["test"] * 200)
    frame = pl.DataFrame({"a": rng.normal(size=1000), "b": rng.integers(0, 9, 1000), "y": rng.integers(0, 2, 1000)})
    assert duplicates_across(frame, parts, ["y"]) == []
    copied = pl.concat([frame[:800], frame[:20].with_columns(y=1 - pl.col("y")), frame[820:]])
    (found,) = duplicates_across(copied, parts, ["y"])
    assert (found.kind, found.level, found.score) == ("duplicates", "warning", 0.1)
    assert found.what.startswith("20 of 200 rows of the test part")
    coarse = frame.select("b", "y")
    assert {x.level for x in duplicates_across(coarse, parts, ["y"])} == {"look"}, "coarse rows repeat by nature"


def test_degenerate_targets_are_passed_over() -> None:
    rng = np.random.default_rng(11)
    columns = [number("x", rng.normal(size=N))]
    assert find_leaks(columns, category("y", np.zeros(N))) == []
    assert find_leaks(columns, number("y", np.ones(N))) == []
    assert find_leaks(columns, number("y", np.full(N, np.nan))) == []
    assert find_leaks([number("x", np.arange(20.0))], number("y", np.arange(20.0))) == [], "too few rows to say"


def test_rows_without_a_target_do_not_count() -> None:
    views, target, _ = table(12, "regression")
    gaps = target.numbers.copy()
    gaps[::3] = np.nan
    leak = number("leak", np.where(np.isnan(gaps), 0.0, gaps))
    assert [x.columns for x in find_leaks([*views, leak], number("y", gaps))] == [("leak",)]


def test_the_check_does_not_hang_on_the_order_of_columns_or_on_numpys_own_state() -> None:
    views, target, _ = table(13, "classes")
    views.append(number("leak", target.codes + 0.1))
    first = [x.as_dict() for x in find_leaks(views, target, seed=3)]
    np.random.seed(99)
    assert [x.as_dict() for x in find_leaks(views[::-1], target, seed=3)] == first


def test_a_suspect_is_plain_json() -> None:
    leak = Leak("copy", "warning", ("a",), "what", "evidence", "advice", 0.5)
    assert leak.as_dict() == {
        "kind": "copy",
        "level": "warning",
        "columns": ["a"],
        "what": "what",
        "evidence": "evidence",
        "advice": "advice",
        "score": 0.5,
    }
