"""`limpid inspect`: look at data before anything is learnt from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limpid.cli import options
from limpid.cli.output import answer, say


def inspect(
    data: options.Data,
    target: options.InspectTarget = None,
    json: options.Json = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page.", show_default=False, rich_help_panel=options.SHOW),
    ] = None,
) -> None:
    """Look at data: columns, missing values, links, leaks."""
    from limpid import api

    found = api.inspect(data, target=target)
    if html is not None:
        found.html(html)
        say(f"page    {html}")
    if json:
        answer(found.as_dict())
    elif html is None:
        found.show()
