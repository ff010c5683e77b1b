"""What does it cost when threads spin while they wait for each other? `python -m benchmarks.waiting`.

The same 300 steps of a small network on two threads: one process alone, and two side by side, each with the time of
waiting that OpenMP has and with that of limpid (core/threads.py). The ways take turns. The figures are seconds of the
slowest process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.run import cpu

_STEPS = """
import time, torch
from torch import nn
from torch.nn.functional import cross_entropy
torch.set_num_threads(2)
net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
x, y = torch.randn(1024, 64), torch.randint(0, 2, (1024,))
rule = torch.optim.AdamW(net.parameters())
def steps(n):
    began = time.perf_counter()
    for _ in range(n):
        rule.zero_grad()
        cross_entropy(net(x), y).backward()
        rule.step()
    return time.perf_counter() - began
steps(20)
print(steps(300))
"""


def seconds(processes: int, rounds: str | None) -> float:
    """Seconds of the slowest of some processes that run side by side."""
    env = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if rounds is not None:
        env["GOMP_SPINCOUNT"] = rounds
    started = [
        subprocess.Popen([sys.executable, "-c", _STEPS], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return max(float(process.communicate()[0]) for process in started)


def main() -> None:
    """All ways in turn; one JSON record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", default="1000", help="of spinning, beside OpenMP's own")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    for _ in range(asked.repeats):
        for processes in (1, 2):
            for rounds in (None, asked.rounds):
                way = f"{processes} process{'es' if processes > 1 else ''}, {rounds or 'default'}"
                found.setdefault(way, []).append(round(seconds(processes, rounds), 2))
    record: dict[str, Any] = {
        "seconds": found,
        "medians": {way: statistics.median(values) for way, values in found.items()},
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "load": [round(x, 2) for x in os.getloadavg()],
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
