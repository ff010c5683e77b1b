"""How recordings are to be heard: rate, length, frames and bands, from a few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import polars as pl

from limpid.core.contracts import Reasons, Size
from limpid.core.repairs import Repairs
from limpid.core.spec import AUTO
from limpid.data.augment_spectrogram import SpectrogramAugmentSpec
from limpid.data.media.cells import Mended, read_cells
from limpid.data.media.mel import Mel
from limpid.data.media.sound import recording, sound_header
from limpid.data.media.spectrogram import LOWEST, audible

_MOST_RATE, _LEAST_RATE = 16_000, 2_000
_COMMON = 0.05  # share of the recordings that a rate must have to count
_WINDOW_MS, _HOP_MS, _MOST_HOP_MS = 25.0, 10.0, 40.0
_MOST_SECONDS = 30.0
_LONG = 0.98  # quantile of the lengths
_SILENT = 0.2  # share of a recording's length, at its ends
_LOOKED_AT_SECONDS = 30.0  # of one recording, for its silence
_LEAST_VALUES = 64 * 64
_FLOPS_A_VALUE = 2e4  # forward, of a small convolutional network
_PASSES, _UNHURRIED_SECONDS, _EFFICIENCY = 10, 600.0, 0.5


@dataclass(frozen=True)
class Look:
    """What one recording is like.

    Args:
        rate: samples in a second.
        seconds: its length.
        audible: its length without silence at both ends, in seconds.
    """

    rate: int
    seconds: float
    audible: float


def look(name: str, cells: Sequence[bytes]) -> list[Look]:
    """Rates and lengths of the recordings that can be read."""
    found: dict[int, Look] = {}

    def read(place: int, data: bytes) -> list[Mended]:
        header = sound_header(data)
        samples, _ = recording(data, header.rate)
        seconds = len(samples) / header.rate
        hop = max(1, round(header.rate * _HOP_MS / 1_000))
        window = max(16, round(header.rate * _WINDOW_MS / 1_000))
        some = samples[: int(_LOOKED_AT_SECONDS * header.rate)]
        power = Mel(header.rate, window, hop, 8, LOWEST, header.rate / 2).power(some).sum(axis=1)
        heard = audible(power)
        silent = (len(power) - (heard.stop - heard.start)) * hop / header.rate if len(some) == len(samples) else 0.0
        found[place] = Look(header.rate, seconds, max(seconds - silent, 0.01))
        return []

    read_cells(pl.Series(name, cells, dtype=pl.Binary), read, name, Repairs())
    return [found[place] for place in sorted(found)]


def plan_audio(spec: Any, looks: Sequence[Look], size: Size) -> tuple[dict[str, Any], Reasons]:
    """Decide every `auto`.

    Args:
        spec: of the modality.
        looks: what some recordings are like.
        size: how much there is to learn from and to spend.

    Returns:
        field -> value for the autos alone, and a reason for each.
    """
    changes: dict[str, Any] = {}
    because: Reasons = {}

    def settle(field: str, value: Any, reason: str) -> Any:
        if getattr(spec, field) == AUTO:
            changes[field], because[field] = value, reason
        return changes.get(field, getattr(spec, field))

    rate = settle("rate", *_rate(looks))
    trim = settle("trim", *_trim(looks))
    settle("level", "recording", "how far away a microphone stood says nothing of what was recorded")
    seconds = settle("seconds", *_seconds(looks, trim))
    bands = settle(
        "bands", 40 if rate <= 8_000 else 64, f"40 up to 8,000 samples in a second, 64 beyond: {rate:,} here"
    )
    hop = settle("hop_ms", *_hop(seconds, bands, size))
    window = max(_WINDOW_MS, 2.5 * hop)
    settle(
        "window_ms", window, "2.5 times the distance of two frames, and 25 ms at least, in which speech stands still"
    )
    settle(
        "augment",
        SpectrogramAugmentSpec.model_validate({}).model_dump(),
        "other speakers, rooms and beginnings are to be expected: moved, stretched, masked (arXiv 1904.08779)",
    )
    return changes, because


def _rate(looks: Sequence[Look]) -> tuple[int, str]:
    if not looks:
        return _MOST_RATE, "no recording that was looked at can be read; 16,000 samples in a second are usual"
    counts = Counter(look.rate for look in looks)
    common = min(r for r, n in counts.items() if n >= _COMMON * len(looks) or len(counts) > 20)
    rates = ", ".join(f"{r:,}" for r in sorted(counts)[:6])
    if common > _MOST_RATE:
        return _MOST_RATE, f"recorded at {rates}; speech and most sounds are told apart below 8,000 hertz"
    # A higher rate than that of some recordings would tell recordings apart by how they were made.
    return max(common, _LEAST_RATE), f"the lowest rate that is common among the recordings: {rates}"


def _trim(looks: Sequence[Look]) -> tuple[bool, str]:
    shares = [1 - look.audible / look.seconds for look in looks]
    middle = float(np.median(shares)) if shares else 0.0
    said = f"silence at both ends takes {middle:.0%} of the middle recording"
    return middle > _SILENT, said + (", which is cut off" if middle > _SILENT else ", too little to cut off")


def _seconds(looks: Sequence[Look], trim: bool) -> tuple[float, str]:
    if not looks:
        return 1.0, "no recording that was looked at can be read; one second is a guess"
    lengths = [look.audible if trim else look.seconds for look in looks]
    long = float(np.quantile(lengths, _LONG))
    planned = min(max(ceil(long * 20) / 20, 0.1), _MOST_SECONDS)
    return planned, f"98 % of the recordings looked at last at most {long:.2f} s; 30 s at most"


def _hop(seconds: float, bands: int, size: Size) -> tuple[float, str]:
    """Frames as close as ten passes over the spectrograms in the time allow, 10 to 40 ms."""
    spend = _UNHURRIED_SECONDS if size.seconds is None else size.seconds
    flops = spend * size.flops_per_second * _EFFICIENCY
    values = max(flops / (3 * _FLOPS_A_VALUE * _PASSES * max(size.rows, 1)), _LEAST_VALUES)
    hop = min(max(_HOP_MS, ceil(1_000 * seconds * bands / values)), _MOST_HOP_MS)
    frames = ceil(1_000 * seconds / hop)
    return hop, f"{frames:,} frames of {bands} bands; 10 ms are usual, more where training would take too long"
