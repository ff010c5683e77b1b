"""Classes that are each other's mirror images are not flipped into each other while a network learns."""

from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image

import limpid

pytestmark = pytest.mark.slow


def drawn(falling: bool, g: np.random.Generator) -> bytes:
    y, x = np.mgrid[0:48, 0:48]
    lit = 120 + 80 * np.sin((y + (x if falling else -x)) / g.uniform(3, 8) + g.uniform(0, 6))
    pixels = np.stack([lit, 255 - lit, g.uniform(0, 255, lit.shape)], axis=2)
    file = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("classes", "flip"), [("directions", "none"), ("halves", "horizontal")])
def test_the_plan_looks_at_the_pictures_of_each_class(classes, flip):
    g = np.random.default_rng(3)
    falling = g.integers(0, 2, 160)
    named = falling if classes == "directions" else np.arange(160) % 2
    frame = pl.DataFrame({"picture": [drawn(bool(f), g) for f in falling], "y": [f"class {n}" for n in named]})
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 40 == 7).then(None).otherwise("picture").alias("picture")
    )
    small = {"net.name": "cnn", "net.widths": [8], "train.epochs": 1}
    plan = limpid.plan(frame, target="y", set=small).as_dict()
    assert plan["data"]["columns"]["picture"]["options"]["augment"]["flip"] == flip
    assert "a class" in plan["because"]["data.columns.picture.options.augment.flip"]
