"""Does the run come out again? The losses of its first steps, or the weights of a net that is solved without steps.

The same plan, data, seed and number of threads give the same bits on the same machine type and versions. Where one of
these differs the last bits may, so the figures are then compared by size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from limpid.auditing.findings import Finding

ALIKE = 1e-6
"""Losses that differ by this share of themselves differ by rounding alone."""

ALIKE_ELSEWHERE = 1e-3
"""The same where the machine or a version differs: rounding grows from step to step."""

EDITED = "plan.yaml"
"""How a cause begins that is no matter of the machine."""

_AGAIN = "train again from the plan and compare: limpid train --recipe plan.yaml"


@dataclass(frozen=True)
class Replay:
    """What a run recorded, and what came out again.

    Args:
        of: "losses" of steps, or "weights".
        recorded, replayed: losses of the same steps; empty for weights.
        gap: the largest relative difference; None where nothing was replayed.
        first: the first step whose loss differs, None where none does, or for weights.
        setting: the rows, seed and device of the replay, in words.
        differs: what differs between then and now, in words.
        why: why nothing was replayed, or "".
    """

    of: Literal["losses", "weights"] = "losses"
    recorded: tuple[float, ...] = ()
    replayed: tuple[float, ...] = ()
    gap: float | None = None
    first: int | None = None
    setting: str = ""
    differs: tuple[str, ...] = ()
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return asdict(self)


def compared(
    recorded: Sequence[float], replayed: Sequence[float], setting: str = "", differs: Sequence[str] = ()
) -> Replay:
    """Losses of the same steps side by side.

    Example:
        >>> compared([0.5, 0.4], [0.5, 0.3]).first
        2
    """
    pairs = list(zip(recorded, replayed, strict=False))
    gaps = [0.0 if a == b else abs(a - b) / max(abs(a), abs(b)) for a, b in pairs]
    first = next((n for n, gap in enumerate(gaps, 1) if gap), None)
    if len(recorded) != len(replayed):  # the one of them was ended by what the other did not meet
        gaps.append(1.0)
        first = first or len(pairs) + 1
    return Replay("losses", tuple(recorded), tuple(replayed), max(gaps), first, setting, tuple(differs))


def findings_of(replay: Replay) -> list[Finding]:
    """What a replay means."""
    if replay.gap is None:
        return [
            Finding(
                "reproducibility",
                "look",
                "whether the run comes out again was not checked",
                replay.why,
                "audit the run folder where the files of the run stand as they were",
            )
        ]
    differs = ("; different from then: " + ", ".join(replay.differs)) if replay.differs else ""
    if replay.gap == 0.0:
        what = "the first steps of the training" if replay.of == "losses" else "the weights"
        return [
            Finding(
                "reproducibility", "ok", f"replayed, {what} come out the same, bit for bit", f"{_told(replay)}{differs}"
            )
        ]
    elsewhere = any(not cause.startswith(EDITED) for cause in replay.differs)
    alike = ALIKE_ELSEWHERE if elsewhere else ALIKE
    of = "losses of the first steps" if replay.of == "losses" else "weights"
    at = f", from step {replay.first} on" if replay.first is not None else ""
    evidence = f"{_told(replay)}; largest relative difference {replay.gap:.2g}{at}{differs}"
    if replay.gap <= alike:
        why = "the last bits depend on the machine type, the versions and the number of threads"
        return [Finding("reproducibility", "look", f"replayed, the {of} are nearly the same", evidence, why)]
    what = f"replayed, step {replay.first} has another loss" if replay.first else "replayed, the weights are others"
    return [Finding("reproducibility", "warning", what, evidence, _AGAIN)]


def _told(replay: Replay) -> str:
    if replay.of == "weights":
        return f"solved anew on {replay.setting}"
    then, now = (", ".join(f"{loss:.9g}" for loss in losses) for losses in (replay.recorded, replay.replayed))
    same = f"losses {then}" if then == now else f"losses {then} then, {now} now"
    return f"{same} ({replay.setting})"
