"""What is appended chunk by chunk comes out as one, in memory or mapped, and is taken from by any index."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from limpid.data.encoded import Encoded, EncodedWriter


def chunk(start: int, stop: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    rows = np.arange(start, stop)
    parts = {
        "fields.numbers": np.stack([rows, rows / 7], axis=1).astype(np.float32),
        "../../evil.tokens": np.tile(rows[:, None], (1, 5)).astype(np.int64),
    }
    return parts, rows * 3, (rows % 2).astype(np.int64), rows.astype(np.float64)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("cuts", [[0, 100], [0, 1, 33, 34, 100], [0, 60]])
def test_chunks_become_one(mapped: bool, cuts: list[int], tmp_path: Path) -> None:
    writer = EncodedWriter(100, tmp_path / "encoded", resident_bytes=0 if mapped else 1 << 20)
    for start, stop in pairwise(cuts):
        writer.append(*chunk(start, stop))
    assert writer.mapped is mapped
    found = writer.finish()
    parts, rows, target, weight = chunk(0, cuts[-1])
    assert len(found) == cuts[-1] and found.rows.tolist() == rows.tolist()
    assert found.arrays.keys() == parts.keys()
    for name, expected in parts.items():
        assert np.array_equal(found.arrays[name], expected) and found.arrays[name].dtype == expected.dtype
    assert found.target is not None and np.array_equal(found.target, target)
    assert found.weight is not None and found.weight.dtype == np.float32 and np.array_equal(found.weight, weight)
    assert found.nbytes == cuts[-1] * (8 + 40 + 8 + 8 + 4)
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.npy"))
    assert files == ([f"encoded/part-{k:04d}.npy" for k in range(5)] if mapped else [])
    if mapped:
        with pytest.raises(ValueError, match="read-only"):
            found.arrays["fields.numbers"][0] = 1


def test_take() -> None:
    parts, rows, target, _ = chunk(0, 10)
    whole = Encoded(parts, rows, target)
    for index in (np.array([7, 2, 2]), [0], slice(3, 6), rows > 12, []):
        some = whole.take(index)
        expected = rows[np.asarray(index, dtype=np.int64) if isinstance(index, list) else index]
        assert some.rows.tolist() == expected.tolist()
        assert some.arrays["fields.numbers"][:, 0].tolist() == (expected / 3).tolist()
        assert some.target is not None and some.target.tolist() == (expected // 3 % 2).tolist()
        assert some.weight is None


def test_nothing_at_all() -> None:
    assert len(EncodedWriter(0).finish()) == 0


def test_what_does_not_fit_is_a_fault_of_ours() -> None:
    parts, rows, target, weight = chunk(0, 10)
    with pytest.raises(AssertionError):
        Encoded(parts, rows[:5])
    writer = EncodedWriter(12)
    writer.append(parts, rows, target, weight)
    with pytest.raises(AssertionError, match="more than"):
        writer.append(parts, rows, target, weight)
    with pytest.raises(AssertionError, match="differ"):
        writer.append({}, rows[:2], target[:2], weight[:2])
