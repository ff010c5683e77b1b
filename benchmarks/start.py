"""What it costs to start: imports, help, loading, one row, a hundred thousand rows. `python -m benchmarks.start`.

Each figure of a process is the median of `--runs` fresh processes after one that is not counted. The table and the
model are scikit-learn's breast cancer, or adult where LIMPID_DATA is set.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.run import cpu

LIMPID = [sys.executable, "-m", "limpid"]


def process(command: list[str], runs: int) -> tuple[float, float]:
    """Median and largest wall time in seconds."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), max(seconds[1:])


def inside(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """The same for a call in this process."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), max(seconds[1:])


def model(folder: Path, budget: str) -> tuple[Path, Path, str]:
    """Train a model; returns the run, a CSV with its rows and the target."""
    if os.environ.get("LIMPID_DATA"):
        from benchmarks.tables import prepare

        split = prepare("adult", 0)
        data, rows, target = str(split / "train.csv"), split / "test.csv", "income"
    else:
        import polars as pl
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
        frame = pl.DataFrame({str(n): bunch.data[:, i] for i, n in enumerate(bunch.feature_names)})
        rows, target = folder / "rows.csv", "target"
        frame.write_csv(rows)
        data = str(folder / "train.csv")
        frame.with_columns(pl.Series(target, bunch.target)).write_csv(data)
    run = folder / "run"
    command = [*LIMPID, "train", data, "--target", target, "--budget", budget, "--out", str(run), "--quiet"]
    subprocess.run(command, check=True)
    return run, rows, target


def forbidden(run: Path, one: Path) -> str:
    """Which of the modules that predicting must not import it imported."""
    code = (
        "import sys\nfrom limpid.cli import main\n"
        f"main(['predict', {str(run)!r}, {str(one)!r}, '--out', {str(one.with_name('p.csv'))!r}])\n"
        "print([m for m in ('sklearn', 'scipy', 'limpid.training', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def measure(runs: int, budget: str) -> dict[str, object]:
    """All figures, by name, as (median, largest) in seconds or as plain values."""
    python = process([sys.executable, "-c", "pass"], runs)
    figures: dict[str, object] = {
        "python itself": python,
        "import limpid": process([sys.executable, "-c", "import limpid"], runs),
        "limpid --help": process([*LIMPID, "--help"], runs),
        "limpid train --help": process([*LIMPID, "train", "--help"], runs),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, rows, _ = model(folder, budget)
        lines = rows.read_text(encoding="utf-8").splitlines()
        one = folder / "one.csv"
        one.write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
        predict = [*LIMPID, "predict", str(run), str(one), "--out", str(folder / "one-answer.csv")]
        figures["limpid predict, one row"] = process(predict, runs)
        figures["modules that predicting imported and should not"] = forbidden(run, one)
        figures["bundle in bytes"] = sum(p.stat().st_size for p in (run / "model").iterdir())
        import polars as pl

        import limpid

        held = limpid.load(run)
        frame = pl.read_csv(rows, infer_schema_length=None)
        first = frame.row(0, named=True)
        many = pl.concat([frame] * (100_000 // frame.height + 1)).head(100_000)
        figures["one row from a dictionary, in process"] = inside(lambda: held.predict(first), 200)
        figures["100,000 rows of a frame, in process"] = inside(lambda: held.predict(many), 3)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="processes a figure")
    parser.add_argument("--budget", default="60s", help="for the model that is trained")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON too")
    asked = parser.parse_args()
    figures = measure(asked.runs, asked.budget)
    print(f"{cpu()}, load {os.getloadavg()[0]:.1f}, {asked.runs} runs each: median (largest)")
    for name, value in figures.items():
        text = f"{value[0]:.4f} s ({value[1]:.4f})" if isinstance(value, tuple) else str(value)
        print(f"{name:<50} {text}")
    if asked.out is not None:
        record = {"cpu": cpu(), "load": os.getloadavg(), "runs": asked.runs, "figures": figures}
        asked.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
