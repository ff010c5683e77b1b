"""The verb `trace`: one example through every step, forward and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limpid.api.model import Model, load
from limpid.api.record import Record, answered
from limpid.api.rows import read_rows
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.core.spec import parse
from limpid.data.table import open_table
from limpid.planning.train_spec import TrainSpec


class Trace(Record):
    """One example, step by step.

    Args:
        record: everything as plain data: "columns", "parts", "layers", "output", "loss", "update", "checks", "notes".
        repairs: what had to be mended in the row.
    """

    def _printed(self) -> Any:
        from limpid.reporting.traced_terminal import traced

        return traced(self.record)

    def _page(self) -> str:
        from limpid.reporting.traced_html import trace_html

        return trace_html(self.record)


def trace(run: str | Path | Model, data: Any, *, row: int = 0, net: Any = None) -> Trace:
    """Follow one example through a model: encoding, each layer, the loss, the way back, one step of the optimiser.

    Args:
        run: a run folder, a bundle, or a loaded model. A run folder's plan says with which optimiser the step is
            taken; otherwise it is plain gradient descent.
        data: anything that `limpid.train` reads; without the target the way back is left out.
        row: which row, counted from 0; for a model that forecasts, which of the windows that its figures are judged by.
        net: the module, for a model that was trained with one of the user's own.

    Raises:
        LimpidError: the run or the data are wrong, or there is no such row.
    """
    from limpid.explanation.encoded_row import encoded_columns, parts
    from limpid.explanation.tracing import trace_network

    model = run if isinstance(run, Model) else load(run, net=net)
    bundle, repairs = model.bundle, Repairs()
    task = bundle.task
    table = open_table(data)
    rows = read_rows(bundle, table, repairs, targets=False, row=row)
    train = None if isinstance(run, Model) else _train_spec(Path(run))
    found = trace_network(bundle.network, task, rows.arrays, rows.target, train)
    before, after = found.pop("answers")
    if bundle.more:
        found["notes"].append(
            f"the model is the mean of {1 + len(bundle.more)} networks; this is the first of them, and the answer of "
            "all together may differ"
        )
    if rows.target is None:
        found["notes"].append("the row has no target that the model knows, so there is no loss and no way back")
    found["output"] |= {"prediction": answered(task.decode(task.predict(before))), "truth": rows.truth(bundle)}
    if after is not None:
        found["update"]["prediction_after"] = answered(task.decode(task.predict(after)))
    record = {
        "row": int(rows.rows[0]),
        "name": None if rows.names is None else rows.names[0],
        "data": table.name,
        "task": bundle.task.name,
        "target": list(bundle.target),
        "net": bundle.net.name,
        "columns": encoded_columns(bundle.encoders, rows.frame, rows.arrays),
        "parts": parts(rows.arrays),
        **found,
    }
    return Trace(record, repairs)


def _train_spec(path: Path) -> TrainSpec | None:
    """How the run was trained, where its folder says so."""
    from limpid.planning.settings import read_recipe

    folder = RunFolder(path)
    if not folder.plan.is_file():
        return None
    spec = parse(TrainSpec, read_recipe(folder.plan).get("train", {}), where=f"{folder.plan}, train")
    return None if spec.autos() else spec
