"""Recipes edited to nonsense, runs resumed with other data, damaged folders, two processes at once, full disks."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from careless_tables import TINY, fit, plain, refused

import limpid
from limpid.core.run import RunFolder

pytestmark = pytest.mark.slow

EDITS: list[tuple[str, Any]] = [
    ("split.how", None), ("split", []), ("train", "x"), ("train.lr", None), ("net.name", None), ("net.name", ["x"]),
    ("net.width", "wide"), ("task.name", "regression"), ("task.loss", 3), ("data", None), ("data.target", {"a": 1}),
    ("data.columns.a.kind", 7), ("data.columns.a.use", "maybe"), ("data.columns.a.options", [1]), ("seed", -1),
    ("seed", True), ("format", 99), ("budget_seconds", "long"), ("because", 3), ("evaluate", 3), ("extra", 1),
    ("data.weight", "b"), ("data.test", "nope.csv"), ("split.group", "zzz"), ("data.drop", ["everything"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), EDITS, ids=lambda v: str(v)[:20])
def test_a_plan_edited_to_nonsense_is_refused(first: limpid.Run, path: str, value: Any, tmp_path: Path) -> None:
    tree = yaml.safe_load((first.path / "plan.yaml").read_text())
    node = tree
    *way, last = path.split(".")
    for step in way:
        node = node[step]
    node[last] = value
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(tree))
    frame = plain().with_columns(d=pl.lit("2020-01-01"))
    with refused(""):
        limpid.train(frame, recipe=tmp_path / "plan.yaml", out=tmp_path / "r", quiet=True)


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "\0{{{", "a: &a [1]\nb: *a\n", "seed: 1\nseed: 2\n", "seed: " + "[" * 5000, "3: 4\n"]
)
def test_a_recipe_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with refused(""):
        limpid.train(plain(), target="y", recipe=tmp_path / "plan.yaml", out=tmp_path / "r", quiet=True)


def test_a_recipe_of_another_table_is_refused(first: limpid.Run, tmp_path: Path) -> None:
    other = pl.DataFrame({"u": [0.5, 1.5] * 20, "v": ["k", "l"] * 20, "z": ["p", "q"] * 20})
    with refused("no column"):
        limpid.train(other, recipe=first.path / "plan.yaml", out=tmp_path / "r", quiet=True)
    assert not (tmp_path / "r").exists()
    with refused("4 problems"):
        limpid.train(other, target="z", recipe=first.path / "plan.yaml", out=tmp_path / "r", quiet=True)


def interrupted(data: Any, out: Path) -> None:
    """A training that gets a SIGINT after its second epoch."""
    epochs = []

    def listen(event: Any) -> None:
        if event.as_dict()["event"] == "EpochEnded":
            epochs.append(event)
            if len(epochs) == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(data, out, set={"train.epochs": 6, "train.patience": 6}, listen=listen)


def test_an_interrupted_run_goes_on_to_the_same_bytes_and_with_nothing_else(tmp_path: Path) -> None:
    plain().write_csv(tmp_path / "d.csv")
    whole = fit(tmp_path / "d.csv", tmp_path / "whole", set={"train.epochs": 6, "train.patience": 6})
    interrupted(tmp_path / "d.csv", tmp_path / "r")
    assert list((tmp_path / "r" / "checkpoint").iterdir())
    for other in (
        {"data": plain(seed=9)},
        {"data": plain(60)},
        {"seed": 7},
        {"net": "tabm"},
        {"set": {"train.lr": 0.5}},
        {"target": "b"},
    ):
        with refused(""):
            limpid.train(**{"data": tmp_path / "d.csv", **other}, out=tmp_path / "r", resume=True, quiet=True)
    resumed = limpid.train(tmp_path / "d.csv", out=tmp_path / "r", resume=True, quiet=True)
    for member in ("spec.json", "encoders.json", "weights.safetensors"):
        assert (resumed.path / "model" / member).read_bytes() == (whole.path / "model" / member).read_bytes()


def test_damaged_checkpoints_are_said_and_the_training_begins_anew(tmp_path: Path) -> None:
    interrupted(plain(), tmp_path / "r")
    for file in (tmp_path / "r" / "checkpoint").rglob("*"):
        if file.is_file():
            file.write_bytes(b"x")
    (tmp_path / "r" / "events.jsonl").write_bytes(b"\xff\xfe garbage")
    run = limpid.train(plain(), out=tmp_path / "r", resume=True, quiet=True)
    assert any("begins anew" in str(event.get("text", event)) for event in run.events())


@pytest.mark.parametrize(("name", "text"), [("plan.yaml", "nonsense: ["), ("metrics.json", "{")])
def test_damaged_files_of_a_run_are_refused(name: str, text: str, tmp_path: Path) -> None:
    run = fit(plain(), tmp_path / "r")
    if name == "plan.yaml":
        run.path.joinpath("metrics.json").unlink()
    run.path.joinpath(name).write_text(text)
    with refused(""):
        _ = limpid.train(plain(), out=run.path, resume=True, quiet=True).metrics


def test_two_processes_never_share_a_run_folder(tmp_path: Path) -> None:
    held = RunFolder(tmp_path / "r")
    held.open_new(resume=False)
    try:
        with refused("another process"):
            fit(plain(), tmp_path / "r", resume=True)
    finally:
        held.close()
    assert fit(plain(), tmp_path / "r", resume=True).metrics


@pytest.mark.parametrize("limit", [0, 2_000, 6_000, 60_000])
def test_a_disk_that_is_full_is_said(limit: int, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with refused("could not be written"):
            fit(plain(300), tmp_path / "r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert limpid.train(plain(300), target="y", out=tmp_path / "r", resume=True, set=TINY, quiet=True).metrics


def test_a_run_folder_that_is_a_file_or_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    for out, what in ((tmp_path / "file", "is a file"), (tmp_path / "folder", "not empty")):
        with refused(what):
            fit(plain(), out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "mine.txt"]
