"""Runs systems on tables and scores them alike: `python -m benchmarks.run --tables adult --systems limpid,lightgbm`.

Each run is a fresh process on the same two cores; its wall time is from process start to exit. Systems alternate
within a table and split, so that a slow spell of the machine hits all of them. Held-out labels are read here alone.
Every run becomes one JSON record; `--show` prints the table of the records and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.tables import TABLES, WORK, prepare

HERE = Path(__file__).resolve().parent
RECORDS = HERE / "records"
PEERS = ("lightgbm", "catboost", "hist", "keras", "autogluon")
SYSTEMS = ("limpid", *PEERS)


def limpid_commands(split: Path, work: Path, out: Path, budget: float, options: list[str]) -> list[list[str]]:
    """What a user types: train, then predict."""
    task = json.loads((split / "task.json").read_text(encoding="utf-8"))
    limpid = [sys.executable, "-m", "limpid"]
    train = [*limpid, "train", str(split / "train.csv"), "--target", task["target"], "--task", task["task"]]
    # The test rows are held out already; peers learn from every row that they are given, too.
    train += ["--set", "split.test=0"]
    train += ["--budget", f"{budget:g}s", "--seed", str(task["seed"]), "--out", str(work / "run"), "--json", *options]
    return [train, [*limpid, "predict", str(work / "run"), str(split / "test.csv"), "--out", str(out)]]


def commands(system: str, split: Path, work: Path, out: Path, budget: float, options: list[str]) -> list[list[str]]:
    """The command lines of one run, in order."""
    if system == "limpid":
        return limpid_commands(split, work, out, budget, options)
    python = HERE / "envs" / system / "bin" / "python"
    return [[str(python), str(HERE / "peers" / f"peer_{system}.py"), str(split), str(out), f"{budget:g}"]]


def run(system: str, table: str, seed: int, budget: float, options: list[str]) -> dict[str, Any]:
    """Run one system on one split; returns the record, with the failure where it failed."""
    split = prepare(table, seed)
    work = WORK / "runs" / f"{table}-{seed}-{system}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out = work / "predictions.csv"
    record: dict[str, Any] = {
        "system": system,
        "table": table,
        "seed": seed,
        "budget_s": budget,
        "options": options if system == "limpid" else [],
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "cpu": cpu(),
        "cores": 2,
        "load_before": [round(x, 2) for x in os.getloadavg()],
        "steps_s": [],
    }
    for command in commands(system, split, work, out, budget, options):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        try:
            done = subprocess.run(
                ["taskset", "-c", "0,1", *command], capture_output=True, text=True, timeout=max(20 * budget, 600)
            )
            code, log = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            code, log = -1, "timed out"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        record["steps_s"].append(round(time.monotonic() - start, 2))
        record["cpu_s"] = round(
            record.get("cpu_s", 0.0) + after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2
        )
        (work / f"log-{len(record['steps_s'])}.txt").write_text(log, encoding="utf-8")
        if system == "limpid" and command[3] == "train" and code == 0:
            record["reported"] = json.loads(log_last_json(done.stdout))
        if code != 0:
            record["failed"] = log.strip().splitlines()[-1] if log.strip() else f"exit status {code}"
            break
    record["seconds"] = round(sum(record["steps_s"]), 2)
    record["load_after"] = [round(x, 2) for x in os.getloadavg()]
    if "failed" not in record:
        record["metrics"] = score(split, out)
        record["versions"] = versions(system, out)
    return record


def log_last_json(stdout: str) -> str:
    """The last line of stdout, which `--json` promises to be the object."""
    return stdout.strip().splitlines()[-1]


def versions(system: str, out: Path) -> dict[str, str]:
    """Versions of the system's packages."""
    beside = out.with_suffix(".versions.json")
    if beside.is_file():
        return dict(json.loads(beside.read_text(encoding="utf-8")))
    from importlib.metadata import version

    return {"python": platform.python_version(), **{p: version(p) for p in (system, "torch", "polars", "numpy")}}


def score(split: Path, out: Path) -> dict[str, float]:
    """One scorer for all systems: scikit-learn's metrics of the predictions against the held-out labels."""
    from sklearn import metrics

    task = json.loads((split / "task.json").read_text(encoding="utf-8"))
    labels = pl.read_csv(split / "labels.csv", infer_schema=False)[task["target"]]
    found = pl.read_csv(out, infer_schema_length=None)
    if found.height != labels.len():
        raise SystemExit(f"{out}: {found.height} predictions for {labels.len()} rows")
    if task["task"] == "regression":
        truth, guess = labels.cast(pl.Float64).to_numpy(), found["prediction"].cast(pl.Float64).to_numpy()
        return {
            "rmse": float(np.sqrt(np.mean((truth - guess) ** 2))),
            "mae": float(np.mean(np.abs(truth - guess))),
            "r2": float(metrics.r2_score(truth, guess)),
        }
    columns = sorted(c for c in found.columns if c.startswith("probability_"))
    classes = [c.removeprefix("probability_") for c in columns]
    missing = set(labels.to_list()) - set(classes)
    if missing:
        raise SystemExit(f"{out}: no probability for {sorted(missing)}")
    p = found.select(columns).to_numpy().astype(float)
    p /= p.sum(1, keepdims=True)
    y = np.array([classes.index(v) for v in labels.to_list()])
    figures = {
        "accuracy": float(np.mean(p.argmax(1) == y)),
        "log_loss": float(metrics.log_loss(y, p, labels=list(range(len(classes))))),
    }
    if len(classes) == 2:
        figures["roc_auc"] = float(metrics.roc_auc_score(y, p[:, 1]))
    return figures


def cpu() -> str:
    """The processor's name and whether it multiplies bf16."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "unknown")
    return f"{name}, avx512_bf16 {'yes' if 'avx512_bf16' in text else 'no'}"


def read_records(budget: float | None = None) -> list[dict[str, Any]]:
    """All records; of several of one (system, table, seed, budget) the newest."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in sorted(RECORDS.glob("*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            if budget is None or record["budget_s"] == budget:
                key = (record["system"], record["table"], record["seed"], record["budget_s"])
                if key not in newest or newest[key]["at"] <= record["at"]:
                    newest[key] = record
    return list(newest.values())


def markdown(records: list[dict[str, Any]], systems: tuple[str, ...]) -> str:
    """Means over splits a table and system, ranks, and wall times."""
    lines = ["| table (metric, splits) | " + " | ".join(systems) + " |", "|---" * (len(systems) + 1) + "|"]
    ranks: dict[str, list[int]] = {s: [] for s in systems}
    for name, table in TABLES.items():
        # Only splits that every system present on this table has run are compared.
        by_system = {s: {r["seed"]: r for r in records if r["table"] == name and r["system"] == s} for s in systems}
        ran = {s: seeds for s, seeds in by_system.items() if seeds}
        if not ran:
            continue
        seeds = sorted(set.intersection(*(set(v) for v in ran.values())))
        means, seconds = {}, {}
        for system, found in ran.items():
            used = [found[s] for s in seeds]
            seconds[system] = float(np.mean([r["seconds"] for r in used])) if used else float("nan")
            if used and all("metrics" in r for r in used):
                means[system] = float(np.mean([r["metrics"][table.metric] for r in used]))
        order = sorted(means, key=lambda s: means[s] if table.metric != "roc_auc" else -means[s])
        cells = []
        for system in systems:
            if system in means:
                rank = order.index(system) + 1
                ranks[system].append(rank)
                figure = f"{means[system]:.4f}" if means[system] < 100 else f"{means[system]:,.0f}"
                cells.append(
                    f"{'**' if rank == 1 else ''}{figure}{'**' if rank == 1 else ''} ({seconds[system]:.0f} s)"
                )
            else:
                cells.append("failed" if system in ran else "-")
                if system in ran:
                    ranks[system].append(len(systems))
        lines.append(f"| {name} ({table.metric}, {len(seeds)}) | " + " | ".join(cells) + " |")
    lines.append(
        "| mean rank (tables) | "
        + " | ".join(f"{np.mean(r):.2f} ({len(r)})" if r else "-" for r in ranks.values())
        + " |"
    )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, write the records, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="all", help="names with commas, or all")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a run, for systems that take one")
    parser.add_argument("--seeds", type=int, default=5, help="random splits a table")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--option", action="append", default=[], help="an argument more of `limpid train`, repeatable")
    parser.add_argument("--record", default=None, help="name of the record file, by default the time")
    parser.add_argument("--missing", action="store_true", help="leave out what a record already holds")
    parser.add_argument("--show", action="store_true", help="print the table of the records and run nothing")
    asked = parser.parse_args()
    systems = tuple(asked.systems.split(","))
    tables = list(TABLES) if asked.tables == "all" else asked.tables.split(",")
    for word, known in ((set(systems), set(SYSTEMS)), (set(tables), set(TABLES))):
        if word - known:
            parser.error(f"unknown: {', '.join(sorted(word - known))}; choose from {', '.join(sorted(known))}")
    if not asked.show:
        measure(asked, systems, tables)
    print(markdown(read_records(asked.budget), systems))


def measure(asked: argparse.Namespace, systems: tuple[str, ...], tables: list[str]) -> None:
    """Run what was asked for, writing the record file after every run."""
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{asked.record or time.strftime('%Y-%m-%d-%H%M%S')}.json"
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    held = {(r["system"], r["table"], r["seed"]) for r in read_records(asked.budget) if "metrics" in r}
    turn = 0
    for table in tables:
        seeds = [0] if TABLES[table].test else range(asked.first_seed, asked.first_seed + asked.seeds)
        for seed in seeds:
            order = systems if turn % 2 == 0 else systems[::-1]
            turn += 1
            for system in order:
                if asked.missing and (system, table, seed) in held:
                    continue
                record = run(system, table, seed, asked.budget, asked.option)
                records.append(record)
                path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
                outcome = record.get("metrics") or record.get("failed")
                print(f"{table} {seed} {system} {record['seconds']:.1f} s {outcome}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
