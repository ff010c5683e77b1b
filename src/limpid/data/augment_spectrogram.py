"""How training spectrograms are changed: the settings, readable without torch."""

from __future__ import annotations

from pydantic import Field

from limpid.core.spec import Spec


class SpectrogramAugmentSpec(Spec):
    """What a spectrogram may look like in training; everything at 0 changes nothing.

    Masks are those of SpecAugment (Park et al. 2019, arXiv 1904.08779), without its time warping.
    """

    time_masks: int = Field(1, ge=0, le=8, description="stretches of time that are hidden")
    time_mask: float = Field(0.15, ge=0, le=0.5, description="longest such stretch, as a share of the length")
    frequency_masks: int = Field(1, ge=0, le=8, description="stretches of pitch that are hidden")
    frequency_mask: float = Field(0.15, ge=0, le=0.5, description="widest such stretch, as a share of the bands")
    shift: float = Field(0.1, ge=0, le=0.5, description="farthest move in time, as a share of the length; grids only")
    stretch: float = Field(0.1, ge=0, le=0.5, description="largest change of speed, as a share; grids only")
    pitch: float = Field(0.05, ge=0, le=0.3, description="farthest move in pitch, as a share of the bands")
    gain: float = Field(0.2, ge=0, le=3, description="largest change of level, in standard deviations of a band")
    noise: float = Field(0.1, ge=0, le=3, description="largest noise on the logarithms, in standard deviations")
