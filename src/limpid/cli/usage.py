"""A command line that cannot be understood, said in four parts with the nearest name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean


def explain(error: typer.TyperException) -> RequestError:
    """Turn the parser's complaint into an error of ours.

    Args:
        error: what the parser raised.
    """
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "limpid"
    help_line = f"see {command} --help"
    option = str(getattr(error, "option_name", None) or "")
    known = _options(context)
    if type(error).__name__ == "NoSuchOption":
        return RequestError(
            f"there is no option {option}",
            where=command,
            expected=f"one of {', '.join(known)}" if known else "no options",
            fix=did_you_mean(option, known) if known else help_line,
        )
    if option:
        return RequestError(
            _sentence(error), where=f"{command} {option}", expected=f"{option} with its value", fix=help_line
        )
    parameter: Any = getattr(error, "param", None)
    if parameter is not None:
        name = parameter.opts[0] if parameter.opts[0].startswith("-") else (parameter.metavar or parameter.name)
        missing = type(error).__name__ == "MissingParameter"
        return RequestError(
            f"{name} is missing" if missing else _sentence(error),
            where=f"{command} {name}",
            expected=str(parameter.help or f"a value for {name}").rstrip("."),
            fix=f"{_usage(context)}; {help_line}" if context is not None else help_line,
        )
    return RequestError(
        _sentence(error),
        where=command,
        expected=_usage(context) if context is not None else "limpid VERB ...",
        fix=help_line,
    )


def unknown_verb(word: str, verbs: Sequence[str]) -> RequestError:
    """The error for a verb that does not exist."""
    return RequestError(
        f"there is no verb {word!r}",
        where="limpid",
        expected=f"one of {', '.join(verbs)}",
        fix=did_you_mean(word, verbs),
    )


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    names = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
    return [*names, "--help"]


def _usage(context: Any) -> str:
    pieces = context.command.collect_usage_pieces(context)
    return " ".join([context.command_path, *pieces])


def _sentence(error: typer.TyperException) -> str:
    text = error.format_message().strip().rstrip(".")
    return text[:1].lower() + text[1:] if text else "the command line cannot be understood"
