"""`limpid audit`: whom a model treats worse, what it learnt by mistake, when not to trust it."""

from __future__ import annotations

from typing import Annotated

import typer

from limpid.cli import options
from limpid.cli.output import answer, say, say_repairs
from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean

_FAIL_ON = ("look", "warning", "fault")
_FAILED = 1


def audit(
    run: options.RunPath,
    data: options.Data,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="COL",
            help="Compare groups by this column; repeatable, also for columns that the model does not read.",
            show_default=False,
        ),
    ] = None,
    mitigate: Annotated[
        bool,
        typer.Option(
            "--mitigate",
            help="Train anew in ways that treat the groups alike, and show accuracy against gap (some five trainings).",
        ),
    ] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="LEVEL",
            help="Exit with 1 on a finding of this level or worse: look, warning, fault.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Look for unequal treatment, leaks, wrong confidence, weak spots."""
    if fail_on is not None and fail_on not in _FAIL_ON:
        raise RequestError(
            f"there is no level {fail_on!r}",
            where="--fail-on",
            expected=", ".join(_FAIL_ON),
            fix=did_you_mean(fail_on, _FAIL_ON),
        )
    from limpid import api

    found = api.audit(run, data, group=group or [], mitigate=mitigate)
    say_repairs(found.repairs)
    if json:
        answer(found.as_dict())
    else:
        found.show()
    levels = ("ok", *_FAIL_ON)
    if fail_on is not None and levels.index(found.worst) >= levels.index(fail_on):
        say(f"the gravest finding is of level {found.worst}, and --fail-on is {fail_on}")
        raise typer.Exit(_FAILED)
