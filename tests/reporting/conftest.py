"""Run folders as `limpid train` leaves them, of any shape and with any strings in them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from limpid.core.events import (
    CheckpointSaved,
    EpochEnded,
    GuardActed,
    Noted,
    StageEnded,
    StepEnded,
    TrainingEnded,
    TrainingStarted,
)
from limpid.core.run import RunFolder
from limpid.core.schema import ColumnSpec
from limpid.data.facts import column_facts
from limpid.data.profile import profile

Bad = Callable[[str], str]


def _harmless(text: str) -> str:
    return text


@pytest.fixture(scope="session")
def make_profile() -> Callable[..., dict[str, Any]]:
    """A profile of a small synthetic table with a leak, gaps, a date and a key."""

    def make(name: Bad = _harmless, *, task: str = "classification", columns: int = 0) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        n = 600
        age = rng.integers(17, 90, n).astype(float)
        score = age / 90 + rng.normal(0, 0.3, n)
        hours: list[str | None] = [str(h) for h in rng.integers(1, 99, n)]
        for i in range(0, n, 9):
            hours[i] = None
        data: dict[str, Any] = {
            name("age"): age,
            name("hours"): hours,
            name("work"): [name(f"work {k}") for k in rng.integers(0, 9, n)],
            name("joined"): [
                f"20{y:02d}-{m:02d}-11" for y, m in zip(rng.integers(1, 24, n), rng.integers(1, 13, n), strict=True)
            ],
            name("id"): [f"u{k:05d}" for k in rng.permutation(n)],
            name("note"): [name(f"seen {k} times") for k in rng.integers(0, 400, n)],
            **{name(f"extra {k}"): rng.normal(size=n) for k in range(columns)},
        }
        if task == "classification":
            data[name("income")] = [name(">50K") if s > 0.7 else name("<=50K") for s in score]
            data[name("grade")] = [name("high") if s > 0.7 else name("low") for s in score]
        else:
            data[name("income")] = score * 1000
            data[name("grade")] = score * 5 + 1
        kinds = {
            "hours": "number",
            "work": "category",
            "joined": "date",
            "id": "key",
            "note": "text",
            "grade": "category",
            "income": "category",
        }
        if task != "classification":
            kinds |= {"grade": "number", "income": "number"}
        specs = {name(k): ColumnSpec(kind=v) for k, v in kinds.items()}
        specs |= {c: ColumnSpec(kind="number") for c in data if c not in specs}
        specs[name("id")] = ColumnSpec(kind="key", use=False)
        frame = pl.DataFrame(data)
        facts = {c: column_facts(frame.get_column(c)) for c in frame.columns}
        because = {c: name(f"evidence of {spec.kind}") for c, spec in specs.items()}
        return profile(frame, specs, facts, [name("income")], because=because)

    return make


def _metrics(name: Bad, task: str, baselines: bool, test: bool, classes: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    parts = ["valid", "test"] if test else ["valid"]
    judged = parts[-1]
    if task == "classification":
        figures = {"roc_auc": 0.9268, "accuracy": 0.8689, "log_loss": 0.281, "f1_macro": 0.81}
        boosted = {"roc_auc": 0.9276, "accuracy": 0.8701, "log_loss": 0.279, "f1_macro": 0.815}
        labels = [name(f"class {k}") for k in range(classes)] if classes > 2 else [name("<=50K"), name(">50K")]
        shown = min(30, len(labels))
        fpr = np.linspace(0, 1, 200)
        details: dict[str, Any] = {
            "classes": labels,
            "confusion": (rng.integers(0, 40, (shown, shown)) + np.eye(shown, dtype=int) * 400).tolist(),
            "roc": {"fpr": fpr.tolist(), "tpr": (fpr**0.15).tolist()},
            "pr": {"recall": fpr.tolist(), "precision": (1 - 0.6 * fpr**3).tolist()},
            "reliability": [
                {
                    "low": i / 10,
                    "high": (i + 1) / 10,
                    "mean": i / 10 + 0.05,
                    "share": i / 10 + 0.06 * math.sin(i),
                    "count": 900 - 80 * i,
                }
                for i in range(10)
            ],
            "threshold": 0.47,
        }
        if classes > 2:
            details |= {"roc": None, "pr": None}
        metric, greater = "roc_auc", True
        spread = {
            "roc_auc": [0.9223, 0.9311],
            "accuracy": [0.8631, 0.8745],
            "log_loss": [0.273, 0.29],
            "f1_macro": [0.8, 0.82],
        }
        trivial = {"roc_auc": 0.5, "accuracy": 0.76, "log_loss": 0.55, "f1_macro": 0.43}
        worst = [{"row": k * 7, "target": labels[0], "prediction": labels[1], "loss": 6.1 - 0.1 * k} for k in range(20)]
    else:
        figures = {"rmse": 45210.0, "mae": 29000.5, "r2": 0.8512}
        boosted = {"rmse": 48200.0, "mae": 31500.2, "r2": 0.83}
        trivial = {"rmse": 115000.0, "mae": 91000.0, "r2": 0.0}
        edges = np.linspace(0, 500_000, 26)
        grid = np.exp(-(np.subtract.outer(np.arange(25), np.arange(25)) ** 2) / 6) * 200
        details = {
            "predicted_actual": {"edges": edges.tolist(), "counts": grid.astype(int).tolist()},
            "residuals": {"edges": np.linspace(-1e5, 1e5, 31).tolist(), "counts": rng.integers(0, 300, 30).tolist()},
            "coverage": 0.903,
        }
        metric, greater = "rmse", False
        spread = {"rmse": [43900.0, 46600.0], "mae": [28000.0, 30000.0], "r2": [0.84, 0.86]}
        worst = [
            {"row": k * 7, "target": 500_001.0, "prediction": 120_000.0 + k, "loss": 5.1 - 0.1 * k} for k in range(20)
        ]
    details["worst"] = worst
    details["slices"] = [
        {
            "column": name("education"),
            "value": name(f"level {k}"),
            "rows": 300 + k,
            "score": 0.8 + 0.01 * k,
            "gap": 0.12 - 0.01 * k,
        }
        for k in range(10)
    ]
    others = {
        "boosted": {"metrics": {p: boosted for p in parts}, "seconds": 4.2, "note": "scikit-learn's histogram booster"},
        "linear": {
            "metrics": {p: {k: v * 0.97 for k, v in figures.items()} for p in parts},
            "seconds": 0.8,
            "note": "",
        },
        "trivial": {"metrics": {p: trivial for p in parts}, "seconds": 0.0, "note": "the most frequent answer"},
    }
    return {
        "task": task,
        "target": [name("income")],
        "net": "tabm",
        "seed": 0,
        "rows": {"train": 22793, "valid": 4884, **({"test": 4884} if test else {})},
        "metrics": {p: figures for p in parts},
        "intervals": {judged: spread},
        "judged": judged,
        "metric": metric,
        "greater_is_better": greater,
        "baselines": others if baselines else {},
        "verdict": "",
        "calibration": {"temperature": "1.13, fitted on 4,884 validation rows: the network was a little too sure"},
        "details": details,
        "seconds": 57.3,
        "epochs": 31,
        "stopped": "early",
        "repairs": [
            {
                "where": name("hours"),
                "what": "could not be read as a number, taken as missing",
                "count": 12,
                "example": name("n/a"),
            },
            {"where": name("income"), "what": "rows without a target left out", "count": 3, "example": ""},
        ],
        "versions": {"limpid": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "polars": "2.1.0"},
        "command": name("limpid train people.csv --target income --budget 60s"),
    }


def _plan(name: Bad) -> dict[str, Any]:
    columns = {name(c): {"kind": "number"} for c in ("age", "hours")}
    because = {f"data.columns.{c}": name("64 whole numbers from 17 to 90") for c in columns}
    return {
        "limpid": "0.1.0",
        "format": 1,
        "seed": 0,
        "data": {"source": name("people.csv"), "target": [name("income")], "weight": None, "columns": columns},
        "split": {"how": "stratified", "valid": 0.15, "test": 0.15},
        "task": {"name": "classification", "class_weights": "none"},
        "net": {"name": "tabm", "members": 16, "width": 256, "depth": 3},
        "nets": {name("note"): {"name": "bag", "width": 64}},
        "train": {"epochs": 60, "batch": 256, "lr": 0.002, "optimiser": "adamw"},
        "evaluate": {"baselines": True},
        "because": because
        | {
            "split.how": "the target has classes, so each part gets its share of each",
            "net.name": "the best on tables of this size in published comparisons",
            "net.members": "16 members fit the budget; TabM's default is 32 (Gorishniy 2025)",
            "train.lr": "TabM's published default",
            name("train.batch"): name("256 rows: 22,793 rows give 89 steps an epoch"),
        },
    }


def _network(name: Bad) -> dict[str, Any]:
    def layer(path: str, kind: str, *shape: int, parameters: int = 0) -> dict[str, Any]:
        return {"name": path, "kind": kind, "shape": ["B", *shape], "parameters": parameters}

    note = name("note")
    layers = [
        layer("fields.numbers", "PiecewiseLinear", 6, 12, parameters=1872),
        layer("fields.categories", "CategoryEmbedding", 8, 8, parameters=2100),
        *[layer(f"fields.blocks.{k}.linear", "EnsembleLinear", 16, 256, parameters=69_888) for k in range(3)],
        layer(f"{note}.bag", "EmbeddingBag", 64, parameters=1_048_576),
        layer("fuse.0", "Linear", 16, 256, parameters=82_176),
        layer("head", "MemberLinear", 16, 2, parameters=8224),
    ]
    inputs = [
        {"name": "fields", "form": "fields", "detail": "6 numbers, 8 categories"},
        {"name": note, "form": "seq", "detail": "up to 40 tokens"},
    ]
    return {"inputs": inputs, "layers": layers, "parameters": sum(x["parameters"] for x in layers), "members": 16}


@pytest.fixture
def make_run(tmp_path: Path, make_profile: Callable[..., dict[str, Any]]) -> Callable[..., RunFolder]:
    """A finished run folder; `name` maps every user string to another one."""

    def make(
        name: Bad = _harmless,
        *,
        task: str = "classification",
        baselines: bool = True,
        test: bool = True,
        classes: int = 2,
        columns: int = 0,
        epochs: int = 31,
    ) -> RunFolder:
        folder = RunFolder(tmp_path / f"run-{task}")
        folder.path.mkdir()
        folder.plan.write_text(yaml.safe_dump(_plan(name), sort_keys=False, allow_unicode=True), encoding="utf-8")
        folder.write(folder.profile, make_profile(name, task=task, columns=columns))
        folder.write(folder.metrics, _metrics(name, task, baselines, test, classes))
        folder.write(folder.path / "network.json", _network(name))
        regression = task != "classification"
        folder.hear(
            TrainingStarted(
                22793, 5340, 89, 60, 0, 1_350_000, "cpu", "fp32", "rmse" if regression else "roc_auc", not regression
            )
        )
        for epoch in range(1, epochs + 1):
            for k in range(4):
                step = (epoch - 1) * 89 + 20 * k
                folder.hear(StepEnded(step, epoch, 0.5, 0.002 * math.cos(step / 3500), 9e3, epoch * 1.5, 40.0))
            loss = 0.3 * math.exp(-epoch / 6)
            metric = 45_000 + 60_000 * loss if regression else 0.927 - 0.2 * loss
            norm = math.nan if epoch == 5 else 1.5 * math.exp(-epoch / 20)
            folder.hear(
                EpochEnded(
                    epoch,
                    epoch * 89,
                    0.28 + loss - 0.001 * epoch,
                    0.285 + loss,
                    metric,
                    epoch <= 22,
                    0.002,
                    norm,
                    1e-3,
                    9e3,
                    1.5,
                )
            )
        folder.hear(
            GuardActed(
                "non-finite gradient",
                412,
                name("the gradient of fields.numbers was infinite"),
                "went back to step 400 with half the rate",
            )
        )
        folder.hear(Noted("look", name("the target is imbalanced: 24 % positive")))
        folder.hear(CheckpointSaved(89, "checkpoint"))
        folder.hear(StageEnded("train", 48.0))
        folder.hear(TrainingEnded("early", 2759, 31, 22, 0.9268, 48.0))
        folder.close()
        return folder

    return make


@pytest.fixture
def edit() -> Callable[[Path, Callable[[Any], None]], None]:
    """Change a JSON file in place."""

    def change(path: Path, do: Callable[[Any], None]) -> None:
        content = json.loads(path.read_text(encoding="utf-8"))
        do(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return change
