"""What a person wants to see of pictures, sounds, series and texts, asked of each kind of column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from limpid.core.schema import ColumnSpec
from limpid.data.cleaning import canonical
from limpid.data.encoded import Encoded
from limpid.data.table import Table
from limpid.explanation.looks import png
from limpid.modalities import CATALOGUE
from limpid.planning.augmentation import Augmentation
from limpid.planning.parts import spread

_CELLS = 400
_SEEN_ROWS, _SEEN_PASSES = 6, 4


def show_columns(
    profile: dict[str, Any],
    table: Table,
    specs: Mapping[str, ColumnSpec],
    target: str | None,
    rows: np.ndarray | None = None,
) -> None:
    """Add what each kind of column shows of its cells to the profile's record of the column.

    Args:
        profile: of the data; its columns get a field "shown".
        table: the rows.
        specs: what each column is.
        target: the column whose classes the cells are shown by, or None.
        rows: sorted row numbers to look at; all by default.
    """
    kinds = {n: CATALOGUE.load(s.kind, where=f"data.columns.{n}") for n, s in specs.items() if s.use}
    showing = {n: kind for n, kind in kinds.items() if hasattr(kind, "show")}
    if not showing:
        return
    chosen = spread(table.rows if rows is None else len(rows), _CELLS)
    if rows is not None:
        chosen = rows if chosen is None else rows[chosen]
    groups: list[str | None] | None = None
    if target is not None and target in table.columns and target not in showing:
        groups = canonical(table.read([target], rows=chosen)[target]).to_list()
    records = {c["name"]: c for c in profile["columns"]}
    for name, kind in showing.items():
        cells = table.read([name], rows=chosen)[name]
        if name in records:
            records[name]["shown"] = kind.show(cells, groups, specs[name].options)


def seen(train: Encoded, augment: Augmentation, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What the network sees of a few training examples: each as it is stored, then as some passes show it.

    Args:
        train: encoded training rows.
        augment: changes them.
        inputs: input name -> form.

    Returns:
        input -> {"pictures": [{"title", "png"}]} for grids; empty without augmentation.
    """
    import torch

    if not augment:
        return {}
    rows = np.unique(np.linspace(0, len(train) - 1, _SEEN_ROWS).astype(np.int64))
    stored = {name: torch.from_numpy(np.array(array[rows])) for name, array in train.arrays.items()}
    versions = [stored, *(augment(dict(stored), rows, n) for n in range(_SEEN_PASSES))]
    found: dict[str, Any] = {}
    for name, form in inputs.items():
        if form != "grid":
            continue
        key = f"{name}.pixels"
        low, high = _range(stored[key].numpy())
        pictures = []
        for place in range(len(rows)):
            for n, version in enumerate(versions):
                title = "as stored" if n == 0 else f"pass {n}"
                cell = (version[key][place].float().numpy() - low) / max(high - low, 1e-9)
                pictures.append({"title": title, "png": png(cell)})
        found[name] = {"pictures": pictures}
    return found


def _range(pixels: np.ndarray) -> tuple[float, float]:
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    return float(pixels.min()), float(pixels.max())
