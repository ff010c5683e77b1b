"""Which name did the user mean?"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The member of `names` that is spelt most like `name`, or None where none is near.

    Example:
        >>> nearest("trian", ["train", "predict"])
        'train'
    """
    pool = {n.casefold(): n for n in names}
    found = get_close_matches(name.casefold(), list(pool), n=1, cutoff=0.5)
    return pool[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The advice that follows an unknown name: the nearest one, or the whole list.

    Example:
        >>> did_you_mean("trian", ["train", "predict"])
        "did you mean 'train'?"
    """
    known = list(names)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {near!r}?"
    shown = ", ".join(repr(n) for n in known[:20])
    return f"choose one of {shown}" + (f" and {len(known) - 20} more" if len(known) > 20 else "")
