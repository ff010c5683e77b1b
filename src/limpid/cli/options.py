"""The options that verbs share, each said once: its type, its names and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TRAIN = "What to learn"
WORK = "How to go about it"
SHOW = "What to show"

Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="A file, a folder, a glob, or sample:NAME.", show_default=False),
]
OptionalData = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="A file, a folder, a glob, or sample:NAME; may be left out with --resume.",
        show_default=False,
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a bundle.", show_default=False)]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COL",
        help="The column to predict; several with commas or by repeating the option.",
        show_default=False,
        rich_help_panel=TRAIN,
    ),
]
InspectTarget = Annotated[
    str | None,
    typer.Option("--target", metavar="COL", help="The column that would be predicted.", show_default=False),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="classification or regression; by default what the target's kind says.",
        show_default=False,
        rich_help_panel=TRAIN,
    ),
]
Valid = Annotated[
    str | None,
    typer.Option(
        "--valid",
        metavar="DATA",
        help="Rows to choose the best weights by; by default 15 % of DATA.",
        show_default=False,
        rich_help_panel=TRAIN,
    ),
]
Test = Annotated[
    str | None,
    typer.Option(
        "--test",
        metavar="DATA",
        help="Rows to evaluate on at the end; by default 15 % of DATA.",
        show_default=False,
        rich_help_panel=TRAIN,
    ),
]
Net = Annotated[
    str | None,
    typer.Option(
        "--net", metavar="NAME", help="The network: tabm, mlp, ...", show_default=False, rich_help_panel=TRAIN
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Wall time from start to end: 60s, 2m, 1h; without it training goes on until it stops improving.",
        show_default=False,
        rich_help_panel=WORK,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="D",
        help="cpu or cuda; by default the GPU where torch sees one.",
        show_default=False,
        rich_help_panel=WORK,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="The run folder; by default a new one in runs/.",
        show_default=False,
        rich_help_panel=WORK,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Every random draw follows from it; by default 0, or the recipe's.",
        show_default=False,
        rich_help_panel=WORK,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Any setting of the plan, such as train.lr=0.01; repeatable.",
        show_default=False,
        rich_help_panel=WORK,
    ),
]
Recipe = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="A plan.yaml to replay.", show_default=False, rich_help_panel=WORK),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Start, go on with, or return the run in --out.", rich_help_panel=WORK),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON object as the last line of stdout.", rich_help_panel=SHOW),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page.", show_default=False, rich_help_panel=SHOW),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no summary.", rich_help_panel=SHOW)]
