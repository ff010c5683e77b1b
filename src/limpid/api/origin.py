"""What a run came from, as far as another training must find it again to come out the same: data, plan, versions."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from limpid._version import __version__
from limpid.api.request import Request
from limpid.core.errors import LimpidError
from limpid.core.files import digest
from limpid.training.measure import device_key

MOST_CELLS = 5_000_000
"""Cells of the data of a run that is replayed, at most; those of long columns count for more."""

_HEAVY = 100  # cells that a picture or a recording counts for


def origin_of(request: Request, plan_file: Path, rows: int) -> dict[str, Any]:
    """What a replay must find again, as metrics.json keeps it: digests of data and plan, the device, and whether a
    loss or a metric was the user's own. Data that are too many to be replayed have no digest.

    Args:
        request: the call.
        plan_file: plan.yaml as the run leaves it.
        rows: of all parts.
    """
    return {
        "data": _digests(request, rows),
        "plan": digest(plan_file),
        "device": device_key(request.device),
        "own": request.loss is not None or request.metric is not None,
    }


def _digests(request: Request, rows: int) -> dict[str, str]:
    """Part -> digest of its table; empty where there is too much to read, or where a file is gone by now."""
    train = request.tables["train"]
    if rows * sum(_HEAVY if name in train.heavy else 1 for name in train.columns) > MOST_CELLS:
        return {}
    try:
        return {part: table.digest() for part, table in request.tables.items()}
    except LimpidError:  # changed while the run learnt from it: no reason to lose the run
        return {}


def versions() -> dict[str, str]:
    """Versions that a run depends on."""
    return {
        "limpid": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "polars": pl.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
