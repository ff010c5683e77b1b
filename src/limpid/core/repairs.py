"""What was mended on the way, counted, so that nothing is changed or left out in silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Repair:
    """One kind of repair in one place.

    Args:
        where: the column or file.
        what: what was done, in the past tense ("could not be read as a number, taken as missing").
        count: rows or cells it was done to.
        example: one value or row it was done to.
    """

    where: str
    what: str
    count: int
    example: str


@dataclass
class Repairs:
    """A tally that encoders and readers add to.

    Attributes:
        rejected: positions of cells, within the column that is just being encoded, that cannot be read at all, with
            the reason; whoever asked for the encoding takes them out again.
    """

    _counts: dict[tuple[str, str], Repair] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)

    def add(self, where: str, what: str, count: int, example: object = "") -> None:
        """Count `count` further cases; nothing happens for zero."""
        if count == 0:
            return
        old = self._counts.get((where, what))
        shown = str(example)[:80] if old is None else old.example
        self._counts[(where, what)] = Repair(where, what, count + (old.count if old else 0), shown)

    def reject(self, position: int, reason: str) -> None:
        """Mark a cell that cannot be read: its row is left out of a training and has no answer."""
        self.rejected.setdefault(position, reason)

    def take_rejected(self) -> dict[int, str]:
        """The rejected cells of the column that was encoded last, which are forgotten here."""
        found, self.rejected = self.rejected, {}
        return found

    def __iter__(self) -> Iterator[Repair]:
        return iter(self._counts.values())

    def __len__(self) -> int:
        return len(self._counts)

    def merge(self, other: Repairs) -> None:
        """Add another tally to this one."""
        for repair in other._counts.values():
            self.add(repair.where, repair.what, repair.count, repair.example)

    def as_list(self) -> list[dict[str, str | int]]:
        """The tally as JSON."""
        return [
            {"where": r.where, "what": r.what, "count": r.count, "example": r.example} for r in self._counts.values()
        ]
