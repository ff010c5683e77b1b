"""What a person wants to see of recordings: facts, waveforms and spectrograms."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from limpid.core.repairs import Repairs
from limpid.data.media.cells import Mended, read_cells
from limpid.data.media.frames import png
from limpid.data.media.sniff import words
from limpid.data.media.sound import SoundHeader, recording, sound_header
from limpid.data.media.spectrogram import Listening, logarithms
from limpid.data.media.turns import in_turn

_LINES, _PICTURES = 12, 24
_POINTS = 200  # of a waveform
_RATE, _BANDS, _WIDTH = 16_000, 40, 100  # of a spectrogram that is drawn
_SECONDS = 30  # of a recording that is drawn, at most
_COLOURS = np.array([(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)], np.float64)


def show_audio(cells: pl.Series, groups: Sequence[str | None] | None) -> dict[str, Any]:
    """The record of a column of recordings.

    Args:
        cells: Binary.
        groups: of each cell its class, or None.

    Returns:
        facts, pictures (spectrograms) and lines (waveforms: the extreme sample of each stretch), as JSON.
    """
    headers: dict[int, SoundHeader] = {}
    repairs = Repairs()

    def read_header(place: int, data: bytes) -> list[Mended]:
        headers[place] = sound_header(data)
        return []

    done = read_cells(cells, read_header, cells.name, repairs)
    chosen = in_turn(done, groups)[:_PICTURES]
    some = sorted(chosen)
    drawn: dict[int, tuple[list[float], str]] = {}

    def draw(place: int, data: bytes) -> list[Mended]:
        samples = recording(data, _RATE)[0][: _SECONDS * _RATE]
        drawn[some[place]] = _waveform(samples), b64encode(png(_spectrogram(samples))).decode("ascii")
        return []

    if some:
        read_cells(cells.gather(some), draw, cells.name, repairs)
    titles = {place: str(groups[place]) if groups and groups[place] is not None else "" for place in chosen}
    shown = [place for place in chosen if place in drawn]
    return {
        "facts": _facts(cells, list(headers.values()), repairs),
        "pictures": [{"title": titles[p], "png": drawn[p][1]} for p in shown],
        "lines": [{"title": titles[p] or "waveform", "values": drawn[p][0]} for p in shown[:_LINES]],
    }


def _facts(cells: pl.Series, headers: Sequence[SoundHeader], repairs: Repairs) -> list[list[str]]:
    facts = [["looked at", f"{len(cells):,} cells, {cells.null_count():,} of them missing"]]
    if headers:
        kinds = Counter(words(h.kind).split(" ", 1)[1] for h in headers)
        facts.append(["formats", ", ".join(f"{n:,} {k}s" for k, n in sorted(kinds.items()))])
        rates = Counter(h.rate for h in headers)
        facts.append(["samples in a second", ", ".join(f"{r:,} ({n:,})" for r, n in sorted(rates.items())[:8])])
        facts.append(["with several channels", f"{sum(h.channels > 1 for h in headers):,}"])
        low, middle, high = np.quantile([h.seconds for h in headers], (0, 0.5, 1))
        facts.append(["shortest, middle, longest", f"{low:.2f} s, {middle:.2f} s, {high:.2f} s"])
    if repairs.rejected:
        first = next(iter(repairs.rejected.values()))
        facts.append(["cannot be read", f"{len(repairs.rejected):,}, for example {first}"])
    return facts


def _waveform(samples: np.ndarray) -> list[float]:
    """In each of many stretches the sample that is farthest from 0."""
    pieces = np.array_split(samples, min(_POINTS, len(samples)))
    return [round(float(piece[np.abs(piece).argmax()]), 4) for piece in pieces]


def _spectrogram(samples: np.ndarray) -> np.ndarray:
    """A (H,W,3) picture, high pitch at the top, as long as the recording up to a bound."""
    listening = Listening.of(_RATE, 25, 10, _BANDS, len(samples), trim=False, even=True)
    heard = logarithms(samples, listening, [])
    low, high = listening.silence, float(heard.max())
    share = (heard.T[::-1] - low) / max(high - low, 1e-6)
    colours = np.stack([np.interp(share, np.linspace(0, 1, 5), _COLOURS[:, c]) for c in range(3)], axis=-1)
    picture = Image.fromarray(colours.round().astype(np.uint8))
    width = min(max(len(heard), 8), _WIDTH)
    return np.asarray(picture.resize((width, _BANDS), Image.Resampling.BILINEAR, reducing_gap=2.0))
