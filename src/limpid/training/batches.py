"""Which rows make up a step, and how do they get from arrays into tensors?

No worker processes: the arrays are resident or memory-mapped, and gathering a batch costs microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limpid.core.errors import TrainingError
from limpid.core.seeds import generator
from limpid.data.encoded import Encoded

_DEVICE_SHARE = 0.4
_STRETCH = 32  # steps whose rows are sorted by length together
_VARIED = 0.8
_COUNTED = 65_536


@dataclass(frozen=True)
class Batch:
    """Examples as tensors.

    Args:
        inputs: "INPUT.PART" -> (B,...).
        target: (B,...), prepared for the loss.
        weight: (B,) with mean 1 over all rows of its source, or None.
        index: positions of the rows in their source.
        partner: (B,...) prepared target of the row that each is mixed with, or None.
        share: (B,) how much of each row is its own, 0 to 1, where rows are mixed.
        group: (B,) int64 number of each row's group, -1 for none; None where groups play no part.
    """

    inputs: dict[str, Tensor]
    target: Tensor
    weight: Tensor | None
    index: np.ndarray
    partner: Tensor | None = None
    share: Tensor | None = None
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)


class Source:
    """Encoded rows that batches are taken from.

    Args:
        data: encoded rows with their target.
        prepare: turns an encoded target into what the loss wants.
        device: where batches are wanted.

    Raises:
        TrainingError: weights that are negative, not finite, or all zero.
    """

    def __init__(self, data: Encoded, prepare: Callable[[Tensor], Tensor], device: str) -> None:
        assert data.target is not None, "rows without a target cannot be trained on"
        self.rows = data.rows
        self.raw_weight = data.weight
        self._prepare = prepare
        self._device = torch.device(device)
        self._arrays: dict[str, np.ndarray] = dict(data.arrays)
        self._target = data.target
        self._ready: Tensor | None = None
        self._weight = _unit_mean(data.weight)
        self.group = data.group
        self._resident: dict[str, Tensor] | None = None
        if not isinstance(data.target, np.memmap) and len(data):
            self._ready = prepare(_copied(data.target)).contiguous()
        if self._device.type == "cuda" and self._fits():
            self._resident = {name: _copied(array).to(self._device) for name, array in self._arrays.items()}

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> Batch:
        """The rows at sorted positions, in that order."""
        if self._resident is not None:
            where = torch.from_numpy(index).to(self._device)
            inputs = {name: tensor.index_select(0, where) for name, tensor in self._resident.items()}
        else:
            inputs = {name: _gather(array, index).to(self._device) for name, array in self._arrays.items()}
        if self._ready is not None:
            target = self._ready.index_select(0, torch.from_numpy(index))
        else:
            target = self._prepare(_gather(self._target, index))
        weight = None if self._weight is None else _gather(self._weight, index).to(self._device)
        group = None if self.group is None else torch.from_numpy(self.group[index]).to(self._device)
        return Batch(inputs, target.to(self._device), weight, index, group=group)

    def in_order(self, rows: int) -> Iterator[Batch]:
        """All rows in their order, `rows` at a time."""
        for start in range(0, len(self), rows):
            yield self.take(np.arange(start, min(start + rows, len(self))))

    def _fits(self) -> bool:
        free, _ = torch.cuda.mem_get_info(self._device)
        return sum(array.nbytes for array in self._arrays.values()) < _DEVICE_SHARE * free


class Order:
    """The order in which training rows are visited: a new one each pass, from the seed and the pass alone.

    The rows of a pass are divided into steps of equal size, to within one row: none is left out, and none is left
    over for a last step of its own, which batch norm could not digest.

    Args:
        rows: number of training rows.
        per_step: rows in a step at most.
        seed: of the run.
        epoch_steps: steps between two looks at the validation rows; a whole pass by default.
        lengths: (rows,) lengths of sequences; rows of similar length then share a step, so that little is padded.
    """

    def __init__(
        self, rows: int, per_step: int, seed: int, epoch_steps: int | None = None, lengths: np.ndarray | None = None
    ) -> None:
        self.rows = rows
        self.steps_per_pass = max(1, -(-rows // per_step))
        self.steps_per_epoch = epoch_steps or self.steps_per_pass
        self._seed = seed
        self._lengths = lengths
        self._pass = -1
        self._order: np.ndarray = np.empty(0, dtype=np.int64)
        self._steps = np.empty(0, dtype=np.int64)

    def passes(self, step: int) -> int:
        """Which pass a step belongs to, from 0."""
        return step // self.steps_per_pass

    def index(self, step: int) -> np.ndarray:
        """Sorted positions of the rows of one step, counted from the first."""
        passes, within = divmod(step, self.steps_per_pass)
        if passes != self._pass:
            self._order = np.empty(0, np.int64)  # two orders of very many rows at a time would be half a gigabyte
            self._order = np.arange(self.rows, dtype=np.uint32 if self.rows < 2**32 else np.int64)
            generator(self._seed, "shuffle", passes).shuffle(self._order)
            self._steps = np.arange(self.steps_per_pass)
            if self._lengths is not None:
                self._bucket(self._lengths, passes)
            self._pass = passes
        start, stop = (k * self.rows // self.steps_per_pass for k in (self._steps[within], self._steps[within] + 1))
        # Sorted, so that memory-mapped rows are read forwards; resident ones alike, for the same bits.
        return np.sort(self._order[start:stop]).astype(np.int64)

    def _bucket(self, lengths: np.ndarray, passes: int) -> None:
        """Sort by length within stretches of the random order, and visit the steps in another random order."""
        stretch = max(1, _STRETCH * self.rows // self.steps_per_pass)
        for start in range(0, self.rows, stretch):
            part = self._order[start : start + stretch]
            self._order[start : start + stretch] = part[np.argsort(lengths[part], kind="stable")]
        self._steps = generator(self._seed, "steps", passes).permutation(self.steps_per_pass)


def row_lengths(data: Encoded) -> np.ndarray | None:
    """(N,) the length of each row's longest sequence; None where there is none, or all are about equally long."""
    found: list[np.ndarray] = []
    for name, array in data.arrays.items():
        if name.endswith(".length"):
            found.append(np.asarray(array, dtype=np.int64))
        elif name.endswith(".tokens"):
            starts = range(0, len(array), _COUNTED)
            found.append(np.concatenate([(array[s : s + _COUNTED] != 0).sum(axis=1) for s in starts] or [array[:0, 0]]))
    if not found or not len(data):
        return None
    lengths = np.max(found, axis=0)
    return lengths if lengths.mean() < _VARIED * lengths.max() else None


def pieces(rows: int, most: int, least: int = 1) -> list[slice]:
    """Divide a step into micro-batches of equal size, to within one row.

    Args:
        rows: rows of the step.
        most: rows of a micro-batch at most.
        least: rows of a micro-batch at least, which has precedence (2 for batch norm).

    Example:
        >>> pieces(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
        >>> pieces(5, 2, least=2)
        [slice(0, 3, None), slice(3, 5, None)]
    """
    count = max(1, min(-(-rows // most), rows // least))
    sizes = [rows // count + (k < rows % count) for k in range(count)]
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def cut(batch: Batch, part: slice) -> Batch:
    """Some rows of a batch, without copying them."""
    return Batch(
        {name: tensor[part] for name, tensor in batch.inputs.items()},
        batch.target[part],
        None if batch.weight is None else batch.weight[part],
        batch.index[part],
        None if batch.partner is None else batch.partner[part],
        None if batch.share is None else batch.share[part],
        None if batch.group is None else batch.group[part],
    )


def _gather(array: np.ndarray, index: np.ndarray) -> Tensor:
    # Written into memory that torch allocated: kernels may choose their path, and so the last bits, by alignment.
    out = torch.empty((len(index), *array.shape[1:]), dtype=torch.from_numpy(np.empty(0, array.dtype)).dtype)
    np.take(array, index, axis=0, out=out.numpy(), mode="clip")
    return out


def _copied(array: np.ndarray) -> Tensor:
    return torch.tensor(array)


def _unit_mean(weight: np.ndarray | None) -> np.ndarray | None:
    if weight is None or not len(weight):
        return None
    mean = float(np.mean(weight, dtype=np.float64))
    if not np.isfinite(mean) or mean <= 0 or bool((weight < 0).any()):
        bad = np.flatnonzero(~np.isfinite(weight) | (weight < 0))
        raise TrainingError(
            "the sample weights cannot be used",
            where=f"data.weight, row {int(bad[0])} of its part" if len(bad) else "data.weight",
            expected="weights that are finite, not negative, and not all zero",
            fix="mend the column, or choose another with --set data.weight=COLUMN",
        )
    scaled: np.ndarray = (weight.astype(np.float64) / mean).astype(np.float32)
    return scaled
