"""What the report says of layers and examples, also where training.json is damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from limpid.reporting.watched import MAX_LAYERS, MAX_ROWS, by_layer, examples, layers, recorded, right_figure

RECORD: dict[str, Any] = {
    "layers": {
        "steps": [1, 51, 101],
        "layers": [
            {
                "name": "fields.<b>first</b>",
                "kind": "Linear",
                "mean": [0.0, 0.1, 0.25],
                "spread": [1.0, 1.1, 1.5],
                "dead": [0.0, 0.25, 0.5],
                "weight": [3.0, 3.5, 4.0],
                "gradient": [1.0, 0.1, None],
                "ratio": [0.01, 0.0, 0.002],
            },
            {"name": "head", "kind": "Linear", "mean": [1.0, 2.0, 3.0], "spread": [0.5, 0.5, 0.5], "dead": [None] * 3},
        ],
    },
    "examples": {
        "passes": [1, 2, 3],
        "watched": 90,
        "rows": 300,
        "level": None,
        "right": [0.5, 0.75, 1.0],
        "always": 0.5,
        "late": 0.25,
        "forgotten": 0.125,
        "never": 0.0,
        "hardest": [
            {
                "row": 1234,
                "name": None,
                "target": "<i>cat</i>",
                "cells": {"colour": "red"},
                "png": None,
                "losses": [2.0, None, 0.5],
                "right": [False, None, True],
            }
        ],
        "late_rows": [],
    },
}


def test_each_quantity_has_its_last_value_and_its_course():
    found = layers(RECORD)
    assert (found["steps"], found["first"], found["last"], found["more"]) == (3, "1", "101", 0)
    first, head = found["layers"]
    assert first["output"]["value"] == "0.2500 ± 1.500" or first["output"]["value"] == "0.25 ± 1.5"
    assert first["dead"]["value"] == "50.0 %" or first["dead"]["value"] == "50 %"
    assert float(first["gradient"]["value"]) == 0.1
    assert float(first["ratio"]["value"]) == 0.002
    for quantity in ("output", "dead", "weight", "gradient", "ratio"):
        assert first[quantity]["line"].startswith("<svg") and 'role="img"' in first[quantity]["line"]
        assert "<b>" not in first[quantity]["line"]
    assert head["dead"] == {"value": "", "line": ""} and head["weight"]["value"] == ""


def test_examples_are_told_with_shares_and_marks():
    found = examples(RECORD)
    assert found["passes"] == ["1", "2", "3"] and (found["watched"], found["rows"], found["all"]) == (
        "90",
        "300",
        False,
    )
    assert [x["title"] for x in found["lists"]] == ["The hardest examples"]
    row = found["lists"][0]["rows"][0]
    assert (row["name"], row["target"], row["marks"], row["cells"]) == (
        "row 1,234",
        "<i>cat</i>",
        "✗·✓",
        [("colour", "red")],
    )
    assert float(row["first"]) == 2.0 and float(row["last"]) == 0.5
    drawn = right_figure(RECORD)
    assert drawn is not None
    values = drawn["data"]["values"]
    assert [(v["x"], v["y"]) for v in values] == [(1, 0.5), (2, 0.75), (3, 1.0)]


def test_few_passes_are_told_without_shares():
    found = examples({"examples": {"passes": [1], "watched": 5, "rows": 5, "hardest": RECORD["examples"]["hardest"]}})
    assert found["shares"] == {} and found["all"]
    assert right_figure({"examples": {"passes": [1], "right": [0.5]}}) is None


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [None], [[]], {"a": None}, [{"name": 3, "mean": "x"}]])
def test_whatever_stands_in_the_file_gives_a_page(value):
    for record in ({"layers": value, "examples": value}, {"layers": {"layers": value, "steps": value}}, value):
        record = record if isinstance(record, dict) else {}
        assert layers(record)["more"] == 0
        examples(record)
        right_figure(record)
    spoilt = json.loads(json.dumps(RECORD))
    for key in spoilt["examples"]:
        spoilt["examples"][key] = value
    examples(spoilt)
    right_figure(spoilt)
    spoilt = json.loads(json.dumps(RECORD))
    for key in spoilt["examples"]["hardest"][0]:
        spoilt["examples"]["hardest"][0][key] = value
    examples(spoilt)
    for key in spoilt["layers"]["layers"][0]:
        spoilt["layers"]["layers"][0][key] = value
    layers(spoilt)


def test_size_is_bounded():
    one = RECORD["layers"]["layers"][0] | {"mean": [0.5] * 5000}
    found = layers({"layers": {"steps": list(range(5000)), "layers": [one] * 500}})
    assert len(found["layers"]) == MAX_LAYERS and found["more"] == 500 - MAX_LAYERS
    assert len(str(found)) < 200_000
    row = RECORD["examples"]["hardest"][0] | {"target": "x" * 10_000, "losses": [0.5] * 9999, "right": [True] * 9999}
    many = examples({"examples": RECORD["examples"] | {"hardest": [row] * 99}})
    assert len(many["lists"][0]["rows"]) == MAX_ROWS and len(str(many)) < 60_000


def test_of_a_run_at_work_the_layers_come_from_its_events():
    def seen(step: Any, mean: Any) -> dict[str, Any]:
        return {"event": "LayersSeen", "step": step, "layers": [{"name": "head", "kind": "Linear", "mean": mean}]}

    events = [
        seen(1, 0.1),
        {"event": "EpochEnded", "step": 9},
        seen(101, 9.0),
        seen(51, 0.2),
        seen(101, 0.3),
        seen("x", 1.0),
    ]
    found = recorded({}, events)["layers"]
    assert found["steps"] == [1, 51, 101] and found["layers"][0]["mean"] == [0.1, 0.2, 0.3]
    assert recorded(RECORD, events) is RECORD
    assert recorded({}, []) == {}
    assert by_layer([{"step": 1, "layers": 3}]) == {"steps": [1], "layers": []}
