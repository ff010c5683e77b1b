"""Are mirror images of the training pictures still pictures of the same class?"""

from __future__ import annotations

import numpy as np

_GROUPS = 32


def mirror_asymmetry(pixels: np.ndarray, target: np.ndarray | None = None) -> float:
    """What share of the left-right differences of pictures is the same in all pictures of a class.

    A picture minus its mirror image is its antisymmetric part. Where mirror images are as likely as the pictures
    themselves, these parts cancel within a class; digits, letters and spectrograms keep a common part.

    Args:
        pixels: (N,C,H,W).
        target: (N,) classes, (N,) or (N,R) values, or (N,K) labels; None takes all pictures as one class.

    Returns:
        0 to 1, without the share that chance gives to few pictures.

    Example:
        >>> round(mirror_asymmetry(np.array([[[[1.0, 0.0]]]] * 3)), 3)
        1.0
    """
    x = np.asarray(pixels, dtype=np.float32)
    odd = (x - x[..., ::-1]).reshape(len(x), -1)
    energy = np.einsum("nd,nd->n", odd, odd, dtype=np.float64)
    common = total = 0.0
    for rows in _groups(target, len(x)):
        n = int(rows.sum())
        if n < 2:
            continue
        sum_ = odd[rows].sum(axis=0, dtype=np.float64)
        # |sum|^2 holds each picture's product with itself too, which is no sign of anything common.
        common += (float(sum_ @ sum_) - float(energy[rows].sum())) / (n - 1)
        total += float(energy[rows].sum())
    return min(1.0, max(0.0, common / total)) if total > 0 else 0.0


def _groups(target: np.ndarray | None, rows: int) -> list[np.ndarray]:
    """Rows of each class, of each label, or of the lower and the upper half of each value."""
    if target is None:
        return [np.ones(rows, dtype=bool)]
    y = np.asarray(target).reshape(rows, -1)
    if y.shape[1] == 1 and np.issubdtype(y.dtype, np.integer):
        classes, counts = np.unique(y, return_counts=True)
        return [y[:, 0] == c for c in classes[np.argsort(-counts)][:_GROUPS]]
    middle = np.median(y, axis=0)
    split = [y[:, k] > min(middle[k], y[:, k].max() - 1e-12) for k in range(min(y.shape[1], _GROUPS))]
    return [half for upper in split for half in (upper, ~upper)]
