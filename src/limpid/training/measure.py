"""How fast is this machine? Measured once and kept, so that a plan made again on the same machine is the same.

The figures lie in machine.json of the cache folder, under a key of what they depend on. Where that folder cannot be
written they are measured anew each time.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import torch

from limpid.core.errors import LimpidError, RunError
from limpid.core.files import load_json, read_bounded, write_json
from limpid.data.cache import folder
from limpid.training.arithmetic import autocast

_LIMIT = 1 << 20
_MOST_FIGURES = 500
_SIDE = 768
_GPU_SIDE = 4096
_WARM_UPS = 2
_RUNS = 5
_ENOUGH_SECONDS = 2.0
_AGREES = 1.25


def threads() -> int:
    """Processor cores that this process may use, by its affinity and its control group."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _quota(path: Path) -> float | None:
    """Cores that a control group allows, None for no limit."""
    try:
        allowed, period = path.read_text(encoding="utf-8").split()
        return None if allowed == "max" else float(allowed) / float(period)
    except (OSError, ValueError):
        return None


@cache
def machine_key() -> str:
    """What speed and last bits depend on: processor, instruction set, cores, torch.

    Example:
        >>> "torch" in machine_key()
        True
    """
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{_processor()}, {instructions}, {threads()} cores, torch {torch.__version__}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def flops(precision: str, threads: int, device: str = "cpu") -> float:
    """Multiplications and additions per second that this machine sustains on products of large matrices.

    Args:
        precision: "fp32" or "bf16".
        threads: processor threads, 0 for as many as there are.
        device: "cpu" or "cuda".
    """
    count = threads or _all_threads()
    cuda = device.startswith("cuda")
    side = _GPU_SIDE if cuda else _SIDE
    a = torch.ones(side, side, device=device)
    before = torch.get_num_threads()

    def product() -> None:
        with torch.no_grad(), autocast(precision, device):
            torch.mm(a, a)
        if cuda:
            torch.cuda.synchronize()

    torch.set_num_threads(count)
    try:
        seconds = step_seconds(f"product {device_key(device)} {side} {precision} {count}", product)
    finally:
        torch.set_num_threads(before)
    return 2.0 * side**3 / seconds


def device_key(device: str) -> str:
    """What the speed of a device depends on besides the machine: a GPU's model.

    Example:
        >>> device_key("cpu")
        'cpu'
    """
    return f"{device} {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device


def _all_threads() -> int:
    return threads()


def step_seconds(signature: str, run_step: Callable[[], None], *, fresh: bool = False) -> float:
    """How long one call takes: the median of five after two to warm up, or what was measured here before.

    Other work on the machine only ever makes a call slower, so of two measurements the shorter one counts, and a
    figure is measured again until two agree to within a quarter.

    Args:
        signature: all that the length depends on besides the machine: network, batch, precision, threads.
        run_step: does the work once.
        fresh: measure now, whatever was measured before, and keep nothing: under a budget the machine as it is counts.

    Returns:
        seconds, rounded to three digits.
    """
    if fresh:
        return _measured(run_step)
    key = sha256(signature.encode()).hexdigest()[:24]
    known = _read().get(key)
    if known is not None and known < 0:
        return -known
    return abs(_keep(key, _measured(run_step)))


def _measured(run_step: Callable[[], None]) -> float:
    times = []
    started = time.perf_counter()
    for n in range(_WARM_UPS + _RUNS):
        begin = time.perf_counter()
        run_step()
        times.append(time.perf_counter() - begin)
        if n >= 1 and time.perf_counter() - started > _ENOUGH_SECONDS:
            break
    return float(f"{max(median(times[_WARM_UPS:] or times[1:]), 1e-9):.3g}")


def _path() -> Path:
    return folder() / "machine.json"


def _all() -> dict[str, Any]:
    try:
        found = load_json(read_bounded(_path(), _LIMIT, RunError, noun="cache"), RunError, where=str(_path()))
    except LimpidError:
        return {}  # not there yet, or damaged: measured anew
    return found if isinstance(found, dict) else {}


def _read() -> dict[str, float]:
    """Figures of this machine, below zero once confirmed; what in the file is no such figure is passed over."""
    found = _all().get(machine_key())
    if not isinstance(found, dict):
        return {}
    return {k: float(v) for k, v in found.items() if isinstance(v, (int, float)) and 0 < abs(v) < math.inf}


def _keep(key: str, value: float) -> float:
    """Write a figure down: the shorter of two, confirmed where they agree or where another process confirmed one."""
    figures = _read()
    known = figures.get(key)
    if known is not None and known < 0:
        return known
    if known is not None:
        agree = max(known, value) <= _AGREES * min(known, value)
        value = -min(known, value) if agree else min(known, value)
    figures[key] = value
    while len(figures) > _MOST_FIGURES:
        del figures[next(iter(figures))]
    machines = {k: v for k, v in _all().items() if k != machine_key()}
    newest = dict(list(machines.items())[-7:])
    with suppress(LimpidError):  # a folder that cannot be written only costs the next measurement
        write_json(_path(), {**newest, machine_key(): figures})
    return value
