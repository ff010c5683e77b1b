"""Rows of DATA as a model reads them, for the verbs that look inside: raw cells, encoded arrays, encoded targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from limpid.api.forecasts import cutting_of, judged_windows
from limpid.bundle.model import Model as Bundle
from limpid.core.errors import DataError, RequestError
from limpid.core.names import did_you_mean, unknown_column
from limpid.core.repairs import Repairs
from limpid.data.sources.layout import arrange
from limpid.data.table import Table, with_files
from limpid.planning.parts import target_values


@dataclass(frozen=True)
class Rows:
    """Rows of a table, N of them, those that could not be read left out.

    Args:
        frame: raw cells: the columns that the model reads, and those asked for beside them; whole files as bytes.
        arrays: "INPUT.PART" -> array of N rows.
        rows: (N,) source row numbers from 0; for a model that forecasts, numbers of windows.
        target: encoded targets of the N rows, or None where they were not asked for or are not there.
        names: what each row is called, where it is a window of a series.
        where: name of the data, for messages.
    """

    frame: pl.DataFrame
    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    target: np.ndarray | None
    names: list[str] | None
    where: str

    def take(self, index: Sequence[int] | np.ndarray) -> Rows:
        """Some of the rows, by position."""
        at = np.asarray(index, dtype=np.int64)
        return Rows(
            self.frame[at],
            {name: array[at] for name, array in self.arrays.items()},
            self.rows[at],
            None if self.target is None else self.target[at],
            None if self.names is None else [self.names[n] for n in at],
            self.where,
        )

    def truth(self, bundle: Bundle) -> Any:
        """The first row's target as a person would write it; None where it has none."""
        return None if self.target is None else bundle.task.readable(self.target[:1])[0]

    def __len__(self) -> int:
        return len(self.rows)


def read_rows(
    bundle: Bundle,
    table: Table,
    repairs: Repairs,
    *,
    targets: bool = True,
    row: int | None = None,
    most: int | None = None,
    beside: Sequence[str] = (),
) -> Rows:
    """Rows of a table as the model reads them.

    Args:
        bundle: the model.
        table: raw rows.
        repairs: tally of what had to be mended.
        targets: whether rows need a target; without it a target is given where every row that is read has one.
        row: only this one, counted from 0; a window's number for a model that forecasts.
        most: at most so many, spread evenly over the table.
        beside: further columns for `frame`.

    Raises:
        DataError: a column is missing, no row has a target, or none can be read.
        RequestError: there is no such row or column.
    """
    if cutting_of(bundle) is not None:
        return _windows(bundle, table, repairs, row, most)
    table = with_files(arrange(table, bundle.series), bundle.encoders.files)
    repairs.merge(table.repairs)
    bundle.encoders.check_columns(table.columns, table.name)
    for name in beside:
        if name not in table.columns:
            raise unknown_column(name, table.columns, where=f"columns of {table.name}", of=table.name)
    judged = all(name in table.columns for name in bundle.target)
    target: np.ndarray | None
    if targets:
        rows, every_target = targets_of(bundle, table, repairs)
        index = _chosen(rows, row, most, table.name, "row with a target")
        rows, target = rows[index], every_target[index]
    else:
        every = np.arange(table.rows)
        rows = every[_chosen(every, row, most, table.name, "row")]
        target = _targets_if_there(bundle, table, rows) if judged else None
    names = [n for n in table.columns if n in bundle.encoders.columns or n in beside]
    frame = table.read(names, rows=rows)
    arrays = bundle.encoders.encode(frame, repairs, where=table.name)
    lost = repairs.take_rejected()
    found = Rows(frame, arrays, rows, target, None, table.name)
    if not lost:
        return found
    repairs.add(table.name, "could not be read and were left out", len(lost), lost[min(lost)])
    kept = np.setdiff1d(np.arange(len(rows)), list(lost))
    if not len(kept):
        raise DataError(
            f"no row that was asked for can be read: {lost[min(lost)]}",
            where=table.name,
            expected="cells that the model can read",
            fix="check that this is the right data, or name another --row",
        )
    return found.take(kept)


def targets_of(bundle: Bundle, table: Table, repairs: Repairs) -> tuple[np.ndarray, np.ndarray]:
    """Source row numbers and encoded targets of the rows that have one; the others are counted.

    Raises:
        DataError: the target is missing, no row has one, or all are classes that the model does not know.
    """
    for name in bundle.target:
        if name not in table.columns:
            raise DataError(
                f"{table.name} has no column {name!r}, the target",
                where=f"columns of {table.name}",
                expected="the target column beside the inputs",
                fix=did_you_mean(name, table.columns) + "; limpid predict needs no target",
            )
    frame = table.read(list(bundle.target))
    has = np.ones(frame.height, dtype=bool)
    cleaned = []
    for name in bundle.target:
        values = target_values(frame[name], bundle.targets[name], bundle.task.name, table.name, repairs)
        has &= values.is_not_null().to_numpy()
        cleaned.append(values)
    repairs.add(table.name, "had no target and were left out", int((~has).sum()))
    rows = np.flatnonzero(has)
    if len(rows) == 0:
        raise DataError(
            "no row has a target",
            where=f"column {bundle.target[0]} of {table.name}",
            expected="rows with a target",
            fix="check that this is the right file",
        )
    target = bundle.task.encode(frame.select(cleaned)[rows], repairs, rows=rows, unseen="drop")
    usable = bundle.task.usable(target)
    if not usable.any():
        bundle.task.encode(frame.select(cleaned)[rows], rows=rows)  # names the classes that the model does not know
    return rows[usable], target[usable]


def _targets_if_there(bundle: Bundle, table: Table, rows: np.ndarray) -> np.ndarray | None:
    """Encoded targets of some rows, None unless each of them has one that the model knows."""
    unheard = Repairs()
    frame = table.read(list(bundle.target), rows=rows)
    cleaned = [
        target_values(frame[name], bundle.targets[name], bundle.task.name, table.name, unheard)
        for name in bundle.target
    ]
    if any(values.null_count() for values in cleaned):
        return None
    target = bundle.task.encode(frame.select(cleaned), unheard, rows=rows, unseen="drop")
    return target if bundle.task.usable(target).all() else None


def _chosen(rows: np.ndarray, row: int | None, most: int | None, where: str, noun: str) -> np.ndarray:
    """Positions of the rows that were asked for."""
    if row is not None:
        found = np.flatnonzero(rows == row)
        if not len(found):
            raise RequestError(
                f"there is no {noun} {row}",
                where=f"--row {row}",
                expected=f"a row of {where}, counted from 0: {int(rows[0])} to {int(rows[-1])}"
                if len(rows)
                else f"a row of {where}, which has none",
                fix="choose another --row",
            )
        return found
    if most is None or len(rows) <= most:
        return np.arange(len(rows))
    return np.unique(np.linspace(0, len(rows) - 1, most).astype(np.int64))


def _windows(bundle: Bundle, table: Table, repairs: Repairs, row: int | None, most: int | None) -> Rows:
    windows, target = judged_windows(bundle, table, repairs)
    every = np.arange(len(windows))
    index = _chosen(every, row, most, table.name, "window")
    frame = windows.read([n for n in windows.columns if n in bundle.encoders.columns], rows=every[index])
    arrays: dict[str, Any] = bundle.encoders.encode(frame, repairs, where=windows.name)
    names = list(windows.names_of_rows(every[index]))
    return Rows(frame, arrays, every[index], target[index], names, table.name)
