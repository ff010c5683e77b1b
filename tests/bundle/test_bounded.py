"""A network cannot ask for more memory than its weights take."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from limpid.bundle.bounded import Bounded, TooLarge

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(40_000, 40_000),
        lambda: torch.zeros((1 << 40,)),
        lambda: torch.empty(size=(1 << 20, 1 << 20)),
        lambda: torch.full((1 << 40,), 1.0),
        lambda: torch.randint(0, 2, (1 << 40,)),
        lambda: torch.linspace(0, 1, 1 << 40),
        lambda: torch.arange(1 << 40),
        lambda: torch.eye(1 << 20),
        lambda: [torch.ones(1000, 1000) for _ in range(10)],
        lambda: nn.Embedding(1 << 30, 64),
    ],
)
def test_what_is_too_large_is_stopped_before_memory_is_taken(make):
    with pytest.raises(TooLarge), Bounded(1000):
        make()


def test_what_fits_is_built_as_ever():
    torch.manual_seed(0)
    plain = nn.Linear(30, 30)
    torch.manual_seed(0)
    with Bounded(930):
        bounded = nn.Linear(30, 30)
    assert torch.equal(plain.weight, bounded.weight)


def test_loading_and_predicting_import_neither_the_compiler_nor_training(folder):
    code = (
        "import sys, limpid; from bundle_models import rows\n"
        f"limpid.load({str(folder)!r}).predict(rows())\n"
        "bad = [m for m in ('torch._dynamo', 'sympy', 'sklearn', 'scipy', 'limpid.training') if m in sys.modules]\n"
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
