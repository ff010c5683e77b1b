"""What helps a rare class: weights in the loss, or a threshold below one half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean
from limpid.core.schema import ColumnFacts

Array = npt.NDArray[Any]

_RARE = 0.10  # below this share of the rows, a cut at one half would hardly ever name a class
_HEAVIEST = 100.0


def class_weights(asked: Any, names: Sequence[str], shares: Array, *, exclusive: bool) -> Array | None:
    """(K,) factors on the loss, or None for none.

    For classes their mean over the training rows is 1; for labels they are the factor where a label is there.

    Args:
        asked: "none", "balanced", or class -> factor.
        names: the K classes or labels.
        shares: (K,) share of training rows in each.
        exclusive: whether each row has exactly one.

    Raises:
        RequestError: a class that does not exist.
    """
    if asked == "none":
        return None
    if isinstance(asked, dict):
        weights = np.ones(len(names))
        for name, weight in asked.items():
            if name not in names:
                raise RequestError(
                    f"class_weights names {name!r}, which is no class",
                    where="task.class_weights",
                    expected=f"one of the {len(names)} classes",
                    fix=did_you_mean(name, names),
                )
            weights[names.index(name)] = weight
    elif not exclusive:
        weights = np.clip((1 - shares) / np.maximum(shares, 1e-9), 1.0, _HEAVIEST)
    else:
        weights = 1 / np.maximum(shares, 1e-9)
        weights = np.minimum(weights, weights.min() * _HEAVIEST)
    if exclusive:
        weights = weights / max(float(shares @ weights), 1e-9)
    return weights


def plan_threshold(targets: Sequence[ColumnFacts], multi: bool, weights: Any, rows: int) -> tuple[float | str, str]:
    """The threshold where nobody set one, and why.

    Args:
        targets: facts of the target columns in training rows.
        multi: whether a row may carry several labels.
        weights: the class weights as decided.
        rows: training rows.
    """
    if weights != "none":
        return 0.5, "the class weights move the decision already"
    if multi:
        return 0.5, "a label is given where it is likelier than not"
    if targets[0].distinct != 2:
        return 0.5, "among more than two classes the likeliest is taken"
    counts = [count for _, count in targets[0].top]
    share = min(counts) / sum(counts) if len(counts) == 2 else 0.5
    if share >= _RARE:
        return 0.5, f"the rarer class has {share:.0%} of the rows, which is not rare"
    if share * rows * 0.2 < 20:
        return 0.5, f"the rarer class has {share:.1%} of the rows, too few in number to choose a threshold by"
    return "f1", f"the rarer class has {share:.1%} of the rows; a cut at one half would hardly ever name it"
