"""What every peer's script does alike: read the files of a split, write predictions, say the versions."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd


class Split:
    """The files of one table and split.

    Args:
        folder: made by benchmarks.tables.
    """

    def __init__(self, folder: Path) -> None:
        self.task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        self.target = self.task["target"]
        self.classification = self.task["task"] == "classification"
        train = pd.read_csv(folder / "train.csv")
        self.y = train.pop(self.target)
        self.x = train
        self.test = pd.read_csv(folder / "test.csv")
        self.words = [c for c in self.x.columns if not pd.api.types.is_numeric_dtype(self.x[c])]


def arguments() -> tuple[Split, Path, float]:
    """The command line of every peer: FOLDER OUT BUDGET_SECONDS."""
    folder, out, budget = sys.argv[1:4]
    return Split(Path(folder)), Path(out), float(budget)


def write(out: Path, values: np.ndarray, classes: list[object] | None, *packages: str) -> None:
    """Write predictions as `limpid predict` names them, and the versions beside them."""
    if classes is None:
        frame = pd.DataFrame({"prediction": np.asarray(values).reshape(-1)})
    else:
        frame = pd.DataFrame(np.asarray(values), columns=[f"probability_{c}" for c in classes])
    frame.to_csv(out, index=False)
    versions = {"python": sys.version.split()[0], **{p: version(p) for p in packages}}
    out.with_suffix(".versions.json").write_text(json.dumps(versions), encoding="utf-8")
