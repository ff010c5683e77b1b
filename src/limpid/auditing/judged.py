"""Rows with what the model makes of them: what every part of an audit looks at.

Legend of shapes: N rows, K classes, R targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model
from limpid.core.contracts import Prediction
from limpid.data.cleaning import canonical
from limpid.evaluation.intervals import take

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Stretches:
    """What is known of rows that are windows of series.

    Args:
        block: (N,) windows of one series that begin within one horizon share a number: they overlap, and say little
            more than one does.
        naive: (N,) mean absolute error of a seasonal naive forecast, over the scale of the series.
    """

    block: Array
    naive: Array

    def take(self, at: Array) -> Stretches:
        """Some of the windows, by position."""
        return Stretches(self.block[at], self.naive[at])

    def mean(self, values: Array) -> tuple[Array, Array]:
        """(B,) means over the windows of each block, NaN where none is finite, and (B,) the first window of each."""
        _, first, place = np.unique(self.block, return_index=True, return_inverse=True)
        known = np.isfinite(values)
        total = np.bincount(place[known], values[known], minlength=len(first))
        count = np.bincount(place[known], minlength=len(first))
        return np.divide(total, count, out=np.full(len(first), np.nan), where=count > 0), first


@dataclass(frozen=True)
class Judged:
    """N rows and the model's answers to them.

    Args:
        bundle: the model.
        frame: raw cells, with columns that were asked for beside the model's.
        arrays: "INPUT.PART" -> encoded cells.
        target: (N,) classes, (N,K) labels or (N,R) values.
        rows: (N,) source row numbers.
        part: (N,) "train", "valid", "test", or "" where the run does not say.
        prediction: of the model.
        loss: (N,) how wrong each answer is.
        weight: (N,) sample weights, or None where each row counts once.
        stretches: of rows that are windows of series, else None.
    """

    bundle: Model
    frame: pl.DataFrame
    arrays: Mapping[str, Array]
    target: Array
    rows: Array
    part: Array
    prediction: Prediction
    loss: Array
    weight: Array | None = None
    stretches: Stretches | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Array) -> Judged:
        """Some of the rows, by position or by a mask."""
        at = np.flatnonzero(index) if index.dtype == bool else np.asarray(index, dtype=np.int64)
        return replace(
            self,
            frame=self.frame[at],
            arrays={name: array[at] for name, array in self.arrays.items()},
            target=self.target[at],
            rows=self.rows[at],
            part=self.part[at],
            prediction=take(self.prediction, at),
            loss=self.loss[at],
            weight=None if self.weight is None else self.weight[at],
            stretches=None if self.stretches is None else self.stretches.take(at),
        )

    def parts(self, *names: str) -> Judged:
        """The rows of some parts."""
        return self.take(np.isin(self.part, names))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels; empty for tasks without them."""
        task = cast(Any, self.bundle.task)
        return tuple(str(c) for c in task.classes) if self.bundle.task.name == "classification" else ()

    @property
    def labels(self) -> bool:
        """Whether a row may have several classes at once."""
        return bool(self.classes) and self.target.ndim == 2

    @property
    def decided(self) -> Array:
        """(N,) classes or (N,K) bool labels that the model decides for."""
        assert self.classes, "only classification decides"
        return np.asarray(cast(Any, self.bundle.task).decide(self.prediction.values))

    @property
    def positive(self) -> int:
        """The class that the task calls positive: the second one."""
        return 1


def finite_mean(values: Array) -> Array:
    """(N,) means of the finite values of each row of (N,H); NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0))


def judge(
    bundle: Model,
    frame: pl.DataFrame,
    arrays: Mapping[str, Array],
    target: Array,
    rows: Array,
    part: Array,
    weight: Array | None = None,
) -> Judged:
    """Ask the model.

    Args:
        bundle, frame, arrays, target, rows, part, weight: as `Judged` has them.
    """
    prediction = bundle.task.predict(bundle.raw(arrays))
    loss = bundle.task.example_loss(target, prediction)
    return Judged(bundle, frame, arrays, target, rows, part, prediction, loss, weight)


def again(judged: Judged, arrays: Mapping[str, Array]) -> Prediction:
    """The model's answers to the same rows with changed cells."""
    return judged.bundle.task.predict(judged.bundle.raw(arrays))


def stacked(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Raw cells of the columns that both tables have, as text where their types differ."""
    names = [n for n in first.columns if n in second.columns]
    apart = [n for n in names if first.schema[n] != second.schema[n]]
    return pl.concat(f.select(names).with_columns(canonical(f[n]) for n in apart) for f in (first, second))


def joined(first: Judged, second: Judged) -> Judged:
    """Rows of two tables for the same model; raw cells of columns that both have."""
    one, two = first.prediction, second.prediction
    a, b = first.stretches, second.stretches
    stretches = None
    if a is not None and b is not None:
        apart = int(a.block.max(initial=0)) + 1  # blocks of two tables are never one
        stretches = Stretches(np.concatenate([a.block, b.block + apart]), np.concatenate([a.naive, b.naive]))

    def both(x: Array | None, y: Array | None) -> Array | None:
        return None if x is None or y is None else np.concatenate([x, y])

    return replace(
        first,
        frame=stacked(first.frame, second.frame),
        arrays={name: np.concatenate([array, second.arrays[name]]) for name, array in first.arrays.items()},
        target=np.concatenate([first.target, second.target]),
        rows=np.concatenate([first.rows, second.rows]),
        part=np.concatenate([first.part, second.part]),
        prediction=Prediction(
            np.concatenate([one.values, two.values]),
            both(one.lower, two.lower),
            both(one.upper, two.upper),
            both(one.quantiles, two.quantiles),
        ),
        loss=np.concatenate([first.loss, second.loss]),
        weight=both(first.weight, second.weight),
        stretches=stretches,
    )
