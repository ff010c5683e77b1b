"""Recordings from bytes: ordinary ones are what they were, odd ones are mended and counted, hostile ones rejected."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import hostile_recordings as hostile
import numpy as np
import polars as pl
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from limpid.core.errors import DataError
from limpid.core.repairs import Repairs
from limpid.data.media import wav
from limpid.data.media.cells import Mended, read_cells
from limpid.data.media.resample import ratio, resample
from limpid.data.media.sound import recording, sound_header

pytestmark = pytest.mark.slow

CASES = hostile.cases()


def read(cells: list[bytes | None]) -> tuple[dict[int, np.ndarray], Repairs]:
    found: dict[int, np.ndarray] = {}
    repairs = Repairs()

    def keep(place: int, data: bytes) -> list[Mended]:
        found[place], mended = recording(data, hostile.RATE)
        return mended

    done = read_cells(pl.Series("x", cells, dtype=pl.Binary), keep, "x", repairs)
    assert done == sorted(found) and not set(done) & set(repairs.rejected)
    return found, repairs


def test_there_are_at_least_forty_cases_of_each_ending() -> None:
    endings = [case.outcome for case in CASES.values()]
    assert endings.count("mended") >= 40 and endings.count("rejected") >= 40 and endings.count("read") >= 20


@pytest.mark.parametrize("name", CASES)
def test_each_case_ends_as_it_should_and_harms_no_other(name: str) -> None:
    case, good = CASES[name], CASES["16 bits"].data
    found, repairs = read([good, case.data, None, good])
    assert np.array_equal(found[0], found[3]) and np.abs(found[0] - hostile.TONE).max() < 0.001
    assert set(repairs.rejected) == ({1} if case.outcome == "rejected" else set()), repairs
    said = [*repairs.rejected.values(), *(r.what for r in repairs)]
    assert bool(said) == (case.outcome != "read"), said
    assert not case.words or any(re.search(case.words, text) for text in said), said
    assert all(len(text) < 200 and " 0x" not in text and "object at" not in text for text in said)
    if case.outcome != "rejected":
        assert found[1].ndim == 1 and found[1].dtype == np.float32 and np.isfinite(found[1]).all()
        assert len(found[1]) >= 1
    if case.near is not None:
        both = min(len(found[1]), hostile.COUNT)
        assert both >= hostile.COUNT // 2
        edge = slice(100, both - 100)  # a resampler's filter sees silence beyond both ends
        assert np.abs(found[1][edge] - hostile.TONE[edge]).max() <= case.near


@pytest.mark.parametrize("name", ["16 bits", "24 bits", "float", "RF64", "flac", "ogg", "mp3", "aiff"])
def test_cut_anywhere_ends_in_samples_or_a_reason(name: str) -> None:
    data = CASES[name].data
    cells: list[bytes | None] = [data[:stop] for stop in range(0, len(data), max(1, len(data) // 100))]
    found, repairs = read(cells)
    assert len(found) + len(repairs.rejected) == len(cells) and repairs.rejected


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(n for n, c in CASES.items() if c.outcome != "rejected" and len(c.data) < 60_000)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_end_in_samples_or_a_reason(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(CASES[name].data)
    for place, value in changes:
        data[place % min(len(data), 200)] = value  # the header, where it hurts
    found, repairs = read([bytes(data)])
    assert len(found) + len(repairs.rejected) == 1
    assert all(np.isfinite(samples).all() for samples in found.values())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_are_those_that_libsndfile_reads(subtype: str, channels: int) -> None:
    values = np.random.default_rng(channels).uniform(-1, 1, (700, channels))
    data = hostile.saved(values, "WAV", subtype)
    expected, rate = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)
    found, own = wav.read_wav(data, [])
    assert own == rate and np.allclose(found, expected, rtol=0, atol=1e-7)


def test_what_a_file_says_of_itself() -> None:
    stereo = sound_header(CASES["stereo"].data)
    assert (stereo.rate, stereo.channels, stereo.seconds) == (8_000, 2, 0.5)
    flac = sound_header(CASES["stereo flac"].data)
    assert (flac.kind, flac.rate, flac.channels, flac.seconds) == ("audio/flac", 8_000, 2, 0.5)


@pytest.mark.parametrize(
    ("count", "old", "new"),
    [
        (1_000, 44_100, 16_000),
        (1, 8_000, 16_000),
        (37, 16_000, 8_000),
        (4_000, 22_050, 16_000),
        (4_001, 11_025, 16_000),
        (999, 44_101, 16_000),
        (50, 16_000, 1_000),
        (700, 1_000, 16_000),
    ],
)
def test_resampling_is_that_of_scipy(count: int, old: int, new: int) -> None:
    samples = np.random.default_rng(count).normal(size=count)
    by = ratio(old, new)
    expected = resample_poly(samples, by.numerator, by.denominator)
    assert np.allclose(resample(samples, old, new), expected, rtol=0, atol=3e-6)
    assert abs(float(by) * old / new - 1) < 1e-5


def test_tones_above_the_new_half_rate_do_not_fold_back() -> None:
    time = np.arange(44_100) / 44_100
    low, high = (resample(np.sin(2 * np.pi * f * time), 44_100, 16_000)[500:-500] for f in (1_000, 12_000))
    assert abs(float(np.square(low).mean()) - 0.5) < 0.002 and float(np.square(high).mean()) < 1e-4


def test_nothing_and_the_same_rate_are_left_alone() -> None:
    assert resample(np.zeros(0), 44_100, 16_000).shape == (0,)
    assert np.array_equal(resample(hostile.TONE, 8_000, 8_000), hostile.TONE)


def test_very_long_recordings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "MOST_FRAMES", 1_000)
    monkeypatch.setattr("limpid.data.media.sound.MOST_FRAMES", 1_000)
    for name in ("16 bits", "flac"):
        samples, mended = recording(CASES[name].data, hostile.RATE)
        assert len(samples) == 1_000 and "very long" in mended[0].what


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "soundfile":
            raise ImportError("No module named 'soundfile'")
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert len(recording(CASES["16 bits"].data, 8_000)[0]) == hostile.COUNT
    with pytest.raises(DataError) as caught:
        recording(CASES["flac"].data, 8_000)
    assert caught.value.fix == "python -m pip install 'limpid[audio]'" and "FLAC" in caught.value.what


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module")
@pytest.mark.parametrize("name", ["promises more", "id3 of 256 MB", "a million chunks", "768,000 hertz", "64 channels"])
def test_lies_cost_little_memory(name: str, tmp_path: Path) -> None:
    file = tmp_path / "case"
    file.write_bytes(CASES[name].data)
    code = (
        "import resource, sys\nimport soundfile\nfrom limpid.data.media.cells import Unreadable\n"
        "from limpid.data.media.sound import recording\ndata = open(sys.argv[1], 'rb').read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    recording(data, 8_000)\nexcept Unreadable:\n    pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60)
    assert int(done.stdout) * (1 if sys.platform == "darwin" else 1024) < 60 << 20, done.stderr


def test_real_recordings(real_data: Callable[[str], Path]) -> None:
    files = sorted(real_data("fsdd/recordings").glob("*.wav"))
    for file in files[::40]:
        samples, mended = recording(file.read_bytes(), 8_000)
        expected, rate = soundfile.read(file, dtype="float32")
        assert rate == 8_000 and not mended and np.allclose(samples, expected, atol=1e-7)
