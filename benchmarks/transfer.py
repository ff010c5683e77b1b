"""How much sooner does a model that starts from another one get there? `python -m benchmarks.transfer`.

cifar10's ten classes, in the order of their names, are cut into two halves of five. A first model learns one half.
Then the other half is learnt twice with the same rows, seed and network: from scratch, and with `net.start`, which gets
a share of the time. What is measured is the time, from the start of the process and from the first step, at which each
reaches the validation accuracy that the model from scratch has in the end. The figure to reach: at most half the time.
One record a seed; `--show` prints the table and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.run import cpu, versions
from benchmarks.tables import WORK, data_folder

HERE = Path(__file__).resolve().parent
FOLDER = WORK / "transfer"
REACH = 0.5


def halves() -> dict[str, Path]:
    """Files of each half's training and test pictures, made once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {f"{half}-{part}": FOLDER / f"{half}-{part}.parquet" for half in "ab" for part in ("train", "test")}
    if all(path.exists() for path in files.values()):
        return files
    for part in ("train", "test"):
        whole = pl.read_parquet(data_folder() / "cifar10" / f"{part}.parquet")
        names = sorted(whole["label"].unique())
        for half, chosen in (("a", names[:5]), ("b", names[5:])):
            whole.filter(pl.col("label").is_in(chosen)).write_parquet(files[f"{half}-{part}"])
    return files


def train(half: str, seconds: float, out: Path, seed: int, options: list[str]) -> dict[str, Any]:
    """One `limpid train` as a user types it; what it reports, and its accuracy after each look at validation rows."""
    files = halves()
    shutil.rmtree(out, ignore_errors=True)
    words = [sys.executable, "-m", "limpid", "train", str(files[f"{half}-train"]), "--target", "label", "--json"]
    words += ["--test", str(files[f"{half}-test"]), "--budget", f"{seconds:g}s", "--seed", str(seed), "--out", str(out)]
    words += ["--set", "task.metric=accuracy", "--set", "evaluate.baselines=false", *options]
    load = [round(x, 2) for x in os.getloadavg()]
    began, clock = time.time(), time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=4 * seconds + 600)
    took = time.monotonic() - clock
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    events = [json.loads(line) for line in (out / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    looks = [
        {"wall_s": round(e["at"] - began, 1), "train_s": round(e["seconds"], 1), "accuracy": e["metric"]}
        for e in events
        if e["event"] == "EpochEnded"
    ]
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "budget_s": seconds,
        "seconds": round(took, 1),
        "load_before": load,
        "net": answer["net"],
        "metrics": answer["metrics"],
        "looks": looks,
    }


def run(seed: int, seconds: float, share: float) -> dict[str, Any]:
    """A first model, then the second half with and without it."""
    first = train("a", seconds, FOLDER / f"first-{seed}", seed, [])
    scratch = train("b", seconds, FOLDER / f"scratch-{seed}", seed, [])
    start = ["--set", f"net.start={FOLDER / f'first-{seed}'}"]
    started = train("b", share * seconds, FOLDER / f"started-{seed}", seed, start)
    goal = max(look["accuracy"] for look in scratch["looks"])
    return {
        "seed": seed,
        "goal": goal,
        "first": first,
        "scratch": {**scratch, "reached": reached(scratch["looks"], goal)},
        "started": {**started, "reached": reached(started["looks"], goal)},
        "cpu": cpu(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "versions": versions("limpid", Path("none.csv")),
    }


def reached(looks: list[dict[str, Any]], goal: float) -> dict[str, Any] | None:
    """The first look at which the accuracy was at least the goal, or None."""
    return next((look for look in looks if look["accuracy"] >= goal), None)


def table(records: list[dict[str, Any]]) -> str:
    """A line a seed: when each got there, and the share of the time."""
    lines = [
        "| seed | accuracy to reach | from scratch | with net.start | share of the time | test accuracy, both |",
        "|---" * 6 + "|",
    ]
    for record in records:
        places = [record[name]["reached"] for name in ("scratch", "started")]
        said = ["never" if p is None else f"{p['wall_s']:.0f} s (training {p['train_s']:.0f} s)" for p in places]
        share = "none" if None in places else f"{places[1]['wall_s'] / places[0]['wall_s']:.0%}"
        tests = [f"{record[name]['metrics']['test']['accuracy']:.4f}" for name in ("scratch", "started")]
        lines.append(
            f"| {record['seed']} | {record['goal']:.4f} | {said[0]} | {said[1]} | {share} | {', '.join(tests)} |"
        )
    lines.append(f"\nto reach: at most {REACH:.0%} of the time")
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for, writing the record after every seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--budget", type=float, default=120.0, help="seconds of the first model and of the one anew")
    parser.add_argument("--share", type=float, default=REACH, help="of the budget that the started model gets")
    parser.add_argument("--record", default=None, help="day of the record, transfer-DAY.json")
    parser.add_argument("--show", action="store_true", help="print the table of the record and run nothing")
    asked = parser.parse_args()
    path = HERE / f"transfer-{asked.record or time.strftime('%Y-%m-%d')}.json"
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for seed in range(asked.seeds) if not asked.show else []:
        records = [r for r in records if r["seed"] != seed] + [run(seed, asked.budget, asked.share)]
        path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(table(records))


if __name__ == "__main__":
    main()
