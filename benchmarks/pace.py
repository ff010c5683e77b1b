"""How many rows a second does training take, beside a hand-written PyTorch loop? `python -m benchmarks.pace`.

Both sides train the same network on the same encoded rows with the same batch size, loss and augmentation. The
hand-written side is what a careful person writes: a Dataset, a DataLoader without workers (its default), fp32, torch's
own optimiser, clipping, `loss.item()` for the log. limpid's side is its training loop as a run uses it, once in fp32
and once in the precision that its plan chooses here. The sides take turns; the figure is the median of the ratios.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.run import cpu
from benchmarks.tables import data_folder, prepare
from limpid.api.again import prepare_model
from limpid.api.prepare import Prepared, encode, finish_plan
from limpid.api.prepare import prepare as prepare_run
from limpid.api.request import read_request
from limpid.data.encoded import Encoded
from limpid.planning.train_spec import TrainSpec
from limpid.training.supervised import fit


@dataclass(frozen=True)
class Case:
    """One comparison: which data, which column, which net."""

    data: Callable[[], str]
    target: str
    net: str


CASES = {
    "tabm on adult": Case(lambda: str(prepare("adult", 0) / "train.csv"), "income", "tabm"),
    "gru on sst2": Case(lambda: str(data_folder() / "sst2" / "train.tsv"), "column_2", "gru"),
    "resnet on cifar10": Case(lambda: str(data_folder() / "cifar10" / "train.parquet"), "label", "resnet"),
}


class Rows(Dataset[tuple[dict[str, torch.Tensor], torch.Tensor, int]]):
    """Rows one by one, as a Dataset gives them."""

    def __init__(self, part: Encoded, target: torch.Tensor) -> None:
        self.arrays = {name: np.array(array) for name, array in part.arrays.items()}
        self.target = target

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, row: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, int]:
        cells = {name: torch.as_tensor(array[row]) for name, array in self.arrays.items()}
        return cells, self.target[row], row


def by_hand(
    model: torch.nn.Module, prepared: Prepared, part: Encoded, spec: TrainSpec, steps: int, device: str
) -> float:
    """Rows a second of the hand-written loop."""
    task, augment = prepared.draft.task, prepared.augmentation()
    data = Rows(part, task.prepare_target(torch.from_numpy(np.array(part.target))))
    loader = DataLoader(data, batch_size=int(spec.batch), shuffle=True)
    kinds = {"sgd": torch.optim.SGD, "nesterov": torch.optim.SGD}
    optimiser = kinds.get(str(spec.optimiser), torch.optim.AdamW)(model.parameters(), lr=1e-4)
    model.to(device).train()
    rows = done = passes = 0
    began = time.perf_counter()
    while done < steps:
        for cells, target, index in loader:
            cells, target = {name: part.to(device) for name, part in cells.items()}, target.to(device)
            if augment:
                cells = augment(cells, index.numpy(), passes)
            outputs = model(cells)
            members = outputs.shape[1] if outputs.dim() == 3 else 1
            wanted = target.repeat_interleave(members, dim=0)
            loss = task.loss(outputs.flatten(0, 1) if members > 1 else outputs, wanted).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            loss.item()
            rows += len(index)
            done += 1
            if done >= steps:
                break
        passes += 1
    return rows / (time.perf_counter() - began)


def by_limpid(
    model: torch.nn.Module, prepared: Prepared, part: Encoded, spec: TrainSpec, steps: int, device: str
) -> float:
    """Rows a second of limpid's loop, its setting up included."""
    asked = spec.with_(epochs=1, epoch_steps=steps, lr=1e-4, patience=0)
    began = time.perf_counter()
    outcome = fit(model, prepared.draft.task, part, None, asked, seed=0, device=device, augment=prepared.augmentation())
    seconds = time.perf_counter() - began
    assert outcome.steps == steps
    return min(int(spec.batch), len(part)) * steps / seconds


def set_up(case: Case, device: str) -> tuple[torch.nn.Module, Prepared, Encoded, TrainSpec]:
    """A case's network, its encoded training rows and its plan's settings."""
    request = read_request(
        case.data(),
        target=case.target,
        task=None,
        valid=None,
        test=None,
        net=case.net,
        budget=None,
        device=device,
        seed=0,
        sets={"split.test": 0.05},
        recipe=None,
        folder=None,
    )
    prepared = prepare_run(request, lambda _event: None)
    encoded = encode(prepared, lambda _event: None, Path("benchmarks/work/pace"))
    part = encoded["train"]
    model, _ = prepared.build()
    plan, _ = finish_plan(prepared, part, lambda _event: None, model)
    prepare_model(prepared, part, model, plan.train)
    return model, prepared, part, plan.train


def measure(name: str, case: Case, seconds: float, repeats: int, device: str) -> dict[str, Any]:
    """One case: the sides in turn, several times."""
    model, prepared, part, spec = set_up(case, device)
    trial = by_hand(copy.deepcopy(model), prepared, part, spec, 4, device)
    steps = max(8, int(seconds * trial / int(spec.batch)))
    sides: dict[str, list[float]] = {"by hand": [], "fp32": [], "planned": []}
    for _ in range(repeats):
        sides["by hand"].append(by_hand(copy.deepcopy(model), prepared, part, spec, steps, device))
        sides["fp32"].append(
            by_limpid(copy.deepcopy(model), prepared, part, spec.with_(precision="fp32"), steps, device)
        )
        sides["planned"].append(by_limpid(copy.deepcopy(model), prepared, part, spec, steps, device))
    ratio = {
        side: statistics.median(a / b for a, b in zip(sides[side], sides["by hand"], strict=True))
        for side in ("fp32", "planned")
    }
    return {
        "case": name,
        "rows_per_second": {side: [round(v, 1) for v in values] for side, values in sides.items()},
        "ratio": {side: round(value, 2) for side, value in ratio.items()},
        "precision": spec.precision,
        "batch": spec.batch,
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        **machine(device),
    }


def machine(device: str) -> dict[str, Any]:
    """What a figure of this kind was measured on, and when."""
    return {
        "cpu": cpu(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
        "load": [round(x, 2) for x in os.getloadavg()],
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }


def read_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line with what benchmarks of these cases share: `cases`, a list of their names, and `device`."""
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    asked = parser.parse_args()
    asked.cases = asked.cases.split(",")
    for name in asked.cases:
        if name not in CASES:
            parser.error(f"unknown case {name!r}; choose from {', '.join(CASES)}")
    return asked


def main() -> None:
    """Measure what was asked for; one JSON record a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the hand-written loop, each time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", default=None, help="day of a record to write, pace-DAY.json")
    asked = read_arguments(parser)
    found = []
    for name in asked.cases:
        found.append(measure(name, CASES[name], asked.seconds, asked.repeats, asked.device))
        print(json.dumps(found[-1]), flush=True)
        print(f"{name}: {found[-1]['ratio']} times the rows of a hand-written loop", file=sys.stderr)
    if asked.record:
        path = Path(__file__).resolve().parent / f"pace-{asked.record}.json"
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
