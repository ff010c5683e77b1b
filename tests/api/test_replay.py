"""An audit takes the first steps of a run again: they come out bit for bit, or it says what is in the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from api_tables import people, quick

import limpid
from limpid.api import replay as replaying
from limpid.api.replay import replay
from limpid.auditing.findings import Finding
from limpid.auditing.replayed import Replay, compared, findings_of
from limpid.core.events import Evaluated, Event
from limpid.core.run import RunFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    people(300).drop("score", "note").write_csv(folder / "data.csv")
    quick(str(folder / "data.csv"), "answer", folder / "run")
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A copy of the run, whose plan names the data where they were."""
    shutil.copytree(home / "run", tmp_path / "run")
    return tmp_path / "run"


def again(run: Path, data: Any = None, net: Any = None) -> tuple[Replay, Finding]:
    found = replay(RunFolder(run), limpid.load(run, net=net).bundle, data, net)
    return found, findings_of(found)[0]


def test_a_run_comes_out_again_bit_for_bit_and_its_folder_stays_as_it_was(home: Path) -> None:
    before = {p: p.read_bytes() for p in (home / "run").rglob("*") if p.is_file()}
    found, finding = again(home / "run")
    steps = [e for e in RunFolder(home / "run").read_events() if e["event"] == "StepEnded"]
    assert found.recorded == tuple(e["loss"] for e in steps[:5]) == found.replayed and len(set(found.recorded)) == 5
    assert finding.level == "ok" and "bit for bit" in finding.what and "seed 0" in finding.evidence
    assert {p: p.read_bytes() for p in (home / "run").rglob("*") if p.is_file()} == before
    audited = limpid.audit(home / "run", str(home / "data.csv"))
    assert finding in audited.findings and audited.as_dict()["replay"]["gap"] == 0.0
    json.dumps(audited.as_dict())


def test_one_changed_cell_of_the_data_is_noticed(home: Path, copy: Path) -> None:
    data = home / "data.csv"
    whole = data.read_text()
    lines = whole.splitlines()
    place = int(pl.read_parquet(copy / "rows.parquet").filter(pl.col("part") == "train")["row"][-1])
    cells = lines[place + 1].split(",")
    lines[place + 1] = ",".join(["61" if cells[0] != "61" else "62", *cells[1:]])
    try:
        data.write_text("\n".join(lines) + "\n")
        found, finding = again(copy)
        assert found.gap is None and finding.level == "look" and "changed since the run" in finding.evidence
        # What the audit is given may still be what the run read.
        data.with_name("moved.csv").write_text(whole)
        assert again(copy, str(data.with_name("moved.csv")))[1].level == "ok"
        data.unlink()
        assert "cannot be read" in again(copy)[1].evidence
    finally:
        data.write_text(whole)


def test_an_edited_seed_gives_other_losses_and_says_so(copy: Path) -> None:
    plan = copy / "plan.yaml"
    plan.write_text(plan.read_text().replace("seed: 0", "seed: 1", 1))
    found, finding = again(copy)
    assert finding.level == "warning" and found.first == 1 and "step 1" in finding.what
    assert "plan.yaml, which has been edited since" in finding.evidence


def test_losses_of_another_machine_may_differ_by_rounding(copy: Path) -> None:
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps({**metrics, "versions": {**metrics["versions"], "torch": "1.0"}}))
    lines = (copy / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    place = next(n for n, e in enumerate(events) if e["event"] == "StepEnded" and e["step"] == 3)
    events[place]["loss"] *= 1 + 1e-4
    # A training that was resumed from its beginning tells its first steps twice; the first time counts.
    events += [{**e, "loss": 9.0} for e in events if e["event"] == "StepEnded"]
    (copy / "events.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    found, finding = again(copy)
    assert found.first == 3 and found.gap == pytest.approx(1e-4, rel=0.01)
    assert finding.level == "look" and "torch (1.0 then" in finding.evidence


def test_a_run_on_a_device_that_is_not_here_is_not_replayed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plan = copy / "plan.yaml"
    plan.write_text(plan.read_text().replace("device: cpu", "device: cuda", 1))
    found, finding = again(copy)
    assert found.gap is None and "trained on cuda, and there is none here" in finding.evidence


def test_how_losses_are_told_apart() -> None:
    assert findings_of(compared([0.5, 0.25], [0.5, 0.25]))[0].level == "ok"
    rounded = 0.25 * (1 + 5e-7)
    assert findings_of(compared([0.5, 0.25], [0.5, rounded]))[0].level == "look"
    other = findings_of(compared([0.5, 0.25], [0.5, 0.25 * (1 + 2e-6)]))[0]
    assert other.level == "warning" and "step 2" in other.what
    assert findings_of(compared([0.5, 0.25], [0.5]))[0].level == "warning"


def test_a_file_that_changes_during_the_run_is_no_reason_to_lose_it(home: Path, tmp_path: Path) -> None:
    shutil.copy(home / "data.csv", tmp_path / "data.csv")
    pl.read_csv(tmp_path / "data.csv").write_parquet(tmp_path / "data.parquet")

    def listen(event: Event) -> None:
        if isinstance(event, Evaluated):
            (tmp_path / "data.parquet").touch()

    run = quick(str(tmp_path / "data.parquet"), "answer", tmp_path / "run", listen=listen)
    assert json.loads((run.path / "metrics.json").read_text())["origin"]["data"] == {}
    assert again(run.path)[1].level == "ok"


def test_what_is_too_large_is_said(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST_CELLS", 100)
    assert "the limit is 100" in again(copy)[1].evidence
    monkeypatch.undo()
    monkeypatch.setattr(replaying, "_MOST_FLOPS", 1.0)
    assert "a step takes" in again(copy)[1].evidence


@pytest.mark.parametrize(
    "settings",
    [
        {"train.lr": "range"},
        {"train.folds": 3},
        # The rate depends on how validation goes, and an epoch has two steps.
        {"train.schedule": "plateau", "train.plateau": 0, "train.batch": 128},
    ],
    ids=["range", "folds", "plateau"],
)
def test_runs_of_all_sorts_come_out_again(tmp_path: Path, settings: dict[str, Any]) -> None:
    frame = people(260).drop("score", "note")
    quick(frame, "answer", tmp_path / "run", set=settings)
    assert "frame in memory" in again(tmp_path / "run")[1].evidence
    found, finding = again(tmp_path / "run", frame)
    assert finding.level == "ok" and len(found.recorded) == 5


def test_a_net_without_steps_is_solved_again(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [np.cumsum(random.normal(size=40)) * (1 + n % 2) for n in range(60)]
    frame = pl.DataFrame({"wave": [line.tolist() for line in lines], "y": [str(n % 2) for n in range(60)]})
    quick(frame, "y", tmp_path / "run", net="convkernel", set={"train.epochs": 0})
    found, finding = again(tmp_path / "run", frame)
    assert found.of == "weights" and finding.level == "ok" and "the weights" in finding.what


def test_a_module_of_the_users_own_needs_what_makes_it(tmp_path: Path) -> None:
    def build(width: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(width, 8), torch.nn.ReLU())

    def loss(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 2 * torch.nn.functional.cross_entropy(outputs, target, reduction="none")

    frame = people(200).drop("score", "note")
    quick(frame, "answer", tmp_path / "run", net=build)
    assert again(tmp_path / "run", frame, build)[1].level == "ok"
    bundle = limpid.load(tmp_path / "run", net=build).bundle
    assert "a module of the user's own" in replay(RunFolder(tmp_path / "run"), bundle, frame).why
    quick(frame, "answer", tmp_path / "lossy", loss=loss)
    assert "a loss or a metric of the user's own" in again(tmp_path / "lossy", frame)[1].evidence
