"""`limpid trace`: one example through every step, forward and back."""

from __future__ import annotations

from typing import Annotated

import typer

from limpid.cli import options
from limpid.cli.output import give, say_repairs


def trace(
    run: options.RunPath,
    data: options.Data,
    row: Annotated[int, typer.Option("--row", metavar="N", min=0, help="Which row of DATA, counted from 0.")] = 0,
    json: options.Json = False,
    html: options.Html = None,
) -> None:
    """Follow one example through the model: encoding, layers, loss, gradients, one step."""
    from limpid import api

    found = api.trace(run, data, row=row)
    say_repairs(found.repairs)
    give(found, as_json=json, html=html)
