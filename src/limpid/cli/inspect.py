"""`limpid inspect`: look at data before anything is learnt from it."""

from __future__ import annotations

from limpid.cli import options
from limpid.cli.output import give


def inspect(
    data: options.Data,
    target: options.InspectTarget = None,
    json: options.Json = False,
    html: options.Html = None,
) -> None:
    """Look at data: columns, missing values, links, leaks."""
    from limpid import api

    found = api.inspect(data, target=target)
    give(found, as_json=json, html=html)
