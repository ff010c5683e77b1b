"""Which cells of a column are shown first: one of each group, then a second one of each."""

from __future__ import annotations

from collections.abc import Sequence


def in_turn(places: Sequence[int], groups: Sequence[str | None] | None) -> list[int]:
    """Places so that each group has its first one before any has its second.

    Args:
        places: positions of cells, rising.
        groups: of each cell of the column its group; None for no groups.

    Example:
        >>> in_turn([0, 1, 2, 3], ["a", "a", "b", "a"])
        [0, 2, 1, 3]
    """
    seen: dict[str | None, int] = {}
    turns = []
    for place in places:
        group = groups[place] if groups else str(place)
        turns.append((seen.get(group, 0), place))
        seen[group] = seen.get(group, 0) + 1
    return [place for _, place in sorted(turns)]
