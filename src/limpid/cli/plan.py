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
    """Print what train would do, and why, without training.

    A terminal gets a table; a file or a pipe gets YAML that `limpid train --recipe` replays. With --out the plan is
    written there, where `limpid train --out DIR --resume` finds it.
    """
    request = collect(locals(), verb="plan")
    if request.pop("resume") and request["recipe"] is None:
        request["recipe"] = request["out"] / "plan.yaml"
    if request["out"] is not None and request["out"].suffix not in (".yaml", ".yml"):
        request["out"] = request["out"] / "plan.yaml"
    from limpid import api

    made = api.plan(**request)
    if json:
        answer(made.as_dict())
    elif not quiet and sys.stdout.isatty():
        made.show()
    elif not quiet:
        sys.stdout.write(made.text().rstrip("\n") + "\n")
