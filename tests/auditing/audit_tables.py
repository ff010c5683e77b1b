"""A small table of people for the audit's tests, and settings of quick trainings."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import limpid

QUICK = {
    "train.epochs": 4,
    "train.threads": 1,
    "train.precision": "fp32",
    "train.folds": 0,
    "evaluate.baselines": False,
}


FILLERS = ["likes", "long", "walks", "at", "night", "plays", "music"]


def people(rows: int = 1_500, seed: int = 0) -> pl.DataFrame:
    """Rows whose answer follows from three columns; `town` stands for `team`, whose rows are noisier."""
    g = np.random.default_rng(seed)
    team = g.choice(["a", "b"], rows, p=[0.6, 0.4])
    town = np.where(g.random(rows) < 0.9, np.where(team == "a", "north", "south"), "east")
    x, z = g.normal(size=rows), g.normal(size=rows)
    score = 2 * x + z + 1.2 * (team == "a") + g.normal(0, np.where(team == "a", 0.5, 2.0), rows)
    honest = g.random(rows) < 0.8
    moods = np.where((score > 0.5) == honest, "gladly", "sadly")
    return pl.DataFrame(
        {
            "x": x,
            "z": [None if n % 13 == 0 else v for n, v in enumerate(z)],
            "town": town,
            "note": [" ".join([*g.choice(FILLERS, 5), mood]) for mood in moods],
            "team": team,
            "answer": np.where(score > 0.5, "yes", "no"),
            "amount": score.round(4),
        }
    )


def fit(frame: pl.DataFrame, target: str, folder: Path, **settings: Any) -> limpid.Run:
    """A quick training on a CSV file beside the run."""
    folder.mkdir(parents=True)
    frame.write_csv(folder / "data.csv")
    return limpid.train(
        str(folder / "data.csv"), target=target, out=folder / "run", net="mlp", quiet=True, set={**QUICK, **settings}
    )
