"""Rows as arrays, ready for a network: in memory when they are few, memory-mapped when they are many."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limpid.core.errors import RunError


@dataclass(frozen=True)
class Encoded:
    """N examples.

    Args:
        arrays: "INPUT.PART" -> N rows of whatever shape ("fields.numbers", "review.tokens").
        rows: (N,) int64, the row number of each example in its source.
        target: N rows, or None.
        weight: (N,) float32, or None for equal weights.
        group: (N,) int64, the group that each example belongs to, -1 for none; None where nobody asked for groups.
    """

    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    target: np.ndarray | None = None
    weight: np.ndarray | None = None
    group: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, array in self._all().items():
            assert len(array) == len(self.rows), f"{name} has {len(array)} rows, not {len(self.rows)}"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, in memory or mapped."""
        return sum(int(a.nbytes) for a in self._all().values())

    def take(self, index: Any) -> Encoded:
        """Some examples, in the order asked for, repeated where asked twice.

        Args:
            index: positions, a slice (a view, no copy), or a boolean mask.

        Example:
            >>> Encoded({"x": np.arange(4.0)}, np.arange(4)).take([3, 0]).arrays["x"].tolist()
            [3.0, 0.0]
        """
        if not isinstance(index, slice):
            index = np.asarray(index)
            if not index.size:
                index = index.astype(np.int64)
        return Encoded(
            {name: array[index] for name, array in self.arrays.items()},
            self.rows[index],
            None if self.target is None else self.target[index],
            None if self.weight is None else self.weight[index],
            None if self.group is None else self.group[index],
        )

    def _all(self) -> dict[str, np.ndarray]:
        own = {"rows": self.rows, "target": self.target, "weight": self.weight, "group": self.group}
        return {**self.arrays, **{n: a for n, a in own.items() if a is not None}}


def joined(one: Encoded, other: Encoded) -> Encoded:
    """The examples of two parts, the first part's first, in memory; row numbers may be those of two sources.

    Example:
        >>> part = Encoded({"x": np.arange(2.0)}, np.arange(2))
        >>> len(joined(part, part))
        4
    """
    assert one.arrays.keys() == other.arrays.keys(), "parts of different inputs"
    assert (one.weight is None) == (other.weight is None), "one part has weights, the other none"
    both = [(one.target, other.target), (one.weight, other.weight), (one.group, other.group)]
    target, weight, group = (None if a is None or b is None else np.concatenate([a, b]) for a, b in both)
    arrays = {name: np.concatenate([one.arrays[name], other.arrays[name]]) for name in one.arrays}
    return Encoded(arrays, np.concatenate([one.rows, other.rows]), target, weight, group)


class EncodedWriter:
    """Collects encoded chunks into one `Encoded`; where it lives follows from the size of the first chunk's rows.

    Args:
        rows: how many examples will come, at most.
        folder: where mapped files may go; None keeps everything in memory.
        resident_bytes: what may be held in memory.

    Example:
        >>> writer = EncodedWriter(2)
        >>> writer.append({"x": np.zeros((2, 3), np.float32)}, np.arange(2), None, None)
        >>> len(writer.finish())
        2
    """

    def __init__(self, rows: int, folder: Path | None = None, resident_bytes: int = 1 << 30) -> None:
        self._capacity = rows
        self._folder = folder
        self._resident_bytes = resident_bytes
        self._arrays: dict[str, np.ndarray] | None = None
        self._done = 0

    @property
    def mapped(self) -> bool:
        """Whether the arrays are files."""
        return self._arrays is not None and any(isinstance(a, np.memmap) for a in self._arrays.values())

    def append(
        self, parts: Mapping[str, np.ndarray], rows: np.ndarray, target: np.ndarray | None, weight: np.ndarray | None
    ) -> None:
        """Add the next chunk; all chunks have the same parts, types and shapes but for their number of rows.

        Raises:
            RunError: where the disk has no room.
        """
        chunk = {**{f"p.{n}": a for n, a in parts.items()}, "rows": np.asarray(rows, dtype=np.int64)}
        if target is not None:
            chunk["target"] = target
        if weight is not None:
            chunk["weight"] = np.asarray(weight, dtype=np.float32)
        if self._arrays is None:
            self._arrays = self._start(chunk)
        assert chunk.keys() == self._arrays.keys(), f"chunks differ: {sorted(chunk.keys() ^ self._arrays.keys())}"
        stop = self._done + len(rows)
        assert stop <= self._capacity, f"{stop} rows are more than the {self._capacity} announced"
        for name, part in chunk.items():
            whole = self._arrays[name]
            assert len(part) == len(rows) and part.shape[1:] == whole.shape[1:], f"{name} has the shape {part.shape}"
            assert part.dtype == whole.dtype, f"{name} is {part.dtype} after {whole.dtype}"
            whole[self._done : stop] = part
        self._done = stop

    def _start(self, chunk: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        shapes = {n: (self._capacity, *a.shape[1:]) for n, a in chunk.items()}
        need = sum(int(np.prod(s, dtype=np.int64)) * chunk[n].dtype.itemsize for n, s in shapes.items())
        if self._folder is None or need <= self._resident_bytes:
            return {n: np.empty(s, dtype=chunk[n].dtype) for n, s in shapes.items()}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Numbered, since names of columns are no safe names of files.
            return {
                n: _mapped(self._folder / f"part-{k:04d}.npy", chunk[n].dtype, s)
                for k, (n, s) in enumerate(shapes.items())
            }
        except OSError as error:
            raise RunError(
                f"the encoded rows cannot be written: {error.strerror or error}",
                where=str(self._folder),
                expected=f"a folder that can be written, with {need / 1e9:.1f} GB of room",
                fix="free some room, or choose another --out",
            ) from error

    def finish(self) -> Encoded:
        """What was collected; mapped arrays are read-only from here on."""
        arrays = self._arrays or {"rows": np.empty(0, dtype=np.int64)}
        ready: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            if isinstance(array, np.memmap):
                array.flush()
                assert array.filename is not None
                array = np.load(array.filename, mmap_mode="r")
            ready[name] = array[: self._done]
        parts = {n.removeprefix("p."): a for n, a in ready.items() if n.startswith("p.")}
        self._arrays = None
        return Encoded(parts, ready["rows"], ready.get("target"), ready.get("weight"))


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """A new file of the whole size, its room on the disk taken now where the system can, not found missing later."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate") and array.nbytes:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array
