"""`limpid compare`: runs side by side, the best first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limpid.cli import options
from limpid.cli.output import answer


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Put runs side by side, the best first."""
    from limpid import api

    found = api.compare(list(runs))
    if json:
        answer(found.as_dict())
    else:
        found.show()
