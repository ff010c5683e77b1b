"""A small table with every kind of column, and quick trainings on it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import limpid

QUICK = {
    "train.epochs": 3,
    "train.threads": 1,
    "train.precision": "fp32",
    "train.folds": 0,
    "evaluate.baselines": False,
}


def people(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Rows whose `answer` follows from age, job and note, and whose `score` is a noisy sum."""
    g = np.random.default_rng(seed)
    age = g.integers(18, 80, rows)
    job = g.choice(["clerk", "nurse", "pilot", "smith"], rows)
    income = g.lognormal(10, 0.7, rows).round(2)
    note = g.choice(["likes long walks", "works at night", "plays the violin"], rows)
    odds = (age - 50) / 8 + 2.0 * (job == "pilot") - 1.5 * (note == "works at night") + g.normal(0, 0.5, rows)
    return pl.DataFrame(
        {
            "age": age,
            "job": job,
            "income": [None if n % 11 == 0 else v for n, v in enumerate(income)],
            "since": [f"20{n % 20:02d}-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in g.integers(0, 5000, rows)],
            "note": note,
            "answer": np.where(odds > 0, "yes", "no"),
            "score": (odds + income / 50_000).round(4),
        }
    )


def quick(data: Any, target: str | list[str], out: Path, **options: Any) -> limpid.Run:
    """A training of a few epochs."""
    settings = {**QUICK, **options.pop("set", {})}
    return limpid.train(data, target=target, out=out, quiet=True, set=settings, **options)


def biased(rows: int) -> pl.DataFrame:
    """People of two sexes with a skill, by which one is hired, and paid, as if it were more of the other's."""
    draw = np.random.default_rng(0)
    sex = draw.choice(["f", "m"], rows)
    skill = draw.normal(size=rows)
    hired = np.where(skill + 1.5 * (sex == "m") + 0.7 * draw.normal(size=rows) > 0.6, "yes", "no")
    pay = 10 * skill + 8.0 * (sex == "m") + draw.normal(size=rows)
    height = 165 + 12 * (sex == "m") + 6 * draw.normal(size=rows)
    age = draw.integers(20, 60, rows)
    return pl.DataFrame({"skill": skill, "sex": sex, "height": height, "age": age, "hired": hired, "pay": pay})


FAIR = {
    "train.epochs": 12,
    "evaluate.baselines": False,
    "net.width": 32,
    "train.folds": 0,
    "train.refit": False,
    "evaluate.importance": False,
}
"""One quick fit, long enough that a gap between groups is learnt, and can be taken out again."""
