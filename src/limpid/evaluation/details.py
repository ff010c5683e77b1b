"""What does a report show of the answers? The task's own figures, the hardest rows, and the weakest slices.

Everything is aggregated and bounded; of single rows it holds only place, target, answer and loss of the worst twenty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.contracts import Metric, Prediction, Task
from limpid.core.forms import FieldsShape, Shape
from limpid.data.encoded import Encoded
from limpid.evaluation.intervals import take
from limpid.evaluation.slices import weakest

Array = npt.NDArray[Any]

_WORST = 20


def details(
    task: Task,
    outputs: Array,
    part: Encoded,
    shape: Shape | None = None,
    labels: Callable[[str, int], str] | None = None,
) -> dict[str, Any]:
    """The `details` of metrics.json.

    Args:
        task: fitted and calibrated.
        outputs: (N,K) or (N,M,K) raw outputs for the rows of `part`.
        part: encoded held-out rows with their targets.
        shape: of the table's columns, for the slices.
        labels: (column, code) -> readable value of a category.

    Returns:
        what `task.figures` gives, and
        "worst": [{"row": source row number from 0, "target", "prediction", "loss"}], at most 20, the worst first.
        "slices": [{"column", "value", "rows", "score", "gap"}], at most 10: `score` is the task's first metric on
        these rows and `gap` what that differs from all rows.
    """
    assert part.target is not None, "rows without targets cannot be judged"
    prediction = task.predict(outputs)
    target = np.asarray(part.target)
    loss = task.example_loss(target, prediction)
    result: dict[str, Any] = _json(task.figures(target, prediction))
    result["worst"] = _worst(task, target, prediction, loss, np.asarray(part.rows))
    fields = shape if isinstance(shape, FieldsShape) else None
    metric = task.metrics[0]
    whole = metric.compute(target, prediction, part.weight)
    slices = []
    for group in weakest(part.arrays, fields, loss, labels, part.weight):
        score = _score(metric, target, prediction, part.weight, group.index)
        slices.append(
            {
                "column": group.column,
                "value": group.value,
                "rows": group.rows,
                "score": _finite(score),
                "gap": _finite(score - whole),
            }
        )
    result["slices"] = slices
    return result


def _worst(task: Task, target: Array, prediction: Prediction, loss: Array, rows: Array) -> list[dict[str, Any]]:
    # A loss that is not finite is the worst of all; it sorts to the end by itself only as NaN.
    ranked = np.argsort(np.where(np.isfinite(loss), loss, np.inf), kind="stable")[::-1][:_WORST]
    some = take(prediction, ranked)
    answers = task.decode(some)
    named = [c for c in answers.columns if c == "prediction" or c.startswith("prediction_")]
    said = answers.select(named).rows()
    truth = task.readable(target[ranked])
    return [
        {
            "row": int(rows[place]),
            "target": _json(truth[n]),
            "prediction": _json(said[n][0] if len(named) == 1 else list(said[n])),
            "loss": _finite(float(loss[place])),
        }
        for n, place in enumerate(ranked)
    ]


def _score(metric: Metric, target: Array, prediction: Prediction, weight: Array | None, rows: Array) -> float:
    return float(metric.compute(target[rows], take(prediction, rows), None if weight is None else weight[rows]))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _json(value: Any) -> Any:
    """The same without numbers that JSON has no word for."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(v) for v in value]
    return value
