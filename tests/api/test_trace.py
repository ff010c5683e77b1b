"""`limpid.trace` on whole runs: what is shown is what the model does, and careless requests are answered."""

from __future__ import annotations

import io
import json

import numpy as np
import polars as pl
import pytest
from api_tables import quick
from rich.console import Console

import limpid

pytestmark = pytest.mark.slow


def shown(trace) -> str:
    console = Console(width=160, file=io.StringIO())
    trace.show(console)
    return console.file.getvalue()


def test_a_row_of_a_table(run: limpid.Run, table: pl.DataFrame) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in run.path.rglob("*") if p.is_file())
    trace = limpid.trace(run.path, table, row=5)
    record = json.loads(json.dumps(trace.as_dict(), allow_nan=False))
    assert record["row"] == 5
    assert {c["column"] for c in record["columns"]} == set(run.model.inputs)
    assert record["output"]["truth"] == str(table["answer"][5])
    assert record["update"]["optimiser"] == run.plan["train"]["optimiser"]
    assert record["update"]["lr"] == pytest.approx(run.plan["train"]["lr"])
    assert all(check["ok"] for check in record["checks"])
    assert record["update"]["loss_after"] != record["update"]["loss_before"]
    text = shown(trace)
    assert "the loss, in numbers" in text
    assert "one step of the optimiser" in text
    assert sorted((p, p.stat().st_mtime_ns) for p in run.path.rglob("*") if p.is_file()) == before


def test_the_answer_is_that_of_predict(run: limpid.Run, table: pl.DataFrame) -> None:
    model = run.model
    assert not model.bundle.more, "a single network is needed for this comparison"
    answer = model.predict(table[7:8]).row(0, named=True)
    traced = limpid.trace(model, table, row=7).as_dict()["output"]["prediction"]
    assert set(traced) == set(answer)
    for name, value in answer.items():
        assert traced[name] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value)


def test_a_row_without_a_target_goes_forward_alone(run: limpid.Run, table: pl.DataFrame) -> None:
    record = limpid.trace(run.path, table.drop("answer"), row=0).as_dict()
    assert "loss" not in record
    assert record["layers"]
    assert record["output"]["truth"] is None
    assert any("no target" in note for note in record["notes"])


def test_a_bundle_takes_plain_gradient_descent(run: limpid.Run, table: pl.DataFrame) -> None:
    record = limpid.trace(run.path / "model", table, row=1).as_dict()
    update = record["update"]
    assert update["optimiser"] == "gradient descent"
    assert update["update_norm"] == pytest.approx(update["lr"] * update["gradient_norm"], rel=1e-4)
    assert update["expected_change"] == pytest.approx(-update["lr"] * update["gradient_norm"] ** 2, rel=1e-4)


def test_a_row_that_is_not_there(run: limpid.Run, table: pl.DataFrame) -> None:
    with pytest.raises(limpid.LimpidError, match="there is no row") as caught:
        limpid.trace(run.path, table, row=table.height)
    assert f"0 to {table.height - 1}" in caught.value.expected


def test_a_page_holds_no_script_and_escapes_what_comes(run: limpid.Run, table: pl.DataFrame, tmp_path) -> None:
    page = limpid.trace(run.path, table, row=2).html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count('class="at"') == page.count('class="panel"') > 8


def test_words(tmp_path) -> None:
    draws = np.random.default_rng(0)
    words = np.array("river stone cloud paper green small quick north".split())
    texts = [" ".join(draws.choice(words, 6)) + (" happy" if n % 2 else " sad") for n in range(120)]
    frame = pl.DataFrame({"text": texts, "mood": ["up" if n % 2 else "down" for n in range(120)]})
    for net in ("gru", "transformer", "ngrams"):
        run = quick(frame, "mood", tmp_path / net, net=net)
        record = limpid.trace(run.path, frame, row=3).as_dict()
        assert all(check["ok"] for check in record["checks"]), net
        titles = {inner["title"] for layer in record["layers"] for inner in layer["inside"]}
        wanted = {"gru": "update gate, step by step", "transformer": "attention weights"}.get(net)
        assert wanted is None or wanted in titles, (net, titles)


def test_a_module_of_the_users_own(tmp_path) -> None:
    import torch

    class Own(torch.nn.Module):
        """Doubles what it reads and bends it."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(width, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.linear(2 * x))

    draws = np.random.default_rng(1)
    frame = pl.DataFrame({"a": draws.normal(size=80), "b": draws.normal(size=80)})
    frame = frame.with_columns(y=pl.col("a") - pl.col("b"))
    run = quick(frame, "y", tmp_path / "own", net=Own)
    record = limpid.trace(run.path, frame, row=0, net=Own).as_dict()
    assert all(check["ok"] for check in record["checks"])
    assert any(layer["kind"] == "Linear" for layer in record["layers"])


def test_a_window_of_a_series(tmp_path) -> None:
    frame = pl.DataFrame(
        {
            "day": pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 12, 31), eager=True),
            "sold": np.sin(np.arange(366) / 7 * 2 * np.pi) * 5 + 20,
        }
    )
    run = limpid.train(
        frame, target="sold", task="forecasting", quiet=True, out=tmp_path / "series", set={"train.epochs": 1}
    )
    record = limpid.trace(run.path, frame, row=2).as_dict()
    assert record["name"]
    assert all(check["ok"] for check in record["checks"])
