"""Optimisers without the compiler: no import of it, and the very same steps."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from limpid.training import eager

pytestmark = pytest.mark.slow

MAKERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, foreach=True),
    "muon": lambda p: torch.optim.Muon(p, lr=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
}


def trained(make, step) -> torch.Tensor:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 4))
    optimiser = make([weight])
    x = torch.randn(32, 4)
    for _ in range(5):
        weight.grad = None
        (x @ weight.T).square().mean().backward()
        step(optimiser)
    return weight.detach()


@pytest.mark.parametrize("name", list(MAKERS))
def test_steps_are_the_optimisers_own_to_the_last_bit(name):
    def make(parameters):
        with eager.without_compiler():
            return MAKERS[name](parameters)

    assert torch.equal(trained(make, eager.step), trained(MAKERS[name], lambda optimiser: optimiser.step()))


def test_the_compiler_is_not_imported():
    code = (
        "import sys, torch; from torch import nn\n"
        "from limpid.planning.train_spec import TrainSpec\n"
        "from limpid.training.optim import Optimisers\n"
        "model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))\n"
        "rules = Optimisers(model, TrainSpec(optimiser='muon', weight_decay=0.0, epochs=1))\n"
        "rules.set_rate(0.1); model(torch.ones(2, 4)).sum().backward(); rules.step()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_of_it_stays_behind():
    with eager.without_compiler():
        pass
    assert not any(
        hasattr(getattr(m, "__wrapped__", None), "__dynamo_disable") and "torch._dynamo" not in sys.modules
        for m in vars(torch.optim.Optimizer).values()
    )
