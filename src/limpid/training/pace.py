"""How fast does this network learn and predict here, in which precision and with how many threads?"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from limpid.core.contracts import Task
from limpid.data.encoded import Encoded
from limpid.planning.assemble import rows_at_once
from limpid.planning.augmentation import Augmentation
from limpid.planning.train_plan import Pace
from limpid.planning.train_spec import TrainSpec
from limpid.training.arithmetic import arithmetic, seed_step, set_layout
from limpid.training.batches import Batch, Source
from limpid.training.course import Course
from limpid.training.examples import Examples
from limpid.training.measure import device_key, step_seconds, threads
from limpid.training.objective import batch_losses, example_losses, outputs_of
from limpid.training.optim import Optimisers

_VALID_ROWS = 2048
_LOSS_AGREES = 0.02
_SMALL_STEP_SECONDS = 0.004


def measure_pace(
    model: nn.Module,
    task: Task,
    sample: Encoded,
    spec: TrainSpec,
    *,
    valid_rows: int,
    device: str,
    signature: str,
    fresh: bool,
    augment: Augmentation | None = None,
) -> Pace:
    """Time a few steps of the very training that is planned; what was measured here before is not measured again.

    Args:
        model: the assembled network; it is left as it was.
        task: gives the loss.
        sample: encoded training rows.
        spec: batch and optimiser as planned; precision and threads where the user fixed them.
        valid_rows: rows that each validation will look at.
        device: cpu or cuda.
        signature: what the network is, for the cache.
        fresh: measure now, whatever was measured before.
        augment: changes training rows, which takes time too.
    """
    batch_rows = min(int(spec.batch), len(sample))
    source = Source(sample, task.prepare_target, device)
    batch = source.take(np.arange(batch_rows))
    key = f"{signature} {device_key(device)} {spec.optimiser} {batch_rows}"
    most = threads() if spec.threads == "auto" else int(spec.threads)

    def step(precision: str, count: int, last: bool, small: bool = False) -> float:
        return _timed(
            f"{key} step {precision} {count}" + (" channels last" if last else "") + (" small" if small else ""),
            count,
            device,
            fresh,
            lambda: _step(model, task, batch, spec, precision, device, augment, last, small),
        )

    choose = spec.channels_last == "auto" and bool(getattr(model, "reads_grids", False))
    asked = spec.channels_last is True
    precisions = [str(spec.precision)] if spec.precision != "auto" else ["fp32"]
    if spec.precision == "auto" and can_bf16(device) and _agrees(model, task, batch, device):
        precisions.append("bf16")
    times = {p: step(p, most, asked) for p in precisions}
    best = min(times, key=lambda p: times[p])
    count = most
    if spec.threads == "auto" and most > 1 and times[best] < _SMALL_STEP_SECONDS and step(best, 1, asked) < times[best]:
        count = 1
        times = {p: step(p, 1, asked) for p in precisions}
    last = {p: step(p, count, True) for p in precisions} if choose else {}
    valid = source.take(np.arange(min(rows_at_once(model, _VALID_ROWS), len(sample))))
    look = _timed(f"{key} valid {best} {count} {len(valid)}", count, device, fresh, lambda: _look(model, valid, best))
    full = look
    if best != "fp32":
        full = _timed(
            f"{key} valid fp32 {count} {len(valid)}", count, device, fresh, lambda: _look(model, valid, "fp32")
        )
    share = 1.0
    if spec.small != "auto" and spec.small > 0:
        beside = last.get(best, times[best]) < times[best]
        share = step(best, count, beside or asked, small=True) / min(times[best], last.get(best, times[best]))
    passes = valid_rows / len(valid)
    return Pace(times, look * passes, count, last, min(share, 1.0), full * passes)


def can_bf16(device: str) -> bool:
    """Whether the processor multiplies bf16 numbers itself; elsewhere they are only slower."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported


def _timed(key: str, count: int, device: str, fresh: bool, make: Callable[[], Callable[[], None]]) -> float:
    """Seconds of one call of what `make` makes; nothing is made where the figure is known."""
    made: list[Callable[[], None]] = []

    def run() -> None:
        if not made:
            made.append(make())
        made[0]()

    with arithmetic(count, device):
        return step_seconds(key, run, fresh=fresh)


def _step(
    model: nn.Module,
    task: Task,
    batch: Batch,
    spec: TrainSpec,
    precision: str,
    device: str,
    augment: Augmentation | None,
    last: bool,
    small: bool,
) -> Callable[[], None]:
    pupil = copy.deepcopy(model).to(device).train()
    set_layout(pupil, last)
    optimisers = Optimisers(pupil, spec)
    optimisers.set_rate(0.0)
    shown = Examples(augment, spec, 0, Course(1 if small else 0))

    def run() -> None:
        seed_step(0, 0, device)
        optimisers.zero_grad()
        example = shown(batch, 0, 0)
        loss = batch_losses(task.loss, outputs_of(pupil, example, precision), example).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimisers.step()
        loss.item()

    return run


def _look(model: nn.Module, batch: Batch, precision: str) -> Callable[[], None]:
    pupil = copy.deepcopy(model).to(batch.target.device).eval()

    def run() -> None:
        with torch.inference_mode():
            outputs_of(pupil, batch, precision).cpu()  # a look ends with figures at the processor

    return run


def _agrees(model: nn.Module, task: Task, batch: Batch, device: str) -> bool:
    """Whether bf16 gives the loss that fp32 gives, to within 2 %."""
    pupil = copy.deepcopy(model).to(device).eval()
    with torch.no_grad():
        losses = [
            float(example_losses(task.loss, outputs_of(pupil, batch, p), batch.target).mean()) for p in ("fp32", "bf16")
        ]
    return bool(np.isfinite(losses).all()) and abs(losses[0] - losses[1]) <= _LOSS_AGREES * max(abs(losses[0]), 1e-6)
