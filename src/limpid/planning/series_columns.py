"""Which columns of a table tell the time and the series, and what every other column is to a forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from limpid.core.errors import DataError, RequestError
from limpid.core.names import unknown_column
from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.data.cleaning import canonical, clean
from limpid.data.timelines import Layout, part_word, read_stamps

_COUNT_WORDS = frozenset({"t", "time", "step", "tick", "index", "period", "week", "day", "no", "nr", "timestamp", "ds"})
_MOST_LEVELS = 12
_MOST_IDS = 1_000
_CLASH = 0.01  # share of rows that may share a moment with another one of their series
_REPEATED = 3  # rows that a series has on average, at the least, where it is to be recognised

Specs = Mapping[str, ColumnSpec]
Facts = Mapping[str, ColumnFacts]


def check_names(names: Sequence[str], columns: Sequence[str], where: str) -> None:
    """Refuse names that are no columns.

    Raises:
        RequestError: one is not there.
    """
    for name in names:
        if name not in columns:
            raise unknown_column(name, columns, where=where)


def find_time(asked: Sequence[str] | None, specs: Specs, facts: Facts, target: str) -> tuple[str, tuple[str, ...], str]:
    """How the time is written and by which columns, with the evidence.

    Args:
        asked: the columns that the user named; None to look for them, nothing for the order of the rows.
        specs, facts: of all columns.
        target: is never the time.

    Raises:
        RequestError: a column that the user named tells no time.
    """
    if asked is not None:
        return (*_asked_clock(tuple(asked), specs, facts), "as asked")
    dates = [n for n, s in specs.items() if s.kind == "date" and n != target]
    if dates:
        best = max(dates, key=lambda n: (facts[n].distinct, facts[n].sorted_share))
        others = f"; {', '.join(d for d in dates if d != best)} holds dates too" if len(dates) > 1 else ""
        return "date", (best,), f"{best} holds moments: {facts[best].date_share:.0%} of its cells are dates{others}"
    parts = {part_word(n): n for n in specs if part_word(n) and facts[n].integer_share == 1 and n != target}
    if "year" in parts and ("month" in parts or len(parts) == 1) and facts[parts["year"]].distinct > 1:
        words = ("year", "month", "day", "hour", "minute", "second")
        found = tuple(parts[w] for w in _leading(words, parts))
        return "parts", found, f"together {', '.join(found)} say when each row was"
    for name, fact in facts.items():
        if name == target or fact.integer_share < 1 or fact.missing:
            continue
        if fact.distinct_share >= 0.999 and fact.sorted_share == 1.0 and specs[name].kind in ("key", "number"):
            return "count", (name,), f"{name} counts the rows: {fact.distinct:,} whole numbers that rise, none twice"
    for name, fact in facts.items():
        if name != target and name.casefold() in _COUNT_WORDS and fact.integer_share == 1 and fact.distinct > 2:
            return "count", (name,), f"{name} holds whole numbers and is named like a clock"
    return "order", (), "no column tells the time: the rows are taken in their order"


def _leading(words: Sequence[str], parts: Mapping[str, str]) -> list[str]:
    """Words from the first on until one is missing."""
    found: list[str] = []
    for word in words:
        if word not in parts:
            break
        found.append(word)
    return found


def _asked_clock(names: tuple[str, ...], specs: Specs, facts: Facts) -> tuple[str, tuple[str, ...]]:
    check_names(names, list(specs), "task.time")
    if not names:
        return "order", ()
    words = [part_word(n) for n in names]
    if all(words) and "year" in words:
        return "parts", names
    if len(names) > 1:
        raise RequestError(
            f"{', '.join(names)} are not parts of one moment",
            where="task.time",
            expected="one column, or columns named year, month, day, hour, minute, second",
            fix="name the one column that tells the time",
        )
    fact = facts[names[0]]
    if specs[names[0]].kind == "date" or fact.date_share >= 0.5:
        return "date", names
    if fact.integer_share >= 0.95:
        return "count", names
    raise RequestError(
        f"{names[0]!r} is {specs[names[0]].kind}, which tells no time",
        where="task.time",
        expected="a column of dates, times or whole numbers",
        fix=f"say how it is written: --set data.columns.{names[0]}.options.format=%d/%m/%Y, or name another column",
    )


def find_ids(
    asked: Sequence[str] | None, frame: pl.DataFrame, layout: Layout, specs: Specs, facts: Facts
) -> tuple[tuple[str, ...], str]:
    """The columns that tell the series apart, with the evidence.

    Args:
        asked: the columns that the user named, or None to look for them.
        frame: rows to look at.
        layout: tells the time.
        specs, facts: of all columns.
    """
    if asked is not None:
        check_names(asked, frame.columns, "task.id")
        return tuple(asked), "as asked"
    if layout.clock == "order":
        return (), "rows without a time are taken as one series"
    frame = frame.unique(maintain_order=True)  # copies of a row say nothing of the series
    stamps, good = read_stamps(frame, layout)
    moments = pl.Series("stamp", stamps).filter(pl.Series(good))
    if 1 - moments.n_unique() / max(len(moments), 1) <= _CLASH:
        return (), "each moment has one row, so there is one series"
    taken = {*layout.time, layout.target}
    likely = [
        n
        for n, s in specs.items()
        if n not in taken
        and s.kind in ("category", "key", "text", "number", "constant")
        and 1 < facts[n].distinct <= facts[n].present / _REPEATED
        and (s.kind != "number" or facts[n].integer_share == 1)
    ]
    rows = pl.Series(good)
    codes = {n: canonical(clean(frame[n], specs[n])).rename(n).filter(rows) for n in likely}
    for size in (1, 2):
        found = []
        for names in combinations(sorted(likely, key=lambda n: facts[n].distinct)[:12], size):
            together = pl.DataFrame([codes[n] for n in names])
            clash = 1 - together.with_columns(stamp=moments).n_unique() / max(len(moments), 1)
            if clash <= _CLASH:
                numbers = sum(specs[n].kind == "number" for n in names)
                found.append((together.n_unique(), numbers, [frame.columns.index(n) for n in names], names))
        if found:
            count, _, _, names = min(found)
            return names, f"moments repeat, but hardly ever within one of the {count:,} {' and '.join(names)}"
    return (), "moments repeat, and no column tells such rows apart: rows of one moment are averaged"


def assign(
    frame: pl.DataFrame, layout: Layout, known: Sequence[str], specs: Mapping[str, ColumnSpec], facts: Facts
) -> tuple[Layout, dict[str, ColumnSpec], dict[str, str]]:
    """What every column is to the forecast: static, known ahead, known up to the cutoff, or left out.

    Args:
        frame: training rows to look at.
        layout: tells time, series and target.
        known: columns that the user says are known ahead.
        specs, facts: of all columns.

    Returns:
        the layout, the columns with `use` decided, and the reasons by dotted path.
    """
    check_names(known, frame.columns, "task.known")
    because: dict[str, str] = {}
    result = dict(specs)
    roles: dict[str, list[str]] = {"past": [], "known": [], "static": []}
    levels: dict[str, tuple[str, ...]] = {}
    steady = _steady(frame, layout, specs) if layout.ids else set()
    for name, spec in specs.items():
        path = f"data.columns.{name}"
        role = {layout.target: "it is forecast"} | {n: "it tells the time" for n in layout.time}
        role |= {n: "it tells the series apart" for n in layout.ids}
        if name in role:
            result[name] = spec.with_(use=False)
            because[f"{path}.use"] = role[name]
        elif not spec.use and name not in known:
            continue
        elif name in steady and name not in known:
            roles["static"].append(name)
            because[f"{path}.use"] = "it never changes within a series"
        elif spec.kind == "number" or (spec.kind != "category" and name in known and facts[name].number_share >= 0.95):
            roles["known" if name in known else "past"].append(name)
            result[name] = spec.with_(kind="number", use=True)
            because[f"{path}.use"] = _spoken(name in known)
        elif spec.kind == "category" and 1 < facts[name].distinct <= _MOST_LEVELS:
            roles["known" if name in known else "past"].append(name)
            result[name] = spec.with_(use=True)
            counts = canonical(clean(frame[name], spec)).drop_nulls().value_counts().sort(
                ["count", counts_name(name)], descending=[True, False]
            )  # fmt: skip
            levels[name] = tuple(counts[counts_name(name)].to_list()[:_MOST_LEVELS])
            because[f"{path}.use"] = f"{_spoken(name in known)}, one channel for each of its values"
        else:
            result[name] = spec.with_(use=False)
            because[f"{path}.use"] = f"a forecast reads numbers and categories of up to {_MOST_LEVELS} values"
    named = [*layout.time, *layout.ids, layout.target, *(n for r in roles.values() for n in r)]
    columns = {n: result[n] for n in dict.fromkeys(named)}
    filled = layout.with_(**{k: tuple(v) for k, v in roles.items()}, levels=levels, columns=columns)
    return filled, result, because


def counts_name(name: str) -> str:
    """The name of the values in what polars' value_counts gives."""
    return f"{name}_value" if name == "count" else name


def _spoken(ahead: bool) -> str:
    return "it is known for the steps to come, as asked" if ahead else "its past is read up to the cutoff"


def _steady(frame: pl.DataFrame, layout: Layout, specs: Specs) -> set[str]:
    """Columns of one value within each series."""
    others = [n for n, s in specs.items() if s.use and n not in layout.ids and s.kind in ("number", "category")]
    if not others:
        return set()
    counts = frame.group_by(list(layout.ids)).agg(pl.col(n).drop_nulls().n_unique().alias(n) for n in others)
    return {n for n in others if bool((counts[n] <= 1).all())}


def static_columns(layout: Layout, specs: Specs, series: int) -> tuple[dict[str, ColumnSpec], str]:
    """The columns that tell series apart for the network, and why: ids as categories where there are not too many."""
    chosen = {n: specs[n].with_(use=True) for n in layout.static}
    if series <= 1:
        return chosen, ""
    if series > _MOST_IDS:
        return chosen, f"{series:,} series are too many to learn each by its name; new ones are forecast as well"
    ids = {n: specs[n].with_(kind="category", options={}, use=True) for n in layout.ids}
    return {**ids, **chosen}, f"each of the {series:,} series is also known by its name"


def check_target(column: pl.Series, fact: ColumnFacts, source: str) -> None:
    """Refuse a target that holds no numbers.

    Raises:
        DataError: fewer than 95 % of its cells are numbers.
    """
    if fact.present == 0 or fact.number_share < 0.95:
        raise DataError(
            f"{column.name!r} is not numeric: {fact.number_share:.0%} of its cells read as numbers",
            where=f"{source}, column {column.name}",
            expected="a column of numbers to continue",
            fix="choose another --target",
        )


def even(stamps: np.ndarray) -> bool:
    """Whether stamps rise by one distance throughout."""
    return len(np.unique(np.diff(stamps))) <= 1
