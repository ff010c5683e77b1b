"""What the terminal shows: the figures are there, and no user string can steer the terminal."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from limpid.core.run import RunFolder
from limpid.reporting.compared import contest
from limpid.reporting.terminal import Leaderboard, blocks, inspection, plan_table, summary


def shown(what: RenderableType, width: int = 140) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(what)
    return out.getvalue()


def test_an_inspection_shows_columns_target_leaks_and_duplicates(make_profile: Callable[..., dict[str, Any]]) -> None:
    text = shown(inspection({**make_profile(), "source": "people.csv", "total_rows": 1234}))
    assert "people.csv" in text and "1,234 rows, 8 columns" in text
    assert "11.2 %" in text, "the share of missing hours"
    assert "! grade is a near copy of income" in text and "--set data.columns.grade.use=false" in text
    assert "Cramer's V" in text and "17 to 89" in text and "left out" in text
    assert "name a --target" not in text


def test_without_a_target_it_asks_for_one(make_profile: Callable[..., dict[str, Any]]) -> None:
    record = make_profile() | {"target": {"names": [], "columns": []}}
    assert "name a --target" in shown(inspection(record))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_control_characters_and_markup_stay_harmless(make_profile: Callable[..., dict[str, Any]], width: int) -> None:
    def hostile(word: str) -> str:
        return f"\x1b[2J\x1b]0;owned\x07[bold red]{word}[/bold red]\u202e\r"

    text = shown(inspection(make_profile(hostile)), width)
    assert "\x1b[2J" not in text and "\x1b]0" not in text and "\x07" not in text and "\u202e" not in text
    assert "[bold" in "".join(text.split()), "markup is shown as it was written"


def test_many_columns_are_capped(make_profile: Callable[..., dict[str, Any]]) -> None:
    assert "and 18 more columns" in shown(inspection(make_profile(columns=70)))


def test_a_summary_names_the_winner_first(make_run: Callable[..., RunFolder]) -> None:
    folder = make_run()
    record = folder.read(folder.metrics)
    lines = [line for line in shown(summary(record)).splitlines() if line.strip()]
    assert lines[0].startswith("ROC AUC 0.9268 on the test rows (95 % interval 0.9223 to 0.9311), behind the best")
    assert lines[1].split() == ["network", "(tabm)", "95", "%", "interval", "boosted", "linear", "trivial"]
    assert lines[2].split() == ["ROC", "AUC", "0.9268", "0.9223–0.9311", "0.9276", "0.8990", "0.5000"]
    assert any("22,793 train" in line and "31 epochs" in line for line in lines)
    assert all(len(line) <= 80 and "…" not in line for line in shown(summary(record), 80).splitlines())
    silent = record | {"verdict": "A fine network."}
    assert shown(summary(silent)).startswith("The baseline “boosted” is ahead"), "a winning baseline is said first"


def test_contest_knows_directions_and_what_is_missing(make_run: Callable[..., RunFolder]) -> None:
    folder = make_run(task="regression")
    found = contest(folder.read(folder.metrics))
    assert [line.name for line in found.lines] == ["network (tabm)", "linear", "boosted", "trivial"]
    assert found.behind and found.metric == "rmse"
    alone = contest({"metrics": {"valid": {"rmse": 2.0}}})
    assert alone.part == "valid" and not alone.behind and "no baselines" in alone.verdict
    assert contest({}).verdict == "This run has no figures on held-out rows yet."


def test_a_winning_network_is_not_called_behind() -> None:
    record = {
        "metrics": {"test": {"r2": 0.9}},
        "metric": "r2",
        "baselines": {"linear": {"metrics": {"test": {"r2": 0.8}}}, "broken": {"metrics": {}}},
    }
    found = contest(record)
    assert not found.behind and "ahead of the best baseline, linear" in found.verdict
    assert [line.name for line in found.lines][1:] == ["linear", "broken"]


def test_a_plan_shows_reasons_and_kinds() -> None:
    plan = {
        "seed": 0,
        "data": {"source": "a.csv", "columns": {"x": {"kind": "number"}, "id": {"kind": "key", "use": False}}},
        "net": {"name": "tabm"},
        "because": {
            "net.name": "small table",
            "data.columns.x": "3 numbers",
            "data.columns.id.use": "it names the row",
        },
    }
    text = shown(plan_table(plan))
    for word in ("net.name", "small table", "3 numbers", "left out: it names the row", "a.csv"):
        assert word in text


def test_a_leaderboard_keeps_the_order_and_the_figures() -> None:
    row = {
        "net": "mlp",
        "metric": "rmse",
        "metrics": {"rmse": 2.5, "mae": 1.5},
        "interval": [2.0, 3.0],
        "seconds": 61,
        "epochs": 9,
    }
    text = shown(Leaderboard([{"run": "runs/b", **row}, {"run": "runs/[red]a", **row}]))
    assert text.index("runs/b") < text.index("runs/[red]a")
    assert "2.0000–3.0000" in text and "1 min 1 s" in text and "1.5000" in text
    assert shown(Leaderboard([])).strip() == "no runs"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_leaderboard_breaks_no_figure_in_a_narrow_terminal(width: int) -> None:
    metrics = {"log_loss": 0.3, "roc_auc": 0.9133, "accuracy": 0.86, "f1": 0.6674, "f1_macro": 0.7894}
    row = {
        "net": "tabm",
        "metric": "log_loss",
        "metrics": metrics,
        "interval": [0.29, 0.31],
        "seconds": 18,
        "epochs": 5,
    }
    names = ["runs/2026-11-26-2203-column-15-wt27", "runs/2026-11-26-2146-column-15-qvaj"]
    lines = shown(Leaderboard([{"run": name, **row} for name in names]), width).splitlines()
    assert len(lines) == 3, "a line a run"
    assert all(name in line and "0.3000" in line for name, line in zip(names, lines[1:], strict=True))
    assert ("18 s" in lines[1]) == (width >= 80) and ("0.7894" in lines[1]) == (width == 200)


def test_blocks_join_bins_evenly() -> None:
    assert blocks([5] * 73, 16) == "█" * 16
    assert blocks([0, 0]) == "" == blocks([])
    assert blocks([0, 8, 1]) == " █▁"
