"""Figures: every one draws, says how to read it, keeps user strings as values, and survives odd input."""

from __future__ import annotations

import json
import math
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from limpid.reporting import figures, result_figures
from limpid.reporting.drawing import inline, inline_all, spark
from limpid.reporting.figures import Figure
from limpid.reporting.png import png, svg

HOSTILE = "</script><script>window.hit=1</script>\"'<img src=x onerror=window.hit=1>{{7*7}}datum.x[0]\x00\u202e"


def every(word: str = "word") -> dict[str, Figure | None]:
    steps = [(float(i), math.exp(-i / 9)) for i in range(30)]
    grid = (np.eye(5) * 9).tolist()
    unit = np.linspace(0, 1, 50).tolist()
    return {
        "histogram": figures.histogram({"edges": [0, 1, 2], "counts": [3, 4]}, word),
        "dates": figures.histogram({"edges": ["2020-01-01", "2020-02-01", word], "counts": [3, 4]}, word),
        "bars": figures.bars([(word, 2.0, word), (word, 1.0, word)], word, "How to read it.", word),
        "balance": figures.balance({"balance": [{"value": word, "count": 3, "share": 1.0}]}),
        "associations": figures.associations([{"name": word, "association": {"measure": "eta", "value": 0.4}}], word),
        "curves": figures.curves(
            {"training": steps, "validation": steps}, word, "Both fall.", x="epoch", y=word, mark_at=9
        ),
        "log": figures.curves({"norm": steps}, word, "Logarithmic.", x="epoch", y="norm", log=True),
        "roc": result_figures.roc({"fpr": unit, "tpr": unit}),
        "pr": result_figures.precision_recall({"recall": unit, "precision": unit}),
        "reliability": result_figures.reliability([{"mean": 0.4, "share": 0.5, "count": 9}]),
        "confusion": result_figures.confusion([word, "b", "c", "d", "e"], grid),
        "predicted": result_figures.predicted_actual({"edges": [0, 1, 2, 3, 4, 5], "counts": grid}),
        "contenders": result_figures.contenders(
            [{"name": word, "value": 0.9, "low": 0.8, "high": 0.95, "ours": True}, {"name": word, "value": 0.7}],
            "roc_auc",
        ),
        "slices": result_figures.slices(
            [{"column": word, "value": word, "rows": 9, "score": 0.5, "gap": -0.2}], "accuracy"
        ),
        "labels": result_figures.label_scores([{"label": word, "rows": 9, "f1": 0.5}]),
    }


@pytest.mark.parametrize("name", every())
def test_every_figure_draws_and_says_how_to_read_it(name: str) -> None:
    figure = every()[name]
    assert figure is not None
    assert figure["usermeta"]["reads"].endswith(".") and len(figure["usermeta"]["reads"]) > 8
    assert figure["title"] and figure["description"]
    json.dumps(figure, allow_nan=False)
    root = ElementTree.fromstring(svg(figure))
    marks = [e for e in root.iter() if e.get("role") == "graphics-symbol"]
    assert marks, "nothing was drawn"


def test_slices_of_like_names_have_a_bar_each() -> None:
    pairs = ("pixel_2_5, pixel_3_4", "pixel_2_6, pixel_3_4", "pixel_2_7, pixel_3_4")
    rows = [{"column": c, "value": "highest half, lowest half", "rows": 40, "score": 0.5, "gap": -0.2} for c in pairs]
    figure = result_figures.slices(rows, "accuracy")
    assert figure is not None
    names = [v["y"] for v in figure["data"]["values"]]
    assert len(set(names)) == 3
    assert all(pair in json.dumps(figure) for pair in pairs), "the whole name is told"


@pytest.mark.parametrize("name", every())
def test_a_hostile_word_stays_text(name: str) -> None:
    figure = every(HOSTILE)[name]
    assert figure is not None
    drawn = inline(figure, "f")
    root = ElementTree.fromstring(drawn)
    tags = {e.tag.rsplit("}")[-1] for e in root.iter()}
    assert tags <= {
        "svg",
        "g",
        "path",
        "rect",
        "line",
        "circle",
        "text",
        "tspan",
        "title",
        "defs",
        "linearGradient",
        "stop",
        "clipPath",
    }
    for element in root.iter():
        assert not any(key.lower().startswith("on") or "href" in key or key == "style" for key in element.attrib)
    assert "<script" not in drawn and "<img" not in drawn and "\x00" not in drawn and "\u202e" not in drawn


def test_user_strings_are_values_and_never_names_of_fields() -> None:
    for figure in every("sum[datum.x].y").values():
        names = set()

        def walk(node: Any, names: set[str] = names) -> None:
            if isinstance(node, dict):
                if isinstance(node.get("field"), str):
                    names.add(node["field"])
                for key, inner in node.items():
                    if key != "data":
                        walk(inner)
            elif isinstance(node, list):
                for inner in node:
                    walk(inner)

        walk(figure)
        assert names and all(n.isalnum() for n in names)


def test_an_inlined_figure_has_a_text_alternative_and_tooltips() -> None:
    figure = every()["balance"]
    assert figure is not None
    root = ElementTree.fromstring(inline(figure, "f"))
    assert root.get("role") == "img" and root.get("aria-label") == figure["description"]
    assert "word: 100 % of the rows" in [e.text for e in root.iter() if e.tag.endswith("title")]


def test_inner_links_of_two_drawings_do_not_clash() -> None:
    figure = every()["confusion"]
    assert figure is not None
    drawn = inline_all({"one": figure, "two": figure})
    ids = {name: {e.get("id") for e in ElementTree.fromstring(d).iter() if e.get("id")} for name, d in drawn.items()}
    assert ids["one"] and not ids["one"] & ids["two"]
    for name, links in ids.items():
        for link in links:
            assert f"url(#{link})" in drawn[name] or "clip" in str(link)


@pytest.mark.parametrize(
    "record", [{}, {"edges": [], "counts": []}, {"edges": [1], "counts": [2, 3]}, {"edges": None, "counts": "x"}]
)
def test_nothing_to_draw_gives_no_figure(record: dict[str, Any]) -> None:
    assert figures.histogram(record, "x") is None
    assert result_figures.predicted_actual(record) is None
    assert result_figures.roc({"fpr": [0.0], "tpr": [None]}) is None
    assert result_figures.reliability([{"mean": None}]) is None
    assert result_figures.confusion(["a", "b"], [[1, 2]]) is None
    assert result_figures.contenders([{"name": "x", "value": None}], "r2") is None
    assert figures.curves({"a": [(1.0, math.nan)], "b": []}, "t", "r", x="x", y="y") is None
    assert figures.curves({"a": [(1.0, 0.0)]}, "t", "r", x="x", y="y", log=True) is None


def test_long_curves_are_thinned_with_both_ends() -> None:
    points = [(float(i), 1.0) for i in range(10_000)]
    kept = figures.thin(points)
    assert len(kept) == figures.MAX_POINTS and kept[0] == points[0] and kept[-1] == points[-1]


def test_a_baseline_far_off_is_named_instead_of_drawn() -> None:
    rows = [
        {"name": "network", "value": 0.92, "low": 0.91, "high": 0.93, "ours": True},
        {"name": "boosted", "value": 0.925},
        {"name": "linear", "value": 0.9},
        {"name": "trivial", "value": 0.1},
    ]
    figure = result_figures.contenders(rows, "roc_auc")
    assert figure is not None
    assert [v["y"] for v in figure["data"]["values"]] == ["network", "boosted", "linear"]
    assert "trivial: 0.1000" in figure["usermeta"]["reads"]
    near = result_figures.contenders(rows[:3], "roc_auc")
    assert near is not None and "Not drawn" not in near["usermeta"]["reads"]


def test_lower_is_better_is_said() -> None:
    figure = result_figures.contenders([{"name": "n", "value": 2.0, "ours": True}], "rmse")
    assert figure is not None and figure["usermeta"]["reads"].startswith("Further left is better")


def test_equal_labels_stay_two_bars() -> None:
    figure = figures.bars([("x" * 99, 1.0, ""), ("x" * 99, 2.0, "")], "t", "r", "n")
    assert figure is not None
    assert len({v["y"] for v in figure["data"]["values"]}) == 2


def test_a_figure_becomes_a_picture() -> None:
    figure = every()["roc"]
    assert figure is not None
    assert png(figure).startswith(b"\x89PNG")


def test_a_spark_line_has_a_bar_for_each_count() -> None:
    root = ElementTree.fromstring(spark([1, 0, 3], 'a "quoted" <name>'))
    assert root.get("aria-label") == 'a "quoted" <name>'
    assert next(iter(root)).get("d", "").count("M") == 3
    assert spark([0, 0], "empty") == "" == spark([], "none")


@pytest.mark.parametrize("start", [0x20, 0x2000, 0xD780, 0xFFE0, 0x1F300, 0x20000])
def test_no_letter_ends_the_process_or_the_figure(start: int) -> None:
    words = ["".join(map(chr, range(start + 24 * k, start + 24 * k + 24))) for k in range(6)]
    figure = figures.bars([(w, 1.0, w) for w in words], words[0], words[1], words[2])
    assert figure is not None
    assert "could not be drawn" not in inline(figure, "f")


def test_a_figure_that_cannot_be_drawn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_figure: Any) -> str:
        raise ValueError("<no> such thing")

    monkeypatch.setattr("limpid.reporting.drawing.svg", refuse)
    figure = every()["roc"]
    assert figure is not None
    assert "could not be drawn: &lt;no&gt; such thing" in inline(figure, "f")
