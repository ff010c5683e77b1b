"""Pictures, words, sounds and series: limpid's figures on held-out data under a budget. `python -m benchmarks.kinds`.

Each case is one `limpid train` as a user types it, on the official split where there is one; wall time is from process
start to exit. Held-out figures are those that the run reports; baselines of the same run stand beside them. Where a
case has no official test, a part is held out by the seed. A record a run, `--show` prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.run import cpu, versions
from benchmarks.tables import WORK, data_folder

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """One data set under one budget.

    Args:
        budget: seconds.
        metric: the figure that is reached for.
        reach: its bound, or None where it is compared with baselines alone.
        files: makes the files once and gives the words of the command line behind `limpid train`.
        seeds: how many runs.
    """

    budget: int
    metric: str
    reach: float | None
    files: Callable[[Path, int], list[str]]
    seeds: int = 5
    options: list[str] = field(default_factory=list)


def _sst2(_work: Path, _seed: int) -> list[str]:
    folder = data_folder() / "sst2"
    words = [str(folder / "train.tsv"), "--valid", str(folder / "dev.tsv"), "--test", str(folder / "test.tsv")]
    return [*words, "--target", "column_2", "--task", "classification"]


def _ag_news(_work: Path, _seed: int) -> list[str]:
    return [str(data_folder() / "ag-news" / "news.csv"), "--target", "column_1", "--task", "classification"]


def _sms(_work: Path, _seed: int) -> list[str]:
    return [str(data_folder() / "sms-spam" / "spam.csv"), "--target", "label"]


def _fsdd(work: Path, _seed: int) -> list[str]:
    """Official: takes 0 to 4 of every speaker and digit are the test."""
    return _recordings(work / "fsdd-official", lambda _digit, _speaker, take: take < 5)


def _fsdd_speaker(work: Path, seed: int) -> list[str]:
    """Leave one speaker out, whom the seed names."""
    names = sorted({p.name.split("_")[1] for p in (data_folder() / "fsdd" / "recordings").glob("*.wav")})
    out = names[seed % len(names)]
    return _recordings(work / f"fsdd-without-{out}", lambda _digit, speaker, _take: speaker == out)


def _recordings(folder: Path, is_test: Callable[[str, str, int], bool]) -> list[str]:
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for path in sorted((data_folder() / "fsdd" / "recordings").glob("*.wav")):
            digit, speaker, take = path.stem.split("_")
            place = part / ("test" if is_test(digit, speaker, int(take)) else "train") / digit
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / path.name)
        part.rename(folder)
    return [str(folder)]


def _ucr(name: str) -> Callable[[Path, int], list[str]]:
    def files(_work: Path, _seed: int) -> list[str]:
        folder = data_folder() / "ucr"
        return [str(folder / f"{name}_TRAIN.ts"), "--test", str(folder / f"{name}_TEST.ts")]

    return files


def _cifar(_work: Path, _seed: int) -> list[str]:
    folder = data_folder() / "cifar10"
    return [str(folder / "train.parquet"), "--test", str(folder / "test.parquet"), "--target", "label"]


def _beijing(_work: Path, _seed: int) -> list[str]:
    path = next((data_folder() / "beijing-pm25").glob("*.csv"))
    return [str(path), "--target", "pm2.5", "--task", "forecasting", "--set", "task.horizon=24"]


def _passengers(_work: Path, _seed: int) -> list[str]:
    path = next((data_folder() / "air-passengers").glob("*.csv"))
    target = pl.read_csv(path, n_rows=1).columns[-1]
    return [str(path), "--target", target, "--task", "forecasting", "--set", "task.horizon=24"]


_LOANS_LEFT_OUT = ("grade", "sub_grade", "installment", "rownames")


def _loans(*columns: str) -> Callable[[Path, int], list[str]]:
    """The interest rate from the table's columns, from its text column, or from both; the same rows each time."""

    def files(work: Path, _seed: int) -> list[str]:
        path = work / f"loans-{'-'.join(columns)}.csv"
        if not path.exists():
            frame = pl.read_csv(next((data_folder() / "lending-loans").glob("*.csv")), infer_schema_length=None)
            text = ["emp_title"]
            table = [c for c in frame.columns if c not in (*text, *_LOANS_LEFT_OUT, "interest_rate")]
            kept = [*(table if "table" in columns else []), *(text if "text" in columns else []), "interest_rate"]
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.select(kept).write_csv(path)
        words = [str(path), "--target", "interest_rate", "--task", "regression"]
        return [*words, *(["--set", "data.columns.emp_title=text"] if "text" in columns else [])]

    return files


def _hinted(*columns: str) -> Callable[[Path, int], list[str]]:
    """A fifth of cifar10 beside a made column: the class in four of ten rows, any class in the others."""

    def files(work: Path, _seed: int) -> list[str]:
        found = []
        for part, rows in (("train", 10_000), ("test", 10_000)):
            path = work / f"hinted-{'-'.join(columns)}-{part}.parquet"
            if not path.exists():
                frame = pl.read_parquet(data_folder() / "cifar10" / f"{part}.parquet").head(rows)
                draws = np.random.default_rng(rows + len(part))
                label, any_label = frame["label"].to_numpy(), draws.permutation(frame["label"].to_numpy())
                hint = np.where(draws.random(len(label)) < 0.4, label, any_label)
                path.parent.mkdir(parents=True, exist_ok=True)
                kept = frame.with_columns(hint=pl.Series([f"hint {h}" for h in hint]))
                kept.select([c for c in ("image", "hint", "label") if c in (*columns, "label")]).write_parquet(path)
            found.append(str(path))
        return [found[0], "--test", found[1], "--target", "label"]

    return files


CASES: dict[str, Case] = {
    "cifar10, 300 s": Case(300, "accuracy", 0.88, _cifar, seeds=3),
    "cifar10, 900 s": Case(900, "accuracy", 0.91, _cifar, seeds=1),
    "sst2": Case(60, "accuracy", 0.82, _sst2),
    "ag-news": Case(60, "accuracy", None, _ag_news),
    "sms-spam": Case(30, "f1", 0.95, _sms),
    "fsdd, official takes": Case(120, "accuracy", 0.98, _fsdd),
    "fsdd, one speaker left out": Case(120, "accuracy", 0.70, _fsdd_speaker, seeds=4),
    "GunPoint": Case(60, "accuracy", 0.99, _ucr("GunPoint")),
    "ItalyPowerDemand": Case(60, "accuracy", 0.965, _ucr("ItalyPowerDemand")),
    "BasicMotions": Case(60, "accuracy", 1.0, _ucr("BasicMotions")),
    "loans, table alone": Case(60, "rmse", None, _loans("table"), seeds=3),
    "loans, text alone": Case(60, "rmse", None, _loans("text"), seeds=3),
    "loans, table and text": Case(60, "rmse", None, _loans("table", "text"), seeds=3),
    "hinted pictures, column alone": Case(30, "accuracy", None, _hinted("hint"), seeds=1),
    "hinted pictures, pictures alone": Case(120, "accuracy", None, _hinted("image"), seeds=1),
    "hinted pictures, both": Case(120, "accuracy", None, _hinted("image", "hint"), seeds=1),
    "beijing-pm25": Case(120, "mae", None, _beijing, seeds=3),
    "air-passengers": Case(60, "mae", None, _passengers, seeds=3),
}


def run(name: str, seed: int) -> dict[str, Any]:
    """One training; returns its record, with the failure where it failed."""
    case = CASES[name]
    out = WORK / "kinds" / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    words = [sys.executable, "-m", "limpid", "train", *case.files(WORK, seed), "--budget", f"{case.budget}s"]
    words += ["--seed", str(seed), "--out", str(out), "--json", *case.options]
    load = [round(x, 2) for x in os.getloadavg()]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=4 * case.budget + 600)
    record: dict[str, Any] = {
        "case": name,
        "seed": seed,
        "budget_s": case.budget,
        "seconds": round(time.monotonic() - began, 1),
        "load_before": load,
        "load_after": [round(x, 2) for x in os.getloadavg()],
        "cpu": cpu(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "versions": versions("limpid", Path("none.csv")),
    }
    if done.returncode != 0:
        record["failed"] = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return record
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    record |= {key: answer[key] for key in ("net", "metrics", "baselines", "epochs", "stopped")}
    return record


def table(records: list[dict[str, Any]]) -> str:
    """What was asked for and what was measured, a line a case."""
    lines = [
        "| data | budget | figure | reach | limpid, mean (lowest to highest, n) | best baseline | longest run |",
        "|---" * 7 + "|",
    ]
    for name, case in CASES.items():
        own = [r for r in records if r["case"] == name]
        # Records from before a figure was among the metrics do not count.
        own = [r for r in own if "failed" in r or case.metric in r["metrics"]["valid"]]
        good = [r for r in own if "failed" not in r]
        if not own:
            continue
        part = "test" if all("test" in r["metrics"] for r in good) else "valid"
        values = [r["metrics"][part][case.metric] for r in good]
        rivals = {
            base: statistics.mean(r["baselines"][base][part][case.metric] for r in good)
            for base in (good[0]["baselines"] if good else {})
            if all(r["baselines"].get(base, {}).get(part) for r in good)
        }
        least = case.metric in ("mae", "rmse", "log_loss")
        best = (min if least else max)(rivals.items(), key=lambda item: item[1], default=("none", float("nan")))
        measured = (
            f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g}, {len(values)})"
            if values
            else "failed"
        )
        failed = f"; {len(own) - len(good)} failed" if len(good) < len(own) else ""
        reach = "-" if case.reach is None else f"{case.reach:g}"
        lines.append(
            f"| {name} | {case.budget} s | {case.metric} | {reach} | {measured}{failed} | {best[0]} {best[1]:.4g} | "
            f"{max(r['seconds'] for r in own):.0f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for, writing the record file after every run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="all", help="names with semicolons, or all")
    parser.add_argument("--seeds", type=int, default=None, help="runs a case, by default what the case says")
    parser.add_argument("--record", default=None, help="day of the record, kinds-DAY.json")
    parser.add_argument("--show", action="store_true", help="print the table of the record and run nothing")
    asked = parser.parse_args()
    names = list(CASES) if asked.cases == "all" else [n.strip() for n in asked.cases.split(";")]
    if unknown := set(names) - set(CASES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {'; '.join(CASES)}")
    path = HERE / f"kinds-{asked.record or time.strftime('%Y-%m-%d')}.json"
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for name in names if not asked.show else []:
        for seed in range(asked.seeds or CASES[name].seeds):
            record = run(name, seed)
            records = [r for r in records if (r["case"], r["seed"]) != (name, seed)] + [record]
            path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
            outcome = record.get("failed") or record["metrics"]
            print(f"{name} {seed}: {record['seconds']} s {outcome}", file=sys.stderr, flush=True)
    print(table(records))


if __name__ == "__main__":
    main()
