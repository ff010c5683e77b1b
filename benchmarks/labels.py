"""Are wrong labels found? `python -m benchmarks.labels --data adult --budget 60s`.

Five in a hundred labels of the training file are replaced by another class, limpid is trained on it, and the rows that
`limpid audit` suspects are compared with those that were changed: precision among the first 200.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import polars as pl

import limpid
from benchmarks.run import cpu
from benchmarks.tables import WORK

SHARE = 0.05
FIRST = 200


def flipped(labels: pl.Series, seed: int) -> tuple[pl.Series, np.ndarray]:
    """The labels with some of them replaced, and which."""
    draws = np.random.default_rng(seed)
    classes = labels.unique().sort().to_list()
    place = {name: n for n, name in enumerate(classes)}
    codes = np.array([place[v] for v in labels.to_list()])
    changed = draws.random(len(codes)) < SHARE
    other = (codes + draws.integers(1, len(classes), len(codes))) % len(classes)
    return pl.Series(labels.name, [classes[n] for n in np.where(changed, other, codes)]), changed


def table(data: str) -> tuple[pl.DataFrame, str]:
    """The training rows and the target's name."""
    folder = Path(os.environ["LIMPID_DATA"])
    if data == "cifar10":
        return pl.read_parquet(folder / "cifar10" / "train.parquet"), "label"
    frame = pl.read_csv(folder / "adult" / "adult-train.csv", has_header=False, null_values=["?", " ?"])
    frame = frame.with_columns(pl.col(pl.String).str.strip_chars())
    return frame, frame.columns[-1]


def main() -> None:
    """Change, train, audit, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("adult", "cifar10"), default="adult")
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    frame, target = table(asked.data)
    labels, changed = flipped(frame[target], asked.seed)
    WORK.mkdir(exist_ok=True)
    path = WORK / f"labels-{asked.data}-{asked.seed}.parquet"
    frame.with_columns(labels).write_parquet(path)
    out = WORK / f"labels-run-{int(time.time())}"
    run = limpid.train(path, target=target, budget=asked.budget, seed=asked.seed, out=out, quiet=True)
    found = limpid.audit(run, path).suspects
    hit = [bool(changed[s.row]) for s in found[:FIRST]]
    record = {
        "cpu": cpu(),
        "data": asked.data,
        "budget": asked.budget,
        "seed": asked.seed,
        "changed": int(changed.sum()),
        "suspects": len(found),
        "precision": round(float(np.mean(hit)), 4) if hit else None,
        "metrics": run.metrics.get("valid", {}).get("accuracy"),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
