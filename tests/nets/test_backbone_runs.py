"""Trainings with a backbone from data to predictions: features computed once, adapters, all weights; then a start."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
import yaml
from tiny_checkpoints import checkpoint

import limpid

pytestmark = pytest.mark.slow

QUICK = {"train.epochs": 4, "train.threads": 1, "train.precision": "fp32", "evaluate.baselines": False}


def hums(rows: int, seed: int) -> pl.DataFrame:
    """Recordings of a low or a high hum, of different lengths."""
    g = np.random.default_rng(seed)
    high = g.random(rows) < 0.5
    lengths = g.choice([600, 720, 800], rows)
    waves = [
        np.sin(np.arange(n) * (0.9 if h else 0.08) + g.uniform(0, 6)) + 0.1 * g.normal(size=n)
        for n, h in zip(lengths, high, strict=True)
    ]
    return pl.DataFrame(
        {"wave": [w.astype(np.float32).tolist() for w in waves], "pitch": np.where(high, "high", "low")}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoint("hubert", tmp_path_factory.mktemp("checkpoints") / "hubert")


@pytest.fixture(scope="module")
def data():
    return hums(150, 0)


def train(data, folder, out, **options):
    sets = {**QUICK, "data.columns.wave": "series", "net.name": "backbone", "net.model": str(folder), **options}
    return limpid.train(data, target="pitch", out=out, quiet=True, set=sets)


def stages(run, name):
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    return [e for e in events if e["event"] == "StageEnded" and e["stage"] == name]


@pytest.mark.parametrize("how", ["head", "adapters", "all"])
def test_it_trains_saves_loads_and_predicts_without_the_folder(how, data, folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "checkpoint")
    options = {"head": {"train.epochs": 20}, "adapters": {"train.lr": 0.01}, "all": {"train.lr": 0.002}}[how]
    run = train(data, place, tmp_path / "r", **{"net.train": how, **options})
    assert run.metrics["test"]["accuracy"] > 0.8
    assert bool(stages(run, "features")) == (how == "head")
    plan = yaml.safe_load((run.path / "plan.yaml").read_text())
    assert plan["net"]["model"] == str(place) and plan["net"]["config"]["model_type"] == "hubert"
    kept = pl.read_parquet(run.path / "predictions.parquet").filter(pl.col("part") == "test")
    shutil.rmtree(place)
    spec = (run.path / "model" / "spec.json").read_text()
    assert str(place) not in spec and "hubert" in spec
    again = limpid.load(run.path / "model").predict(data[kept["row"].to_list()])
    np.testing.assert_allclose(kept["probability_high"], again["probability_high"], atol=1e-5)


def test_features_that_were_kept_give_the_same_model(data, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "cache"))
    first = train(data, folder, tmp_path / "a", **{"net.train": "head"})
    assert len(list((tmp_path / "cache").glob("features-*"))) == 3
    again = train(data, folder, tmp_path / "b", **{"net.train": "head"})
    shutil.rmtree(tmp_path / "cache")
    fresh = train(data, folder, tmp_path / "c", **{"net.train": "head"})
    weights = [(r.path / "model" / "weights.safetensors").read_bytes() for r in (first, again, fresh)]
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize("how", ["head", "adapters", "all"])
def test_an_interrupted_run_goes_on_to_the_same_bytes(how, data, folder, tmp_path):
    def stop(event):
        if event.as_dict()["event"] == "EpochEnded":
            raise KeyboardInterrupt

    options = {"net.train": how, "train.unfreeze": 0.0 if how != "all" else 0.5}
    whole = train(data, folder, tmp_path / "whole", **options)
    sets = {**QUICK, "data.columns.wave": "series", "net.name": "backbone", "net.model": str(folder), **options}
    with pytest.raises(KeyboardInterrupt):
        limpid.train(data, target="pitch", out=tmp_path / "cut", quiet=True, set=sets, listen=stop)
    resumed = limpid.train(data, out=tmp_path / "cut", quiet=True, resume=True)
    weights = [(r.path / "model" / "weights.safetensors").read_bytes() for r in (whole, resumed)]
    assert weights[0] == weights[1]


def test_checkpoints_of_a_frozen_backbone_hold_only_what_learns(data, folder, tmp_path):
    run = train(data, folder, tmp_path / "r", **{"net.train": "head"})
    sizes = [p.stat().st_size for p in (run.path / "checkpoint").glob("*.safetensors")]
    assert sizes and max(sizes) < (folder / "model.safetensors").stat().st_size / 2


def test_a_run_starts_from_a_model_with_a_backbone(data, folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "checkpoint")
    first = train(data, place, tmp_path / "first", **{"net.train": "adapters", "train.lr": 0.01})
    shutil.rmtree(place)
    other = hums(120, 1).with_columns(pitch=pl.col("pitch").replace({"high": "up", "low": "down"}))
    sets = {**QUICK, "net.start": str(first.path), "net.train": "head", "train.epochs": 20}
    second = limpid.train(other, target="pitch", out=tmp_path / "second", quiet=True, set=sets)
    plan = yaml.safe_load((second.path / "plan.yaml").read_text())
    assert plan["net"]["name"] == "backbone" and plan["net"]["model"] == "" and plan["net"]["train"] == "head"
    assert second.metrics["test"]["accuracy"] > 0.8


def opinions(rows: int, seed: int) -> pl.DataFrame:
    """Reviews of known and unknown words; a few are missing, empty or long."""
    g = np.random.default_rng(seed)
    good = g.random(rows) < 0.5
    praise, blame = np.array(["good", "fine", "witty", "moving"]), np.array(["bad", "dull", "poor", "waste"])
    texts = [
        f"The film {'very ' * int(g.integers(0, 3))}{g.choice(praise if v else blame)} of plot{' a' * int(g.integers(0, 9))}"
        for v in good
    ]
    texts[0], texts[1], texts[2] = None, "", "good " * 500 if good[2] else "bad " * 500
    return pl.DataFrame({"review": texts, "verdict": np.where(good, "up", "down")})


@pytest.mark.parametrize("how", ["head", "adapters", "all"])
def test_texts_are_read_with_the_models_own_tokeniser(how, tmp_path):
    place = checkpoint("bert", tmp_path / "bert")
    data = opinions(300, 0)
    options = {
        "head": {"train.epochs": 100, "train.lr": 0.02},
        "adapters": {"train.lr": 0.02},
        "all": {"train.lr": 0.003},
    }[how]
    options = {"train.epochs": 15, **options}
    sets = {**QUICK, "data.columns.review": "text", "net.model": str(place), "net.train": how, **options}
    run = limpid.train(data, target="verdict", net="backbone", out=tmp_path / "r", quiet=True, set=sets)
    assert run.metrics["test"]["accuracy"] > 0.85
    plan = yaml.safe_load((run.path / "plan.yaml").read_text())
    chosen = plan["data"]["columns"]["review"]["options"]
    assert chosen["unit"] == "backbone" and chosen["max_tokens"] <= 32
    assert "trained with" in plan["because"]["data.columns.review.options.unit"]
    shutil.rmtree(place)
    model = limpid.load(run.path / "model")
    kept = pl.read_parquet(run.path / "predictions.parquet").filter(pl.col("part") == "test")
    again = model.predict(data[kept["row"].to_list()])
    np.testing.assert_allclose(kept["probability_up"], again["probability_up"], atol=1e-5)
    strange = model.predict(pl.DataFrame({"review": [None, "", "🙂 unseen", "x" * 100_000]}))
    assert strange["probability_up"].is_finite().all()


def test_a_checkpoint_without_a_tokeniser_says_how_to_get_one(tmp_path):
    place = checkpoint("bert", tmp_path / "bert")
    (place / "tokenizer.json").unlink()
    sets = {**QUICK, "data.columns.review": "text", "net.model": str(place)}
    with pytest.raises(limpid.LimpidError, match="no tokeniser") as caught:
        limpid.train(opinions(60, 0), target="verdict", net="backbone", out=tmp_path / "r", quiet=True, set=sets)
    assert "AutoTokenizer" in caught.value.fix


def test_the_plan_needs_few_rows_to_know_the_pace(data, folder):
    sets = {"data.columns.wave": "series", "net.name": "backbone", "net.model": str(folder)}
    tree = limpid.plan(data, target="pitch", set=sets, budget="30s").as_dict()
    assert tree["net"]["train"] == "head" and "too few" in tree["because"]["net.train"]
    assert tree["train"]["unfreeze"] == 0.0
