"""A second fit on training and validation rows: what it is good for, and when there is no time for it."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml

import limpid
from limpid.api.again import _too_late

pytestmark = pytest.mark.slow


def prepared(budget, left):
    clock = SimpleNamespace(budget=budget, left=left)
    return SimpleNamespace(request=SimpleNamespace(clock=clock), sizes={"train": 1000}, judging=1.0)


def outcome(seconds, best):
    return SimpleNamespace(seconds=seconds, best_step=best, steps=100)


def test_without_a_budget_there_is_always_time():
    assert _too_late(prepared(None, None), outcome(1e9, 100), 1.2, "fitting anew") is None


@pytest.mark.parametrize(("left", "late"), [(18.0, False), (17.0, True), (-5.0, True)])
def test_the_second_fit_takes_as_long_as_the_best_steps_on_more_rows(left, late):
    # 10 s of 20, a fifth more rows: 12 s, beside 4.9 s kept for the report and 1 s for judging.
    found = _too_late(prepared(60.0, left), outcome(20.0, 50), 1.2, "fitting anew")
    assert (found is not None) == late
    if found:
        assert "about 12.0 s" in found and found.startswith("fitting anew would take")


def test_texts_of_few_rows_are_fitted_anew(tmp_path):
    draws = np.random.default_rng(0)
    good = draws.random(240) < 0.5
    words = [" ".join(draws.choice(["one", "two", "the", "a", "of", "and", "it"], 6)) for _ in good]
    text = [f"{w} {'splendid' if g else 'dreadful'} {w}" for w, g in zip(words, good, strict=True)]
    run = limpid.train(
        pl.DataFrame({"text": text, "kind": np.where(good, "yes", "no")}),
        target="kind",
        out=tmp_path / "run",
        seed=1,
        set={"train.epochs": 4, "evaluate.baselines": False},
    )
    plan = yaml.safe_load((run.path / "plan.yaml").read_text())
    assert plan["net"]["name"] == "ngrams" and plan["train"]["refit"] is True
    assert run.metrics["test"]["accuracy"] > 0.95
    answers = limpid.load(run.path).predict(
        pl.DataFrame({"text": ["it was splendid of the one", "a dreadful thing it was", "", None]})
    )
    assert answers["prediction"].to_list()[:2] == ["yes", "no"] and answers.height == 4
