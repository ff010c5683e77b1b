"""Which rows of DATA did the model see? The parts that a run folder remembers, matched with the rows of a table.

The names of files are no proof: a file may have been changed or moved. Held-out rows are recognised by their targets,
which the run keeps in predictions.parquet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.errors import RunError
from limpid.core.run import RunFolder
from limpid.data.cleaning import canonical
from limpid.data.table import Table

Array = npt.NDArray[Any]

_COMPARED = 5_000
_ALIKE = 0.99


@dataclass(frozen=True)
class Known:
    """What a run folder says about the rows of a table.

    Args:
        part: (rows of the table,) "train", "valid", "test" or "" of each; all "" where the table is none of the run's.
        why: where nothing is known, the reason, else "".
    """

    part: Array
    why: str = ""

    @property
    def training(self) -> bool:
        """Whether the table holds the rows that the model was fitted to."""
        return bool((self.part == "train").any())


def parts_of(folder: RunFolder, table: Table, fitted: int) -> Known:
    """The part of each row of a table; validation rows that the model was fitted to in the end count as training rows.

    Args:
        folder: the run's.
        table: the data, as they are given to the audit.
        fitted: rows that the model was fitted to.

    Raises:
        RunError: a file of the run cannot be read.
    """
    none = np.full(table.rows, "", dtype="<U5")
    if not folder.rows.is_file():
        return Known(none, "the run folder does not say which rows it used (rows.parquet is missing)")
    kept = _read(folder.rows)
    if not {"file", "row", "part"} <= set(kept.columns):
        return Known(none, "rows.parquet of the run folder is not as limpid writes it")
    kept = kept.with_columns(pl.col("file").cast(pl.String), pl.col("part").cast(pl.String))
    answers = _read(folder.predictions) if folder.predictions.is_file() else None
    for (_,), of_file in sorted(kept.group_by("file"), key=lambda pair: str(pair[0][0]) != table.name):
        rows = of_file["row"].to_numpy().astype(np.int64)
        if len(rows) == 0 or int(rows.max()) >= table.rows:
            continue
        same = _same_targets(of_file, answers, table)
        if same is None:  # no row of this file was held out: the name and the number of rows are all there is
            same = str(of_file["file"][0]) == table.name
        if not same:
            continue
        none[rows] = of_file["part"].to_numpy()
        if fitted > kept.filter(pl.col("part") == "train").height:
            none[none == "valid"] = "train"
        return Known(none)
    return Known(none, "DATA is none of the files that the run used, or has been changed since")


def _read(path: Any) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(
            f"{path.name} cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            expected="the file as limpid wrote it",
            fix="train again, or audit the bundle: limpid audit RUN/model DATA",
        ) from error


def _same_targets(of_file: pl.DataFrame, answers: pl.DataFrame | None, table: Table) -> bool | None:
    """Whether held-out rows have the targets that the run knew; None where no row of this file was held out."""
    if answers is None:
        return None
    held = of_file.filter(pl.col("part") != "train")
    if held.height == 0:
        return None
    answers = answers.with_columns(pl.col("part").cast(pl.String), pl.col("row").cast(pl.Int64))
    held = held.with_columns(pl.col("row").cast(pl.Int64)).join(answers, on=["part", "row"], how="inner")
    targets = [n for n in held.columns if n.startswith("target_")]
    if held.height == 0 or not targets:
        return None
    held = held.sort("row")[np.unique(np.linspace(0, held.height - 1, _COMPARED).astype(np.int64))]
    rows = held["row"].to_numpy()
    for name in targets:
        column = name.removeprefix("target_")
        if column not in table.columns:
            return False
        if _alike(held[name], table.read([column], rows=rows)[column]) < _ALIKE:
            return False
    return True


def _alike(kept: pl.Series, found: pl.Series) -> float:
    """Share of equal cells, numbers as numbers and other things as text."""
    if kept.dtype.is_numeric():
        numbers = found.cast(pl.Float64, strict=False) if found.dtype != pl.List else None
        if numbers is None:
            return 0.0
        a, b = kept.cast(pl.Float64).to_numpy(), numbers.to_numpy()
        # A number with a decimal comma or a unit is read by its encoder, not here; it is judged by the others.
        known = np.isfinite(b)
        return float(np.isclose(a[known], b[known], rtol=1e-5, atol=1e-12).mean()) if known.any() else 0.0
    if isinstance(kept.dtype, pl.List):
        # The task has split and sorted the labels of a cell; each of them has to stand in it.
        pairs = zip(kept.to_list(), found.to_list(), strict=True)
        return float(np.mean([all(label in (cell or "") for label in labels or []) for labels, cell in pairs]))
    same = canonical(kept).cast(pl.String).str.strip_chars() == canonical(found).cast(pl.String).str.strip_chars()
    return float(same.to_numpy().astype(float).mean()) if len(same) else 0.0
