"""Parts share no row, no group and no copy; shares, classes and times come out as asked; only the seed decides."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpid.core.errors import DataError, LimpidError, RequestError
from limpid.core.spec import parse
from limpid.data.split import Parts, SplitSpec, resolve, split, split_files


def part_of(parts: Parts, rows: int) -> np.ndarray:
    """The part of each row; fails where a row is in none or in two."""
    part = np.full(rows, -1)
    for number, index in enumerate((parts.train, parts.valid, parts.test)):
        assert index.dtype == np.int64 and (np.diff(index) > 0).all()
        assert (part[index] == -1).all()
        part[index] = number
    assert (part >= 0).all()
    return part


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(3, 300),
    seed=st.integers(0, 2**31),
    valid=st.sampled_from([0.0, 0.1, 0.15, 0.3]),
    test=st.sampled_from([0.0, 0.15, 0.4]),
    how=st.sampled_from(["random", "stratified", "group", "time"]),
    spread=st.integers(1, 40),
    copies=st.booleans(),
)
def test_every_way_divides_without_sharing(
    rows: int, seed: int, valid: float, test: float, how: str, spread: int, copies: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, spread, rows)
    group = pl.Series("g", [f"g{k}" if k else None for k in rng.integers(0, spread + 3, rows)])
    time = pl.Series("t", [int(k) if k else None for k in rng.integers(0, spread + 5, rows)])
    together = rng.integers(-1, rows, rows) if copies else None
    names = {"group": "g", "time": "t"}
    spec = SplitSpec(how=how, valid=valid, test=test, **{how: names[how]} if how in names else {})
    given_ = {"target": labels, "group": group, "time": time, "together": together}
    try:
        parts = split(spec, rows, seed, **given_)
    except DataError:
        assert rows < 3 or how in ("group", "time") or copies
        return
    part = part_of(parts, rows)
    again = split(spec, rows, seed, **given_)
    assert all(np.array_equal(getattr(parts, p), getattr(again, p)) for p in ("train", "valid", "test"))
    assert len(parts.train) and bool(len(parts.test)) <= (test > 0) and bool(len(parts.valid)) <= (valid > 0)
    if together is not None:
        for one in np.unique(together[together >= 0]):
            assert len(set(part[together == one])) == 1
    if how == "group":
        for name in set(group.drop_nulls()):
            assert len(set(part[(group == name).fill_null(False).to_numpy()])) == 1
    if how == "time" and together is None:
        moments = time.fill_null(-1).to_numpy()
        for earlier, later in ((0, 1), (1, 2), (0, 2)):
            a, b = moments[(part == earlier) & (moments >= 0)], moments[(part == later) & (moments >= 0)]
            assert not len(a) or not len(b) or a.max() < b.min()
        assert (part[moments < 0] == 0).all()


def test_shares_are_exact_for_single_rows() -> None:
    for how in ("random", "stratified"):
        parts = split(SplitSpec(how=how), 1000, 7, target=np.arange(1000) % 7)
        assert (len(parts.train), len(parts.valid), len(parts.test)) == (700, 150, 150)


def test_each_class_gets_its_share_to_within_one_row() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat(np.array(["a", "b", "c", "d"]), [700, 250, 43, 7])
    rng.shuffle(target)
    parts = split(SplitSpec(how="stratified"), 1000, 3, target=target)
    for name in "abcd":
        count = (target == name).sum()
        for index in (parts.valid, parts.test):
            assert abs((target[index] == name).sum() - 0.15 * count) <= 1.0
    assert len(parts.test) == len(parts.valid) == 150


def test_a_class_of_one_row_is_trained_on_and_said() -> None:
    target = np.array(["usual"] * 200 + ["other"] * 60 + ["single", "lonely"])
    for seed in range(20):
        parts = split(SplitSpec(how="stratified"), len(target), seed, target=target)
        assert {260, 261} <= set(parts.train.tolist())
    assert any("2 classes have a single row" in n for n in parts.notes)


def test_every_class_keeps_a_row_to_train_on() -> None:
    target = np.repeat(np.arange(100), 2)
    parts = split(SplitSpec(how="stratified", valid=0.3, test=0.3), 200, 0, target=target)
    assert set(target[parts.train]) == set(range(100))


def test_numbers_are_stratified_in_bins() -> None:
    target = np.random.default_rng(0).exponential(size=4000)
    parts = split(SplitSpec(how="stratified"), 4000, 0, target=target)
    for edge in np.quantile(target, [0.1, 0.5, 0.9]):
        assert abs((target[parts.test] < edge).mean() - (target < edge).mean()) < 0.002


def test_classes_come_out_independent_of_the_order_of_rows() -> None:
    target = np.sort(np.arange(900) % 3)
    parts = split(SplitSpec(how="random"), 900, 1)
    assert all(30 < (target[parts.test] == k).sum() < 60 for k in range(3)), "a sorted file is still mixed"


def test_only_the_seed_decides() -> None:
    first = split(SplitSpec(), 500, 11)
    np.random.seed(5)
    assert np.array_equal(first.test, split(SplitSpec(), 500, 11).test)
    assert not np.array_equal(first.test, split(SplitSpec(), 500, 12).test)
    # Stands for other machines and versions of numpy: a run of today replays tomorrow.
    assert first.test[:5].tolist() == GOLDEN


GOLDEN = [10, 20, 23, 24, 35]


def test_latest_rows_test_and_ties_stay_together() -> None:
    start = datetime(2024, 1, 1)
    days = np.random.default_rng(0).integers(0, 100, 1000)
    time = pl.Series("when", [start + timedelta(days=int(d)) for d in days])
    parts = split(SplitSpec(time="when"), 1000, 0, time=time)
    assert parts.how == "time"
    assert days[parts.train].max() < days[parts.valid].min() and days[parts.valid].max() < days[parts.test].min()
    assert abs(len(parts.test) - 150) <= 10 and abs(len(parts.valid) - 150) <= 10
    same = split(SplitSpec(time="when"), 1000, 99, time=time)
    assert np.array_equal(parts.test, same.test), "time knows no chance"


def test_copies_over_time_go_to_the_earliest() -> None:
    together = np.full(100, -1)
    together[[3, 97]] = 5
    parts = split(SplitSpec(time="t"), 100, 0, time=pl.Series("t", np.arange(100)), together=together)
    assert {3, 97} <= set(parts.train.tolist())
    assert any("1 later copies" in n for n in parts.notes)


def test_a_time_that_is_text_is_refused() -> None:
    with pytest.raises(DataError, match="is text"):
        split(SplitSpec(time="t"), 3, 0, time=pl.Series("t", ["a", "b", "c"]))


@pytest.mark.parametrize("sizes", [[1] * 100, [5] * 200, [400, 300, 300], [900, 40, 60], [1, 1, 1], [500] + [1] * 500])
def test_groups_of_any_size_fill_every_part(sizes: list[int]) -> None:
    group = pl.Series("g", np.repeat(np.arange(len(sizes)), sizes))
    parts = split(SplitSpec(group="g"), len(group), 0, group=group)
    assert len(parts.train) and len(parts.valid) and len(parts.test)
    if max(sizes) < 10 and len(sizes) > 50:
        assert abs(len(parts.test) - 0.15 * len(group)) <= max(sizes)
    if sizes[0] == 500:
        assert set(range(500)) <= set(parts.train.tolist()) and len(parts.test) == 150


def test_chains_of_groups_and_copies_stay_whole() -> None:
    # Copies tie group 0 to group 1, group 1 to group 2, and so on, to one large unit; the other rows stand alone.
    group = pl.Series("g", [*np.repeat(np.arange(20), 2), *range(100, 300)])
    together = np.full(240, -1)
    together[1:39] = np.repeat(np.arange(19), 2)
    parts = split(SplitSpec(group="g"), 240, 0, group=group, together=together)
    part = part_of(parts, 240)
    assert len(set(part[:40])) == 1


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows(rows: int) -> None:
    with pytest.raises(DataError, match="too few"):
        split(SplitSpec(), rows, 0)


def test_too_few_groups() -> None:
    with pytest.raises(DataError, match="2 groups, too few"):
        split(SplitSpec(group="g"), 10, 0, group=pl.Series("g", [0, 1] * 5))


def test_files_that_were_given_leave_the_rest_to_the_training_file() -> None:
    both = split_files(SplitSpec(), 50, 0, valid_given=True, test_given=True)
    assert both.how == "files" and len(both.train) == 50 and not len(both.valid) and not len(both.test)
    one = split_files(SplitSpec(how="files"), 100, 0, valid_given=False, test_given=True, target=np.arange(100) % 2)
    assert one.how == "stratified" and (len(one.train), len(one.valid), len(one.test)) == (85, 15, 0)


@pytest.mark.parametrize(
    ("asked", "classes", "files", "how"),
    [
        ({}, True, False, "stratified"),
        ({}, False, False, "random"),
        ({"group": "g"}, True, False, "group"),
        ({"time": "t"}, True, False, "time"),
        ({}, True, True, "files"),
    ],
)
def test_auto_is_decided_with_a_reason(asked: dict[str, str], classes: bool, files: bool, how: str) -> None:
    spec, because = resolve(SplitSpec(**asked), classes=classes, files=files)
    assert spec.how == how and because["how"]
    assert resolve(spec, classes=classes) == (spec, {})


@pytest.mark.parametrize(
    "asked", [{"how": "group"}, {"how": "time"}, {"group": "g", "time": "t"}, {"how": "random", "group": "g"}]
)
def test_contradictions_are_refused(asked: dict[str, str]) -> None:
    with pytest.raises(RequestError):
        resolve(SplitSpec(**asked), classes=True)


@pytest.mark.parametrize("asked", [{"valid": 0.6, "test": 0.5}, {"valid": -0.1}, {"test": 1}, {"tset": 0.2}])
def test_impossible_shares_are_refused(asked: dict[str, float]) -> None:
    with pytest.raises(LimpidError) as caught:
        parse(SplitSpec, asked, where="split")
    assert "split" in caught.value.where


def test_very_many_rows_are_divided_by_chance(monkeypatch):
    module = sys.modules["limpid.data.split"]
    monkeypatch.setattr(module, "_MANY", 50_000)
    monkeypatch.setattr(module, "_DRAWN", 7_001)
    parts = split(SplitSpec(how="stratified"), 200_000, 3, target=np.arange(200_000) % 4)
    assert sorted(np.concatenate([parts.train, parts.valid, parts.test]).tolist()) == list(range(200_000))
    assert abs(len(parts.test) / 200_000 - 0.15) < 0.005 and abs(len(parts.valid) / 200_000 - 0.15) < 0.005
    assert np.abs(np.bincount(parts.test % 4) / len(parts.test) - 0.25).max() < 0.01
    again = split(SplitSpec(how="stratified"), 200_000, 3, target=np.arange(200_000) % 4)
    assert np.array_equal(parts.test, again.test)
    other = split(SplitSpec(how="stratified"), 200_000, 4, target=np.arange(200_000) % 4)
    assert not np.array_equal(parts.test, other.test)
