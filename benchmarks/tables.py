"""Which tables are measured, and how each is cut into the files that every system gets alike.

`prepare(name, seed)` writes work/tables/NAME/SEED with train.csv (features and target), test.csv (features alone),
labels.csv (the held-out targets, which only the scorer reads) and task.json. A random table is cut by
scikit-learn's `train_test_split` with that seed, a quarter for the test; adult keeps its official test file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

WORK = Path(__file__).resolve().parent / "work"
TEST_SHARE = 0.25


def data_folder() -> Path:
    """Where the real data stand (LIMPID_DATA)."""
    folder = os.environ.get("LIMPID_DATA")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("set LIMPID_DATA to the folder with the real data")
    return Path(folder)


@dataclass(frozen=True)
class Table:
    """One table of the benchmark.

    Args:
        name: what the records call it.
        task: "classification" or "regression".
        target: the target column.
        metric: what systems are ranked by: ROC AUC for two classes, log loss for more, RMSE for numbers.
        load: reads the whole frame.
        drop: columns left out because they give the target away.
        test: reads the official test rows, where there are some.
    """

    name: str
    task: str
    target: str
    metric: str
    load: Callable[[], pl.DataFrame]
    drop: tuple[str, ...] = ()
    test: Callable[[], pl.DataFrame] | None = None


_ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
]


def _adult(part: str) -> pl.DataFrame:
    lines = (data_folder() / "adult" / f"adult-{part}.csv").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split(",")] for line in lines]
    rows = [row for row in rows if len(row) == len(_ADULT)]
    frame = pl.DataFrame(rows, schema=_ADULT, orient="row")
    return frame.with_columns(pl.col("income").str.strip_chars_end("."))


def _csv(path: str) -> Callable[[], pl.DataFrame]:
    # Cells stay the text that the publisher wrote, so that every system reads the same bytes.
    return lambda: pl.read_csv(data_folder() / path, infer_schema=False)


def _npz(path: str) -> Callable[[], pl.DataFrame]:
    def load() -> pl.DataFrame:
        with np.load(data_folder() / path, allow_pickle=False) as arrays:
            x, y = arrays["X"], arrays["y"]
        frame = pl.DataFrame({f"x{i + 1}": x[:, i] for i in range(x.shape[1])})
        return frame.with_columns(pl.Series("target", y.astype(np.int64)))

    return load


def _sklearn(name: str) -> Callable[[], pl.DataFrame]:
    def load() -> pl.DataFrame:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        names = [str(n).replace(" ", "_") for n in bunch.feature_names]
        frame = pl.DataFrame({n: bunch.data[:, i] for i, n in enumerate(names)})
        return frame.with_columns(pl.Series("target", bunch.target))

    return load


_LOANS = "lending-loans/loans.csv"
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("adult", "classification", "income", "roc_auc", lambda: _adult("train"), test=lambda: _adult("test")),
        Table("california", "regression", "median_house_value", "rmse", _csv("california-housing/housing.csv")),
        Table("bike", "regression", "cnt", "rmse", _csv("bike-sharing/bike.csv")),
        Table("elec2", "classification", "class", "roc_auc", _csv("elec2/elec.csv")),
        Table(
            "loans_rate",
            "regression",
            "interest_rate",
            "rmse",
            _csv(_LOANS),
            drop=("grade", "sub_grade", "installment"),
        ),
        Table(
            "loans_grade",
            "classification",
            "grade",
            "log_loss",
            _csv(_LOANS),
            drop=("interest_rate", "sub_grade", "installment"),
        ),
        Table("cardio", "classification", "target", "roc_auc", _npz("adbench/6_cardio.npz")),
        Table("annthyroid", "classification", "target", "roc_auc", _npz("adbench/2_annthyroid.npz")),
        Table("shuttle", "classification", "target", "roc_auc", _npz("adbench/32_shuttle.npz")),
        Table("digits", "classification", "target", "log_loss", _sklearn("digits")),
        Table("breast_cancer", "classification", "target", "roc_auc", _sklearn("breast_cancer")),
        Table("diabetes", "regression", "target", "rmse", _sklearn("diabetes")),
    )
}


def prepare(name: str, seed: int) -> Path:
    """Write the files of one table and split, once; returns their folder."""
    table = TABLES[name]
    folder = WORK / "tables" / name / str(seed)
    if (folder / "task.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    train, test = _parts(table, seed)
    labels = test.select(table.target)
    train.write_csv(folder / "train.csv")
    test.drop(table.target).write_csv(folder / "test.csv")
    labels.write_csv(folder / "labels.csv")
    sums = {
        part: hashlib.sha256((folder / f"{part}.csv").read_bytes()).hexdigest() for part in ("train", "test", "labels")
    }
    task = {
        "table": name,
        "seed": seed,
        "task": table.task,
        "target": table.target,
        "metric": table.metric,
        "rows": {"train": train.height, "test": test.height},
        "sha256": sums,
    }
    (folder / "task.json").write_text(json.dumps(task, indent=1) + "\n", encoding="utf-8")
    return folder


def _parts(table: Table, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    from sklearn.model_selection import train_test_split

    frame = table.load().drop(table.drop)
    if table.test is not None:
        return frame, table.test().drop(table.drop)
    frame = frame.filter(pl.col(table.target).is_not_null())
    train, test = train_test_split(np.arange(frame.height), test_size=TEST_SHARE, random_state=seed)
    return frame[train], frame[test]


def main() -> None:
    """`python -m benchmarks.tables [--seeds N]`: prepare all tables."""
    parser = argparse.ArgumentParser(description="prepare the benchmark's tables")
    parser.add_argument("--seeds", type=int, default=5, help="number of random splits")
    seeds = parser.parse_args().seeds
    for name, table in TABLES.items():
        for seed in range(1 if table.test else seeds):
            print(prepare(name, seed))


if __name__ == "__main__":
    main()
