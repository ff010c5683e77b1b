"""One suite over every kind of column."""

import json
import struct
from collections.abc import Mapping
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from limpid.core.contracts import Size
from limpid.core.errors import BundleError
from limpid.core.forms import FieldsShape, GridShape, SeqShape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.core.spec import Spec
from limpid.data.cleaning import clean
from limpid.data.facts import column_facts
from limpid.data.kinds import recognise
from limpid.modalities import CATALOGUE

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(11)
N = 300
NAMES = [entry.name for entry in CATALOGUE]


def picture(seed: int) -> bytes:
    """A PNG of 18 x 12 pixels, all with the same colours in another order."""
    file = BytesIO()
    pixels = np.random.default_rng(seed).permutation(np.arange(648, dtype=np.uint16) % 256).astype(np.uint8)
    Image.fromarray(pixels.reshape(12, 18, 3)).save(file, "PNG")
    return file.getvalue()


def sound(seed: int) -> bytes:
    """A WAV file of a tenth of a second of noise, 8,000 samples in a second."""
    body = np.random.default_rng(seed).normal(0, 3_000, 800).astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, 8_000, 16_000, 2, 16)
    return head + struct.pack("<4sI", b"data", len(body)) + body


TYPICAL: Mapping[str, pl.Series] = {
    "number": pl.Series("x", RNG.lognormal(size=N).round(3)).cast(pl.String),
    "category": pl.Series("x", RNG.choice(["red", "green", "blue"], N)),
    "labels": pl.Series("x", ["|".join(RNG.choice(list("abcde"), k, replace=False)) for k in RNG.integers(1, 4, N)]),
    "date": pl.Series("x", [(date(2011, 1, 1) + timedelta(int(d))).isoformat() for d in RNG.integers(0, 900, N)]),
    "text": pl.Series(
        "x", [" ".join(RNG.choice(["good", "film", "bad", "plot", "très"], 6)) + f" {i}" for i in range(N)]
    ),
    "series": pl.Series("x", [RNG.normal(size=k).round(3).tolist() for k in RNG.integers(1, 13, N)]),
    "image": pl.Series("x", [picture(i) for i in range(N)]),
    "audio": pl.Series("x", [sound(i) for i in range(N)]),
    "window": pl.Series("x", RNG.normal(size=(N, 1, 1))),
    "key": pl.Series("x", [f"k{i:05}" for i in range(N)]),
    "constant": pl.Series("x", ["same"] * N),
}
SPECS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("number", {"scale": "standard"}),
    ("number", {"scale": "robust"}),
    ("number", {"scale": "quantile", "also_category": True}),
    ("text", {"pieces": False, "max_tokens": 3, "buckets": 50}),
    ("text", {"unit": "words"}),
    ("text", {"unit": "words", "min_count": 5, "max_tokens": 3, "buckets": 16}),
    ("text", {"unit": "characters", "max_tokens": 20}),
    ("text", {"unit": "bpe", "buckets": 64}),
    ("series", {"standardise": "series"}),
    ("series", {"standardise": "none", "gaps": "zero", "length": 12, "stride": 1}),
    ("series", {"stride": 3}),
    ("image", {"height": 8, "channels": 1, "fit": "pad"}),
    ("audio", {"emit": "seq", "trim": True, "level": "none"}),
    ("audio", {"hop_ms": 5, "bands": 8}),
]
STRANGE: list[pl.Series] = [
    pl.Series(
        "x", ["", " ", "?", "nothing of the kind", "1e999", "\x00", "é́" * 99, "a" * 100_000, "|", "-", "9999-99-99"]
    ),
    pl.Series("x", [0, 1, -(2**62), 2**62]),
    pl.Series("x", [float("nan"), float("inf"), -1e308, 1e308, 5e-324]),
    pl.Series("x", [True, False, None]),
    pl.Series("x", [date(1, 1, 1), date(9999, 12, 31)]),
    pl.Series("x", [["a", None], [], None]),
    pl.Series("x", [None, None], dtype=pl.Null),
    pl.Series("x", [b"\xff", b""]),
    pl.Series("x", [picture(1), None, picture(2)[:90], b"RIFF\x24\0\0\0WAVEfmt "]),
    pl.Series("x", [sound(1), sound(2)[:900], sound(3)[:300]]),
    pl.Series("x", [timedelta(days=1), None]),
    pl.Series("x", ["red", None], dtype=pl.Categorical),
    pl.Series("x", [[1.0, None, float("nan")], [float("inf"), -1e308, 1e308], [], [5e-324] * 40, None]),
    pl.Series("x", [[[1.0, 2.0], [3.0]], [[], None, [4.0, 5.0, 6.0]], [], None]),
    pl.Series("x", [[[[1.0]]], None]),
    pl.Series("x", np.arange(12.0).reshape(2, 3, 2)),
    pl.Series("x", ["1, 2, 3", "[0.5 ? 7e3]", "1|2", "1;2;x", "1 " * 5_000]),
]


def fitted(name: str, options: dict[str, Any], column: pl.Series) -> tuple[Any, Spec, pl.Series]:
    modality = CATALOGUE.load(name, where="test")
    facts = column_facts(column)
    cleaned = clean(column, ColumnSpec(kind=name, missing=tuple(facts.missing_codes)))
    spec, reasons = modality.plan(
        modality.Spec(**options), facts, Size(rows=len(column), outputs=2, task="classification")
    )
    assert not spec.autos()
    assert set(reasons) == set(modality.Spec(**options).autos()) and all(reasons.values())
    return modality.fit(spec, cleaned), spec, cleaned


def check_parts(parts: dict[str, np.ndarray], shape: Any, rows: int) -> None:
    if isinstance(shape, SeqShape) and shape.vocabulary is None:
        values, length = parts["values"], parts["length"]
        assert values.shape == (rows, shape.length, shape.width)
        assert values.dtype in (np.float32, np.float16)
        assert length.shape == (rows,) and length.dtype == np.int32
        assert (length >= 0).all() and (length <= shape.length).all() and np.isfinite(values).all()
        assert not values[np.arange(shape.length) >= length[:, None]].any()
        return
    if isinstance(shape, SeqShape):
        assert parts["tokens"].shape == (rows, shape.length)
        assert shape.vocabulary is not None and parts["tokens"].min(initial=0) >= 0
        assert parts["tokens"].max(initial=0) < shape.vocabulary
        return
    if isinstance(shape, GridShape):
        assert parts["pixels"].shape == (rows, shape.channels, shape.height, shape.width)
        assert parts["pixels"].dtype in (np.uint8, np.float16) and np.isfinite(parts["pixels"]).all()
        assert parts["present"].shape == (rows,) and np.isin(parts["present"], (0, 1)).all()
        assert not parts["pixels"][parts["present"] == 0].any()
        assert len(shape.mean) == len(shape.std) == shape.channels and min(shape.std) > 0
        return
    assert isinstance(shape, FieldsShape)
    if shape.numbers:
        assert parts["numbers"].shape == parts["missing"].shape == (rows, len(shape.numbers))
        assert parts["numbers"].dtype == parts["missing"].dtype == np.float32
        assert np.isfinite(parts["numbers"]).all() and np.isin(parts["missing"], (0, 1)).all()
        assert (parts["numbers"][parts["missing"] == 1] == 0).all()
        assert len(shape.can_miss) == len(shape.numbers) == len(set(shape.numbers))
    else:
        assert "numbers" not in parts
    if shape.categories:
        assert parts["categories"].shape == (rows, len(shape.categories)) and parts["categories"].dtype == np.int64
        assert (parts["categories"] >= 0).all() and (parts["categories"] < np.array(shape.cardinalities)).all()
    else:
        assert "categories" not in parts


def equal(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "window"])  # windows are cut out by a forecast
def test_typical_columns_are_recognised(name: str) -> None:
    recognisers = {n: CATALOGUE.load(n, where="test").recognise for n in NAMES}
    kind, found = recognise(column_facts(TYPICAL[name]), recognisers)
    assert kind == name, found
    spec = CATALOGUE.load(name, where="test").Spec
    assert spec(**found.options)  # options are settings of the modality


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_parts_have_the_promised_shape(name: str, options: dict[str, Any]) -> None:
    encoder, _, column = fitted(name, options, TYPICAL[name])
    repairs = Repairs()
    check_parts(encoder.encode(column, repairs), encoder.shape(), N)
    assert len(repairs) == 0
    if encoder.form is None:
        assert encoder.encode(column, repairs) == {}


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_what_was_stored_encodes_alike(name: str, options: dict[str, Any]) -> None:
    encoder, spec, column = fitted(name, options, TYPICAL[name])
    state = json.loads(json.dumps(encoder.state(), allow_nan=False))
    stored_spec = type(spec).model_validate_json(spec.model_dump_json())
    again = type(encoder).from_state(stored_spec, state)
    assert again.shape() == encoder.shape() and again.state() == encoder.state()
    for values in (column, *STRANGE):
        assert equal(again.encode(values, Repairs()), encoder.encode(values, Repairs()))


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_one_row_is_encoded_as_in_a_batch(name: str, options: dict[str, Any]) -> None:
    encoder, _, column = fitted(name, options, TYPICAL[name])
    for values in (column, *STRANGE):
        batch = encoder.encode(pl.concat([values] * 70), Repairs())
        for row in range(min(len(values), 12)):
            one = encoder.encode(values.slice(row, 1), Repairs())
            assert all(np.array_equal(one[k][0], batch[k][row]) for k in batch), (row, values[row])


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_whatever_comes_is_encoded_and_counted(name: str, options: dict[str, Any]) -> None:
    encoder, _, _ = fitted(name, options, TYPICAL[name])
    for values in STRANGE:
        repairs = Repairs()
        check_parts(encoder.encode(values, repairs), encoder.shape(), len(values))
        assert all(r.where == "x" and 0 < r.count <= len(values) for r in repairs)


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_a_missing_cell_is_told_apart_from_every_value(name: str, options: dict[str, Any]) -> None:
    encoder, _, column = fitted(name, options, TYPICAL[name])
    if encoder.form is None:
        return
    present = encoder.encode(column, Repairs())
    absent = encoder.encode(pl.Series("x", [None], dtype=pl.String), Repairs())
    rows, empty = (
        np.concatenate([part.reshape(len(part), -1).astype(np.float64) for part in parts.values()], axis=1)
        for parts in (present, absent)
    )
    assert not (rows == empty).all(axis=1).any()


@pytest.mark.parametrize(("name", "options"), SPECS)
@pytest.mark.parametrize("dtype", [pl.String, pl.Float64, pl.Date, pl.Null])
def test_empty_and_all_missing_training_columns(name: str, options: dict[str, Any], dtype: Any) -> None:
    for rows in (0, 3):
        encoder, spec, column = fitted(name, options, pl.Series("x", [None] * rows, dtype=dtype))
        check_parts(encoder.encode(column, Repairs()), encoder.shape(), rows)
        check_parts(encoder.encode(TYPICAL[name], Repairs()), encoder.shape(), N)
        assert type(encoder).from_state(spec, encoder.state()).shape() == encoder.shape()


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_encoding_no_rows(name: str, options: dict[str, Any]) -> None:
    encoder, _, column = fitted(name, options, TYPICAL[name])
    check_parts(encoder.encode(column.head(0), Repairs()), encoder.shape(), 0)


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_fitting_does_not_depend_on_the_order_of_rows(name: str, options: dict[str, Any]) -> None:
    encoder, spec, column = fitted(name, options, TYPICAL[name])
    again = type(encoder).fit(spec, column.gather(RNG.permutation(N)))
    assert again.shape() == encoder.shape()
    one, two = encoder.encode(column, Repairs()), again.encode(column, Repairs())
    assert all(np.allclose(one[k], two[k], rtol=1e-6, atol=1e-6) for k in one)


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_the_state_is_small(name: str, options: dict[str, Any]) -> None:
    many = pl.Series(
        "x", [str(v) for v in RNG.normal(size=20_000)] if name == "number" else [f"value {i}" for i in range(20_000)]
    )
    encoder, _, _ = fitted(name, options, many)
    assert len(json.dumps(encoder.state())) < 400_000


VALUES_OF_HOSTS: list[Any] = [
    None,
    True,
    -1,
    10**400,
    1e300,
    float("nan"),
    float("inf"),
    "text",
    "x" * 5_000,
    "\ud800",
    [],
    [None],
    ["a", "a"],
    [[1]],
    [float("nan")],
    [3.0, 1.0],
    list(range(200_000)),
    [str(i) for i in range(200_000)],
    {},
    {"a": 1},
    [{"a": 1}],
]


@pytest.mark.parametrize(("name", "options"), SPECS)
def test_hostile_state_is_refused_or_harmless(name: str, options: dict[str, Any]) -> None:
    encoder, spec, column = fitted(name, options, TYPICAL[name])
    good = encoder.state()
    modality = type(encoder)
    for state in (None, [], "x", 3, {1: 2}, {**good, "surplus": 1}):
        with pytest.raises(BundleError):
            modality.from_state(spec, state)
    for field in good:
        with pytest.raises(BundleError):
            modality.from_state(spec, {k: v for k, v in good.items() if k != field})
        refused: list[BundleError] = []
        for value in VALUES_OF_HOSTS:
            try:
                loaded = modality.from_state(spec, {**good, field: value})
            except BundleError as error:
                refused.append(error)
                continue
            check_parts(loaded.encode(column, Repairs()), loaded.shape(), N)
        assert len(refused) >= len(VALUES_OF_HOSTS) // 2, field
        assert all(len(str(error)) < 2_000 for error in refused)


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_spec_must_be_decided(name: str) -> None:
    modality = CATALOGUE.load(name, where="test")
    encoder, _, _ = fitted(name, {}, TYPICAL[name])
    if modality.Spec().autos():
        with pytest.raises(BundleError, match="never decided"):
            modality.from_state(modality.Spec(), encoder.state())


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_described(name: str) -> None:
    modality = CATALOGUE.load(name, where="test")
    assert modality.__doc__ and all(f.description for f in modality.Spec.model_fields.values())
