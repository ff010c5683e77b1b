"""How does a pass show its rows? Augmented by row, and mixed in pairs where the settings say so.

Legend: B examples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from limpid.core.seeds import generator
from limpid.core.spec import AUTO
from limpid.layers.grids import shrunk
from limpid.layers.mixing import mix
from limpid.planning.augmentation import Augmentation
from limpid.planning.train_spec import TrainSpec
from limpid.training.batches import Batch
from limpid.training.course import Course


class Examples:
    """Turns the rows of a batch into what the network learns from.

    Args:
        augment: changes each row for itself, or None.
        spec: says whether rows are mixed.
        seed: of the run.
        course: of the whole training; pictures are small in its first part, where the settings say so.
    """

    def __init__(self, augment: Augmentation | None, spec: TrainSpec, seed: int, course: Course) -> None:
        self._augment, self._spec, self._seed = augment, spec, seed
        self._course = course
        self._small = 0.0 if spec.small == AUTO else spec.small * course.steps

    def __call__(self, batch: Batch, step: int, passes: int) -> Batch:
        """The batch as one step of a pass shows it.

        Args:
            batch: stored rows.
            step: of the training; pairs and shares follow from it.
            passes: which pass over the rows this is; what is done to a row alone follows from that.
        """
        if self._augment:
            batch = replace(batch, inputs=self._augment(batch.inputs, batch.index, passes))
        if self._small and self._course.place(step) < self._small:
            pixels = {name: shrunk(part) for name, part in batch.inputs.items() if name.endswith(".pixels")}
            batch = replace(batch, inputs={**batch.inputs, **pixels})
        return batch if self._spec.mix == "none" else self._mixed(batch, step)

    def _mixed(self, batch: Batch, step: int) -> Batch:
        """Pairs of rows: pixels of both, targets of both, by shares."""
        assert self._spec.mix != "none"
        random = generator(self._seed, "mix", step)
        alpha, rows, device = self._spec.mix_alpha, len(batch), batch.target.device
        share = torch.from_numpy(random.beta(alpha, alpha, rows).astype(np.float32)).to(device)
        partner = torch.from_numpy(random.permutation(rows)).to(device)
        place = torch.from_numpy(random.random((rows, 2), dtype=np.float32)).to(device)
        inputs = dict(batch.inputs)
        true_share = share
        for name in [n for n in inputs if n.endswith(".pixels")]:
            mixed, true_share = mix({"pixels": inputs[name]}, self._spec.mix, share, partner, place)
            inputs[name] = mixed["pixels"]
        return replace(batch, inputs=inputs, partner=batch.target.index_select(0, partner), share=true_share)
