"""Which group does each row belong to, where a training is to treat groups alike?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from limpid.core.contracts import Task
from limpid.core.errors import RequestError
from limpid.core.names import unknown_column
from limpid.core.schema import ColumnSpec
from limpid.data.encoded import Encoded
from limpid.data.groups import Grouping, by_column, together
from limpid.planning.draft import Draft
from limpid.planning.train_spec import TrainSpec

_ASKED = "train.fairness"


def check_fairness(draft: Draft, spec: TrainSpec) -> None:
    """Refuse what cannot be treated alike, before anything is encoded.

    Raises:
        RequestError: there is no such column, it is the target, or the task has no scores to compare.
    """
    if not spec.fairness:
        return
    table = draft.parts["train"].table
    for name in spec.fairness:
        if name not in table.columns:
            raise unknown_column(name, table.columns, where=_ASKED)
        if name in draft.data.target:
            raise RequestError(
                f"{name!r} is the target: its groups are what is to be told apart",
                where=_ASKED,
                expected="a column of groups of people or things",
                fix=f"choose another column than {name}",
            )
    task: Task = draft.task
    if not hasattr(task, "scores"):
        raise RequestError(
            f"groups cannot be treated alike in {task.name}",
            where=_ASKED,
            expected="classification or regression",
            fix=f"leave {_ASKED} out; limpid audit compares the groups of a finished model",
        )
    if spec.fairness_by == "reweigh" and (task.name != "classification" or getattr(task, "multi_label", False)):
        raise RequestError(
            "rows can be reweighed for one class each, not for numbers or sets of labels",
            where="train.fairness_by",
            expected="penalty",
            fix="--set train.fairness_by=penalty",
        )


def with_groups(draft: Draft, encoded: dict[str, Encoded], spec: TrainSpec) -> tuple[dict[str, Encoded], str]:
    """Training and validation rows with their groups, found by the training rows alone; and what they are, in words.

    Args:
        draft: where the rows come from.
        encoded: the parts; test rows get no group, since nothing is learnt from them.
        spec: of the training.

    Raises:
        RequestError: all training rows are of one group.
    """
    if not spec.fairness:
        return encoded, ""
    parts = [name for name in ("train", "valid") if name in encoded]
    # Of rows alone that are there: some of the part may have been left out, and of very many a sample is judged.
    frames = [
        draft.parts[name].table.read(list(spec.fairness), rows=np.asarray(encoded[name].rows, dtype=np.int64))
        for name in parts
    ]
    frame = pl.concat(frames, how="vertical_relaxed")
    by = np.arange(frame.height) < len(encoded["train"])
    grouping = _grouping(frame, spec.fairness, draft.data.columns, by)
    start, result = 0, dict(encoded)
    for name in parts:
        stop = start + len(encoded[name])
        result[name] = replace(encoded[name], group=grouping.codes[start:stop].astype(np.int64))
        start = stop
    counts = np.bincount(grouping.codes[by], minlength=len(grouping.names))
    told = [f"{name} ({count:,})" for name, count in zip(grouping.names, counts, strict=True)]
    more = f" and {len(told) - 8} more" if len(told) > 8 else ""
    return result, f"groups of {grouping.name} are to be treated alike: {', '.join(told[:8])}{more}"


def _grouping(
    frame: pl.DataFrame, columns: tuple[str, ...], specs: Mapping[str, ColumnSpec], by: np.ndarray
) -> Grouping:
    single = [
        by_column(frame, name, specs.get(name, ColumnSpec(kind="category")), "the training rows", by=by, asked=_ASKED)
        for name in columns
    ]
    return together(single, by) if len(single) > 1 else single[0]
