"""What of a pretrained model learns, and how fast: by rows, time and its own size."""

from __future__ import annotations

from math import exp
from typing import Any

from limpid.core.contracts import Reasons, Size

_UNHURRIED_SECONDS = 3_600.0
_EPOCHS = {"all": 4, "adapters": 4}
_PASSES = {"all": 3.0, "adapters": 2.2}  # forward and backward, in forward passes; adapters need no weight gradients
_SHARE = 0.7  # of the time, for the steps themselves
_FEW_ROWS = 400
_EFFICIENCY = 0.5  # of what the machine sustains on large products


def choose_training(flops: float, weights: int, size: Size, *, adapters: bool) -> tuple[str, str]:
    """head, adapters or all, and why.

    Args:
        flops: of one example's forward pass.
        weights: that the model has.
        size: rows, and seconds under a budget.
        adapters: whether adapters can be put on it.
    """
    seconds = _UNHURRIED_SECONDS if size.seconds is None else size.seconds
    time = f"{seconds:,.0f} s" + ("" if size.seconds is not None else ", assumed without a budget")
    if size.rows < _FEW_ROWS:
        return "head", f"{size.rows:,} rows are too few to move {weights:,} weights"
    one = flops * size.rows / (size.flops_per_second * _EFFICIENCY)
    for how in ("all", "adapters"):
        need = one * _EPOCHS[how] * _PASSES[how]
        if need <= _SHARE * seconds and (how == "all" or adapters):
            return how, f"{_EPOCHS[how]} epochs take about {need:,.0f} s of {time}, with {size.rows:,} rows"
    return (
        "head",
        f"one pass over {size.rows:,} rows takes about {one:,.0f} s of {time}: its features are computed once",
    )


def preferences(how: str, size: Size) -> tuple[dict[str, Any], Reasons]:
    """The train section of each way, with reasons."""
    if how == "head":
        batch = 64 if size.rows < 10_000 else 256
        values: dict[str, Any] = {"batch": batch, "lr": 2e-3, "weight_decay": 0.05, "warmup": 0.05}
        reasons = {
            "batch": f"small batches for few rows: {size.rows:,} here",
            "lr": "usual for adamw and a linear layer on standardised features",
            "weight_decay": "the features are many, so the layer on them is held small",
            "warmup": "a twentieth of the steps",
        }
    else:
        batch = 16 if size.rows < 2_000 else 32
        lr = 5e-4 if how == "adapters" else 5e-5
        values = {"batch": batch, "epochs": _EPOCHS[how], "lr": lr, "weight_decay": 0.01, "warmup": 0.1}
        reasons = {
            "batch": f"16 or 32 as usual for fine-tuning: {size.rows:,} rows here",
            "epochs": "pretrained weights need few passes",
            "lr": "of the usual size for adapters" if how == "adapters" else "the largest that was published for BERT",
            "weight_decay": "as published for BERT",
            "warmup": "a tenth of the steps: transformers diverge at full rate in the first ones",
        }
    steps = max(1, size.rows // batch)
    values |= {
        "optimiser": "adamw",
        "schedule": "cosine",
        "ema": round(exp(-1 / max(1.0, 0.25 * steps)), 5),
        "clip": 1.0,
    }
    reasons |= {
        "optimiser": "what the checkpoints of transformers were trained with",
        "schedule": "falls to zero over the planned steps",
        "ema": f"averages over a quarter of a pass, {steps:,} steps each",
        "clip": "as published for BERT",
    }
    if how == "all":
        values |= {"unfreeze": 0.0, "depth_decay": 0.9}
        reasons |= {
            "unfreeze": "the rate rises slowly and is small, so that a new head does no harm",
            "depth_decay": "lower layers hold what is true of all data; usual values lie between 0.65 and 0.95",
        }
    elif how == "adapters":
        values |= {"unfreeze": 0.0, "depth_decay": 1.0}
        reasons |= {
            "unfreeze": "adapters begin at zero, so that nothing is spoilt",
            "depth_decay": "adapters are new at every depth",
        }
    return values, reasons
