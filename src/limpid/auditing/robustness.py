"""How much worse does the model get when its inputs change a little, by chance or on purpose?

By chance: noise, missing cells, typos, blur, shifts. On purpose: the fast gradient sign method (Goodfellow et al.
2015), a step of fixed size along the sign of the loss's gradient in every input that is a number.

Legend of shapes: N rows, M members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from limpid.auditing import changes
from limpid.auditing.findings import Finding, Level
from limpid.auditing.judged import Judged, again
from limpid.core.contracts import Metric, Prediction
from limpid.core.forms import FIELDS
from limpid.core.seeds import derive, generator
from limpid.evaluation.intervals import paired
from limpid.training.objective import example_losses

Array = npt.NDArray[Any]

MOST_ROWS = 2_000
_REPEATS = 200
_BATCH = 256
_PIXEL_STEP = 2.0  # of 255
_LARGE, _SMALL = 0.1, 0.03  # loss of accuracy
_LARGE_RATIO, _SMALL_RATIO = 1.5, 1.15  # of an error with the change to the error without

_CHANGES: tuple[tuple[str, str, changes.Change], ...] = (
    ("noise", "noise of a tenth of a standard deviation on numbers", changes.noise),
    ("missing_5", "5 % of the cells made missing", changes.gaps(0.05)),
    ("missing_20", "20 % of the cells made missing", changes.gaps(0.2)),
    ("typos", "two letters swapped in one of ten words", changes.typos),
    ("blur", "pictures blurred over 3x3 pixels", changes.blur),
    ("shift", "pictures moved by a sixteenth of their width", changes.shift),
)


@dataclass(frozen=True)
class Change:
    """What one change does to the figures.

    Args:
        name: noise, missing_5, missing_20, typos, blur, shift or fgsm.
        said: what was changed.
        metric: the figure.
        before, after: without and with the change.
        worse: by how much it is worse, positive for worse, with its interval (paired bootstrap).
        rows: number of rows.
    """

    name: str
    said: str
    metric: str
    before: float
    after: float
    worse: float
    worse_low: float | None
    worse_high: float | None
    rows: int

    def as_dict(self) -> dict[str, Any]:
        """The change as JSON."""
        return {
            "name": self.name,
            "what": self.said,
            "metric": self.metric,
            "before": _finite(self.before),
            "after": _finite(self.after),
            "worse": _finite(self.worse),
            "interval": [self.worse_low, self.worse_high],
            "rows": self.rows,
        }


def measure(judged: Judged, seed: int = 0) -> list[Change]:
    """Every change that the model's inputs allow, measured by the first metric and, for classification, by accuracy.

    Args:
        judged: rows that the model was not fitted to; of more than 2,000, evenly spread ones are used.
        seed: of the changes.
    """
    if len(judged) > MOST_ROWS:
        judged = judged.take(np.linspace(0, len(judged) - 1, MOST_ROWS).astype(np.int64))
    metrics = _metrics(judged)
    found: list[Change] = []
    for name, said, change in _CHANGES:
        arrays = change(judged, generator(seed, "audit", name))
        if arrays is not None:
            found += _compared(name, said, judged, again(judged, arrays), metrics, seed)
    arrays = on_purpose(judged)
    if arrays is not None:
        found += _compared("fgsm", _said(arrays), judged, again(judged, arrays), metrics, seed)
    return found


def _said(arrays: Mapping[str, Array]) -> str:
    """How far a step on purpose goes in what the model reads."""
    pictures = any(name.endswith(".pixels") for name in arrays)
    others = any(name.endswith((".numbers", ".values")) for name in arrays)
    sizes = ["a tenth of a standard deviation"] * others + [f"{_PIXEL_STEP:g} of 255 in pictures"] * pictures
    return f"a step on purpose (FGSM) of {' and '.join(sizes)}"


def _metrics(judged: Judged) -> list[Metric]:
    every = judged.bundle.task.metrics
    return [every[0], *(m for m in every[1:] if m.name == "accuracy")]


def _compared(
    name: str, said: str, judged: Judged, changed: Prediction, metrics: Sequence[Metric], seed: int
) -> list[Change]:
    found = []
    for metric in metrics:
        before = float(metric.compute(judged.target, judged.prediction, judged.weight))
        after = float(metric.compute(judged.target, changed, judged.weight))
        first, second = (judged.prediction, changed) if metric.greater_is_better else (changed, judged.prediction)
        span = paired(metric, judged.target, first, second, judged.weight, derive(seed, "audit", name), _REPEATS)
        worse = before - after if metric.greater_is_better else after - before
        low, high = span if span is not None else (None, None)
        found.append(Change(name, said, metric.name, before, after, worse, low, high, len(judged)))
    return found


def on_purpose(judged: Judged) -> dict[str, Array] | None:
    """Cells moved so that the loss grows, by one step; None where no input is a number that gradients reach.

    Where a bundle holds several networks the gradient is of the first.
    """
    steps = _steps(judged)
    if not steps:
        return None
    changed = {name: np.array(judged.arrays[name], dtype=np.float32) for name in steps}
    reached = False
    for start in range(0, len(judged), _BATCH):
        place = slice(start, start + _BATCH)
        slopes = _slopes(judged, place, list(steps))
        for name, slope in slopes.items():
            if slope is None:
                continue
            reached = True
            changed[name][place] += steps[name][place] * np.sign(slope)
    for name in changed:
        if name.endswith(".pixels") and judged.arrays[name].dtype == np.uint8:
            changed[name] = np.clip(changed[name], 0.0, 255.0)
    return {**judged.arrays, **changed} if reached else None


def _steps(judged: Judged) -> dict[str, Array]:
    """Input part -> how far each of its cells may be moved."""
    found: dict[str, Array] = {}
    for name, array in judged.arrays.items():
        if name == f"{FIELDS}.numbers" and array.shape[1]:
            there = judged.arrays[f"{FIELDS}.missing"] == 0
            spread = np.where(there, array, np.nan)
            known = there.any(axis=0)
            each = np.zeros(array.shape[1])
            each[known] = np.nanstd(spread[:, known], axis=0)
            found[name] = np.where(there & changes.number_features(judged), each * changes.NOISE, 0.0)
        elif name.endswith(".pixels"):
            step = _PIXEL_STEP if array.dtype == np.uint8 else float(array.std(dtype=np.float64)) * changes.NOISE
            found[name] = np.full((len(array), *[1] * (array.ndim - 1)), step)
        elif name.endswith(".values"):
            found[name] = np.full(
                (len(array), *[1] * (array.ndim - 1)), float(array.std(dtype=np.float64)) * changes.NOISE
            )
    return {name: step for name, step in found.items() if np.any(step > 0)}


def _slopes(judged: Judged, place: slice, names: Sequence[str]) -> dict[str, Array | None]:
    """The gradient of the loss of some rows in some of their cells."""
    network, task = judged.bundle.network, judged.bundle.task
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    batch = {name: torch.from_numpy(np.array(array[place])).to(device) for name, array in judged.arrays.items()}
    for name in names:
        batch[name] = batch[name].float().requires_grad_(True)
    with torch.enable_grad():
        outputs = network(batch)
        target = task.prepare_target(torch.from_numpy(np.array(judged.target[place])).to(device))
        loss = example_losses(task.loss, outputs, target).sum()
        if not loss.requires_grad:
            return dict.fromkeys(names)
        found = torch.autograd.grad(loss, [batch[n] for n in names], allow_unused=True)
    return {n: None if g is None else g.detach().cpu().numpy() for n, g in zip(names, found, strict=True)}


def findings_of(found: Sequence[Change]) -> list[Finding]:
    """What the changes mean: one finding for each that makes the model surely and clearly worse."""
    if not found:
        return []
    findings = []
    by_name: dict[str, list[Change]] = {}
    for change in found:
        by_name.setdefault(change.name, []).append(change)
    for name, several in by_name.items():
        judged = next((c for c in several if c.metric == "accuracy"), several[0])
        level = _level(judged)
        if level == "ok":
            continue
        advice = (
            "someone who may choose the inputs can turn answers; do not use it where that pays"
            if name == "fgsm"
            else "expect this where inputs are measured or written less carefully than the training rows"
        )
        findings.append(
            Finding("robustness", level, f"{judged.said} makes it clearly worse", _evidence(several), advice)
        )
    if not findings:
        told = "; ".join(f"{n}: {_evidence(several)}" for n, several in by_name.items())
        findings.append(Finding("robustness", "ok", "small changes of the inputs hardly change the figures", told))
    return findings


def _level(change: Change) -> Level:
    if change.worse_low is None or change.worse_low <= 0:
        return "ok"
    if change.metric == "accuracy":
        large, small = change.worse >= _LARGE, change.worse >= _SMALL
    else:
        ratio = abs(change.after) / max(abs(change.before), 1e-12)
        large, small = ratio >= _LARGE_RATIO, ratio >= _SMALL_RATIO
    # That a step on purpose harms is known of nearly all networks, and so no warning.
    return "warning" if large and change.name not in ("fgsm", "missing_20") else "look" if small or large else "ok"


def _evidence(several: Sequence[Change]) -> str:
    return ", ".join(f"{c.metric} {c.before:.4g} -> {c.after:.4g}" for c in several) + f" on {several[0].rows:,} rows"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
