"""How one raw row became what the network reads: cell, kind, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.forms import FIELDS, FieldsShape, GridShape, SeqShape
from limpid.planning.encoders import Encoders, input_of

Array = npt.NDArray[Any]

_SHOWN = 24
_MOST_COLUMNS = 200
_CELL = 300


def encoded_columns(encoders: Encoders, frame: pl.DataFrame, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Each column of one row on its way in.

    Args:
        encoders: of the model.
        frame: one raw row.
        arrays: the same encoded.

    Returns:
        [{"column", "kind", "raw", "encoded": [{"name", "value"}], "note"}], at most 200 columns.
    """
    found = []
    for name, spec in list(encoders.columns.items())[:_MOST_COLUMNS]:
        shape = encoders.modality(name).shape()
        entry: dict[str, Any] = {"column": name, "kind": spec.kind, "raw": shown_cell(frame[name][0])}
        if isinstance(shape, FieldsShape):
            entry |= {"encoded": _fields(encoders, shape, arrays), "note": ""}
        elif isinstance(shape, GridShape):
            pixels = arrays[f"{input_of(name)}.pixels"][0]
            entry |= {
                "encoded": [
                    {"name": "lowest", "value": float(pixels.min())},
                    {"name": "highest", "value": float(pixels.max())},
                ],
                "note": f"a grid of {shape.channels} channels, {shape.height} by {shape.width}; the network reads "
                "(stored - mean) / spread of each channel",
            }
        elif isinstance(shape, SeqShape):
            entry |= _sequence(shape, input_of(name), arrays)
        found.append(entry)
    return found


def parts(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Each array that the network reads: name, type, shape and range of one example."""
    found = []
    for name, array in arrays.items():
        one = array[0]
        there = one.size > 0
        found.append(
            {
                "part": name,
                "type": str(one.dtype),
                "shape": list(one.shape),
                "low": float(one.min()) if there else None,
                "high": float(one.max()) if there else None,
            }
        )
    return found


def shown_cell(value: Any) -> str:
    """A raw cell as a person may read it, cut where it is long."""
    if value is None:
        return "missing"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"a file of {len(value):,} bytes"
    if isinstance(value, (pl.Series, list, tuple, np.ndarray)):
        flat = list(value)
        said = ", ".join(shown_cell(v) if isinstance(v, (list, pl.Series)) else f"{v}" for v in flat[:_SHOWN])
        return f"{len(flat):,} values: {said}"[:_CELL] + (" ..." if len(flat) > _SHOWN else "")
    text = str(value)
    return text if len(text) <= _CELL else text[:_CELL] + " ..."


def _fields(encoders: Encoders, shape: FieldsShape, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    whole = encoders.shapes()[FIELDS]
    assert isinstance(whole, FieldsShape)
    found: list[dict[str, Any]] = []
    for feature in shape.numbers:
        place = whole.numbers.index(feature)
        if arrays[f"{FIELDS}.missing"][0, place]:
            found.append({"name": feature, "value": "missing: 0, with a flag of 1"})
        else:
            found.append({"name": feature, "value": float(arrays[f"{FIELDS}.numbers"][0, place])})
    for feature in shape.categories:
        code = int(arrays[f"{FIELDS}.categories"][0, whole.categories.index(feature)])
        said = {0: "missing", 1: "rare or unseen"}.get(code) or encoders.value_of(feature, code)
        found.append(
            {"name": feature, "value": f"code {code} of {whole.cardinalities[whole.categories.index(feature)]}: {said}"}
        )
    return found


def _sequence(shape: SeqShape, name: str, arrays: Mapping[str, Array]) -> dict[str, Any]:
    if f"{name}.tokens" in arrays:
        tokens = arrays[f"{name}.tokens"][0]
        ids = tokens[tokens != 0]
        said = ", ".join(map(str, ids[:_SHOWN].tolist())) + (" ..." if len(ids) > _SHOWN else "")
        note = f"{len(ids)} tokens of {shape.length} at most, {shape.vocabulary:,} different ids"
        return {"encoded": [{"name": "token ids", "value": said}], "note": note}
    values, length = arrays[f"{name}.values"][0], int(arrays[f"{name}.length"][0])
    some = values[: min(length, _SHOWN), 0].astype(float)
    said = ", ".join(f"{v:.3g}" for v in some) + (" ..." if length > _SHOWN else "")
    note = f"{length} steps of {shape.width} values; shown is the first value of each step"
    return {"encoded": [{"name": "values", "value": said}], "note": note}
