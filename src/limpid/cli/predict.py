"""`limpid predict`: a model's answers for new rows, in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limpid.cli import options
from limpid.cli.output import say, say_repairs


def predict(
    run: options.RunPath,
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the answers go; the suffix says the format (.csv, .tsv, .parquet, .jsonl, .arrow).",
            show_default=False,
        ),
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="COL", help="A column of DATA to write too; repeatable.", show_default=False),
    ] = None,
) -> None:
    """Write a model's answers for new rows, in their order."""
    from limpid import api

    found = api.predict(run, data, out=out, keep=tuple(keep or ()))
    say_repairs(found.repairs)
    say(f"{len(found):,} {'row' if len(found) == 1 else 'rows'} written to {out}")
