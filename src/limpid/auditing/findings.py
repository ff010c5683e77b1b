"""What is a finding, and how grave is it?

ok       looked at, and nothing is wrong
look     a person should decide whether it matters
warning  the figures say that something is wrong, and that it is no luck
fault    the model cannot be trusted as it is
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "look", "warning", "fault"]

LEVELS: tuple[Level, ...] = ("ok", "look", "warning", "fault")
"""From harmless to grave."""


@dataclass(frozen=True)
class Finding:
    """One thing that an audit looked at.

    Args:
        topic: what was looked at: fairness, proxies, mitigation, calibration, leaks, robustness, overfitting, privacy,
            slices, unlike, reproducibility or coverage.
        level: how grave it is.
        what: one sentence.
        evidence: the figures behind it.
        advice: what to do; empty where there is nothing to do.
    """

    topic: str
    level: Level
    what: str
    evidence: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """The finding as JSON."""
        return asdict(self)


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level among findings; ok where there are none.

    Example:
        >>> worst([Finding("leaks", "ok", "no leak", ""), Finding("leaks", "look", "copies", "3 rows")])
        'look'
    """
    return max((f.level for f in findings), key=LEVELS.index, default="ok")


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in falling order of their level, otherwise as they came."""
    return sorted(findings, key=lambda f: -LEVELS.index(f.level))
