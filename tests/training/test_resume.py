"""A training that is cut off at any moment ends with the bits of one that was not."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from training_doubles import Classes, Heard, fingerprint, rows, settings, small

from limpid.core.errors import RunError
from limpid.core.events import CheckpointSaved, GuardActed, Noted, TrainingStarted
from limpid.training.checkpoint import Checkpoints
from limpid.training.supervised import fit

pytestmark = pytest.mark.slow

TRAIN, VALID = rows(120, weight=True), rows(50, seed=1)


def run(folder=None, *, resume=False, tell=lambda event: None, model=None, train=TRAIN, seed=0, loss=None, **changes):
    model = model if model is not None else small()
    if changes.pop("past", False):
        names = [n for n, _ in model.named_parameters()]
        model.depths = lambda: [[n for n in names if n.startswith(k)] for k in ("second", "first", "embedding")]
    spec = settings(**{"checkpoint_seconds": 0.0, **changes})
    outcome = fit(model, Classes(), train, VALID, spec, seed=seed, folder=folder, resume=resume, tell=tell, loss=loss)
    return model, outcome


def exploding(at: int):
    """A loss that is not finite once, in a certain call."""
    calls = 0

    def loss(outputs, target):
        nonlocal calls
        calls += outputs.requires_grad
        values = Classes().loss(outputs, target)
        if calls == at and outputs.requires_grad:
            calls += 1
            return values * float("nan")
        return values

    return loss


CASES = {
    "adamw": {},
    "plateau and no average": {"schedule": "plateau", "plateau": 0, "ema": 0.0, "optimiser": "nesterov", "lr": 0.1},
    "muon, one-cycle, small batches": {"optimiser": "muon", "schedule": "one-cycle", "micro_batch": 10},
    "rmsprop, early stopping": {"optimiser": "rmsprop", "patience": 2, "lr": 0.05, "schedule": "constant"},
    "range test": {"lr": "range"},
    "bf16": {"precision": "bf16"},
    "a course that ends early": {"schedule": "one-cycle", "course": ((2, 8), (5, 7))},
    "gradual unfreezing": {"unfreeze": 0.5, "depth_decay": 0.5, "optimiser": "muon", "past": True},
}


@pytest.mark.parametrize("case", CASES)
def test_resumed_from_any_step_it_ends_with_the_same_bits(tmp_path, case):
    changes = {"epochs": 3, **CASES[case]}
    copies = []

    def keep(event):
        if isinstance(event, CheckpointSaved) and event.path.endswith(f"step-{event.step}.json"):
            copies.append(tmp_path / f"copy-{len(copies)}")
            shutil.copytree(tmp_path / "run", copies[-1])

    whole, outcome = run(tmp_path / "run", tell=keep, **changes)
    unsaved, _ = run(**changes)
    assert fingerprint(unsaved) == fingerprint(whole)
    assert len(copies) == outcome.steps
    for copy in copies:
        model, again = run(copy, resume=True, model=small(seed=9), checkpoint_seconds=1e9, **changes)
        assert fingerprint(model) == fingerprint(whole), copy.name
        assert {**asdict(again), "seconds": 0} == {**asdict(outcome), "seconds": 0}


def test_a_roll_back_after_a_resume_goes_to_the_same_place(tmp_path):
    changes = {"epochs": 2, "batch": 10, "micro_batch": 10}  # 12 steps an epoch
    whole, outcome = run(loss=exploding(20), **changes)
    assert outcome.rollbacks == 1
    copies = []

    def keep(event):
        if isinstance(event, CheckpointSaved) and event.step == 16 and not copies:
            copies.append(shutil.copytree(tmp_path / "run", tmp_path / "copy"))

    run(tmp_path / "run", tell=keep, loss=exploding(20), **changes)
    model, again = run(tmp_path / "copy", resume=True, loss=exploding(4), **changes)
    assert again.rollbacks == 1
    assert fingerprint(model) == fingerprint(whole)


def test_how_often_it_saves_does_not_matter(tmp_path):
    often, _ = run(tmp_path / "a", checkpoint_seconds=0.0)
    never, _ = run(tmp_path / "b", checkpoint_seconds=1e9)
    assert fingerprint(often) == fingerprint(never)


def test_a_finished_training_returns_at_once(tmp_path):
    whole, outcome = run(tmp_path)
    heard = Heard()
    model, again = run(tmp_path, resume=True, model=small(seed=4), tell=heard)
    assert fingerprint(model) == fingerprint(whole) and not model.training
    assert {**asdict(again), "seconds": 0} == {**asdict(outcome), "seconds": 0}
    assert not heard.of(TrainingStarted)


def test_a_damaged_checkpoint_is_said_and_the_one_before_is_taken(tmp_path):
    whole, _ = run(tmp_path)
    for path in tmp_path.glob("final.*"):
        path.unlink()
    newest = Checkpoints(tmp_path).names()[0]
    path = tmp_path / f"{newest}.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    heard = Heard()
    model, _ = run(tmp_path, resume=True, tell=heard)
    assert fingerprint(model) == fingerprint(whole)
    notes = [note.text for note in heard.of(Noted) if note.level == "warning"]
    assert len(notes) == 1 and newest in notes[0]


def test_with_every_checkpoint_damaged_it_begins_anew(tmp_path):
    whole, _ = run(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"")
    heard = Heard()
    model, _ = run(tmp_path, resume=True, tell=heard)
    assert fingerprint(model) == fingerprint(whole)
    assert all("begins anew" in note.text for note in heard.of(Noted))


@pytest.mark.parametrize(
    "changes", [{"lr": 0.02}, {"seed": 1}, {"train": rows(120, seed=5, weight=True)}, {"model": small(width=8)}]
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, changes):
    run(tmp_path)
    with pytest.raises(RunError, match="another training"):
        run(tmp_path, resume=True, **changes)


def test_other_saving_is_no_other_training(tmp_path):
    whole, _ = run(tmp_path)
    model, _ = run(tmp_path, resume=True, checkpoint_seconds=77.0)
    assert fingerprint(model) == fingerprint(whole)


def test_old_checkpoints_are_not_overwritten_unasked(tmp_path):
    run(tmp_path)
    with pytest.raises(RunError, match="earlier training"):
        run(tmp_path)


def test_a_disk_that_fails_in_between_changes_nothing_and_is_said(tmp_path, monkeypatch):
    whole, _ = run()
    real, calls = os.fsync, [0]

    def failing(descriptor):
        calls[0] += 1
        if 5 < calls[0] < 12:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("limpid.core.files.os.fsync", failing)
    heard = Heard()
    model, _ = run(tmp_path, tell=heard)
    assert fingerprint(model) == fingerprint(whole)
    acted = [e for e in heard.of(GuardActed) if e.guard == "checkpoint"]
    assert acted and "No space left" in acted[0].what
    assert Checkpoints(tmp_path).newest()[0].name == "final"


def test_interrupted_on_a_full_disk_it_does_not_claim_to_have_saved(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    def interrupt(event):
        if isinstance(event, TrainingStarted):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("limpid.core.files.os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        run(tmp_path, tell=interrupt)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(tmp_path, number):
    whole, _ = run()

    def interrupt(event):
        if isinstance(event, CheckpointSaved) and event.step == 7:
            signal.raise_signal(number)

    model, outcome = run(tmp_path, tell=interrupt)
    assert outcome.stopped == "interrupted" and outcome.steps == 7 and not model.training
    model, outcome = run(tmp_path, resume=True, model=small(seed=3))
    assert outcome.stopped == "epochs" and fingerprint(model) == fingerprint(whole)


def test_interrupted_in_a_validation_it_is_done_after_the_resume(tmp_path, monkeypatch):
    from limpid.training.judge import Judge

    whole, _ = run()
    real, calls = Judge._pass, [0]

    def interrupted(self, model, size):
        calls[0] += 1
        if calls[0] == 2:
            signal.raise_signal(signal.SIGTERM)
        return real(self, model, size)

    monkeypatch.setattr(Judge, "_pass", interrupted)
    _, outcome = run(tmp_path, checkpoint_seconds=1e9)
    assert outcome.stopped == "interrupted" and (outcome.steps, outcome.epochs) == (8, 1)
    model, _ = run(tmp_path, resume=True, model=small(seed=3))
    assert fingerprint(model) == fingerprint(whole)


def test_interrupted_in_the_range_test_nothing_is_kept_of_it(tmp_path):
    whole, _ = run(lr="range")
    signalled = []

    def loss(outputs, target):
        if not signalled:
            signalled.append(True)
            signal.raise_signal(signal.SIGINT)
        return Classes().loss(outputs, target)

    _, outcome = run(tmp_path, lr="range", loss=loss)
    assert outcome.stopped == "interrupted" and outcome.steps == 0
    model, _ = run(tmp_path, lr="range", resume=True)
    assert fingerprint(model) == fingerprint(whole)


def test_a_second_interrupt_ends_it_at_once():
    def loss(outputs, target):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return Classes().loss(outputs, target)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(loss=loss)
    assert signal.getsignal(signal.SIGINT) is before


# The parent imports torch once and computes nothing, so its forks are clean; each of them is killed or ends by itself.
CHILD = """
import os, random, signal, sys, time
from pathlib import Path
from training_doubles import Classes, fingerprint, rows, settings, small
from limpid.training.supervised import fit

folder, kills, number = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(7)

def train(where):
    model = small(width=32)
    spec = settings(epochs=4, batch=8, micro_batch=8, checkpoint_seconds=0.05)
    outcome = fit(model, Classes(), rows(240), rows(60, seed=1), spec, seed=3, folder=where, resume=True)
    if outcome.stopped == "interrupted":
        os._exit(3)
    where.with_suffix(".hash").write_text(fingerprint(model))

def start(where):
    child = os.fork()
    if child == 0:
        try:
            train(where)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(9)
    return child

began = time.monotonic()
status = os.waitpid(start(folder / "whole"), 0)[1]
length = time.monotonic() - began
print("whole", status, flush=True)
for n in range(kills):
    child = start(folder / f"killed-{n}")
    time.sleep(draw.uniform(0.05, 0.9) * length)
    os.kill(child, number)
    asked = time.monotonic()
    first = os.waitpid(child, 0)[1]
    took = time.monotonic() - asked
    print("killed", os.waitstatus_to_exitcode(first), took < 10, flush=True)
    print("resumed", os.waitstatus_to_exitcode(os.waitpid(start(folder / f"killed-{n}"), 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("number", "kills"), [(signal.SIGKILL, 5), (signal.SIGTERM, 1)])
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path, number, kills):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), *[p for p in sys.path if p]])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path), str(kills), str(int(number))],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    lines = done.stdout.split("\n")
    assert done.returncode == 0, done.stderr
    assert lines[0] == "whole 0", done.stderr
    assert lines.count("resumed 0") == kills, done.stdout + done.stderr
    ended = {line for line in lines if line.startswith("killed")}
    # A child may have been done before its turn came (0).
    expected = -9 if number == signal.SIGKILL else 3
    assert ended <= {f"killed {expected} True", "killed 0 True"} and f"killed {expected} True" in ended
    whole = (tmp_path / "whole.hash").read_text()
    assert {(tmp_path / f"killed-{n}.hash").read_text() for n in range(kills)} == {whole}
