"""What is the network to be compared with? Simple models of the same encoded rows, judged alike.

    trivial   the class shares, or the mean (the median where absolute errors count)
    linear    logistic regression, or ridge
    boosted   histogram gradient boosting, at its defaults, where there are columns of a table or tokens
    nearest   the answer of the nearest training series, where there are series

Their answers are calibrated on the validation rows like the network's. They are never a part of the model.
Without a time limit the size of the work follows from the data alone; under one, short trials measure what a fit
costs, and rows or iterations are cut to fit, which the note says.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.core.contracts import Prediction, Task
from limpid.core.forms import FieldsShape, Shape
from limpid.core.seeds import derive, generator
from limpid.data.encoded import Encoded
from limpid.evaluation.features import BoostedFeatures, LinearFeatures, boostable
from limpid.evaluation.grid_features import grid_inputs
from limpid.evaluation.series_features import nearest, series_inputs

Array = npt.NDArray[Any]
Answer = Callable[[Encoded], Array]

_LINEAR_ROWS = 100_000
_LINEAR_GRID_ROWS = 10_000
_BOOSTED_ROWS = 500_000
_SMALL_CELLS = 3e6  # rows times columns times outputs below which no sample is drawn: the clock ends the fit at worst
_LINEAR_STEPS = 200
_BOOSTED_STEPS = 100
_MOST_TREES = 2_000
_MOST_LINEAR_CELLS = 2e10  # rows times columns times outputs times iterations
_LINEAR_SHARE = 0.3  # of the time
_LINEAR_ENOUGH = 75  # iterations after which logistic regression has mostly converged
_FEWEST_ROWS = 5_000
_WARM_UP = 300
_SHORTEST = 2.0  # seconds; below, importing scikit-learn would already take most of them
_CHUNK = 100_000
_FAULTS = (ValueError, RuntimeError, ArithmeticError, MemoryError, np.linalg.LinAlgError)


@dataclass(frozen=True)
class Baseline:
    """One of them.

    Args:
        name: trivial, linear, boosted or nearest.
        metrics: part -> figure -> value, None where a figure is not defined; empty where the baseline failed.
        seconds: wall time of fitting and answering.
        note: what a reader should know: a sample, fewer iterations, a warning, why it failed.
        answers: part -> its calibrated predictions, for paired comparison; in no file.
    """

    name: str
    metrics: dict[str, dict[str, float | None]]
    seconds: float
    note: str = ""
    answers: dict[str, Prediction] = field(default_factory=dict, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return {"metrics": self.metrics, "seconds": self.seconds, "note": self.note}


@dataclass
class _Work:
    """What all baselines share: the rows, and the time that is left."""

    train: Encoded
    target: Array
    task: Task
    shape: FieldsShape | None
    seed: int
    deadline: float | None

    @property
    def classes(self) -> int | None:
        """K of exclusive classes, None for labels and values."""
        return self.task.outputs if self.target.ndim == 1 else None

    @property
    def outputs(self) -> int:
        """Models or trees that one step of fitting takes."""
        if self.classes is not None:
            return 1 if self.classes == 2 else self.classes
        return int(self.target.shape[1])

    @property
    def by_middle(self) -> bool:
        """Whether the task is judged by a figure that medians make least."""
        return self.task.metrics[0].name in ("mae", "median_absolute_error", "pinball")

    @property
    def left(self) -> float | None:
        """Seconds, or None without a limit."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def sample(self, rows: int, purpose: str) -> Array:
        """Positions of so many training rows; of each class at least one."""
        whole = len(self.target)
        if rows >= whole:
            return np.arange(whole)
        chosen = generator(self.seed, purpose, rows).choice(whole, rows, replace=False)
        if self.classes is not None:
            chosen = np.concatenate([chosen, np.unique(self.target, return_index=True)[1]])
        return np.unique(chosen)

    def weight(self, rows: Array) -> Array | None:
        """Sample weights of some rows."""
        return None if self.train.weight is None else np.asarray(self.train.weight[rows], dtype=np.float64)


def run(
    train: Encoded,
    valid: Encoded,
    test: Encoded | None,
    task: Task,
    shape: Shape | None,
    seconds: float | None,
    seed: int,
) -> list[Baseline]:
    """Fit the baselines on training rows and judge them on the others.

    Args:
        train, valid, test: encoded rows with targets; `test` may be missing.
        task: fitted; it is not changed.
        shape: of the table's columns; None where no input is one.
        seconds: wall time for all of them together, the import of scikit-learn included, or None.
        seed: of samples and of the booster.

    Returns:
        trivial, linear, boosted, and nearest where there are series; one that fails, does not suit the inputs or does
        not fit into the time, has no metrics and says why.
    """
    assert train.target is not None and valid.target is not None, "baselines need targets"
    started = time.monotonic()
    fields = shape if isinstance(shape, FieldsShape) else None
    work = _Work(
        train, np.asarray(train.target), task, fields, seed, None if seconds is None else started + 0.9 * seconds
    )
    parts = {"valid": valid} | ({"test": test} if test is not None else {})
    found = []
    several: list[tuple[str, Callable[[_Work, list[str]], Answer]]] = [
        ("trivial", _trivial), ("linear", _linear), ("boosted", _boosted)
    ]  # fmt: skip
    if series_inputs(train):
        several.insert(2, ("nearest", _nearest))
    for name, fit in several:
        if name != "trivial" and seconds is not None and seconds < _SHORTEST:
            found.append(Baseline(name, {}, 0.0, f"left out: {seconds:.1f} s do not suffice for it"))
        else:
            found.append(_judged(name, fit, work, parts))
    return found


def _judged(name: str, fit: Callable[[_Work, list[str]], Answer], work: _Work, parts: dict[str, Encoded]) -> Baseline:
    started = time.monotonic()
    notes: list[str] = []
    metrics: dict[str, dict[str, float | None]] = {}
    answers: dict[str, Prediction] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if work.left is not None and work.left <= 0 and name != "trivial":
                raise _NoTime("left out: its time was up")
            answer = fit(work, notes)
            outputs = {part: work.task.outputs_of(answer(rows)) for part, rows in parts.items()}
            judge = type(work.task).from_state(work.task.spec, work.task.state())
            if name != "trivial":
                valid = parts["valid"]
                judge.calibrate(outputs["valid"], np.asarray(valid.target), valid.weight)
            for part, rows in parts.items():
                answers[part] = judge.predict(outputs[part])
                values = {
                    m.name: float(m.compute(np.asarray(rows.target), answers[part], rows.weight)) for m in judge.metrics
                }
                metrics[part] = {key: value if np.isfinite(value) else None for key, value in values.items()}
        except _NoTime as error:
            notes = [str(error)]
        except _FAULTS as error:
            metrics, answers = {}, {}
            notes.append(f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    notes += _warned(caught)
    return Baseline(name, metrics, round(time.monotonic() - started, 3), "; ".join(notes), answers)


class _NoTime(Exception):
    """The time does not suffice for a fit worth comparing with."""


def _warned(caught: list[warnings.WarningMessage]) -> list[str]:
    said: dict[str, str] = {}
    for warning in caught:
        kind = warning.category.__name__
        if not issubclass(warning.category, DeprecationWarning | PendingDeprecationWarning):
            said.setdefault(kind, f"scikit-learn says: {str(warning.message).strip().splitlines()[0][:200]}")
    return list(said.values())


# -- each of them ---------------------------------------------------------------------------------------------------


def _trivial(work: _Work, notes: list[str]) -> Answer:
    mass = np.ones(len(work.target)) if work.train.weight is None else np.asarray(work.train.weight, dtype=np.float64)
    if work.classes is not None:
        answer = np.bincount(work.target, mass, minlength=work.classes) / mass.sum()
    elif work.task.name != "classification" and work.task.metrics[0].name in (
        "mae",
        "median_absolute_error",
        "pinball",
    ):
        answer = np.array([_median(work.target[:, r], mass) for r in range(work.outputs)])
        notes.append("the median of the training rows")
    else:
        answer = mass @ work.target.astype(np.float64) / mass.sum()
    return lambda part: np.repeat(answer[None, :], len(part.rows), axis=0)


def _median(values: Array, mass: Array) -> float:
    order = np.argsort(values, kind="stable")
    heap = np.cumsum(mass[order])
    return float(values[order[np.searchsorted(heap, heap[-1] / 2)]])


def _linear(work: _Work, notes: list[str]) -> Answer:
    from sklearn.linear_model import LogisticRegression, Ridge

    classify = work.task.name == "classification"
    steps = _LINEAR_STEPS if classify else 1
    rows = min(len(work.target), _LINEAR_GRID_ROWS if grid_inputs(work.train) else _LINEAR_ROWS)
    rows = min(rows, max(_FEWEST_ROWS, int(_MOST_LINEAR_CELLS / (_active_columns(work) * work.outputs * steps))))
    limit = None if work.left is None else time.monotonic() + _LINEAR_SHARE * work.left

    def fit(chosen: Array, steps: int, limit: float | None, notes: list[str]) -> Answer:
        features = LinearFeatures(work.train, chosen, work.shape)
        matrix, target, weight = features.matrix(work.train, chosen), work.target[chosen], work.weight(chosen)
        if not classify:
            ridge = Ridge(alpha=1.0).fit(matrix, target, sample_weight=weight)
            return lambda part: _chunks(features, part, lambda x: np.reshape(ridge.predict(x), (-1, target.shape[1])))
        pace = _Pace(steps, 25, limit, cumulative=False)
        models = _fit_each(work, lambda: LogisticRegression(warm_start=True), matrix, target, weight, pace)
        if not pace.finished:
            notes.append(f"not converged after {pace.reached} iterations")
        return lambda part: _chunks(features, part, lambda x: _answers(work, models, x))

    if limit is not None and rows * _active_columns(work) * work.outputs > _SMALL_CELLS:
        fit(work.sample(_WARM_UP, "trial"), 2, None, [])  # the first fit imports and starts threads
        few, trial = work.sample(min(2_000, rows), "trial"), min(10, steps)
        cost = _seconds(lambda: fit(few, trial, None, [])) / len(few) / trial * min(steps, _LINEAR_ENOUGH)
        rows = _affordable(rows, cost, limit)
    _say_sample(notes, rows, len(work.target))
    return fit(work.sample(rows, "linear"), steps, limit, notes)


def _nearest(work: _Work, notes: list[str]) -> Answer:
    labels = work.classes is None and work.task.name == "classification"
    return nearest(work.train, work.target, work.classes, labels, work.seed, notes)


def _active_columns(work: _Work) -> int:
    """Numbers that a row of the linear matrix holds, zeros of sparse ones aside."""
    matrix = LinearFeatures(work.train, work.sample(50, "width"), work.shape).matrix(work.train, np.arange(1))
    return max(1, int(matrix.shape[1] if isinstance(matrix, np.ndarray) else matrix.nnz))


def _boosted(work: _Work, notes: list[str]) -> Answer:
    if not boostable(work.train):
        raise _NoTime("left out: trees read raw pixels and values badly")
    import sklearn.ensemble  # noqa: F401  (its import must not count as the cost of a trial)

    rows = min(len(work.target), _BOOSTED_ROWS)
    steps = max(5, min(_BOOSTED_STEPS, _MOST_TREES // work.outputs))
    limit = None if work.left is None else time.monotonic() + 0.8 * work.left  # the rest is for answering

    def fit(chosen: Array, pace: _Pace, stop: bool | str) -> Answer:
        features = BoostedFeatures(work.train, chosen, work.shape)
        matrix, target, weight = features.matrix(work.train, chosen), work.target[chosen], work.weight(chosen)
        models = _fit_each(work, lambda: _booster(work, features.categorical, stop), matrix, target, weight, pace)
        return lambda part: _chunks(features, part, lambda x: _answers(work, models, x))

    if limit is not None and rows * _active_columns(work) * work.outputs > _SMALL_CELLS:
        sizes = [min(n, rows) for n in (_WARM_UP, 1_000, 5_000)]
        two = [
            _seconds(lambda n=n: fit(work.sample(n, "trial"), _Pace(2, 2, None, cumulative=True), False))  # type: ignore[misc]
            for n in sizes
        ]
        by_row = max(two[2] - two[1], 0.0) / 2 / max(sizes[2] - sizes[1], 1)
        fixed = max(two[1] / 2 - by_row * sizes[1], 0.0)
        rows = _affordable(rows, by_row * steps, limit - fixed * steps)
    _say_sample(notes, rows, len(work.target))
    pace = _Pace(steps, 10, limit, cumulative=True)
    answer = fit(work.sample(rows, "boosted"), pace, "auto")
    if not pace.finished or steps < _BOOSTED_STEPS:
        notes.append(f"{pace.reached} iterations instead of {_BOOSTED_STEPS}")
    return answer


def _booster(work: _Work, categorical: Array, stop: bool | str) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings: dict[str, Any] = {
        "early_stopping": stop,
        "warm_start": True,
        "categorical_features": categorical if categorical.any() else None,
        "random_state": derive(work.seed, "booster") % (1 << 31),
    }
    if work.task.name == "classification":
        return HistGradientBoostingClassifier(**settings)
    loss = "absolute_error" if work.by_middle else "squared_error"
    return HistGradientBoostingRegressor(loss=loss, **settings)


# -- pieces ---------------------------------------------------------------------------------------------------------


@dataclass
class _Pace:
    """How many iterations a model may take, and how many it took.

    Args:
        steps: iterations at most.
        stride: iterations between two looks at the clock.
        limit: when to stop (monotonic), or None for never.
        cumulative: whether the model counts iterations over all its fits, as boosters do.
        reached: iterations of the model that got furthest least.
        finished: whether every model stopped by itself or took all its steps.
    """

    steps: int
    stride: int
    limit: float | None
    cumulative: bool
    reached: int = 0
    finished: bool = True

    def fit(self, model: Any, matrix: Any, target: Array, weight: Array | None, limit: float | None) -> Any:
        """Fit a model that goes on where it stopped, a stride at a time while the time lasts."""
        stride = self.steps if limit is None else self.stride
        taken = 0
        while True:
            began = time.monotonic()
            further = min(stride, self.steps - taken)
            model.set_params(max_iter=taken + further if self.cumulative else further)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*failed to converge.*")
                model.fit(matrix, target, sample_weight=weight)
            done = int(np.max(model.n_iter_)) + (0 if self.cumulative else taken)
            taken += further
            now = time.monotonic()
            early = done < taken
            if early or taken >= self.steps or (limit is not None and now + (now - began) > limit):
                break
        ended = early or (self.cumulative and taken >= self.steps)
        self.reached = done if self.reached == 0 else min(self.reached, done)
        self.finished = self.finished and ended
        return model


def _fit_each(
    work: _Work, make: Callable[[], Any], matrix: Any, target: Array, weight: Array | None, pace: _Pace
) -> list[Any]:
    """One model for exclusive classes; else one for each label or target, a number where a label never changes."""
    if work.classes is not None:
        return [pace.fit(make(), matrix, target, weight, pace.limit)]
    models: list[Any] = []
    for column in range(target.shape[1]):
        now = time.monotonic()
        share = None if pace.limit is None else now + (pace.limit - now) / (target.shape[1] - column)
        one = target[:, column].astype(np.float64)
        if work.task.name == "classification":
            one = (one > 0.5).astype(np.int64)
            if one.min() == one.max():
                models.append(float(one[0]))
                continue
        models.append(pace.fit(make(), matrix, one, weight, share))
    return models


def _answers(work: _Work, models: list[Any], matrix: Any) -> Array:
    """(N,K) probabilities or (N,R) values."""
    if work.classes is not None:
        return _spread(models[0], matrix, work.classes)
    columns = []
    for model in models:
        if isinstance(model, float):
            columns.append(np.full(matrix.shape[0], model))
        elif work.task.name == "classification":
            columns.append(model.predict_proba(matrix)[:, 1])
        else:
            columns.append(model.predict(matrix))
    return np.stack(columns, axis=1)


def _spread(model: Any, matrix: Any, classes: int) -> Array:
    """(N,K) probabilities; a class that the sample lacked has none."""
    chances = np.zeros((matrix.shape[0], classes))
    chances[:, model.classes_] = model.predict_proba(matrix)
    return chances


def _chunks(features: Any, part: Encoded, answer: Callable[[Any], Array]) -> Array:
    pieces = [
        answer(features.matrix(part, np.arange(start, min(start + _CHUNK, len(part.rows)))))
        for start in range(0, max(len(part.rows), 1), _CHUNK)
    ]
    return np.concatenate(pieces)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trial is cut short on purpose
        work()
    return time.monotonic() - started


def _affordable(rows: int, seconds_a_row: float, limit: float) -> int:
    """Rows that a fit can take until `limit`, or so few that it is worth beginning with them all the same."""
    left = limit - time.monotonic()
    return min(rows, max(_FEWEST_ROWS, int(max(left, 0.0) / max(seconds_a_row, 1e-12))))


def _say_sample(notes: list[str], rows: int, whole: int) -> None:
    if rows < whole:
        notes.append(f"on a sample of {rows:,} of {whole:,} training rows")
