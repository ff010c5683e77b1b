"""training.json: what was seen of layers and examples while a network learnt, with the examples as a person knows them.

Legend: N listed examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from limpid.api.prepare import Prepared
from limpid.core.contracts import Task
from limpid.core.errors import LimpidError
from limpid.data.encoded import Encoded
from limpid.data.table import Table
from limpid.data.windows import Windows
from limpid.explanation.encoded_row import shown_cell
from limpid.explanation.looks import thumbnail
from limpid.reporting.watched import by_layer
from limpid.training.state import Watched

_LISTS = ("hardest", "late_rows", "forgotten_rows")
_COLUMNS, _CELL, _TEXT = 6, 40, 160


def training_record(prepared: Prepared, watched: Watched | None, train: Encoded) -> dict[str, Any]:
    """What training.json holds; {} where nothing was watched.

    Args:
        watched: from the first fit.
        train: encoded training rows of that fit.

    Returns:
        {"layers": of `reporting.watched.by_layer`, "examples": of `RowWatch.concluded`, each course with "row" (its
        source row number), "name" where it is a window, "target", "cells" and "png"}.
    """
    if watched is None:
        return {}
    examples = None if watched.examples is None else dict(watched.examples)
    if examples is not None:
        looked_up = _looks(prepared, train, [c["place"] for name in _LISTS for c in examples.get(name, [])])
        for name in _LISTS:
            if name in examples:
                examples[name] = [
                    {**looked_up[c["place"]], "losses": c["losses"], "right": c["right"]} for c in examples[name]
                ]
    return {"layers": by_layer(watched.layers), "examples": examples}


def _looks(prepared: Prepared, train: Encoded, places: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Training examples by position, as a person would name them."""
    at = np.unique(np.asarray(places, dtype=np.int64))
    if not len(at):
        return {}
    task, part = prepared.draft.task, prepared.draft.parts["train"]
    rows = np.asarray(train.rows)[at].astype(np.int64)
    assert train.target is not None
    truth = _targets(task, np.asarray(train.target[at]))
    names: Sequence[str | None] = [None] * len(at)
    cells: list[dict[str, str]] = [{} for _ in at]
    if isinstance(part.table, Windows):
        names = part.table.names_of_rows(rows)
    else:
        columns = [n for n in prepared.draft.encoders.columns if n in part.table.columns][:_COLUMNS]
        frame = _cells(part.table, columns, rows) if columns else None
        if frame is not None:
            most = _TEXT if len(columns) == 1 else _CELL
            cells = [{c: shown_cell(frame[c][n])[:most] for c in columns} for n in range(len(at))]
    pictures = next((name for name in train.arrays if name.endswith(".pixels")), None)
    return {
        int(place): {
            "row": int(rows[n]),
            "name": names[n],
            "target": truth[n],
            "cells": cells[n],
            "png": None if pictures is None else thumbnail(np.asarray(train.arrays[pictures][place])),
        }
        for n, place in enumerate(at.tolist())
    }


def _cells(table: Table, columns: list[str], rows: np.ndarray) -> pl.DataFrame | None:
    """Raw cells; None where the file has changed since, which is no reason to lose what was learnt."""
    try:
        return table.read(columns, rows=rows)
    except LimpidError:
        return None


def _targets(task: Task, target: np.ndarray) -> list[str]:
    return [shown_cell(value)[:_TEXT] for value in task.readable(target)]
