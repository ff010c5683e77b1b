"""`limpid explain`: why the model answered so, or what it looks at on the whole."""

from __future__ import annotations

from typing import Annotated

import typer

from limpid.cli import options
from limpid.cli.output import give, say_repairs


def explain(
    run: options.RunPath,
    data: options.Data,
    row: Annotated[
        int | None,
        typer.Option(
            "--row", metavar="N", min=0, help="One row of DATA, counted from 0; by default the whole model.",
            show_default=False,
        ),
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(
            "--fixed", metavar="COL", help="A column that what turns the answer leaves alone; repeatable.",
            show_default=False,
        ),
    ] = None,
    surface: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--surface", metavar="COL COL", show_default=False,
            help="Two columns over which the answer is drawn; by default those that matter most.",
        ),
    ] = None,
    json: options.Json = False,
    html: options.Html = None,
) -> None:  # fmt: skip
    """Say why the model answered so for one row, or what it looks at on the whole."""
    from limpid import api

    found = api.explain(run, data, row=row, fixed=fixed or (), surface=surface)
    say_repairs(found.repairs)
    give(found, as_json=json, html=html)
