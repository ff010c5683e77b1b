"""In which mode does the processor compute while a network is trained, and how is it put back afterwards?"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from torch import nn

from limpid.core.seeds import derive
from limpid.layers.heap import kept_memory

_PAUSE_HARD = 2
_DENORMAL = 1e-40
_FORKED: list[bool] = []

if hasattr(os, "register_at_fork"):
    # A fork inherits the record of its parent's workers without the workers; waiting for them to go would never end.
    os.register_at_fork(after_in_child=lambda: _FORKED.append(True))


@contextmanager
def arithmetic(threads: int, device: str) -> Iterator[None]:
    """Fix what the last bits of a result depend on, and put it back at the end.

    Threads: sums are divided among them, so their number is part of the result. Denormal numbers: flushed to zero,
    because processors are up to a hundred times slower on them and averages of vanished gradients are full of them.
    Random state: the caller's generators are left as they were found. Memory: what is freed is kept (`layers/heap.py`).

    Args:
        threads: processor threads.
        device: where the network lives.
    """
    before = torch.get_num_threads()
    flushed = _flushes_denormals()
    cuda = device.startswith("cuda")
    strict = torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    with kept_memory(), torch.random.fork_rng(devices=[torch.device(device)] if cuda else [], device_type="cuda"):
        torch.set_num_threads(threads)
        _flush_denormals(True)
        if cuda:
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            if cuda:
                torch.use_deterministic_algorithms(strict, warn_only=warn)
            _flush_denormals(flushed)
            torch.set_num_threads(before)


def seed_step(seed: int, step: int, device: str) -> None:
    """Make what is drawn in one step (dropout) depend on the step alone.

    The generators are addressed directly: `torch.manual_seed` visits every backend, which costs more than a small step.
    """
    value = derive(seed, "step", step)
    torch.default_generator.manual_seed(value)
    if device.startswith("cuda"):
        torch.cuda.manual_seed_all(value)


def autocast(precision: str, device: str) -> AbstractContextManager[object]:
    """The context of a forward pass: bf16 products, or plain fp32."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16")


def set_layout(model: nn.Module, channels_last: bool) -> None:
    """Have a network read pictures with the channels of a pixel side by side, or one channel after another."""
    if hasattr(model, "channels_last"):
        model.channels_last = channels_last  # type: ignore[assignment]


def _flushes_denormals() -> bool:
    """Whether this thread does so already; torch can set the flag and not read it."""
    return float(torch.full((1,), _DENORMAL) * 1.0) == 0.0


def _flush_denormals(on: bool) -> None:
    torch.set_flush_denormal(on)
    _restart_workers()


def _restart_workers() -> None:
    """Let the worker threads go; new ones are born at the next parallel operation.

    The flag belongs to a thread, and torch sets it in the calling one alone. A worker keeps the mode of its birth, so
    without this the bits of a result would depend on what the process had computed before.
    """
    if _FORKED or not sys.platform.startswith("linux"):
        return
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        path = line.split(maxsplit=5)[-1]
        if "libgomp" in path and path.startswith("/"):
            pause = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)
            if pause is not None:
                pause(_PAUSE_HARD)
            return
