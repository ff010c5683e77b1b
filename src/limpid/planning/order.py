"""Does the order in time matter for this target, so that the future must be held out?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.data.cleaning import clean, parse_dates

_BLOCKS = 20
_SORTED = 0.99
_SHARE = 0.05
_TIMES_CHANCE = 10.0


def find_time(
    frame: pl.DataFrame, specs: Mapping[str, ColumnSpec], facts: Mapping[str, ColumnFacts], target: np.ndarray
) -> tuple[str, str] | None:
    """A date column along which the file is sorted and the target drifts, with the evidence.

    The target's variance between 20 blocks of time is compared with what the blocks would show by chance
    (eta squared of a one-way analysis of variance); a table whose rows were shuffled is taken as exchangeable.

    Args:
        frame: rows in their order in the file.
        specs, facts: of all columns.
        target: (N,) the target as numbers (class codes for a category).

    Returns:
        (column, reason), or None where the order does not matter.
    """
    rows = len(target)
    if rows < 20 * _BLOCKS:
        return None
    for name, spec in specs.items():
        if spec.kind != "date" or facts[name].sorted_share < _SORTED or facts[name].distinct < _BLOCKS:
            continue
        parsed, bad = parse_dates(clean(frame[name], spec), str(spec.options.get("format", "")))
        stamps = parsed.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
        usable = np.isfinite(stamps) & np.isfinite(target) & ~np.asarray(bad)
        if usable.sum() < 20 * _BLOCKS:
            continue
        share = between_blocks(target[usable][np.argsort(stamps[usable], kind="stable")], _BLOCKS)
        chance = (_BLOCKS - 1) / (usable.sum() - 1)
        if share > _SHARE and share > _TIMES_CHANCE * chance:
            return name, (
                f"the rows are in order of {name} and the target drifts along it: {share:.0%} of its variance lies "
                f"between {_BLOCKS} stretches of time, {chance:.1%} would by chance; a random split would let the "
                "model look into the future (--set split.how=random to have it all the same)"
            )
    return None


def between_blocks(values: np.ndarray, blocks: int) -> float:
    """Share of the variance of `values` that lies between equal consecutive blocks (eta squared).

    Example:
        >>> between_blocks(np.array([0.0, 0.0, 1.0, 1.0]), 2)
        1.0
    """
    total = float(((values - values.mean()) ** 2).sum())
    if total <= 0:
        return 0.0
    pieces = np.array_split(values, blocks)
    between = sum(len(p) * (p.mean() - values.mean()) ** 2 for p in pieces if len(p))
    return float(between / total)
