"""Which rows does an audit look at, which of them did the model learn from, and what stands in them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from limpid.api.audit_windows import read_windows
from limpid.api.forecasts import cutting_of
from limpid.api.rows import read_rows
from limpid.auditing.features import small
from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged, joined, judge, stacked
from limpid.auditing.known_rows import Known, parts_of
from limpid.auditing.spans import effective
from limpid.bundle.model import Model as Bundle
from limpid.core.errors import LimpidError
from limpid.core.forms import FIELDS
from limpid.core.names import unknown_column
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.core.schema import ColumnSpec
from limpid.data.sources.layout import arrange
from limpid.data.table import Table, open_table
from limpid.data.timelines import Book
from limpid.planning.parts import weight_values
from limpid.planning.plan import Plan, plan_from_dict
from limpid.planning.settings import read_recipe

MOST_ROWS, MOST_LONG_ROWS = 100_000, 10_000
"""Of a larger table so many rows, spread evenly, are audited; fewer where a row is more than a table's columns."""


@dataclass(frozen=True)
class Subject:
    """What an audit looks at.

    Args:
        everything: rows of DATA, and of the training file where it is another one that can be read.
        held: those that the model was not fitted to.
        part: which rows these are: "test", "valid", or "" for all rows of DATA.
        cells: raw cells of `everything` with all columns that could give something away; None where rows are windows.
        specs: what the columns of `cells` are.
        why: why it is not known which rows the model learnt from, or "".
        only_training: whether DATA holds nothing but rows that the model was fitted to.
        remarks: what else is to be said of the rows: sample weights, windows that were left out.
        series: where rows are windows, the series of DATA, the horizon and the season in steps, and how many rows share
            a step with another of their series.
    """

    everything: Judged
    held: Judged
    part: str
    cells: pl.DataFrame | None
    specs: Mapping[str, ColumnSpec]
    why: str
    only_training: bool
    remarks: tuple[Finding, ...] = ()
    series: tuple[Book, int, int, int] | None = None

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """Small vectors of columns that are pictures, to find near copies by."""
        arrays = self.everything.arrays
        return {name.removesuffix(".pixels"): small(a) for name, a in arrays.items() if name.endswith(".pixels")}

    def notes(self) -> list[Finding]:
        """What is to be said of the rows themselves."""
        if not self.only_training:
            return [*self.remarks]
        return [
            *self.remarks,
            Finding(
                "coverage",
                "warning",
                "all rows are ones that the model was fitted to, so every figure here flatters it",
                f"{len(self.held):,} rows",
                "audit it on rows that it has not seen",
            ),
        ]


def read(bundle: Bundle, data: Table, groups: Sequence[str], folder: RunFolder | None, repairs: Repairs) -> Subject:
    """Read DATA, and the training file where the run folder tells which it was.

    Args:
        bundle: the model.
        data: the table.
        groups: columns that are asked for beside the model's.
        folder: of the run; None for a bundle.
        repairs: tally of what had to be mended.

    Raises:
        LimpidError: the data do not fit the model.
    """
    if cutting_of(bundle) is not None:
        return _windows(bundle, data, groups, folder, repairs)
    _check(data, groups)
    plan = None if folder is None else plan_from_dict(read_recipe(folder.plan), where=str(folder.plan))
    specs = {**bundle.encoders.columns, **bundle.targets}
    if plan is not None:
        specs = {**plan.data.columns, **specs}
    none = Known(np.zeros(0, dtype="<U5"), "a bundle does not say which rows it learnt from")
    known = none if folder is None else parts_of(folder, arrange(data, bundle.series), bundle.rows)
    weight = None if plan is None or plan.data.weight not in data.columns else plan.data.weight
    everything, cells = _judged(bundle, data, groups, known, specs, repairs, weight)
    why, only = known.why, bool(len(known.part)) and bool((everything.part == "train").all())
    mine, part = _held(everything)
    if folder is not None and plan is not None and not known.training:
        other = _training(plan, bundle, groups, folder, specs, weight)
        if other is None:
            why = why or "the training file is not where it was"
        else:
            if known.why:  # rows of another file: held out, as far as is known
                everything = replace(everything, part=np.full(len(everything), "test"))
                mine = everything
            seen, seen_cells = other
            cells = stacked(cells, seen_cells)
            everything, why = joined(everything, seen), ""
    named = {n: s for n, s in specs.items() if n in cells.columns}
    weighed = _weighed(mine, None if plan is None else plan.data.weight)
    return Subject(everything, mine, part, cells, named, why, only, weighed)


def _judged(
    bundle: Bundle,
    table: Table,
    groups: Sequence[str],
    known: Known,
    specs: Mapping[str, ColumnSpec],
    repairs: Repairs,
    weight: str | None,
) -> tuple[Judged, pl.DataFrame]:
    most = MOST_ROWS if set(bundle.encoders.inputs.values()) == {FIELDS} else MOST_LONG_ROWS
    beside = [*groups, *([weight] if weight else [])]
    rows = read_rows(bundle, table, repairs, targets=True, most=most, beside=beside)
    assert rows.target is not None
    weights = weight_values(rows.frame[weight], specs[weight], table.name) if weight else None
    part = known.part[rows.rows] if len(known.part) else np.full(len(rows), "", dtype="<U5")
    arranged = arrange(table, bundle.series)
    heavy = arranged.heavy | set(bundle.encoders.files)
    names = [n for n in arranged.columns if n in specs and n not in heavy]
    cells = arranged.read(names, rows=rows.rows)
    return judge(bundle, rows.frame, rows.arrays, rows.target, rows.rows, part, weights), cells


def _weighed(held: Judged, column: str | None) -> tuple[Finding, ...]:
    """How the run's sample weights enter the figures."""
    if column is None:
        return ()
    if held.weight is None:
        what = f"the run has sample weights, but DATA has no column {column}"
        return (Finding("coverage", "look", what, "every row counts once", "audit it on rows with their weights"),)
    told = (
        f"{len(held):,} rows count as {effective(held.weight):,.0f} (Kish); groups, calibration, robustness and "
        "overfitting are weighted; leaks, proxies, mitigation, slices, privacy, unlike and labels count each row once"
    )
    return (Finding("coverage", "ok", f"rows are weighted by {column}", told),)


def _held(everything: Judged) -> tuple[Judged, str]:
    """Rows that the model was not fitted to: test rows, else validation rows, else all."""
    for part in ("test", "valid"):
        if (everything.part == part).any():
            return everything.parts(part), part
    return everything, ""


def _training(
    plan: Plan,
    bundle: Bundle,
    groups: Sequence[str],
    folder: RunFolder,
    specs: Mapping[str, ColumnSpec],
    weight: str | None,
) -> tuple[Judged, pl.DataFrame] | None:
    """Rows of the file that the model was trained on, where it still stands in its place."""
    try:
        table = open_table(plan.data.source)
        known = parts_of(folder, arrange(table, bundle.series), bundle.rows)
        if not known.training or any(name not in table.columns for name in groups):
            return None
        judged, cells = _judged(bundle, table, groups, known, specs, Repairs(), weight)
    except LimpidError:
        return None  # the audit says that the training rows could not be compared
    used = judged.part != ""
    return judged.take(used), cells.filter(pl.Series(used))


def _windows(bundle: Bundle, data: Table, groups: Sequence[str], folder: RunFolder | None, repairs: Repairs) -> Subject:
    found = read_windows(bundle, data, groups, folder, repairs)
    specs = bundle.encoders.columns
    cutting = cutting_of(bundle)
    assert cutting is not None
    left: tuple[Finding, ...] = ()
    if found.left_out:
        what = "windows of times that the model has seen were left out"
        left = (Finding("coverage", "ok", what, f"{found.left_out:,} of {found.left_out + len(found.held):,} windows"),)
    return Subject(
        found.everything, found.held, found.part, None, specs, found.why, found.only_training,
        remarks=left, series=(found.book, cutting.horizon, cutting.period, found.shared),
    )  # fmt: skip


def _check(table: Table, groups: Sequence[str]) -> None:
    for name in groups:
        if name not in table.columns:
            raise unknown_column(name, table.columns, where=f"--group {name}", of=table.name)
