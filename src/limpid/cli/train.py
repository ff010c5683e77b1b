"""`limpid train`: from data to a trained, evaluated model with a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from limpid.cli import options
from limpid.cli.output import answer, say
from limpid.cli.request import collect

if TYPE_CHECKING:
    from limpid.core.events import Event

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

    saved: list[str] = []

    def listen(event: Event) -> None:
        if event.as_dict()["event"] == "CheckpointSaved":
            saved[:] = [str(event.as_dict()["path"])]

    try:
        run = api.train(**request, listen=listen)
    except KeyboardInterrupt:
        say(_interrupted(out, saved))
        raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        from rich.console import Console

        run.show(Console(stderr=json))
    if json:
        answer(run.summary())


def _interrupted(out: Path | None, saved: list[str]) -> str:
    """What a person needs to know who has just pressed Ctrl+C."""
    if not saved:
        return "interrupted before the first checkpoint"
    checkpoint = Path(saved[0])
    folder = next((p.parent for p in (checkpoint, *checkpoint.parents) if p.name == "checkpoint"), out)
    return f"interrupted, checkpoint saved; go on with: limpid train --out {folder} --resume"
