"""The verb `audit` from end to end: runs, bundles, other files, wrong requests, the card, the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from api_tables import QUICK, people, quick
from rich.console import Console

import limpid
import limpid.api
from limpid.api.audit_rows import read
from limpid.api.audited import Audit, audit
from limpid.auditing import mitigation, proxies
from limpid.bundle import format as layout
from limpid.cli.audit import audit as command
from limpid.core.errors import RequestError
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.core.schema import ColumnSpec
from limpid.data.groups import by_column
from limpid.data.table import open_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.csv and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("audited")
    people(900).drop("score").write_csv(folder / "data.csv")
    quick(str(folder / "data.csv"), "answer", folder / "run")
    return folder


@pytest.fixture(scope="module")
def audited(home: Path) -> Audit:
    return audit(home / "run", str(home / "data.csv"), group=["job", "age"])


def test_a_run_is_audited_on_rows_that_it_has_not_seen(audited: Audit, home: Path) -> None:
    kept = pl.read_parquet(home / "run/rows.parquet")
    assert audited.part == "test"
    assert audited.rows == kept.filter(pl.col("part") == "test").height
    assert {t.column for t in audited.fairness} == {"job", "age", "job x age"}
    assert {f.topic for f in audited.findings} >= {
        "fairness", "calibration", "leaks", "robustness", "overfitting", "privacy", "slices", "proxies",
        "unlike",
    }  # fmt: skip
    assert any("the model reads job" in f.what for f in audited.findings)
    accuracy = limpid.Run(home / "run").metrics["test"]["accuracy"]
    table = audited.fairness[0]
    share = sum(g.rows * (g.figures["accuracy"].value or 0) for g in table.groups) / audited.rows
    assert share == pytest.approx(accuracy)


def test_the_record_stands_in_the_run_folder(audited: Audit, home: Path) -> None:
    assert json.loads((home / "run/audit.json").read_text()) == json.loads(json.dumps(audited.as_dict()))
    assert audited.as_dict()["worst"] == audited.worst


def test_the_card_tells_of_the_audit_and_the_bundle_is_whole(audited: Audit, home: Path) -> None:
    _, members = layout.read(home / "run/model")
    text = members["card.md"].decode()
    assert text.count("## Audit") == 1
    assert "compared groups by job, age" in text
    assert "has not been audited" not in text
    assert limpid.load(home / "run").predict(people(5))["prediction"].len() == 5


def test_it_is_shown(audited: Audit) -> None:
    console = Console(width=100, record=True, file=StringIO())
    audited.show(console)
    said = console.export_text()
    assert f"audit of {audited.rows} rows of the test part" in said
    assert "Groups by job, 'yes' against the rest" in said
    assert "Rows made unlike the training rows" in said
    assert "numbers far outside their range" in said
    assert all(f.what[:20] in " ".join(said.split()) for f in audited.findings)


def test_a_bundle_is_audited_on_all_rows_and_left_as_it_is(home: Path, tmp_path: Path) -> None:
    before = (home / "run/model/manifest.json").read_bytes()
    found = audit(home / "run/model", people(300, seed=5))
    assert (found.part, found.rows) == ("", 300)
    assert any("could not be checked" in f.what for f in found.findings)
    assert (home / "run/model/manifest.json").read_bytes() == before
    assert audit(limpid.load(home / "run"), people(300, seed=5)).as_dict() == found.as_dict()


def test_another_file_is_compared_with_the_training_rows(home: Path) -> None:
    later = people(300, seed=5).drop("score")
    found = audit(home / "run", later)
    assert (found.part, found.rows) == ("", 300)
    assert [f for f in found.findings if "could not be" in f.what] == []
    known = pl.concat([later, pl.read_csv(home / "data.csv", infer_schema=False).cast(later.schema)[:60]])
    found = audit(home / "run", known)
    assert any("stand in the training part too" in f.what for f in found.findings if f.topic == "leaks")


def test_a_test_file_of_the_run_is_known(tmp_path: Path) -> None:
    people(600).drop("score").write_csv(tmp_path / "train.csv")
    people(200, seed=1).drop("score").write_csv(tmp_path / "test.csv")
    quick(str(tmp_path / "train.csv"), "answer", tmp_path / "run", test=str(tmp_path / "test.csv"))
    found = audit(tmp_path / "run", str(tmp_path / "test.csv"), group="job")
    assert (found.part, found.rows) == ("test", 200)
    assert any(f.topic == "privacy" for f in found.findings), "training rows were found where the plan says"
    assert found.mitigation == [] or "validation rows" in found.mitigation[0].chosen_on


def test_a_missing_training_file_is_said(tmp_path: Path) -> None:
    people(400).drop("score").write_csv(tmp_path / "train.csv")
    quick(str(tmp_path / "train.csv"), "answer", tmp_path / "run")
    (tmp_path / "train.csv").unlink()
    found = audit(tmp_path / "run", people(200, seed=1))
    said = next(f for f in found.findings if f.topic == "leaks" and "could not be checked" in f.what)
    assert said.level == "look"


def test_nothing_but_training_rows_is_a_warning(home: Path) -> None:
    kept = pl.read_parquet(home / "run/rows.parquet")
    rows = kept.filter(pl.col("part") == "train")["row"].sort()
    # A file of the run's own name that ends before the first held-out row could not be built from a random split;
    # a run on files of its own can.
    assert len(rows) > 100
    train, test = people(300).drop("score"), people(150, seed=1).drop("score")
    train.write_csv(home / "only.csv")
    test.write_csv(home / "later.csv")
    later = str(home / "later.csv")
    quick(str(home / "only.csv"), "answer", home / "own", test=later, valid=later)
    found = audit(home / "own", str(home / "only.csv"))
    assert any(f.level == "warning" and "flatters" in f.what for f in found.findings)


def test_unknown_groups_are_refused_with_the_nearest_name(home: Path) -> None:
    with pytest.raises(RequestError, match="no column 'jobs'") as caught:
        audit(home / "run", str(home / "data.csv"), group=["jobs"])
    assert "'job'" in caught.value.fix


def test_regression_and_several_classes(tmp_path: Path) -> None:
    frame = people(600)
    run = quick(frame.drop("answer"), "score", tmp_path / "values")
    found = audit(run, frame.drop("answer"), group=["job"])
    assert found.part == "test"
    assert found.calibration.coverage is not None
    assert {"error", "bias", "coverage"} <= set(found.fairness[0].gaps)
    run = quick(frame.drop("score"), "job", tmp_path / "jobs")
    found = audit(run, frame.drop("score"), group=["answer"])
    assert [t.positive for t in found.fairness] == ["clerk", "nurse", "pilot", "smith"]
    assert found.mitigation == []


def test_pictures_are_audited(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    pixels = g.integers(0, 60, (160, 12, 12, 3)).astype(np.uint8)
    bright = g.random(160) < 0.5
    pixels[bright, 2:6, 2:6] += 150
    frame = {"image": pixels, "light": np.where(bright, "on", "off").tolist(), "camera": ["a", "b"] * 80}
    run = quick(frame, "light", tmp_path / "run", set={"data.columns.camera.use": False})
    found = audit(run.path / "model", frame, group=["camera"])
    assert {"blur", "shift", "noise", "fgsm"} <= {c.name for c in found.robustness}
    assert found.unlike is not None
    assert [k.name for k in found.unlike.kinds] == ["patches", "snow", "inverted"]
    assert found.fairness[0].groups[0].rows == 80


def test_labels_and_texts_are_audited(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    tags = [[t for t in ("red", "round", "sweet") if g.random() < 0.5] for _ in range(400)]
    texts = [" ".join(["it", "is", "a", "thing", *t, *g.choice(["of", "old", "times", "here"], 3)]) for t in tags]
    said = ["|".join(t) or "plain" for t in tags]
    frame = pl.DataFrame({"text": texts, "shop": g.choice(["p", "q"], 400), "tags": said})
    run = quick(frame, "tags", tmp_path / "run")
    found = audit(run, frame, group=["shop"])
    assert [t.positive for t in found.fairness] == ["plain", "red", "round", "sweet"]
    assert "typos" in {c.name for c in found.robustness}
    longer = frame.with_columns(pl.col("text") + " " + pl.col("text")).reverse()
    found = audit(tmp_path / "run", longer, group=["shop"])
    assert (found.part, found.rows) == ("", 400)


def test_a_forecast_of_one_series_has_no_groups(tmp_path: Path) -> None:
    days = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2021, 2, 1), "1d", eager=True)
    value = 10 + 3 * np.sin(np.arange(len(days)) / 7 * 2 * np.pi) + np.random.default_rng(0).normal(0, 0.3, len(days))
    frame = pl.DataFrame({"day": days.dt.strftime("%Y-%m-%d"), "sales": value})
    run = limpid.train(
        frame, target="sales", task="forecasting", out=tmp_path / "run", quiet=True, set={**QUICK, "task.horizon": 7}
    )
    found = audit(run, frame)
    assert found.rows > 0
    assert found.worst in ("ok", "look", "warning")
    assert found.unlike is not None
    assert [k.name for k in found.unlike.kinds] == ["backwards", "hiss", "moved"]
    assert found.unlike.compared == "training rows"
    with pytest.raises(RequestError, match="changes within a series"):
        audit(run, frame, group=["day"])


def test_series_are_audited_on_a_file_of_their_own(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    kind = g.choice(["slow", "fast"], 180)
    step = np.where(kind == "slow", 0.2, 0.9)[:, None] * np.arange(30)
    waves = np.sin(step + g.uniform(0, 6, (180, 1))) + g.normal(0, 0.2, (180, 30))
    frame = pl.DataFrame({"wave": [[float(v) for v in w] for w in waves], "kind": kind})
    parts = [tmp_path / f"{name}.parquet" for name in ("train", "test")]
    frame[:120].write_parquet(parts[0])
    frame[120:].write_parquet(parts[1])
    options = {"net": "gru", "test": str(parts[1]), "set": {"data.columns.wave": "series"}}
    found = audit(quick(str(parts[0]), "kind", tmp_path / "series", **options), str(parts[1]))
    assert found.unlike is not None
    assert found.unlike.compared == "training rows"
    assert {k.name: (k.score.value or 0) > 0.9 for k in found.unlike.kinds}["hiss"]


def test_the_command_prints_and_fails_on_request(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limpid.api, "audit", audit, raising=False)
    command(home / "run/model", str(home / "data.csv"), json=True)
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["rows"] == 900
    command(home / "run/model", str(home / "data.csv"), fail_on="fault")
    assert "audit of 900 rows" in capsys.readouterr().out
    with pytest.raises(typer.Exit) as ended:
        command(home / "run/model", str(home / "data.csv"), fail_on="look")
    assert ended.value.exit_code == 1
    assert "--fail-on is look" in capsys.readouterr().err
    with pytest.raises(RequestError, match="no level 'warn'"):
        command(home / "run/model", str(home / "data.csv"), fail_on="warn")


def test_adult_thresholds_halve_the_gap_between_the_sexes(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    names = (
        "age workclass fnlwgt education education_num marital_status occupation relationship race sex capital_gain "
        "capital_loss hours native_country income"
    ).split()
    for part in ("train", "test"):
        frame = pl.read_csv(
            real_data(f"adult/adult-{part}.csv"), has_header=False, new_columns=names, infer_schema=False
        )
        frame = frame.with_columns(pl.all().str.strip_chars().str.strip_suffix(".")).drop_nulls("income")
        frame.write_csv(tmp_path / f"{part}.csv")
    run = limpid.train(
        str(tmp_path / "train.csv"),
        target="income",
        test=str(tmp_path / "test.csv"),
        out=tmp_path / "run",
        net="mlp",
        quiet=True,
        set={**QUICK, "train.epochs": 4},
    )
    subject = read(run.model.bundle, open_table(str(tmp_path / "test.csv")), ["sex"], RunFolder(run.path), Repairs())
    everything = subject.everything
    grouping = by_column(everything.frame, "sex", ColumnSpec(kind="category"), "adult")
    seen, unseen = (np.flatnonzero((everything.part == "train") == is_seen) for is_seen in (True, False))
    beside = everything.take(seen), grouping.take(seen)
    trades = []
    for seed in range(10):  # one division of 21,165 rows leaves much to luck
        order = np.random.default_rng(seed).permutation(unseen)
        by, on = order[:4_884], order[4_884:]
        trade = mitigation.thresholds(
            everything.take(on), grouping.take(on), (everything.take(by), grouping.take(by)), beside
        )
        assert trade is not None
        trades.append((*trade.gap, *trade.accuracy))
    wide, narrow, before, after = np.mean(trades, axis=0)
    assert narrow <= 0.5 * wide
    assert before - after <= 0.01
    (finding,) = proxies.findings_of(subject.held, [grouping.take(np.flatnonzero(everything.part == "test"))])
    assert finding.what.startswith("sex can be guessed well")
