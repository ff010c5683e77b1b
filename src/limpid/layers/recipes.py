"""How a net likes to be trained, where it wants a number of steps rather than of passes.

One frame for the nets that share it; each says only what is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any

from limpid.core.contracts import Reasons

_SPOKEN = {0.05: "a twentieth of", 0.2: "a fifth of", 0.5: "half"}
_SEQUENCES = ((2_000, 32), (20_000, 64), (200_000, 128))


def tier(rows: int, tiers: Sequence[tuple[int, int]] = _SEQUENCES, beyond: int = 256) -> int:
    """The batch of the first tier that the rows stay below; by default those of nets that read words step by step.

    Example:
        >>> tier(3_000, [(2_000, 32), (20_000, 64)], 128)
        64
    """
    return next((batch for most, batch in tiers if rows < most), beyond)


def by_steps(
    rows: int,
    batch: int,
    wanted: int,
    *,
    epochs: tuple[int, int] = (8, 60),
    averaged: float = 0.5,
    patience: int = 6,
    values: Mapping[str, Any],
    reasons: Reasons,
) -> tuple[dict[str, Any], Reasons]:
    """Fields of the train section, with reasons: AdamW along a schedule that falls to zero, weights averaged.

    Args:
        rows: training rows.
        batch: of them.
        wanted: steps of the whole training.
        epochs: in which they are taken, at least and at most.
        averaged: share of an epoch that the average of the weights reaches over.
        patience: epochs at least that the training waits for a better score.
        values: of the net itself; they go before what stands here.
        reasons: of its own values, and for batch and optimiser.

    Example:
        >>> values, reasons = by_steps(6_400, 64, 1_500, values={"lr": 0.001}, reasons={"lr": "usual"})
        >>> values["epochs"], values["patience"], sorted(set(values) - set(reasons))
        (15, 6, ['batch', 'optimiser'])
    """
    steps = max(1, rows // batch)
    count = min(max(wanted // steps, epochs[0]), epochs[1])
    found = {
        "batch": batch,
        "epochs": count,
        "optimiser": "adamw",
        "schedule": "cosine",
        "warmup": 0.05,
        "ema": round(exp(-1 / max(averaged * steps, 20.0)), 5),
        "patience": max(patience, count // 3),
        "clip": 1.0,
        **values,
    }
    why = {
        "epochs": f"about {wanted:,} steps, in {epochs[0]} to {epochs[1]} epochs of {steps:,} steps each",
        "schedule": "falls to zero over the planned steps",
        "warmup": f"{_spoken(found['warmup'])} the steps",
        "ema": f"averages over {_spoken(averaged)} an epoch of {steps:,} steps, at least over 20 steps",
        "patience": "a third of the epochs: a score that has not risen for so long will hardly rise again",
        "clip": "keeps single bad batches from throwing the weights off",
        **reasons,
    }
    return found, {field: why[field] for field in found if field in why}


def _spoken(share: float) -> str:
    return _SPOKEN.get(share, f"{share:.0%} of")
