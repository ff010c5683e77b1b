"""Classification: which class a row belongs to, of two or of many; or which labels it carries (multi-label).

Legend of shapes: B examples, N rows, M members, D width, K classes or labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Metric, Prediction, Reasons, WrittenLoss
from limpid.core.errors import RequestError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers import metrics as merit
from limpid.layers.calibration import best_cut, fit_binary_temperature, fit_temperature, temper, temper_binary
from limpid.layers.conformal import finite_list
from limpid.layers.heads import linear_head
from limpid.layers.scores import class_scores
from limpid.tasks.class_balance import class_weights, plan_threshold
from limpid.tasks.class_figures import class_figures
from limpid.tasks.class_loss import ClassLoss
from limpid.tasks.class_targets import Reader, damaged, learn_reader, reader_from_state, too_few, unseen_class

Array = npt.NDArray[Any]

_CHUNK = 1 << 22  # scores turned into probabilities at a time

MetricName = Literal[
    "log_loss", "accuracy", "roc_auc", "f1", "f1_macro", "balanced_accuracy", "average_precision", "brier", "ece"
]
_EXCLUSIVE: tuple[MetricName, ...] = (
    "log_loss", "roc_auc", "accuracy", "f1_macro", "balanced_accuracy", "average_precision", "brier", "ece",
)  # fmt: skip
_TWO: tuple[MetricName, ...] = (*_EXCLUSIVE[:3], "f1", *_EXCLUSIVE[3:])
_LABELS: tuple[MetricName, ...] = (
    "log_loss", "roc_auc", "f1_macro", "average_precision", "accuracy", "brier", "ece",
)  # fmt: skip
_LESS_IS_BETTER = {"log_loss", "brier", "ece"}


class ClassificationSpec(Spec):
    """How classes are learnt."""

    multi_label: Auto | bool = Field(
        default=AUTO, description="whether a row may carry several labels at once, or none"
    )
    separator: str = Field(
        default=AUTO, max_length=10, description="what stands between the labels of a text target, or auto"
    )
    positive: str | None = Field(
        default=None, description="of two classes, the one that counts as found; the last in order by default"
    )
    loss: Auto | Literal["cross_entropy", "focal", "bce"] = Field(
        default=AUTO, description="what is made small; bce takes each class against the rest"
    )
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        default=2.0, description="how strongly the focal loss turns to hard rows, 0 is cross-entropy"
    )
    label_smoothing: Auto | Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=AUTO, description="share of each target spread evenly over all classes"
    )
    class_weights: Auto | Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0.0)]] = Field(
        default=AUTO, description="factor on the loss of each class: none, balanced, or a mapping from class to factor"
    )
    threshold: Auto | Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["f1", "balanced"] = Field(
        default=AUTO,
        description="probability from which the positive class is named, or what to choose it by on validation rows: "
        "f1 (mean F1 of both classes) or balanced (mean recall)",
    )
    metric: Auto | MetricName = Field(default=AUTO, description="the figure that training is judged by")


class Classification:
    """The task; made by `fit` or `from_state`.

    Args:
        spec: settings without an auto left.
        reader: how the target is written down.
        shares: (K,) weighted share of training rows in each class, or with each label.
    """

    Spec: ClassVar[type[Spec]] = ClassificationSpec
    name: ClassVar[str] = "classification"
    loop: ClassVar[str] = "supervised"
    needs: ClassVar[str] = "vec"
    target_kinds: ClassVar[frozenset[str]] = frozenset({"category", "labels", "number", "text", "key", "constant"})

    def __init__(self, spec: ClassificationSpec, reader: Reader, shares: Array) -> None:
        self.spec = spec
        self.outputs = len(reader.names)
        self.classes = reader.names
        self.multi_label = not reader.exclusive
        self._reader = reader
        self._shares = np.asarray(shares, dtype=np.float64)
        self._weights = class_weights(spec.class_weights, reader.names, self._shares, exclusive=reader.exclusive)
        self.temperature = np.ones(self.outputs if self.multi_label else 1)
        start = spec.threshold if isinstance(spec.threshold, float) else 0.5
        self.threshold = np.full(self.outputs if self.multi_label else 1, start)
        self._loss = ClassLoss(spec, self._weights, multi_label=self.multi_label)

    # -- the plan -----------------------------------------------------------------------------------------------

    @classmethod
    def plan(
        cls, spec: ClassificationSpec, targets: list[ColumnFacts], kinds: list[str], rows: int
    ) -> tuple[ClassificationSpec, Reasons]:
        """Decide every `auto` from the facts of the target columns in training rows.

        Raises:
            RequestError: settings that do not go together.
        """
        changes: dict[str, Any] = {}
        reasons: Reasons = {}

        def decide(field: str, value: Any, because: str) -> None:
            if getattr(spec, field) == AUTO:
                changes[field], reasons[field] = value, because

        several = len(targets) > 1
        sets = several or "labels" in kinds
        decide(
            "multi_label",
            sets,
            "several targets of two values each" if several else "the target holds sets of labels" if sets
            else "each row has one class",
        )  # fmt: skip
        multi = bool(changes.get("multi_label", spec.multi_label))
        if several and not multi:
            raise RequestError(
                f"{len(targets)} target columns cannot be one class",
                where="task.multi_label",
                expected="one target column, or multi_label",
                fix="leave task.multi_label out, or name one --target",
            )
        separator = targets[0].separator if multi and not several else ""
        decide("separator", separator, f"labels are written with {separator!r} between them" if separator
               else "each cell is one label, or a list")  # fmt: skip
        decide("loss", "bce" if multi else "cross_entropy", "labels do not exclude each other" if multi
               else "it makes probabilities honest")  # fmt: skip
        wanted = spec.metric if spec.metric != AUTO else "log_loss"
        decide("label_smoothing", 0.1 if wanted == "accuracy" and not multi else 0.0,
               "accuracy gains a little from it" if wanted == "accuracy" and not multi
               else "it would blur the probabilities, and with them log loss and ROC AUC")  # fmt: skip
        decide(
            "class_weights", "none", "weights would distort the probabilities; a rare class is helped by the threshold"
        )
        weights = changes.get("class_weights", spec.class_weights)
        decide("threshold", *plan_threshold(targets, multi, weights, rows))
        decide("metric", "log_loss", "it moves with every row's probability and therefore says earliest and with the "
               "least noise when learning has stopped")  # fmt: skip
        planned = spec.with_(**changes)
        _check_together(planned, multi)
        return planned, reasons

    # -- the target ---------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, spec: ClassificationSpec, target: pl.DataFrame, weight: Array | None) -> Self:
        """Learn the classes and their shares from training rows.

        Raises:
            DataError: there are no two classes to tell apart.
            RequestError: the settings name a class that does not occur.
        """
        assert not spec.autos(), f"{spec.autos()} are not decided"
        if target.height == 0:
            raise too_few("no training row has a target", target.columns[0])
        reader = learn_reader(
            target, multi_label=bool(spec.multi_label), separator=spec.separator, positive=spec.positive
        )
        if spec.metric == "f1" and not spec.multi_label and len(reader.names) != 2:
            text = f"'f1' is of one class against another, and there are {len(reader.names):,}"
            raise RequestError(text, where="task.metric", expected="two classes", fix="use task.metric=f1_macro")
        codes, misfit = reader.encode(target, None)
        known = np.ones(len(codes), dtype=bool) if misfit is None else ~misfit.rows
        mass = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
        hot = codes if codes.ndim == 2 else None
        counts = np.bincount(codes[known], mass[known], len(reader.names)) if hot is None else mass[known] @ hot[known]
        return cls(spec, reader, counts / max(float(mass[known].sum()), 1e-300))

    def encode(
        self,
        target: pl.DataFrame,
        repairs: Repairs | None = None,
        *,
        rows: Array | None = None,
        unseen: Literal["error", "drop"] = "error",
    ) -> Array:
        """(N,) int64 classes, or (N,K) float32 labels of 0 and 1.

        Args:
            target: the target columns.
            repairs: tally of cells that were mended, and of rows that were marked.
            rows: (N,) source row numbers from 0, for messages, which count from 1; their places by default.
            unseen: what becomes of a cell that is no class of the training rows: an error, or a row marked with -1.

        Raises:
            DataError: such a cell, with unseen="error".
        """
        codes, misfit = self._reader.encode(target, repairs)
        if misfit is None:
            return codes
        if unseen == "error":
            raise unseen_class(misfit, self.classes, rows)
        if repairs is not None:
            repairs.add(
                misfit.column, "is no class of the training rows, row left out", int(misfit.rows.sum()), misfit.cell
            )
        return codes

    def usable(self, target: Array) -> npt.NDArray[np.bool_]:
        """(N,) false for the rows that `encode` marked."""
        return np.asarray(target >= 0 if target.ndim == 1 else (target >= 0).all(axis=1))

    # -- the network's end --------------------------------------------------------------------------------------

    def head(self, width: int, members: int | None) -> nn.Module:
        """A linear head whose bias starts at the log of the class shares, so that no step is spent on finding them."""
        shares = np.clip(self._shares, 1e-6, 1 - 1e-6)
        if self.multi_label:
            found = shares * (self._weights if self._weights is not None else 1.0)
            bias = np.log(found) - np.log1p(-shares)
        elif self.spec.loss == "bce":
            bias = np.log(shares) - np.log1p(-shares)
        else:
            bias = np.log(shares * (self._weights if self._weights is not None else 1.0))
            bias -= bias.mean()
        return linear_head(width, self.outputs, members, bias=[float(b) for b in bias])

    def prepare_target(self, target: Tensor) -> Tensor:
        """(B,) int64 classes or (B,K) float32 labels."""
        return target.float() if self.multi_label else target.long()

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """(B,) loss of logits (B,K)."""
        return self._loss(outputs, target)

    def right(self, outputs: Tensor, target: Tensor) -> Tensor | None:
        """(B,) bool: whether the class of the largest logit is the true one; None for sets of labels."""
        return None if self.multi_label else outputs.argmax(dim=-1) == target

    def scores(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor, int]:
        """What groups are compared by: the probability of the truth, true class by true class."""
        return class_scores(outputs, target, multi_label=self.multi_label)

    def written_loss(self, outputs: Tensor, target: Tensor) -> WrittenLoss:
        """The loss of one example's logits (K), with its numbers."""
        return self._loss.written(outputs, target)

    # -- the answer ---------------------------------------------------------------------------------------------

    def predict(self, outputs: Array) -> Prediction:
        """Calibrated probabilities (N,K) from logits (N,K) or (N,M,K); members are averaged as probabilities.

        Where classes were weighted in training, the weights are taken out again, so that probabilities keep to the
        shares of the training rows.
        """
        pooled = self._pool(outputs)
        if self.multi_label:
            return Prediction(temper_binary(pooled, self.temperature))
        return Prediction(temper(pooled, float(self.temperature[0])))

    def calibrate(self, outputs: Array, target: Array, weight: Array | None) -> Reasons:
        """Find the temperature, and the threshold where it is to be chosen, on validation rows."""
        pooled = self._pool(outputs)
        if not np.isfinite(pooled).all() or len(target) == 0:
            return {"temperature": "1: there is no validation row with a finite output to find it by"}
        if self.multi_label:
            found = [fit_binary_temperature(pooled[:, k], target[:, k], weight) for k in range(self.outputs)]
            self.temperature = np.array(found)
            said = f"{np.median(found):.3g} in the middle, one for each label"
        else:
            self.temperature = np.array([fit_temperature(pooled, target, weight)])
            said = f"{self.temperature[0]:.3g}"
        values = self.predict(outputs).values
        before, after = (merit.once(merit.log_loss(target, p), len(target), weight) for p in (pooled, values))
        reasons = {"temperature": f"{said}: log loss on {len(target):,} validation rows {before:.4f} -> {after:.4f}"}
        if isinstance(self.spec.threshold, str):
            reasons["threshold"] = self._choose_threshold(values, target, weight)
        return reasons

    def _choose_threshold(self, values: Array, target: Array, weight: Array | None) -> str:
        aim: Literal["f1", "balanced"] = "f1" if self.spec.threshold == "f1" else "balanced"
        noun = "mean F1 of both classes" if aim == "f1" else "mean recall of both classes"
        if self.multi_label:
            cuts = [best_cut(values[:, k], target[:, k] > 0.5, weight, aim) for k in range(self.outputs)]
            self.threshold = np.array([0.5 if cut is None else cut[0] for cut in cuts])
            chosen = sum(cut is not None for cut in cuts)
            return (
                f"for {chosen} of {self.outputs} labels the one with the greatest {noun} on validation rows, else 0.5"
            )
        if self.outputs != 2:
            return "0.5: it has no say among more than two classes"
        cut = best_cut(self._leaning(values)[:, 1], target == 1, weight, aim)
        if cut is None:
            self.threshold = np.array([0.5])
            return "0.5: a class has fewer than ten validation rows to choose by"
        self.threshold = np.array([cut[0]])
        return f"{cut[0]:.4g}: the greatest {noun} on {len(target):,} validation rows, {cut[1]:.4f}"

    def decide(self, values: Array) -> Array:
        """(N,) classes or (N,K) bool labels from probabilities (N,K)."""
        if self.multi_label:
            labels: Array = values > self.threshold
            return labels
        leaning = self._leaning(values)
        if self.outputs == 2:
            second: Array = (leaning[:, 1] > self.threshold[0]).astype(np.int64)
            return second
        likeliest: Array = leaning.argmax(axis=1)
        return likeliest

    def outputs_of(self, answers: Array) -> Array:
        """(N,K) logits that stand for probabilities (N,K)."""
        chance = np.clip(np.asarray(answers, dtype=np.float64), 1e-12, 1 - 1e-12)
        logits: Array = np.log(chance)
        if self.multi_label or self.spec.loss == "bce":
            logits = logits - np.log1p(-chance)
        if self._weights is not None and (self.multi_label or self.spec.loss != "bce"):
            logits = logits + np.log(self._weights)
        return logits

    def decode(self, prediction: Prediction) -> pl.DataFrame:
        """The columns of `limpid predict`: prediction, and a probability for each class or label."""
        values = prediction.values
        columns = self._reader.cells(self.decide(values))
        columns += [pl.Series(f"probability_{name}", values[:, k]) for k, name in enumerate(self.classes)]
        return pl.DataFrame(columns)

    def readable(self, target: Array) -> list[Any]:
        """The class of each encoded row, or its labels."""
        return self._reader.readable(target)

    def _pool(self, outputs: Array) -> Array:
        """(N,K) float64 probabilities, members averaged, class weights taken out."""
        raw = np.asarray(outputs)
        shift = None if self._weights is None else np.log(self._weights).astype(raw.dtype)
        if not self.multi_label and self.spec.loss == "bce":
            shift = None  # a weight scales both sides of one class against the rest and moves no probability
        result = np.empty((len(raw), self.outputs))
        step = max(1, _CHUNK // max(1, raw[:1].size))
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, len(raw), step):
                logits = raw[start : start + step]
                if shift is not None:
                    logits = logits - shift
                chances = self._link(logits)
                result[start : start + step] = chances if chances.ndim == 2 else chances.mean(axis=1)
        return result

    def _link(self, logits: Array) -> Array:
        if not self.multi_label and self.spec.loss != "bce":
            raised: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
            shares: Array = raised / raised.sum(axis=-1, keepdims=True, dtype=np.float64)
            return shares
        chances: Array = 1 / (1 + np.exp(-logits.astype(np.float64)))
        if not self.multi_label:
            chances = chances / chances.sum(axis=-1, keepdims=True)
        return chances

    def _leaning(self, values: Array) -> Array:
        """Probabilities as they weigh in a decision: with the class weights, where there are any."""
        if self._weights is None:
            return values
        weighed: Array = values * self._weights
        weighed /= weighed.sum(axis=1, keepdims=True)
        return weighed

    # -- figures ------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Metric]:
        """All figures, the one that training is judged by first."""
        names = _LABELS if self.multi_label else _TWO if len(self.classes) == 2 else _EXCLUSIVE
        ordered = [n for n in names if n == self.spec.metric] + [n for n in names if n != self.spec.metric]
        return [_metric(n, self._scorer(n), greater=n not in _LESS_IS_BETTER) for n in ordered]

    def _scorer(self, name: MetricName) -> Callable[[Array, Prediction], merit.Scorer]:
        def make(target: Array, prediction: Prediction) -> merit.Scorer:
            values = prediction.values
            of_values = {
                "log_loss": merit.log_loss,
                "roc_auc": merit.roc_auc,
                "average_precision": merit.average_precision,
                "brier": merit.brier,
                "ece": merit.ece,
            }
            if name in of_values:
                return of_values[name](target, values)
            decided = self.decide(values)
            if name == "accuracy":
                return merit.accuracy(target > 0.5 if self.multi_label else target, decided)
            if self.multi_label:
                return merit.f1_labels(target > 0.5, decided)
            if name == "f1":
                return merit.f1_labels(target[:, None] == 1, decided[:, None] == 1)
            of_classes = {"f1_macro": merit.f1_macro, "balanced_accuracy": merit.balanced_accuracy}
            return of_classes[name](target, decided, self.outputs)

        return make

    def example_loss(self, target: Array, prediction: Prediction) -> Array:
        """(N,) log loss of each row, in nats."""
        return merit.log_loss_rows(target, prediction.values)

    def figures(self, target: Array, prediction: Prediction) -> dict[str, Any]:
        """Confusion or labels, curves and reliability; see `class_figures`."""
        return class_figures(
            self.classes,
            target,
            prediction.values,
            self.decide(prediction.values),
            threshold=self.threshold.tolist(),
            temperature=self.temperature.tolist(),
        )

    # -- saving -------------------------------------------------------------------------------------------------

    def answers_like(self, other: Any) -> bool:
        """Whether another task's raw outputs stand for the same classes."""
        return isinstance(other, Classification) and other._reader.state() == self._reader.state()

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""
        return {
            "target": self._reader.state(),
            "shares": self._shares.tolist(),
            "temperature": self.temperature.tolist(),
            "threshold": self.threshold.tolist(),
        }

    @classmethod
    def from_state(cls, spec: ClassificationSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: it is damaged or hostile.
        """
        if not isinstance(state, Mapping) or set(state) != {"target", "shares", "temperature", "threshold"}:
            raise damaged("the task lacks its parts")
        if spec.autos():
            raise damaged("the task has settings that were never decided")
        reader = reader_from_state(state["target"])
        classes = len(reader.names)
        if classes < (2 if reader.exclusive else 1) or spec.multi_label == reader.exclusive:
            raise damaged("the task's settings and its classes do not fit together")
        singles = 1 if reader.exclusive else classes
        lists = {n: finite_list(state[n], classes) for n in ("shares", "temperature", "threshold")}
        shares, temperature, threshold = lists.values()
        if shares is None or len(shares) != classes or min(shares) < 0 or max(shares) > 1 + 1e-6:
            raise damaged("the shares of the classes are no shares")
        if temperature is None or len(temperature) != singles or min(temperature) <= 0:
            raise damaged("the temperature is none")
        if threshold is None or len(threshold) != singles or not all(0 <= t <= 1 for t in threshold):
            raise damaged("the threshold is none")
        try:
            task = cls(spec, reader, np.array(shares))
        except RequestError as error:
            raise damaged(error.what) from error
        task.temperature, task.threshold = np.array(temperature), np.array(threshold)
        return task


def _metric(name: str, make: Callable[[Array, Prediction], merit.Scorer], *, greater: bool) -> Metric:
    def compute(target: Array, prediction: Prediction, weight: Array | None) -> float:
        return merit.once(make(target, prediction), len(target), weight)

    return Metric(name, greater, compute, make)


def _check_together(spec: ClassificationSpec, multi: bool) -> None:
    names = _LABELS if multi else _TWO
    if spec.metric not in names:
        raise RequestError(
            f"{spec.metric!r} is not defined for sets of labels",
            where="task.metric",
            expected=f"one of {', '.join(names)}",
            fix="choose one of them with --set task.metric=NAME",
        )
    if multi and spec.loss == "cross_entropy":
        raise RequestError(
            "cross_entropy needs classes that exclude each other",
            where="task.loss",
            expected="bce or focal for sets of labels",
            fix="leave task.loss out",
        )
