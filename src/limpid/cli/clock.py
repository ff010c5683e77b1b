"""When this process began, since a budget is wall time from the first instruction on."""

from __future__ import annotations

import os
import time
from pathlib import Path

_LOADED = time.monotonic()


def process_start() -> float:
    """The `time.monotonic()` value at which the process was started.

    Linux tells it; elsewhere it is the moment at which this module was loaded, some hundredths of a second later.
    """
    try:
        # The command's name, in brackets, may hold anything; the start time is the 20th field behind it, in ticks
        # since boot.
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
    except (OSError, AttributeError, ValueError, IndexError):
        return _LOADED
    return min(_LOADED, time.monotonic() - age)
