"""What do the data look like? One JSON record that the plan, the terminal, the report and the inspection page read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.core.seeds import generator
from limpid.data.association import correlation_ratio, cramers_v, pairs, pearson, pool
from limpid.data.leaks import Leak, duplicates_across, find_leaks
from limpid.data.views import View, view

MAX_ROWS = 200_000
"""Larger tables are profiled on a random sample of this many rows, and the record says so."""

MAX_COLUMNS = 2_000
"""Columns beyond this many are listed by name and kind alone."""

PAIR_ROWS = 20_000
PAIR_COLUMNS = 120
BINS = 24
NEAR_CONSTANT = 0.99
LEVELS_SHOWN = 20
CLASSES_SHOWN = 50
VALUE_CHARACTERS = 120
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def profile(
    frame: pl.DataFrame,
    columns: Mapping[str, ColumnSpec],
    facts: Mapping[str, ColumnFacts],
    target: Sequence[str],
    *,
    because: Mapping[str, str] | None = None,
    parts: npt.NDArray[Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Count, measure and check a table.

    Args:
        frame: the cells as the source gives them, N rows in the order of the source.
        columns: kind, missing codes and options of each column.
        facts: what was counted in each column.
        target: names of the target columns, possibly none.
        because: the evidence for each column's kind, by its name or by its path in the plan ("data.columns.NAME").
        parts: (N,) the part of each row ("train", "valid", "test"); then everything is measured on training rows, and
            the others are only compared with them for duplicates.
        seed: of samples.

    Returns:
        JSON with the keys rows, part, sampled_rows, notes, columns, correlations, target, duplicates, leaks.

    Example:
        >>> frame = pl.DataFrame({"x": [1.0, 2.0, 3.0]})
        >>> spec, facts = {"x": ColumnSpec(kind="number")}, {"x": ColumnFacts("x", 3, 0, {}, 3, "float")}
        >>> profile(frame, spec, facts, [])["rows"]
        3
    """
    notes: list[str] = []
    across: list[Leak] = []
    if parts is not None:
        readable = [n for n in frame.columns if n in columns and columns[n].kind not in ("key", "constant")]
        across = duplicates_across(frame.select(readable), parts, target)
        frame = frame.filter(pl.Series(np.asarray(parts).astype(str) == "train"))
    rows = frame.height
    if rows > MAX_ROWS:
        pick = np.sort(generator(seed, "profile").choice(rows, MAX_ROWS, replace=False))
        frame = frame[pick]
        notes.append(f"counts and figures are of a random sample of {MAX_ROWS:,} of {rows:,} rows")
    names = [name for name in frame.columns if name in columns]
    files = {n for n in names if n in facts and facts[n].cells}  # whole files say nothing as values
    shown = [*[n for n in names if n in target], *[n for n in names if n not in target and n not in files]][
        :MAX_COLUMNS
    ]
    if len(names) - len(files) > len(shown):
        notes.append(f"{len(names) - len(shown):,} of {len(names):,} columns are listed by name and kind alone")
    views = {n: view(frame.get_column(n), columns[n], facts.get(n)) for n in shown}
    chosen = [views[n] for n in target if n in views]
    reasons = {n: (because or {}).get(f"data.columns.{n}", (because or {}).get(n, "")) for n in names}
    described = [
        {**_describe(views[n], columns[n], facts.get(n)), "evidence": reasons[n]}
        if n in views
        else {"name": n, "kind": columns[n].kind, "use": columns[n].use, "evidence": reasons[n]}
        for n in names
    ]
    correlations, compared = _correlations(views, chosen, seed)
    if compared < len([v for v in views.values() if _comparable(v)]):
        notes.append(f"correlations are among {compared} columns, the targets and those most related to them first")
    _relate(described, views, chosen, seed)
    leaks = list(across)
    inputs = [v for v in views.values() if v.name not in target]
    for answer in chosen[:5]:
        leaks += find_leaks(inputs, answer, seed=seed)
    return {
        "rows": rows,
        "part": "train" if parts is not None else None,
        "sampled_rows": frame.height if frame.height < rows else None,
        "notes": notes,
        "columns": described,
        "correlations": correlations,
        "target": {"names": list(target), "columns": [_target(v) for v in chosen]},
        "duplicates": _duplicates(frame.select(names), columns, target),
        "leaks": [leak.as_dict() for leak in leaks],
    }


def _describe(column: View, spec: ColumnSpec, facts: ColumnFacts | None) -> dict[str, Any]:
    missing = int(column.missing.sum())
    rows = len(column.missing)
    result: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "use": spec.use,
        "dtype": facts.dtype if facts is not None else "",
        "missing": missing,
        "missing_share": missing / rows if rows else 0.0,
        "missing_codes": {_cut(k): int(v) for k, v in facts.missing_codes.items()} if facts is not None else {},
        "unreadable": column.bad,
        "examples": [_cut(e) for e in facts.examples] if facts is not None else [],
    }
    if column.numbers is not None:
        known = column.numbers[~np.isnan(column.numbers)]
        values, counts = np.unique(known, return_counts=True)
        common = int(counts.max(initial=0))
        result |= {"distinct": len(values)} | _numbers(known, column.kind)
    else:
        assert column.codes is not None
        counts = np.bincount(column.codes[column.codes >= 0])
        common = int(counts.max(initial=0))
        shown = min(LEVELS_SHOWN, len(counts), len(column.levels))
        result |= {
            "distinct": int((counts > 0).sum()),
            "top": [[_cut(column.levels[i]), int(counts[i])] for i in range(shown)],
            "others": int(counts[shown:].sum()) if shown else 0,
        }
    present = rows - missing
    result["near_constant"] = bool(present and common / present >= NEAR_CONSTANT and common < present)
    result["most_common_share"] = common / present if present else 0.0
    return result


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"


def _numbers(known: npt.NDArray[np.float64], kind: str) -> dict[str, Any]:
    """Moments, quantiles, outliers and a histogram of the cells that are not missing."""
    if known.size == 0:
        return {"histogram": None, "outliers": 0}
    ordered = np.sort(known)
    part = _part(ordered)
    quantiles = np.quantile(ordered * part, QUANTILES) / part
    low, high = _fences(quantiles)
    histogram = _histogram(ordered, quantiles)
    mean = float(np.mean(known / known.size, dtype=np.longdouble) * known.size)
    scale = max(float(np.abs(known).max()), 1e-300)
    shape = {
        "mean": _finite(mean),
        "std": _finite(float(np.std(known / scale)) * scale),
        "outliers": int((ordered < low).sum() + (ordered > high).sum()) if kind == "number" else 0,
    }
    if kind == "date":
        spread = float(ordered[-1] - ordered[0])
        histogram["edges"] = [_date(e, spread) for e in histogram["edges"]]
        return {
            "histogram": histogram,
            "min": _date(quantiles[0], 0.0),
            "max": _date(quantiles[-1], 0.0),
            "quantiles": {f"{q:g}": _date(v, 0.0) for q, v in zip(QUANTILES, quantiles, strict=True)},
            "outliers": 0,
        }
    return {
        "histogram": histogram,
        "min": float(quantiles[0]),
        "max": float(quantiles[-1]),
        "quantiles": {f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
        **shape,
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _part(ordered: npt.NDArray[np.float64]) -> float:
    """A factor for numbers so large that differences and steps between them would overflow."""
    return 0.25 if max(-ordered[0], ordered[-1]) > 1e300 else 1.0


def _fences(quantiles: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Beyond three interquartile ranges from the middle half a number counts as an outlier (Tukey's outer fences)."""
    lower, upper = quantiles[3], quantiles[5]
    if upper <= lower:  # more than half of the cells are one value: judge by the tails instead
        lower, upper = quantiles[2], quantiles[6]
    if upper <= lower:
        return -np.inf, np.inf
    with np.errstate(over="ignore"):
        return float(lower - 3 * (upper - lower)), float(upper + 3 * (upper - lower))


def _histogram(ordered: npt.NDArray[np.float64], quantiles: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Equal bins; a few far values do not squeeze the rest into one bin but are counted as below and above."""
    low, high = float(quantiles[0]), float(quantiles[-1])
    with np.errstate(over="ignore"):
        core = float(quantiles[7] - quantiles[1])
        reach = high - low
    if core > 0 and reach > 4 * core:
        low, high = max(low, float(quantiles[1]) - core / 2), min(high, float(quantiles[7]) + core / 2)
    below, above = (
        int(np.searchsorted(ordered, low, "left")),
        len(ordered) - int(np.searchsorted(ordered, high, "right")),
    )
    inner = ordered[below : len(ordered) - above]
    if high <= low or not np.isfinite(high - low):
        return {"edges": [low, high], "counts": [len(inner)], "below": below, "above": above}
    whole = bool(np.all(inner == np.floor(inner))) and high - low < 2**31
    if whole and high - low < BINS:
        edges = np.arange(low, high + 2)  # one bin for each whole number
    elif whole:
        values = int(high - low) + 1
        least = -(-values // BINS)
        step = min(range(least, 2 * least + 1), key=lambda s: (-values % s) / s)  # the last bin as full as can be
        edges = low + np.arange(-(-values // step) + 1) * float(step)
    else:
        part = _part(ordered)
        edges = np.linspace(low * part, high * part, BINS + 1) / part
    places = np.searchsorted(inner, edges[1:-1], "left")
    counts = np.diff(np.concatenate([[0], places, [len(inner)]]))
    return {"edges": [float(e) for e in edges], "counts": [int(c) for c in counts], "below": below, "above": above}


def _date(days: float, spread: float) -> str:
    """Days since 1970 as an ISO date, with the time of day where the whole spread is short."""
    moment = np.datetime64(int(days * 86_400), "s")
    return str(moment)[: 16 if 0 < spread < 10 else 10]


def _comparable(column: View) -> bool:
    return column.kind in ("number", "date") or (column.kind == "category" and len(column.levels) > 1)


def _sample(rows: int, seed: int) -> npt.NDArray[np.int64] | None:
    if rows <= PAIR_ROWS:
        return None
    return np.sort(generator(seed, "profile", "pairs").choice(rows, PAIR_ROWS, replace=False)).astype(np.int64)


def _correlations(views: Mapping[str, View], target: Sequence[View], seed: int) -> tuple[list[dict[str, Any]], int]:
    """The strongest pairs, and how many columns were compared."""
    usable = [v for v in views.values() if _comparable(v)]
    if len(usable) < 2:
        return [], len(usable)
    pick = _sample(len(usable[0].missing), seed)
    names = {v.name for v in target}
    usable.sort(key=lambda v: v.name not in names)
    if len(usable) > PAIR_COLUMNS:
        quick = _sample(len(usable[0].missing), seed) if pick is not None else None
        first = [v for v in usable if v.name in names]
        rest = [v for v in usable if v.name not in names]
        if first:
            rest.sort(key=lambda v: -abs(_association(_some(v, quick), _some(first[0], quick))[1]))
        usable = [*first, *rest][:PAIR_COLUMNS]
    sampled = [_some(v, pick) for v in usable]
    found = pairs(
        {v.name: v.numbers for v in sampled if v.numbers is not None},
        {v.name: v.codes for v in sampled if v.codes is not None},
    )
    return [{**p, "value": round(p["value"], 4)} for p in found if abs(p["value"]) >= 0.02], len(usable)


def _some(column: View, pick: npt.NDArray[np.int64] | None) -> View:
    return column if pick is None else column.take(pick)


def _association(column: View, target: View) -> tuple[str, float]:
    """The fitting measure between a column and the target; ("", 0) where there is none."""
    if not (_comparable(column) and _comparable(target)):
        return "", 0.0
    if column.numbers is not None and target.numbers is not None:
        return "pearson", pearson(column.numbers, target.numbers)
    if column.codes is not None and target.codes is not None:
        return "cramers_v", cramers_v(pool(column.codes), pool(target.codes))
    if column.codes is not None and target.numbers is not None:
        return "eta", correlation_ratio(pool(column.codes), target.numbers)
    assert column.numbers is not None and target.codes is not None
    return "eta", correlation_ratio(pool(target.codes), column.numbers)


def _relate(described: list[dict[str, Any]], views: Mapping[str, View], target: Sequence[View], seed: int) -> None:
    """Write into each column how strongly it goes with the first target."""
    if not target:
        return
    pick = _sample(len(target[0].missing), seed)
    answer = _some(target[0], pick)
    for record in described:
        column = views.get(record["name"])
        if column is None or column.name in {v.name for v in target}:
            continue
        measure, value = _association(_some(column, pick), answer)
        if measure:
            record["association"] = {"measure": measure, "value": round(value, 4)}


def _target(column: View) -> dict[str, Any]:
    """Class balance or histogram of one target."""
    result: dict[str, Any] = {"name": column.name, "kind": column.kind, "missing": int(column.missing.sum())}
    if column.numbers is not None:
        return result | _numbers(column.numbers[~np.isnan(column.numbers)], column.kind)
    assert column.codes is not None
    counts = np.bincount(column.codes[column.codes >= 0])
    total = max(int(counts.sum()), 1)
    classes = counts[counts > 0]
    return result | {
        "classes": len(classes),
        "balance": [
            {"value": _cut(column.levels[i]), "count": int(counts[i]), "share": int(counts[i]) / total}
            for i in range(min(CLASSES_SHOWN, len(counts)))
        ],
        "others": int(counts[CLASSES_SHOWN:].sum()),
        "imbalance": float(classes.max() / classes.min()) if len(classes) else None,
    }


def _duplicates(frame: pl.DataFrame, columns: Mapping[str, ColumnSpec], target: Sequence[str]) -> dict[str, Any]:
    """Rows that repeat another one in everything but keys, and rows with equal inputs but different targets."""
    names = [n for n in frame.columns if columns[n].kind not in ("key", "constant") or n in target]
    inputs = [n for n in names if n not in target]
    if frame.height == 0 or not names:
        return {"rows": 0, "share": 0.0, "contradictions": 0}
    whole = frame.select(names).hash_rows(seed=0)
    repeated = frame.height - whole.n_unique()
    contradicting = 0
    if target and inputs:
        marks = pl.DataFrame({"inputs": frame.select(inputs).hash_rows(seed=0), "whole": whole})
        groups = marks.group_by("inputs").agg(pl.col("whole").n_unique().alias("answers"), pl.len().alias("rows"))
        contradicting = int(groups.filter(pl.col("answers") > 1).get_column("rows").sum())
    return {"rows": repeated, "share": repeated / frame.height, "contradictions": contradicting}
