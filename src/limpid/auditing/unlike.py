"""What does the model do on rows unlike its training rows: can its score tell them, and how sure is it of its answers?

Rows are made unlike on purpose, in several ways (see `estranged`), and the score (see `apart`) has to tell them from
untouched rows; the model's own doubt is held beside it. Then the judged rows themselves: how many lie beyond the
threshold of the score, and is the model wrong more often there?

Legend of shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing import spans
from limpid.auditing.apart import BEYOND, Scale, Space
from limpid.auditing.estranged import KINDS
from limpid.auditing.findings import Finding, Level
from limpid.auditing.judged import Judged, again
from limpid.auditing.spans import NONE, Span
from limpid.core.contracts import Prediction
from limpid.core.forms import FIELDS
from limpid.core.seeds import generator
from limpid.planning.forecast import TASK as FORECASTING

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

EARLIER = "earlier windows of DATA"
OTHERS = "other rows of DATA"
"""What stands for the training rows where these are not known."""

FEWEST = 20  # rows that set the threshold, and that are judged by it
_ASIDE = 50  # held-out rows that are not judged from which they set the threshold alone
_MOST_TRAINING, _MOST_ASIDE, _MOST_CHANGED = 5_000, 5_000, 1_000
_LONG = 2  # where a row is more than a table's columns, so many times fewer
_LISTED = 20
_TELLS, _HARDLY = 0.8, 0.7  # ROC AUC
SURE = 0.9
"""A probability from which an answer counts as sure."""

_OFTEN = 0.5  # share of sure answers from which the model counts as sure
_AS_NARROW = 1.1  # width of an interval in units of the usual one
_STAYS = 0.05  # of the distance between answers to two rows: less than that is no change
_MANY, _MOST = 2 * BEYOND, 0.25  # share of judged rows beyond the threshold
_MILD = ("dealt", "jumbled", "backwards", "inverted")
"""Changes that may leave rows as the model could meet them: columns that have nothing to do with each other, say."""


@dataclass(frozen=True)
class Kind:
    """One way of making rows unlike.

    Args:
        name, said: of the change.
        rows: how many were changed.
        score: chance that the score is higher for a changed row than for an untouched one (ROC AUC).
        doubt: the same of the model's own doubt: its top probability, or the width of its interval; not defined for
            tasks without either.
        top, top_before: mean top probability on changed and on untouched rows; for classification.
        sure, sure_before: share of answers that it is at least 90 % sure of.
        width: of the interval, changed over untouched; for tasks with intervals.
        stays: whether the answers hardly change, so that the model does not rely on what was changed.
    """

    name: str
    said: str
    rows: int
    score: Span
    doubt: Span
    top: float | None
    top_before: float | None
    sure: Span | None
    sure_before: Span | None
    width: float | None
    stays: bool

    @property
    def is_sure(self) -> bool:
        """Whether it answers as if nothing were the matter."""
        if self.sure is not None:
            return (self.sure.value or 0.0) >= _OFTEN
        return self.width is not None and self.width <= _AS_NARROW

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "name": self.name,
            "what": self.said,
            "rows": self.rows,
            "score_roc_auc": self.score.as_dict(),
            "doubt_roc_auc": self.doubt.as_dict(),
            "top_probability": self.top,
            "top_probability_before": self.top_before,
            "sure": None if self.sure is None else self.sure.as_dict(),
            "sure_before": None if self.sure_before is None else self.sure_before.as_dict(),
            "width": self.width,
            "answers_stay": self.stays,
        }


@dataclass(frozen=True)
class Unlike:
    """What an audit says about rows unlike the training rows.

    Args:
        kinds: each way of making rows unlike.
        compared: which rows stand for the training rows.
        beyond: share of the judged rows beyond the threshold; 5 % are expected.
        usual: the same share of the rows that set the threshold.
        by: "share of wrong answers", or "mean loss" for tasks without classes.
        wrong, wrong_else: that beyond the threshold and below it.
        gap: the first minus the second.
        rows: of all rows that were asked for the most unlike: source row number, score over the threshold.
    """

    kinds: tuple[Kind, ...]
    compared: str
    beyond: Span
    usual: Span
    by: str
    wrong: Span
    wrong_else: Span
    gap: Span
    rows: tuple[tuple[int, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "kinds": [k.as_dict() for k in self.kinds],
            "compared_with": self.compared,
            "beyond": self.beyond.as_dict(),
            "beyond_usual": self.usual.as_dict(),
            "by": self.by,
            "wrong_beyond": self.wrong.as_dict(),
            "wrong_else": self.wrong_else.as_dict(),
            "wrong_gap": self.gap.as_dict(),
            "most_unlike": [{"row": row, "score": round(score, 4)} for row, score in self.rows],
        }


@dataclass(frozen=True)
class _Division:
    """Which rows are what, by position among all rows."""

    training: Array
    aside: Array  # they set the threshold
    judged: Array
    changed: Array  # they are made unlike
    compared: str


def measure(everything: Judged, mine: Array, *, own: bool, seed: int = 0) -> Unlike | None:
    """The score and its test; None where there are too few rows for it.

    Args:
        everything: rows with their parts.
        mine: positions of the judged ones.
        own: whether they are of the data that the run held out, and not of a file that may be of another kind.
        seed: of the changes.
    """
    division = _divided(everything, mine, own)
    if division is None:
        return None
    space = Space(everything.bundle, everything.take(division.training).arrays)
    held = np.union1d(division.aside, mine)
    distance = space(everything.take(held).arrays)
    scale = Scale(distance[np.isin(held, division.aside)])
    every = np.full(len(everything), np.nan)
    every[held] = scale(distance)
    judged = everything.take(division.judged)
    beyond, usual = (every[at] > scale.threshold for at in (division.judged, division.aside))
    wrong, others, gap = _wrong(judged, beyond)
    first = mine[np.argsort(-every[mine], kind="stable")[:_LISTED]]
    untouched = everything.take(division.changed)

    def score(arrays: Mapping[str, Array]) -> Floats:
        return scale(space(arrays))

    return Unlike(
        _kinds(untouched, every[division.changed], score, seed),
        division.compared,
        spans.rate(int(beyond.sum()), len(beyond)),
        spans.rate(int(usual.sum()), len(usual)),
        "share of wrong answers" if judged.classes else "mean loss",
        wrong,
        others,
        gap,
        tuple((int(everything.rows[n]), float(every[n] / (scale.threshold or 1.0))) for n in first),
    )


def _divided(everything: Judged, mine: Array, own: bool) -> _Division | None:
    """Training rows, rows that set the threshold, judged rows.

    Held-out rows of the training file set it where they are not judged themselves; else every second judged row does.
    Where the training rows are not known, other rows of DATA stand for them: earlier windows of a forecast, whose
    neighbours overlap, and of other rows three in five.
    """
    training = np.setdiff1d(np.flatnonzero(everything.part == "train"), mine)
    if len(training) >= FEWEST:
        held = np.setdiff1d(np.flatnonzero(np.isin(everything.part, ("valid", "test"))), mine)
        if len(held) >= _ASIDE:
            aside, judged = held, mine
        elif len(mine) >= 2 * FEWEST:
            aside, judged = np.union1d(held, mine[::2]), mine[1::2]
        else:
            aside, judged = np.union1d(held, mine), mine[:0]
        compared = "training rows"
    else:
        order = np.arange(len(mine))
        windows = everything.bundle.task.name == FORECASTING
        fold = order * 5 // max(len(mine), 1) if windows else order % 5
        training, aside, judged = mine[fold < 3], mine[fold == 3], mine[fold == 4]
        compared, own = EARLIER if windows else OTHERS, True
    if min(len(training), len(aside)) < FEWEST:
        return None
    part = 1 if set(everything.bundle.encoders.inputs.values()) == {FIELDS} else _LONG
    aside = _some(aside, _MOST_ASIDE // part)
    changed = np.union1d(aside, judged) if own else aside
    return _Division(
        _some(training, _MOST_TRAINING // part), aside, judged, _some(changed, _MOST_CHANGED // part), compared
    )


def _some(rows: Array, most: int) -> Array:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _kinds(
    untouched: Judged, before: Floats, score: Callable[[Mapping[str, Array]], Floats], seed: int
) -> tuple[Kind, ...]:
    doubt = _doubt(untouched, untouched.prediction)
    mark = np.repeat([False, True], len(untouched))
    found = []
    for name, said, change in KINDS:
        arrays = change(untouched, generator(seed, "audit", "unlike", name))
        if arrays is None:
            continue
        answers = again(untouched, arrays)
        after = _doubt(untouched, answers)
        classes = bool(untouched.classes)
        top, top_before = (None if d is None or not classes else float(1 - d.mean()) for d in (after, doubt))
        sure, sure_before = (
            None if d is None or not classes else spans.rate(int((1 - d >= SURE).sum()), len(d)) for d in (after, doubt)
        )
        width = None
        if not classes and after is not None and doubt is not None and doubt.mean() > 0:
            width = float(after.mean() / doubt.mean())
        found.append(
            Kind(
                name,
                said,
                len(untouched),
                spans.auc(mark, np.concatenate([before, score(arrays)])),
                NONE if doubt is None or after is None else spans.auc(mark, np.concatenate([doubt, after])),
                top,
                top_before,
                sure,
                sure_before,
                width,
                _stays(untouched, answers),
            )
        )
    return tuple(found)


def _doubt(judged: Judged, prediction: Prediction) -> Floats | None:
    """(N,) one minus the top probability, of several labels the mean over them; else the width of the interval."""
    if judged.classes:
        chance = np.asarray(prediction.values, dtype=np.float64)
        each = np.minimum(chance, 1 - chance)
        return np.asarray(each.mean(axis=1) if judged.labels else 1 - chance.max(axis=1))
    if prediction.lower is None or prediction.upper is None:
        return None
    width = np.asarray(prediction.upper, dtype=np.float64) - np.asarray(prediction.lower, dtype=np.float64)
    return np.asarray(np.nan_to_num(width.reshape(len(width), -1).mean(axis=1)))


def _stays(judged: Judged, answers: Prediction) -> bool:
    one, two = (np.asarray(p.values, dtype=np.float64).reshape(len(judged), -1) for p in (judged.prediction, answers))
    usual = np.abs(one - np.roll(one, len(one) // 2, axis=0)).mean()
    return bool(np.abs(one - two).mean() < _STAYS * usual)


def _wrong(judged: Judged, beyond: Array) -> tuple[Span, Span, Span]:
    """Share of wrong answers beyond and below the threshold and their difference; mean losses where none is wrong."""
    if not judged.classes:
        parts = judged.loss[beyond], judged.loss[~beyond]
        return spans.mean(parts[0]), spans.mean(parts[1]), spans.mean_gap(*parts)
    missed = judged.decided != (judged.target > 0 if judged.labels else judged.target)
    missed = missed.any(axis=1) if missed.ndim == 2 else missed
    first, second = (spans.rate(int(missed[at].sum()), int(at.sum())) for at in (beyond, ~beyond))
    return first, second, spans.rate_gap(first, second)


def findings_of(found: Unlike | None, rows: int) -> list[Finding]:
    """What the figures mean: one finding for each level of the changes, one for the judged rows.

    Args:
        found: the figures; None where there were too few rows.
        rows: that were judged.
    """
    if found is None:
        return [
            Finding(
                "unlike",
                "look",
                "too few rows to say what it does on rows unlike its training rows",
                f"{rows:,} rows; {FEWEST} are needed, and as many training rows",
                "audit it on more rows",
            )
        ]
    levels: dict[Level, list[Kind]] = {}
    for kind in found.kinds:
        levels.setdefault(level_of(kind), []).append(kind)
    return [_of_level(level, kinds, found.compared) for level, kinds in levels.items()] + _of_rows(found)


def level_of(kind: Kind) -> Level:
    """How grave it is what the model does on one kind of unlike rows."""
    tells, mild = (kind.score.value or 0.0) >= _TELLS, kind.name in _MILD
    if kind.stays:
        return "ok"
    if tells:
        return "look" if kind.is_sure and not mild else "ok"
    if kind.is_sure and not mild and (kind.score.value or 0.0) < _HARDLY:
        return "warning"
    return "look"


def _of_level(level: Level, kinds: Sequence[Kind], compared: str) -> Finding:
    figures = "; ".join(_told(k) for k in kinds)
    evidence = f"{figures} (score: distance from {compared} in its last hidden layer; 0.5: it cannot tell)"
    names = ", ".join(k.said for k in kinds)
    if level == "ok":
        told = [k.said for k in kinds if (k.score.value or 0.0) >= _TELLS]
        steady = [k.said for k in kinds if k.said not in told]
        pieces = [f"rows unlike the training rows are told by its score: {', '.join(told)}"] if told else []
        pieces += [f"its answers do not rest on what was changed: {', '.join(steady)}"] if steady else []
        return Finding("unlike", level, "; ".join(pieces), evidence)
    if level == "warning":
        what = f"it is sure of its answers on rows like none that it has seen, and its score cannot tell them: {names}"
        advice = "check inputs before they reach it: ranges, known values, the kind of picture or text"
        return Finding("unlike", level, what, evidence, advice)
    sure = [k.said for k in kinds if k.is_sure and (k.score.value or 0.0) >= _TELLS]
    vague = [k.said for k in kinds if k.said not in sure]
    pieces = []
    if vague:
        pieces.append(f"its score hardly tells rows unlike the training rows: {', '.join(vague)}")
    if sure:
        pieces.append(f"it is sure of its answers on rows like none that it has seen, though its score tells them: "
                      f"{', '.join(sure)}")  # fmt: skip
    advice = "do not take a high probability or a narrow interval for a sign that a row is of the usual kind; " + (
        "check ranges and known values before asking it" if vague else "audit new data before relying on the answers"
    )
    return Finding("unlike", level, "; ".join(pieces), evidence, advice)


def _told(kind: Kind) -> str:
    said = f"{kind.said}: ROC AUC {kind.score}"
    if kind.doubt.value is not None:
        said += f", by its own doubt {kind.doubt.value:.3f}"
    if kind.sure is not None and kind.sure_before is not None:
        said += f", mean top probability {kind.top:.2f} ({kind.top_before:.2f} untouched)"
        said += f", sure of {kind.sure.value or 0.0:.0%} ({kind.sure_before.value or 0.0:.0%})"
    elif kind.width is not None:
        said += f", interval {kind.width:.3g} times as wide"
    return said + (", its answers stay as they are" if kind.stays else "")


def _of_rows(found: Unlike) -> list[Finding]:
    if found.beyond.value is None or found.compared == OTHERS:
        return []  # rows of DATA lie among rows of DATA as often as expected, whatever they are
    beyond, gap = found.beyond, spans.rate_gap(found.beyond, found.usual)
    assert beyond.value is not None
    evidence = (
        f"{beyond} of {beyond.count:,} rows lie further from {found.compared} than 95 of 100 of the "
        f"{found.usual.count:,} held-out rows that set the threshold"
    )
    more = gap.low is not None and gap.low > 0
    level: Level = "ok"
    what = f"no more rows than expected are unlike the {found.compared}"
    if more and beyond.value >= _MANY:
        level = "warning" if beyond.value >= _MOST and found.compared != EARLIER else "look"
        what = f"{beyond.value:.0%} of the rows are unlike the {found.compared}"
    advice = "look at the rows in most_unlike of audit.json: what is new in them? Train with rows of their kind"
    findings = [Finding("unlike", level, what, evidence, advice)]
    if found.wrong.value is not None and found.wrong.count >= FEWEST // 2:
        told = f"{found.by} beyond the threshold {found.wrong} on {found.wrong.count:,} rows, else {found.wrong_else}; "
        told += f"difference {found.gap}"
        sure = found.gap.low is not None and found.gap.low > 0
        findings.append(
            Finding(
                "unlike",
                "look" if sure else "ok",
                "it is wrong more often on the rows that are most unlike its training rows"
                if sure
                else "it is not surely wrong more often on the rows that are most unlike its training rows",
                told,
                "trust its answers less on such rows; most_unlike of audit.json lists them",
            )
        )
    return findings
