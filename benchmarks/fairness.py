"""What does treating groups alike cost? `python -m benchmarks.fairness --divisions 5`.

limpid is trained on adult in several divisions, and `limpid audit --group sex --mitigate` trains each run anew without
anything, with reweighed rows, and with penalties; thresholds of groups stand beside them. All are measured on the same
held-out rows: accuracy, and the equalised-odds gap. The figures are means over the divisions, since one division holds
too few women of the rarer class to tell a gap from luck.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import polars as pl

import limpid
from benchmarks.run import cpu
from benchmarks.tables import TABLES, WORK

FIGURES = ("accuracy", "gap", "selection_gap")


def table() -> Path:
    """Training and test rows of adult in one file."""
    adult = TABLES["adult"]
    assert adult.test is not None
    path = WORK / "fairness-adult.parquet"
    WORK.mkdir(exist_ok=True)
    pl.concat([adult.load(), adult.test()]).write_parquet(path)
    return path


def main() -> None:
    """Train, audit, average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--divisions", type=int, default=5)
    parser.add_argument("--net", default="mlp")
    parser.add_argument("--epochs", type=int, default=8)
    asked = parser.parse_args()
    path = table()
    target, sex = TABLES["adult"].target, "sex"
    found: dict[str, list[list[float]]] = {}
    recommended = []
    for seed in range(asked.divisions):
        out = WORK / f"fairness-run-{seed}"
        shutil.rmtree(out, ignore_errors=True)
        sets = {"train.epochs": asked.epochs, "evaluate.baselines": False, "evaluate.importance": False}
        run = limpid.train(path, target=target, net=asked.net, seed=seed, out=out, quiet=True, set=sets)
        audit = limpid.audit(run, path, group=[sex], mitigate=True)
        (trades,) = audit.trained
        first = trades.ways[0]
        for way in trades.ways:
            found.setdefault(way.name, []).append([way.score, way.gap, way.selection])
        for cut in audit.mitigation:
            cost = cut.accuracy[0] - cut.accuracy[1]
            found.setdefault("thresholds by group", []).append([first.score - cost, cut.gap[1], np.nan])
        best = trades.ways[trades.best]
        recommended.append([best.name, round(first.score - best.score, 4), round(first.gap, 4), round(best.gap, 4)])
        print(json.dumps({"seed": seed, "recommended": recommended[-1]}), flush=True)
    record = {
        "cpu": cpu(),
        "divisions": asked.divisions,
        "net": asked.net,
        "means": {
            name: dict(
                zip(("accuracy", "gap", "selection_gap"), np.round(np.mean(rows, axis=0), 4).tolist(), strict=True)
            )
            for name, rows in found.items()
        },
        "recommended": recommended,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
