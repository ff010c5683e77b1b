"""Which gaps between groups matter? Findings from tables of groups.

A gap is a warning only where it is large and its interval says that it is no luck; what is sure but small, or large but
unsure, is for a person to look at.
"""

from __future__ import annotations

from collections.abc import Sequence

from limpid.auditing.fairness import Fairness
from limpid.auditing.findings import LEVELS, Finding, Level
from limpid.auditing.spans import Span

LARGE = 0.1
"""A difference of rates from which it weighs: ten points."""

SMALL = 0.05
"""A difference of rates from which a person should look, if it is sure."""

FOUR_FIFTHS = 0.8
_LARGE_ERROR = 0.25  # by which share the error of a group is above that of another

_MEASURES = {
    "demographic_parity": ("are chosen less often", "demographic parity difference"),
    "equal_opportunity": ("are recognised less often where it is true", "equal opportunity difference"),
    "fpr": ("are wrongly taken for {positive} more often", "false positive rate difference"),
    "accuracy": ("get fewer right answers", "accuracy difference"),
    "precision": ("are less often rightly called {positive}", "precision difference"),
}


def findings_of(tables: Sequence[Fairness]) -> list[Finding]:
    """One finding for each measure that is out of line, of the class where the gap is greatest; one at level ok for a
    grouping where none is.

    Args:
        tables: of one grouping: one, or one for each class.
    """
    first = tables[0]
    large = sum(g.decides for g in first.groups)
    if large < 2:
        sizes = ", ".join(f"{g.name} {g.rows:,}" for g in first.groups[:6])
        return [
            Finding(
                "fairness",
                "ok" if " x " in first.column else "look",
                f"the groups of {first.column} are too small to compare",
                f"rows: {sizes}; a group needs 30",
                "gather more rows of each group before relying on the model for them",
            )
        ]
    found = _classes(tables) if "demographic_parity" in first.gaps else _errors(first)
    if not found:
        found = [
            Finding(
                "fairness",
                "ok",
                f"no gap between the groups of {first.column} is both large and sure",
                "; ".join(f"{n.replace('_', ' ')} {g}" for n, g in first.gaps.items() if g.value is not None),
            )
        ]
    if first.is_input and " x " not in first.column:
        found.append(
            Finding(
                "fairness",
                "look",
                f"the model reads {first.column}",
                "it is among the model's input columns",
                "ask whether the law and the use allow that; without it: "
                f"--set data.columns.{_path(first.column)}.use=false, though other columns may stand for it",
            )
        )
    return found


def _classes(tables: Sequence[Fairness]) -> list[Finding]:
    found = []
    for measure, (said, title) in _MEASURES.items():
        several = tables if measure != "accuracy" else tables[:1]
        each = [(*_graver(t, measure), t) for t in several if measure in t.pairs]
        if not each:
            continue
        level, gap, pair, table = max(each, key=lambda e: (LEVELS.index(e[0]), e[1].value or 0.0))
        if level == "ok":
            continue
        low, high = pair if measure != "fpr" else pair[::-1]
        what = f"{_of(table, low)} {said.format(positive=repr(table.positive))} than {_of(table, high)}"
        if (gap.low or 0.0) <= 0:
            if " x " in table.column:
                continue  # among many small groups some are always far apart
            what += ", though this may be luck"
        evidence = f"{title} {gap}" + _each(table, measure, pair)
        if measure == "demographic_parity":
            evidence += _base(table)
        found.append(Finding("fairness", level, what, evidence, _advice(measure)))
    return found + [f for t in tables for f in [_ratio(t)] if f is not None][:1]


def _graver(table: Fairness, measure: str) -> tuple[Level, Span, tuple[str, str]]:
    """The level of a gap, and the pair of groups that it comes from: the furthest, or the surest where it is graver."""
    first = gap_level(table.gaps[measure])
    if measure in table.surest:
        gap, pair = table.surest[measure]
        if LEVELS.index(gap_level(gap)) >= LEVELS.index(first):
            return gap_level(gap), gap, pair
    return first, table.gaps[measure], table.pairs[measure]


def gap_level(gap: Span) -> Level:
    """How grave a difference of rates is."""
    if gap.value is None or gap.low is None:
        return "ok"
    sure = gap.low > 0
    if gap.value >= LARGE:
        return "warning" if sure else "look"
    return "look" if sure and gap.value >= SMALL else "ok"


def _ratio(table: Fairness) -> Finding | None:
    gap = table.gaps["demographic_parity_ratio"]
    if gap.value is None or gap.high is None or gap.value >= FOUR_FIFTHS:
        return None
    low, high = table.pairs["demographic_parity_ratio"]
    level: Level = "warning" if gap.high < FOUR_FIFTHS else "look"
    return Finding(
        "fairness",
        level,
        f"the four-fifths rule is {'broken' if level == 'warning' else 'perhaps broken'}: {_of(table, low)} against "
        f"{_of(table, high)}",
        f"selection rates of {table.positive!r} have the ratio {gap}; the rule asks for {FOUR_FIFTHS}" + _base(table),
        _advice("demographic_parity"),
    )


def _errors(table: Fairness) -> list[Finding]:
    """Regression, or accuracy alone."""
    found = []
    if "accuracy" in table.pairs and (graver := _graver(table, "accuracy"))[0] != "ok":
        level, gap, (low, high) = graver
        found.append(
            Finding(
                "fairness",
                level,
                f"{_of(table, low)} get fewer right answers than {_of(table, high)}",
                f"accuracy difference {gap}" + _each(table, "accuracy", (low, high)),
                _advice("accuracy"),
            )
        )
    if "error" in table.gaps and "error" in table.pairs:
        low, high = table.pairs["error"]
        gap = table.gaps["error"]
        least = next(g for g in table.groups if g.name == low).figures["error"].value or 0.0
        if gap.low is not None and gap.low > 0 and gap.value is not None and gap.value > _LARGE_ERROR / 2.5 * least:
            found.append(
                Finding(
                    "fairness",
                    "warning" if gap.value > _LARGE_ERROR * least else "look",
                    f"answers for {_of(table, high)} are further off than for {_of(table, low)}",
                    f"mean absolute error difference {gap}, mean absolute error of {low} {least:.3g}",
                    _advice("error"),
                )
            )
    if "bias" in table.pairs:
        low, high = table.pairs["bias"]
        gap = table.gaps["bias"]
        typical = max((g.figures["error"].value or 0.0) for g in table.groups if g.decides)
        if gap.low is not None and gap.low > 0 and gap.value is not None and gap.value > LARGE * typical:
            found.append(
                Finding(
                    "fairness",
                    "warning" if gap.value > _LARGE_ERROR * typical else "look",
                    f"answers for {_of(table, low)} are too low compared with {_of(table, high)}",
                    f"difference of the mean error {gap}",
                    _advice("error"),
                )
            )
    if "coverage" in table.pairs and (graver := _graver(table, "coverage"))[0] != "ok":
        level, gap, (low, high) = graver
        found.append(
            Finding(
                "fairness",
                level,
                f"the 90 % interval holds less often for {_of(table, low)} than for {_of(table, high)}",
                f"coverage difference {gap}" + _each(table, "coverage", (low, high)),
                "do not rely on the interval for that group; calibrate it on rows of each group",
            )
        )
    return found


def _of(table: Fairness, group: str) -> str:
    return f"rows with {table.column} {group}"


def _each(table: Fairness, measure: str, pair: tuple[str, str]) -> str:
    """The rate of both groups."""
    rate = {"demographic_parity": "selection_rate", "equal_opportunity": "tpr"}.get(measure, measure)
    known = {g.name: g.figures[rate] for g in table.groups}
    return "".join(f"; {name} {known[name]}" for name in pair)


def _base(table: Fairness) -> str:
    gap = table.gaps["observed"]
    return f"; in the data themselves the shares of {table.positive!r} differ by {gap}" if gap.value is not None else ""


def _advice(measure: str) -> str:
    if measure == "demographic_parity":
        return (
            "decide whether equal shares are wanted here; thresholds of each group (see mitigation) narrow the gap, at "
            "the cost that is shown there"
        )
    if measure in ("equal_opportunity", "fpr"):
        return (
            "see mitigation for what thresholds of each group would change; look for missing or poorer data of a group"
        )
    return "gather more or better rows of the group that fares worse, and look for columns that say less about it"


def _path(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f"'{name}'"
