"""A row as a person would know it again: a small picture, a short line, or its main cells.

Legend of shapes: N rows, C channels, H and W of a grid, T steps, D values of a step.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.explanation.encoded_row import shown_cell

Array = npt.NDArray[Any]

_SIDE = 96
_STEPS = 64
_CELLS, _CELL, _TEXT = 6, 60, 240


def look(frame: pl.DataFrame, arrays: Mapping[str, Array], place: int, main: Sequence[str] = ()) -> dict[str, Any]:
    """One of N rows in its natural picture.

    Args:
        frame: (N) raw rows.
        arrays: the same encoded.
        place: which of them.
        main: columns whose cells are shown first.

    Returns:
        {"cells": {column: text}, "png": of a picture or a spectrogram, "line": of a series}; the last two may be None.
    """
    columns = [n for n in main if n in frame.columns]
    columns = [*columns, *(n for n in frame.columns if n not in columns)][:_CELLS]
    most = _TEXT if len(columns) == 1 else _CELL
    grid = next((a for name, a in arrays.items() if name.endswith(".pixels")), None)
    steps = next((name for name in arrays if name.endswith(".values")), None)
    line = None
    if steps is not None:
        length = int(arrays[steps.removesuffix("values") + "length"][place])
        line = shortened(np.asarray(arrays[steps][place][:length, 0], dtype=np.float64))
    return {
        "cells": {c: shown_cell(frame[c][place])[:most] for c in columns},
        "png": None if grid is None else thumbnail(np.asarray(grid[place])),
        "line": line,
    }


def shortened(values: Array, most: int = _STEPS) -> list[float]:
    """A series of (T) values in at most `most`, each the mean of its stretch.

    Example:
        >>> shortened(np.array([1.0, 3.0, 5.0, 7.0]), 2)
        [2.0, 6.0]
    """
    if len(values) > most:
        edges = np.linspace(0, len(values), most + 1).astype(np.int64)
        values = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    return [float(f"{v:.4g}") for v in np.nan_to_num(values)]


def thumbnail(pixels: Array) -> str:
    """(C,H,W) stored pixels as a small PNG in base64: bytes as they are, others from their least to their greatest."""
    values = pixels.astype(np.float32)
    if pixels.dtype == np.uint8:
        return png(values / 255)
    low, high = float(values.min()), float(values.max())
    return png((values - low) / max(high - low, 1e-9))


def png(cell: Array) -> str:
    """A (C,H,W) array of values from 0 to 1 as a small PNG in base64; the first three channels, or grey."""
    from PIL import Image

    values = np.clip(cell * 255, 0, 255).round().astype(np.uint8)
    picture = Image.fromarray(values[0] if len(values) < 3 else np.ascontiguousarray(values[:3].transpose(1, 2, 0)))
    picture.thumbnail((_SIDE, _SIDE))
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return b64encode(file.getvalue()).decode("ascii")
