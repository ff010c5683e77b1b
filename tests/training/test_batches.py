"""Which rows make up a step."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_doubles import Classes, rows

from limpid.core.errors import TrainingError
from limpid.data.encoded import Encoded
from limpid.training.batches import Order, Source, cut, pieces, row_lengths

counts = st.integers(1, 400)


@given(rows=counts, per_step=st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_an_epoch_holds_each_row_once_in_steps_of_equal_size(rows, per_step):
    order = Order(rows, per_step, seed=3)
    steps = [order.index(order.steps_per_epoch + k) for k in range(order.steps_per_epoch)]
    assert sorted(np.concatenate(steps).tolist()) == list(range(rows))
    sizes = [len(step) for step in steps]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= per_step
    assert all((np.diff(step) > 0).all() for step in steps)


@given(rows=counts, most=st.integers(1, 100), least=st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_pieces_cover_the_step(rows, most, least):
    parts = pieces(rows, most, least)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(rows))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(least, rows)
    assert max(sizes) <= max(most, 2 * least - 1)


def test_order_depends_on_seed_and_epoch_alone():
    one, other = Order(100, 10, 0), Order(100, 10, 0)
    assert np.array_equal(one.index(25), other.index(25))
    one.index(95)
    assert np.array_equal(one.index(25), other.index(25))
    assert not np.array_equal(one.index(5), one.index(15))
    assert not np.array_equal(one.index(5), Order(100, 10, 1).index(5))


def test_memory_mapped_rows_are_those_that_are_resident(tmp_path):
    data = rows(50, weight=True)
    mapped = {}
    for name, array in {**data.arrays, "target": data.target}.items():
        path = tmp_path / f"{name}.bin"
        array.tofile(path)
        mapped[name] = np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape)
    target = mapped.pop("target")
    index = np.array([0, 3, 17, 49])
    one = Source(data, Classes().prepare_target, "cpu").take(index)
    other = Source(Encoded(mapped, data.rows, target, data.weight), Classes().prepare_target, "cpu").take(index)
    for name in one.inputs:
        assert torch.equal(one.inputs[name], other.inputs[name])
        assert one.inputs[name].data_ptr() % 64 == 0
    assert torch.equal(one.target, other.target)


def test_weights_have_mean_one_over_all_rows():
    data = rows(64, weight=True)
    source = Source(data, Classes().prepare_target, "cpu")
    weight = torch.cat([batch.weight for batch in source.in_order(10)])
    assert weight.mean().item() == pytest.approx(1.0, rel=1e-6)
    assert torch.allclose(weight / weight[0], torch.from_numpy(data.weight / data.weight[0]), rtol=1e-5)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_weights_that_cannot_be_used_are_refused(bad):
    data = rows(10, weight=True)
    data.weight[3] = bad
    with pytest.raises(TrainingError, match="weights"):
        Source(data, Classes().prepare_target, "cpu")


def test_cut_takes_rows_of_everything():
    batch = Source(rows(10, weight=True), Classes().prepare_target, "cpu").take(np.arange(10))
    part = cut(batch, slice(2, 5))
    assert len(part) == 3 and part.index.tolist() == [2, 3, 4]
    assert torch.equal(part.inputs["fields.numbers"], batch.inputs["fields.numbers"][2:5])
    assert torch.equal(part.weight, batch.weight[2:5])


def test_rows_of_like_length_share_a_step_and_none_is_lost():
    lengths = np.random.default_rng(0).integers(1, 200, 1_000)
    order = Order(1_000, 25, seed=1, lengths=lengths)
    steps = [order.index(s) for s in range(order.steps_per_pass)]
    assert sorted(np.concatenate(steps).tolist()) == list(range(1_000))
    padded = sum(lengths[s].max() * len(s) for s in steps)
    plain = Order(1_000, 25, seed=1)
    assert padded < 0.75 * sum(lengths[plain.index(s)].max() * 25 for s in range(40))
    assert not np.array_equal(steps[0], order.index(order.steps_per_pass))
    assert np.array_equal(Order(1_000, 25, seed=1, lengths=lengths).index(7), steps[7])


def test_lengths_are_those_of_the_longest_sequence():
    tokens = np.array([[3, 0, 0, 0], [3, 4, 5, 6], [1, 1, 0, 0]])
    data = Encoded({"a.tokens": tokens, "b.length": np.array([1, 1, 3])}, np.arange(3))
    assert row_lengths(data).tolist() == [1, 4, 3]
    alike = Encoded({"a.tokens": np.ones((5, 4), np.int32)}, np.arange(5))
    assert row_lengths(alike) is None
    assert row_lengths(Encoded({"x.numbers": np.ones((5, 4), np.float32)}, np.arange(5))) is None
