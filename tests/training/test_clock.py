"""What depends on the time, with a time of our own."""

import pytest

from limpid.training.clock import Clock


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.value = 100.0

    def __call__(self) -> float:
        return self.value


def test_without_a_deadline_it_never_stops():
    now = Time()
    clock = Clock(None, 30, now)
    clock.step_took(1e9, 10)
    now.value = 1e12
    assert not clock.must_stop(valid_to_train=1.0)


def test_it_stops_when_step_and_validation_no_longer_fit():
    now = Time()
    clock = Clock(110.0, 30, now)
    assert not clock.must_stop(valid_to_train=1.0)  # one step is always done
    for _ in range(10):
        clock.step_took(0.1, 10)
    clock.validation_took(2.0)
    now.value = 107.3
    assert not clock.must_stop(valid_to_train=1.0)
    now.value = 107.5
    assert clock.must_stop(valid_to_train=1.0)


def test_a_first_validation_is_guessed_from_the_steps():
    now = Time()
    clock = Clock(110.0, 30, now)
    clock.step_took(1.0, 10)
    now.value = 100.0
    assert not clock.must_stop(valid_to_train=10.0)  # 1.25 * (1 + 5) s
    assert clock.must_stop(valid_to_train=20.0)


def test_the_first_step_does_not_count_once_there_is_a_second():
    clock = Clock(1e9, 30, Time())
    clock.step_took(50.0, 10)
    clock.step_took(0.1, 10)
    assert clock.seconds_left(10) == pytest.approx(1.0)
    assert clock.rate == pytest.approx(100.0)


def test_saves_are_due_by_time_and_a_little_earlier_at_the_end_of_an_epoch():
    now = Time()
    clock = Clock(None, 30, now)
    now.value += 16
    assert not clock.save_is_due(epoch_ended=False)
    assert clock.save_is_due(epoch_ended=True)
    now.value += 15
    assert clock.save_is_due(epoch_ended=False)
    clock.save_took(0.5)
    assert not clock.save_is_due(epoch_ended=False)


def test_reports_come_four_times_a_second_at_most():
    now = Time()
    clock = Clock(None, 30, now)
    due = 0
    for _ in range(1000):
        now.value += 0.01
        due += clock.report_is_due()
    assert 35 <= due <= 41


def test_time_left_ends_at_the_deadline():
    now = Time()
    clock = Clock(105.0, 30, now)
    assert clock.seconds_left(10) is None
    clock.step_took(1.0, 10)
    assert clock.seconds_left(3) == pytest.approx(3.0)
    assert clock.seconds_left(300) == pytest.approx(5.0)
    now.value = 200.0
    assert clock.seconds_left(300) == 0.0
