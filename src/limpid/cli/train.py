"""`limpid train`: from data to a trained, evaluated model with a report."""

from __future__ import annotations

import typer

from limpid.cli import options
from limpid.cli.output import answer, say
from limpid.cli.request import collect

INTERRUPTED = 130


def train(
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
    """Train a model, evaluate it and write its report."""
    request = collect(locals(), verb="train")
    from limpid import api

    run = api.train(**request)
    summary = run.summary()
    if json:
        answer(summary)
    if summary["stopped"] == "interrupted":
        say(f"interrupted, checkpoint saved; go on with: limpid train --out {run.path} --resume")
        raise typer.Exit(INTERRUPTED)
