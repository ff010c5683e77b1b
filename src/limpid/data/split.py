"""Which rows are trained on, which choose, which judge: training, validation and test parts that share nothing.

Rows that belong together (a group, copies of one row) are a unit, and a unit is never divided. Units are put in a
random order that depends on the seed and on nothing else, and within each stratum the parts are cut from that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from limpid.core.errors import DataError, RequestError
from limpid.core.seeds import generator
from limpid.core.spec import Auto, Spec

_TRAIN, _VALID, _TEST = 0, 1, 2
_PARTS = ("training", "validation", "test")
_BINS = 10
_MANY = 5_000_000
_DRAWN = 1 << 20


class SplitSpec(Spec):
    """How rows are divided into training, validation and test rows."""

    how: Auto | Literal["random", "stratified", "group", "time", "files"] = Field(
        default="auto",
        description="random, stratified (each class in equal shares), group (a group is never divided), "
        "time (the latest rows test), files (the parts that were given as files)",
    )
    valid: float = Field(default=0.15, ge=0, lt=1, description="share of rows that choose when to stop, 0 to 1")
    test: float = Field(default=0.15, ge=0, lt=1, description="share of rows that judge at the end, 0 to 1")
    group: str | None = Field(default=None, description="column whose rows of one value stay in one part")
    time: str | None = Field(default=None, description="column of dates, times or numbers that orders the rows")

    @model_validator(mode="after")
    def _leave_some(self) -> SplitSpec:
        if self.valid + self.test >= 1:
            raise ValueError("valid and test together leave no rows to train on")
        return self


@dataclass(frozen=True)
class Parts:
    """Row numbers of each part, sorted; no row is in two parts.

    Args:
        train, valid, test: int64 row numbers of the source.
        how: the way that was taken.
        notes: what a person should know of it, one sentence each.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    how: str = "random"
    notes: tuple[str, ...] = ()


def resolve(spec: SplitSpec, *, classes: bool, files: bool = False) -> tuple[SplitSpec, dict[str, str]]:
    """Decide `how` where it says "auto".

    Args:
        spec: what was asked for.
        classes: whether the target is a class.
        files: whether all parts are given as files.

    Raises:
        RequestError: where `how` asks for a column that is not named, or columns ask for different ways.

    Example:
        >>> resolve(SplitSpec(), classes=True)[0].how
        'stratified'
    """
    if spec.group is not None and spec.time is not None:
        raise RequestError(
            "the split cannot go by group and by time at once",
            where="split.group, split.time",
            expected="one of the two",
            fix="leave one out",
        )
    for way, column in (("group", spec.group), ("time", spec.time)):
        if spec.how == way and column is None:
            raise RequestError(
                f"a split by {way} needs a column",
                where="split.how",
                expected=f"split.{way} names a column",
                fix=f"add --set split.{way}=COLUMN",
            )
        if column is not None and spec.how not in ("auto", way):
            raise RequestError(
                f"split.how is {spec.how!r} and split.{way} names the column {column!r}",
                where="split.how",
                expected=f"{way!r}, or split.{way} left out",
                fix=f"leave out one of split.how and split.{way}",
            )
    if spec.how != "auto":
        return spec, {}
    if files:
        how, because = "files", "each part was given as a file"
    elif spec.group is not None:
        how, because = "group", f"rows of one {spec.group} belong together"
    elif spec.time is not None:
        how, because = "time", f"{spec.time} orders the rows, so the latest ones test"
    elif classes:
        how, because = "stratified", "each part gets its share of every class"
    else:
        how, because = "random", "no group, time or class asks for another way"
    return spec.with_(how=how), {"how": because}


def split(
    spec: SplitSpec,
    rows: int,
    seed: int,
    *,
    target: np.ndarray | None = None,
    group: pl.Series | None = None,
    time: pl.Series | None = None,
    together: np.ndarray | None = None,
) -> Parts:
    """Divide `rows` rows.

    Args:
        spec: the shares and the way; "auto" is decided as `resolve` does, by what is given.
        rows: how many rows there are.
        seed: the run's seed.
        target: a label for each row (numbers are cut into ten strata); needed to stratify.
        group: the group of each row; a row without one stands alone.
        time: when each row is from, dates, times or numbers; a row without one is trained on.
        together: an id for each row; rows of one id are copies of each other and stay in one part, -1 stands alone.

    Raises:
        DataError: where there are too few rows or groups for the parts, or the time column is text.
        RequestError: where the way needs what was not given.

    Example:
        >>> parts = split(SplitSpec(), 100, seed=0)
        >>> len(parts.train), len(parts.valid), len(parts.test)
        (70, 15, 15)
    """
    for name, values in (("target", target), ("group", group), ("time", time), ("together", together)):
        assert values is None or len(values) == rows, f"{name} has {len(values)} values for {rows} rows"
    classes = target is not None and np.asarray(target).dtype.kind != "f"
    spec, _ = resolve(spec, classes=classes)
    _need(rows, 1 + (spec.valid > 0) + (spec.test > 0), "row")
    notes: list[str] = []
    if spec.how == "time":
        assert time is not None, "a split by time needs the time of each row"
        part = _by_time(spec, time, together, notes)
    elif rows > _MANY and together is None and spec.how in ("random", "stratified"):
        part = _by_chance(spec, rows, seed)
    else:
        units = _units(rows, group if spec.how == "group" else None, together, notes)
        strata = np.zeros(rows, dtype=np.int64)
        if spec.how == "stratified":
            assert target is not None, "a stratified split needs the target"
            strata = _strata(np.asarray(target))
        part = _by_units(spec, units, strata, seed, notes)
        if spec.how == "stratified":
            _say_tiny(strata, part, notes)
    train, valid, test = (np.flatnonzero(part == k).astype(np.int64) for k in (_TRAIN, _VALID, _TEST))
    return Parts(train, valid, test, str(spec.how), tuple(notes))


def split_files(spec: SplitSpec, rows: int, seed: int, *, valid_given: bool, test_given: bool, **columns: Any) -> Parts:
    """Divide the training file where other parts are files of their own.

    A part that was given is empty here: it is all rows of its own file. The share of the other is cut from the
    training file.

    Args:
        spec: the shares and the way.
        rows: rows of the training file.
        seed: the run's seed.
        valid_given, test_given: whether that part is a file.
        columns: target, group, time, together, as `split` takes them.

    Example:
        >>> parts = split_files(SplitSpec(), 100, 0, valid_given=False, test_given=True)
        >>> len(parts.train), len(parts.valid), len(parts.test)
        (85, 15, 0)
    """
    if valid_given and test_given:
        return Parts(np.arange(rows, dtype=np.int64), _none(), _none(), "files")
    changes: dict[str, Any] = {"valid": 0.0} if valid_given else {}
    if test_given:
        changes["test"] = 0.0
    if spec.how == "files":
        changes["how"] = "auto"
    return split(spec.with_(**changes), rows, seed, **columns)


def _none() -> np.ndarray:
    return np.empty(0, dtype=np.int64)


def _need(there: int, needed: int, word: str) -> None:
    if there < needed:
        raise DataError(
            f"there {'is' if there == 1 else 'are'} {there} {word}{'s' * (there != 1)}, too few for {needed} parts",
            where="split",
            expected=f"at least {needed} {word}s",
            fix="bring more data, or set split.valid or split.test to 0"
            if word == "row"
            else "name another column, or set split.test to 0",
        )


def _strata(target: np.ndarray) -> np.ndarray:
    """A code for each row's class; numbers fall into ten bins of equal size."""
    if target.ndim > 1:
        target = np.unique(target, axis=0, return_inverse=True)[1].reshape(-1)
    if target.dtype.kind == "f":
        order = np.argsort(target, kind="stable")
        distinct = np.unique(target, return_inverse=True)[1]
        first = np.full(distinct.max() + 1, len(target))
        np.minimum.at(first, distinct[order], np.arange(len(target)))
        return (first[distinct] * _BINS // len(target)).astype(np.int64)  # equal numbers share a bin
    if target.dtype.kind == "O":
        target = np.array([str(t) for t in target])
    return np.unique(target, return_inverse=True)[1].astype(np.int64)


def _units(rows: int, group: pl.Series | None, together: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """The unit of each row, 0..U-1, the finest that divides neither a group nor a set of copies."""
    ids = []
    if group is not None:
        alone = group.is_null().to_numpy()
        codes = np.unique(group.rank("dense").fill_null(0).to_numpy(), return_inverse=True)[1].astype(np.int64)
        ids.append(_alone(codes, alone))
        if alone.any():
            notes.append(f"{int(alone.sum()):,} rows have no group and stand alone")
    if together is not None:
        codes = np.asarray(together, dtype=np.int64)
        ids.append(_alone(codes, codes < 0))
    if not ids:
        return np.arange(rows)
    units = np.unique(ids[0], return_inverse=True)[1].astype(np.int64)
    if len(ids) == 1:
        return units
    copies = np.unique(ids[1], return_inverse=True)[1].astype(np.int64)
    while True:  # spread the smallest code through both kinds of neighbours until nothing changes
        before = units
        for codes in (copies, np.unique(ids[0], return_inverse=True)[1]):
            smallest = np.full(codes.max() + 1, rows, dtype=np.int64)
            np.minimum.at(smallest, codes, units)
            units = smallest[codes]
        if np.array_equal(before, units):
            return np.unique(units, return_inverse=True)[1].astype(np.int64)


def _alone(codes: np.ndarray, alone: np.ndarray) -> np.ndarray:
    start = int(codes.max(initial=0)) + 1
    return np.where(alone, start + np.arange(len(codes)), codes)


def _by_chance(spec: SplitSpec, rows: int, seed: int) -> np.ndarray:
    """The part of each of very many rows that all stand alone, drawn by itself, in little memory.

    The shares of parts, and of each class in them, are met to within chance, which is below a thousandth here.
    """
    part = np.zeros(rows, dtype=np.int8)
    random = generator(seed, "split by chance")
    for start in range(0, rows, _DRAWN):
        u = random.random(min(_DRAWN, rows - start))
        some = part[start : start + len(u)]
        some[u < spec.test + spec.valid] = _VALID
        some[u < spec.test] = _TEST
    return part


def _by_units(spec: SplitSpec, units: np.ndarray, strata: np.ndarray, seed: int, notes: list[str]) -> np.ndarray:
    """The part of each row."""
    count = int(units.max()) + 1
    sizes = np.bincount(units, minlength=count)
    first = np.full(count, len(units), dtype=np.int64)
    np.minimum.at(first, units, np.arange(len(units)))
    shares = {k: s for k, s in ((_VALID, spec.valid), (_TEST, spec.test)) if s > 0}
    _need(count, 1 + len(shares), "group" if spec.how == "group" else "different row")
    random = generator(seed, "split").random(count)
    part = np.zeros(count, dtype=np.int8)
    goals = {k: max(1, round(len(units) * s)) for k, s in shares.items()}
    large = sizes > max(1, min(goals.values(), default=len(units)) // 2)
    if large.any() and sizes[~large].sum() >= 1.5 * sum(goals.values()):
        notes.append(f"{int(large.sum())} groups too large for the other parts are trained on")
        rest = np.flatnonzero(~large)
    elif large.any():
        _fill(part, sizes, random, goals, len(units))
        return np.asarray(part[units])
    else:
        rest = np.arange(count)
    part[rest] = _cut(strata[first[rest]], sizes[rest], random[rest], goals, int(sizes[rest].sum()))
    _none_empty(part, sizes, random, list(shares))
    return np.asarray(part[units])


def _cut(stratum: np.ndarray, sizes: np.ndarray, random: np.ndarray, goals: dict[int, int], rows: int) -> np.ndarray:
    """Cut each stratum's random order into parts; over all strata the goals are met but for one unit."""
    order = np.lexsort((random, stratum))
    stratum, sizes = stratum[order], sizes[order]
    codes = np.unique(stratum, return_inverse=True)[1]
    totals = np.bincount(codes, weights=sizes)
    begins = np.concatenate([[0], np.cumsum(totals)[:-1]])
    middle = np.cumsum(sizes) - sizes / 2 - begins[codes]
    part = np.zeros(len(order), dtype=np.int8)
    # Quotas are differences of rounded running sums, so that they add up; a stratum keeps a row to train on.
    ends = np.cumsum(totals)
    quota = {k: np.diff(np.rint(ends * g / rows), prepend=0) for k, g in goals.items()}
    left = np.maximum(totals - 1, 0)
    low = np.zeros(len(totals))
    for k in sorted(goals, reverse=True):
        high = np.minimum(low + quota[k], left)
        part[(middle >= low[codes]) & (middle < high[codes])] = k
        low = high
    result = np.empty_like(part)
    result[order] = part
    return result


def _fill(part: np.ndarray, sizes: np.ndarray, random: np.ndarray, goals: dict[int, int], rows: int) -> None:
    """Few large units: each goes where most is still wanted, the largest first."""
    wanted = {_TRAIN: rows - sum(goals.values()), **goals}
    for unit in np.lexsort((random, -sizes)).tolist():
        best = max(wanted, key=lambda k: (wanted[k], -k))
        part[unit] = best
        wanted[best] -= int(sizes[unit])
    _none_empty(part, sizes, random, list(goals))


def _none_empty(part: np.ndarray, sizes: np.ndarray, random: np.ndarray, needed: list[int]) -> None:
    """Give an empty part the smallest unit of the part that has most of them."""
    for k in [_TRAIN, *needed]:
        if (part == k).any():
            continue
        richest = int(np.argmax(np.bincount(part, minlength=3)))
        candidates = np.flatnonzero(part == richest)
        part[candidates[np.lexsort((random[candidates], sizes[candidates]))[0]]] = k


def _by_time(spec: SplitSpec, time: pl.Series, together: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """The latest rows test, those before them validate; rows of one moment stay together."""
    if not (time.dtype.is_numeric() or time.dtype.is_temporal()):
        raise DataError(
            f"the time column {time.name!r} is text",
            where=f"split.time, column {time.name!r}",
            expected="dates, times or numbers",
            fix=f"say what it is: --set data.columns.{time.name}=date, or name another column",
        )
    known = ~time.is_null().to_numpy()
    if time.dtype.is_float():
        known &= ~time.is_nan().fill_null(True).to_numpy()
    moments, code = np.unique(time.filter(pl.Series(known)).to_physical().to_numpy(), return_inverse=True)
    if not known.all():
        notes.append(f"{int((~known).sum()):,} rows have no time and are trained on")
    parts = [k for k, s in ((_VALID, spec.valid), (_TEST, spec.test)) if s > 0]
    _need(len(moments), 1 + len(parts), "different moment")
    ends = np.cumsum(np.bincount(code))  # rows up to and with each moment
    rows = int(known.sum())
    goals = {_TEST: spec.test * rows, _VALID: spec.valid * rows}
    label = np.zeros(len(moments), dtype=np.int8)
    stop = len(moments)
    for number, k in enumerate(sorted(parts, reverse=True)):
        still = len(parts) - number - 1  # parts that need a moment of their own, besides training
        goal = (ends[stop - 1] if stop else 0) - goals[k]
        start = int(np.argmin(np.abs(np.concatenate([[0], ends[: stop - 1]]) - goal)))
        start = min(max(start, 1 + still), stop - 1)
        label[start:stop] = k
        stop = start
    part = np.zeros(len(time), dtype=np.int8)
    part[known] = label[code]
    if together is not None:
        _join_copies(part, np.asarray(together, dtype=np.int64), notes)
    return part


def _join_copies(part: np.ndarray, together: np.ndarray, notes: list[str]) -> None:
    """A copy of a row that is trained on is trained on too, however late it is; likewise for validation."""
    members = np.flatnonzero(together >= 0)
    if not len(members):
        return
    code = np.unique(together[members], return_inverse=True)[1]
    earliest = np.full(code.max() + 1, _TEST, dtype=np.int8)
    np.minimum.at(earliest, code, part[members])
    moved = part[members] != earliest[code]
    part[members] = earliest[code]
    if moved.any():
        notes.append(f"{int(moved.sum()):,} later copies of rows went to the part of the earliest")


def _say_tiny(strata: np.ndarray, part: np.ndarray, notes: list[str]) -> None:
    totals = np.bincount(strata)
    single = int((totals == 1).sum())
    if single:
        notes.append(f"{single} classes have a single row, which is trained on")
    for k in (_VALID, _TEST):
        if (part == k).any():
            there = np.bincount(strata[part == k], minlength=len(totals)) > 0
            missing = int((~there & (totals > 1)).sum())
            if missing:
                notes.append(f"{missing} classes are too small to be in the {_PARTS[k]} part")
