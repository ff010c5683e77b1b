"""Which columns to leave out because they say nothing, or say what another one says already."""

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
_ENOUGH, _TEXT_ROWS, _BUCKETS = 1_000, 1_200, 4_096
_SILENT = 0.005
_NOT_READ = ("key", "constant")


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


def silent(
    sample: pl.DataFrame, target: pl.DataFrame, specs: Mapping[str, ColumnSpec], task: Task, seed: int
) -> dict[str, str]:
    """Texts beside a table whose words say nothing of the target, with the reason.

    Ridge regression on the words and pieces of up to 1,200 training rows, its penalty the best of thirteen, with each
    row left out once in closed form. A text that explains less than 0.5 % of the target's variance costs the network
    time and lets it learn rows by heart; from 1,000 rows on that can be told from chance.

    Args:
        sample: training rows.
        target: their targets.
        specs: column -> what it is.
        task: fitted.
        seed: of the choice of rows.
    """
    used = {n: s for n, s in specs.items() if s.use and s.kind not in _NOT_READ}
    texts = {n: s for n, s in used.items() if s.kind == "text"}
    if sample.height < _ENOUGH or not texts or len(texts) == len(used):
        return {}
    import torch

    from limpid.layers.ridge import solve

    rows = np.sort(generator(seed, "silent").permutation(sample.height)[:_TEXT_ROWS])
    y = torch.from_numpy(np.asarray(task.encode(target[rows])))
    classes = task.name == "classification"
    out: dict[str, str] = {}
    for name, spec in texts.items():
        encoders = Encoders.fit({name: spec}, sample)
        encoded = encoders.encode(sample[rows].select(name), Repairs())
        tokens = next(array for part, array in encoded.items() if part.endswith(".tokens")).astype(np.int64)
        bag = np.zeros((len(tokens), _BUCKETS))
        np.put_along_axis(bag, tokens % _BUCKETS, 1.0, axis=1)
        bag[:, 0] = 0.0  # padding
        bag /= np.maximum(np.sqrt(bag.sum(axis=1, keepdims=True)), 1.0)
        found = solve(torch.from_numpy(bag), y, task.outputs, classes=classes)
        explained = _explained(y.numpy(), found.left_out, classes)
        if explained < _SILENT:
            out[name] = (
                "its words say nothing of the target: where rows are left out, a ridge regression on them explains "
                f"{max(explained, 0.0):.1%} of the variance ({len(rows):,} training rows)"
            )
    return out


def _explained(target: np.ndarray, left_out: np.ndarray, classes: bool) -> float:
    """Share of the variance that answers for left-out rows explain, of all outputs together."""
    if classes and target.ndim == 1:
        target = np.eye(left_out.shape[1])[target]
    wanted = target.reshape(left_out.shape) * (2.0 if classes else 1.0) - (1.0 if classes else 0.0)
    spread = float(np.square(wanted - wanted.mean(axis=0)).sum())
    return 1.0 - float(np.square(wanted - left_out).sum()) / spread if spread > 0 else 0.0


def _matrix(encoders: Encoders, frame: pl.DataFrame, name: str) -> np.ndarray:
    part = Encoders({name: encoders.columns[name]}, {name: encoders.modality(name)}).encode(frame, Repairs())
    numbers = np.where(part["fields.missing"] > 0, np.nan, part["fields.numbers"])
    return np.concatenate([numbers, part["fields.categories"].astype(np.float64)], axis=1)
