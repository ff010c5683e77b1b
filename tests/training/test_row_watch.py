"""The course of single examples: what is recorded, what is dropped, and how it is sorted out."""

import numpy as np
import pytest

from limpid.training import row_watch
from limpid.training.row_watch import MOST_PASSES, RowWatch, hardest, sorted_out


def record(watch, passes, losses, right=None, rows=None):
    """Every row at each of `passes`; losses(p, index) gives the values."""
    index = np.arange(rows or 6)
    for p in range(passes):
        if watch.wants(p):
            told = None if right is None else np.asarray(right(p, index))
            watch.saw(p, index, np.asarray(losses(p, index), dtype=np.float32), told)


def test_few_passes_are_all_kept():
    watch = RowWatch(6)
    record(watch, 5, lambda p, i: p + i / 8.0, right=lambda p, i: i < p)
    found = watch.concluded(None)
    assert found["passes"] == [1, 2, 3, 4, 5]
    hard = found["hardest"][0]
    assert (hard.place, hard.losses, hard.right) == (5, [0.625, 1.625, 2.625, 3.625, 4.625], [False] * 5)
    assert found["right"] == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6])


def test_many_passes_are_thinned_evenly_and_memory_stays():
    watch = RowWatch(6)
    record(watch, 100, lambda p, i: np.full(6, float(p)))
    found = watch.concluded(1e9)
    assert watch._losses.shape == (MOST_PASSES, 6)
    assert MOST_PASSES // 2 <= len(found["passes"]) <= MOST_PASSES
    assert len(set(np.diff(found["passes"]))) == 1
    assert found["passes"][0] == 1 and found["passes"][-1] > 90
    assert found["hardest"][0].losses == [p - 1 for p in found["passes"]]


def test_of_very_many_rows_evenly_spread_ones_are_watched(monkeypatch):
    monkeypatch.setattr(row_watch, "MOST_ROWS", 10)
    watch = RowWatch(95)
    assert watch.wants(0)
    for start in range(0, 95, 7):
        index = np.arange(start, min(start + 7, 95))
        watch.saw(0, index, index.astype(np.float32), None)
    found = watch.concluded(1.0)
    assert (found["watched"], found["rows"]) == (10, 95)
    assert [c.place for c in found["hardest"]] == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]
    assert [c.losses for c in found["hardest"]] == [[float(p)] for p in range(90, -1, -10)]


def test_a_pass_that_was_cut_short_takes_nothing_from_those_before():
    watch = RowWatch(4)
    for p, index in ((0, [0, 1, 2, 3]), (1, [0, 1, 2, 3]), (2, [0, 1, 2, 3]), (3, [2])):
        assert watch.wants(p)
        watch.saw(p, np.array(index), np.full(len(index), float(p)), np.array([i < 2 for i in index]))
    found = watch.concluded(None)
    assert found["always"] == 0.5 and found["never"] == 0.5
    assert next(c for c in found["hardest"] if c.place == 0).losses == [0, 1, 2, None]


def test_losses_that_are_not_numbers_are_passed_over():
    watch = RowWatch(3)
    assert watch.wants(0)
    watch.saw(0, np.arange(3), np.array([np.nan, 2.0, 1e30]), None)
    found = watch.concluded(1.0)
    assert [c.place for c in found["hardest"]] == [2, 1]
    assert found["right"] == [0.0]


def test_hardness_is_the_mean_of_the_later_half():
    losses = np.array([[9.0, 0.0], [9.0, 0.0], [1.0, 4.0], [3.0, 8.0]])
    assert hardest(losses, np.ones((4, 2), bool)).tolist() == [2.0, 6.0]
    seen = np.array([[True, True], [True, True], [True, False], [True, False]])
    assert hardest(losses, seen).tolist() == [2.0, -np.inf]


def test_examples_are_sorted_out_as_defined():
    rows = {
        "always": "RRRRRR",
        "early": "WRRRRR",
        "late": "WWWWRR",
        "fell at last": "RRRRRW",
        "fell twice": "RWRWRR",
        "fell once and came back": "RWRRRR",
        "never": "WWWWWW",
    }
    right = np.array([[c == "R" for c in line] for line in rows.values()]).T
    found = sorted_out(right, np.ones_like(right))
    named = {
        kind: [n for n, yes in zip(rows, found[kind], strict=True) if yes]
        for kind in ("always", "late", "forgotten", "never")
    }
    assert named == {
        "always": ["always"],
        "late": ["late"],
        "forgotten": ["fell at last", "fell twice"],
        "never": ["never"],
    }
    assert found["forgotten_by"].tolist() == [0, 0, 0, 1, 2, 1, 0]
    assert found["late_by"].tolist() == [0, 1, 4, 1, 2, 1, 6]


def test_state_and_tensors_restore_a_watch():
    whole, first = RowWatch(6), RowWatch(6)
    record(whole, 40, lambda p, i: p * 1.0 + i, right=lambda p, i: i < p)
    record(first, 20, lambda p, i: p * 1.0 + i, right=lambda p, i: i < p)
    again = RowWatch(6)
    again.restore(first.state(), {name: a.copy() for name, a in first.arrays().items()})
    for p in range(20, 40):
        if again.wants(p):
            index = np.arange(6)
            again.saw(p, index, p * 1.0 + index, index < p)
    assert again.concluded(None) == whole.concluded(None)


@pytest.mark.parametrize("passes", [list(range(99)), ["x"]])
def test_a_state_of_something_else_is_refused(passes):
    with pytest.raises(ValueError, match=r"99 passes|invalid literal"):
        RowWatch(6).restore({"passes": passes, "every": 1}, RowWatch(6).arrays())
