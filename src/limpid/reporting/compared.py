"""The network beside its baselines: the figures of metrics.json in one order, and who won, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limpid.reporting.wording import LOWER_IS_BETTER, listing, mapping, metric_title, plain, real, score


@dataclass(frozen=True)
class Line:
    """One contender.

    Args:
        name: what people call it.
        ours: whether it is the network.
        values: metric -> value on the judged part.
        intervals: metric -> (low, high), for the network.
        seconds: what its training took.
        note: a word on how it was trained.
        valid: metric -> value on the validation rows.
    """

    name: str
    ours: bool
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float | None = None
    note: str = ""
    valid: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Contest:
    """Everything that was compared.

    Args:
        part: the part of the data that judges ("test", or "valid" where there is no test part).
        metric: the metric that judges.
        metrics: all metrics, that one first.
        lines: the network first, then the baselines from the best to the worst.
        verdict: who won, in plain words.
        warning: a sentence that must be read before the verdict, where a baseline won and the verdict does not name it.
        behind: whether a baseline won.
    """

    part: str
    metric: str
    metrics: list[str]
    lines: list[Line]
    verdict: str
    warning: str
    behind: bool


def contest(record: Mapping[str, Any]) -> Contest:
    """Read metrics.json.

    Args:
        record: its content; missing pieces are left out, never an error.
    """
    measured = mapping(record.get("metrics"))
    part = str(record.get("judged") or ("test" if mapping(measured.get("test")) else "valid"))
    ours = _values(measured.get(part))
    metric = str(record.get("metric") or next(iter(ours), ""))
    names = [metric, *[m for m in ours if m != metric]] if metric else list(ours)
    spans = {
        name: (low, high)
        for name, span in mapping(mapping(record.get("intervals")).get(part)).items()
        if len(s := listing(span)) == 2 and (low := real(s[0])) is not None and (high := real(s[1])) is not None
    }
    network = Line(
        f"network ({plain(record.get('net'), 24)})",
        True,
        ours,
        spans,
        real(record.get("seconds")),
        "",
        _values(measured.get("valid")),
    )
    baselines = []
    for name, entry in mapping(record.get("baselines")).items():
        held = mapping(mapping(entry).get("metrics"))
        values = _values(held.get(part))
        baselines.append(
            Line(
                plain(name, 30),
                False,
                values,
                {},
                real(mapping(entry).get("seconds")),
                plain(mapping(entry).get("note"), 200),
                _values(held.get("valid")),
            )
        )
    lower = _lower(record, metric)
    worst = float("inf")
    baselines.sort(
        key=lambda line: (line.values[metric] if lower else -line.values[metric]) if metric in line.values else worst
    )
    warning = _beaten(network, baselines, metric, lower)
    verdict = plain(record.get("verdict"), 1200) or _verdict(network, baselines, metric, part, lower)
    behind = bool(warning)
    if behind and baselines[0].name.casefold() in verdict.casefold():
        warning = ""
    return Contest(part, metric, names, [network, *baselines], verdict, warning, behind)


def _lower(record: Mapping[str, Any], metric: str) -> bool:
    better = record.get("greater_is_better")
    return not better if isinstance(better, bool) else metric in LOWER_IS_BETTER


def _values(held: object) -> dict[str, float]:
    return {str(name): value for name, v in mapping(held).items() if (value := real(v)) is not None}


def _beaten(network: Line, baselines: list[Line], metric: str, lower: bool) -> str:
    """A sentence if a baseline is better than the network; "" otherwise."""
    ours = network.values.get(metric)
    if ours is None or not baselines or metric not in baselines[0].values:
        return ""
    best = baselines[0]
    theirs = best.values[metric]
    if (theirs >= ours) if lower else (theirs <= ours):
        return ""
    span = network.intervals.get(metric)
    within = span is not None and span[0] <= theirs <= span[1]
    clear = (
        "which lies within the network's 95 % interval, so neither is clearly better"
        if within
        else "a clear lead: use the baseline unless the network brings something else"
    )
    figures = f"{metric_title(metric)} {score(theirs)} against {score(ours)} of the network"
    return f"The baseline “{best.name}” is ahead: {figures}, {clear}."


def _verdict(network: Line, baselines: list[Line], metric: str, part: str, lower: bool) -> str:
    ours = network.values.get(metric)
    if ours is None:
        return "This run has no figures on held-out rows yet."
    said = f"{metric_title(metric)} {score(ours)} on the {part} rows"
    if span := network.intervals.get(metric):
        said += f" (95 % interval {score(span[0])} to {score(span[1])})"
    if not baselines or metric not in baselines[0].values:
        return f"{said}; no baselines were trained, so there is nothing to compare it with."
    best = baselines[0]
    order = "ahead of" if (ours < best.values[metric] if lower else ours > best.values[metric]) else "behind"
    return f"{said}, {order} the best baseline, {best.name}, with {score(best.values[metric])}."
