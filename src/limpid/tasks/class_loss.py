"""Which loss classes are learnt by: for a batch, and written out for one example.

Legend of shapes: B examples, K classes or labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limpid.core.contracts import WrittenLoss
from limpid.layers import losses, written_losses


class ClassLoss:
    """The loss that a task's settings name.

    Args:
        spec: loss, label_smoothing, focal_gamma of the task.
        weights: (K,) class weights, or None.
        multi_label: whether labels do not exclude each other.
    """

    def __init__(self, spec: Any, weights: npt.NDArray[Any] | None, *, multi_label: bool) -> None:
        self.how: str = spec.loss
        self.gamma: float = spec.focal_gamma
        self.smoothing = spec.label_smoothing if isinstance(spec.label_smoothing, float) else 0.0
        self.multi_label = multi_label
        self._weights = weights
        self._on_device: dict[torch.device, Tensor] = {}

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor:
        """(B,) loss of logits (B,K)."""
        weight = self._weight_on(outputs)
        if self.multi_label:
            gamma = self.gamma if self.how == "focal" else 0.0
            return losses.binary_cross_entropy(
                outputs, target, smoothing=self.smoothing, positive_weight=weight, gamma=gamma
            )
        if self.how == "focal":
            return losses.focal(outputs, target, gamma=self.gamma, class_weight=weight)
        if self.how == "bce":
            return losses.one_hot_cross_entropy(outputs, target, class_weight=weight)
        return losses.cross_entropy(outputs, target, smoothing=self.smoothing, class_weight=weight)

    def written(self, outputs: Tensor, target: Tensor) -> WrittenLoss:
        """The loss of logits (K) against a prepared target, with its numbers."""
        z = outputs.double().tolist()
        # As they are multiplied in training: in single precision.
        weight = None if self._weights is None else np.asarray(self._weights, np.float32).astype(float).tolist()
        if self.multi_label:
            gamma = self.gamma if self.how == "focal" else 0.0
            return written_losses.binary_cross_entropy(
                z, target.double().tolist(), smoothing=self.smoothing, positive_weight=weight, gamma=gamma
            )
        true = int(target)
        if self.how == "focal":
            return written_losses.focal(z, true, gamma=self.gamma, class_weight=weight)
        if self.how == "bce":
            return written_losses.one_hot_cross_entropy(z, true, class_weight=weight)
        return written_losses.cross_entropy(z, true, smoothing=self.smoothing, class_weight=weight)

    def _weight_on(self, outputs: Tensor) -> Tensor | None:
        if self._weights is None:
            return None
        if outputs.device not in self._on_device:
            self._on_device[outputs.device] = torch.as_tensor(self._weights, dtype=torch.float32, device=outputs.device)
        return self._on_device[outputs.device]
