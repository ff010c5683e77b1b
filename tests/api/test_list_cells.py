"""Sets of labels that a frame holds as Python lists, as target beside a text and as an input of a table."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import limpid
from limpid.auditing.features import columns_of
from limpid.auditing.judged import stacked
from limpid.explanation.importance import dependence
from limpid.explanation.neighbours import counterfactual

pytestmark = pytest.mark.slow

QUICK = {"train.epochs": 8, "evaluate.baselines": False, "evaluate.importance": False}


def test_a_text_is_shown_by_the_sets_of_labels_beside_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    good = random.integers(0, 2, 150)
    words = [f"{'fine' if g else 'awful'} day number {n} of {random.integers(999)}" for n, g in enumerate(good)]
    frame = pl.DataFrame({"text": words, "tags": [["a", "b"] if g else ["b"] for g in good]})
    shown = limpid.inspect(frame, target="tags").as_dict()["columns"]
    assert {c["name"]: c["kind"] for c in shown} == {"text": "text", "tags": "labels"}
    # Of two tables for one model, the one may hold lists and the other text.
    both = stacked(frame.select("tags"), frame.select(pl.col("tags").list.join("|")))
    assert both["tags"].to_list() == ["a|b" if g else "b" for g in good] * 2


def test_an_input_of_lists_is_explained_and_audited(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    answer = random.integers(0, 2, 150)
    tags = [["a", "b"] if a else ["b", "c"][: 1 + int(random.integers(2))] for a in answer]
    frame = pl.DataFrame({"x": random.normal(size=150), "tags": tags, "y": [str(a) for a in answer]})
    bundle = limpid.train(frame, target="y", net="mlp", quiet=True, out=tmp_path / "run", set=QUICK).model.bundle
    assert {p["value"] for p in dependence(bundle, frame, "tags", 0)["points"]} == {"a|b", "b", "b|c"}
    turned = counterfactual(bundle, frame[int(np.flatnonzero(answer)[0])], frame)
    assert turned is not None and [c["column"] for c in turned["changes"]] == ["tags"]
    numbers, categories = columns_of(bundle)
    assert set(numbers) == {"x", "tags"} and categories == []
