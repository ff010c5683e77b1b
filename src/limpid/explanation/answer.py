"""One answer explained by every method that fits, each with its checks, the best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.bundle.model import Model
from limpid.core.contracts import Prediction
from limpid.core.forms import GridShape, SeqShape
from limpid.explanation import checks
from limpid.explanation.attribution import (
    METHODS,
    RULES,
    Attribution,
    attribute,
    integrated_gradients,
    occlusion,
    unreached,
)
from limpid.explanation.question import MOST_NETWORKS, Question, question_of
from limpid.explanation.units import Row
from limpid.planning.encoders import input_of

Array = npt.NDArray[Any]

_SHAPLEY_UNITS = 64
_MOST_UNITS = 400
_BY_GRADIENT = {"integrated gradients", "gradient times input", "Grad-CAM"}
_ORDER = ("integrated gradients", "Shapley values", "occlusion", "Grad-CAM", "gradient times input")


def explain_row(
    model: Model,
    frame: pl.DataFrame,
    arrays: Mapping[str, Array],
    baseline: Mapping[str, Array],
    prediction: Prediction,
    methods: Sequence[str] = METHODS,
    quick: bool = False,
) -> dict[str, Any]:
    """Attributions of one row's answer.

    Args:
        model: what answers.
        frame: one raw row.
        arrays: the same encoded.
        baseline: one encoded row that stands for what is usual.
        prediction: the model's answer for the row.
        methods: those that are tried, of METHODS.
        quick: whether a path of a few points must do, even where its parts do not add up.

    Returns:
        {"asked", "baseline", "evidence", "units": [{"name", "column", "kind", "value", "where"}], "methods":
        [{"method", "units", "trusted", "says", "checks"}] with the best first, "pictures": heat by column, "notes"}.
    """
    row = Row(model.encoders, frame, arrays, baseline)
    question = question_of(model, prediction)
    notes: list[str] = []
    if 1 + len(model.more) > MOST_NETWORKS:
        notes.append(f"explained are the first {MOST_NETWORKS} of the {1 + len(model.more)} networks of this model")
    found = _attributions(question, row, methods, quick, notes)
    again = [{one.method: attribute(q, row, one.method, few=True) for one in found} for q in checks.unlearnt(question)]
    judged = [(one, _checks(question, row, one, found, [each[one.method] for each in again])) for one in found]
    judged.sort(key=lambda pair: _ORDER.index(pair[0].method))
    judged.sort(key=lambda pair: _score(pair[1]), reverse=True)
    units = row.units[:_MOST_UNITS]
    if len(row.units) > len(units):
        notes.append(f"the first {len(units)} of {len(row.units)} parts are listed")
    return {
        "asked": question.said,
        "baseline": _baseline_named(row),
        "evidence": float(question.ask(row.arrays)[0]),
        "units": [
            {"name": u.name, "column": u.column, "kind": u.kind, "value": u.value[:300], "where": list(u.where)}
            for u in units
        ],
        "methods": [
            {
                "method": one.method,
                "units": [float(v) for v in one.units[: len(units)]],
                "trusted": all(c.passed is not False for c in own),
                "says": _verdict(own),
                "checks": [{"name": c.name, "value": c.value, "passed": c.passed, "says": c.says} for c in own],
            }
            for one, own in judged
        ],
        "pictures": _pictures(row, judged[0][0] if judged else None, found),
        "notes": notes,
    }


def _attributions(
    question: Question, row: Row, methods: Sequence[str], quick: bool, notes: list[str]
) -> list[Attribution]:
    """What each method that fits says."""
    if not row.units:
        notes.append("there is nothing in this row that could be taken away")
        return []
    left_out = set()
    unknown = [c for c, words in row.words.items() if words and (row.owners[input_of(c)] < 0).all()]
    if unknown:
        left_out |= {"integrated gradients", "gradient times input"}
        notes.append(f"the tokens of {', '.join(unknown)} are no words, so gradients cannot be given to words")
    if len(row.units) > _SHAPLEY_UNITS and "Shapley values" in methods:
        left_out.add("Shapley values")
        notes.append(f"no Shapley values: {len(row.units)} parts would take too many evaluations")
    taken = occlusion(question, row)
    matters = {unit.name_of_input for unit, lost in zip(row.units, taken.units, strict=True) if lost}
    blind = [name for name in unreached(question, row) if name in matters]
    if blind:
        left_out |= _BY_GRADIENT
        own = [c for c in row.encoders.columns if any(u.column == c and u.name_of_input in blind for u in row.units)]
        notes.append(
            f"no gradient comes back from the net of {', '.join(own)}, which counts and compares, so methods that "
            "follow gradients are left out and those that take parts away lead"
        )
    rest = [m for m in methods if m not in left_out]
    each: list[Attribution | None] = []
    for method in rest:
        if method == "occlusion":
            each.append(taken)
        elif quick and method == "integrated gradients":
            each.append(integrated_gradients(question, row, rules=RULES[:2]))
        else:
            each.append(attribute(question, row, method))
    return [one for one in each if one is not None]


def _checks(
    question: Question,
    row: Row,
    one: Attribution,
    found: Sequence[Attribution],
    unlearnt: Sequence[Attribution | None],
) -> list[checks.Check]:
    def near(moved: Row, seed: int | None) -> Attribution | None:
        return attribute(question, moved, one.method, noise=seed, seed=1 + (seed or 0))

    return [
        checks.completeness(one),
        checks.agreement(one, found),
        checks.stability(row, one, near),
        checks.randomised(one, unlearnt),
    ]


def _score(own: Sequence[checks.Check]) -> tuple[int, int]:
    """How far a method is to be believed: the fewest checks failed, then the most passed."""
    return -sum(c.passed is False for c in own), sum(c.passed is True for c in own)


def _verdict(own: Sequence[checks.Check]) -> str:
    failed = [c for c in own if c.passed is False]
    if failed:
        return "do not trust this one: " + "; ".join(c.says for c in failed)
    passed = [c.name for c in own if c.passed]
    return f"it passed {', '.join(passed)}" if passed else "nothing about it could be checked"


def _baseline_named(row: Row) -> str:
    kinds = {unit.kind for unit in row.units}
    said = {
        "column": "a column is set to the median or the most frequent value of the data's rows",
        "word": "a word is left out (for gradients: its vector is faded to that of padding)",
        "region": "a region is set to the mean colour of training pictures",
        "stretch": "a stretch is set to the series' own mean",
    }
    return "; ".join(text for kind, text in said.items() if kind in kinds)


def _pictures(row: Row, best: Attribution | None, found: Sequence[Attribution]) -> list[dict[str, Any]]:
    """Finer pictures of what the best method and Grad-CAM say: heat of a grid, and the lines of a series."""
    drawn = []
    for column in row.encoders.columns:
        name, shape = input_of(column), row.encoders.modality(column).shape()
        for one in found:
            if one is not best and one.method != "Grad-CAM" and not (best is not None and not best.values):
                continue
            if isinstance(shape, GridShape) and (heat := _heat(row, one, name, "pixels", best)) is not None:
                drawn.append(
                    {
                        "column": column,
                        "method": one.method,
                        "kind": "grid",
                        "heat": np.asarray(heat, np.float64).sum(axis=0).round(6).tolist(),
                        "pixels": row.arrays[f"{name}.pixels"][0].astype(np.float64).round(3).tolist(),
                    }
                )
            elif isinstance(shape, SeqShape) and (heat := _heat(row, one, name, "values", best)) is not None:
                length = int(row.arrays[f"{name}.length"][0])
                drawn.append(
                    {
                        "column": column,
                        "method": one.method,
                        "kind": "series",
                        "heat": np.asarray(heat, np.float64)[:length].sum(axis=1).tolist(),
                        "line": row.arrays[f"{name}.values"][0, :length, 0].astype(np.float64).tolist(),
                    }
                )
    return drawn


def _heat(row: Row, one: Attribution, name: str, part: str, best: Attribution | None) -> Array | None:
    """What a method says of single pixels (C,H,W) or steps (T,D); of the best one else what it says of whole parts."""
    whole = row.arrays.get(f"{name}.{part}")
    if (fine := one.values.get(f"{name}.{part}")) is not None or one is not best or whole is None:
        return fine
    heat = np.zeros((1, *whole.shape[2:]) if part == "pixels" else (whole.shape[1], 1))
    for unit, value in zip(row.units, one.units, strict=True):
        if unit.name_of_input == name:
            top, *_ = unit.where
            own = (
                heat[top : unit.where[1]]
                if part == "values"
                else heat[:, top : unit.where[2], unit.where[1] : unit.where[3]]
            )
            own += value / max(own.size, 1)
    return heat
