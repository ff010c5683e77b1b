"""A bundle gives back the very model that was saved."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bundle_models import SPECS, make, rows
from hostile_bundles import MEMBERS, put

from limpid.bundle import format as layout
from limpid.bundle.model import Model, forward
from limpid.core.errors import BundleError, DataError
from limpid.core.repairs import Repairs
from limpid.planning.encoders import Encoders

pytestmark = pytest.mark.slow


def answers(model: Model, frame: pl.DataFrame) -> np.ndarray:
    return model.predict_frame(frame, Repairs())[0].values


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("net", ["tabm", "mlp", "ft_transformer"])
def test_a_loaded_model_answers_bit_for_bit_alike(task, net, tmp_path: Path):
    model = make(task, net)
    model.save(tmp_path / "m", version="0.1.0")
    loaded = Model.load(tmp_path / "m")
    assert np.array_equal(answers(model, rows(40)), answers(loaded, rows(40)))
    assert loaded.target == model.target
    assert loaded.card == model.card


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("net", ["tabm", "mlp"])
def test_several_networks_answer_as_their_mean(task, net, tmp_path: Path):
    model = make(task, net, copies=3)
    model.save(tmp_path / "m", version="0.1.0")
    loaded = Model.load(tmp_path / "m")
    assert len(loaded.more) == 2
    assert np.array_equal(answers(model, rows(40)), answers(loaded, rows(40)))
    arrays = loaded.encoders.encode(rows(40), Repairs())
    raw = loaded.raw(arrays)
    each = [forward(network, arrays) for network in (loaded.network, *loaded.more)]
    assert not np.array_equal(each[0], each[1])
    members = loaded.network.members or 1
    assert raw.shape == (40, 3 * members, model.task.outputs)
    np.testing.assert_array_equal(raw[:, members : 2 * members], each[1].reshape(40, members, -1))


@pytest.mark.parametrize("count", [0, -1, 51, 2, 4, 1.5, True, "3", None])
def test_a_number_of_networks_that_is_not_that_of_the_weights_is_refused(count, tmp_path: Path):
    model = make("regression", "mlp", copies=3)
    model.save(tmp_path / "m", version="0.1.0")
    members = {n: (tmp_path / "m" / n).read_bytes() for n in MEMBERS}
    spec = json.loads(members["spec.json"])
    assert spec["networks"] == 3
    members["spec.json"] = json.dumps({**spec, "networks": count}).encode()
    put(tmp_path / "n", layout.pack(members, "0.1.0"))
    with pytest.raises(BundleError):
        Model.load(tmp_path / "n")


def test_a_text_column_may_be_called_like_the_tables_input(tmp_path: Path):
    model = make(columns=("age", "note"))
    frame = rows().rename({"note": "fields"})
    renamed = Encoders.fit({"age": model.encoders.columns["age"], "fields": model.encoders.columns["note"]}, frame)
    assert renamed.inputs == {"fields": "fields", "fields (column)": "seq"}
    assert set(renamed.encode(frame, Repairs())) == {
        "fields.numbers",
        "fields.missing",
        "fields.categories",
        "fields (column).tokens",
    }
    assert renamed.shapes()["fields (column)"].form == "seq"


def test_text_alone_is_enough(tmp_path: Path):
    model = make(columns=("note",))
    model.save(tmp_path / "m", version="0.1.0")
    assert np.array_equal(answers(model, rows()), answers(Model.load(tmp_path / "m"), rows()))


def test_one_row_equals_the_same_row_in_a_batch(model: Model):
    together = answers(model, rows())
    alone = np.concatenate([answers(model, rows()[n]) for n in range(10)])
    np.testing.assert_allclose(alone, together[:10], atol=1e-6)


def test_columns_may_come_in_any_order_with_others_between(model: Model):
    frame = rows()
    mixed = frame.select(list(reversed(frame.columns))).with_columns(pl.lit("x").alias("more"))
    assert np.array_equal(answers(model, frame), answers(model, mixed))


def test_a_missing_column_is_named(model: Model):
    with pytest.raises(DataError, match="'job'") as caught:
        answers(model, rows().rename({"job": "jobb"}))
    assert "'jobb' looks like 'job'" in caught.value.fix


def test_typed_values_answer_like_text(model: Model):
    frame = rows()
    typed = frame.with_columns(
        pl.col("age").cast(pl.Int64), pl.col("income").cast(pl.Float64), pl.col("since").str.to_date()
    )
    np.testing.assert_allclose(answers(model, frame), answers(model, typed), atol=1e-6)


def test_saving_again_replaces_the_bundle(model: Model, folder: Path):
    before = (folder / "manifest.json").read_bytes()
    model.save(folder, version="0.1.0")
    assert (folder / "manifest.json").read_bytes() == before
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]


def test_the_manifest_says_what_is_there(folder: Path):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert {n: m["size"] for n, m in manifest["members"].items()} == {
        p.name: p.stat().st_size for p in folder.iterdir() if p.name != "manifest.json"
    }


def test_a_full_disk_leaves_the_old_bundle(model: Model, folder: Path, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left"):
        model.save(folder, version="0.1.0")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]


def test_every_kind_of_column_is_in_the_model(model: Model):
    assert set(model.encoders.columns) == set(SPECS)


def test_a_bundle_of_another_format_is_refused(folder: Path):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["format"] = 2
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    with pytest.raises(BundleError, match="format 2"):
        Model.load(folder)
