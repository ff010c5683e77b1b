"""The README's commands and its Python do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def commands() -> list[str]:
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all commands were run, in their order."""
    place = tmp_path_factory.mktemp("readme")
    for command in commands():
        run(["bash", "-c", command], place)
    return place


@pytest.mark.slow
def test_the_commands_run_and_leave_what_they_promise(folder: Path) -> None:
    for name in ("plan.yaml", "profile.json", "events.jsonl", "metrics.json", "predictions.parquet", "report.html"):
        assert (folder / "runs/first" / name).is_file(), name
    assert sorted(p.name for p in (folder / "runs/first/model").iterdir()) == [
        "card.md",
        "encoders.json",
        "manifest.json",
        "spec.json",
        "weights.safetensors",
    ]


@pytest.mark.slow
def test_the_model_learnt_something(folder: Path) -> None:
    found = json.loads((folder / "runs/first/metrics.json").read_text(encoding="utf-8"))
    assert found["metrics"]["test"]["roc_auc"] > 0.97
    assert set(found["baselines"]) >= {"trivial", "linear"}


@pytest.mark.slow
def test_the_answers_are_rows_in_order(folder: Path) -> None:
    import polars as pl

    answers = pl.read_csv(folder / "answers.csv")
    assert answers.height == 569
    assert answers.columns[0] == "prediction"
    assert sum(c.startswith("probability_") for c in answers.columns) == 2


@pytest.mark.slow
def test_the_python_runs(tmp_path: Path) -> None:
    for block in blocks("python"):
        done = run([sys.executable, "-W", "error", "-c", block], tmp_path)
        assert "log_loss" in done.stdout or "accuracy" in done.stdout


@pytest.mark.slow
def test_predicting_imports_nothing_of_training(folder: Path) -> None:
    code = (
        "import sys\nfrom limpid.cli import main\n"
        "status = main(['predict', 'runs/first', 'sample.csv', '--out', 'one.csv'])\n"
        "wrong = [m for m in ('sklearn', 'scipy', 'limpid.training', 'pandas', 'matplotlib') if m in sys.modules]\n"
        "sys.exit(f'imported {wrong}' if wrong else status)"
    )
    row = "from limpid.data.table import open_table\n"
    row += "open_table('sample:breast_cancer').read().head(1).write_csv('sample.csv')"
    run([sys.executable, "-c", row], folder)
    run([sys.executable, "-c", code], folder)


def test_there_are_commands_and_python() -> None:
    assert len(commands()) >= 5
    assert len(blocks("python")) == 1
