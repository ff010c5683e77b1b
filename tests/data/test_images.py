"""Pictures from bytes: ordinary ones are what they were, odd ones are mended and counted, hostile ones rejected."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import hostile_pictures as hostile
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limpid.core.repairs import Repairs
from limpid.data.media import images
from limpid.data.media.cells import Mended, Unreadable, read_cells
from limpid.data.media.frames import Frame, Levels, is_grey, png
from limpid.data.media.jpeg import quick_jpeg
from limpid.data.media.sniff import named, sniff

pytestmark = pytest.mark.slow

CASES = hostile.cases()
FRAME = Frame(20, 24, 3)


def read(cells: list[bytes | None], frame: Frame = FRAME) -> tuple[dict[int, np.ndarray], Repairs]:
    found: dict[int, np.ndarray] = {}
    repairs = Repairs()

    def keep(place: int, data: bytes) -> list[Mended]:
        found[place], mended = images.picture(data, frame)
        return mended

    done = read_cells(pl.Series("x", cells, dtype=pl.Binary), keep, "x", repairs)
    assert done == sorted(found) and not set(done) & set(repairs.rejected)
    return found, repairs


def test_there_are_at_least_forty_cases_of_each_ending() -> None:
    endings = [case.outcome for case in CASES.values()]
    assert endings.count("mended") >= 40 and endings.count("rejected") >= 40 and endings.count("read") >= 25


@pytest.mark.parametrize("name", CASES)
def test_each_case_ends_as_it_should_and_harms_no_other(name: str) -> None:
    case = CASES[name]
    good = hostile.saved(hostile.PICTURE, "PNG")
    alone, _ = read([good])
    found, repairs = read([good, case.data, None, good])
    assert np.array_equal(found[0], alone[0]) and np.array_equal(found[3], alone[0])
    assert set(repairs.rejected) == ({1} if case.outcome == "rejected" else set())
    said = [*repairs.rejected.values(), *(r.what for r in repairs)]
    assert bool(said) == (case.outcome != "read"), said
    assert not case.words or any(re.search(case.words, text) for text in said), said
    assert all(len(text) < 200 and " 0x" not in text and "object at" not in text for text in said)
    if case.outcome != "rejected":
        assert found[1].shape == (20, 24, 3) and found[1].dtype == np.uint8
    if case.corner is not None:
        assert np.abs(found[1][:4, :4].astype(int) - case.corner).max() <= 12
        assert all(r.count == 1 for r in repairs)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.outcome != "rejected"])
def test_grey_is_read_from_everything_that_is_read(name: str) -> None:
    found, _ = read([CASES[name].data], Frame(8, 8, 1))
    assert found[0].shape == (8, 8, 1)
    headers: list[images.Header] = []

    def look(place: int, data: bytes) -> list[Mended]:
        headers.append(images.header(data))
        return []

    if "beside" not in CASES[name].words:  # the header alone is not mended
        read_cells(pl.Series([CASES[name].data]), look, "x", Repairs())
        assert headers[0].height >= 1


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "16 bit png", "numpy, float", "gif", "CMYK jpeg"])
def test_cut_anywhere_ends_in_a_picture_or_a_reason(name: str) -> None:
    data = CASES[name].data
    cells = [data[:stop] for stop in range(0, len(data), max(1, len(data) // 150))]
    found, repairs = read(cells)
    assert len(found) + len(repairs.rejected) == len(cells) and len(repairs.rejected) > len(cells) // 8


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(n for n, c in CASES.items() if c.outcome != "rejected")),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_end_in_a_picture_or_a_reason(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(CASES[name].data)
    for place, value in changes:
        data[place % len(data)] = value
    found, repairs = read([bytes(data)])
    assert len(found) + len(repairs.rejected) == 1


def test_cells_of_other_types_are_rejected() -> None:
    repairs = Repairs()
    for column in (pl.Series(["a", None]), pl.Series([1, 2]), pl.Series([[1.0]]), pl.Series([None])):
        assert read_cells(column, lambda place, data: [], "x", repairs) == []
    assert repairs.take_rejected() == {0: "x: the cell holds no file", 1: "x: the cell holds no file"}


def test_filters_of_warnings_are_left_as_they_were() -> None:
    before = list(warnings.filters)
    read([CASES["jpeg with a broken exif"].data] * 200)
    assert warnings.filters == before


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limpid.data.media.cells.processors", lambda: threads)
    monkeypatch.setattr("limpid.data.media.cells._SMALL", 0)
    cells = [case.data for case in CASES.values() if len(case.data) < 100_000]
    found, repairs = read(cells)
    kept, tally = read(cells[::-1])
    last = len(cells) - 1
    assert all(np.array_equal(found[n], kept[last - n]) for n in found) and len(found) == len(kept)
    assert repairs.rejected == {last - n: why for n, why in tally.rejected.items()}
    assert {r.what: r.count for r in repairs} == {r.what: r.count for r in tally}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module")
@pytest.mark.parametrize("name", ["png bomb", "webp of 16,383", "tiff of 60,000", "gif of 65,535", "numpy that lies"])
def test_bombs_cost_little_memory(name: str, tmp_path: Path) -> None:
    file = tmp_path / "case"
    file.write_bytes(CASES[name].data)
    code = (
        "import resource, sys\nfrom limpid.data.media import images\nfrom limpid.data.media.cells import Unreadable\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    images.picture(data, images.Frame(224, 224, 3))\nexcept Unreadable as reason:\n    print(reason)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60)
    reason, grown = done.stdout.splitlines()
    assert reason and int(grown) * (1 if sys.platform == "darwin" else 1024) < 50 << 20, done.stderr


@pytest.mark.parametrize("flag", range(2, 9))
def test_turned_pictures_are_the_picture(flag: int) -> None:
    found, _ = read([hostile.flagged(flag, "JPEG", quality=100, subsampling=0)], Frame(40, 48, 3))
    assert np.abs(found[0].astype(int) - hostile.quarters()).max() <= 12


def test_a_large_jpeg_is_decoded_small_and_alike() -> None:
    y, x = np.mgrid[:1600, :2400]
    pixels = np.stack([x * 255 / 2400, y * 255 / 1600, 127 + 100 * np.sin(x / 90)], axis=2).astype(np.uint8)
    large = Image.fromarray(pixels)
    for fit in ("stretch", "crop", "pad"):
        frame = Frame(64, 64, 3, fit=fit)
        jpeg, png = (read([hostile.saved(large, kind)], frame)[0][0] for kind in ("JPEG", "PNG"))
        assert np.abs(jpeg.astype(int) - png.astype(int)).mean() < 3, fit
    flagged = hostile.saved(large, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\1\x03\0\1\0\0\0\6\0\0\0\0\0\0\0")
    upright = read([flagged], Frame(60, 40, 3))[0][0]
    expected = read([hostile.saved(large.transpose(Image.Transpose.ROTATE_270), "PNG")], Frame(60, 40, 3))[0][0]
    assert np.abs(upright.astype(int) - expected.astype(int)).mean() < 3


def test_stretching_cutting_and_padding() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    data = hostile.saved(Image.fromarray(wide), "PNG")
    stretched, cut, padded = (read([data], Frame(20, 20, 3, fit=fit))[0][0] for fit in ("stretch", "crop", "pad"))
    assert stretched[10, :5].max() < 20 and stretched[10, 8:12].min() > 235
    assert cut[:, 2:18].min() > 200
    border = padded[0, 0].astype(int)
    assert (padded[:5] == padded[0, 0]).all() and padded[8:12, 8:12].min() > 200
    assert np.abs(border - 75).max() < 40  # a border of which a third of the long sides is white


@pytest.mark.parametrize(
    ("dtype", "most"), [(np.uint16, 4095), (np.int32, 65535), (np.float64, 1.0), (np.float32, 80.0)]
)
def test_deep_pictures_are_scaled_by_levels(dtype: type, most: float) -> None:
    ramp = np.linspace(0, most, 24 * 20).reshape(20, 24).astype(dtype)
    levels = Levels(white=most, low=0.0, high=most)
    found, _ = read([hostile.npy(ramp)], Frame(20, 24, 1, levels=levels))
    assert np.abs(found[0][..., 0] - np.linspace(0, 255, 24 * 20).reshape(20, 24)).max() <= 1.0
    values = images.deep_values(hostile.npy(ramp))
    assert values is not None and values.max() == ramp.max()


def test_ordinary_pictures_have_no_levels() -> None:
    assert images.deep_values(CASES["png"].data) is None and images.deep_values(CASES["numpy"].data) is None


def test_the_quick_way_gives_the_same_pixels() -> None:
    rng = np.random.default_rng(3)
    for mode in ("RGB", "L"):
        picture = Image.fromarray(rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)).convert(mode)
        for settings_ in ({}, {"progressive": True}, {"quality": 30}, {"restart_marker_blocks": 2}):
            data = hostile.saved(picture, "JPEG", **settings_)
            quick = quick_jpeg(data, (40, 32))
            assert quick is not None
            assert np.array_equal(np.asarray(quick), np.asarray(Image.open(BytesIO(data))))
    for name in ("exif flag 6", "CMYK jpeg", "jpeg in RGB", "jpeg with a broken profile", "png", "nothing"):
        assert quick_jpeg(CASES[name].data, (48, 40)) is None, name


def test_grey_and_colour_are_told_apart() -> None:
    assert not is_grey(hostile.quarters())
    grey = np.asarray(Image.fromarray(hostile.NOISE).convert("L").convert("RGB"))
    assert is_grey(grey)
    assert is_grey(np.asarray(Image.open(BytesIO(hostile.saved(Image.fromarray(grey), "JPEG", quality=60)))))


def test_what_begins_how() -> None:
    kinds = {"jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp"}
    kinds |= {"tiff": "image/tiff", "ppm": "image/pnm", "pbm in words": "image/pnm", "numpy": "npy"}
    assert {name: sniff(CASES[name].data) for name in kinds} == kinds
    assert sniff(b"ID3\x04") == sniff(b"\xff\xfb\x90\x00") == "audio/mp3"
    assert sniff(b"fLaC") == "audio/flac" and sniff(b"OggS") == "audio/ogg"
    assert sniff(b"RIFF\0\0\0\0WAVE") == "audio/wav" and sniff(b"RIFF\0\0\0\0AVI ") is None
    assert sniff(b"") is sniff(b"\xff\xff\xff\xff") is sniff(b"P7 ") is None
    assert named(b"\0\0\0\x20ftypisom") == "an MP4 video or recording"


def test_a_png_of_ours_is_read_back() -> None:
    pixels = hostile.quarters()
    assert np.array_equal(np.asarray(Image.open(BytesIO(png(pixels)))), pixels)


def test_reasons_are_clauses() -> None:
    with pytest.raises(Unreadable, match=r"^no picture that is read, but text$"):
        images.header(b"hello")
