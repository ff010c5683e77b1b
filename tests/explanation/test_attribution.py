"""Attributions against closed forms, exact enumeration, and captum."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from explained import MEAN, STD, Columns, OfForm, Values, assembled, summed
from torch import nn

from limpid.core.forms import FieldsShape, GridShape, SeqShape
from limpid.explanation.attribution import (
    grad_cam,
    gradient_times_input,
    incompleteness,
    integrated_gradients,
    occlusion,
    quadrature,
    shapley,
)
from limpid.layers.categories import CategoryEmbedding, OneHot
from limpid.layers.ngrams import neighbours
from limpid.nets.ngrams import Ngrams, NgramsSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    captum = pytest.importorskip("captum.attr")

NUMBERS = FieldsShape(numbers=tuple("abcdef"), can_miss=(False,) * 6)
PICTURE = GridShape(channels=2, height=8, width=8, mean=(MEAN,) * 2, std=(STD,) * 2)


def table_net(*layers: nn.Module):
    return assembled(OfForm(nn.Sequential(*layers), 2, "numbers"), "fields", NUMBERS)


def bent(seed: int = 0, width: int = 6):
    torch.manual_seed(seed)
    return table_net(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 2))


def draws(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Read(nn.Module):
    """Categories by vectors or as zeros and ones, then a linear map."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.table = CategoryEmbedding([4, 5, 3], 6)
        self.one_hot = OneHot([4, 5, 3])
        self.linear = nn.Linear(18 if kind == "vectors" else 12, 2)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        x = self.table(codes).flatten(1) if self.kind == "vectors" else self.one_hot(codes, torch.float32)
        return self.linear(x)


def test_a_linear_net_gives_weight_times_input() -> None:
    network = table_net(nn.Linear(6, 2))
    x, nothing = draws(6), np.zeros(6, np.float32)
    weight = network.nets["input_0"].inner[0].weight[1].numpy()
    for method in (integrated_gradients, gradient_times_input, occlusion, shapley):
        found = method(summed(network, 2, 1), Columns(x, nothing))
        assert np.abs(found.units - weight * x).max() < 1e-4, found.method


def test_members_and_networks_are_averaged() -> None:
    one, two = bent(0), bent(1)
    row = Columns(draws(6), draws(6, seed=4))
    question = summed(one, 2)
    both = integrated_gradients(question.of([one, two]), row)
    each = [integrated_gradients(question.of([n]), row) for n in (one, two)]
    assert np.allclose(both.units, (each[0].units + each[1].units) / 2, atol=1e-6)
    assert incompleteness(both) < 1e-4


@pytest.mark.parametrize("kind", ["vectors", "zeros and ones"])
def test_categories_of_a_linear_net(kind: str) -> None:
    torch.manual_seed(0)
    shape = FieldsShape(categories=("a", "b", "c"), cardinalities=(4, 5, 3))
    network = assembled(OfForm(Read(kind), 2, "categories"), "fields", shape)

    def arrays(codes: list[int]) -> dict[str, np.ndarray]:
        codes_of = np.array([codes], np.int32)
        empty = np.zeros((1, 0), np.float32)
        return {"fields.numbers": empty, "fields.missing": empty.astype(np.uint8), "fields.categories": codes_of}

    actual, begin = [2, 4, 1], [3, 4, 0]
    row = Values(arrays(actual), arrays(begin), {"fields": shape})
    question = summed(network, 2)
    found = integrated_gradients(question, row).units
    expected = []
    for place in range(3):  # the net is additive, so each code by itself says what it adds
        mixed = list(begin)
        mixed[place] = actual[place]
        expected.append(question.ask(arrays(mixed))[0] - question.ask(arrays(begin))[0])
    assert np.allclose(found, expected, atol=1e-5)
    assert found[1] == 0, "the code is that of the baseline"


def test_shapley_values_against_all_orders() -> None:
    network = bent()
    question, row = summed(network, 2), Columns(draws(6), draws(6, seed=4))
    value = {}
    for there in itertools.product([False, True], repeat=6):
        value[there] = question.ask(row.without(~np.array([there])))[0]
    exact = np.zeros(6)
    for n in range(6):
        for there in value:
            if not there[n]:
                size = sum(there)
                share = math.factorial(size) * math.factorial(5 - size) / math.factorial(6)
                exact[n] += share * (value[(*there[:n], True, *there[n + 1 :])] - value[there])
    found = shapley(question, row, evaluations=20_000)
    assert np.abs(found.units - exact).max() < 0.02 * np.abs(exact).max()
    assert found.units.sum() == pytest.approx(exact.sum(), abs=1e-6)
    assert found.total == pytest.approx(exact.sum(), abs=1e-6)


def test_quadrature_is_exact_for_polynomials() -> None:
    for steps, power in ((8, 1), (8, 3), (16, 5)):
        points, weights = quadrature(steps, power)
        assert weights @ points**3 == pytest.approx(1 / 4, abs=1e-12)


def test_tables_against_captum() -> None:
    network = bent()
    x, begin = draws(6), draws(6, seed=4)
    row, question = Columns(x, begin), summed(network, 2, 1)
    inner = network.nets["input_0"].inner
    inputs, base = torch.from_numpy(x[None]), torch.from_numpy(begin[None])
    theirs = captum.IntegratedGradients(inner).attribute(inputs, base, target=1, n_steps=200)
    assert np.allclose(integrated_gradients(question, row).units, theirs.numpy()[0], atol=1e-5)
    ablated = captum.FeatureAblation(inner).attribute(inputs, base, target=1)
    assert np.allclose(occlusion(question, row).units, ablated.detach().numpy()[0], atol=1e-5)
    zero = Columns(x, np.zeros(6, np.float32))
    theirs = captum.InputXGradient(inner).attribute(inputs.requires_grad_(), target=1)
    assert np.allclose(gradient_times_input(question, zero).units, theirs.detach().numpy()[0], atol=1e-5)


def test_pictures_against_captum() -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 2)
    )
    network = assembled(OfForm(inner, 2, "pixels"), "grid", PICTURE)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8)).astype(np.uint8)
    row = Values({"column.pixels": pixels}, {"column.pixels": pixels}, {"column": PICTURE})
    row.units = []
    inputs = (torch.from_numpy(pixels).float() - MEAN) / STD
    question = summed(network, 2)
    mine = integrated_gradients(question, row)
    theirs = captum.IntegratedGradients(inner).attribute(inputs, torch.zeros_like(inputs), target=0, n_steps=500)
    assert np.abs(mine.values["column.pixels"] - theirs.numpy()[0]).max() < 0.01 * float(theirs.abs().max())
    heat = grad_cam(question, row).values["column.pixels"][0]
    layer = captum.LayerGradCam(inner, inner[3]).attribute(inputs, target=0, relu_attributions=True)
    large = captum.LayerAttribution.interpolate(layer, (8, 8), interpolate_mode="bilinear")
    assert np.allclose(heat, large.detach().numpy()[0, 0], atol=1e-5)


def test_tokens_against_captum() -> None:
    torch.manual_seed(0)
    shape = SeqShape(vocabulary=20, length=6)

    class Bag(nn.Module):
        """The product of two means of vectors."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(20, 5, padding_idx=0)
            self.linear = nn.Linear(5, 2)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.linear(torch.tanh(self.table(tokens).sum(dim=1)))

    inner = Bag()
    network = assembled(OfForm(inner, 2, "tokens"), "seq", shape)
    tokens = np.array([[3, 7, 3, 11, 0, 0]], np.int32)
    row = Values({"column.tokens": tokens}, {"column.tokens": tokens}, {"column": shape})
    mine = integrated_gradients(summed(network, 2), row).units
    lig = captum.LayerIntegratedGradients(inner, inner.table)
    ids = torch.from_numpy(tokens).long()
    theirs = lig.attribute(ids, torch.zeros_like(ids), target=0, n_steps=200).sum(dim=2)
    assert np.allclose(mine, theirs.detach().numpy()[0], atol=1e-5)


def test_a_pair_of_words_is_shared_by_its_words() -> None:
    shape = SeqShape(vocabulary=30, length=5)
    spec = NgramsSpec(buckets=64, scores=2, token_width=4, dropout=0.0)
    torch.manual_seed(0)
    net = Ngrams(spec, shape)
    tokens = torch.tensor([[4, 9, 12, 0, 0]])
    with torch.no_grad():  # only the pair (4, 9) says anything
        net.embedding.zero_()
        net.importance_embedding.zero_()
        pair = int(neighbours(tokens, 2, 64)[0, 0]) + 30
        net.score[pair, 0] = 2.0
    network = assembled(net, "seq", shape, nn.Sequential(nn.Flatten(), nn.Linear(net.width * net.members, 2)))
    row = Values({"column.tokens": tokens.numpy().astype(np.int32)}, {}, {"column": shape})
    row.baseline = dict(row.arrays)
    found = integrated_gradients(summed(network, 2), row)
    assert abs(found.total) > 1e-4
    assert found.units[0] == pytest.approx(found.units[1], rel=1e-4)
    assert np.allclose(found.units[2:], 0, atol=1e-7)


def test_a_net_that_looks_up_places_and_means() -> None:
    """Places are looked up as words are, but no word changes them; a mean is a sum divided."""
    torch.manual_seed(0)
    shape = SeqShape(vocabulary=20, length=4)

    class Placed(nn.Module):
        """Words with their places, and a bag of them."""

        def __init__(self) -> None:
            super().__init__()
            self.table, self.place, self.bag = nn.Embedding(20, 3), nn.Embedding(4, 3), nn.EmbeddingBag(20, 3)
            self.linear = nn.Linear(6, 2)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            here = torch.arange(tokens.shape[1])
            placed = torch.tanh(self.table(tokens) + self.place(here) + self.place(here.unsqueeze(0))).sum(dim=1)
            return self.linear(torch.cat([placed, self.bag(tokens)], dim=1))

    inner = Placed()
    network = assembled(OfForm(inner, 2, "tokens"), "seq", shape)
    tokens = np.array([[3, 7, 3, 11]], np.int32)
    row = Values({"column.tokens": tokens}, {"column.tokens": tokens}, {"column": shape})
    found = integrated_gradients(summed(network, 2), row)
    assert incompleteness(found) < 1e-4
    with torch.no_grad():
        linear, words, here = inner.linear.weight[0], torch.from_numpy(tokens).long(), torch.arange(4)
        way = inner.bag.weight[words[0]] / 4 @ linear[3:]
        start = 2 * inner.place(here)
        way = way + (torch.tanh(inner.table(words[0]) + start) - torch.tanh(start)) @ linear[:3]
    assert found.units.sum() == pytest.approx(float(way.sum()), abs=1e-5)
    assert (found.units != 0).all()
