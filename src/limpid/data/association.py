"""How strongly do two columns go together? One measure for each pair of kinds, all between 0 and 1 in size.

    number, number       Pearson's r for straight lines, Spearman's rho for anything that only rises or only falls
    category, category   Cramer's V, corrected for its bias (Bergsma 2013)
    category, number     the correlation ratio eta, corrected in the same spirit (Kelley's epsilon)

Arrays hold N cells: numbers as floats with NaN where missing, categories as codes from 0 with -1 where missing. A pair
is measured on the cells that both have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MAX_LEVELS = 50
"""Categories beyond the most frequent ones are pooled before Cramer's V: rare ones only add noise and time."""

MIN_PAIRS = 10
"""Fewer common cells than this give no measure."""


def ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs; NaN stays NaN.

    Example:
        >>> ranks(np.array([30.0, 10.0, 10.0])).tolist()
        [3.0, 1.5, 1.5]
    """
    result = np.full(len(values), np.nan)
    present = ~np.isnan(values)
    _, where, counts = np.unique(values[present], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    result[present] = (last - (counts - 1) / 2.0)[where]
    return result


def pearson(x: Floats, y: Floats) -> float:
    """Pearson's r; 0 where a side does not vary.

    Example:
        >>> pearson(np.arange(20.0), -2 * np.arange(20.0))
        -1.0
    """
    return float(_pearson_matrix(np.column_stack([x, y]))[0, 1])


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rho; 0 where a side does not vary.

    Example:
        >>> spearman(np.arange(20.0), np.exp(np.arange(20.0)))
        1.0
    """
    both = ~(np.isnan(x) | np.isnan(y))
    return pearson(ranks(x[both]), ranks(y[both]))


def _pearson_matrix(x_NP: Floats) -> Floats:
    """All pairs at once, each on the rows that both columns have: every sum is a product of matrices."""
    present = np.isfinite(x_NP)
    mask = present.astype(np.float64)
    count = np.maximum(mask.sum(axis=0), 1.0)
    # Two divisions: the first keeps squares of values near 1e300 finite, the second makes them about 1.
    scaled = np.where(present, x_NP, 0.0)
    scaled = scaled / np.maximum(np.abs(scaled).max(axis=0, initial=0.0), 1e-300)
    scaled = np.where(present, scaled - scaled.sum(axis=0) / count, 0.0)
    size = np.sqrt((scaled**2).sum(axis=0) / count)
    scaled = scaled / np.where(size > 1e-13, size, np.inf)
    pairs = mask.T @ mask
    n = np.maximum(pairs, 1.0)
    mean = (scaled.T @ mask) / n
    square = ((scaled**2).T @ mask) / n - mean**2
    shared = (scaled.T @ scaled) / n - mean * mean.T
    spread = np.sqrt(np.maximum(square, 0.0) * np.maximum(square.T, 0.0))
    r = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 1e-12)
    r[pairs < MIN_PAIRS] = 0.0
    near_one = np.abs(np.abs(r) - 1.0) < 1e-12
    result: Floats = np.clip(np.where(near_one, np.sign(r), r), -1.0, 1.0)
    return result


def pool(codes: Codes, levels: int = MAX_LEVELS) -> Codes:
    """Codes of the most frequent levels, the rest under one code; missing stays -1."""
    present = codes[codes >= 0]
    if present.size == 0 or int(present.max()) < levels:
        return codes
    counts = np.bincount(present)
    order = np.argsort(-counts, kind="stable")
    new = np.full(len(counts), levels - 1, dtype=np.int64)
    new[order[: levels - 1]] = np.arange(levels - 1)
    return np.where(codes >= 0, new[np.maximum(codes, 0)], -1)


def cramers_v(a: Codes, b: Codes) -> float:
    """Cramer's V between two categories, corrected for bias; 0 for unrelated columns, 1 for a one-to-one pair.

    Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", Journal of the Korean Statistical Society 42 (2013).

    Example:
        >>> cramers_v(np.arange(100) % 4, np.arange(100) % 4)
        1.0
    """
    both = (a >= 0) & (b >= 0)
    n = int(both.sum())
    if n < MIN_PAIRS:
        return 0.0
    x, y = a[both], b[both]
    in_row, in_column = np.bincount(x).astype(np.float64), np.bincount(y).astype(np.float64)
    rows, columns = int((in_row > 0).sum()), int((in_column > 0).sum())
    if rows < 2 or columns < 2:
        return 0.0
    # chi2 / n = sum of n_ij^2 / (n_i n_j) - 1 needs only the cells that occur, so that wide tables cost no memory.
    cells, counts = _cells(x * len(in_column) + y, len(in_row) * len(in_column))
    phi2 = float((counts**2 / (in_row[cells // len(in_column)] * in_column[cells % len(in_column)])).sum()) - 1.0
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    rows_corrected = rows - (rows - 1) ** 2 / (n - 1)
    columns_corrected = columns - (columns - 1) ** 2 / (n - 1)
    least = min(rows_corrected, columns_corrected) - 1
    return float(np.clip(np.sqrt(phi2 / least), 0.0, 1.0)) if least > 1e-9 else 0.0


def _cells(keys: Codes, size: int) -> tuple[Codes, Floats]:
    if size <= 1 << 20:
        table = np.bincount(keys, minlength=size)
        cells = np.flatnonzero(table)
        return cells, table[cells].astype(np.float64)
    cells, counts = np.unique(keys, return_counts=True)
    return cells, counts.astype(np.float64)


def correlation_ratio(codes: Codes, values: Floats, *, corrected: bool = True) -> float:
    """The correlation ratio eta: how much of the spread of `values` lies between the levels of `codes`.

    Args:
        codes: categories.
        values: numbers.
        corrected: take off what many small levels explain by chance alone (Kelley 1935).

    Example:
        >>> correlation_ratio(np.arange(40) % 2, (np.arange(40) % 2) * 3.0)
        1.0
    """
    return float(_ratios(codes, values[:, None], corrected)[0])


def _ratios(codes: Codes, values_NP: Floats, corrected: bool) -> Floats:
    """Eta of one category against P number columns."""
    result = np.zeros(values_NP.shape[1])
    known = codes >= 0
    group_all = codes[known]
    whole = np.bincount(group_all, minlength=1).astype(np.float64)
    for column in range(values_NP.shape[1]):
        y = values_NP[known, column]
        present = np.isfinite(y)
        n = int(present.sum())
        if n < MIN_PAIRS:
            continue
        group, counts = group_all, whole
        if n < len(y):
            group, y = group[present], y[present]
            counts = np.bincount(group).astype(np.float64)
        y = y / max(float(np.abs(y).max()), 1e-300)
        y -= y.mean()
        total = float(y @ y)
        used = counts > 0
        k = int(used.sum())
        if total <= 1e-20 * n or k < 2 or k >= n:
            continue
        sums = np.bincount(group, weights=y)
        share = float((sums[used] ** 2 / counts[used]).sum()) / total
        if corrected:
            share = 1.0 - (1.0 - share) * (n - 1) / (n - k)
        result[column] = np.sqrt(min(max(share, 0.0), 1.0))
    return result


def pairs(numbers: Mapping[str, Floats], categories: Mapping[str, Codes], *, top: int = 40) -> list[dict[str, Any]]:
    """The strongest pairs among all columns.

    Args:
        numbers: name -> cells of the number columns.
        categories: name -> codes of the category columns.
        top: how many pairs to keep.

    Returns:
        `{"a", "b", "measure", "value"}` with the measure "pearson", "spearman", "cramers_v" or "eta", strongest first.
        Of two numbers, Spearman's is given where it says clearly more than Pearson's.
    """
    found: list[dict[str, Any]] = []
    names = list(numbers)
    values = np.asfortranarray(np.column_stack([numbers[n] for n in names])) if names else np.zeros((0, 0))
    if len(names) > 1:
        straight = _pearson_matrix(values)
        rising = _pearson_matrix(np.column_stack([ranks(numbers[n]) for n in names]))
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
            r, rho = float(straight[i, j]), float(rising[i, j])
            measure, value = ("spearman", rho) if abs(rho) > abs(r) + 0.05 else ("pearson", r)
            found.append({"a": names[i], "b": names[j], "measure": measure, "value": value})
    pooled = {name: pool(codes) for name, codes in categories.items()}
    labels = list(pooled)
    for place, a in enumerate(labels):
        for b in labels[place + 1 :]:
            found.append({"a": a, "b": b, "measure": "cramers_v", "value": cramers_v(pooled[a], pooled[b])})
        if names:
            for name, value in zip(names, _ratios(pooled[a], values, True), strict=True):
                found.append({"a": a, "b": name, "measure": "eta", "value": float(value)})
    found.sort(key=lambda pair: (-abs(pair["value"]), pair["a"], pair["b"]))
    return found[:top]
