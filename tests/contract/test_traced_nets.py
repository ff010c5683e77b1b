"""Every net of the catalogue can be followed step by step, and what is shown is what happens."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from net_examples import CASES, example, kind_of, made, shape_of

from limpid.core.forms import Fields, Grid, Seq
from limpid.explanation.opened import attention_weights, gates
from limpid.explanation.tracing import trace_network
from limpid.layers.attention import Attention
from limpid.layers.packing import pack
from limpid.layers.recurrent import Recurrent
from limpid.planning.assemble import Assembled
from limpid.planning.train_spec import TrainSpec
from limpid.tasks import CATALOGUE as TASKS

pytestmark = pytest.mark.slow


def task_of(name: str, target: pl.DataFrame):
    kind = TASKS.load(name, where="test")
    settings = {"classification": {"multi_label": False}, "regression": {}}[name]
    from limpid.data.facts import column_facts

    facts = [column_facts(c) for c in target.get_columns()]
    spec, _ = kind.plan(kind.Spec(**settings), facts, ["category" if name == "classification" else "number"], 100)
    return kind.fit(spec, target, None)


def arrays_of(form: object, name: str) -> dict[str, np.ndarray]:
    """A form as encoders would have stored it."""
    if isinstance(form, Fields):
        return {
            f"{name}.numbers": form.numbers.numpy(),
            f"{name}.missing": form.missing.numpy().astype(np.uint8),
            f"{name}.categories": form.categories.numpy().astype(np.int32),
        }
    if isinstance(form, Grid):
        return {f"{name}.pixels": (form.pixels * 60 + 120).clamp(0, 255).numpy().astype(np.uint8)}
    assert isinstance(form, Seq)
    if form.tokens is not None:
        return {f"{name}.tokens": form.tokens.numpy().astype(np.int32)}
    assert form.values is not None
    return {f"{name}.values": form.values.numpy(), f"{name}.length": form.mask.sum(dim=1).numpy().astype(np.int32)}


def assembled(name: str, variant: str, task) -> Assembled:
    shape = shape_of(name, variant)
    torch.manual_seed(0)
    form = kind_of(name).takes
    entry = "fields" if form == "fields" else "column"
    return Assembled({entry: made(name, shape)}, {entry: form}, {entry: shape}, task).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_trace_adds_up(name: str, variant: str, kind: str) -> None:
    if kind == "classification":
        target = pl.DataFrame({"y": ["a", "b", "c", "a"] * 25})
    else:
        target = pl.DataFrame({"y": np.random.default_rng(0).normal(10, 3, 100)})
    task = task_of(kind, target)
    network = assembled(name, variant, task)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    arrays = arrays_of(example(shape_of(name, variant), 3, seed=4), network.inputs[0])
    encoded = task.encode(target)
    train = TrainSpec(optimiser="adamw", lr=0.001, weight_decay=0.01, unfreeze=0.0, depth_decay=1.0, clip=1.0)
    found = trace_network(network, task, arrays, encoded[:1], train)
    assert [check["ok"] for check in found["checks"]] == [True, True], found["checks"]
    assert found["layers"], "no layer was seen"
    assert all(np.isfinite(layer["mean"]) for layer in found["layers"])
    assert any(layer["gradient"] for layer in found["layers"] if layer["kind"] != "Line")
    assert found["update"]["update_norm"] > 0
    answer, after = found["answers"]
    with torch.no_grad():
        batch = {key: torch.from_numpy(value[:1]) for key, value in arrays.items()}
        assert np.allclose(answer, network(batch).numpy(), atol=1e-6)
    assert not np.array_equal(answer, after)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items()), "it was not a copy"


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_gates_give_the_states_of_the_layer(cell: str, directions: int) -> None:
    torch.manual_seed(1)
    layer = Recurrent(cell, 5, 4, bidirectional=directions == 2)  # type: ignore[arg-type]
    x = torch.randn(1, 7, 5)
    mask = torch.arange(7).unsqueeze(0) < 6
    with torch.no_grad():
        expected = layer(x, pack(mask))
    opened, states = gates(layer, x[0], 6)
    assert torch.allclose(states, expected[0, :6], atol=1e-6)
    assert len(opened) == {"rnn": 0, "lstm": 3, "gru": 2}[cell] * directions
    assert all(value.shape == (6, 4) and (value > 0).all() and (value < 1).all() for value in opened.values())


@pytest.mark.parametrize("rotary", [False, True])
def test_attention_weights_are_those_that_the_layer_mixes_by(rotary: bool) -> None:
    torch.manual_seed(2)
    layer = Attention(8, 2, rotary=rotary).eval()
    x, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    weights = attention_weights(layer, x, x, mask)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 2, 5), atol=1e-6)
    assert (weights[1, :, :, 3:] == 0).all()
    with torch.no_grad():
        values = layer.value(x).view(2, 5, 2, 4).transpose(1, 2)
        mixed = layer.output((weights @ values).transpose(1, 2).flatten(-2))
        assert torch.allclose(mixed, layer(x, x, mask), atol=1e-6)
