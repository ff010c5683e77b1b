"""Careless commands end to end: exit status 2 and four parts, or an answer with every repair said; never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from limpid import cli

pytestmark = pytest.mark.slow

TINY = "--set train.epochs=1 --set evaluate.baselines=false --set net.name=mlp --set net.width=8 --set net.depth=1"
TINY += " --set train.threads=1 --set train.precision=fp32 --set train.batch=32 --set train.folds=0"
Run = Callable[[str], tuple[int, str, str]]


def table(rows: int = 80) -> pl.DataFrame:
    g = np.random.default_rng(0)
    a = g.normal(size=rows).round(3)
    return pl.DataFrame({"a": a, "b": g.choice(["x", "y"], rows), "y": np.where(a > 0, "yes", "no")})


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """run("train d.csv --target y") -> (exit status, stdout, stderr), in a folder that holds d.csv."""
    table().write_csv(tmp_path / "d.csv")
    monkeypatch.chdir(tmp_path)

    def call(words: str) -> tuple[int, str, str]:
        status = cli.main(words.split())
        out, err = capfd.readouterr()
        assert "Traceback" not in err and "a fault of ours" not in err
        return status, out, err

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    table().write_csv(folder / "d.csv")
    words = f"train {folder / 'd.csv'} --target y --out {folder / 'r'} --quiet {TINY}"
    assert cli.main(words.split()) == 0
    return folder / "r"


MISTAKES = {
    "no target": "train d.csv --out r",
    "an empty target": "train d.csv --target= --out r",
    "a target that is not there": "train d.csv --target why --out r",
    "a file that is not there": "train e.csv --target y --out r",
    "standard input": "train - --target y --out r",
    "no file at all": "train",
    "a picture": "train logo.png --target y --out r",
    "a negative seed": "train d.csv --target y --seed -1 --out r",
    "a seed in words": "train d.csv --target y --seed one --out r",
    "no time": "train d.csv --target y --budget 0 --out r",
    "a budget in words": "train d.csv --target y --budget soon --out r",
    "a device that is not there": "train d.csv --target y --device tpu --out r",
    "a setting without a value": "train d.csv --target y --set train.lr --out r",
    "a setting that is none": "train d.csv --target y --set train.lrr=1 --out r",
    "a setting with a tag": "train d.csv --target y --set train.lr=!!python/name:os.system --out r",
    "resuming nothing": "train --out r --resume",
    "resuming nowhere": "train d.csv --target y --resume",
    "a run folder that is a file": "train d.csv --target y --out d.csv",
    "a run folder under a file": "train d.csv --target y --out d.csv/r",
    "a run folder with content": "train d.csv --target y --out .",
    "a recipe that is a table": "train d.csv --target y --recipe d.csv --out r",
    "a recipe that is not there": "train d.csv --recipe plan.yaml --out r",
    "a test file that is not there": "train d.csv --target y --test t.csv --out r",
    "shares beyond one": "train d.csv --target y --set split.valid=0.9 --set split.test=0.9 --out r",
    "the target as group": "train d.csv --target y --set split.group=y --out r",
    "planning without a target": "plan d.csv",
    "planning nonsense": "plan d.csv --target y --set net=3",
    "inspecting nothing": "inspect",
    "inspecting what is not there": "inspect e.csv",
    "inspecting another target": "inspect d.csv --target zz",
    "predicting with nothing": "predict r d.csv --out p.csv",
    "predicting with a table": "predict d.csv d.csv --out p.csv",
    "predicting to nowhere": "predict {model} d.csv",
    "predicting to a spreadsheet": "predict {model} d.csv --out p.xlsx",
    "predicting over the data": "predict {model} d.csv --out d.csv",
    "predicting from standard input": "predict {model} - --out p.csv",
    "predicting an empty file": "predict {model} empty.csv --out p.csv",
    "predicting a header": "predict {model} header.csv --out p.csv",
    "keeping what is not there": "predict {model} d.csv --out p.csv --keep zz",
    "evaluating without the target": "evaluate {model} header.csv",
    "evaluating nothing": "evaluate {model} e.csv",
    "explaining a row that is not there": "explain {model} d.csv --row 100000",
    "explaining without the target": "explain {model} header.csv",
    "fixing what is not there": "explain {model} d.csv --row 1 --fixed zz",
    "auditing without the target": "audit {model} header.csv",
    "auditing a group that is not there": "audit {model} d.csv --group zz",
    "failing on nonsense": "audit {model} d.csv --fail-on never",
    "tracing nothing": "trace {model} e.csv",
    "tracing a row that is not there": "trace {model} d.csv --row 100000",
    "tracing an empty file": "trace {model} empty.csv",
    "reporting nothing": "report nothing",
    "comparing nothing": "compare",
    "an option that is not there": "train d.csv --targett y",
    "a verb that is not there": "trian d.csv",
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_with_status_2_and_four_parts(case: str, run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    before = (tmp_path / "d.csv").read_bytes()
    status, out, err = run(MISTAKES[case].format(model=model))
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert all(f"\n  {part}:" in err for part in ("where", "expected", "fix"))
    assert not (tmp_path / "r").exists() and not (tmp_path / "p.csv").exists()
    assert (tmp_path / "d.csv").read_bytes() == before


def test_the_same_mistake_as_json(run: Run) -> None:
    status, out, _ = run("train d.csv --target why --out r --json")
    assert status == 2
    assert set(json.loads(out.splitlines()[-1])["error"]) == {"kind", "what", "where", "expected", "fix"}


def test_a_mistake_can_be_mended_with_the_same_out(run: Run) -> None:
    assert run("train d.csv --target why --out r")[0] == 2
    assert run(f"train d.csv --target y --out r {TINY}")[0] == 0


def test_a_target_given_twice_is_the_last(run: Run) -> None:
    status, out, _ = run(f"train d.csv --target b --target y --out r --json --quiet {TINY}")
    assert status == 0
    assert json.loads(out.splitlines()[-1])["target"] in ("y", ["b", "y"])


def test_columns_called_like_options_and_markup_go_through(run: Run, tmp_path: Path) -> None:
    frame = table().rename({"a": "--keep", "b": "[red]b[/]"})
    frame.write_csv(tmp_path / "o.csv")
    assert run(f"train o.csv --target y --out r {TINY}")[0] == 0
    status, _, _ = run("predict r o.csv --out p.csv --keep=--keep --keep [red]b[/] --keep=--keep")
    assert status == 0
    assert pl.read_csv("p.csv").columns == ["--keep", "[red]b[/]", "prediction", "probability_no", "probability_yes"]
    assert run("inspect o.csv")[0] == 0


def test_damaged_rows_keep_their_places_and_are_said(run: Run, model: Path, tmp_path: Path) -> None:
    lines = table().drop("y").write_csv().splitlines()
    lines[3] += ",7"
    lines[9] = "oops,martian"
    (tmp_path / "n.csv").write_text("\n".join(lines) + "\n")
    status, _, err = run(f"predict {model} n.csv --out p.csv")
    written = pl.read_csv("p.csv")
    assert status == 0
    assert written.height == 80
    assert np.flatnonzero(written["error"].is_not_null()).tolist() == [2]
    assert "a: 1 could not be read as a number" in err
    assert "b: 1 hold a value that training rows had never" in err
    assert "n.csv: 1 rows could not be read" in err


def child(words: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "limpid", *words.split()], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )


def until(found: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if found():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("nothing happened within a minute")


def test_an_interrupted_command_ends_with_130_and_one_run_folder_has_one_process(run: Run, tmp_path: Path) -> None:
    words = f"train d.csv --target y --out r {TINY} --set train.epochs=100000 --set train.patience=100000"
    process = child(words, tmp_path)
    try:
        events = tmp_path / "r" / "events.jsonl"
        until(lambda: events.exists() and b'"EpochEnded"' in events.read_bytes(), process)
        status, _, err = run("train --out r --resume")
        assert status == 2 and "another process is working in this run folder" in err
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert b"interrupted, checkpoint saved; go on with: limpid train --out r --resume" in said
    assert b"Traceback" not in said
