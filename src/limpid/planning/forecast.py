"""From tables to a draft of a forecast: time, series, grid, parts by time, windows, encoders.

The order is the guarantee here too: what is fitted or decided of the values comes from training steps alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.contracts import Size
from limpid.core.errors import DataError, RequestError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.core.spec import AUTO, parse
from limpid.data.cutoffs import PARTS, Origins, divide_steps, origins, past_scales, thin
from limpid.data.facts import column_facts
from limpid.data.frequency import Frequency, find_frequency
from limpid.data.split import SplitSpec
from limpid.data.table import Table
from limpid.data.timelines import Book, Layout, Rows, in_order, read_rows, regularise
from limpid.data.windows import WINDOW, Cutting, Windows, choose_calendar
from limpid.planning import seasons
from limpid.planning.columns import Columns, decide_columns, plan_options
from limpid.planning.draft import Draft, data_spec
from limpid.planning.encoders import Encoders
from limpid.planning.parts import Part, look, spread
from limpid.planning.plan import DataSpec
from limpid.planning.series_columns import assign, check_target, find_ids, find_time, static_columns
from limpid.planning.target import no_target, resolve_names
from limpid.tasks import CATALOGUE as TASKS

TASK = "forecasting"
_FIT_WINDOWS = 4_096
_MOST_BYTES = 400 << 20  # of encoded training windows
_MOST_JUDGED = 20_000  # windows of a part that is judged
_SAMPLE_ROWS = 100_000
_FEW_WINDOWS = 2_000

Bools = npt.NDArray[np.bool_]


def asks_forecast(task: str | None, settings: Mapping[str, Any]) -> bool:
    """Whether a request is for a forecast."""
    return (task or (settings.get("task") or {}).get("name")) == TASK


def decide_forecast(
    tables: Mapping[str, Table],
    settings: Mapping[str, Any],
    *,
    target: str | Sequence[str] | None,
    seed: int,
    source: Mapping[str, str],
    seconds: float | None = None,
) -> Draft:
    """From tables and settings to a draft whose rows are windows.

    Args:
        tables: "train", and "valid" and "test" where files were given for them: rows of the same or other series.
        settings: the user's settings tree.
        target: the target column asked for.
        seed: of the run.
        source: how each table was named by the user, for the plan.
        seconds: time for the training under a budget, roughly, or None.

    Raises:
        LimpidError: the request or the data are wrong; see the parts.
    """
    train = tables["train"]
    repairs = Repairs()
    for table in tables.values():
        repairs.merge(table.repairs)
    data, split = data_spec(settings, source), _split(settings)
    name = _target(train, target if target is not None else list(data.target) or None, data, settings)
    kind = TASKS.load(TASK, where="task")
    asked = parse(kind.Spec, {k: v for k, v in (settings.get("task") or {}).items() if k != "name"}, where="task")
    because = {"task.name": "as asked"}
    layout, columns = _layout(train, name, asked, data, settings, because)
    _check_tables(tables, layout)
    rows = read_rows(list(tables.values()), layout, repairs)
    frequency, regular = _frequency(asked, layout, rows, because)
    if not regular and layout.clock != "order":
        repairs.add(train.name, f"the stamps are irregular; steps of {frequency} were made of them", 1)
    book = regularise(rows, layout, frequency, train.name, repairs)
    asked, cutting, part = _cut(asked, book, layout, list(tables), split, because)
    found = origins(book, cutting, part)
    hidden = (found.part == 0).sum() < _FEW_WINDOWS
    if hidden:
        found = origins(book, cutting, part, hidden=(0, 1))
        because["data.borders"] = (
            "there are few windows, so those that reach over the end of the training or validation steps are kept, and "
            "the values beyond are hidden from them"
        )
    repairs.add(train.name, "windows without a value to come, or without one before, were left out", found.empty)
    repairs.add(train.name, "series are too short for a window and were left out", found.short)
    asked = _strides(asked, found, cutting, because)
    parts = _parts(book, cutting, found, part if hidden else None, part, asked, because)
    planned, reasons = kind.plan(asked, [columns.facts[name]], ["number"], len(parts["train"].rows))
    because.update({f"task.{field}": reason for field, reason in reasons.items()})
    task = kind.fit(planned, parts["train"].target, None)
    task.cutting = cutting
    encoders = _encoders(cutting, planned, parts["train"], columns, because, seconds)
    sample, facts = _training_rows(train, book, part, columns)
    split = split.with_(how="time", time=None, group=None)
    because["split.how"] = because.get("split.how", "the latest steps are held out; nothing else is a fair forecast")
    return Draft(
        seed=seed,
        data=data.with_(target=(name,), columns=columns.specs),
        split=split,
        task=task,
        columns=columns,
        parts=parts,
        encoders=encoders,
        facts=facts,
        because=because,
        repairs=repairs,
        sample=sample,
    )


# -- columns ------------------------------------------------------------------------------------------------------


def _split(settings: Mapping[str, Any]) -> SplitSpec:
    split = parse(SplitSpec, settings.get("split") or {}, where="split")
    if split.group is not None or split.how not in (AUTO, "time"):
        raise RequestError(
            "a forecast is split by time only",
            where="split.group" if split.group is not None else "split.how",
            expected="split.how left out, or time",
            fix="leave it out; split.valid and split.test say how much of the time is held out",
        )
    return split


def _target(train: Table, asked: str | Sequence[str] | None, data: DataSpec, settings: Mapping[str, Any]) -> str:
    if train.rows == 0:
        raise DataError("there are no rows", where=train.name, expected="a table with rows", fix="check the file")
    if data.weight is not None:
        raise RequestError(
            "a forecast takes no sample weights",
            where="data.weight",
            expected="data.weight left out",
            fix="leave it out; rows of series that do not count can be left out of the data",
        )
    targets = resolve_names(asked, train.columns)
    if not targets:
        columns = decide_columns(look(train), {}, total_rows=train.rows, keep=[], drop=data.drop)
        raise no_target(data.source, columns.facts, {n: s.kind for n, s in columns.specs.items()})
    if len(targets) > 1:
        raise RequestError(
            f"{len(targets)} targets were named",
            where="--target",
            expected="one column of numbers",
            fix="write the series below one another, with a column that names them for --set task.id=COLUMN",
        )
    return targets[0]


def _layout(
    train: Table,
    target: str,
    asked: Any,
    data: DataSpec,
    settings: Mapping[str, Any],
    because: dict[str, str],
) -> tuple[Layout, Columns]:
    frame = look(train)
    named = [target] + [n for field in (asked.time, asked.id) if field != AUTO for n in field] + list(asked.known)
    columns = decide_columns(
        frame,
        dict((settings.get("data") or {}).get("columns") or {}),
        total_rows=train.rows,
        keep=[n for n in named if n in frame.columns],
        drop=data.drop,
    )
    because.update(columns.because)
    specs = dict(columns.specs)
    check_target(frame[target], columns.facts[target], train.name)
    specs[target] = specs[target].with_(kind="number", options={"decimal": columns.facts[target].decimal})
    clock, time, why = find_time(None if asked.time == AUTO else asked.time, specs, columns.facts, target)
    because["task.time"] = why
    options = {n: specs[n] for n in (*time, target)}
    if clock == "date" and specs[time[0]].kind != "date":
        form = columns.facts[time[0]].date_format
        options[time[0]] = specs[time[0]].with_(kind="date", options={"format": form})
        specs[time[0]] = options[time[0]]
    layout = Layout.model_validate({"clock": clock, "time": time, "target": target, "columns": options})
    ids, why = find_ids(None if asked.id == AUTO else asked.id, frame, layout, specs, columns.facts)
    because["task.id"] = why
    layout = layout.with_(ids=ids)
    layout, specs, reasons = assign(frame, layout, asked.known, specs, columns.facts)
    because.update(reasons)
    return layout, Columns(specs, columns.facts, columns.because)


def _check_tables(tables: Mapping[str, Table], layout: Layout) -> None:
    for table in tables.values():
        absent = [n for n in layout.needed if n not in table.columns]
        if absent:
            raise DataError(
                f"{table.name} has no column {absent[0]!r}",
                where=f"columns of {table.name}",
                expected="the same columns as in the training data",
                fix="add or rename the column",
            )


def _frequency(asked: Any, layout: Layout, rows: Rows, because: dict[str, str]) -> tuple[Frequency, bool]:
    if layout.clock == "order":
        because["task.frequency"] = "the rows are counted"
        return Frequency("count", 1), True
    stamps, codes = in_order(rows)
    found, why, regular = find_frequency(stamps, codes, dated=layout.clock != "count")
    if asked.frequency == AUTO:
        because["task.frequency"] = why
        return found, regular
    wanted = Frequency.parse(str(asked.frequency))
    if wanted.dated != (layout.clock != "count"):
        raise RequestError(
            f"steps of {wanted} do not fit {', '.join(layout.time)}, a column of "
            + ("moments" if found.dated else "counts"),
            where="task.frequency",
            expected="a unit of time such as 1h" if found.dated else "a bare number of counts, such as 1",
            fix=f"for example --set task.frequency={found}",
        )
    because["task.frequency"] = "as asked"
    return wanted.fitted(stamps), True


# -- steps --------------------------------------------------------------------------------------------------------


def _cut(
    asked: Any, book: Book, layout: Layout, files: list[str], split: SplitSpec, because: dict[str, str]
) -> tuple[Any, Cutting, npt.NDArray[np.int8]]:
    """Season, horizon and parts, then what the training steps say of history, scale and calendar."""
    chosen: dict[str, Any] = {"time": layout.time, "id": layout.ids, "frequency": str(book.frequency)}

    def decide(field: str, value: Any, why: str) -> Any:
        because[f"task.{field}"] = why if getattr(asked, field) == AUTO else "as asked"
        chosen[field] = value if getattr(asked, field) == AUTO else getattr(asked, field)
        return chosen[field]

    lengths = book.ends
    longest = int(lengths.max(initial=0))
    at = np.arange(len(book.values)) - book.starts[book.series]
    early = (at < ((1 - split.valid - split.test) * lengths)[book.series]) & (book.part == 0)
    period = int(decide("period", *seasons.find_period(book, early)))
    horizon = int(decide("horizon", *seasons.choose_horizon(book.frequency, period, longest)))
    whole = Cutting(layout, book.frequency, 1, horizon, (), period, 1)
    part = _part_of(book, whole, files, split, because)
    train = part == 0
    steps = int(np.bincount(book.series[train & (at < lengths[book.series])], minlength=1).max(initial=0))
    history = int(decide("history", *seasons.choose_history(horizon, period, steps)))
    transform, unit, why = seasons.choose_transform(book, train, period)
    decide("transform", transform, why)
    decide("unit", unit, "a twentieth of the values above zero is smaller, or a hundredth of that for a pure logarithm")
    least = min(history, max(min(period, history), (history + 1) // 2))
    calendar = choose_calendar(book.frequency, steps, period)
    cutting = Cutting(layout, book.frequency, history, horizon, calendar, period, least)
    return asked.with_(**chosen), cutting, part


def _part_of(
    book: Book, cutting: Cutting, files: list[str], split: SplitSpec, because: dict[str, str]
) -> npt.NDArray[np.int8]:
    """(G,) the part of each step: as the files say, the rest by time."""
    codes = np.array([PARTS.index(name) for name in files], dtype=np.int8)[book.part]
    shares = {name: 0.0 if name in files else getattr(split, name) for name in ("valid", "test")}
    for name in files[1:]:
        because[f"split.{name}"] = "given as a file"
    if not any(shares.values()):
        return codes
    inside, why = divide_steps(book, cutting, shares["valid"], shares["test"], within=codes == 0)
    because["split.how"] = f"the latest steps are held out: {why}"
    return np.where(codes == 0, inside, codes).astype(np.int8)


def _strides(asked: Any, found: Origins, cutting: Cutting, because: dict[str, str]) -> Any:
    changes: dict[str, Any] = {}
    counts = np.bincount(found.part, minlength=3)
    if asked.stride == AUTO:
        width = len(cutting.channels) + 3
        bytes_ = int(counts[0]) * (cutting.history + cutting.horizon) * width * 2
        changes["stride"] = max(1, -(-bytes_ // _MOST_BYTES))
        because["task.stride"] = f"{int(counts[0]):,} training windows would take {bytes_ / 1e6:,.0f} MB, " + (
            "which is little" if changes["stride"] == 1 else f"{_MOST_BYTES >> 20} MB are used"
        )
    else:
        because["task.stride"] = "as asked"
    if asked.origins == AUTO:
        most = int(counts[1:].max(initial=0))
        changes["origins"] = max(1, -(-most // _MOST_JUDGED))
        because["task.origins"] = f"rolling origins: up to {_MOST_JUDGED:,} of the {most:,} cutoffs of a held-out part"
    else:
        because["task.origins"] = "as asked"
    return asked.with_(**changes)


def _parts(
    book: Book,
    cutting: Cutting,
    found: Origins,
    hidden: npt.NDArray[np.int8] | None,
    part: npt.NDArray[np.int8],
    asked: Any,
    because: dict[str, str],
) -> dict[str, Part]:
    places = {name: thin(found, code, int(asked.origins if code else asked.stride)) for code, name in enumerate(PARTS)}
    kept = np.sort(np.concatenate(list(places.values())))
    table = Windows(book, cutting, found.series[kept], found.cutoff[kept], hidden)
    scales = past_scales(book, cutting.period, part)
    parts = {}
    for name, own in places.items():
        rows = np.searchsorted(kept, own)
        if len(rows):
            parts[name] = Part(name, table, rows, window_targets(table, rows, scales))
    if "train" not in parts or "valid" not in parts:
        raise _too_short(book, cutting, {name: len(own) for name, own in places.items()})
    because["data.rows"] = f"a row is a series and a cutoff: {len(kept):,} windows of {len(book.first):,} series"
    return parts


def window_targets(table: Windows, rows: np.ndarray, scales: np.ndarray) -> pl.DataFrame:
    """What the task encodes of some windows: the values to come, and the scale of their series."""
    name = table.book.layout.target
    values = table.targets(rows)
    cells = pl.Series(name, values) if len(values) else pl.Series(name, [], dtype=pl.Array(pl.Float64, table.horizon))
    return pl.DataFrame([cells, pl.Series(f"{name} (scale)", scales[table.series[rows]])])


def _too_short(book: Book, cutting: Cutting, counts: Mapping[str, int]) -> DataError:
    longest = int(book.ends.max(initial=0))
    return DataError(
        f"the longest series has {longest:,} steps, too few for training and held-out windows of {cutting.horizon} "
        f"steps ahead",
        where=book.name,
        expected=f"at least {3 * cutting.horizon + cutting.least} steps",
        fix=f"set a shorter horizon, such as --set task.horizon={max(1, longest // 10)}, or gather more rows",
    )


# -- encoders -----------------------------------------------------------------------------------------------------


def _encoders(
    cutting: Cutting,
    spec: Any,
    train: Part,
    columns: Columns,
    because: dict[str, str],
    seconds: float | None,
) -> Encoders:
    assert isinstance(train.table, Windows)
    chosen = spread(len(train.rows), _FIT_WINDOWS)
    rows = train.rows if chosen is None else train.rows[chosen]
    frame = train.table.read(rows=rows)
    options = {
        "history": cutting.history,
        "horizon": cutting.horizon,
        "channels": cutting.channels,
        "known": cutting.known,
        "period": cutting.period,
        "transform": spec.transform,
        "unit": spec.unit,
    }
    series = len(train.table.book.first)
    static, why = static_columns(cutting.layout, columns.specs, series)
    if why:
        because["data.series"] = why
    names = [n for n in static if n in frame.columns]
    facts = {n: column_facts(frame[n], total_rows=len(train.rows)) for n in names}
    size = Size(rows=len(train.rows), outputs=cutting.horizon, task=TASK, seconds=seconds)
    specs = {n: static[n] for n in names if facts[n].distinct > 1}
    planned, reasons = plan_options(Columns(specs, facts, {}), facts, size)
    because.update(reasons)
    return Encoders.fit({WINDOW: ColumnSpec(kind="window", options=options), **planned}, frame)


def _training_rows(
    train: Table, book: Book, part: npt.NDArray[np.int8], columns: Columns
) -> tuple[pl.DataFrame, dict[str, ColumnFacts]]:
    """Source rows of training steps, for the profile, and what was counted in them."""
    own = np.sort(book.row[(part == 0) & (book.part == 0) & (book.row >= 0)])
    chosen = spread(len(own), _SAMPLE_ROWS)
    sample = train.look(list(columns.specs), rows=own if chosen is None else own[chosen])
    return sample, {n: column_facts(sample[n], total_rows=len(own)) for n in sample.columns}
