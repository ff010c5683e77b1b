"""Which columns to leave out because they say nothing, or say what another one says already; only when asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from limpid.core.contracts import Task
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, ColumnSpec
from limpid.core.seeds import derive, generator
from limpid.data.association import pairs
from limpid.data.views import view
from limpid.planning.encoders import Encoders

_ROWS = 20_000
_REDUNDANT = 0.98
_REPEATS = 5


def redundant(
    sample: pl.DataFrame, specs: Mapping[str, ColumnSpec], facts: Mapping[str, ColumnFacts]
) -> dict[str, str]:
    """Columns that say the same as an earlier one, with the reason.

    Args:
        sample: training rows.
        specs: column -> what it is.
        facts: column -> what was counted in training rows.
    """
    frame = sample.head(_ROWS)
    views = [
        view(frame[n], s, facts[n]) for n, s in specs.items() if s.use and s.kind in ("number", "category", "date")
    ]
    order = {v.name: n for n, v in enumerate(views)}
    numbers = {v.name: v.numbers for v in views if v.numbers is not None}
    categories = {v.name: v.codes for v in views if v.codes is not None}
    out: dict[str, str] = {}
    for pair in pairs(numbers, categories, top=len(views) * len(views)):
        # eta says how well a category gives a number, not the other way round: it does not make two columns equal.
        if abs(pair["value"]) < _REDUNDANT or pair["measure"] == "eta":
            continue
        first, second = sorted((pair["a"], pair["b"]), key=order.__getitem__)
        if first not in out and second not in out:
            out[second] = f"it says what {first} says: {pair['measure']} {pair['value']:.3f} on training rows"
    return out


def useless(
    sample: pl.DataFrame, target: pl.DataFrame, specs: Mapping[str, ColumnSpec], task: Task, seed: int
) -> dict[str, str]:
    """Columns that a boosted model predicts no worse without, with the reason (permutation importance, Breiman 2001).

    A booster learns from two thirds of the sample; each column of the rest is shuffled five times. A column whose
    mean loss of score is not above the spread of that loss is useless.

    Args:
        sample: training rows.
        target: their targets.
        specs: column -> what it is.
        task: fitted.
        seed: of the division and the shuffles.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rows = generator(seed, "select").permutation(sample.height)[:_ROWS]
    encoders = Encoders.fit({n: s for n, s in specs.items() if s.kind != "text"}, sample[rows])
    y = task.encode(target[rows])
    if y.ndim > 1 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim > 1:
        return {}
    cut = len(rows) * 2 // 3
    arrays = {name: _matrix(encoders, sample[rows].select(name), name) for name in encoders.columns}
    names = list(arrays)
    x = np.concatenate([arrays[n] for n in names], axis=1)
    stops = np.cumsum([arrays[n].shape[1] for n in names])
    booster = HistGradientBoostingClassifier if task.name == "classification" else HistGradientBoostingRegressor
    model = booster(random_state=derive(seed, "booster") % (1 << 31), early_stopping=False).fit(x[:cut], y[:cut])
    held, truth = x[cut:], y[cut:]
    base = model.score(held, truth)
    out: dict[str, str] = {}
    for n, name in enumerate(names):
        span = slice(stops[n] - arrays[name].shape[1], stops[n])
        losses = []
        for repeat in range(_REPEATS):
            shuffled = held.copy()
            shuffled[:, span] = held[generator(seed, "shuffle", name, repeat).permutation(len(held)), span]
            losses.append(base - model.score(shuffled, truth))
        mean, spread = float(np.mean(losses)), float(np.std(losses))
        if mean <= spread:
            out[name] = f"shuffling it costs a booster nothing: score falls by {mean:.4f} (spread {spread:.4f})"
    return out if len(out) < len(names) else {}


def _matrix(encoders: Encoders, frame: pl.DataFrame, name: str) -> np.ndarray:
    part = Encoders({name: encoders.columns[name]}, {name: encoders.modality(name)}).encode(frame, Repairs())
    numbers = np.where(part["fields.missing"] > 0, np.nan, part["fields.numbers"])
    return np.concatenate([numbers, part["fields.categories"].astype(np.float64)], axis=1)
