"""`limpid report`: write a run's report anew from its folder."""

from __future__ import annotations

import sys

from limpid.cli import options


def report(run: options.RunPath) -> None:
    """Write a run's report again from its folder."""
    from limpid import api

    sys.stdout.write(f"{api.report(run)}\n")
