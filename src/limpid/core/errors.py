"""What can go wrong, said so that the reader knows what to do next.

    LimpidError            four mandatory parts: what, where, expected, fix
    ├── RequestError       the command, an option or a `--set` is wrong
    ├── DataError          the data are wrong; `where` names the file, the row and the column
    ├── BundleError        a model file is damaged, hostile or of another version
    ├── RunError           a run folder is missing, busy, incomplete or of another plan
    └── TrainingError      the training cannot go on (it diverged, or does not fit into memory)

All of them end the command line with exit status 2; anything else is a fault of ours and ends with 1.
"""

from __future__ import annotations

from collections.abc import Sequence


class LimpidError(Exception):
    """A mistake that the user can mend, in four parts.

    Args:
        what: what is wrong, one sentence.
        where: the file, row, column, option or field it is wrong in.
        expected: what would have been right.
        fix: the next thing to do, a command where there is one.
    """

    def __init__(self, what: str, *, where: str, expected: str, fix: str) -> None:
        for name, part in (("what", what), ("where", where), ("expected", expected), ("fix", fix)):
            assert part.strip(), f"an error without its {name!r} part"
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  where:    {self.where}\n  expected: {self.expected}\n  fix:      {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only parts do not survive the default pickling of exceptions, which process pools rely on.
        return (_rebuild, (type(self), self.what, self.where, self.expected, self.fix))

    def parts(self) -> dict[str, str]:
        """The four parts as a dictionary, for `--json` and for the studio."""
        return {"what": self.what, "where": self.where, "expected": self.expected, "fix": self.fix}


def _rebuild(kind: type[LimpidError], what: str, where: str, expected: str, fix: str) -> LimpidError:
    return kind(what, where=where, expected=expected, fix=fix)


class RequestError(LimpidError):
    """The command, an option or a `--set` is wrong."""


class DataError(LimpidError):
    """The data are wrong."""


class BundleError(LimpidError):
    """A model file is damaged, hostile or of another version."""


class RunError(LimpidError):
    """A run folder is missing, busy, incomplete or belongs to another plan."""


class TrainingError(LimpidError):
    """The training cannot go on."""


def raise_together(problems: Sequence[LimpidError]) -> None:
    """Raise nothing for no problem, the problem itself for one, and one error that lists them all for several.

    The joint error has the class of the first problem.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    kind = type(problems[0])
    raise kind(
        f"{len(problems)} problems:\n" + "\n".join(f"  {n}. {p.what}" for n, p in enumerate(problems, 1)),
        where="; ".join(dict.fromkeys(p.where for p in problems)),
        expected="; ".join(dict.fromkeys(p.expected for p in problems)),
        fix="; ".join(dict.fromkeys(p.fix for p in problems)),
    )
