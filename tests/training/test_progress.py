"""What a person sees while a network is trained."""

import io
import sys

import pytest
from rich.console import Console
from training_doubles import Classes, rows, settings, small

from limpid.core.events import (
    EpochEnded,
    GuardActed,
    Noted,
    StageEnded,
    StageStarted,
    StepEnded,
    TrainingEnded,
    TrainingStarted,
)
from limpid.training.progress import Progress, duration, number
from limpid.training.supervised import fit


def started(epochs: int) -> TrainingStarted:
    return TrainingStarted(1000, 10 * epochs, 10, epochs, 0, 1234, "cpu", "fp32", "roc_auc", True)


def epoch(n: int, metric: float = 0.9, best: bool = False) -> EpochEnded:
    return EpochEnded(n, 10 * n, 0.5, 0.6, metric, best, 0.001, 1.0, 0.01, 5000.0, float(n))


def play(events, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, highlight=False, color_system=None)
    with Progress(console=console) as progress:
        for event in events:
            progress(event)
    return out.getvalue()


def story(epochs: int, last: int):
    return [
        started(epochs),
        *[epoch(n, 0.8 + n / 1e4, best=True) for n in range(1, last + 1)],
        TrainingEnded("early", 10 * last, last, last, 0.8 + last / 1e4, 95.0),
    ]


@pytest.mark.parametrize(("epochs", "last"), [(3, 3), (20, 20), (1000, 1000), (1000, 517), (41, 41)])
def test_plain_lines_are_at_most_twenty_and_the_last(epochs, last):
    lines = play(story(epochs, last), terminal=False).splitlines()
    shown = [line for line in lines if line.startswith("epoch ")]
    assert len(shown) <= 22
    assert shown[0].startswith(f"epoch 1/{epochs} ") and shown[-1].startswith(f"epoch {last}/{epochs} ")
    assert len(set(shown)) == len(shown)
    assert lines[0].startswith("training: 1,000 rows") and "1,234 parameters" in lines[0]
    assert "stopped early" in lines[-1] and "1 min 35 s" in lines[-1] and f"epoch {last:,}" in lines[-1]


def test_a_log_says_what_follows_the_training_and_only_that():
    before = [StageStarted("encode", "1,000 rows"), StageEnded("encode", 1.0)]
    after = [StageStarted("folds", "network 1 of 5"), StageStarted("folds", "network 2 of 5"), StageStarted("save")]
    lines = play([*before, *story(3, 3), *after], terminal=False).splitlines()
    assert lines[0].startswith("training: ")
    assert lines[-2:] == ["folds: network 1 of 5", "folds: network 2 of 5"]
    assert "folds: network 2 of 5" in play([*story(3, 3), *after], terminal=True)


def test_plain_lines_hold_no_control_characters():
    assert "\x1b" not in play(story(5, 5), terminal=False)


def test_the_live_line_names_what_matters():
    step = StepEnded(7, 3, 0.4321, 0.0012, 152_000.0, 12.0, 31.4)
    text = play([started(60), epoch(1, 0.95, best=True), epoch(2, 0.91), step], terminal=True)
    for part in ("epoch 3/60", "loss 0.4321", "roc_auc 0.91 (best 0.95)", "rate 0.0012", "152,000 rows/s", "31 s left"):
        assert part in text
    assert text.count("\n") <= 2  # one live line, no scroll


def test_guards_and_warnings_are_shown_and_details_are_not():
    events = [
        GuardActed("not finite", 7, "the loss is not finite", "back to step 0"),
        Noted("warning", "a column [named] like markup"),
        Noted("info", "nothing to see"),
        StageStarted("encode"),
        StageEnded("encode", 1.0),
    ]
    text = play(events, terminal=False)
    assert "the loss is not finite (step 7): back to step 0" in text
    assert "a column [named] like markup" in text
    assert "nothing to see" not in text and "encode" not in text
    assert "encode" in play(events, terminal=True)


def test_quiet_shows_nothing(capsys):
    with Progress(quiet=True) as progress:
        for event in [*story(3, 3), Noted("warning", "x")]:
            progress(event)
    assert capsys.readouterr() == ("", "")


def test_a_real_training_is_shown_on_stderr_alone(capsys):
    with Progress(console=Console(file=sys.stderr)) as progress:
        fit(small(), Classes(), rows(60), rows(30, seed=1), settings(), seed=0, tell=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("trained: 4 epochs, 8 steps")


def test_without_a_score_it_still_speaks():
    events = [started(2), epoch(1, float("nan")), TrainingEnded("budget", 10, 1, 0, float("nan"), 3.0)]
    text = play(events, terminal=False)
    assert "nan" not in text and "the budget is used up" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.92714, "0.9271"), (47312.4, "47,312"), (1.5e-6, "1.50e-06"), (float("inf"), "-"), (-0.25, "-0.25")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.6, "60 s"), (61, "1 min 01 s"), (7380, "2 h 03 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
