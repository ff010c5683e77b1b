"""Pictures with the channels of a pixel side by side give the same answers, and the layout reaches the network."""

import numpy as np
import polars as pl
import pytest
import torch

from limpid.core.forms import GridShape
from limpid.data.encoded import Encoded
from limpid.planning.assemble import build
from limpid.planning.plan import Component
from limpid.planning.train_spec import TrainSpec
from limpid.tasks.classification import Classification
from limpid.training.arithmetic import set_layout
from limpid.training.pace import measure_pace

SHAPE = GridShape(channels=3, height=8, width=8, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0))


@pytest.fixture
def parts():
    target = pl.DataFrame({"y": ["a", "b"] * 20})
    spec = Classification.Spec(
        multi_label=False,
        separator="",
        loss="cross_entropy",
        label_smoothing=0.0,
        class_weights="none",
        threshold=0.5,
        metric="log_loss",
    )
    task = Classification.fit(spec, target, None)
    net = Component(name="cnn", settings={"width": 4, "stages": 1, "hidden": 8, "dropout": 0.0})
    model = build(net, {}, {"x": SHAPE}, {"x": "grid"}, task, seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    rows = Encoded({"x.pixels": pixels}, np.arange(40), task.encode(target))
    return model, task, rows


def test_the_layout_changes_no_answer(parts):
    model, _, rows = parts
    model.eval()
    batch = {"x.pixels": torch.from_numpy(rows.arrays["x.pixels"])}
    with torch.no_grad():
        one = model(batch)
        set_layout(model, True)
        assert model.form("x", batch).pixels.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(model(batch), one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("asked", "plain", "last"), [("auto", 1, 1), (True, 1, 0), (False, 1, 0)])
def test_both_layouts_are_measured_where_nobody_asked(parts, tmp_path, monkeypatch, asked, plain, last):
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path))
    model, task, rows = parts
    spec = TrainSpec(
        batch=20, optimiser="adamw", weight_decay=0.0, lr=0.1, precision="fp32", threads=1, channels_last=asked
    )
    pace = measure_pace(
        model, task, rows, spec, valid_rows=40, device="cpu", signature="layout", fresh=True, augment=None
    )
    assert (len(pace.step_seconds), len(pace.last_seconds)) == (plain, last)
    assert pace.seconds("fp32") > 0
    assert pace.seconds("bf16") is None
