"""What gives a forecast away: columns that hold the values to come, series that are copies, stamps that stand twice.

A column is compared with the target by changes from step to step, at every shift up to the horizon. A column that is
known ahead must not hold the target of a step to come; one that is known up to the cutoff must not hold a later one.
Columns that follow the target some steps behind are what covariates are for.

Legend of shapes: S series, G steps of all series one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing.findings import Finding, Level
from limpid.data.timelines import Book

Array = npt.NDArray[Any]

_COPY, _NEARLY, _NEAR = 0.9999, 0.99, 0.9  # squared correlation of the changes
_FEWEST = 30  # changes that both columns have
_MOST_SHIFTS = 48
_MOST_STEPS = 200_000
_LEAST_LENGTH = 10


@dataclass(frozen=True)
class Follows:
    """How a column goes with the target.

    Args:
        column: its name.
        shift: it holds the target of so many steps before; negative for steps to come.
        squared: squared correlation of both changes.
        known: whether it is known ahead.
    """

    column: str
    shift: int
    squared: float
    known: bool


def follows(book: Book, horizon: int, season: int) -> list[Follows]:
    """The shift at which each covariate goes best with the target; of equal ones the most harmless.

    Args:
        book: the series.
        horizon: steps ahead.
        season: steps in a season, by which series are like themselves.
    """
    layout = book.layout
    past, known = layout.channels(layout.past), layout.channels(layout.known)
    if not past and not known:
        return []
    steps = min(len(book.values), _MOST_STEPS)
    values, codes = book.values[-steps:], book.series[-steps:]
    change = np.full(values.shape, np.nan)
    same = codes[1:] == codes[:-1]
    change[1:][same] = np.diff(values, axis=0)[same]
    reach = min(horizon, _MOST_SHIFTS)
    # From the harmless end: values of long ago come first, those to come last.
    shifts = sorted({*range(-reach, reach + 1), season, 2 * season}, reverse=True)
    found = []
    for place, name in enumerate([*past, *known], start=1):
        best = Follows(name, 0, 0.0, place > len(past))
        for shift in shifts:
            squared = _squared(change[:, place], change[:, 0], codes, shift)
            if squared > best.squared + 1e-9:
                best = Follows(name, shift, squared, place > len(past))
        found.append(best)
    return found


def _squared(column: Array, target: Array, codes: Array, shift: int) -> float:
    """Squared correlation of a column with the target so many steps before; 0 where little is known."""
    count = len(target) - abs(shift)
    if count < _FEWEST:
        return 0.0
    late, early = slice(abs(shift), None), slice(0, count)
    here, there = (late, early) if shift >= 0 else (early, late)
    a, b = column[here], target[there]
    good = np.isfinite(a) & np.isfinite(b) & (codes[here] == codes[there])
    if good.sum() < _FEWEST:
        return 0.0
    a, b = a[good] - a[good].mean(), b[good] - b[good].mean()
    power = float((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) ** 2 / power if power > 0 else 0.0


def copies(book: Book) -> list[tuple[str, ...]]:
    """Series with the same values in the same order, wherever they begin; constant and short ones aside."""
    ids = book.layout.ids
    if not ids:
        return []
    names = [" ".join(map(str, row)) for row in book.names.select(ids).rows()]
    groups: dict[str, list[str]] = {}
    for code, name in enumerate(names):
        values = book.values[book.starts[code] : book.starts[code + 1], 0]
        known = values[np.isfinite(values)]
        if len(known) < _LEAST_LENGTH or known.min() == known.max():
            continue
        groups.setdefault(sha256(np.ascontiguousarray(known).tobytes()).hexdigest(), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def findings_of(book: Book, horizon: int, season: int, shared: int) -> list[Finding]:
    """What the series give away.

    Args:
        book: of DATA.
        horizon: steps ahead.
        season: steps in a season.
        shared: rows that share a step with another of their series.
    """
    found = [f for each in follows(book, horizon, season) if (f := _finding(each, horizon)) is not None]
    if same := copies(book):
        of = sum(len(group) for group in same)
        told = "; ".join(", ".join(group[:4]) for group in same[:3])
        found.append(
            Finding(
                "leaks",
                "look",
                f"{of:,} of {len(book.names):,} series are copies of one another",
                f"the same values in the same order: {told}",
                "keep one of each: copies say nothing new, and one that runs ahead of another tells how it goes on",
            )
        )
    if shared:
        found.append(
            Finding(
                "leaks",
                "look",
                f"{shared:,} rows have the time of another row of their series",
                f"such rows were averaged, on steps of {book.frequency}",
                "if they are series of their own, name the column that tells them apart: --set task.id=COLUMN",
            )
        )
    if not found:
        layout = book.layout
        looked = f"{len(layout.past)} columns known up to the cutoff, {len(layout.known)} known ahead"
        evidence = f"{looked}, {len(book.first):,} series"
        return [Finding("leaks", "ok", "no column and no series gives the values to come away", evidence)]
    return found


def _finding(each: Follows, horizon: int) -> Finding | None:
    places = {0: "of the same step", 1: "of the step before", -1: "of the next step"}
    ahead = f"{-each.shift} steps later" if each.shift < 0 else f"{each.shift} steps before"
    where = f"the target {places.get(each.shift, ahead)}"
    evidence = f"squared correlation of the changes from step to step {each.squared:.4f}"
    # What is known ahead reaches to the last step; the target before the cutoff is known to it as well.
    early = each.shift < horizon if each.known else each.shift < 0
    if not early or each.squared < _NEAR or (each.squared < _COPY and not each.known):
        return None
    level: Level = "fault" if each.squared >= _COPY else "warning" if each.squared >= _NEARLY else "look"
    role = "known ahead" if each.known else "known up to the cutoff"
    says = "is" if level == "fault" else "nearly tells"
    return Finding(
        "leaks",
        level,
        f"column {each.column}, {role}, {says} {where}",
        evidence,
        f"ask whether {each.column} is really known then; if not, leave it out"
        + (" of task.known" if each.known else f": --set data.columns.{each.column}.use=false"),
    )
