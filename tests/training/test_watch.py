"""Watching a training: it changes nothing, and what it says of layers and examples is true."""

import numpy as np
import pytest
import torch
from torch import nn
from training_doubles import Classes, Heard, Values, fingerprint, rows, settings, small

from limpid.core.events import LayersSeen
from limpid.data.encoded import Encoded
from limpid.training.batches import Batch
from limpid.training.layer_watch import LayerWatch, outputs_of_layers, unmoved
from limpid.training.state import Snapshot
from limpid.training.supervised import fit


class Judged(Classes):
    """Tells right answers from wrong ones."""

    def right(self, outputs, target):
        return outputs.argmax(dim=-1) == target


def train(data, task=None, model=None, tell=lambda event: None, **changes):
    model = model or small()
    spec = settings(**changes)
    return model, fit(model, task or Judged(), data, rows(60, seed=1), spec, seed=0, tell=tell)


@pytest.mark.parametrize(
    "changes",
    [{}, {"micro_batch": 10}, {"accumulate": 2, "optimiser": "muon"}, {"precision": "bf16"}],
    ids=["plain", "micro-batches", "accumulated", "bf16"],
)
def test_weights_are_the_same_to_the_last_bit_with_and_without(changes):
    data = rows(200)
    watched, outcome = train(data, watch=True, epochs=30, **changes)
    alone, nothing = train(data, watch=False, epochs=30, **changes)
    assert fingerprint(watched) == fingerprint(alone)
    assert outcome.watched.layers and outcome.watched.examples
    assert nothing.watched is None


def test_figures_of_a_layer_are_those_of_the_step():
    """Plain gradient descent: the update is the rate times the gradient."""
    model = small(norm=False, dropout=0.0)
    data = rows(128)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    heard = Heard()
    plain = {"optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip": None, "ema": 0.0}
    flat = {"schedule": "constant", "warmup": 0.0, "lr": 0.05, "batch": 128, "micro_batch": 128, "epochs": 1}
    fit(model, Judged(), data, None, settings(**plain, **flat), seed=0, tell=heard)
    first = heard.of(LayersSeen)[0]
    assert first.step == 1
    names = [layer["name"] for layer in first.layers]
    assert names == ["embedding", "first", "second", "head"]
    batch = {name: torch.from_numpy(a) for name, a in data.arrays.items()}
    for layer in first.layers:
        own = [n for n, _ in model.named_parameters() if n.split(".")[0] == layer["name"]]
        moved = torch.cat([(dict(model.named_parameters())[n] - before[n]).flatten() for n in own]).norm().item()
        weight = torch.cat([dict(model.named_parameters())[n].flatten() for n in own]).norm().item()
        assert layer["weight"] == pytest.approx(weight, rel=1e-3)
        assert layer["ratio"] == pytest.approx(moved / weight, rel=2e-3)
        assert layer["gradient"] == pytest.approx(moved / 0.05, rel=2e-3)
    model.eval()
    with torch.no_grad():
        out = model(batch)
        hidden = model.first(
            torch.cat([batch["fields.numbers"], model.embedding(batch["fields.categories"]).flatten(1)], 1)
        )
    head, entry = first.layers[-1], first.layers[1]
    assert head["mean"] == pytest.approx(out.mean().item(), abs=1e-4)
    assert head["spread"] == pytest.approx(out.std(correction=0).item(), rel=1e-3)
    assert head["dead"] is None
    assert entry["mean"] == pytest.approx(hidden.mean().item(), abs=1e-4)


def test_planted_dead_units_are_counted():
    model = small(norm=False, dropout=0.0)
    with torch.no_grad():
        model.second.bias[:4] = -1e6
    heard = Heard()
    fit(model, Judged(), rows(128), None, settings(epochs=1, lr=1e-5), seed=0, tell=heard)
    layer = next(x for x in heard.of(LayersSeen)[0].layers if x["name"] == "second")
    assert layer["dead"] >= 4 / 16
    with torch.no_grad():
        model.second.bias[:4] = 0.0
    alive = Heard()
    fit(model, Judged(), rows(128), None, settings(epochs=1, lr=1e-5), seed=0, tell=alive)
    assert next(x for x in alive.of(LayersSeen)[0].layers if x["name"] == "second")["dead"] <= layer["dead"] - 4 / 16


@pytest.mark.parametrize(
    ("shape", "before", "members", "dead"),
    [
        ((8, 4), None, None, (slice(None), 0)),
        ((8, 5, 4), None, None, (slice(None), slice(None), 0)),
        ((8, 4, 6, 6), nn.Conv2d(1, 4, 1), None, (slice(None), 0)),
        ((8, 4, 6), nn.Conv1d(1, 4, 1), None, (slice(None), 0)),
    ],
    ids=["vector", "sequence", "map", "series"],
)
def test_a_unit_is_a_feature_or_a_channel(shape, before, members, dead):
    output = torch.rand(shape)
    assert not unmoved(output, before, members).any()
    output[dead] = 0.0
    assert unmoved(output, before, members).tolist() == [True, False, False, False]


def test_each_member_has_units_of_its_own():
    output = torch.rand(8, 3, 4)
    output[:, 1, 0] = 0.0
    assert unmoved(output, None, 3).nonzero().tolist() == [[4]]
    assert not unmoved(output, None, None).any()


def test_recurrent_layers_and_members_are_seen():
    class Net(nn.Module):
        members = 2

        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 6, batch_first=True)
            self.head = nn.Linear(6, 6)

        def forward(self, batch):
            packed = nn.utils.rnn.pack_padded_sequence(
                batch["fields.numbers"].unsqueeze(1), torch.ones(len(batch["fields.numbers"])), batch_first=True
            )
            _, (hidden, _) = self.lstm(packed)
            return self.head(hidden[-1]).view(-1, 2, 3)

    heard = Heard()
    fit(Net(), Judged(), rows(64), None, settings(epochs=1), seed=0, tell=heard)
    assert [x["name"] for x in heard.of(LayersSeen)[0].layers] == ["lstm", "head"]


def test_looks_become_rarer_and_stay_few():
    model = small(norm=False)
    part = rows(16)
    batch = Batch({name: torch.from_numpy(a) for name, a in part.arrays.items()}, torch.zeros(16), None, np.arange(16))
    snapshot = Snapshot({f"model/{name}": p.detach().clone() for name, p in model.named_parameters()}, {})
    watch = LayerWatch(model, lambda most: batch, "fp32")
    looked = 0
    for step in range(0, 20_000, 25):
        watch.before_step(step, snapshot if step % 50 == 0 else None)
        looked += watch.after_step(step + 1, snapshot if step % 50 == 0 else None, 16) is not None
    steps = [look["step"] for look in watch.looks]
    assert 24 <= len(steps) <= 48
    assert steps[0] == 1 and steps[-1] > 19_000
    assert len(set(np.diff(steps))) == 1
    assert looked < 130
    watch.rolled_back(10_000)
    assert watch.looks and watch.looks[-1]["step"] <= 10_000


def test_wrong_targets_are_the_hardest_examples():
    data = rows(300)
    wrong = np.random.default_rng(3).choice(np.flatnonzero(data.target != 1), 12, replace=False)
    target = data.target.copy()
    target[wrong] = 2 - target[wrong]  # from one end to the other
    planted = Encoded(data.arrays, data.rows, target, None)
    _, outcome = train(planted, model=small(dropout=0.0), epochs=25)
    listed = [course["place"] for course in outcome.watched.examples["hardest"]]
    assert len(listed) == 12
    assert len(set(listed) & set(wrong.tolist())) >= 9


def test_without_right_and_wrong_half_of_the_constant_loss_decides():
    data = rows(200, classes=False)
    model = small(outputs=1)
    outcome = fit(model, Values(), data, None, settings(epochs=20), seed=0)
    found = outcome.watched.examples
    variance = float(data.target.var())
    assert found["level"] == pytest.approx(variance / 2, rel=1e-3)
    assert found["right"][-1] > found["right"][0]


def test_a_loss_below_zero_has_no_level():
    data = rows(100, classes=False)
    outcome = fit(
        small(outputs=1),
        Values(),
        data,
        None,
        settings(epochs=4),
        seed=0,
        loss=lambda outputs, target: (outputs - target).square().mean(dim=1) - 100.0,
    )
    found = outcome.watched.examples
    assert found["level"] is None and "right" not in found and len(found["hardest"]) == 12


def test_of_mixed_rows_only_the_larger_part_is_recorded():
    pixels = np.random.default_rng(0).random((64, 3, 4, 4)).astype(np.float32)
    data = Encoded(
        {"image.pixels": pixels, "image.present": np.ones(64, np.float32)}, np.arange(64), np.arange(64) % 3, None
    )

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(48, 3)

        def forward(self, batch):
            return self.head(batch["image.pixels"].flatten(1))

    spec = settings(epochs=3, mix="mixup", mix_alpha=1.0)
    found = fit(Net(), Judged(), data, None, spec, seed=0).watched.examples
    seen = [sum(v is not None for v in c["losses"]) for c in found["hardest"]]
    assert 0 < sum(seen) < 3 * len(seen)


def test_a_watch_leaves_the_mode_and_the_random_numbers_alone():
    model = small().train()
    model.norm.eval()  # as a frozen layer's
    batch = {name: torch.from_numpy(a) for name, a in rows(32).arrays.items()}
    state = torch.get_rng_state()
    outputs_of_layers(model, Batch(batch, torch.zeros(32), None, np.arange(32)), "fp32")
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert isinstance(LayerWatch(model, lambda most: None, "fp32").state(), dict)
