"""Log-mel spectrograms against closed forms: framing, Parseval, pure tones, bands that share out all power."""

from __future__ import annotations

import numpy as np
import pytest

from limpid.data.media.mel import Mel, hann, hertz_to_mel, mel_to_hertz
from limpid.data.media.spectrogram import Listening, audible, logarithms

MEL = Mel(rate=16_000, window=400, hop=160, bands=64, low=50.0, high=8_000.0)


def tone(hertz: float, amplitude: float = 0.5, samples: int = 16_000, rate: int = 16_000) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype(np.float32)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (16_000, 99)])
def test_every_sample_is_in_a_frame(samples: int, frames: int) -> None:
    assert MEL.frames(samples) == frames
    assert MEL.power(np.ones(samples, np.float32)).shape == (frames, 64)
    assert (frames - 1) * MEL.hop + MEL.window >= samples


@pytest.mark.parametrize("hertz", [200.0, 440.0, 1_000.0, 3_000.0, 6_000.0])
def test_a_tone_has_half_of_its_squared_amplitude_in_the_right_band(hertz: float) -> None:
    power = MEL.power(tone(hertz))[5:-5]
    assert np.allclose(power.sum(axis=1), 0.5**2 / 2, rtol=0.01)
    centre = MEL.centres[power.mean(axis=0).argmax()]
    step = np.diff(MEL.centres)[np.searchsorted(MEL.centres, hertz) - 1]
    assert abs(centre - hertz) <= max(step, MEL.rate / MEL.transform)


def test_the_sum_of_noise_is_its_weighted_mean_square() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    spectrum = np.abs(np.fft.rfft(noise * hann(400), MEL.transform)) ** 2
    scale = np.r_[1.0, np.full(len(spectrum) - 2, 2.0), 1.0] / (MEL.transform * (hann(400) ** 2).sum())
    frequencies = np.arange(len(spectrum)) * MEL.rate / MEL.transform
    inside = (frequencies > MEL.centres[0] + 40) & (frequencies < MEL.centres[-1] - 40)
    total = float(((noise * hann(400)) ** 2).sum() / (hann(400) ** 2).sum())
    assert np.isclose((spectrum * scale).sum(), total)  # Parseval
    found = float(MEL.power(noise.astype(np.float32)).sum())
    assert (spectrum * scale)[inside].sum() - 1e-6 <= found <= total + 1e-6


def test_twice_the_amplitude_is_four_times_the_power() -> None:
    assert np.allclose(MEL.power(tone(700, 0.8)), 4 * MEL.power(tone(700, 0.4)), rtol=1e-4, atol=1e-12)


def test_narrow_low_bands_are_not_empty() -> None:
    fine = Mel(8_000, 200, 80, 128, 50.0, 4_000.0)
    assert MEL.power(np.random.default_rng(1).normal(size=4_000).astype(np.float32)).min() > 0
    assert fine.power(np.random.default_rng(1).normal(size=4_000).astype(np.float32)).min() > 0


def test_the_scale_is_the_usual_one() -> None:
    assert np.allclose(hertz_to_mel(np.array([0.0, 700.0, 1_000.0])), [0.0, 781.17, 999.99], atol=0.01)
    assert np.allclose(mel_to_hertz(hertz_to_mel(np.array([50.0, 440.0, 8_000.0]))), [50.0, 440.0, 8_000.0])


def test_silence_at_the_ends_is_cut_off_and_loudness_evened() -> None:
    listening = Listening.of(16_000, 25, 10, 40, 16_000, trim=True, even=True)
    padded = np.concatenate([np.zeros(4_800, np.float32), tone(500, samples=8_000), np.zeros(4_800, np.float32)])
    loud, soft = (logarithms(scale * padded, listening, []) for scale in (1.0, 0.01))
    assert np.allclose(loud, soft, atol=1e-3) and 48 <= len(loud) <= 58
    assert audible(np.zeros(7)) == slice(0, 7)
    whole = Listening.of(16_000, 25, 10, 40, 16_000, trim=False, even=False)
    nothing = logarithms(np.zeros(1_000, np.float32), whole, [])
    assert np.allclose(nothing, whole.silence)


def test_of_a_long_recording_the_loudest_part_is_taken() -> None:
    listening = Listening.of(16_000, 25, 10, 40, 4_000, trim=False, even=True)
    samples = np.concatenate([tone(300, 0.01), tone(3_000, 0.5, 4_000), tone(300, 0.01)])
    mended: list = []
    heard = logarithms(samples, listening, mended)
    assert len(heard) == listening.frames and "loudest part" in mended[0].what
    assert abs(listening.mel.centres[heard.mean(axis=0).argmax()] - 3_000) < 250
