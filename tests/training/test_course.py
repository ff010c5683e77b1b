"""The end of a schedule that the clock moves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.training.clock import Clock
from limpid.training.course import Course


def test_a_course_that_nobody_moved_is_the_plan() -> None:
    course = Course(100)
    assert [course.place(step) for step in (0, 1, 99, 100)] == [0.0, 1.0, 99.0, 100.0]
    assert course.end == 100


def test_the_rest_of_the_plan_is_compressed_into_the_steps_that_fit() -> None:
    course = Course(100)
    assert course.fit(40, 30)
    assert course.end == 70
    assert course.place(40) == 40.0
    assert course.place(55) == pytest.approx(70.0)
    assert course.place(70) == 100.0


def test_the_end_moves_back_when_the_machine_is_fast_again_and_never_beyond_the_plan() -> None:
    course = Course(100)
    course.fit(20, 30)
    place = course.place(30)
    assert course.fit(30, 500)
    assert course.end == 100
    assert course.place(30) == pytest.approx(place)
    assert course.place(100) == 100.0
    assert course.place(65) == pytest.approx(place + (100 - place) / 2)


def test_small_differences_are_left_alone() -> None:
    course = Course(1000)
    assert not course.fit(100, 890)
    assert course.turns == []
    assert course.fit(100, 870)


def test_no_room_ends_the_training_with_the_next_step() -> None:
    course = Course(1000)
    course.fit(100, -5)
    assert course.end == 101


def test_a_turn_at_a_step_that_was_rolled_back_is_replaced() -> None:
    course = Course(100)
    course.fit(60, 20)
    course.fit(40, 50)
    assert course.turns == [(40, 90)]


@given(
    st.integers(min_value=1, max_value=5000),
    st.lists(st.tuples(st.integers(min_value=0, max_value=5000), st.integers(min_value=-10, max_value=6000))),
)
def test_places_never_go_back_and_always_end_at_the_plan(steps: int, moves: list[tuple[int, int]]) -> None:
    course = Course(steps)
    for step, room in sorted(moves):
        course.fit(step, room)
    assert course.end <= steps
    places = [course.place(step) for step in range(course.end + 1)]
    assert all(b > a for a, b in pairwise(places))
    assert places[0] == 0.0
    assert places[-1] == pytest.approx(float(steps))
    assert Course(steps, course.turns).place(course.end // 2) == course.place(course.end // 2)


def test_the_room_is_what_is_left_without_looks_and_saves() -> None:
    now = [0.0]
    clock = Clock(100.0, 60.0, now=lambda: now[0])
    assert clock.room(1) is None
    for _ in range(20):
        now[0] += 0.5
        clock.step_took(0.4, 10)
    now[0] += 10.0
    clock.validation_took(10.0)
    assert clock.room(5) == 60  # 80 s are left, looks take 50, and a step half a second with all that comes with it
    assert Clock(None, 60.0).room(5) is None
