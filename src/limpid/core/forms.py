"""The waist: what a modality emits, a net takes and gives, and a head picks.

    fields   numbers (B,F) float32, missing (B,F) float32 0/1, categories (B,G) int64
    vec      (B,D) float32, or (B,M,D) from a net with M members
    seq      tokens (B,T) int64 with mask (B,T) bool, or values (B,T,D) float32 with the mask; windows of a series
             with the level (B,2) that they were measured by
    grid     pixels (B,C,H,W) float32, normalised; stored as uint8 or float16 before normalisation
    pyramid  grids with their strides

A form travels as named arrays `INPUT.PART` ("fields.numbers", "review.tokens"), numpy on the way in and torch in
the net. Its shape is plain data, known once the encoders are fitted, and enough to build a net.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limpid.core.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

FIELDS = "fields"
"""Name of the one input in which all columns of a table that emit fields stand side by side."""


class FieldsShape(Spec):
    """Shape of a fields form.

    Args:
        numbers: a name for each of the F numeric features ("age", "date.year", "date.month_sin").
        can_miss: for each numeric feature, whether it was missing in a training row.
        categories: a name for each of the G categorical features.
        cardinalities: for each of them, the number of codes; codes are 0..cardinality-1, 0 is "missing",
            1 is "unseen or rare", the rest are known values.
    """

    form: str = "fields"
    numbers: tuple[str, ...] = ()
    can_miss: tuple[bool, ...] = ()
    categories: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()


class SeqShape(Spec):
    """Shape of a seq form.

    Args:
        vocabulary: number of token ids (0 is padding), or None for a seq of vectors.
        width: D of a seq of vectors, or None for tokens.
        length: the largest T.
        ahead: steps at the end that lie after the cutoff of a forecast; 0 for a seq that is all known.
        known: values at the end of each step that hold there too; the others are 0 in those steps. The first value of
            a step is then the one that is forecast.
        pieces: first of the ids of pieces of words, which stand behind all words of a row; None where there are none.
    """

    form: str = "seq"
    vocabulary: int | None = None
    width: int | None = None
    length: int
    ahead: int = 0
    known: int = 0
    pieces: int | None = None


class GridShape(Spec):
    """Shape of a grid form.

    Args:
        channels, height, width: C, H, W.
        mean, std: of each channel in stored units (0 to 255 for pictures), from training rows; a net reads
            (stored - mean) / std.
    """

    form: str = "grid"
    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


Shape = FieldsShape | SeqShape | GridShape
SHAPES: Mapping[str, type[FieldsShape] | type[SeqShape] | type[GridShape]] = {
    "fields": FieldsShape,
    "seq": SeqShape,
    "grid": GridShape,
}


@dataclass(frozen=True)
class Fields:
    """A batch of table rows; a missing number holds 0 and its flag 1."""

    numbers: Tensor  # (B,F) float32
    missing: Tensor  # (B,F) float32
    categories: Tensor  # (B,G) int64

    @property
    def present(self) -> Tensor | None:
        """(B,) bool, whether the input is there at all; None says always."""
        return None


@dataclass(frozen=True)
class Seq:
    """A batch of sequences: `tokens` or `values`, with the mask of what is not padding."""

    mask: Tensor  # (B,T) bool
    tokens: Tensor | None = None  # (B,T) int64
    values: Tensor | None = None  # (B,T,D) float32
    level: Tensor | None = None  # (B,2) float32, centre and spread that the first value of a step is measured by

    @property
    def present(self) -> Tensor | None:
        """(B,) bool, whether the sequence holds anything."""
        return self.mask.any(dim=1)


@dataclass(frozen=True)
class Grid:
    """A batch of grids: pictures, spectrograms."""

    pixels: Tensor  # (B,C,H,W) float32, normalised
    present: Tensor | None = None  # (B,) bool, whether the input is there at all; None says always


Form = Fields | Seq | Grid


def assemble(form: str, parts: Mapping[str, Any]) -> Form:
    """Build a form from its named tensors, without the input's prefix.

    Tokens are padded with 0, so their mask needs no storage of its own; values are stored with the `length` of each
    row (B,) instead of a mask, and perhaps narrower than they are read.
    """
    if form == "fields":
        return Fields(parts["numbers"], parts["missing"], parts["categories"])
    if form == "grid":
        return Grid(parts["pixels"], parts["present"].bool() if "present" in parts else None)
    assert form == "seq", f"unknown form {form}"
    if "tokens" in parts:
        return Seq(mask=parts["tokens"] != 0, tokens=parts["tokens"])
    values, length = parts["values"], parts["length"]
    places = length.new_ones(values.shape[1]).cumsum(0) - 1
    return Seq(mask=places < length.unsqueeze(1), values=values.float(), level=parts.get("level"))
