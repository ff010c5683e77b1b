"""`limpid evaluate`: a model's figures on further rows."""

from __future__ import annotations

from limpid.cli import options
from limpid.cli.output import answer


def evaluate(run: options.RunPath, data: options.Data, json: options.Json = False) -> None:
    """A model's figures on rows that have the target."""
    from limpid import api

    found = api.evaluate(str(run), data)
    if json:
        answer(found.as_dict())
    else:
        found.show()
