"""The one number that an explanation is about: how much a model's raw output speaks for its answer.

Legend of shapes: N rows, B examples, K outputs, M members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limpid.bundle.model import Model, forward
from limpid.core.contracts import Prediction
from limpid.planning.assemble import Assembled

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

MOST_NETWORKS = 5
"""Networks of a model that are explained, the first ones; the others say about the same."""


@dataclass(frozen=True)
class Question:
    """A weighted sum of raw outputs, averaged over the members of all networks.

    Args:
        networks: all whose mean the model is.
        weights: (K) of the raw outputs.
        said: what the number is, for people.
    """

    networks: Sequence[Assembled]
    weights: tuple[float, ...]
    said: str

    def evidence(self, outputs: Tensor) -> Tensor:
        """(B) of raw outputs (B,K) or (B,M,K)."""
        mean = outputs.float() if outputs.dim() == 2 else outputs.float().mean(dim=1)
        return mean @ torch.tensor(self.weights, dtype=mean.dtype)

    def ask(self, arrays: Mapping[str, Array]) -> Floats:
        """(N) of encoded rows."""
        each = [self.evidence(torch.from_numpy(forward(n, arrays))).double().numpy() for n in self.networks]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)

    def of(self, networks: Sequence[Assembled]) -> Question:
        """The same of other networks."""
        return Question(networks, self.weights, self.said)


def question_of(bundle: Model, prediction: Prediction) -> Question:
    """What is asked of one row: what speaks for the class that the model answers, or the value that it gives.

    Of classes that exclude each other it is how far the logit stands above the mean of the others, since adding the
    same to all logits changes no answer. Of several labels it is the likeliest one's logit, of several targets the
    first one's value, of a forecast the mean of the medians of all steps.

    Args:
        bundle: the model.
        prediction: its answer for the row.
    """
    task: Any = bundle.task
    networks = (bundle.network, *bundle.more)[:MOST_NETWORKS]
    outputs = int(task.outputs)
    target = ", ".join(bundle.target)
    weights = np.zeros(outputs)
    if task.name == "classification":
        values = np.asarray(prediction.values)
        chosen = int(np.argmax(values[0])) if task.multi_label else int(task.decide(values)[0])
        name = str(task.classes[chosen])
        if not task.multi_label:
            weights[:] = -1 / (outputs - 1)
        weights[chosen] = 1.0
        what = "its logit" if task.multi_label else "how far its logit stands above the mean of the others"
        return Question(networks, tuple(weights.tolist()), f"what speaks for {target} = {name}: {what}")
    levels = tuple(getattr(task, "quantiles", ()) or ())
    if task.name == "forecasting":
        steps = outputs // len(levels)
        weights.reshape(steps, len(levels))[:, levels.index(0.5)] = 1 / steps
        what = (
            f"the median forecast of {target}, averaged over {steps} steps ahead, on the scale that the network learns"
        )
        return Question(networks, tuple(weights.tolist()), what)
    weights[len(levels) // 2] = 1.0
    return Question(
        networks, tuple(weights.tolist()), f"the value of {bundle.target[0]}, on the scale that the network learns"
    )
