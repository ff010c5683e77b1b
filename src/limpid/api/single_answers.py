"""explained.json: up to three held-out answers, each explained by cheap methods and their checks, for the report.

Legend of shapes: N held-out rows, K outputs, U parts of a row.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from limpid.api.clock import Clock
from limpid.api.prepare import Prepared
from limpid.api.record import answered
from limpid.bundle.model import Model as Bundle
from limpid.core.contracts import Prediction
from limpid.core.repairs import Repairs
from limpid.data.encoded import Encoded
from limpid.data.windows import Windows

METHODS = ("integrated gradients", "occlusion", "Grad-CAM")
SHARE = 5
"""Seeing through may take a fifth of what the training took."""
_PATH, _FINER = 64, 128  # points of a path, and of the one that checks it
_AGAIN, _BACK = 8, 3  # checks that ask again; there and back costs three times the way there
_CALL, _CALLS = 64, 120  # rows that a call costs at least; calls' worth of everything around them
_SHUFFLED = 400  # operations for each weight in four shuffles
_USUAL, _SIDE = 300, 96
_RESERVE, _OVERHEAD, _SLOWEST = 2.0, 0.4, 5e9  # seconds for the report and of any explanation; operations a second


def single_answers(
    bundle: Bundle,
    prepared: Prepared,
    part: Encoded,
    name: str,
    prediction: Prediction,
    passes: float,
    clock: Clock,
) -> list[dict[str, Any]]:
    """Some telling answers with what each part of the row did; fewer, or none, where that would take too long.

    How many follows from the operations, so that without a budget no clock is read; under one each waits for time that
    is left.

    Args:
        bundle: that answers, on the CPU.
        part: encoded held-out rows.
        name: of that part.
        prediction: the answers for it.
        passes: through the network that may be spent, in rows forward.

    Returns:
        what `limpid.explain` says of one row, each with "why": what it is an example of.
    """
    from limpid.explanation.answer import explain_row
    from limpid.explanation.units import typical

    found: list[dict[str, Any]] = []
    source = prepared.draft.parts[name]
    columns = [n for n in source.table.columns if n in bundle.encoders.columns]
    end, longest = clock.deadline(_RESERVE), 0.0
    for why, place in telling(bundle, part, prediction):
        row = np.asarray(part.rows)[[place]].astype(np.int64)
        frame = source.table.read(columns, rows=row)
        repairs = Repairs()
        arrays = bundle.encoders.encode(frame, repairs)
        if repairs.take_rejected():
            continue
        each = _passes(bundle, arrays)
        flops = bundle.network.flops() * (1 + len(bundle.more))
        expected = max(longest, _OVERHEAD + each * flops / _SLOWEST)
        if each > passes or (end is not None and time.monotonic() + expected > end):
            break
        passes -= each
        begun = time.monotonic() if end is not None else 0.0
        answer = bundle.task.predict(bundle.raw(arrays))
        assert part.target is not None
        record = explain_row(bundle, frame, arrays, typical(_usual(part, arrays)), answer, METHODS, quick=True)
        if end is not None:
            longest = max(longest, time.monotonic() - begun)
        decoded = bundle.task.decode(answer)
        record["pictures"] = [_smaller(p) for p in record["pictures"]]
        found.append(
            {
                "why": why,
                "row": int(row[0]),
                "name": source.table.names_of_rows(row)[0] if isinstance(source.table, Windows) else None,
                "answer": answered(decoded) if len(decoded) == 1 else {},
                "truth": bundle.task.readable(np.asarray(part.target[[place]]))[0],
                **record,
            }
        )
    return found


def telling(bundle: Bundle, part: Encoded, prediction: Prediction) -> list[tuple[str, int]]:
    """Which rows: the surest right, the surest wrong and the most undecided; of values those by their error.

    Args:
        bundle: that answered.
        part: N encoded rows.
        prediction: its answers.
    """
    assert part.target is not None
    task: Any = bundle.task
    target = np.asarray(part.target)
    if task.name == "classification" and not task.multi_label and len(target):
        values = np.sort(np.asarray(prediction.values, dtype=np.float64), axis=1)
        sure, margin = values[:, -1], values[:, -1] - values[:, -2]
        right = np.asarray(task.decide(np.asarray(prediction.values))) == target
        chosen = []
        for why, those in (("the surest right answer", right), ("the surest wrong answer", ~right)):
            if those.any():
                chosen.append((why, int(np.where(those, sure, -1.0).argmax())))
        return [*chosen, ("the most undecided answer", int(margin.argmin()))]
    order = np.argsort(np.asarray(task.example_loss(target, prediction)), kind="stable")
    places = {"the best answer": order[0], "the median answer": order[len(order) // 2], "the worst answer": order[-1]}
    return [(why, int(place)) for why, place in places.items()]


def affordable(rows: int, batch: int, epochs: float, shuffles: int, shuffled: int) -> float:
    """Rows forward that may be spent: a fifth of the training's, less what permutation importance took.

    A call of a network costs at least as much as 64 rows do.

    Args:
        rows: of the training.
        batch: rows of a step.
        epochs: that it took.
        shuffles: calls of the permutation importance.
        shuffled: rows of each.

    Example:
        >>> affordable(1_000, 100, 10, 20, 200)
        2000.0
    """
    steps = epochs * -(-rows // batch)
    return _BACK * steps * max(batch, _CALL) / SHARE - shuffles * max(shuffled, _CALL)


def _passes(bundle: Bundle, arrays: dict[str, np.ndarray]) -> float:
    """Rows forward that one explanation takes: the path and each part taken away, and again for every check.

    Beside them count what surrounds the calls, and the weights that are dealt out anew, which of nets with large tables
    takes longest.
    """
    widths = [a.shape[1] for n, a in arrays.items() if n.endswith((".numbers", ".categories", ".tokens"))]
    parts = min(400, sum(widths) + 64 * sum(n.endswith((".pixels", ".values")) for n in arrays))
    network = bundle.network
    weights = sum(p.numel() for p in network.state_dict().values()) * _SHUFFLED / max(network.flops(), 1.0)
    return float(_CALLS * _CALL + weights + _BACK * _FINER + (1 + _AGAIN) * (_BACK * _PATH + max(parts + 1, _CALL)))


def _usual(part: Encoded, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    index = np.unique(np.linspace(0, len(part) - 1, min(_USUAL, len(part))).astype(np.int64))
    table = {n: np.asarray(part.arrays[n][index]) for n in arrays if n.startswith("fields.") and n in part.arrays}
    return {**arrays, **table}


def _smaller(picture: dict[str, Any]) -> dict[str, Any]:
    """A picture of at most 96 pixels a side, each the mean of those that it stands for."""
    if picture["kind"] != "grid":
        return picture
    heat, pixels = np.asarray(picture["heat"]), np.asarray(picture["pixels"])
    by = -(-max(heat.shape) // _SIDE)
    high, wide = (max(1, n // by) for n in heat.shape)
    if by > 1:
        heat = heat[: high * by, : wide * by].reshape(high, by, wide, by).mean(axis=(1, 3))
        pixels = pixels[:, : high * by, : wide * by].reshape(len(pixels), high, by, wide, by).mean(axis=(2, 4))
    return {**picture, "heat": heat.round(6).tolist(), "pixels": pixels[:3].round(2).tolist()}
