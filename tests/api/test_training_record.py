"""training.json of a run: layers under the names of columns, examples with their rows; nothing where nobody asked."""

import shutil

import numpy as np
import polars as pl
import pytest

import limpid
from limpid.core.events import TrainingEnded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frame():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2))
    clear = np.where(x[:, 0] > 0, "yes", "no")
    wrong = np.sort(draw.choice(np.flatnonzero(np.abs(x[:, 0]) > 1.2), 6, replace=False))
    answer = clear.copy()
    answer[wrong] = np.where(clear[wrong] == "yes", "no", "yes")
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "answer": answer}), wrong


def quick(frame, out, **sets):
    settings = {
        "train.epochs": 30,
        "evaluate.baselines": False,
        "net.width": 32,
        "train.folds": 0,
        "train.refit": False,
    }
    return limpid.train(frame, target="answer", net="mlp", out=out, quiet=True, set={**settings, **sets})


@pytest.fixture(scope="module")
def run(frame, tmp_path_factory):
    return quick(frame[0], tmp_path_factory.mktemp("watched") / "r")


def test_wrong_targets_are_among_the_hardest_rows(run, frame):
    table, wrong = frame
    parts = pl.read_parquet(run.path / "rows.parquet")
    trained = set(parts.filter(pl.col("part") == "train")["row"].to_list())
    planted = trained & set(wrong.tolist())
    assert planted
    found = run.training["examples"]
    listed = {row["row"]: row for row in found["hardest"]}
    assert len(planted & set(listed)) >= 0.8 * len(planted)
    for number, row in listed.items():
        assert number in trained
        assert row["target"] == table["answer"][number]
        assert float(row["cells"]["a"]) == pytest.approx(table["a"][number], rel=1e-6)


def test_layers_bear_the_names_of_inputs(run):
    found = run.training["layers"]
    names = [layer["name"] for layer in found["layers"]]
    assert names and all(not name.startswith("nets.") for name in names)
    assert any(name.startswith("fields.") for name in names) and any(name.startswith("head") for name in names)
    assert all(len(layer["weight"]) == len(found["steps"]) for layer in found["layers"])


def test_the_report_tells_of_both(run):
    page = run.report.read_text(encoding="utf-8")
    assert "Inside the layers" in page and "How single examples were learnt" in page and "The hardest examples" in page


def test_without_the_watch_nothing_is_written_and_the_model_is_the_same(run, frame, tmp_path):
    alone = quick(frame[0], tmp_path / "r", **{"train.watch": False})
    assert not (alone.path / "training.json").exists() and alone.training == {}
    assert "Inside the layers" not in alone.report.read_text(encoding="utf-8")
    weights = [(r.path / "model" / "weights.safetensors").read_bytes() for r in (run, alone)]
    assert weights[0] == weights[1]


def test_windows_are_called_by_their_names(tmp_path):
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2021, 6, 1), interval="1d", eager=True)
    wave = np.sin(np.arange(len(days)) / 5) + 0.1 * np.random.default_rng(0).normal(size=len(days))
    run = limpid.train(
        pl.DataFrame({"day": days, "value": wave}),
        target="value",
        task="forecasting",
        out=tmp_path / "r",
        quiet=True,
        set={"train.epochs": 4, "evaluate.baselines": False},
    )
    found = run.training["examples"]
    assert found["hardest"] and all(row["name"] for row in found["hardest"])


def test_the_report_of_a_run_at_work_shows_what_there_is(run, tmp_path):
    place = tmp_path / "at work"
    place.mkdir()
    for name in ("plan.yaml", "profile.json", "events.jsonl", "network.json"):
        shutil.copy(run.path / name, place / name)
    page = limpid.report(place).read_text(encoding="utf-8")
    assert "Inside the layers" in page and "This run has no figures yet" in page
    with pytest.raises(limpid.LimpidError, match="not finished"):
        limpid.report(tmp_path)


def test_a_file_that_changes_while_it_learns_costs_the_cells_and_not_the_run(frame, tmp_path):
    path = tmp_path / "data.parquet"
    frame[0].write_parquet(path)

    def listen(event):
        if isinstance(event, TrainingEnded):
            path.touch()

    settings = {"train.epochs": 5, "evaluate.baselines": False, "train.folds": 0, "train.refit": False}
    run = limpid.train(
        str(path), target="answer", net="mlp", out=tmp_path / "r", quiet=True, set=settings, listen=listen
    )
    found = run.training["examples"]["hardest"]
    assert found and all(row["cells"] == {} and row["target"] in ("yes", "no") for row in found)
