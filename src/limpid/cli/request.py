"""From the options of `train` and `plan` to the arguments of the same verbs in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.cli.clock import process_start
from limpid.core.errors import RequestError


def collect(options: Mapping[str, Any], *, verb: str) -> dict[str, Any]:
    """The keyword arguments of `api.train` and `api.plan`.

    Args:
        options: the values of the command's parameters, by name.
        verb: "train" or "plan", for messages.

    Raises:
        RequestError: DATA is left out where nothing else says what to learn from.
    """
    request = {name: value for name, value in options.items() if name not in ("json", "set_", "target")}
    if request["data"] is None and not (request["resume"] and request["out"] is not None):
        raise RequestError(
            "DATA is missing",
            where=f"limpid {verb}",
            expected="a file, a folder, a glob, or sample:NAME",
            fix=f"limpid {verb} DATA --target COL; or --out DIR --resume to go on with a run",
        )
    request["target"] = targets(options["target"])
    request["set"] = list(options["set_"] or ())
    request["started"] = process_start()
    return request


def targets(given: list[str] | None) -> str | list[str] | None:
    """One name, a list of several, or nothing."""
    names = [name.strip() for item in given or () for name in item.split(",") if name.strip()]
    return None if not names else names[0] if len(names) == 1 else names
