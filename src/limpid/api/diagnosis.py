"""The verb `doctor`: is this installation sound, and what is missing?"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from limpid._version import __version__

PYTHONS = ((3, 11), (3, 13))
_MATRIX = 1024
_NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)(?:;\s*(.*))?$")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: what it is.
        found: what was found.
        state: "ok"; "optional" for what is absent and need not be there; "wrong".
        fix: what to do about it, or "".
    """

    name: str
    found: str
    state: str = "ok"
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found.

    Args:
        checks: one for each thing that was looked at.
    """

    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.state != "wrong" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"sound": self.sound, "checks": [asdict(check) for check in self.checks]}

    def show(self, console: Any = None) -> None:
        """Print it."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        out = console or Console()
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        marks = {"ok": ("✓", "green"), "optional": ("-", "dim"), "wrong": ("✗", "red")}
        for check in self.checks:
            mark, colour = marks[check.state]
            table.add_row(Text(mark, style=colour), check.name, Text(check.found), Text(check.fix, style="cyan"))
        out.print(table)
        wrong = sum(check.state == "wrong" for check in self.checks)
        out.print("this installation is sound" if self.sound else f"{wrong} of {len(self.checks)} checks failed")


def doctor() -> Diagnosis:
    """Look whether this installation is sound: versions, torch, device, extras, a second of training.

    Example:
        >>> import limpid
        >>> limpid.doctor().sound
        True
    """
    checks = [Check("limpid", __version__), _python(), _machine(), *_packages()]
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:  # a build for another machine fails in any of these ways
        broken = f"cannot be imported: {str(error).splitlines()[0]}"
        checks.append(Check("torch", broken, "wrong", "python -m pip install --force-reinstall torch"))
    else:
        checks += [_build(torch), _device(torch), _threads(torch), _half(torch), _learns(torch)]
    return Diagnosis((*checks, *_extras(), _cache()))


def _python() -> Check:
    low, high = PYTHONS
    good = low <= sys.version_info[:2] <= high
    fix = "" if good else "install limpid with Python " + " to ".join(".".join(map(str, v)) for v in PYTHONS)
    return Check("python", f"{platform.python_version()} at {sys.executable}", "ok" if good else "wrong", fix)


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("machine", f"{platform.system()} {platform.machine()}, {cores} cores")


def _requirements(extra: str | None) -> list[tuple[str, str]]:
    """(package, range) of what limpid needs, or of one extra."""
    found = []
    for line in requires("limpid") or ():
        match = _NAME.match(line)
        assert match is not None, line
        name, wanted, marker = match.groups()
        of = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker or "")
        if (of.group(1) if of else None) == extra:
            found.append((name, wanted.strip()))
    return found


def _packages() -> list[Check]:
    try:
        needed = _requirements(None)
    except PackageNotFoundError:
        return [Check("packages", "limpid itself is not installed", "wrong", "python -m pip install limpid")]
    return [_package(name, wanted) for name, wanted in needed]


def _package(name: str, wanted: str) -> Check:
    fix = f"python -m pip install '{name}{wanted}'"
    try:
        have = version(name)
    except PackageNotFoundError:
        return Check(name, f"missing, limpid needs {wanted or 'it'}", "wrong", fix)
    least = re.search(r">=\s*([0-9.]+)", wanted)
    if least is not None and _numbers(have) < _numbers(least.group(1)):
        return Check(name, f"{have}, limpid needs {wanted}", "wrong", fix)
    return Check(name, have)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text.partition("+")[0])[:3])


def _build(torch: Any) -> Check:
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return Check("torch build", f"{torch.__version__} for {built}, {torch.backends.cpu.get_cpu_capability()}")


def _device(torch: Any) -> Check:
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
        return Check("device", f"cuda: {torch.cuda.device_count()} x {', '.join(sorted(names))}")
    if torch.version.cuda:
        return Check("device", "cpu; this torch is built for CUDA but sees no GPU", "optional")
    return Check("device", "cpu")


def _threads(torch: Any) -> Check:
    return Check("threads", f"{torch.get_num_threads()} for one operation")


def _half(torch: Any) -> Check:
    def rate(kind: Any) -> float:
        left, right = (torch.ones(_MATRIX, _MATRIX, dtype=kind) for _ in range(2))
        left @ right
        return 2 * _MATRIX**3 / _best_of(lambda: left @ right, 5) / 1e9

    full, half = rate(torch.float32), rate(torch.bfloat16)
    verdict = "faster" if half > 1.1 * full else "no gain here"
    return Check("bf16", f"{half:,.0f} GFLOP/s against {full:,.0f} in fp32 on the CPU, {verdict}")


def _best_of(work: Callable[[], Any], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _learns(torch: Any) -> Check:
    """Train a small network on a task that no linear model can do."""
    fix = "python -m pip install --force-reinstall torch"
    source = torch.Generator().manual_seed(0)
    x = torch.rand(256, 2, generator=source) * 2 - 1
    y = (x[:, :1] * x[:, 1:] > 0).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.05)
    start, steps = time.perf_counter(), 0
    for steps in range(1, 401):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if steps == 1:
            start = time.perf_counter()  # the first step imports parts of torch
        if time.perf_counter() - start > 0.9 and steps >= 100:
            break
    right = float(((net(x) > 0) == (y > 0.5)).float().mean())
    found = f"{right:.0%} of an exclusive-or right after {steps} steps in {time.perf_counter() - start:.1f} s"
    return Check("training", found) if right > 0.9 else Check("training", found, "wrong", fix)


def _extras() -> list[Check]:
    try:
        names = metadata("limpid").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []
    checks = []
    for name in names:
        absent = [p for p, wanted in _requirements(name) if _package(p, wanted).state != "ok"]
        if absent:
            checks.append(
                Check(
                    f"extra {name}",
                    f"without {', '.join(absent)}",
                    "optional",
                    f"python -m pip install 'limpid[{name}]'",
                )
            )
        else:
            checks.append(Check(f"extra {name}", ", ".join(p for p, _ in _requirements(name))))
    return checks


def _cache() -> Check:
    from limpid.data.cache import folder

    place = folder()
    probe = place / f".doctor-{os.getpid()}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = f"{place} cannot be written: {error.strerror or error}"
        return Check("cache", reason, "wrong", "set LIMPID_CACHE to a folder that can be written")
    return Check("cache", str(place))
