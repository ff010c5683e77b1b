"""How long, how fast and in which precision to train: every `auto` of the train section, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made
from math import ceil
from typing import Any

from limpid.core.contracts import Reasons
from limpid.core.errors import RequestError
from limpid.core.spec import AUTO
from limpid.planning.train_spec import TrainSpec

_MOST_EPOCHS = 400
_ENOUGH_STEPS = 12_000
_LEAST_EPOCHS = 16
_SLACK = 0.97  # a schedule that turns out too long is compressed, one that is too short leaves time unused
_LOOKS = 12
_LOOK_SHARE = 0.1
_CLEARLY = 0.95
_JUDGING = 1.2  # measured beside forward passes alone: errors, intervals


@dataclass(frozen=True)
class Pace:
    """What a short measurement of this machine said of one network.

    Args:
        step_seconds: one optimiser step, by precision.
        valid_seconds: one pass over the validation rows, in the faster precision.
        threads: processor threads that it was measured with.
        last_seconds: one optimiser step with channels side by side in memory, by precision; empty without grids.
        small_share: what part of the time of a step one with small pictures takes; 1 where that was not measured.
        full_seconds: one pass over the validation rows in single precision; None where that is `valid_seconds`.
    """

    step_seconds: Mapping[str, float]
    valid_seconds: float
    threads: int
    last_seconds: Mapping[str, float] = made(default_factory=dict)
    small_share: float = 1.0
    full_seconds: float | None = None

    def judging(self, valid_rows: int, test_rows: int, measured_rows: int) -> float:
        """Seconds that the trained network takes to answer rows once it is trained.

        Args:
            valid_rows: answered as in training.
            test_rows: answered in single precision, as bundles do.
            measured_rows: rows of the pass that was measured.
        """
        full = self.valid_seconds if self.full_seconds is None else self.full_seconds
        return _JUDGING * (self.valid_seconds * valid_rows + full * test_rows) / max(measured_rows, 1)

    def seconds(self, precision: str) -> float | None:
        """One step in the faster of both layouts, None where it was not measured."""
        found = [s[precision] for s in (self.step_seconds, self.last_seconds) if precision in s]
        return min(found) if found else None


def choose_precision(spec: TrainSpec, pace: Pace) -> tuple[str, str]:
    """The arithmetic of the forward pass: bf16 only where it was measured to be clearly faster here."""
    if spec.precision != AUTO:
        return spec.precision, "as asked"
    full, half = pace.seconds("fp32"), pace.seconds("bf16")
    if full is None or half is None:
        only = next(iter(pace.step_seconds))
        return only, "the only one that was measured"
    if half < 0.9 * full:
        return (
            "bf16",
            f"measured here: {half * 1e3:.1f} ms a step against {full * 1e3:.1f} ms in fp32, with the same loss",
        )
    return "fp32", f"measured here: {full * 1e3:.1f} ms a step, bf16 gives {half * 1e3:.1f} ms"


def choose_layout(spec: TrainSpec, pace: Pace, precision: str) -> tuple[bool, str]:
    """Whether channels lie side by side: only where it was measured to be clearly faster here."""
    if spec.channels_last != AUTO:
        return spec.channels_last, "as asked"
    plain, last = pace.step_seconds.get(precision), pace.last_seconds.get(precision)
    if plain is None or last is None:
        return False, "there are no pictures, or nothing was measured"
    measured = f"measured here: {last * 1e3:.1f} ms a step against {plain * 1e3:.1f} ms with one channel after another"
    return last < _CLEARLY * plain, measured


def plan_training(
    spec: TrainSpec,
    defaults: Mapping[str, Any],
    reasons: Reasons,
    *,
    rows: int,
    pace: Pace,
    seconds: float | None,
    layers: int = 0,
) -> tuple[TrainSpec, Reasons, float]:
    """Fill the train section.

    Args:
        spec: what the user asked for; the rest says "auto".
        defaults: what the net recommends (lr, optimiser, batch, weight decay, ...), with `reasons`.
        rows: training rows.
        pace: measured speed.
        seconds: time for the loop under a budget, or None.
        layers: groups of layers, by depth, that start from a trained model.

    Returns:
        the complete section, a reason for each decision, and the expected seconds of the loop.
    """
    chosen: dict[str, Any] = {}
    because: Reasons = {}

    def settle(field: str, value: Any, reason: str) -> None:
        if getattr(spec, field) != AUTO:
            because[field] = "as asked"
            return
        chosen[field] = value
        because[field] = reason

    for field, value in defaults.items():
        if field == "epochs":
            continue  # settled below, with the time that there is
        settle(field, value, reasons.get(field, "recommended for this net"))
    _check_started(spec, layers)
    for field, (value, reason) in _after_start(layers).items():
        if field not in chosen:
            settle(field, value, reason)
    for field, (value, reason) in _fallbacks(rows).items():
        if field not in chosen:
            settle(field, value, reason)
    merged: TrainSpec = spec.with_(**chosen)
    precision, reason = choose_precision(spec, pace)
    settle("precision", precision, reason)
    layout, reason = choose_layout(spec, pace, precision)
    settle("channels_last", layout, reason)
    settle("threads", pace.threads, f"the fastest of those measured here for this net: {pace.threads}")
    batch = int(merged.batch)
    settle("micro_batch", batch, "a whole batch fits into memory; halved on its own if it does not")

    per_pass = max(1, ceil(rows / (batch * merged.accumulate)))
    timed = pace.last_seconds if layout and precision in pace.last_seconds else pace.step_seconds
    step = timed.get(precision, min(timed.values()))
    if merged.small != AUTO:
        step *= 1 - merged.small * (1 - pace.small_share)
    useful = max(_LEAST_EPOCHS, min(_MOST_EPOCHS, ceil(_ENOUGH_STEPS / per_pass)))
    if isinstance(defaults.get("epochs"), int):
        useful = int(defaults["epochs"])
    if useful == 0 and spec.fairness and spec.fairness_by == "penalty":
        raise RequestError(
            "a penalty is paid step by step, and this net's head is solved for without any",
            where="train.fairness_by",
            expected="reweigh, or another net",
            fix="--set train.fairness_by=reweigh",
        )
    if useful == 0 and spec.epochs == AUTO:
        settle("epochs", 0, reasons.get("epochs", "recommended for this net"))
        return spec.with_(**chosen), because, 0.0
    if spec.epochs == 0 and useful != 0:
        raise RequestError(
            "no epoch at all would leave the network as it was drawn",
            where="train.epochs",
            expected="1 or more; 0 is for nets whose head is solved for without a step",
            fix="leave train.epochs out, or set it to 1 or more",
        )
    useful = max(1, useful)
    steps, looks, affordable = useful * per_pass, _LOOKS, useful
    enough = f"{useful} passes of {per_pass:,} steps are enough for the schedule"
    epochs_because = f"{enough}, early stopping ends it sooner"
    if seconds is not None:
        if merged.refit is True:
            seconds /= 2.2  # fitted twice, the second time on more rows
        # Looks at the validation rows cost time of their own, a tenth of it at most: few where each is long.
        affordable = int(_LOOK_SHARE * seconds / pace.valid_seconds) if pace.valid_seconds > 0 else _LOOKS
        looks = max(1, min(_LOOKS, useful, affordable))
        fits = max(1, int((seconds * _SLACK - looks * pace.valid_seconds) / step))
        epochs_because = f"{enough}; the budget would allow {fits:,} steps"
        if fits < steps:
            steps = fits
            epochs_because = (
                f"{seconds:.0f} s are left for training, {_SLACK:.0%} of them planned: {fits:,} steps of "
                f"{step * 1e3:.1f} ms, with {per_pass:,} steps in a pass"
            )
    epoch_steps, epochs = per_pass, max(1, round(steps / per_pass))
    if steps < looks * per_pass or epochs > max(affordable, 1):
        epochs = min(looks, steps)
        epoch_steps = max(1, steps // epochs)
    if epoch_steps != per_pass and spec.epochs == AUTO and spec.epoch_steps is None:
        chosen["epoch_steps"] = epoch_steps
        because["epoch_steps"] = f"{epochs} looks at the validation rows in {steps:,} steps, to stop at the best"
    settle("epochs", epochs, epochs_because)
    final: TrainSpec = spec.with_(**chosen)
    length = final.epoch_steps or per_pass
    return final, because, int(final.epochs) * (length * step + pace.valid_seconds)


def _check_started(spec: TrainSpec, layers: int) -> None:
    """Refuse settings of started nets where no net starts from anything.

    Raises:
        RequestError: naming the setting.
    """
    for field, idle in (("unfreeze", 0.0), ("depth_decay", 1.0)):
        if not layers and getattr(spec, field) not in (AUTO, idle):
            raise RequestError(
                f"train.{field} is for nets that start from a trained model, and none does",
                where=f"train.{field}",
                expected="net.start, or a net with weights of its own such as backbone",
                fix=f"add --set net.start=RUN, or leave train.{field} out",
            )


def _after_start(layers: int) -> dict[str, tuple[float, str]]:
    """How the layers of a trained model go on learning."""
    if not layers:
        reason = "no net starts from a trained model"
        return {"unfreeze": (0.0, reason), "depth_decay": (1.0, reason)}
    return {
        "unfreeze": (
            0.0,
            "measured: all layers at once were best on 300 rows of adult (log loss 0.194, 0.197 with 0.1) and of "
            "california-housing",
        ),
        "depth_decay": (
            1.0,
            "measured: one rate for all layers was best on 300 rows of adult (log loss 0.194, 0.197 with 0.5) and of "
            "california-housing",
        ),
    }


def _fallbacks(rows: int) -> dict[str, tuple[Any, str]]:
    """Settings for a net that recommends nothing, a user's own module for example."""
    batch = 64 if rows < 2_000 else 256 if rows < 100_000 else 1024
    return {
        "batch": (batch, f"{batch} rows for {rows:,} training rows"),
        "lr": (1e-3, "the usual first guess for adamw"),
        "optimiser": ("adamw", "robust without tuning"),
        "weight_decay": (1e-4, "light, as usual for adamw"),
        "schedule": ("one-cycle", "reaches a good score in a fixed number of steps (Smith & Topin 2018)"),
        "warmup": (0.1, "a tenth of the steps"),
        "ema": (0.99, "averages about the last hundred steps"),
        "clip": (1.0, "keeps single bad batches from throwing the weights off"),
        "patience": (16, "epochs without a better validation score"),
        "small": (0.0, "only nets that read pictures of any size recommend it"),
        "folds": (0, "one network learns from all training rows; several take as many times as long"),
        "refit": (False, "the rows that stopped and calibrated the network stay unseen by it"),
    }
