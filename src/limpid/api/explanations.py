"""The verb `explain`: why the model answered so for one row, and what it looks at on the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limpid.api.model import Model, load
from limpid.api.record import Record, answered
from limpid.api.rows import Rows, read_rows
from limpid.bundle.model import Model as Bundle
from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.table import open_table

_REFERENCE = 1_000
_JUDGED = 2_000


class Explanation(Record):
    """Why the model answers as it does.

    Args:
        record: everything as plain data; of one row "units" and "methods", the best first; of the whole model
            "importance", "curves", "pairs", "map", "prototypes" and "surface".
        repairs: what had to be mended in the rows.
    """

    def _printed(self) -> Any:
        from limpid.reporting.explained_terminal import explained

        return explained(self.record)

    def _page(self) -> str:
        from limpid.reporting.explained_html import explain_html

        return explain_html(self.record)


def explain(
    run: str | Path | Model,
    data: Any,
    *,
    row: int | None = None,
    fixed: Sequence[str] = (),
    surface: Sequence[str] | None = None,
    net: Any = None,
) -> Explanation:
    """Explain one answer, or the model on the whole.

    Args:
        run: a run folder, a bundle, or a loaded model.
        data: anything that `limpid.train` reads. Its rows say what is usual: a column is taken away by setting it to
            their median or most frequent value.
        row: the row whose answer is explained, counted from 0; without it the whole model is, for which rows need
            the target.
        fixed: columns that a change that turns the answer must leave alone.
        surface: two columns over which the answer of the whole model is drawn; by default those that matter most.
        net: the module, for a model that was trained with one of the user's own.

    Raises:
        LimpidError: the run or the data are wrong, or there is no such row.
    """
    model = run if isinstance(run, Model) else load(run, net=net)
    bundle, repairs = model.bundle, Repairs()
    table = open_table(data)
    head = {"data": table.name, "task": bundle.task.name, "target": list(bundle.target), "net": bundle.net.name}
    if row is None:
        from limpid.explanation.importance import whole_model
        from limpid.explanation.landscape import landscape
        from limpid.explanation.prototypes import standing_for
        from limpid.explanation.surface import columns_of
        from limpid.explanation.surface import surface as surface_of

        if surface is not None:
            columns_of(bundle, surface, list(bundle.encoders.columns))  # before anything that takes long

        rows = read_rows(bundle, table, repairs, targets=True, most=_JUDGED)
        assert rows.target is not None
        found = whole_model(bundle, rows.frame, rows.arrays, rows.target)
        found["map"] = landscape(bundle, rows.frame, rows.arrays, rows.target, rows.rows)
        main = [e["column"] for e in found["importance"]]
        found["prototypes"] = standing_for(bundle, rows.frame, rows.arrays, rows.target, rows.rows, rows.names, main)
        columns = columns_of(bundle, surface, main)
        found["surface"] = None if columns is None else surface_of(bundle, rows.frame, columns)
        return Explanation({**head, "rows": len(rows), **found}, repairs)
    if surface is not None:
        raise RequestError(
            "a decision surface is of the whole model",
            where="--surface with --row",
            expected="one of the two",
            fix="leave out --row",
        )
    one = read_rows(bundle, table, repairs, targets=False, row=row)
    usual = read_rows(bundle, table, Repairs(), targets=False, most=_REFERENCE)
    for name in fixed:
        if name not in bundle.encoders.columns:
            raise RequestError(
                f"the model reads no column {name!r}",
                where=f"--fixed {name}",
                expected=f"one of its {len(bundle.encoders.columns)} columns",
                fix=did_you_mean(name, list(bundle.encoders.columns)),
            )
    return Explanation({**head, **_one(bundle, one, usual, fixed)}, repairs)


def _one(bundle: Bundle, one: Rows, usual: Rows, fixed: Sequence[str]) -> dict[str, Any]:
    from limpid.explanation.answer import explain_row
    from limpid.explanation.neighbours import counterfactual, nearest
    from limpid.explanation.units import typical

    prediction = bundle.task.predict(bundle.raw(one.arrays))
    found = explain_row(bundle, one.frame, one.arrays, typical(usual.arrays), prediction)
    others = usual.take(np.flatnonzero(usual.rows != one.rows[0]))
    near = nearest(bundle, one.arrays, others.arrays) if len(others) else []
    return {
        "row": int(one.rows[0]),
        "name": None if one.names is None else one.names[0],
        "reference_rows": len(usual),
        "answer": answered(bundle.task.decode(prediction)),
        "truth": one.truth(bundle),
        "neighbours": [_neighbour(bundle, others, place, distance) for place, distance in near],
        "turned_by": None if one.names is not None else counterfactual(bundle, one.frame, others.frame, fixed),
        **found,
    }


def _neighbour(bundle: Bundle, others: Rows, place: int, distance: float) -> dict[str, Any]:
    from limpid.explanation.encoded_row import shown_cell

    row = others.take([place])
    cells = {name: shown_cell(row.frame[name][0])[:120] for name in row.frame.columns[:12]}
    return {"row": int(row.rows[0]), "distance": distance, "truth": row.truth(bundle), "cells": cells}
