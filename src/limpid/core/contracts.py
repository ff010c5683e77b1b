"""What a member of each catalogue must offer: modality, net, task. The suites in tests/contract run over all of them.

Legend of shapes: B examples, F numeric and G categorical features, D width, M members, K classes, R targets,
N rows of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from limpid.core.forms import Shape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from torch import Tensor, nn

Reasons = dict[str, str]
"""Field name -> why it got its value."""


@dataclass(frozen=True)
class Size:
    """How much there is to learn from and to spend; what rules of planning scale with.

    Args:
        rows: training examples.
        outputs: K classes or R targets.
        task: the task's name.
        seconds: time for the training loop alone, or None without a budget.
        flops_per_second: what this machine sustains on large float32 products.
        half_flops_per_second: the same on bfloat16 products, None where the processor has no such arithmetic.
        net: the net that the user named for the column in question, or None; some columns are encoded by it.
    """

    rows: int
    outputs: int
    task: str
    seconds: float | None = None
    flops_per_second: float = 1e11
    half_flops_per_second: float | None = None
    net: str | None = None


@dataclass(frozen=True)
class Needs:
    """What a net that brings weights of its own needs of the column that it reads.

    Args:
        options: of the column, exactly so unless the user says otherwise.
        most: of options that are whole numbers, the most that the net reads.
        fit: named arguments for the modality's `fit`.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Modality(Protocol):
    """A kind of column; the class is the encoder, fitted on training rows and stored as plain data.

    No torch: a modality works on polars series and numpy arrays. Cells that are whole files (pictures, recordings)
    come as bytes, a few hundred at a time; one that cannot be read is marked with `repairs.reject`.

    Three attributes are optional. `net`: the net that reads its input where none is named, in place of the form's
    default. `leads`: True where its input is the main one even beside a table's columns. `augmenter`: "module:Class"
    of what changes its training examples, made as Class(spec.augment, shape).
    """

    Spec: ClassVar[type[Spec]]
    form: str | None  # the form that it emits; None for kinds that no net reads (key, constant)

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim the column, with evidence, or not."""

    @classmethod
    def plan(cls, spec: Any, facts: ColumnFacts, size: Size) -> tuple[Any, Reasons]:
        """Decide every `auto` of the spec."""

    @classmethod
    def fit(cls, spec: Any, column: pl.Series) -> Self:
        """Learn from the training rows; missing cells are null already."""

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """The parts of the form without the input's prefix: numbers, missing, categories, or tokens; N rows each."""

    def shape(self) -> Shape:
        """Shape of what `encode` gives."""

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""

    @classmethod
    def from_state(cls, spec: Any, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`; checks every field, since the file may be hostile (BundleError)."""


class Net(Protocol):
    """An architecture: an nn.Module from one form to a vec, or from one of several ("seq or grid").

    A net that brings weights of its own may have more. `needs(settings)`: kind of column -> `Needs`, with which a
    column gives what the weights were trained with. `portable(settings)`: the settings as a bundle holds them.
    `pretrained`: names of parameters that come with values. `depths()`: names of parameters by depth, those nearest to
    the output first. `still`: names of parameters and buffers that never change. `fold()`: called once after training.
    `frozen`: whether all of it but a `top` stays as it is; then
    `bottom(form)` gives (B,D) features, computed once, `prepare_top(features)` looks at those of training examples,
    and calling the net is `top(bottom(form))`. `line`: true where a line through the training rows is to stand beside
    it, found in closed form and weighed against it by rows that were left out.
    """

    Spec: ClassVar[type[Spec]]
    takes: ClassVar[str]
    gives: ClassVar[frozenset[str]]

    width: int  # D of what it gives
    members: int | None  # M where it gives (B,M,D)

    @classmethod
    def plan(cls, spec: Any, shape: Any, size: Size) -> tuple[Any, Reasons]:
        """Decide every `auto` of the spec; published defaults with their source, scaled by a stated rule."""

    def __init__(self, spec: Any, shape: Any) -> None: ...

    def prepare(self, form: Any, target: Tensor) -> None:
        """Look once at training examples before the first step; what it finds are buffers of a fixed shape."""

    def __call__(self, form: Any) -> Tensor:
        """(B,D), or (B,M,D) with members."""

    def flops(self) -> float:
        """Multiplications and additions of one example's forward pass."""


@dataclass(frozen=True)
class Prediction:
    """What a task made of the raw outputs of N examples, members averaged and calibrated.

    Args:
        values: (N,K) probabilities, or (N,R) values in the target's own units.
        lower, upper: (N,R) bounds of the 90 % interval, for regression.
        quantiles: (N,R,Q) quantiles of each value, where a task predicts them.
    """

    values: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    quantiles: np.ndarray | None = None


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Args:
        name: scikit-learn's name where it has one.
        greater_is_better: its direction.
        compute: (target (N,...), prediction, weight (N,) or None) -> value; the weights are sample weights and may be
            the counts of a bootstrap sample.
        prepare: the same for S weightings of the same rows at once: (target, prediction) -> (weights (S,N) -> (S,));
            None has bootstraps call `compute` S times.
    """

    name: str
    greater_is_better: bool
    compute: Callable[[np.ndarray, Prediction, np.ndarray | None], float] = field(repr=False)
    prepare: Callable[[np.ndarray, Prediction], Callable[[np.ndarray], np.ndarray]] | None = field(
        default=None, repr=False
    )


@dataclass(frozen=True)
class WrittenLoss:
    """The loss of one example with its numbers.

    Args:
        formula: how it is computed, in words of the field.
        steps: the same with the numbers put in, one line each.
        value: computed from the raw outputs in double precision, apart from the code that trains.
    """

    formula: str
    steps: tuple[str, ...]
    value: float


class Task(Protocol):
    """What is wanted of the target: how it is encoded, the head, the loss per example, the answer and the metrics.

    Three methods are optional. `scores(outputs, target)`: scores (B,S) of raw outputs (B,K) or (B,M,K), the cell (B,S)
    of each, and the number of cells; groups are alike where their mean scores of the same cell are equal.
    `right(outputs, target)`: (B,) bool, whether raw outputs (B,K), members averaged, are the right answer to a prepared
    target; None where right and wrong are not all there is. `answers_like(other)`: whether another task's raw outputs
    stand for the same, so that a run that starts from that model keeps its head.
    """

    Spec: ClassVar[type[Spec]]
    name: ClassVar[str]
    loop: ClassVar[str]  # supervised, adversarial or rollout
    needs: ClassVar[str]  # the form that the head reads
    target_kinds: ClassVar[frozenset[str]]  # kinds of target columns that it serves

    spec: Any
    outputs: int  # K or R, known after `fit`

    @classmethod
    def plan(cls, spec: Any, targets: list[ColumnFacts], kinds: list[str], rows: int) -> tuple[Any, Reasons]:
        """Decide every `auto` of the spec from the facts of the target columns in training rows."""

    @classmethod
    def fit(cls, spec: Any, target: pl.DataFrame, weight: np.ndarray | None) -> Self:
        """Learn classes, scales and class weights from training rows; target columns hold no nulls."""

    def encode(
        self,
        target: pl.DataFrame,
        repairs: Repairs | None = None,
        *,
        rows: np.ndarray | None = None,
        unseen: Literal["error", "drop"] = "error",
    ) -> np.ndarray:
        """(N,) int64 classes, (N,K) float32 labels, or (N,R) float32 values in the target's own units.

        A cell that is no target of this task (a class never trained, an endless number) is a DataError naming its row
        (`rows` gives the source row numbers); with unseen="drop" it is counted in `repairs` and its row marked, so
        that `usable` tells it apart.
        """

    def usable(self, target: np.ndarray) -> np.ndarray:
        """(N,) bool: which encoded rows hold a target, false for those that `encode` marked."""

    def head(self, width: int, members: int | None) -> nn.Module:
        """Maps (B,D) to (B,K or R), or (B,M,D) to (B,M,K or R) with weights of their own for each member.

        A head with a true attribute `reads_input` is called with the main input's form beside the features, and its
        `prepare(form, target, weight)` looks once at training examples, as that of a net does.
        """

    def prepare_target(self, target: Tensor) -> Tensor:
        """The encoded target as the loss wants it (standardised, transformed)."""

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """(B,) loss of raw outputs (B,K or R) against a prepared target; members were folded into B."""

    def written_loss(self, outputs: Tensor, target: Tensor) -> WrittenLoss:
        """The loss of one example, raw outputs (K or R) against its prepared target, for a person to follow."""

    def predict(self, outputs: np.ndarray) -> Prediction:
        """From raw outputs (N,K) or (N,M,K) to the answer; applies what `calibrate` found."""

    def calibrate(self, outputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> Reasons:
        """Fit temperature, threshold or conformal widths on validation rows; says what it found."""

    def outputs_of(self, answers: np.ndarray) -> np.ndarray:
        """Raw outputs that stand for the answers (N,K) or (N,R) of a model that is no network, so that baselines are
        calibrated and judged like one."""

    def decode(self, prediction: Prediction) -> pl.DataFrame:
        """The columns of `limpid predict`: prediction, probability_<class>, lower, upper."""

    @property
    def metrics(self) -> list[Metric]:
        """All figures; the first one is the one that training is judged by."""

    def example_loss(self, target: np.ndarray, prediction: Prediction) -> np.ndarray:
        """(N,) how wrong each answer is: what the hardest rows and the weakest slices are found by."""

    def readable(self, target: np.ndarray) -> list[Any]:
        """Encoded targets as a person would write them."""

    def figures(self, target: np.ndarray, prediction: Prediction) -> dict[str, Any]:
        """Aggregated data behind the task's drawings (confusion, curves, residuals), as JSON of bounded size."""

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""

    @classmethod
    def from_state(cls, spec: Any, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`; checks every field (BundleError)."""
