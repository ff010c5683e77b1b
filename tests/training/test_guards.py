"""What goes wrong in a step is caught in that step, undone, or reported with its culprit."""

import numpy as np
import pytest
import torch
from training_doubles import Classes, Heard, Values, fingerprint, rows, settings, small

from limpid.core.errors import TrainingError
from limpid.core.events import EpochEnded, GuardActed
from limpid.training import advice, guards
from limpid.training.batches import Batch
from limpid.training.policies import all_finite, values_of
from limpid.training.state import Position
from limpid.training.supervised import fit

pytestmark = pytest.mark.slow

TRAIN, VALID = rows(200), rows(90, seed=1)
NAN, INF = float("nan"), float("inf")


def run(
    model=None, *, train=TRAIN, valid=VALID, task=None, tell=lambda event: None, loss=None, columns=None, **changes
):
    model = model if model is not None else small()
    spec = settings(**{"epochs": 8, "lr": 0.02, **changes})
    return model, fit(model, task or Classes(), train, valid, spec, seed=0, tell=tell, loss=loss, columns=columns)


class Saboteur(torch.nn.Module):
    """Spoils one place, once, in a certain training pass; the network around it stays as it is."""

    def __init__(self, where: str, at: int, value: float) -> None:
        super().__init__()
        self.inner = small()
        self.where, self.at, self.value, self.passes = where, at, value, 0

    def forward(self, batch):
        if not self.training:
            return self.inner(batch)
        self.passes += 1
        now = self.passes == self.at
        if now and self.where == "input":
            batch = {**batch, "fields.numbers": batch["fields.numbers"].index_fill(0, torch.tensor([0]), self.value)}
        if now and self.where == "weight":
            with torch.no_grad():
                self.inner.second.weight[0, 0] = self.value
        outputs = self.inner(batch)
        if now and self.where == "gradient":
            outputs.register_hook(lambda gradient: gradient * self.value)
        return outputs


@pytest.mark.parametrize("value", [NAN, INF, 1e30])
@pytest.mark.parametrize("where", ["input", "gradient", "weight"])
def test_a_passing_fault_is_undone(where, value):
    _, clean = run()
    draw = np.random.default_rng(len(where))
    for at in [1, 56, *draw.integers(2, 56, size=2)]:
        model = Saboteur(where, int(at), value)
        heard = Heard()
        _, outcome = run(model, tell=heard)
        assert all_finite(list(values_of(model).values()))
        if value == 1e30 and outcome.rollbacks == 0:
            continue  # large but finite all the way: clipping dealt with it
        acted = [event for event in heard.of(GuardActed) if event.guard == "not finite"]
        assert len(acted) == outcome.rollbacks == 1
        assert acted[0].step <= at  # in its own step: passes are counted from 1, steps from 0
        assert outcome.lr == pytest.approx(0.01)
        assert outcome.score < clean.score + 0.1


def test_a_fault_that_stays_ends_with_the_culprit():
    def loss(outputs, target):
        return Classes().loss(outputs, target) * (NAN if outputs.requires_grad else 1.0)

    heard = Heard()
    with pytest.raises(TrainingError, match="after 3 retries") as caught:
        run(loss=loss, tell=heard)
    assert len(heard.of(GuardActed)) == 3
    assert "embedding.weight" in caught.value.what and "most extreme value" in caught.value.what
    assert "step 0" in caught.value.where


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_data_that_are_not_finite_are_named_without_a_retry(value):
    train = rows(200)
    train.arrays["fields.numbers"][57, 2] = value
    heard = Heard()
    with pytest.raises(TrainingError) as caught:
        run(train=train, tell=heard, columns={"fields.numbers": ("a", "b", "age", "d")})
    assert not heard.of(GuardActed)
    assert f"row {57 * 3 + 7}," in caught.value.where
    assert "column 'age'" in caught.value.what and "column 'age'" in caught.value.fix


def test_a_target_that_is_not_finite_is_named():
    train = rows(100, classes=False)
    train.target[10, 0] = INF
    with pytest.raises(TrainingError, match="the target") as caught:
        run(small(outputs=1), task=Values(), train=train, valid=rows(50, classes=False))
    assert f"row {10 * 3 + 7}," in caught.value.where


def test_a_huge_value_is_named_after_the_retries():
    train = rows(200)
    train.arrays["fields.numbers"][57, 2] = 1e38
    with pytest.raises(TrainingError) as caught:
        run(small(norm=False), train=train, optimiser="sgd")
    assert "1e+38 in fields.numbers, feature 3" in caught.value.what
    assert f"(row {57 * 3 + 7})" in caught.value.what


def test_a_rate_far_too_high_is_lowered_or_reported():
    with pytest.raises(TrainingError, match="half the learning rate") as caught:
        run(small(norm=False), optimiser="sgd", lr=1e12, clip=None)
    assert "lower the rate" in caught.value.fix
    model, outcome = run(
        task=Values(),
        train=rows(200, classes=False),
        valid=rows(90, classes=False, seed=1),
        model=small(outputs=1, norm=False),
        optimiser="sgd",
        lr=0.5,
        clip=None,
        ema=0.0,
        schedule="constant",
    )
    assert all_finite(list(values_of(model).values()))
    assert outcome.score is not None


def test_weights_that_are_not_finite_to_begin_with():
    model = small()
    with torch.no_grad():
        model.second.weight[0, 0] = NAN
    with pytest.raises(TrainingError, match=r"second\.weight"):
        run(model)


def test_a_validation_row_without_a_finite_answer_is_said_and_left_out():
    valid = rows(90, seed=1)
    valid.arrays["fields.numbers"][4] = INF
    heard = Heard()
    _, outcome = run(valid=valid, tell=heard)
    assert outcome.score is not None
    said = [event for event in heard.of(GuardActed) if event.guard == "validation"]
    assert len(said) == 1 and f"row {4 * 3 + 7} " in said[0].what


def test_no_finite_validation_at_all_keeps_the_last_weights():
    valid = rows(20, seed=1)
    valid.arrays["fields.numbers"][:] = NAN
    model, outcome = run(valid=valid)
    assert outcome.score is None and outcome.best_step == outcome.steps
    assert all_finite(list(values_of(model).values()))


# Spikes


def test_a_spike_is_twenty_losses_far_above_their_mean():
    position, draw = Position(), np.random.default_rng(0)
    for _ in range(200):
        assert guards.trouble(position, 1 + 0.05 * draw.normal(), 1.0) is None
    mean = position.spike_mean
    found = [guards.trouble(position, 3.0, 1.0) for _ in range(20)]
    assert found == [None] * 19 + ["spike"]
    assert position.spike_mean == mean == pytest.approx(1.0, abs=0.05)


def test_a_single_high_loss_is_no_spike():
    position = Position()
    for n in range(500):
        assert guards.trouble(position, 9.0 if n % 15 == 14 else 1.0, 1.0) is None


def test_a_falling_loss_and_one_close_to_zero_are_no_spike():
    position = Position()
    for n in range(400):
        assert guards.trouble(position, 0.98**n, 1.0) is None
    for _ in range(40):
        assert guards.trouble(position, 1.1 * position.spike_mean, 1.0) is None


def test_a_loss_that_leaves_its_course_goes_back_with_half_the_rate():
    calls = [0]

    def loss(outputs, target):
        step = outputs.requires_grad and len(outputs) < 40  # and not the search for the best constant
        calls[0] += step
        spoilt = step and 100 < calls[0] <= 125
        return Classes().loss(outputs, target) * (50.0 if spoilt else 1.0)

    heard = Heard()
    model, outcome = run(loss=loss, tell=heard, epochs=30)
    acted = [event for event in heard.of(GuardActed) if event.guard == "spike"]
    assert len(acted) == 1 == outcome.rollbacks and acted[0].step == 119
    assert "back to step 98" in acted[0].did
    assert outcome.score < 1.0 and all_finite(list(values_of(model).values()))


# Memory


class Hungry(torch.nn.Module):
    """Runs out of memory above a number of rows."""

    def __init__(self, most: int, error: Exception, **options) -> None:
        super().__init__()
        self.inner, self.most, self.error = small(**options), most, error

    def forward(self, batch):
        if len(batch["fields.numbers"]) > self.most:
            raise self.error
        return self.inner(batch)


ERRORS = [
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=range(len(ERRORS)))
def test_out_of_memory_shrinks_the_micro_batch_and_not_the_step(error):
    plain = {"norm": False, "dropout": 0.0}
    whole, clean = run(small(**plain), epochs=3)
    heard = Heard()
    model, outcome = run(Hungry(5, error, **plain), tell=heard, epochs=3)
    assert [event.guard for event in heard.of(GuardActed)][:3] == ["memory"] * 3
    assert outcome.micro_batch == 4 and outcome.steps == clean.steps and outcome.rollbacks == 0
    assert outcome.lr == clean.lr
    for ours, theirs in zip(model.inner.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-4)
    assert outcome.score == pytest.approx(clean.score, rel=1e-3)


def test_memory_that_runs_out_later_undoes_the_half_done_step():
    plain, spoil = {"dropout": 0.0}, {"now": False}

    class Later(Hungry):
        def forward(self, batch):
            self.most = 20 if spoil["now"] else 1000
            return super().forward(batch)

    def tell(event):
        if isinstance(event, EpochEnded) and event.epoch == 1:
            spoil["now"] = True

    model, outcome = run(Later(1000, MemoryError(), **plain), tell=tell, epochs=3)
    assert outcome.micro_batch == 16
    # Batch norm has counted whole micro-batches of steps that took place, no more: 7 steps at once, 14 in two halves.
    assert int(model.inner.norm.num_batches_tracked) == 7 + 14 * 2


def test_not_even_one_row_fits():
    with pytest.raises(TrainingError, match="1 row at a time"):
        run(Hungry(0, ERRORS[0], norm=False))


def test_two_rows_are_the_least_for_batch_norm():
    with pytest.raises(TrainingError, match="2 rows at a time"):
        run(Hungry(1, ERRORS[0]))


def test_other_errors_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        run(Hungry(5, RuntimeError("mat1 and mat2 shapes cannot be multiplied")))


# A network that does not learn


def test_a_constant_prediction_is_said_once():
    class Constant(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(3))

        def forward(self, batch):
            return self.bias.expand(len(batch["fields.numbers"]), -1)

    heard = Heard()
    run(Constant(), tell=heard)
    said = [event.guard for event in heard.of(GuardActed)]
    assert sorted(said) == ["constant prediction", "no better than a constant"]
    assert all(event.did for event in heard.of(GuardActed))


def test_a_short_training_that_is_no_better_than_a_constant_is_said_at_its_end():
    heard = Heard()
    run(tell=heard, epochs=2, lr=1e-7)
    assert [event.guard for event in heard.of(GuardActed)] == ["no better than a constant"]


def test_a_dead_network_is_said():
    model = small(norm=False)
    with torch.no_grad():
        model.first.bias.fill_(-1e4)
    heard = Heard()
    run(model, tell=heard)
    said = [event for event in heard.of(GuardActed) if event.guard == "dead network"]
    assert len(said) == 1 and "16 of 16 hidden units behind first" in said[0].what


def test_gradients_of_zero_are_said():
    heard = Heard()
    run(loss=lambda outputs, target: (outputs * 0).sum(dim=1) + 1.0, tell=heard)
    assert "dead network" in [event.guard for event in heard.of(GuardActed)]


def test_a_network_that_learns_is_left_in_peace():
    heard = Heard()
    run(epochs=20, tell=heard)
    assert not heard.of(GuardActed)


def test_looking_for_dead_units_changes_nothing(monkeypatch):
    first = fingerprint(run()[0])
    monkeypatch.setattr(advice, "dead_units", lambda *args: None)
    assert fingerprint(run()[0]) == first


def test_the_best_constant_is_that_of_the_closed_form():
    from limpid.training.objective import constant_outputs

    target = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    found = torch.softmax(constant_outputs(Classes().loss, target, 3), dim=0)
    torch.testing.assert_close(found, torch.tensor([0.6, 0.3, 0.1]), rtol=1e-3, atol=1e-3)
    values = torch.tensor([[1.0], [2.0], [6.0]])
    assert constant_outputs(Values().loss, values, 1).item() == pytest.approx(3.0, abs=1e-3)


def test_the_extreme_is_the_value_out_of_line():
    numbers = torch.randn(20, 3)
    numbers[7, 1] = -500.0
    batch = Batch({"fields.numbers": numbers}, 400 + torch.rand(20, 1), None, np.arange(20))
    found = guards.most_extreme(batch, {"fields.numbers": ("x", "y", "z")})
    assert found is not None and (found.where, found.row, found.finite) == ("column 'y'", 7, True)
