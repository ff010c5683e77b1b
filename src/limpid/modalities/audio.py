"""Columns that hold recordings: whole files, as log-mel spectrograms of one length, standardised band by band.

Legend of shapes: N rows, T frames, M bands, n samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, fsum
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from limpid.core.contracts import Reasons, Size
from limpid.core.forms import GridShape, SeqShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnFacts, Recognition
from limpid.core.spec import AUTO, Auto, Spec
from limpid.data.augment_spectrogram import SpectrogramAugmentSpec
from limpid.data.media.cells import Mended, read_cells
from limpid.data.media.sniff import sniff, words
from limpid.data.media.sound import recording
from limpid.data.media.spectrogram import Listening, logarithms
from limpid.data.stored import Stored, decided
from limpid.modalities.audio_plan import look, plan_audio
from limpid.modalities.audio_show import show_audio

_MOST_BANDS = 256


class AudioSpec(Spec):
    """How recordings become spectrograms."""

    rate: Auto | Annotated[int, Field(ge=2_000, le=48_000)] = Field(AUTO, description="samples in a second, in hertz")
    seconds: Auto | Annotated[float, Field(ge=0.05, le=120)] = Field(
        AUTO, description="length in seconds; of a longer recording the loudest part of that length counts"
    )
    window_ms: Auto | Annotated[float, Field(ge=5, le=200)] = Field(
        AUTO, description="length of a frame in milliseconds"
    )
    hop_ms: Auto | Annotated[float, Field(ge=2, le=200)] = Field(
        AUTO, description="distance of two frames in milliseconds"
    )
    bands: Auto | Annotated[int, Field(ge=8, le=_MOST_BANDS)] = Field(AUTO, description="bands of pitch (mels)")
    trim: Auto | bool = Field(AUTO, description="whether silence at both ends is cut off")
    level: Auto | Literal["recording", "none"] = Field(
        AUTO, description="recording: each one is brought to the same loudness; none: loudness is part of the data"
    )
    emit: Literal["grid", "seq"] = Field(
        "grid", description="grid: a picture of bands and frames; seq: a sequence of frames with its length"
    )
    augment: Auto | SpectrogramAugmentSpec = Field(
        AUTO, description="how training spectrograms are changed, each pass anew"
    )


class Audio:
    """Log-mel spectrograms, each band with mean 0 and deviation 1 over the frames of training recordings.

    As a grid, shorter recordings stand in the middle between silence. Where one is missing or cannot be read, all
    values are 0.
    """

    Spec: ClassVar[type[Spec]] = AudioSpec
    form: str | None = "grid"
    net: str | None = "resnet"
    leads: ClassVar[bool] = True
    augmenter: ClassVar[str | None] = "limpid.layers.augment_spectrogram:SpectrogramAugment"

    def __init__(self, spec: AudioSpec, name: str, mean: Sequence[float], std: Sequence[float]) -> None:
        self.name = name
        self.spec = spec
        self.form = spec.emit
        self.net = "resnet" if spec.emit == "grid" else None
        self.augment = spec.augment
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        self.listening = _listening(spec)

    @classmethod
    def recognise(cls, facts: ColumnFacts) -> Recognition | None:
        """Claim binary columns of which at least half of the cells begin like a recording."""
        kinds = [k for k in map(sniff, facts.cells) if k is not None and k.startswith("audio/")]
        if facts.dtype != "binary" or not facts.cells or 2 * len(kinds) < len(facts.cells):
            return None
        most = max(sorted(set(kinds)), key=kinds.count)
        seen = f"{len(kinds)} of {len(facts.cells)} cells looked at are recordings, mostly {words(most)}"
        return Recognition(0.95, seen)

    @classmethod
    def plan(cls, spec: AudioSpec, facts: ColumnFacts, size: Size) -> tuple[AudioSpec, Reasons]:
        """Decide rate, length, frames and bands from the cells looked at."""
        changes, reasons = plan_audio(spec, look(facts.name, facts.cells), size)
        return spec.with_(**changes), reasons

    @classmethod
    def fit(cls, spec: AudioSpec, column: pl.Series) -> Self:
        """Learn mean and standard deviation of each band from the frames of training recordings."""
        assert not spec.autos(), "fit before plan"
        listening = _listening(spec)
        bands = listening.mel.bands
        sums = np.zeros((len(column), 2, bands))
        counts = np.zeros(len(column), np.int64)

        def read(place: int, data: bytes) -> list[Mended]:
            heard = logarithms(recording(data, listening.mel.rate)[0], listening, []).astype(np.float64)
            sums[place] = heard.sum(axis=0), (heard**2).sum(axis=0)
            counts[place] = len(heard)
            return []

        done = read_cells(column, read, column.name, Repairs())
        if not done:
            return cls(spec, column.name, [0.0] * bands, [1.0] * bands)
        # Summed without rounding, so that the order of the rows does not matter.
        total = np.array([[fsum(sums[done, k, m]) for m in range(bands)] for k in range(2)])
        mean, square = total / counts.sum()
        std = np.maximum(np.sqrt(np.maximum(square - mean**2, 0.0)), 0.1)
        return cls(spec, column.name, mean.tolist(), std.tolist())

    def encode(self, column: pl.Series, repairs: Repairs) -> dict[str, np.ndarray]:
        """`pixels` (N,1,M,T) float16 and `present` (N,), or `values` (N,T,M) float32 and `length` (N,) int32.

        Cells that cannot be read are rejected.
        """
        listening, frames = self.listening, self.listening.frames
        grid = self.spec.emit == "grid"
        rows, bands = len(column), listening.mel.bands
        values = np.zeros((rows, 1, bands, frames), np.float16) if grid else np.zeros((rows, frames, bands), np.float32)
        length = np.zeros(rows, np.int32)
        silence = (listening.silence - self.mean) / self.std

        def read(place: int, data: bytes) -> list[Mended]:
            samples, mended = recording(data, listening.mel.rate)
            heard = (logarithms(samples, listening, mended) - self.mean) / self.std
            length[place] = len(heard)
            if grid:
                before = (frames - len(heard)) // 2
                values[place, 0] = np.clip(silence, -60_000, 60_000)[:, None]
                values[place, 0, :, before : before + len(heard)] = np.clip(heard, -60_000, 60_000).T
            else:
                values[place, : len(heard)] = heard
            return mended

        done = read_cells(column, read, self.name, repairs)
        if not grid:
            return {"values": values, "length": length}
        present = np.zeros(rows, np.uint8)
        present[done] = 1
        return {"pixels": values, "present": present}

    def shape(self) -> GridShape | SeqShape:
        """A grid of one channel that is standardised already, or a seq of vectors."""
        bands, frames = self.listening.mel.bands, self.listening.frames
        if self.spec.emit == "seq":
            return SeqShape(width=bands, length=frames)
        return GridShape(channels=1, height=bands, width=frames, mean=(0.0,), std=(1.0,))

    def state(self) -> dict[str, Any]:
        """Name, mean and deviation of each band."""
        return {
            "name": self.name,
            "mean": [float(v) for v in self.mean],
            "std": [float(v) for v in self.std],
        }

    @classmethod
    def from_state(cls, spec: AudioSpec, state: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: a field is missing, of a wrong type, not finite, or does not fit the settings.
        """
        decided(spec, "an audio column")
        stored = Stored(state, where="an audio column")
        name = stored.text("name")
        mean, std = stored.numbers("mean", limit=_MOST_BANDS), stored.numbers("std", limit=_MOST_BANDS)
        if not len(mean) == len(std) == spec.bands:
            stored.refuse("'mean' and 'std' do not fit the setting 'bands'", "a number for each band")
        if any(abs(m) > 100 for m in mean) or any(not 0.05 <= s <= 100 for s in std):
            stored.refuse("'mean' or 'std' is impossible", "logarithms of power, and positive deviations")
        stored.done()
        return cls(spec, name, mean, std)

    @classmethod
    def show(cls, cells: pl.Series, groups: Sequence[str | None] | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a person wants to see: formats, rates and lengths, waveforms and spectrograms of all groups in turn.

        Args:
            cells: of the column.
            groups: of each cell its class, or None.
            options: settings, decided or not.
        """
        return show_audio(cells, groups)


def _listening(spec: AudioSpec) -> Listening:
    rate, seconds, window_ms, hop_ms = spec.rate, spec.seconds, spec.window_ms, spec.hop_ms
    assert rate != AUTO and seconds != AUTO and window_ms != AUTO and hop_ms != AUTO
    assert spec.bands != AUTO and spec.trim != AUTO and spec.level != AUTO
    return Listening.of(
        rate, window_ms, hop_ms, spec.bands, ceil(seconds * rate), trim=spec.trim, even=spec.level == "recording"
    )
