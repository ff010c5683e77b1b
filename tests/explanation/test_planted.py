"""What decides is planted, and explanations find it: columns of tables, a word of a text, a mark in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from planted import MARK, SIDE, pictures, table, texts

import limpid
from limpid.api.rows import read_rows
from limpid.core.repairs import Repairs
from limpid.data.table import open_table
from limpid.explanation.answer import explain_row
from limpid.explanation.units import typical

pytestmark = pytest.mark.slow

QUICK = {"train.threads": 1, "train.precision": "fp32", "train.folds": 0, "evaluate.baselines": False}


def explained(run: limpid.Run, frame: pl.DataFrame, rows: int) -> list[dict[str, Any]]:
    """The explanations of the first rows."""
    bundle = run.model.bundle
    read = read_rows(bundle, open_table(frame), Repairs(), targets=False)
    baseline = typical(read.arrays)
    found = []
    for n in range(rows):
        one = read.take([n])
        prediction = bundle.task.predict(bundle.raw(one.arrays))
        found.append(explain_row(bundle, one.frame, one.arrays, baseline, prediction))
    return found


def test_columns_that_decide_rank_first(tmp_path: Path) -> None:
    right = answers = trusted = 0
    for seed in range(20):
        frame, true = table(seed)
        run = limpid.train(frame, target="y", out=tmp_path / str(seed), quiet=True, set={**QUICK, "train.epochs": 30})
        sizes: dict[str, float] = {}
        for answer in explained(run, frame, 4):
            best = answer["methods"][0]
            answers, trusted = answers + 1, trusted + best["trusted"]
            for unit, value in zip(answer["units"], best["units"], strict=True):
                sizes[unit["name"]] = sizes.get(unit["name"], 0.0) + abs(value)
        ranked = sorted(sizes, key=lambda name: -sizes[name])
        whole = [r["column"] for r in limpid.explain(run.model, frame).as_dict()["importance"]]
        right += set(ranked[: len(true)]) == true and set(whole[: len(true)]) == true
    assert right >= 19, f"{right} of 20"
    assert trusted >= 0.95 * answers, f"{trusted} of {answers} answers have a method that may be believed"


@pytest.mark.parametrize("net", ["ngrams", "gru", "fasttext"])
def test_a_word_that_decides_ranks_first(net: str, tmp_path: Path) -> None:
    frame, words = texts(0)
    epochs = {"ngrams": 3, "gru": 8, "fasttext": 40}[net]
    run = limpid.train(
        frame, target="mood", net=net, out=tmp_path / "run", quiet=True, set={**QUICK, "train.epochs": epochs}
    )
    assert run.metrics["test"]["accuracy"] > 0.97, "nothing was learnt that could be explained"
    right, asked = 0, 100 if net == "ngrams" else 40  # the net that texts get by itself, and two others
    for answer, word in zip(explained(run, frame, asked), words, strict=False):
        best = answer["methods"][0]
        right += answer["units"][int(np.argmax(best["units"]))]["name"] == word
    assert right >= 0.95 * asked, f"{right} of {asked}"


def test_a_mark_that_decides_is_where_the_heat_is(tmp_path: Path) -> None:
    frame, places = pictures(0)
    settings = {
        **QUICK,
        "train.epochs": 12,
        "net.width": 8,
        "data.columns.picture.options.augment.flip": "none",
    }
    run = limpid.train(frame, target="kind", net="cnn", out=tmp_path / "run", quiet=True, set=settings)
    assert run.metrics["test"]["accuracy"] > 0.97, "nothing was learnt that could be explained"
    inside = peaks = 0
    for answer, (top, left) in zip(explained(run, frame, 100), places, strict=False):
        mark = np.zeros((SIDE, SIDE), bool)
        mark[top : top + MARK, left : left + MARK] = True
        best = answer["methods"][0]
        heat = np.maximum(heat_of(answer, best["method"]), 0)
        inside += heat[mark].sum() >= 0.6 * heat.sum() > 0
        peaks += bool(mark.reshape(-1)[int(np.argmax(heat_of(answer, "Grad-CAM")))])
    assert inside >= 95, f"{inside} of 100"
    assert peaks >= 95, f"{peaks} of 100"


def heat_of(answer: dict[str, Any], method: str) -> np.ndarray:
    """(H,W): its own heat, or its regions painted evenly."""
    for picture in answer["pictures"]:
        if picture["method"] == method:
            return np.asarray(picture["heat"])
    values = next(m["units"] for m in answer["methods"] if m["method"] == method)
    heat = np.zeros((SIDE, SIDE))
    for unit, value in zip(answer["units"], values, strict=True):
        top, left, bottom, right = unit["where"]
        heat[top:bottom, left:right] = value / ((bottom - top) * (right - left))
    return heat
