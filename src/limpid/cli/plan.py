"""`limpid plan`: what `limpid train` would do, with the reason of each decision."""

from __future__ import annotations

import sys

from limpid.cli import options
from limpid.cli.output import answer
from limpid.cli.request import collect


def plan(
    data: options.OptionalData = None,
    target: options.Target = None,
    task: options.Task = None,
    valid: options.Valid = None,
    test: options.Test = None,
    net: options.Net = None,
    budget: options.Budget = None,
    device: options.Device = None,
    out: options.Out = None,
    seed: options.Seed = None,
    set_: options.Set = None,
    recipe: options.Recipe = None,
    resume: options.Resume = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Print what train would do, and why, without training."""
    request = collect(locals(), verb="plan")
    from limpid import api

    made = api.plan(**request)
    if json:
        answer(made.as_dict())
    else:
        sys.stdout.write(made.text().rstrip("\n") + "\n")
