"""How learnt state is read back from a file that may be damaged or hostile: every field typed, bounded and finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NoReturn

from limpid.core.errors import BundleError
from limpid.core.spec import Spec


class Stored:
    """A mapping of unknown origin whose fields are taken one by one, and which must hold no others.

    Args:
        state: what the file held.
        where: what it is the state of, for the messages ("number 'age'").

    Raises:
        BundleError: it is not a mapping.

    Example:
        >>> Stored({"center": 1.5}, where="number").number("center")
        1.5
    """

    def __init__(self, state: object, *, where: str) -> None:
        self.where = where
        self._taken: set[str] = set()
        if not isinstance(state, Mapping) or not all(isinstance(k, str) for k in state):
            self.refuse("it is not a mapping of names to values", "an object as limpid writes it")
        self._state: Mapping[str, Any] = state

    def refuse(self, what: str, expected: str) -> NoReturn:
        """Raise the error that all fields share.

        Raises:
            BundleError: always.
        """
        raise BundleError(
            f"the stored state of {self.where} cannot be used: {what}",
            where=f"encoders, {self.where}",
            expected=expected,
            fix="restore the model from a copy, or train it again",
        )

    def take(self, name: str) -> Any:
        """The raw value of a field that must be there."""
        if name not in self._state:
            self.refuse(f"{name!r} is missing", f"a field {name!r}")
        self._taken.add(name)
        return self._state[name]

    def done(self) -> None:
        """Refuse fields that were not taken."""
        surplus = sorted(set(self._state) - self._taken)
        if surplus:
            self.refuse(f"unknown field {surplus[0][:80]!r}", f"only {', '.join(sorted(self._taken))}")

    def text(self, name: str, *, limit: int = 1000) -> str:
        """A text of at most `limit` characters."""
        return self._text(self.take(name), name, limit)

    def _text(self, value: object, name: str, limit: int) -> str:
        # A lone surrogate is valid JSON but cannot be written as UTF-8 again.
        if not isinstance(value, str) or len(value) > limit or any("\ud800" <= c <= "\udfff" for c in value):
            self.refuse(f"{name!r} is not a text of at most {limit} characters", f"{name!r} as a text")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            self.refuse(f"{name!r} is not true or false", f"{name!r} as true or false")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number between two bounds, both included."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(f"{name!r} is not a whole number from {low} to {high}", f"{name!r} from {low} to {high}")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        return self._number(self.take(name), name)

    def _number(self, value: object, name: str) -> float:
        try:
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
        except OverflowError:
            pass  # a whole number beyond the range of float64
        self.refuse(f"{name!r} is not a finite number", f"{name!r} as finite numbers")

    def numbers(self, name: str, *, limit: int, rising: bool = False) -> list[float]:
        """A list of at most `limit` finite numbers; `rising` demands that each is larger than the one before."""
        values = self._list(name, limit)
        result = [self._number(v, name) for v in values]
        if rising and any(b <= a for a, b in pairwise(result)):
            self.refuse(f"{name!r} does not rise", f"{name!r} in rising order")
        return result

    def texts(self, name: str, *, limit: int, characters: int = 1000) -> list[str]:
        """A list of at most `limit` different texts."""
        result = [self._text(v, name, characters) for v in self._list(name, limit)]
        if len(set(result)) != len(result):
            self.refuse(f"{name!r} holds a text twice", f"different texts in {name!r}")
        return result

    def _list(self, name: str, limit: int) -> list[Any]:
        values = self.take(name)
        if not isinstance(values, list | tuple) or len(values) > limit:
            self.refuse(f"{name!r} is not a list of at most {limit} values", f"{name!r} as a list")
        return list(values)


def decided(spec: Spec, where: str) -> None:
    """Check that a stored spec has no `auto` left.

    Raises:
        BundleError: naming the first field that is undecided.
    """
    if autos := spec.autos():
        Stored({}, where=where).refuse(f"its setting {autos[0]!r} was never decided", "settings without 'auto'")
