"""Which name did the user mean?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from limpid.core.errors import RequestError


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


def unknown_column(name: str, columns: Collection[str], *, where: str, of: str = "") -> RequestError:
    """The error for a column that is not there.

    Args:
        name: what was asked for.
        columns: those that there are.
        where: the option or the setting that asked for it.
        of: name of the table; "the data" by default.

    Example:
        >>> print(unknown_column("aeg", ["age", "job"], where="--group aeg", of="people.csv").fix)
        did you mean 'age'?
    """
    return RequestError(
        f"{f'{of} has' if of else 'the data have'} no column {name!r}",
        where=where,
        expected=f"one of {'its' if of else 'the'} {len(columns)} columns",
        fix=did_you_mean(name, columns),
    )
