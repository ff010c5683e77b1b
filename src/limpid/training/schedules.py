"""What share of the peak learning rate does a step get? Pure functions of the step, so a resumed run needs no state.

The schedules:
    constant    1
    step        decay ** n, n growing by one every `every` steps
    cosine      half a cosine from 1 to 0 (Loshchilov & Hutter 2017)
    one-cycle   a cosine up to 1 and a longer one down to almost 0 (Smith & Topin 2018)
    plateau     decay ** n, n growing by one whenever the validation score has stopped improving
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi

from limpid.planning.train_spec import TrainSpec

_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = 1 / 25e4
_ONE_CYCLE_RISE = 0.3


def rate_factor(
    spec: TrainSpec, step: float, steps: int, *, scores: Sequence[float | None] = (), greater_is_better: bool = True
) -> float:
    """The factor on the peak rate in one step.

    Args:
        spec: schedule, warmup, decay, decay_every, plateau.
        step: steps done before this one; a fraction where the schedule was compressed.
        steps: steps of the whole training.
        scores: validation scores of the epochs so far, for the schedule plateau.
        greater_is_better: direction of the scores.

    Example:
        >>> spec = TrainSpec(schedule="cosine", warmup=0.0)
        >>> rate_factor(spec, 0, 100), round(rate_factor(spec, 50, 100), 9)
        (1.0, 0.5)
    """
    warmup = 0.0 if spec.warmup == "auto" else spec.warmup
    if spec.schedule == "one-cycle":
        return one_cycle(step, steps, rise=warmup or _ONE_CYCLE_RISE)
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if spec.schedule == "cosine":
        return cosine(step - rising, steps - rising)
    if spec.schedule == "step":
        return stepped(step - rising, every=max(1, round(spec.decay_every * (steps - rising))), decay=spec.decay)
    if spec.schedule == "plateau":
        return plateau(scores, greater_is_better, patience=spec.plateau, decay=spec.decay)
    return 1.0


def stepped(step: float, *, every: int, decay: float) -> float:
    """`decay` to the power of the number of whole periods of `every` steps."""
    return float(decay ** (step // every))


def cosine(step: float, steps: int) -> float:
    """From 1 at the first step towards 0 after the last one."""
    return 0.5 * (1 + cos(pi * min(step, steps) / steps)) if steps else 1.0


def one_cycle(step: float, steps: int, *, rise: float) -> float:
    """From 1/25 up to 1 within the share `rise` of the steps, then down to a 250,000th."""
    top = rise * steps - 1
    last = steps - 1
    if step <= top and top > 0:
        return _anneal(_ONE_CYCLE_START, 1.0, step / top)
    return _anneal(1.0, _ONE_CYCLE_END, (step - max(top, 0)) / max(last - max(top, 0), 1))


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * min(share, 1.0)))


def plateau(scores: Sequence[float | None], greater_is_better: bool, *, patience: int, decay: float) -> float:
    """`decay` once for every time that more than `patience` epochs passed without a better score.

    A score that is None, because it was not finite, is not better.
    """
    best: float | None = None
    waited = 0
    factor = 1.0
    for score in scores:
        if score is not None and is_better(score, best, greater_is_better):
            best, waited = score, 0
        else:
            waited += 1
        if waited > patience:
            factor *= decay
            waited = 0
    return factor


def is_better(score: float, best: float | None, greater_is_better: bool) -> bool:
    """Whether a finite score beats the best so far."""
    if best is None:
        return True
    return score > best if greater_is_better else score < best
