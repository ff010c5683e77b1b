"""Columns of recordings: rate and length are planned from cells, bands are standardised over training frames."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.audio import Audio, AudioSpec


def file(seconds: float = 0.5, rate: int = 8_000, seed: int = 0, quiet: float = 0.0) -> bytes:
    """A WAV file of noise, with `quiet` seconds of silence at each end."""
    noise = np.random.default_rng(seed).normal(0, 3_000, round(seconds * rate))
    ends = np.zeros(round(quiet * rate))
    body = np.concatenate([ends, noise, ends]).astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return head + struct.pack("<4sI", b"data", len(body)) + body


def column(cells: Sequence[bytes | None]) -> pl.Series:
    return pl.Series("sound", cells, dtype=pl.Binary)


def planned(cells: Sequence[bytes | None], seconds: float | None = 60, rows: int = 1_000, **options: Any) -> AudioSpec:
    size = Size(rows=rows, outputs=2, task="classification", seconds=seconds)
    return Audio.plan(AudioSpec(**options), column_facts(column(cells)), size)[0]


@pytest.mark.parametrize(
    ("rates", "rate"),
    [([8_000] * 4, 8_000), ([44_100] * 4, 16_000), ([8_000, 44_100], 8_000), ([11_025, 16_000], 11_025)],
)
def test_the_rate_is_the_lowest_common_one_and_16_000_at_most(rates: list[int], rate: int) -> None:
    assert planned([file(0.1, r) for r in rates]).rate == rate


def test_the_length_is_that_of_almost_all() -> None:
    assert planned([file(0.3)] * 60 + [file(0.42)] * 4).seconds == 0.45
    assert planned([b"text"]).seconds == 1.0


def test_silence_at_both_ends_is_cut_off_where_there_is_much() -> None:
    much, little = planned([file(0.3, quiet=0.3)] * 3), planned([file(0.3, quiet=0.02)] * 3)
    assert much.trim is True and much.seconds < 0.5
    assert little.trim is False


def test_frames_are_farther_apart_where_time_is_short() -> None:
    cells = [file(3.0)] * 3
    hops = [planned(cells, seconds, 20_000).hop_ms for seconds in (10, 4_000)]
    assert hops[0] > hops[1] == 10.0


def test_it_is_recognised_by_half_of_the_cells() -> None:
    assert Audio.recognise(column_facts(column([file(0.1), b"text"]))) is not None
    assert Audio.recognise(column_facts(column([file(0.1), b"text", b""]))) is None


def test_bands_have_mean_0_and_deviation_1_over_training_frames() -> None:
    cells = [file(0.3, seed=n) for n in range(30)]
    encoder = Audio.fit(planned(cells, emit="seq"), column(cells))
    parts = encoder.encode(column(cells), Repairs())
    frames = np.concatenate([v[:n] for v, n in zip(parts["values"], parts["length"], strict=True)])
    assert np.allclose(frames.mean(axis=0), 0, atol=1e-3) and np.allclose(frames.std(axis=0), 1, atol=1e-3)


def test_a_grid_is_the_sequence_in_the_middle_of_silence() -> None:
    cells = [file(0.5), file(0.2, seed=1)]
    spec = planned(cells)
    grid = Audio.fit(spec, column(cells)).encode(column(cells), Repairs())["pixels"][1, 0]
    whole = Audio.fit(spec.with_(emit="seq"), column(cells)).encode(column(cells), Repairs())
    length = int(whole["length"][1])
    before = (grid.shape[1] - length) // 2
    assert before > 0 and np.allclose(grid[:, before : before + length], whole["values"][1, :length].T, atol=5e-3)
    assert (grid[:, 0] == grid[:, -1]).all() and (grid[:, 0] < grid[:, before : before + length].min(axis=1)).all()


def test_what_cannot_be_read_is_zero_and_rejected_and_what_is_missing_is_not() -> None:
    cells = [file(0.2), None, b"text", file(0.2)[:90], file(0.2, seed=2)]
    repairs = Repairs()
    parts = Audio.fit(planned(cells), column(cells)).encode(column(cells), repairs)
    assert parts["present"].tolist() == [1, 0, 0, 0, 1] and not parts["pixels"][1:4].any()
    assert set(repairs.take_rejected()) == {2, 3}


def test_what_is_shown_is_small() -> None:
    shown = Audio.show(column([*[file(0.2, seed=n) for n in range(40)], None, b"text"]), None, {})
    assert len(shown["pictures"]) == 24 and len(shown["lines"]) == 12
    assert (
        max(len(p["png"]) for p in shown["pictures"]) < 64_000 and max(len(v["values"]) for v in shown["lines"]) <= 200
    )
    assert dict(shown["facts"])["samples in a second"] == "8,000 (40)"


def test_real_recordings(real_data: Callable[[str], Path]) -> None:
    files = sorted(real_data("fsdd/recordings").glob("*.wav"))[::40]
    cells = [f.read_bytes() for f in files]
    spec = planned(cells)
    assert (spec.rate, spec.trim, spec.bands) == (8_000, False, 40) and 0.6 <= float(spec.seconds) <= 1.4
    repairs = Repairs()
    parts = Audio.fit(spec, column(cells)).encode(column(cells), repairs)
    assert parts["present"].all() and not repairs.rejected
