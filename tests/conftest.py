"""What all tests share: real data or a skip that says so, a cache of their own, few threads, a tally of skips."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

# Read by numpy and torch when they are imported, so it has to be said before any test module does that.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

import limpid  # noqa: F401 (before torch, which reads how long threads may spin)

# How long an example takes says something of the machine's other work alone.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that no other process shares, also for the processes that tests start."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMPID_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """real_data("adult/adult-train.csv"): a file or folder of the real data, or a skip that says why."""

    def find(name: str) -> Path:
        folder = os.environ.get("LIMPID_DATA")
        if not folder:
            pytest.skip("needs LIMPID_DATA")
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(f"LIMPID_DATA holds no {name}")
        return path

    return find


@pytest.fixture(scope="session")
def gpu() -> str:
    """The name of the GPU, or a skip that says that there is none."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch sees")
    return "cuda"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")
