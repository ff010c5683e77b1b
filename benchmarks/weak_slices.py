"""Is a weak slice found? `python -m benchmarks.weak_slices`.

In ten tables, four of them real, the answers of a known group of rows are drawn anew in all parts, so that no model can
be good there: the end or the middle of a number's range, a value of a category, missing cells, or what two columns have
in common. limpid is trained on one half and audited on the other; the slice is found where the audit names its columns
first and at least half of the rows named or planted are both (intersection over union).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.tables import WORK

ROWS = 4_000
LEAST = 0.5  # intersection over union


@dataclass(frozen=True)
class Plant:
    """A table with a weak slice.

    Args:
        name: what the records call it.
        frame: all rows, the answers of the slice drawn anew.
        target: the column that is asked for.
        columns: that the slice is cut by.
        weak: whether a row is of it.
    """

    name: str
    frame: pl.DataFrame
    target: str
    columns: tuple[str, ...]
    weak: np.ndarray

    @property
    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from and rows to judge by."""
        order = np.random.default_rng(11).permutation(self.frame.height)
        return np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])


def plants(seed: int = 0) -> Iterator[Plant]:
    """Ten of them."""
    for place, (name, columns) in enumerate(_MADE.items()):
        frame = _made(np.random.default_rng([seed, place]))
        weak = _MADE_WEAK[name](frame)
        yield Plant(name, _anew(frame, "answer", weak, seed), "answer", columns, weak)
    for name, columns in _REAL.items():
        frame, target = _sample(name)
        weak = _REAL_WEAK[name](frame)
        yield Plant(name, _anew(frame, target, weak, seed), target, columns, weak)


def overlap(planted: np.ndarray, named: np.ndarray) -> float:
    """Intersection over union of two sets of rows."""
    return len(np.intersect1d(planted, named)) / max(1, len(np.union1d(planted, named)))


def _made(random: np.random.Generator) -> pl.DataFrame:
    """Six numbers and three categories; the answer follows from some of them."""
    numbers = random.normal(size=(ROWS, 6))
    town = random.integers(0, 10, ROWS)
    job, kind = random.integers(0, 5, ROWS), random.integers(0, 3, ROWS)
    score = 2.0 * numbers[:, 0] - 1.5 * numbers[:, 1] + numbers[:, 2] + 1.5 * (kind == 1) - 0.5
    answer = np.where(score + random.normal(0, 0.3, ROWS) > 0, "yes", "no")
    gone = random.random(ROWS) < 0.1
    cells = {f"x{n}": numbers[:, n] for n in range(6)}
    return pl.DataFrame(
        {
            **cells,
            "x5": [None if g else v for g, v in zip(gone, numbers[:, 5], strict=True)],
            "town": [f"town {n}" for n in town],
            "job": [f"job {n}" for n in job],
            "kind": [f"kind {n}" for n in kind],
            "answer": answer,
        }
    )


def _between(frame: pl.DataFrame, name: str, low: float, high: float) -> np.ndarray:
    """Rows between two quantiles of a number, the lower one left out."""
    values = frame[name].to_numpy().astype(np.float64)
    ends = np.nanquantile(values, [low, high])
    return np.asarray((values > ends[0] if low > 0 else values >= ends[0]) & (values <= ends[1]))


def _is(frame: pl.DataFrame, name: str, value: str) -> np.ndarray:
    return (frame[name] == value).fill_null(False).to_numpy()


_MADE = {
    "end of a range": ("x3",),
    "middle of a range": ("x4",),
    "value of a category": ("town",),
    "missing cells": ("x5",),
    "two categories": ("job", "kind"),
    "a number and a category": ("x3", "kind"),
}
_MADE_WEAK = {
    "end of a range": lambda f: _between(f, "x3", 0.85, 1.0),
    "middle of a range": lambda f: _between(f, "x4", 0.4, 0.6),
    "value of a category": lambda f: _is(f, "town", "town 3"),
    "missing cells": lambda f: f["x5"].is_null().to_numpy(),
    "two categories": lambda f: _is(f, "job", "job 2") & _is(f, "kind", "kind 0"),
    "a number and a category": lambda f: _between(f, "x3", 0.0, 0.3) & _is(f, "kind", "kind 2"),
}
_REAL = {
    "breast_cancer": ("smoothness_error",),
    "digits": ("pixel_3_4", "pixel_2_5"),
    "diabetes": ("bmi",),
    "iris": ("sepal_width_cm",),
}
_REAL_WEAK = {
    "breast_cancer": lambda f: _between(f, "smoothness_error", 0.75, 1.0),
    "digits": lambda f: _between(f, "pixel_3_4", 0.0, 0.5) & _between(f, "pixel_2_5", 0.5, 1.0),
    "diabetes": lambda f: _between(f, "bmi", 0.7, 1.0),
    "iris": lambda f: _between(f, "sepal_width_cm", 0.55, 1.0),
}


def _sample(name: str) -> tuple[pl.DataFrame, str]:
    from limpid.data.samples import SAMPLES, open_sample

    table = open_sample(name)
    return table.read(list(table.columns)), SAMPLES[name].target


def _anew(frame: pl.DataFrame, target: str, weak: np.ndarray, seed: int) -> pl.DataFrame:
    """The answers of some rows drawn anew: any class, or a number with noise of twice the spread of all."""
    random = np.random.default_rng([seed, 99])
    answers = frame[target]
    if answers.dtype.is_float():
        values = answers.to_numpy()
        noise = random.normal(0, 2 * values.std(), len(values))
        return frame.with_columns(pl.Series(target, np.where(weak, values + noise, values)))
    levels = answers.unique().sort().to_list()
    drawn = random.integers(0, len(levels), len(answers))
    new = [levels[n] if w else a for a, n, w in zip(answers.to_list(), drawn, weak, strict=True)]
    return frame.with_columns(pl.Series(target, new, dtype=answers.dtype))


def main() -> None:
    """Plant, train, audit, compare."""
    import limpid
    from benchmarks.run import cpu
    from limpid.api.audit_rows import read
    from limpid.core.forms import FIELDS
    from limpid.core.repairs import Repairs
    from limpid.core.run import RunFolder
    from limpid.data.table import open_table
    from limpid.evaluation.slices import weakest

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    folder = Path(WORK) / f"weak-slices-{int(time.time())}"
    found = 0
    tables = []
    for place, plant in enumerate(plants(asked.seed)):
        learnt, judged = plant.halves
        home = folder / str(place)
        home.mkdir(parents=True)
        for part, rows in (("train", learnt), ("test", judged)):
            plant.frame[rows].write_csv(home / f"{part}.csv")
        data, test = (str(home / f"{part}.csv") for part in ("train", "test"))
        settings = {"evaluate.baselines": False, "train.epochs": asked.epochs, "train.folds": 0}
        run = limpid.train(
            data, target=plant.target, test=test, seed=asked.seed, out=home / "run", quiet=True,
            set=settings,
        )  # fmt: skip
        (said,) = [f.what for f in limpid.audit(run, test).findings if f.topic == "slices"]
        bundle = run.model.bundle
        subject = read(bundle, open_table(test), [], RunFolder(run.path), Repairs()).held
        named = weakest(subject.arrays, bundle.encoders.shapes()[FIELDS], subject.loss, bundle.encoders.value_of)
        share, columns = 0.0, ()
        if named:
            columns = tuple(sorted(named[0].column.split(", ")))
            share = overlap(np.flatnonzero(plant.weak[judged]), subject.rows[named[0].index])
        hit = columns == tuple(sorted(plant.columns)) and share >= LEAST
        found += hit
        tables.append({"table": plant.name, "found": hit, "overlap": round(share, 3), "said": said})
        print(json.dumps(tables[-1]), flush=True)
    print(json.dumps({"cpu": cpu(), "epochs": asked.epochs, "seed": asked.seed, "found": found, "of": len(tables)}))


if __name__ == "__main__":
    main()
