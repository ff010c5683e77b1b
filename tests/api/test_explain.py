"""`limpid.explain` of one row, on whole runs of every kind of column: what is said is true of the model."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from api_tables import quick
from PIL import Image
from rich.console import Console

import limpid

pytestmark = pytest.mark.slow

KEYS = {"asked", "baseline", "evidence", "units", "methods", "pictures", "notes"}


def explained(run: Any, data: Any, row: int, **options: Any) -> dict[str, Any]:
    record = limpid.explain(run, data, row=row, **options).as_dict()
    assert record == json.loads(json.dumps(record, allow_nan=False))
    assert set(record) >= KEYS
    failed = [sum(c["passed"] is False for c in m["checks"]) for m in record["methods"]]
    assert failed == sorted(failed), "those that pass their checks come first"
    for method, fails in zip(record["methods"], failed, strict=True):
        assert len(method["units"]) == len(record["units"])
        assert method["trusted"] is (fails == 0)
        assert method["says"].startswith("do not trust this one") is (fails > 0)
    return record


def values(record: dict[str, Any], method: str) -> np.ndarray:
    return np.array(next(m["units"] for m in record["methods"] if m["method"] == method))


def logit(answer: dict[str, Any]) -> float:
    return float(np.log(answer["probability_yes"] / answer["probability_no"]))


def test_a_row_of_a_table(run: limpid.Run, table: pl.DataFrame) -> None:
    record = explained(run.path, table, 5)
    assert [u["name"] for u in record["units"]] == run.model.inputs
    assert "what speaks for answer =" in record["asked"]
    assert str(record["answer"]["prediction"]) in record["asked"]
    sums = {m["method"]: sum(m["units"]) for m in record["methods"]}
    assert sums["integrated gradients"] == pytest.approx(sums["Shapley values"], rel=0.05)


def test_occlusion_is_what_predict_says(run: limpid.Run, table: pl.DataFrame) -> None:
    """Age taken away is age at the median: the same change shows in the probabilities, but for the temperature."""
    model = run.model
    record = explained(model, table, 9)
    by_name = dict(zip((u["name"] for u in record["units"]), values(record, "occlusion"), strict=True))
    row = table[9:10]
    middle = pl.Series("age", [float(table["age"].median())])
    changed = logit(model.predict(row).row(0, named=True)) - logit(
        model.predict(row.with_columns(middle)).row(0, named=True)
    )
    sign = 1 if record["answer"]["prediction"] == "yes" else -1
    temperature = float(model.bundle.task.temperature[0])
    assert by_name["age"] == pytest.approx(sign * changed * temperature, rel=0.02, abs=1e-3)


def test_the_same_twice(run: limpid.Run, table: pl.DataFrame) -> None:
    assert explained(run.path, table, 3) == explained(run.path, table, 3)


def test_a_number_as_the_answer(table: pl.DataFrame, tmp_path) -> None:
    run = quick(table.drop("answer"), "score", tmp_path / "score")
    record = explained(run.path, table, 0)
    assert "score" in record["asked"]
    assert record["methods"][0]["trusted"]


def test_long_texts_beside_a_table(tmp_path) -> None:
    draws = np.random.default_rng(0)
    words = np.array("river stone cloud paper green small quick north".split())
    texts = [" ".join([*draws.choice(words, 260), "Happy!" if n % 2 else "sad?"]) for n in range(120)]
    frame = pl.DataFrame({"text": texts, "age": draws.normal(size=120), "mood": ["up", "down"] * 60})
    record = explained(quick(frame, "mood", tmp_path / "run").path, frame, 4)
    kinds = [u["kind"] for u in record["units"]]
    assert kinds.count("column") == 1
    assert kinds.count("word") == 200, "neighbouring words are taken together"
    read = [u["where"] for u in record["units"] if u["kind"] == "word"]
    assert [w[0] for w in read[1:]] == [w[1] for w in read[:-1]]
    assert any("Shapley" in note for note in record["notes"])


@pytest.mark.parametrize("unit", ["characters", "words", "bpe"])
def test_tokens_that_are_no_words_are_given_to_words(unit: str, tmp_path) -> None:
    frame = pl.DataFrame(
        {"text": [f"A {'good' if n % 2 else 'evil'} thing, it is" for n in range(160)], "y": ["a", "b"] * 80}
    )
    settings = {"data.columns.text.options.unit": unit, "data.columns.text.kind": "text", "train.epochs": 12}
    run = quick(frame, "y", tmp_path / "run", net="textcnn", set=settings)
    record = explained(run.path, frame, 1)
    assert [u["name"] for u in record["units"]] == ["a", "good", "thing", ",", "it", "is"]
    whole = next(m for m in record["methods"] if m["method"] == "integrated gradients")
    complete = next(c for c in whole["checks"] if c["name"] == "completeness")
    assert complete["passed"], complete["says"]
    assert record["units"][int(np.argmax(record["methods"][0]["units"]))]["name"] == "good"


def test_pictures(tmp_path) -> None:
    draws = np.random.default_rng(0)
    cells = []
    for n in range(80):
        pixels = draws.integers(0, 90, (32, 32)) + 160 * (np.arange(32) % 8 < 4 if n % 2 else np.arange(32) % 2)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        cells.append(file.getvalue())
    frame = pl.DataFrame({"picture": cells, "kind": ["fine", "coarse"] * 40})
    run = quick(frame, "kind", tmp_path / "run", net="cnn", set={"net.width": 8})
    record = explained(run.path, frame, 1)
    assert {m["method"] for m in record["methods"]} >= {"integrated gradients", "occlusion", "Grad-CAM"}
    for picture in record["pictures"]:
        assert np.shape(picture["heat"]) == np.shape(picture["pixels"])[1:]
    assert len(record["units"]) == 64


def test_windows_of_a_series(tmp_path) -> None:
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 12, 31), eager=True)
    frame = pl.DataFrame({"day": days, "sold": np.sin(np.arange(366) / 7 * 2 * np.pi) * 5 + 20})
    run = limpid.train(
        frame, target="sold", task="forecasting", quiet=True, out=tmp_path / "series", set={"train.epochs": 1}
    )
    record = explained(run.path, frame, 2)
    assert "steps ahead" in record["asked"]
    assert {u["kind"] for u in record["units"]} == {"stretch"}
    assert record["turned_by"] is None


def test_what_is_asked_carelessly(run: limpid.Run, table: pl.DataFrame) -> None:
    with pytest.raises(limpid.LimpidError, match="there is no row") as caught:
        limpid.explain(run.path, table, row=table.height)
    assert f"0 to {table.height - 1}" in caught.value.expected
    with pytest.raises(limpid.LimpidError, match="reads no column 'aeg'") as caught:
        limpid.explain(run.path, table, row=0, fixed=["aeg"])
    assert "age" in caught.value.fix


def test_what_is_printed(run: limpid.Run, table: pl.DataFrame) -> None:
    console = Console(width=160, file=io.StringIO())
    found = limpid.explain(run.path, table, row=2)
    found.show(console)
    text = console.file.getvalue()
    assert found.as_dict()["methods"][0]["method"] in text
    assert "age" in text


def test_a_net_that_counts_is_explained_by_taking_parts_away(tmp_path) -> None:
    draws = np.random.default_rng(0)
    kinds = np.arange(80) % 2
    bumps = draws.normal(size=(80, 48)) * 0.1
    bumps[kinds == 1, 8:16] += np.sin(np.arange(8))  # what decides stands in steps 8 to 15
    frame = pl.DataFrame({"wave": bumps.tolist(), "y": np.where(kinds == 1, "yes", "no")})
    run = quick(frame, "y", tmp_path / "run", net="convkernel")
    found = limpid.explain(run.path, frame, row=1).as_dict()
    assert {m["method"] for m in found["methods"]} == {"Shapley values", "occlusion"}
    assert any("no gradient comes back from the net of wave" in note for note in found["notes"])
    assert not any("integrated" in m["says"] for m in found["methods"])
    picture = found["pictures"][0]
    assert picture["method"] == found["methods"][0]["method"]
    # The heat of single steps adds up to what the method says of the stretches.
    assert sum(picture["heat"]) == pytest.approx(sum(found["methods"][0]["units"]))
    assert 8 <= int(np.argmax(picture["heat"])) < 16
