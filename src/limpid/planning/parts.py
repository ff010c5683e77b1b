"""Which rows belong to which part, and what their targets and weights are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from limpid.core.contracts import Task
from limpid.core.errors import DataError, RequestError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.data.cleaning import clean, parse_dates, parse_numbers
from limpid.data.split import SplitSpec, split
from limpid.data.table import Table
from limpid.planning.order import find_time

LOOK_ROWS = 100_000
CELLS = 256
"""Whole files that are looked at to say what they are."""
FIT_CELLS = 2_000
"""Whole files that encoders are fitted on, at most."""
_MEASURED_ROWS = 1_000
_TARGET_ROWS = 1 << 20
_LOOK_BYTES = 256 << 20
_GROUPED_DUPLICATES = 0.3
_COMPARED_CELLS = 20_000_000
COMPARED_BYTES = 1 << 30
"""Rows that are compared with one another, at most."""


@dataclass
class Part:
    """A part of the data: which rows of which table.

    Args:
        name: train, valid or test.
        table: where the rows are.
        rows: (n,) sorted source row numbers, held as uint32 where the table has fewer than 2^32 rows.
        target: target columns of these rows, cleaned, without nulls.
        weight: (n,) sample weights, or None.
    """

    name: str
    table: Table
    rows: np.ndarray
    target: pl.DataFrame
    weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.table.rows < 2**32:  # of tens of millions of rows, the numbers alone are a good part of the memory
            self.rows = self.rows.astype(np.uint32, copy=False)

    def take(self, index: np.ndarray, name: str | None = None) -> Part:
        """Some rows of the part, by position."""
        whole = len(self.rows) == self.table.rows  # then positions are row numbers, and need no copy
        return Part(
            name or self.name,
            self.table,
            index if whole and index.dtype.kind in "iu" else self.rows[index],
            self.target[index],
            None if self.weight is None else self.weight[index],
        )

    def head(self, rows: int) -> Part:
        """The first rows of the part."""
        return self if len(self.rows) <= rows else self.take(np.arange(rows))


def look(table: Table, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Up to 100,000 rows spread evenly over a table, always the same ones; fewer where they are long texts.

    Cells that are whole files are named, not read.
    """
    most = max(_MEASURED_ROWS, int(_LOOK_BYTES / row_bytes(table, columns)))
    return table.look(columns, rows=spread(table.rows, min(LOOK_ROWS, most)))


def row_bytes(table: Table, columns: Sequence[str] | None = None) -> float:
    """Mean size of a row in memory, cells that are whole files aside; measured once, as it may read a large file."""
    names = tuple(sorted(table.columns if columns is None else columns))
    if names not in table.row_bytes:
        few = table.look(names, rows=spread(table.rows, _MEASURED_ROWS))
        table.row_bytes[names] = max(1.0, few.estimated_size() / max(few.height, 1))
    return table.row_bytes[names]


def cells(table: Table, rows: np.ndarray | None = None, most: int = CELLS) -> dict[str, pl.Series]:
    """Some evenly spread cells of the columns that hold whole files, of given rows or of all; fewer large ones."""
    found = {}
    for name in (c for c in table.columns if c in table.heavy):
        column = pl.Series(name, [], dtype=pl.Binary)
        for count in (min(most, CELLS), most):
            mean = float(column.bin.size().mean() or 0.0)  # type: ignore[arg-type]
            count = max(1, min(count, int(_LOOK_BYTES / max(mean, 1.0))))
            if count > len(column):
                chosen = spread(table.rows if rows is None else len(rows), count)
                if rows is not None:
                    chosen = rows if chosen is None else rows[chosen]
                column = table.read([name], rows=chosen)[name]
        found[name] = column
    return found


def classes_beside(train: Part, cells: pl.Series) -> pl.Series:
    """The first target of the rows that `cells` took the cells of."""
    target = train.target.to_series(0)
    chosen = spread(len(target), len(cells))
    return target if chosen is None else target.gather(chosen)


def spread(rows: int, most: int) -> np.ndarray | None:
    """Sorted row numbers spread evenly, or None for all of them."""
    if rows <= most:
        return None
    return np.unique(np.linspace(0, rows - 1, most).astype(np.int64))


def with_target(
    part: str,
    table: Table,
    targets: Sequence[str],
    specs: Mapping[str, ColumnSpec],
    task: str,
    weight: str | None,
    repairs: Repairs,
) -> Part:
    """All rows of a table that have a target, and a weight where there are weights."""
    absent = [n for n in (*targets, *([weight] if weight else [])) if n not in table.columns]
    if absent:
        raise DataError(
            f"{table.name} has no column {absent[0]!r}",
            where=f"columns of {table.name}",
            expected="the same columns as in the training data",
            fix=did_you_mean(absent[0], table.columns),
        )
    chunks: list[pl.DataFrame] = []
    masks: list[np.ndarray] = []
    first = 0
    for frame in table.chunks(list(targets), _TARGET_ROWS):
        cleaned = frame.select([target_values(frame[n], specs[n], task, table.name, repairs, first) for n in targets])
        known = np.ones(frame.height, dtype=bool)
        for name in targets:
            known &= cleaned[name].is_not_null().to_numpy()
        chunks.append(cleaned if known.all() else cleaned.filter(pl.Series(known)))
        masks.append(known)
        first += frame.height
    has = np.concatenate(masks)
    weights = None
    if weight is not None:
        weights = weight_values(table.read([weight])[weight], specs[weight], table.name)
    repairs.add(table.name, "had no target and were left out", int((~has).sum()))
    rows = np.flatnonzero(has)
    if len(rows) == 0:
        raise DataError(
            f"no row has a value in {', '.join(map(repr, targets))}",
            where=f"column {targets[0]} of {table.name}",
            expected="rows with a target",
            fix="choose another --target, or check how missing values are written",
        )
    return Part(part, table, rows, pl.concat(chunks), None if weights is None else weights[rows])


def target_values(
    column: pl.Series, spec: ColumnSpec, task: str, source: str, repairs: Repairs, first: int = 0
) -> pl.Series:
    """A target column as its task reads it: missing codes are null, numbers are numbers.

    Args:
        column: cells.
        spec: what the column is.
        task: its task.
        source: name of the table.
        repairs: tally to add to.
        first: source row number of the first cell, for messages.

    Raises:
        DataError: a regression target is infinite, naming its row.
    """
    values = clean(column, spec)
    if task != "regression":
        return values
    numbers, bad = parse_numbers(values, str(spec.options.get("decimal", ".")))
    flags = np.asarray(bad, dtype=bool)
    if flags.any():
        example = values[int(np.flatnonzero(flags)[0])]
        repairs.add(f"{source}, column {column.name}", "is no number, taken as no target", int(flags.sum()), example)
    infinite = numbers.is_infinite().fill_null(False)
    if infinite.any():
        row = first + int(infinite.arg_max() or 0)
        raise DataError(
            f"the target {column.name!r} is infinite in {int(infinite.sum()):,} rows",
            where=f"{source}, row {row + 1}, column {column.name}",
            expected="finite numbers",
            fix="correct or remove these rows",
        )
    return numbers.fill_nan(None).rename(column.name)


def weight_values(column: pl.Series, spec: ColumnSpec, source: str) -> np.ndarray:
    """(N,) sample weights.

    Raises:
        DataError: a weight is missing, negative or not finite, naming its row.
    """
    numbers, _ = parse_numbers(clean(column, spec), str(spec.options.get("decimal", ".")))
    weights = numbers.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise DataError(
            f"{len(wrong):,} sample weights are missing, negative or not finite",
            where=f"{source}, row {wrong[0] + 1}, column {column.name}",
            expected="a number of 0 or more in each row",
            fix="fill the gaps (1 is neutral) or leave data.weight out",
        )
    if not weights.any():
        raise _no_weight("all sample weights are zero", f"{source}, column {column.name}")
    if not 1e-30 <= weights.max() <= 1e30:
        raise DataError(
            f"the largest sample weight is {weights.max():g}",
            where=f"{source}, row {int(weights.argmax()) + 1}, column {column.name}",
            expected="a largest weight between 1e-30 and 1e30",
            fix="scale the weights; only their ratios matter",
        )
    return weights


def check_weights(part: Part) -> None:
    """Refuse a part in which no row counts.

    Raises:
        DataError: all its weights are zero.
    """
    if part.weight is not None and not part.weight.any():
        raise _no_weight(f"all sample weights of the {part.name} rows are zero", part.table.name)


def _no_weight(what: str, where: str) -> DataError:
    """The error for rows of which none counts."""
    return DataError(
        what, where=where, expected="some weights above 0 in each part", fix="leave data.weight out, or mend the column"
    )


def divide(
    whole: Mapping[str, Part],
    specs: Mapping[str, ColumnSpec],
    facts: Mapping[str, ColumnFacts],
    spec: SplitSpec,
    task: str,
    targets: Sequence[str],
    seed: int,
    because: dict[str, str],
) -> tuple[SplitSpec, dict[str, Part]]:
    """Cut the parts that were not given as files from the training file."""
    train = whole["train"]
    how = spec.how
    if how == "auto":
        if spec.group is not None:
            how, because["split.how"] = "group", f"rows with the same {spec.group} stay in one part"
        elif spec.time is not None:
            how, because["split.how"] = "time", f"the latest rows by {spec.time} are held out"
        elif (found := _time_order(train, specs, facts, task)) is not None:
            how, because["split.how"] = "time", found[1]
            spec = spec.with_(time=found[0])
        elif task == "classification" and train.target.width == 1 and specs[targets[0]].kind != "labels":
            how, because["split.how"] = "stratified", "each part gets the same share of every class"
        else:
            how, because["split.how"] = "random", "the rows are exchangeable as far as can be seen"
    else:
        because["split.how"] = "as asked"
    shares = {"valid": 0.0 if "valid" in whole else spec.valid, "test": 0.0 if "test" in whole else spec.test}
    for part in ("valid", "test"):
        if part in whole:
            because[f"split.{part}"] = f"given as a file: {whole[part].table.name}"
    spec = spec.with_(how=how, **shares)
    if not shares["valid"] and not shares["test"]:
        return spec, dict(whole)
    together, note = _copies_together(train, specs, how)
    if note:
        because["split.together"] = note
    frame = None
    if how in ("group", "time"):
        column = spec.group if how == "group" else spec.time
        if column is None:
            raise RequestError(
                f"a split by {how} needs its column",
                where="split.how",
                expected=f"split.{how} to name a column",
                fix=f"add --set split.{how}=COLUMN",
            )
        frame = clean(train.table.read([column], rows=train.rows)[column], specs[column])
    cut = split(
        spec,
        len(train.rows),
        seed,
        target=_codes(train.target, task) if how == "stratified" else None,
        group=frame if how == "group" else None,
        time=_stamps(frame, specs[spec.time]) if how == "time" and spec.time and frame is not None else None,
        together=together,
    )
    parts = {"train": train.take(cut.train, "train")}
    for part, rows in (("valid", cut.valid), ("test", cut.test)):
        if part in whole:
            parts[part] = whole[part]
        elif len(rows):
            parts[part] = train.take(rows, part)
    if len(parts["train"].rows) == 0 or len(parts.get("valid", parts["train"]).rows) == 0:
        raise _too_few(train)
    return spec, parts


def _stamps(column: pl.Series, spec: ColumnSpec) -> pl.Series:
    if spec.kind == "date":
        return parse_dates(column, str(spec.options.get("format", "")))[0]
    numbers, bad = parse_numbers(column, str(spec.options.get("decimal", ".")))
    return column if np.asarray(bad).any() else numbers


def _codes(target: pl.DataFrame, task: str) -> np.ndarray:
    """The target as numbers: its own (floats) for regression, otherwise class codes (integers) of the first target."""
    column = target.to_series(0)
    if task == "regression":
        return column.cast(pl.Float64).to_numpy()
    text = column.cast(pl.String) if column.dtype != pl.List else column.cast(pl.List(pl.String)).list.join("|")
    return text.rank("dense").cast(pl.Int64).to_numpy()


def _time_order(
    train: Part, specs: Mapping[str, ColumnSpec], facts: Mapping[str, ColumnFacts], task: str
) -> tuple[str, str] | None:
    dates = [n for n, s in specs.items() if s.kind == "date" and s.use]
    if not dates:
        return None
    kept = spread(len(train.rows), LOOK_ROWS)
    index = np.arange(len(train.rows)) if kept is None else kept
    codes = _codes(train.target[index], task)
    return find_time(train.table.read(dates, rows=train.rows[index]), {n: specs[n] for n in dates}, facts, codes)


def _copies_together(train: Part, specs: Mapping[str, ColumnSpec], how: str) -> tuple[np.ndarray | None, str]:
    """Groups of rows that are copies of one another in every input, so that none is in two parts."""
    names = [n for n, s in specs.items() if s.use]
    if how == "time":
        return None, ""
    if (
        len(train.rows) * len(names) > _COMPARED_CELLS
        or len(train.rows) * row_bytes(train.table, names) > COMPARED_BYTES
    ):
        return None, f"{len(train.rows):,} rows are too many to look for copies among them"
    frame = train.table.look(names, rows=train.rows)
    plain = frame.select([c.cast(pl.String) if c.dtype == pl.Categorical else c for c in frame.iter_columns()])
    codes = plain.hash_rows(seed=0).rank("dense").cast(pl.Int64).to_numpy() - 1
    copies = len(codes) - len(np.unique(codes))
    if copies == 0:
        return None, ""
    share = copies / len(codes)
    if share > _GROUPED_DUPLICATES:
        return (
            None,
            f"{share:.0%} of the rows repeat another one: with so few columns, copies are left where they fall",
        )
    return codes, f"{copies:,} rows are copies of others; copies stay in one part"


def without_copies(train: Part, specs: Mapping[str, ColumnSpec], repairs: Repairs) -> Part:
    """The training rows without further copies of a row and its target; how many went is counted."""
    names = [n for n, s in specs.items() if s.use]
    frame = pl.concat(
        [train.table.look(names, rows=train.rows), train.target.rename(lambda n: f"target {n}")], how="horizontal"
    )
    first = np.flatnonzero(frame.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy())
    repairs.add(train.table.name, "were copies of other training rows and were dropped", len(train.rows) - len(first))
    return train.take(first)


def with_known_classes(part: Part, task: Task, repairs: Repairs) -> Part:
    """The rows of a part whose class some training row has; the others, which no model could get right, are counted.

    Raises:
        DataError: no row is left.
    """
    usable = task.usable(task.encode(part.target, unseen="drop"))
    if usable.all():
        return part
    if not usable.any():
        raise DataError(
            f"no {part.name} row has a class that a training row has",
            where=f"{part.table.name}, column {part.target.columns[0]}",
            expected="classes of several rows each",
            fix="choose another --target, or gather more rows of each class",
        )
    first = int(np.flatnonzero(~usable)[0])
    repairs.add(
        f"{part.table.name}, {part.name} rows",
        "have a class that no training row has and were left out",
        int((~usable).sum()),
        f"row {int(part.rows[first]) + 1}: {part.target.row(first)[0]}",
    )
    return part.take(np.flatnonzero(usable))


def _too_few(train: Part) -> DataError:
    return DataError(
        f"{len(train.rows)} rows are too few to divide into parts",
        where=train.table.name,
        expected="at least 10 rows with a target, or files for --valid and --test",
        fix="gather more rows",
    )
