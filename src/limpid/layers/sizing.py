"""How large may a net be, for its rows, its seconds and the speed of this machine?

One rule for all nets: the operations of one example's forward pass must allow enough passes over the training rows in
the time there is, and must let 100,000 rows be predicted in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import FieldsShape
from limpid.core.spec import AUTO
from limpid.layers.fields import FieldsSpec, Numbers

SEEN_EXAMPLES = 300_000
"""Examples that training should see at least, all passes together."""

_LEAST_PASSES, _MOST_PASSES = 8, 60
_UNHURRIED_SECONDS = 600.0
_STEP_EFFICIENCY = 0.75
_BACKWARD = 3.0
_PREDICT_SECONDS, _PREDICT_ROWS = 3.0, 100_000  # the rows must be encoded too, and products in fp32 are slower

_FEW_ROWS = 600
"""Below so many training rows, a line may be as good as a network."""

_FOLDS = 5

C = TypeVar("C")


@dataclass(frozen=True)
class Allowance:
    """What one example's forward pass may cost.

    Args:
        flops: multiplications and additions.
        because: where the figure comes from.
    """

    flops: float
    because: str


def allowance(size: Size, networks: int = 1) -> Allowance:
    """The operations that one example may cost, from rows, seconds and speed.

    Training: seconds * 0.75 * speed / (3 * rows * passes), where passes lets 300,000 examples be seen, within 8 to 60
    passes; without a budget, 600 seconds are assumed. Predicting: 100,000 rows in 3 seconds. The smaller one counts.

    Args:
        size: of the problem.
        networks: how many the model will hold; where they are several, they are fitted after a first one.

    Example:
        >>> round(allowance(Size(rows=20_000, outputs=1, task="regression", seconds=40)).flops / 1e6, 1)
        3.3
    """
    passes = min(max(SEEN_EXAMPLES / max(size.rows, 1), _LEAST_PASSES), _MOST_PASSES)
    seconds = _UNHURRIED_SECONDS if size.seconds is None else size.seconds
    fits, several = (1, "") if networks == 1 else (1 + networks, f" by {networks} networks")
    train = seconds * _STEP_EFFICIENCY * size.flops_per_second / (_BACKWARD * max(size.rows, 1) * passes * fits)
    predict = _PREDICT_SECONDS * size.flops_per_second / (_PREDICT_ROWS * networks)
    speed = f"{size.flops_per_second / 1e9:.0f} GFLOP/s"
    if predict <= train:
        return Allowance(predict, f"100,000 rows are to be predicted{several} in {_PREDICT_SECONDS:.0f} s at {speed}")
    time = f"{seconds:.0f} s" + ("" if size.seconds is not None else ", assumed without a budget,")
    passed = f"about {passes:.0f} passes over {size.rows:,} rows" + (f" in each of {fits} fits" if fits > 1 else "")
    return Allowance(train, f"{passed} are to fit into {time} at {speed}")


def largest(candidates: Sequence[C], cost: Callable[[C], float], limit: Allowance) -> tuple[C, str]:
    """The first candidate whose cost is within the limit, or the last one.

    Args:
        candidates: the best first.
        cost: operations of one example.
        limit: from `allowance`.

    Returns:
        the candidate, and the reason with its figures.
    """
    chosen = next((c for c in candidates if cost(c) <= limit.flops), candidates[-1])
    spent = f"{cost(chosen) / 1e6:.2f} of {limit.flops / 1e6:.2f} million operations for a row: {limit.because}"
    if chosen == candidates[0]:
        return chosen, f"the largest size considered costs {spent}"
    return chosen, f"the largest of {len(candidates)} sizes that fits: {spent}"


def plan_fields(
    spec: FieldsSpec, shape: FieldsShape, size: Size, *, numbers: Numbers, flat: bool = True
) -> tuple[dict[str, object], Reasons]:
    """Decide how numbers enter a net for tables: the autos that a spec has from `FieldsSpec`.

    Args:
        spec: with autos.
        shape: of the table's fields.
        size: of the problem.
        numbers: what the net's authors recommend.
        flat: whether the embeddings of all numbers stand side by side in one vector, which many columns make long.

    Returns:
        field -> value for the autos alone, and a reason for each.
    """
    features = len(shape.numbers)
    chosen: dict[str, object] = {}
    because: Reasons = {}

    def settle(field: str, value: object, reason: str) -> None:
        if getattr(spec, field) == AUTO:
            chosen[field], because[field] = value, reason

    many = features > 400
    if not features:
        settle("numbers", "plain", "the table has no numeric column")
    elif many:
        settle("numbers", "plain", f"embeddings of {features} numeric columns would cost more than they bring")
    else:
        settle("numbers", numbers, _NUMBERS_BECAUSE[numbers])
    width = min(8, max(2, 640 // max(features, 1)))
    settle(
        "number_width",
        width if flat else 1,
        f"8 values a number, fewer beyond 80 columns: {features} here" if flat else "the width of a token has the say",
    )
    bins = min(128, max(8, min(size.rows // 64, 8_000 // max(features, 1))))
    settle("bins", bins, f"one for 64 rows, 8 to 128, fewer beyond 62 columns: {size.rows:,} rows, {features} columns")
    settle(
        "min_leaf", 4, "larger leaves lose the effect of rare values: half a point of ROC AUC on adult's capital gain"
    )
    few = size.rows < _FEW_ROWS and size.task in ("regression", "classification")
    settle("line", few, f"where rows are few, a line may be as good: from {_FEW_ROWS:,} on not, {size.rows:,} here")
    return chosen, because


def networks_of(spec: FieldsSpec) -> int:
    """How many networks a model of a net for tables will hold.

    Args:
        spec: as `plan_fields` settles it.
    """
    return _FOLDS if spec.line is True else 1


def beside_line(spec: FieldsSpec, values: dict[str, Any], reasons: Reasons) -> tuple[dict[str, Any], Reasons]:
    """What a net for tables recommends for training, with what a line beside it needs.

    Args:
        spec: without autos.
        values, reasons: fields of the train section.
    """
    if spec.line is not True:
        return values, reasons
    why = f"rows are few: each of {_FOLDS} parts is left out once, to weigh network and line; the mean is the model"
    return {**values, "folds": _FOLDS}, {**reasons, "folds": why}


_NUMBERS_BECAUSE: dict[str, str] = {
    "plain": "as published",
    "piecewise": "piecewise-linear embeddings are the largest single gain for nets on tables (arXiv 2203.05556)",
    "periodic": "periodic embeddings suit smooth effects (arXiv 2203.05556)",
    "both": "piecewise-linear embeddings catch steps, periodic ones smooth effects (arXiv 2203.05556)",
}
