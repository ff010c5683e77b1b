"""Where answers and errors go: answers to stdout, everything said on the way and every error to stderr."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from limpid.core.errors import LimpidError


class Mended(Protocol):
    """One entry of a tally of repairs."""

    @property
    def where(self) -> str:
        """Which column or file."""

    @property
    def what(self) -> str:
        """What was done, in the past tense."""

    @property
    def count(self) -> int:
        """Rows or cells that it was done to."""

    @property
    def example(self) -> str:
        """One value that it was done to."""


def answer(content: Mapping[str, Any]) -> None:
    """Print the JSON object that `--json` promises, as one line."""
    sys.stdout.flush()
    sys.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line for a person to stderr."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def say_repairs(repairs: Iterable[Mended]) -> None:
    """Print what had to be mended in the data, a line each."""
    for repair in repairs:
        example = f" (such as {repair.example!r})" if repair.example else ""
        say(f"note: {repair.where}: {repair.count:,} {repair.what}{example}")


class Found(Protocol):
    """What a verb found: plain data, tables, and a page."""

    def as_dict(self) -> Mapping[str, Any]:
        """What `--json` prints."""

    def show(self) -> None:
        """Print tables."""

    def html(self, path: Path) -> object:
        """Write a page."""


def give(found: Found, *, as_json: bool, html: Path | None) -> None:
    """Write the page that was asked for; print the JSON, or the tables where neither was asked for."""
    if html is not None:
        found.html(html)
        say(f"page    {html}")
    if as_json:
        answer(found.as_dict())
    elif html is None:
        found.show()


def mistake(error: LimpidError, *, as_json: bool) -> None:
    """Show an error of the user's with its four parts; with `--json` also as the answer."""
    say(f"error: {error}")
    if as_json:
        answer({"error": {"kind": type(error).__name__, **error.parts()}})


def fault(error: BaseException, *, as_json: bool, debug: bool) -> None:
    """Show an error of ours: one line and where its traceback stands, or the traceback itself under `--debug`."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    if debug:
        traceback.print_exception(error, file=sys.stderr)
        where = "the traceback above"
    else:
        where = _write_traceback(error)
    say(f"a fault of ours, not of your data: {what} ({where})")
    if as_json:
        answer({"error": {"kind": "fault", "what": what, "where": where}})


def _write_traceback(error: BaseException) -> str:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="limpid-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return "run again with `limpid --debug` for the traceback"
    return f"traceback in {file.name}"
