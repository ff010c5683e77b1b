"""What changes training examples: one augmenter for each input whose kind of column has one, all seeded by row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any

import numpy as np
from torch import Tensor

from limpid.core.forms import Shape
from limpid.layers.draws import Draws
from limpid.planning.encoders import Encoders, input_of


class Augmentation:
    """Changes the stored arrays of training rows before the network reads them.

    Args:
        inputs: input name -> augmenter, called with the input's parts and the rows' own random numbers.
        seed: of the run.

    Shapes and units:
        "INPUT.PART" -> (B,...) to the same names; the parts are in stored units, before normalisation.
    """

    def __init__(
        self, inputs: Mapping[str, Callable[[dict[str, Tensor], Draws], dict[str, Tensor]]], seed: int
    ) -> None:
        self._inputs = dict(inputs)
        self._seed = seed

    def __bool__(self) -> bool:
        return bool(self._inputs)

    def __call__(self, batch: dict[str, Tensor], rows: np.ndarray, passes: int) -> dict[str, Tensor]:
        """The rows as this pass shows them.

        Args:
            batch: the arrays of B rows.
            rows: (B,) positions of the rows in the training part.
            passes: which pass over the training part this is, from 0.
        """
        result = dict(batch)
        for name, change in self._inputs.items():
            prefix = f"{name}."
            parts = {key[len(prefix) :]: value for key, value in batch.items() if key.startswith(prefix)}
            device = next(iter(parts.values())).device
            changed = change(parts, Draws(self._seed, passes, rows, str(device)))
            result.update({prefix + part: value for part, value in changed.items()})
        return result


def augmentation(
    encoders: Encoders, shapes: Mapping[str, Shape], seed: int, without: Collection[str] = ()
) -> Augmentation:
    """The augmentation that a model's encoders were planned with.

    Args:
        encoders: fitted.
        shapes: input name -> shape.
        seed: of the run's augmentation.
        without: inputs that are not changed, since their features are computed once.
    """
    found: dict[str, Any] = {}
    for column, spec in encoders.columns.items():
        modality = encoders.modality(column)
        target = getattr(modality, "augmenter", None)
        options = getattr(modality, "augment", None)
        if target is None or options is None or input_of(column) in without:
            continue
        module, _, name = target.partition(":")
        made = getattr(import_module(module), name)(options, shapes[input_of(column)])
        if made:
            found[input_of(column)] = made
        assert spec.use, "a column that is not read has no encoder"
    return Augmentation(found, seed)
