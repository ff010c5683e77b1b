"""Which kind of column each one is: every modality may claim it, and the strongest claim wins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from limpid.core.schema import ColumnFacts, Recognition

Recognisers = Mapping[str, Callable[[ColumnFacts], Recognition | None]]
"""Kind -> the `recognise` of its modality, in the catalogue's order."""

UNREAD = frozenset({"key", "constant"})
"""Kinds that no net reads."""


def claims(facts: ColumnFacts, recognisers: Recognisers) -> list[tuple[str, Recognition]]:
    """All claims on a column, the strongest first; of equal ones the first in the catalogue."""
    made = [(kind, claim) for kind, recognise_ in recognisers.items() if (claim := recognise_(facts)) is not None]
    return sorted(made, key=lambda pair: -pair[1].strength)


def recognise(facts: ColumnFacts, recognisers: Recognisers) -> tuple[str, Recognition]:
    """The kind of one column.

    Args:
        facts: what was counted in it.
        recognisers: the modalities' claims.

    Returns:
        The kind and its evidence; "text" where nothing claims the column.
    """
    made = claims(facts, recognisers)
    return made[0] if made else ("text", Recognition(0.0, "nothing else fits"))


def recognise_all(
    facts: Sequence[ColumnFacts], recognisers: Recognisers, *, targets: Collection[str] = ()
) -> dict[str, tuple[str, Recognition]]:
    """The kinds of all columns of a table.

    Where no column but the targets is left for a net to read, a key is given to its next strongest claim: a table of
    one running number and a target is about that number.

    Args:
        facts: of every column.
        recognisers: the modalities' claims.
        targets: names of the target columns, where they are known.
    """
    kinds = {f.name: recognise(f, recognisers) for f in facts}
    inputs = [f for f in facts if f.name not in targets]
    if all(kinds[f.name][0] in UNREAD for f in inputs):
        for f in inputs:
            other = [c for c in claims(f, recognisers) if c[0] not in UNREAD]
            if kinds[f.name][0] == "key" and other:
                kind, claim = other[0]
                because = f"{claim.because}; it looks like a key, but no other input is left"
                kinds[f.name] = (kind, Recognition(claim.strength, because, claim.options))
    return kinds
