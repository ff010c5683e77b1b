"""How the cells of a column of whole files are read: several at a time, each to a content, a mending or a reason."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from limpid.core.repairs import Repairs

_TOGETHER = 8  # cells that a thread reads in one go
_AT_ONCE = 64  # such groups that wait for threads, which bounds what is held
_MOST_THREADS = 8
_SMALL = 1 << 13  # bytes of a cell on average

LARGE = threading.Lock()
"""Held while a cell is read that needs much memory, so that only one such cell is in memory at a time."""


class Unreadable(Exception):
    """A cell that cannot be read; its text is the reason, as a clause ("the file is empty")."""


@dataclass(frozen=True)
class Mended:
    """What was changed to read a cell.

    Args:
        what: in the past tense, as a person would count it ("animated, the first picture taken").
        example: the case at hand ("12 pictures").
    """

    what: str
    example: str = ""


def read_cells(
    column: pl.Series, read: Callable[[int, bytes], Sequence[Mended]], name: str, repairs: Repairs
) -> list[int]:
    """Read every cell that is there; what cannot be read is rejected with its reason.

    Args:
        column: Binary; null where a cell is missing. Cells of any other type are rejected.
        read: called with position and bytes of a cell, in several threads; keeps the content itself.
        name: the column's name, for the tally.
        repairs: tally of what was mended and rejected.

    Returns:
        positions of the cells that were read, rising.
    """
    done: list[int] = []

    def attempt(place: int, cell: object) -> Sequence[Mended] | str:
        if not isinstance(cell, bytes):
            return "the cell holds no file"
        try:
            return read(place, cell)
        except Unreadable as reason:
            return str(reason)

    def attempt_some(places: Sequence[int]) -> list[Sequence[Mended] | str]:
        return [attempt(place, column[place]) for place in places]

    there = np.flatnonzero(column.is_not_null().to_numpy()).tolist()
    with _quiet(), _mapper(column) as run:
        for start in range(0, len(there), _AT_ONCE * _TOGETHER):
            some = there[start : start + _AT_ONCE * _TOGETHER]
            groups = [some[n : n + _TOGETHER] for n in range(0, len(some), _TOGETHER)]
            for group, results in zip(groups, run(attempt_some, groups), strict=True):
                for place, found in zip(group, results, strict=True):
                    if isinstance(found, str):
                        repairs.reject(place, f"{name}: {found}")
                        continue
                    done.append(place)
                    for mended in found:
                        repairs.add(name, mended.what, 1, mended.example)
    return done


Work = Callable[[Sequence[int]], list[Sequence[Mended] | str]]


@contextmanager
def _mapper(column: pl.Series) -> Iterator[Callable[[Work, Sequence[Sequence[int]]], Iterator[Any]]]:
    """A `map`: in threads where the cells are large enough, since decoders release the interpreter's lock.

    Around the decoding of a small cell so much is done under the lock that two threads take longer than one.
    """
    threads = min(processors(), _MOST_THREADS)
    if threads == 1 or len(column) < 2 or column.estimated_size() < _SMALL * len(column):
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Depth:
    """How many readers are at work, and what the warnings' filters were before the first of them."""

    lock = threading.Lock()
    readers = 0
    filters = warnings.catch_warnings()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's own warnings: all that they tell of is counted or rejected by us.

    Filters belong to the process, so of several readers at the same time the first one sets them and the last one puts
    them back; those of other modules are left alone.
    """
    with _Depth.lock:
        if _Depth.readers == 0:
            _Depth.filters = warnings.catch_warnings()
            _Depth.filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _Depth.readers += 1
    try:
        yield
    finally:
        with _Depth.lock:
            _Depth.readers -= 1
            if _Depth.readers == 0:
                _Depth.filters.__exit__(None, None, None)
