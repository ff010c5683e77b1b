"""Crossings of a grid against closed forms, and what is drawn of a decision surface."""

from __future__ import annotations

import numpy as np
import pytest

from limpid.explanation.surface import crossings, edges
from limpid.reporting.surface import surface_figure, surface_held, surface_printed


def ends(x: np.ndarray, y: np.ndarray, values: np.ndarray, level: float) -> np.ndarray:
    return np.array(crossings(x, y, values, level)).reshape(-1, 2)


def test_the_contour_of_a_plane_is_a_straight_line() -> None:
    x, y = np.linspace(-1, 3, 12), np.linspace(0, 5, 9)
    found = ends(x, y, 2 * x[None, :] - 3 * y[:, None], -4.0)
    assert len(found) > 10
    assert np.allclose(2 * found[:, 0] - 3 * found[:, 1], -4.0)
    # It begins and ends at the edge of the field, and each inner point joins two pieces.
    once = [p for p in map(tuple, found.round(9)) if (found.round(9) == p).all(axis=1).sum() == 1]
    assert len(once) == 2
    assert all(np.isclose(a, (-1, 3)).any() or np.isclose(b, (0, 5)).any() for a, b in once)


def test_the_contour_of_a_circle_has_its_length() -> None:
    x = np.linspace(-1, 1, 81)
    pieces = np.array(crossings(x, x, x[None, :] ** 2 + x[:, None] ** 2, 0.5))
    length = np.hypot(pieces[:, 2] - pieces[:, 0], pieces[:, 3] - pieces[:, 1]).sum()
    assert length == pytest.approx(2 * np.pi * np.sqrt(0.5), rel=1e-3)
    assert np.allclose(np.hypot(pieces[:, 0], pieces[:, 1]), np.sqrt(0.5), atol=1e-3)


def test_a_saddle_has_two_pieces_that_keep_what_is_above_together() -> None:
    x = np.array([0.0, 1.0])
    for values in ([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]):
        pieces = crossings(x, x, np.array(values), 0.5)
        assert len(pieces) == 2
        assert {p for s in pieces for p in (s[:2], s[2:])} == {(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)}


def test_nothing_crosses_a_field_that_is_level() -> None:
    x = np.arange(4.0)
    assert crossings(x, x, np.zeros((4, 4)), 0.5) == []
    assert crossings(x, x, np.zeros((4, 4)), 0.0) == []


def test_edges_lie_between_points() -> None:
    assert edges(np.array([1.0, 2.0, 3.0])).tolist() == [0.5, 1.5, 2.5, 3.5]
    assert edges(np.array([4.0])).tolist() == [3.5, 4.5]


def record(**more: object) -> dict[str, object]:
    return {
        "columns": ["a", "b"],
        "numbers": [True, True],
        "x": [0.0, 1.0, 2.0],
        "y": [0.0, 1.0],
        "kind": "classes",
        "of": "the class of y",
        "values": [[0.9, 0.9, 0.4], [0.9, 0.4, 0.9]],
        "chosen": [[0, 0, 1], [0, 1, 1]],
        "names": ["no", "yes"],
        "contours": [{"level": None, "x": 1.5, "y": -0.5, "x2": 1.5, "y2": 0.5}],
        "counts": [{"x": 0.5, "y": 0.5, "n": 3}],
        "held": [{"column": "c", "value": "7"}],
        "outside": 2,
        **more,
    }


def test_classes_are_letters_on_the_page_and_in_the_terminal() -> None:
    import io

    from rich.console import Console

    console = Console(width=100, file=io.StringIO())
    console.print(surface_printed(record()))
    assert "1 |AbB|" in console.file.getvalue()
    assert "0 |AAb|" in console.file.getvalue()
    figure = surface_figure(record())
    assert figure is not None
    assert {m["t"] for m in figure["layer"][-1]["data"]["values"]} == {"A", "B"}
    assert surface_held(record())["letters"] == [("A", "no"), ("B", "yes")]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"x": []},
        {"values": [[1.0]]},
        {"chosen": [[0, 9, 0], [0, 0, 0]]},
        {"columns": ["a"]},
        {"numbers": None},
    ],
)
def test_a_damaged_record_draws_nothing(broken: dict[str, object]) -> None:
    assert surface_figure(record(**broken) if broken else {}) is None
