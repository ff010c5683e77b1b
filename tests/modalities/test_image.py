"""Columns of pictures: sizes, colours and shapes are planned from cells, statistics are those of the pixels."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image as Pillow

from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.data.media.frames import Levels
from limpid.modalities.image import Image, ImageSpec

RNG = np.random.default_rng(7)


def file(height: int, width: int, *, kind: str = "PNG", grey: bool = False, dtype: type = np.uint8) -> bytes:
    pixels = RNG.integers(0, np.iinfo(dtype).max + 1, (height, width) if grey else (height, width, 3), dtype=dtype)
    kept = BytesIO()
    Pillow.fromarray(pixels).save(kept, kind)
    return kept.getvalue()


def column(cells: Sequence[bytes | None]) -> pl.Series:
    return pl.Series("photo", cells, dtype=pl.Binary)


def size(rows: int = 1_000, seconds: float | None = 60) -> Size:
    return Size(rows=rows, outputs=2, task="classification", seconds=seconds)


def planned(cells: Sequence[bytes | None], of: Size | None = None, **options: Any) -> tuple[ImageSpec, dict[str, str]]:
    return Image.plan(ImageSpec(**options), column_facts(column(cells)), of or size())


def test_small_pictures_of_one_size_keep_it() -> None:
    spec, because = planned([file(28, 30, grey=True) for _ in range(9)])
    assert (spec.height, spec.width, spec.channels, spec.fit) == (28, 30, 1, "stretch")
    assert "all 9 pictures" in because["height"] and "0 of 9" in because["channels"]


def test_the_size_grows_with_the_budget_and_falls_with_the_rows() -> None:
    cells = [file(300, 300, kind="JPEG")] * 3
    sides = [planned(cells, size(500, s))[0].height for s in (1, 60, 100, 300, None)]
    assert sides == sorted(sides) and sides[0] == 64 and sides[-1] == 224 and len(set(sides)) >= 4
    assert planned(cells, size(100_000, 300))[0].height == 64
    assert "60 s" in planned(cells)[1]["height"] and "300 x 300" in planned(cells)[1]["height"]


def test_larger_pictures_keep_their_shape() -> None:
    spec, _ = planned([file(200, 400)] * 3, size(10_000, 60))
    assert (spec.height, spec.width, spec.fit) == (44, 92, "stretch")
    given, because = planned([file(200, 400)] * 3, height=30)
    assert (given.height, given.width) == (30, 60) and {p for p in because if "." not in p} == {
        "width",
        "channels",
        "fit",
    }


@pytest.mark.parametrize(
    ("shapes", "shape", "fit"),
    [
        ([(40, 40), (44, 44), (60, 60)], (44, 44), "stretch"),
        ([(30, 40), (40, 30), (40, 30), (30, 40)], (36, 36), "crop"),
        ([(20, 60), (60, 20), (40, 40)], (40, 40), "pad"),
        ([(3, 3)] * 4, (8, 8), "stretch"),
    ],
)
def test_mixed_sizes_are_brought_together(shapes: list[tuple[int, int]], shape: tuple[int, int], fit: str) -> None:
    spec, because = planned([file(*s) for s in shapes])
    assert ((spec.height, spec.width), spec.fit) == (shape, fit)
    assert all(len(reason) > 10 for reason in because.values())


def test_colours_of_one_picture_are_enough() -> None:
    assert planned([file(9, 9, grey=True)] * 9)[0].channels == 1
    assert planned([file(9, 9, grey=True)] * 9 + [file(9, 9)])[0].channels == 3
    rgb = Pillow.open(BytesIO(file(9, 9, grey=True))).convert("RGB")
    kept = BytesIO()
    rgb.save(kept, "JPEG")
    assert planned([kept.getvalue()])[0].channels == 1


def test_unreadable_cells_decide_nothing() -> None:
    spec, because = planned([b"text", b"", file(20, 20), b"\xff\xd8\xff\xe0"])
    assert (spec.height, spec.width) == (20, 20)
    none, because = planned([b"text", b""])
    assert (none.height, none.channels, none.fit) == (64, 3, "stretch") and "can be read" in because["height"]


def test_it_is_recognised_by_half_of_the_cells() -> None:
    pictures, others = [file(5, 5)] * 3, [b"no picture", b"", b"RIFF\0\0\0\0WAVE"]
    assert Image.recognise(column_facts(column(pictures + others))) is not None
    assert Image.recognise(column_facts(column([*pictures, *others, b"x"]))) is None
    assert Image.recognise(column_facts(pl.Series("x", ["a.png"]))) is None
    assert Image.recognise(column_facts(column([None]))) is None


def test_mean_and_deviation_are_those_of_the_pixels() -> None:
    cells = [file(12, 10) for _ in range(20)]
    spec, _ = planned(cells)
    encoder = Image.fit(spec, column([*cells, None, b"broken"]))
    pixels = np.stack([np.asarray(Pillow.open(BytesIO(c))) for c in cells]).astype(np.float64)
    assert np.allclose(encoder.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    assert np.allclose(encoder.std, pixels.std(axis=(0, 1, 2)), rtol=1e-9)
    parts = encoder.encode(column(cells), Repairs())
    assert np.array_equal(parts["pixels"], pixels.transpose(0, 3, 1, 2))


def test_one_colour_has_a_deviation_of_one() -> None:
    kept = BytesIO()
    Pillow.new("L", (9, 9), 40).save(kept, "PNG")
    encoder = Image.fit(planned([kept.getvalue()])[0], column([kept.getvalue()]))
    assert encoder.mean == (40.0,) and encoder.std == (1.0,)


def test_what_cannot_be_read_is_zero_and_rejected_and_what_is_missing_is_not() -> None:
    cells = [file(9, 9), None, b"text", file(9, 9)[:60], file(9, 9)]
    encoder = Image.fit(planned(cells)[0], column(cells))
    repairs = Repairs()
    parts = encoder.encode(column(cells), repairs)
    assert parts["present"].tolist() == [1, 0, 0, 0, 1] and not parts["pixels"][1:4].any()
    rejected = repairs.take_rejected()
    assert set(rejected) == {2, 3} and rejected[2] == "photo: no picture that is read, but text"


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([[0, 4000]], np.uint16), Levels(4095.0)),
        (np.array([[0, 100]], np.int32), Levels(255.0)),
        (np.array([[0.0, 0.5]]), Levels(high=1.0)),
        (np.array([[0.0, 200.0]]), Levels(high=255.0)),
        (np.array([[-3.0, 5.0]]), Levels(low=-3.0, high=5.0)),
        (np.array([[7.0, 7.0]]) * 100, Levels(low=700.0, high=701.0)),
    ],
)
def test_levels_are_learnt_from_training_pictures(values: np.ndarray, levels: Levels) -> None:
    kept = BytesIO()
    np.save(kept, np.repeat(np.repeat(values, 10, axis=0), 5, axis=1))
    encoder = Image.fit(planned([kept.getvalue()])[0], column([kept.getvalue()]))
    found = encoder.frame.levels
    assert np.allclose((found.white, found.low, found.high), (levels.white, levels.low, levels.high))
    again = Image.from_state(planned([kept.getvalue()])[0], encoder.state())
    assert again.frame == encoder.frame


def test_what_is_shown_is_small_and_of_every_group() -> None:
    cells = [file(200, 100), file(3, 5, grey=True), None, b"text", *[file(60, 60)] * 200]
    groups = ["a", "b", "a", None, *["c"] * 200]
    shown = Image.show(column(cells), groups, {})
    assert [p["title"] for p in shown["pictures"][:3]] == ["a", "b", "c"] and len(shown["pictures"]) == 48
    drawn = [Pillow.open(BytesIO(b64decode(p["png"]))) for p in shown["pictures"]]
    assert (
        drawn[0].size == (32, 64) and drawn[1].size == (5, 3) and max(len(p["png"]) for p in shown["pictures"]) < 64_000
    )
    facts = dict(shown["facts"])
    assert facts["formats"] == "202 PNG pictures" and facts["smallest, middle, largest"] == "5 x 3, 60 x 60, 100 x 200"
    assert facts["cannot be read"].startswith("1, for example photo: no picture")
    assert Image.show(column([]), None, {})["pictures"] == []


def test_real_pictures(real_data: Callable[[str], Path]) -> None:
    frame = pl.read_parquet(real_data("cifar10/test.parquet"), n_rows=500)
    cells = frame["image"].struct.field("bytes").alias("photo")
    spec, _ = Image.plan(ImageSpec(), column_facts(cells), size(50_000, 300))
    encoder = Image.fit(spec, cells)
    assert (spec.height, spec.width, spec.channels) == (32, 32, 3)
    assert np.allclose(encoder.mean, (125, 123, 114), atol=4) and np.allclose(encoder.std, (63, 62, 67), atol=3)


def test_real_faces_are_grey(real_data: Callable[[str], Path]) -> None:
    cells = [p.read_bytes() for p in sorted(real_data("orl-faces").rglob("*.pgm"))[:40]]
    spec, _ = planned(cells, size(200, 60))
    assert (spec.height, spec.width, spec.channels, spec.fit) == (112, 92, 1, "stretch")
    repairs = Repairs()
    parts = Image.fit(spec, column(cells)).encode(column(cells), repairs)
    assert parts["pixels"].shape == (40, 1, 112, 92) and not repairs.rejected and len(repairs) == 0
