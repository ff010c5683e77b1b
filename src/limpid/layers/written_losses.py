"""Losses of one example written out with its numbers, in double precision, apart from the code that trains.

Legend of shapes: K classes, R targets, Q quantiles. Each function gives a formula, its steps with the numbers put in,
and the value, which agrees with the function of the same name in `limpid.layers.losses`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from limpid.core.contracts import WrittenLoss

_SHOWN = 6
_LEAST = 1e-7


def cross_entropy(
    logits: Sequence[float], target: int, *, smoothing: float = 0.0, class_weight: Sequence[float] | None = None
) -> WrittenLoss:
    """Cross-entropy of logits (K) against a class.

    Example:
        >>> cross_entropy([0.0, 0.0], 0).steps[-1]
        'loss = -ln 0.5 = 0.693147'
    """
    total = _log_sum(logits)
    shares = [math.exp(z - total) for z in logits]
    formula = "p = softmax(z); loss = -ln p[true class]"
    steps = [f"z = {_row(logits)}", f"p = {_row(shares)}"]
    value = total - logits[target]
    if smoothing:
        formula = "p = softmax(z); loss = -(1 - s) ln p[true class] - s * mean over classes of ln p"
        rest = sum(total - z for z in logits) / len(logits)
        steps.append(f"loss = {1 - smoothing:g} * {value:.6g} + {smoothing:g} * {rest:.6g}")
        value = (1 - smoothing) * value + smoothing * rest
    else:
        steps.append(f"loss = -ln {shares[target]:.6g} = {value:.6g}")
    return _weighed(WrittenLoss(formula, tuple(steps), value), class_weight, target)


def focal(
    logits: Sequence[float], target: int, *, gamma: float, class_weight: Sequence[float] | None = None
) -> WrittenLoss:
    """Focal loss of logits (K) against a class."""
    entropy = _log_sum(logits) - logits[target]
    p = math.exp(-entropy)
    value = max(1 - p, _LEAST) ** gamma * entropy
    steps = (
        f"z = {_row(logits)}",
        f"p[true class] = {p:.6g}",
        f"loss = (1 - {p:.6g})^{gamma:g} * {entropy:.6g} = {value:.6g}",
    )
    return _weighed(WrittenLoss("loss = -(1 - p)^gamma * ln p of the true class", steps, value), class_weight, target)


def binary_cross_entropy(
    logits: Sequence[float],
    target: Sequence[float],
    *,
    smoothing: float = 0.0,
    positive_weight: Sequence[float] | None = None,
    gamma: float = 0.0,
) -> WrittenLoss:
    """Binary cross-entropy of K labels, averaged."""
    each = []
    for k, (z, y) in enumerate(zip(logits, target, strict=True)):
        soft = y * (1 - smoothing) + smoothing / 2 if smoothing else y
        part = _softplus(z) - soft * z
        if gamma > 0:
            part *= max(1 - _sigmoid(z if y > 0.5 else -z), _LEAST) ** gamma
        if positive_weight is not None and y > 0.5:
            part *= positive_weight[k]
        each.append(part)
    formula = "p = sigmoid(z); loss = mean over labels of -(y ln p + (1 - y) ln(1 - p))"
    if gamma > 0:
        formula += " * (1 - p of the truth)^gamma"
    if positive_weight is not None:
        formula += ", labels that are set weighed"
    value = sum(each) / len(each)
    steps = (
        f"z = {_row(logits)}",
        f"p = {_row([_sigmoid(z) for z in logits])}",
        f"y = {_row(list(target))}" + (f", softened by {smoothing:g}" if smoothing else ""),
        f"of each label: {_row(each)}; mean {value:.6g}",
    )
    return WrittenLoss(formula, steps, value)


def one_hot_cross_entropy(
    logits: Sequence[float], target: int, *, class_weight: Sequence[float] | None = None
) -> WrittenLoss:
    """Binary cross-entropy of each class against the rest, summed."""
    each = [_softplus(-z if k == target else z) for k, z in enumerate(logits)]
    value = sum(each)
    steps = (f"z = {_row(logits)}", f"of each class: {_row(each)}; sum {value:.6g}")
    formula = "p = sigmoid(z); loss = -ln p[true class] - sum over other classes of ln(1 - p)"
    return _weighed(WrittenLoss(formula, steps, value), class_weight, target)


def squared_error(outputs: Sequence[float], target: Sequence[float]) -> WrittenLoss:
    """Squared error, averaged over R targets."""
    return _errors(
        "loss = (output - target)^2", outputs, target, [(z - y) ** 2 for z, y in zip(outputs, target, strict=True)]
    )


def absolute_error(outputs: Sequence[float], target: Sequence[float]) -> WrittenLoss:
    """Absolute error, averaged over R targets."""
    return _errors(
        "loss = |output - target|", outputs, target, [abs(z - y) for z, y in zip(outputs, target, strict=True)]
    )


def huber(outputs: Sequence[float], target: Sequence[float], *, delta: float = 1.0) -> WrittenLoss:
    """Huber loss, averaged over R targets."""
    each = [
        0.5 * (z - y) ** 2 if abs(z - y) <= delta else delta * (abs(z - y) - delta / 2)
        for z, y in zip(outputs, target, strict=True)
    ]
    formula = f"e = output - target; loss = e^2 / 2 where |e| <= {delta:g}, else {delta:g} (|e| - {delta / 2:g})"
    return _errors(formula, outputs, target, each)


def pinball(outputs: Sequence[Sequence[float]], target: Sequence[float], quantiles: Sequence[float]) -> WrittenLoss:
    """Pinball loss of (R,Q) outputs, averaged over targets and quantiles; targets that are not known have no say."""
    known = [r for r, y in enumerate(target) if math.isfinite(y)]
    rows = [
        [max(q * (target[r] - z), (q - 1) * (target[r] - z)) for q, z in zip(quantiles, outputs[r], strict=True)]
        for r in known
    ]
    value = sum(map(sum, rows)) / max(len(known), 1) / len(quantiles)
    steps = [f"q = {_row(quantiles)}"]
    for place, r in list(enumerate(known))[:3]:
        steps.append(f"target {target[r]:.6g}, outputs {_row(outputs[r])}: of each quantile {_row(rows[place])}")
    if len(known) > 3:
        steps.append(f"and {len(known) - 3} more steps or targets")
    steps.append(f"loss = mean = {value:.6g}")
    return WrittenLoss("u = target - output; loss = mean of max(q u, (q - 1) u)", tuple(steps), value)


def _errors(formula: str, outputs: Sequence[float], target: Sequence[float], each: Sequence[float]) -> WrittenLoss:
    value = sum(each) / len(each)
    if len(each) == 1:
        steps: tuple[str, ...] = (f"output {outputs[0]:.6g}, target {target[0]:.6g}: loss = {value:.6g}",)
    else:
        formula += ", averaged over targets"
        steps = (f"outputs {_row(outputs)}", f"targets {_row(target)}", f"of each: {_row(each)}; mean {value:.6g}")
    return WrittenLoss(formula, steps, value)


def _weighed(found: WrittenLoss, class_weight: Sequence[float] | None, target: int) -> WrittenLoss:
    if class_weight is None:
        return found
    weight = float(class_weight[target])
    value = found.value * weight
    steps = (*found.steps, f"times the class's weight {weight:.6g} = {value:.6g}")
    return WrittenLoss(found.formula + "; times the class's weight", steps, value)


def _row(values: Sequence[float]) -> str:
    shown = ", ".join(f"{v:.4g}" for v in values[:_SHOWN])
    return f"({shown}, ... {len(values)} in all)" if len(values) > _SHOWN else f"({shown})"


def _log_sum(logits: Sequence[float]) -> float:
    top = max(logits)
    return top + math.log(sum(math.exp(z - top) for z in logits))


def _softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
