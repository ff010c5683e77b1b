"""`limpid evaluate`: a model's figures on further rows."""

from __future__ import annotations

import sys

from limpid.cli import options
from limpid.cli.output import answer, say_repairs


def evaluate(run: options.RunPath, data: options.Data, json: options.Json = False) -> None:
    """A model's figures on rows that have the target."""
    from limpid import api

    found = api.evaluate(run, data)
    say_repairs(found.repairs)
    if json:
        answer(found.as_dict())
        return
    width = max(map(len, found.metrics))
    for name, value in found.metrics.items():
        sys.stdout.write(f"{name:<{width}}  {'not defined' if value is None else f'{value:.6g}'}\n")
    sys.stdout.write(f"{'rows':<{width}}  {found.rows:,}\n")
