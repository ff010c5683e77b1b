"""`limpid doctor`: is this installation sound?"""

from __future__ import annotations

import typer

from limpid.cli import options
from limpid.cli.output import answer

UNSOUND = 2


def doctor(json: options.Json = False) -> None:
    """Say whether this installation is sound."""
    from limpid import api

    found = api.doctor()
    if json:
        answer(found.as_dict())
    else:
        found.show()
    if not found.sound:
        raise typer.Exit(UNSOUND)
