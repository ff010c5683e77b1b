"""The command line: one file a verb, each thin over the function of the same name in `limpid.api`.

Exit status: 0 done; 1 a fault of ours; 2 the request or the data is wrong; 130 interrupted, checkpoint saved.
Nothing heavy is imported before a verb runs, so that every `--help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from types import FrameType
from typing import Annotated, Any

import typer

from limpid._version import __version__
from limpid.cli import output, usage
from limpid.cli.audit import audit
from limpid.cli.compare import compare
from limpid.cli.doctor import doctor
from limpid.cli.evaluate import evaluate
from limpid.cli.explain import explain
from limpid.cli.inspect import inspect
from limpid.cli.plan import plan
from limpid.cli.predict import predict
from limpid.cli.report import report
from limpid.cli.trace import trace
from limpid.cli.train import train
from limpid.core.errors import LimpidError

DONE, FAULT, MISTAKE, INTERRUPTED = 0, 1, 2, 130
VERBS = {
    verb.__name__: verb
    for verb in (inspect, plan, train, evaluate, predict, explain, audit, trace, report, compare, doctor)
}

app = typer.Typer(
    name="limpid",
    help="From data to a deep-learning model that you can see through.",
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)


def _interruptible(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb, saying so when it is interrupted; the parser would be silent."""

    @wraps(verb)
    def run(*positional: Any, **named: Any) -> None:
        try:
            verb(*positional, **named)
        except KeyboardInterrupt:
            output.say("interrupted")
            raise typer.Exit(INTERRUPTED) from None

    return run


for _name, _verb in VERBS.items():
    app.command(_name)(_interruptible(_verb))


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"limpid {__version__}\n")
        raise typer.Exit(DONE)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault of ours.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """From data to a deep-learning model that you can see through."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: the words after `limpid`; those of this process by default.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json, debug = "--json" in words, "--debug" in words[:1]
    if arguments is None:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        verb = _verb_of(words)
        if verb is not None and _asks_for_help(words):
            _show_help(verb)
            return DONE
        status = app(args=words, prog_name="limpid", standalone_mode=False)
        sys.stdout.flush()
    except LimpidError as error:
        output.mistake(error, as_json=as_json)
        return MISTAKE
    except typer.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, typer.Abort):
        output.say("interrupted")
        return INTERRUPTED
    except typer.TyperException as error:
        output.mistake(usage.explain(error), as_json=as_json)
        return MISTAKE
    except BrokenPipeError:
        return _unread()
    except SystemExit as ended:  # the parser's own answer to a reader that has gone
        if isinstance(ended.__context__, BrokenPipeError):
            return _unread()
        raise
    except Exception as error:  # the border: whatever else is wrong is ours, and is said so
        output.fault(error, as_json=as_json, debug=debug)
        return FAULT
    return int(status or DONE)


def _verb_of(words: Sequence[str]) -> str | None:
    first = next((word for word in words if not word.startswith("-")), None)
    if first is not None and first not in VERBS:
        raise usage.unknown_verb(first, list(VERBS))
    return first


def _asks_for_help(words: Sequence[str]) -> bool:
    before = words[: words.index("--")] if "--" in words else words
    return "--help" in before or "-h" in before


def _show_help(verb: str) -> None:
    """Print a verb's help without parsing the words, for which the parser would import pydantic."""
    group: Any = typer.main.get_command(app)
    with typer.Context(group, info_name="limpid") as above:
        command = group.get_command(above, verb)
        with typer.Context(command, info_name=verb, parent=above) as context:
            sys.stdout.write(command.get_help(context) + "\n")
    sys.stdout.flush()


def _unread() -> int:
    """The reader (`| head`) has gone and wants no more, so what is left to flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
