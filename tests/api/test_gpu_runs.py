"""Whole runs on a GPU, one a kind of data: what they learn, that the processor answers alike, that they repeat."""

import shutil
import wave

import numpy as np
import polars as pl
import pytest
from api_tables import QUICK, people
from PIL import Image

import limpid
from limpid.core.events import CheckpointSaved
from limpid.training.measure import flops

pytestmark = pytest.mark.gpu
GPU = {**QUICK, "train.epochs": 8}


def table(_folder):
    return people().drop("score"), "answer", {"train.folds": 2}


def pictures(folder):
    random = np.random.default_rng(0)
    for kind, place in (("left", 0), ("right", 8)):
        (folder / kind).mkdir(parents=True)
        for n in range(80):
            pixels = random.integers(0, 90, (16, 16, 3), dtype=np.uint8)
            pixels[4:12, place : place + 8] += 140
            Image.fromarray(pixels).save(folder / kind / f"{n}.png")
    return (
        folder,
        None,
        {"train.small": 0.5, "net.widths": [16, 32, 32], "data.columns.image.options.augment.flip": "none"},
    )


def words(_folder):
    random = np.random.default_rng(0)
    good = random.random(300) < 0.5
    text = [
        " ".join(random.permutation([*random.choice(["one", "two", "of", "it"], 6), "fine" if g else "poor"]))
        for g in good
    ]
    return pl.DataFrame({"text": text, "kind": np.where(good, "yes", "no")}), "kind", {"net.name": "gru"}


def sounds(folder):
    random = np.random.default_rng(0)
    for kind, pitch in (("low", 220.0), ("high", 880.0)):
        (folder / kind).mkdir(parents=True)
        for n in range(40):
            heard = np.sin(2 * np.pi * pitch * np.arange(4000) / 8000) + 0.2 * random.normal(size=4000)
            with wave.open(str(folder / kind / f"{n}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes((heard * 8000).astype("<i2").tobytes())
    return folder, None, {}


def series(_folder):
    random = np.random.default_rng(0)
    fast = random.random(200) < 0.5
    steps = np.arange(60)
    curves = [np.sin(steps / (3 if f else 9) + random.uniform(0, 6)) + 0.2 * random.normal(size=60) for f in fast]
    frame = pl.DataFrame({"curve": [c.tolist() for c in curves], "kind": np.where(fast, "fast", "slow")})
    return frame, "kind", {"net.name": "tcn"}


def days(_folder):
    t = np.arange(500)
    frame = pl.DataFrame(
        {"t": t, "y": 10 + np.sin(2 * np.pi * t / 12) + 0.05 * np.random.default_rng(0).normal(size=500)}
    )
    return frame, "y", {"task.name": "forecasting", "task.horizon": 12, "net.name": "nhits"}


KINDS = {f.__name__: f for f in (table, pictures, words, sounds, series, days)}


def fit(made, folder, **options):
    data, target, more = made
    settings = {**GPU, **more, **options.pop("set", {})}
    settings["data.columns.curve"] = "series" if "curve" in getattr(data, "columns", ()) else None
    settings = {k: v for k, v in settings.items() if v is not None}
    return limpid.train(data, target=target, out=folder, quiet=True, device="cuda", seed=3, set=settings, **options)


def weights(run):
    return (run.path / "model" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_the_processor_answers_alike(kind, gpu, tmp_path):
    run = fit(KINDS[kind](tmp_path / "data"), tmp_path / "run")
    metrics = run.metrics["test"]
    if kind == "days":
        assert metrics["mae"] < 0.3  # of a wave of height 1
    else:
        assert metrics["accuracy"] > 0.85
    kept = pl.read_parquet(run.path / "predictions.parquet")
    assert kept.height
    if kind == "table":  # the run judged its rows on the GPU, a loaded model answers on the processor
        test = kept.filter(pl.col("part") == "test")
        again = run.model.predict(people()[test["row"].to_list()])
        np.testing.assert_allclose(test["probability_yes"], again["probability_yes"], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_twice_the_same_call_gives_the_same_bytes(kind, gpu, tmp_path):
    made = KINDS[kind](tmp_path / "data")
    assert weights(fit(made, tmp_path / "a")) == weights(fit(made, tmp_path / "b"))


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_it_ends_with_the_same_bytes(kind, gpu, tmp_path):
    made = KINDS[kind](tmp_path / "data")
    copy = tmp_path / "copy"

    def keep(event):
        if isinstance(event, CheckpointSaved) and event.step >= 1 and not copy.exists():
            shutil.copytree(tmp_path / "run", copy)

    whole = fit(made, tmp_path / "run", listen=keep, set={"train.checkpoint_seconds": 0})
    assert copy.exists()
    data = made[0]
    again = limpid.train(data, out=copy, resume=True, quiet=True, device="cuda")
    assert weights(again) == weights(whole)


@pytest.mark.parametrize("kind", ["table", "pictures", "words"])
def test_a_budget_is_kept_and_bf16_learns(kind, gpu, tmp_path):
    free = {"train.epochs": None, "train.precision": "bf16", "train.threads": None}
    run = fit(KINDS[kind](tmp_path / "data"), tmp_path / "run", budget="20s", set=free)
    assert run.record["seconds"] < 22
    assert run.metrics["test"]["accuracy"] > 0.85


def test_products_are_measured_where_they_will_run(gpu):
    assert flops("bf16", 0, gpu) > 5 * flops("bf16", 0, "cpu")
