"""Columns that hold pictures: whole files, brought to one size, with the mean and the spread of each colour.

Legend of shapes: N rows, C channels, H and W of the planned size.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import GridShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.augment import GridAugmentSpec, mirror_asymmetry, plan_augment
from limpid.data.media import images
from limpid.data.media.cells import Mended, read_cells
from limpid.data.media.frames import Frame, Levels, is_grey, png
from limpid.data.media.images import Header
from limpid.data.media.sniff import sniff, words
from limpid.data.media.turns import in_turn
from limpid.data.stored import Stored, decided

_SIDES = (224, 160, 128, 96, 64)  # pixels; of pictures that are larger
_FLOPS_A_PIXEL = 2e4  # forward, of a small convolutional network
_PASSES, _UNHURRIED_SECONDS, _EFFICIENCY = 10, 600.0, 0.5
_CROPPED = 0.25  # share of a picture that may be cut off
_LOOKED_AT = 96  # pixels of a side, for colours
_DEEP_CELLS = 100  # pictures that show what becomes black and white
_MOST_SIDE = 1024
# Pixels of a side, and pictures at least, that tell whether mirror images are alike.
_MIRRORED, _MIRRORED_CELLS = 32, 30
_SHOWN, _SHOWN_SIDE = 48, 64
_LARGEST = 1e300


class ImageSpec(Spec):
    """How pictures become arrays."""

    height: Auto | Annotated[int, Field(ge=4, le=_MOST_SIDE)] = Field(AUTO, description="height in pixels")
    width: Auto | Annotated[int, Field(ge=4, le=_MOST_SIDE)] = Field(AUTO, description="width in pixels")
    channels: Auto | Literal[1, 3] = Field(AUTO, description="1 for grey, 3 for red, green and blue")
    fit: Auto | Literal["stretch", "crop", "pad"] = Field(
        AUTO,
        description="what is done with a picture of another shape: stretched, cut around its centre, or put whole on "
        "the mean colour of its border",
    )
    background: Literal["white", "black"] = Field("white", description="what transparent pixels are laid on")
    augment: GridAugmentSpec = Field(
        default_factory=GridAugmentSpec, description="how training pictures are changed, each pass anew"
    )


class Image:
    """Pixels as uint8, normalised by the mean and the standard deviation of each channel in training pictures.

    Where a picture is missing or cannot be read, pixels and `present` are 0. Pictures with more than 8 bits a channel
    are scaled to 8 by levels that training pictures show: whole numbers from 0 to the smallest 2^k - 1 that holds
    them, fractions from 0 to 1 where they lie there and otherwise from their 0.1 % to their 99.9 % quantile.
    """

    Spec: ClassVar[type[Spec]] = ImageSpec
    form: ClassVar[str | None] = "grid"
    net: ClassVar[str | None] = "resnet"
    leads: ClassVar[bool] = True
    of_files: ClassVar[bool] = True
    augmenter: ClassVar[str] = "limpid.layers.augment_grid:GridAugment"

    def __init__(self, spec: ImageSpec, name: str, mean: Sequence[float], std: Sequence[float], levels: Levels) -> None:
        self.name = name
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.frame = _frame(spec, levels)
        self.augment = spec.augment

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim binary columns of which at least half of the cells begin like a picture."""
        kinds = [k for k in map(sniff, facts.cells) if k is not None and (k.startswith("image/") or k == "npy")]
        if facts.dtype != "binary" or not facts.cells or 2 * len(kinds) < len(facts.cells):
            return None
        most = max(sorted(set(kinds)), key=kinds.count)
        return Recognition(
            0.95, f"{len(kinds)} of {len(facts.cells)} cells looked at are pictures, mostly {words(most)}"
        )

    @classmethod
    def plan(cls, spec: ImageSpec, facts: ColumnFacts, size: Size) -> tuple[ImageSpec, Reasons]:
        """Decide size, channels and what is done with other shapes from the cells looked at."""
        looks = _look(facts.name, facts.cells)
        changes: dict[str, Any] = {}
        reasons: Reasons = {}
        if AUTO in (spec.height, spec.width):
            planned, because = _plan_size(spec, [look.header for look in looks], size)
            for field, pixels in zip(("height", "width"), planned, strict=True):
                if getattr(spec, field) == AUTO:
                    changes[field], reasons[field] = pixels, because
        if spec.channels == AUTO:
            colourful = sum(not look.grey for look in looks)
            changes["channels"] = 3 if colourful or not looks else 1
            reasons["channels"] = f"{colourful} of {len(looks)} pictures looked at have colours"
        if spec.fit == AUTO:
            height, width = (int(changes.get(f, getattr(spec, f))) for f in ("height", "width"))
            changes["fit"], reasons["fit"] = _plan_fit(width / height, [look.header for look in looks])
        if spec.augment.autos():
            height, width, channels = (int(changes.get(f, getattr(spec, f))) for f in ("height", "width", "channels"))
            changes["augment"], because_augment = plan_augment(
                spec.augment,
                channels=channels,
                height=height,
                width=width,
                asymmetry=_asymmetry(facts) if channels == 3 else None,
            )
            reasons.update({f"augment.{field}": reason for field, reason in because_augment.items()})
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: ImageSpec, column: pl.Series) -> Self:
        """Learn levels, mean and standard deviation of each channel from training cells, in units of 0 to 255."""
        assert not spec.autos(), "fit before plan"
        frame = _frame(spec, _fit_levels(column))
        sums = np.zeros((len(column), 2, frame.channels))

        def read(place: int, data: bytes) -> list[Mended]:
            pixels = images.picture(data, frame)[0].astype(np.float64)
            sums[place] = pixels.mean(axis=(0, 1)), (pixels**2).mean(axis=(0, 1))
            return []

        done = read_cells(column, read, column.name, Repairs())
        if not done:
            return cls(spec, column.name, [127.5] * frame.channels, [64.0] * frame.channels, frame.levels)
        # Sorted, so that the last bits do not depend on the order of the rows.
        mean, square = np.sort(sums[done], axis=0).mean(axis=0)
        # A deviation below a step of uint8 is rounding.
        std = np.maximum(np.sqrt(np.maximum(square - mean**2, 0.0)), 1.0)
        return cls(spec, column.name, mean.tolist(), std.tolist(), frame.levels)

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`pixels` (N,C,H,W) uint8 and `present` (N,) uint8; cells that cannot be read are rejected."""
        frame = self.frame
        pixels = np.zeros((len(column), frame.channels, frame.height, frame.width), np.uint8)
        present = np.zeros(len(column), np.uint8)

        def read(place: int, data: bytes) -> list[Mended]:
            found, mended = images.picture(data, frame)
            pixels[place] = found.transpose(2, 0, 1)
            return mended

        present[read_cells(column, read, self.name, repairs)] = 1
        return {"pixels": pixels, "present": present}

    def shape(self) -> GridShape:
        """A grid with the statistics of its channels."""
        frame = self.frame
        return GridShape(channels=frame.channels, height=frame.height, width=frame.width, mean=self.mean, std=self.std)

    def state(self) -> dict[str, Any]:
        """Name, statistics and levels."""
        levels = self.frame.levels
        return {
            "name": self.name,
            "mean": list(self.mean),
            "std": list(self.std),
            "white": levels.white,
            "low": levels.low,
            "high": levels.high,
        }

    @classmethod
    def from_state(cls, spec: ImageSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, not finite, or does not fit the settings.
        """
        decided(spec, "an image column")
        stored = Stored(state, where="an image column")
        name = stored.text("name")
        mean, std = stored.numbers("mean", limit=3), stored.numbers("std", limit=3)
        if not len(mean) == len(std) == spec.channels:
            stored.refuse("'mean' and 'std' do not fit the setting 'channels'", "a number for each channel")
        if any(not 0 <= m <= 255 for m in mean) or any(not 1 <= s <= 255 for s in std):
            stored.refuse("'mean' or 'std' is impossible", "means of 0 to 255 and deviations of 1 to 255")
        white, low, high = (stored.number(key) for key in ("white", "low", "high"))
        if not (0 < white <= _LARGEST and -_LARGEST <= low < high <= _LARGEST):
            stored.refuse("its levels are impossible", "a positive 'white', and 'low' below 'high'")
        stored.done()
        return cls(spec, name, mean, std, Levels(white, low, high))

    @classmethod
    def show(cls, cells: pl.Series, groups: Sequence[str | None] | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a person wants to see: formats, sizes and colours, and thumbnails of all groups in turn.

        Args:
            cells: of the column.
            groups: of each cell its class, or None.
            options: settings, decided or not.
        """
        return _shown(cells, groups)


def _frame(spec: ImageSpec, levels: Levels) -> Frame:
    assert spec.height != AUTO and spec.width != AUTO and spec.channels != AUTO and spec.fit != AUTO
    return Frame(spec.height, spec.width, spec.channels, spec.fit, 255 if spec.background == "white" else 0, levels)


@dataclass(frozen=True)
class _Look:
    header: Header
    grey: bool
    place: int


def _look(name: str, cells: Sequence[bytes]) -> list[_Look]:
    """Headers and colours of the cells that can be read."""
    found: dict[int, _Look] = {}

    def read(place: int, data: bytes) -> list[Mended]:
        header = images.header(data)
        small = Frame(min(header.height, _LOOKED_AT), min(header.width, _LOOKED_AT), 3)
        found[place] = _Look(header, is_grey(images.picture(data, small)[0]), place)
        return []

    read_cells(pl.Series(name, cells, dtype=pl.Binary), read, name, Repairs())
    return [found[place] for place in sorted(found)]


def _asymmetry(facts: ColumnFacts) -> float | None:
    """What the pictures of a class have in common that their mirror images have not; None for too few pictures."""
    small = Frame(_MIRRORED, _MIRRORED, 1)
    found: dict[int, np.ndarray] = {}

    def read(place: int, data: bytes) -> list[Mended]:
        found[place] = images.picture(data, small)[0].transpose(2, 0, 1)
        return []

    read_cells(pl.Series(facts.name, facts.cells, dtype=pl.Binary), read, facts.name, Repairs())
    if len(found) < _MIRRORED_CELLS:
        return None
    names = [str(facts.classes[place]) for place in found] if facts.classes else [""] * len(found)
    return mirror_asymmetry(np.stack(list(found.values())), np.unique(names, return_inverse=True)[1])


def _plan_size(spec: ImageSpec, headers: Sequence[Header], size: Size) -> tuple[tuple[int, int], str]:
    """Height and width, and why."""
    if not headers:
        return (64, 64), "no picture that was looked at can be read; 64 pixels a side are usual"
    height, width = median(h.height for h in headers), median(h.width for h in headers)
    aspect = _aspect(headers)
    if spec.height != AUTO or spec.width != AUTO:
        given = spec.height if spec.height != AUTO else spec.width
        other = _side(float(given) * (aspect if spec.height != AUTO else 1 / aspect))
        planned = (int(given), other) if spec.height != AUTO else (other, int(given))
        return planned, f"the other side was given, and the pictures' width is {aspect:.2f} of their height"
    equal = len({(h.height, h.width) for h in headers}) == 1
    natural = (height * width) ** 0.5
    side, because = _affordable(size)
    if natural <= side * 1.15 or natural <= _SIDES[-1]:
        if equal and max(height, width) <= _MOST_SIDE and min(height, width) >= 4:
            return (
                int(height),
                int(width),
            ), f"all {len(headers)} pictures looked at have {width:g} x {height:g} pixels"
        side = natural
        because = f"the middle of the pictures looked at, {width:g} x {height:g} pixels"
    else:
        because = f"less than the {width:g} x {height:g} pixels of the pictures: {because}"
    return (_side(side / aspect**0.5), _side(side * aspect**0.5)), because


def _affordable(size: Size) -> tuple[int, str]:
    """The side of a square picture with which training makes ten passes in its time."""
    seconds = _UNHURRIED_SECONDS if size.seconds is None else size.seconds
    flops = seconds * size.flops_per_second * _EFFICIENCY
    pixels = flops / (3 * _FLOPS_A_PIXEL * _PASSES * max(size.rows, 1))
    side = next((s for s in _SIDES if s * s <= pixels), _SIDES[-1])
    time = f"{seconds:.0f} s" + ("" if size.seconds is not None else ", assumed without a budget,")
    return side, f"{side} pixels a side let a small network see {size.rows:,} pictures about ten times in {time}"


def _aspect(headers: Sequence[Header]) -> float:
    """Width by height: the middle one, and 1 where some pictures stand and others lie."""
    ratios = sorted(h.width / h.height for h in headers)
    low, high = ratios[len(ratios) // 10], ratios[(9 * (len(ratios) - 1) + 9) // 10]
    return 1.0 if low < 0.95 and high > 1.05 else float(min(max(median(ratios), 0.1), 10.0))


def _side(pixels: float) -> int:
    """The nearest multiple of 4, as nets halve sides; 8 at least."""
    return min(max(4 * round(pixels / 4), 8), _MOST_SIDE)


def _plan_fit(aspect: float, headers: Sequence[Header]) -> tuple[str, str]:
    lost = [1 - min(a / aspect, aspect / a) for a in (h.width / h.height for h in headers)]
    if not lost or max(lost) <= 0.05:
        return "stretch", "all pictures looked at have this shape, to a twentieth"
    mean = sum(lost) / len(lost)
    if mean <= _CROPPED:
        return "crop", f"the shapes differ; a cut around the centre loses {mean:.0%} of a picture on average"
    return "pad", f"the shapes differ much; a cut would lose {mean:.0%} of a picture on average"


def _fit_levels(column: pl.Series) -> Levels:
    """What becomes black and white of the pictures with more than 8 bits a channel."""
    values: dict[int, np.ndarray] = {}

    def read(place: int, data: bytes) -> list[Mended]:
        if images.header(data).deep and len(values) < 2 * _DEEP_CELLS:
            found = images.deep_values(data)
            if found is not None:
                values[place] = found
        return []

    # A spread of the column, since reading stops at no particular cell in threads.
    chosen = np.unique(np.linspace(0, max(len(column) - 1, 0), _DEEP_CELLS).astype(np.int64))
    if len(column):
        read_cells(column.gather(chosen), read, column.name, Repairs())
    whole = [v for _, v in sorted(values.items()) if v.dtype.kind == "i"]
    real = [v for _, v in sorted(values.items()) if v.dtype.kind == "f" and len(v)]
    largest = max((int(v.max(initial=0)) for v in whole), default=0)
    white = float(2 ** max(largest.bit_length(), 8) - 1) if whole else Levels.white
    if not real:
        return Levels(white)
    low, high = (float(q) for q in np.quantile(np.clip(np.concatenate(real), -_LARGEST, _LARGEST), (0.001, 0.999)))
    smallest, most = min(float(v.min()) for v in real), max(float(v.max()) for v in real)
    if smallest >= 0 and most <= 255:
        low, high = 0.0, 1.0 if most <= 1 else 255.0
    return Levels(white, low, high if high > low else low + 1.0)


def _shown(cells: pl.Series, groups: Sequence[str | None] | None) -> dict[str, Any]:
    headers: dict[int, Header] = {}
    repairs = Repairs()

    def look(place: int, data: bytes) -> list[Mended]:
        headers[place] = images.header(data)
        return []

    done = read_cells(cells, look, cells.name, repairs)
    shown = _thumbnails(cells, headers, in_turn(done, groups)[:_SHOWN])
    kinds = [words(h.kind) for h in headers.values()]
    sizes = sorted((h.width * h.height, f"{h.width} x {h.height}") for h in headers.values())
    facts = [["looked at", f"{len(cells):,} cells, {cells.null_count():,} of them missing"]]
    if done:
        counts = {k: kinds.count(k) for k in sorted(set(kinds))}
        facts.append(["formats", ", ".join(f"{n:,} {k.split(' ', 1)[1]}s" for k, n in counts.items())])
        facts.append(["smallest, middle, largest", ", ".join(sizes[i][1] for i in (0, len(sizes) // 2, -1))])
        facts.append(["more than 8 bits", f"{sum(h.deep for h in headers.values()):,}"])
    if repairs.rejected:
        first = next(iter(repairs.rejected.values()))
        facts.append(["cannot be read", f"{len(repairs.rejected):,}, for example {first}"])
    pictures = [
        {"title": str(groups[place]) if groups and groups[place] is not None else "", "png": png}
        for place, png in shown
    ]
    return {"facts": facts, "pictures": pictures, "lines": []}


def _thumbnails(cells: pl.Series, headers: Mapping[int, Header], places: Sequence[int]) -> list[tuple[int, str]]:
    """Small PNGs in base64 of some cells, in the order of the places."""
    found: dict[int, str] = {}
    some = sorted(places)

    def draw(place: int, data: bytes) -> list[Mended]:
        header = headers[some[place]]
        scale = min(1.0, _SHOWN_SIDE / max(header.height, header.width))
        height, width = (max(1, round(scale * n)) for n in (header.height, header.width))
        levels = Levels()
        if header.deep and (values := images.deep_values(data)) is not None and len(values):
            low, high = float(values.min()), float(values.max())
            levels = Levels(max(high, 1.0), low, high if high > low else low + 1.0)
        pixels, _ = images.picture(data, Frame(height, width, 3, levels=levels))
        found[some[place]] = b64encode(png(pixels)).decode("ascii")
        return []

    read_cells(cells.gather(some) if some else cells.head(0), draw, cells.name, Repairs())
    return [(place, found[place]) for place in places if place in found]
