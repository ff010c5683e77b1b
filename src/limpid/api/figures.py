"""The verb `evaluate`: a model's figures on rows that have the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limpid.api.forecasts import cutting_of, evaluate_forecast
from limpid.api.model import Model, load
from limpid.api.rows import targets_of
from limpid.bundle.model import Model as Bundle
from limpid.core.contracts import Metric, Task
from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.sources.layout import arrange
from limpid.data.table import Table, open_table, with_files

_ROWS = 65_536


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on some rows.

    Args:
        metrics: name -> value, None where it is not defined for these rows.
        rows: number of rows that were used.
        repairs: what had to be mended.
    """

    metrics: dict[str, float | None]
    rows: int
    repairs: Repairs

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"metrics": self.metrics, "rows": self.rows}


def evaluate(run: str | Path | Model, data: Any, *, net: Any = None) -> Evaluation:
    """A model's figures on rows that have the target.

    Args:
        run: a run folder, a bundle, or a loaded model.
        data: anything that `limpid.train` reads, with the target column.
        net: the module, for a model that was trained with one of the user's own.

    Raises:
        LimpidError: the run or the data are wrong.
    """
    model = run if isinstance(run, Model) else load(run, net=net)
    return evaluate_table(model.bundle, open_table(data), Repairs())


def evaluate_table(bundle: Bundle, table: Table, repairs: Repairs) -> Evaluation:
    """Figures on the rows of a table that have a target; the others are counted.

    Raises:
        DataError: the target is missing, or holds a class that the model does not know.
    """
    table = with_files(table, bundle.encoders.files)
    if cutting_of(bundle) is not None:
        raw, truth = evaluate_forecast(bundle, table, repairs)
        return Evaluation(figures(bundle.task, raw, truth, None), len(truth), repairs)
    table = arrange(table, bundle.series)
    repairs.merge(table.repairs)
    rows, target = targets_of(bundle, table, repairs)
    bundle.encoders.check_columns(table.columns, table.name)
    pieces: list[np.ndarray] = []
    lost: list[int] = []
    done = 0
    for part in table.gather(list(bundle.encoders.columns), rows, _ROWS):
        arrays = bundle.encoders.encode(part, repairs, where=table.name)
        rejected = repairs.take_rejected()
        if rejected:
            first = min(rejected)
            repairs.add(table.name, "could not be read and were left out", len(rejected), rejected[first])
        lost += [done + place for place in rejected]
        bundle.encoders.count_unknown(arrays, part, repairs)
        pieces.append(bundle.raw(arrays))
        done += part.height
    kept = np.setdiff1d(np.arange(len(rows)), np.array(lost, dtype=np.int64))
    if not len(kept):
        raise DataError(
            "no row with a target can be read",
            where=table.name,
            expected="files that are whole",
            fix=f"check that this is the right data; {next(iter(repairs)).example}",
        )
    return Evaluation(figures(bundle.task, np.concatenate(pieces)[kept], target[kept], None), len(kept), repairs)


def figures(
    task: Task,
    outputs: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    metrics: Sequence[Metric] | None = None,
) -> dict[str, float | None]:
    """Metrics, all of the task by default; None where one is not defined (ROC AUC of a single class)."""
    prediction = task.predict(outputs)
    values = {m.name: float(m.compute(target, prediction, weight)) for m in metrics or task.metrics}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
