"""How are pictures changed in training, and are their mirror images still pictures of the same class?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from limpid.core.contracts import Reasons
from limpid.core.spec import AUTO, Auto, Spec

ALIKE = 0.02
"""The asymmetry up to which mirror images stand for the pictures themselves; chance gives less from 200 pictures on."""

_GROUP_ROWS = 16  # 256 pictures in 100 classes look asymmetric by chance in 25 of 100 draws with 1, in none with 16
_SLOPES_SIDE = 9
_SLOPES_SHARE = 0.5  # by chance they vary twice as much: in 256 pictures of CIFAR-10 up to .037, pixels up to .019
_GROUPS = 32
_SHIFT = 0.0625
_LARGE_SIDE = 64
_KEPT_AREA = 0.5

Share = Annotated[float, Field(ge=0, le=1)]


class GridAugmentSpec(Spec):
    """How training pictures are changed, each pass anew."""

    flip: Auto | Literal["none", "horizontal"] = Field(
        default=AUTO, description="mirror images of one half of the pictures, and of the other half in the next pass"
    )
    translate: Auto | Annotated[float, Field(ge=0)] = Field(
        default=AUTO,
        description="shift in each direction at most: a share of the side below 1, pixels from 1 on; the edge is "
        "filled by reflection",
    )
    crop: Auto | Annotated[float, Field(gt=0, le=1)] = Field(
        default=AUTO, description="share of a picture's area that a random crop keeps at least; 1 for no crops"
    )
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(
        default=0.0, description="angle in degrees at most, in both directions"
    )
    brightness: Share = Field(default=0.0, description="change of brightness at most, as a share")
    contrast: Share = Field(default=0.0, description="change of contrast at most, as a share")
    saturation: Share = Field(default=0.0, description="change of saturation at most, as a share; colours alone")
    cutout: Share = Field(
        default=0.0, description="side of a square that is hidden, as a share of the shorter side; 0 for none"
    )
    policy: Literal["none", "trivial"] = Field(
        default="none",
        description="trivial: one change of any strength for each picture, drawn from fourteen (TrivialAugment)",
    )


def plan_augment(
    spec: GridAugmentSpec, *, channels: int, height: int, width: int, asymmetry: float | None
) -> tuple[GridAugmentSpec, Reasons]:
    """Decide every `auto` of the spec.

    Args:
        spec: with autos.
        channels, height, width: of a picture as it is stored.
        asymmetry: what `mirror_asymmetry` says of training pictures, None where nobody looked.

    Returns:
        the complete spec, and a reason for each auto.

    Example:
        >>> plan_augment(GridAugmentSpec(), channels=1, height=28, width=28, asymmetry=0.3)[0].flip
        'none'
    """
    settled: dict[str, Any] = {}
    because: Reasons = {}
    if spec.flip == AUTO:
        if channels < 3:
            settled["flip"] = "none"
            because["flip"] = "pictures without colours may be letters, digits or spectrograms, which have a direction"
        elif asymmetry is None or asymmetry >= ALIKE:
            settled["flip"] = "none"
            because["flip"] = (
                "nobody looked whether mirror images are alike"
                if asymmetry is None
                else f"{asymmetry:.0%} of what tells a picture from its mirror image is common to those of a class"
            )
        else:
            settled["flip"] = "horizontal"
            because["flip"] = (
                f"pictures and their mirror images are alike: {asymmetry:.1%} of the difference is common to a class"
            )
    if spec.translate == AUTO:
        settled["translate"] = _SHIFT
        because["translate"] = "a sixteenth of the side, as in the fastest recipes for CIFAR-10: 2 of 32 pixels"
    if spec.crop == AUTO:
        large = min(height, width) >= _LARGE_SIDE
        settled["crop"] = _KEPT_AREA if large else 1.0
        because["crop"] = (
            f"what is shown varies in size; pictures below {_LARGE_SIDE} pixels lose too much: "
            f"{height} by {width} pixels here"
        )
    return spec.with_(**settled), because


def mirror_asymmetry(pixels: np.ndarray, target: np.ndarray | None = None) -> float:
    """What share of the left-right differences of pictures is the same in all pictures of a class.

    A picture minus its mirror image is its antisymmetric part. Where mirror images are as likely as the pictures
    themselves, these parts cancel within a class; digits, letters and spectrograms keep a common part. The same is
    asked of the product of the slopes across and down, which tells stripes of 45 degrees from stripes of 135 wherever
    they lie. The larger share counts.

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
    shares = [_common_share(x - x[..., ::-1], target)]
    if min(x.shape[2:]) >= _SLOPES_SIDE:
        across, down = x[..., 1:-1, 2:] - x[..., 1:-1, :-2], x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
        slopes = across * down
        shares.append(_SLOPES_SHARE * _common_share(_pooled(slopes + slopes[..., ::-1]), target))
    return max(shares)


def _pooled(maps: np.ndarray) -> np.ndarray:
    """(N,C,3,3) means of (N,C,H,W) in nine fields, since what is common to pictures rarely lies in one place."""
    rows, columns = (np.array_split(np.arange(side), 3) for side in maps.shape[2:])
    return np.stack([[maps[..., r, :][..., c].mean(axis=(2, 3)) for c in columns] for r in rows]).transpose(2, 3, 0, 1)


def _common_share(odd: np.ndarray, target: np.ndarray | None) -> float:
    """Of the energy of (N,...) parts the share that is the same within a class."""
    odd = odd.reshape(len(odd), -1)
    energy = np.einsum("nd,nd->n", odd, odd, dtype=np.float64)
    common = total = 0.0
    for rows in _groups(target, len(odd)):
        n = int(rows.sum())
        if n < 2:
            continue
        sum_ = odd[rows].sum(axis=0, dtype=np.float64)
        # |sum|^2 holds each picture's product with itself too, which is no sign of anything common.
        common += (float(sum_ @ sum_) - float(energy[rows].sum())) / (n - 1)
        total += float(energy[rows].sum())
    return min(1.0, max(0.0, common / total)) if total > 0 else 0.0


def _groups(target: np.ndarray | None, rows: int) -> list[np.ndarray]:
    """Rows of each class, of each label, or of the lower and the upper half of each value.

    Classes of few rows go together: what is common to three pictures is mostly chance.
    """
    if target is None:
        return [np.ones(rows, dtype=bool)]
    y = np.asarray(target).reshape(rows, -1)
    if y.shape[1] == 1 and np.issubdtype(y.dtype, np.integer):
        _, codes, counts = np.unique(y[:, 0], return_inverse=True, return_counts=True)
        large = np.argsort(-counts)[:_GROUPS]
        large = large[counts[large] >= _GROUP_ROWS]
        rest = ~np.isin(codes, large)
        return [*(codes == c for c in large), *([rest] if rest.any() else [])]
    middle = np.median(y, axis=0)
    split = [y[:, k] > min(middle[k], y[:, k].max() - 1e-12) for k in range(min(y.shape[1], _GROUPS))]
    return [half for upper in split for half in (upper, ~upper)]
