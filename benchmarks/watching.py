"""What does it cost to watch layers and examples while a network learns? `python -m benchmarks.watching`.

The same training, of as many steps, with and without `train.watch`, in turn; events go to a file, as in a run. The
figure is the median of the paired ratios of time. Both end with the same weights, to the last bit.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.pace import CASES, Case, machine, read_arguments, set_up
from limpid.core.run import RunFolder
from limpid.training.supervised import fit


def measure(name: str, case: Case, steps: int, repeats: int, device: str) -> dict[str, Any]:
    """One case, both ways in turn; which goes first changes from pair to pair."""
    model, prepared, part, spec = set_up(case, device)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    weights: dict[bool, list[torch.Tensor]] = {}
    for repeat in range(repeats):
        for watch in (True, False) if repeat % 2 else (False, True):
            own = copy.deepcopy(model)
            asked = spec.with_(epochs=1, epoch_steps=steps, lr=1e-4, patience=0, watch=watch)
            with tempfile.TemporaryDirectory() as place:
                folder = RunFolder(Path(place) / "run")
                folder.open_new(resume=False)
                began = time.perf_counter()
                fit(
                    own,
                    prepared.draft.task,
                    part,
                    None,
                    asked,
                    seed=0,
                    device=device,
                    tell=folder.hear,
                    augment=prepared.augmentation(),
                )
                seconds[watch].append(time.perf_counter() - began)
                folder.close()
            weights[watch] = [p.detach().cpu() for p in own.parameters()]
    same = all(torch.equal(a, b) for a, b in zip(weights[True], weights[False], strict=True))
    ratios = [a / b for a, b in zip(seconds[True], seconds[False], strict=True)]
    return {
        "case": name,
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(r, 3) for r in ratios],
        "same_weights": same,
        "seconds": {("watched" if k else "not"): [round(v, 2) for v in values] for k, values in seconds.items()},
        "steps": steps,
        "batch": spec.batch,
        "rows": len(part),
        "parameters": sum(p.numel() for p in model.parameters()),
        **machine(device),
    }


def main() -> None:
    """Measure what was asked for; one JSON record a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=7)
    asked = read_arguments(parser)
    for name in asked.cases:
        found = measure(name, CASES[name], asked.steps, asked.repeats, asked.device)
        print(json.dumps(found), flush=True)
        print(f"{name}: {100 * (found['ratio'] - 1):+.1f} % with the watch", file=sys.stderr)


if __name__ == "__main__":
    main()
