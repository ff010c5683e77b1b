"""The scorer of the benchmarks agrees with scikit-learn, and its table ranks as it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics


def split(folder: Path, task: str, labels: list[Any]) -> Path:
    (folder / "task.json").write_text(json.dumps({"task": task, "target": "y"}), encoding="utf-8")
    pl.DataFrame({"y": labels}).write_csv(folder / "labels.csv")
    return folder


def test_regression_is_scored(tmp_path: Path) -> None:
    from benchmarks.run import score

    pl.DataFrame({"prediction": [1.0, 2.0, 4.0]}).write_csv(tmp_path / "p.csv")
    found = score(split(tmp_path, "regression", [1.0, 2.0, 3.0]), tmp_path / "p.csv")
    assert found == pytest.approx({"rmse": (1 / 3) ** 0.5, "mae": 1 / 3, "r2": 0.5})


def test_classification_is_scored_whatever_the_order_of_the_columns(tmp_path: Path) -> None:
    from benchmarks.run import score

    truth = ["no", "yes", "yes", "no"]
    yes = np.array([0.2, 0.9, 0.4, 0.5])
    pl.DataFrame({"probability_yes": yes, "prediction": truth, "probability_no": 1 - yes}).write_csv(tmp_path / "p.csv")
    found = score(split(tmp_path, "classification", truth), tmp_path / "p.csv")
    binary = [t == "yes" for t in truth]
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(binary, yes))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(binary, yes))
    assert found["accuracy"] == 0.75


def test_a_missing_class_or_row_is_refused(tmp_path: Path) -> None:
    from benchmarks.run import score

    folder = split(tmp_path, "classification", ["a", "b", "c"])
    pl.DataFrame({"probability_a": [0.5] * 3, "probability_b": [0.5] * 3}).write_csv(tmp_path / "p.csv")
    with pytest.raises(SystemExit, match="no probability for"):
        score(folder, tmp_path / "p.csv")
    pl.DataFrame({"probability_a": [0.5]}).write_csv(tmp_path / "p.csv")
    with pytest.raises(SystemExit, match="1 predictions for 3 rows"):
        score(folder, tmp_path / "p.csv")


def test_the_table_compares_splits_that_all_have_run() -> None:
    from benchmarks.run import markdown

    def record(system: str, seed: int, rmse: float) -> dict[str, Any]:
        return {"system": system, "table": "california", "seed": seed, "seconds": 5.0, "metrics": {"rmse": rmse}}

    records = [record("limpid", 0, 3.0), record("limpid", 1, 3.0), record("hist", 0, 2.0)]
    records.append({"system": "keras", "table": "california", "seed": 0, "seconds": 1.0, "failed": "no"})
    lines = markdown(records, ("limpid", "hist", "keras")).splitlines()
    assert lines[2] == "| california (rmse, 1) | 3.0000 (5 s) | **2.0000** (5 s) | failed |"
    assert lines[3] == "| mean rank (tables) | 2.00 (1) | 1.00 (1) | 3.00 (1) |"
