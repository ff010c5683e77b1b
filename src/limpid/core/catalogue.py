"""How a list of components is kept: name, where it lives, one sentence; readable without importing any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean


@dataclass(frozen=True)
class Entry:
    """One line of a catalogue.

    Args:
        name: what users write.
        target: "package.module:Class".
        sentence: what it is, for help and docs.
    """

    name: str
    target: str
    sentence: str


@cache
def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


class Catalogue:
    """A closed list of components; a name that is not in it is an error with the nearest one."""

    def __init__(self, noun: str, entries: Sequence[Entry]) -> None:
        names = [e.name for e in entries]
        assert len(set(names)) == len(names), f"two entries of one name in the catalogue of {noun}s"
        self.noun = noun
        self._entries = {e.name: e for e in entries}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """The names in the catalogue's order."""
        return list(self._entries)

    def load(self, name: str, *, where: str) -> Any:
        """Import and return the component called `name`.

        Args:
            name: its name.
            where: the option or field that the user wrote it in.

        Raises:
            RequestError: for a name that is not listed.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise RequestError(
                f"there is no {self.noun} called {name!r}",
                where=where,
                expected=f"one of {', '.join(self.names)}",
                fix=did_you_mean(name, self.names),
            )
        return _load(entry.target)
