"""What a report draws of classes: who is taken for whom, curves, and whether probabilities keep their word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.layers import curves, metrics

Array = npt.NDArray[Any]

_SHOWN = 30


def class_figures(
    classes: Sequence[str],
    target: Array,
    values: Array,
    decided: Array,
    *,
    threshold: Sequence[float],
    temperature: Sequence[float],
) -> dict[str, Any]:
    """Confusion or labels, ROC and precision-recall curves of two classes, and reliability.

    Args:
        classes: names of the K classes or labels.
        target: (N,) classes or (N,K) labels.
        values: (N,K) probabilities.
        decided: (N,) classes or (N,K) bool labels, as the task decides.
        threshold, temperature: what calibration found.

    Returns:
        "classes": at most 30 names, the most frequent in their order, with "other" as a 31st for the rest.
        "confusion": counts, a row for each true class and a column for each given one (not for labels).
        "labels": [{"label", "rows", "f1", "average_precision"}] of the 30 most frequent labels (for labels only).
        "roc" {"fpr", "tpr"} and "pr" {"recall", "precision"}: of two classes only.
        "positive": name of the class that the curves are of.
        "reliability": [{"low", "high", "mean", "share", "count"}].
        "threshold": probability from which the positive class is named, None unless there are two classes.
        "temperature": what calibration found, the median over labels.
    """
    known = np.isfinite(values).all(axis=1)
    target, values, decided = target[known], values[known], decided[known]
    result: dict[str, Any] = {
        "reliability": curves.reliability(*metrics.confidence(target, values)),
        "threshold": None,
        "temperature": float(np.median(temperature)),
    }
    if target.ndim == 2:
        top = np.sort(np.argsort(-target.sum(axis=0), kind="stable")[:_SHOWN])
        result["classes"] = [classes[k] for k in top]
        result["labels"] = [
            {"label": classes[k], **_label_figures(target[:, k] > 0.5, values[:, k], decided[:, k])} for k in top
        ]
        return result
    result["classes"], result["confusion"] = _confusion(classes, target, decided)
    if len(classes) == 2:
        result["positive"] = classes[1]
        result["threshold"] = float(threshold[0])
        result["roc"] = curves.roc_points(target == 1, values[:, 1])
        result["pr"] = curves.precision_recall_points(target == 1, values[:, 1])
    return result


def _confusion(classes: Sequence[str], target: Array, decided: Array) -> tuple[list[str], list[list[int]]]:
    if len(classes) <= _SHOWN:
        return list(classes), curves.confusion(target, decided, len(classes)).tolist()
    seen = np.bincount(target, minlength=len(classes))
    top = np.sort(np.argsort(-seen, kind="stable")[:_SHOWN])
    place = np.full(len(classes), _SHOWN)
    place[top] = np.arange(_SHOWN)
    counts = curves.confusion(place[target], place[decided], _SHOWN + 1)
    return [*(classes[k] for k in top), "other"], counts.tolist()


def _label_figures(positive: Array, value: Array, decided: Array) -> dict[str, Any]:
    f1 = metrics.once(metrics.f1_labels(positive[:, None], decided[:, None]), len(positive))
    precision = metrics.once(metrics.average_precision_of(positive, value), len(positive))
    return {
        "rows": int(positive.sum()),
        "f1": f1 if np.isfinite(f1) else None,
        "average_precision": precision if np.isfinite(precision) else None,
    }
