"""The loop: it learns, and what should not change the numbers does not."""

import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_doubles import Classes, Heard, Values, fingerprint, rows, settings, small

from limpid.core.contracts import Metric
from limpid.core.errors import LimpidError, RequestError, TrainingError
from limpid.core.events import FIRST_STEPS, EpochEnded, Noted, StepEnded, TrainingEnded, TrainingStarted
from limpid.training.batches import Order
from limpid.training.judge import Judge
from limpid.training.supervised import fit

pytestmark = pytest.mark.slow

TRAIN, VALID = rows(200), rows(90, seed=1)


def run(model=None, *, train=TRAIN, valid=VALID, task=None, seed=0, **changes):
    options = {k: changes.pop(k) for k in ("tell", "loss", "metric", "deadline", "columns") if k in changes}
    model = model if model is not None else small()
    outcome = fit(model, task or Classes(), train, valid, settings(**changes), seed=seed, **options)
    return model, outcome


@pytest.mark.parametrize("optimiser", ["sgd", "nesterov", "adam", "adamw", "muon"])
def test_every_optimiser_learns(optimiser):
    lr = 0.1 if optimiser in ("sgd", "nesterov") else 0.02
    _, outcome = run(optimiser=optimiser, epochs=12, lr=lr)
    assert outcome.score < 0.85  # the classes' entropy is 1.08
    assert outcome.stopped == "epochs" and outcome.steps == 12 * 7


def test_rmsprop_learns():
    _, outcome = run(optimiser="rmsprop", epochs=12, lr=0.003, momentum=0.0, second_moment=0.99)
    assert outcome.score < 0.9


def test_bf16_learns():
    _, outcome = run(epochs=12, lr=0.02, precision="bf16")
    assert outcome.score < 0.85


def test_five_runs_give_five_equal_hashes():
    assert len({fingerprint(run()[0]) for _ in range(5)}) == 1


def test_another_seed_gives_another_hash():
    assert fingerprint(run()[0]) != fingerprint(run(seed=1)[0])


def test_the_callers_random_state_and_threads_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    before, threads = small(), torch.get_num_threads()
    run(before)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert float(torch.full((1,), 1e-40) * 1.0) != 0.0


def test_what_the_process_did_before_does_not_matter():
    first = fingerprint(run()[0])
    torch.manual_seed(99)
    np.random.seed(3)
    torch.randn(300, 300) @ torch.randn(300, 300)
    assert fingerprint(run()[0]) == first


def test_accumulated_batches_are_one_large_batch():
    plain = {"norm": False, "dropout": 0.0}
    one, _ = run(small(**plain), batch=64, micro_batch=64)
    other, _ = run(small(**plain), batch=16, micro_batch=16, accumulate=4)
    third, outcome = run(small(**plain), batch=64, micro_batch=5)
    for a, b, c in zip(one.parameters(), other.parameters(), third.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(a, c, rtol=1e-3, atol=1e-5)
    assert outcome.micro_batch == 5


def test_batch_norm_never_meets_a_single_row():
    _, outcome = run(train=rows(33), batch=32, micro_batch=32)
    assert outcome.steps == 8
    run(train=rows(33), batch=8, micro_batch=1)


def test_members_each_learn_the_target():
    model, outcome = run(small(members=4, norm=False), epochs=12, lr=0.02)
    assert outcome.score < 0.9
    heads = model.head.weight.view(4, 3, -1)
    assert not torch.allclose(heads[0], heads[1])


def test_one_member_repeated_is_a_net_without_members():
    plain, members = small(dropout=0.0, norm=False), small(dropout=0.0, norm=False, members=2)
    with torch.no_grad():
        for (name, a), b in zip(members.named_parameters(), plain.parameters(), strict=True):
            a.copy_(torch.cat([b, b]) if name.startswith("head") else b)
    _, first = run(plain, optimiser="sgd", clip=None, ema=0.0, epochs=2, weight_decay=0.0)
    _, second = run(members, optimiser="sgd", clip=None, ema=0.0, epochs=2, weight_decay=0.0, lr=0.01)
    assert first.valid_loss == pytest.approx(second.valid_loss, rel=0.02)


def test_weights_count_as_repeated_rows():
    index = np.repeat(np.arange(40), np.where(np.arange(40) % 2, 3, 1))
    repeated = rows(40).take(index)
    weighted = replace(rows(40), weight=np.where(np.arange(40) % 2, 3.0, 1.0).astype(np.float32))
    plain = {"norm": False, "dropout": 0.0}
    one, _ = run(small(**plain), train=repeated, batch=500, micro_batch=500, optimiser="sgd", epochs=20, lr=0.1)
    two, _ = run(small(**plain), train=weighted, batch=500, micro_batch=500, optimiser="sgd", epochs=20, lr=0.1)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_without_momentum_decay_and_average_a_step_is_gradient_descent():
    model, by_hand = small(norm=False, dropout=0.0), small(norm=False, dropout=0.0)
    data = rows(40)
    run(
        model,
        train=data,
        optimiser="sgd",
        momentum=0.0,
        weight_decay=0.0,
        ema=0.0,
        clip=None,
        epochs=1,
        batch=40,
        micro_batch=40,
        schedule="constant",
        warmup=0.0,
        lr=0.5,
    )
    inputs = {name: torch.from_numpy(array) for name, array in data.arrays.items()}
    Classes().loss(by_hand(inputs), torch.from_numpy(data.target)).mean().backward()
    for a, b in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b - 0.5 * b.grad, rtol=1e-4, atol=1e-6)


def test_the_best_weights_are_restored_in_evaluation_mode():
    heard = Heard()
    model, outcome = run(epochs=30, lr=0.1, ema=0.0, schedule="constant", tell=heard)
    epochs = heard.of(EpochEnded)
    best = min(epochs, key=lambda e: e.metric)
    assert outcome.best_epoch == best.epoch < 30
    assert outcome.score == best.metric and best.best
    assert not model.training
    inputs = {name: torch.from_numpy(array) for name, array in VALID.arrays.items()}
    with torch.no_grad():
        outputs = model(inputs)
    again = Classes().metrics[0].compute(VALID.target, Classes().predict(outputs.numpy()), None)
    assert again == pytest.approx(outcome.score, rel=1e-5)


def test_early_stopping_counts_epochs_without_a_better_score():
    heard = Heard()
    _, outcome = run(epochs=200, lr=0.1, patience=3, schedule="constant", tell=heard)
    assert outcome.stopped == "early"
    assert outcome.epochs - outcome.best_epoch == 3
    assert len(heard.of(EpochEnded)) == outcome.epochs


def test_the_average_is_what_is_validated_and_kept():
    flat, averaged = Heard(), Heard()
    run(epochs=3, ema=0.0, tell=flat)
    run(epochs=3, ema=0.99, tell=averaged)
    # The same steps: averaging does not reach back into them.
    assert [e.train_loss for e in flat.of(EpochEnded)] == [e.train_loss for e in averaged.of(EpochEnded)]
    assert [e.metric for e in flat.of(EpochEnded)] != [e.metric for e in averaged.of(EpochEnded)]


def test_how_validation_is_done_does_not_change_the_training(monkeypatch):
    with_many = Heard()
    run(tell=with_many)
    real = Judge.verdict

    def drawing(self, model, ledger):
        torch.rand(17)
        return real(self, model, ledger)

    monkeypatch.setattr(Judge, "verdict", drawing)
    again = Heard()
    run(tell=again, valid=rows(300, seed=8))
    assert [e.train_loss for e in with_many.of(EpochEnded)] == [e.train_loss for e in again.of(EpochEnded)]


def test_regression_with_a_loss_and_a_metric_of_the_users_own():
    train, valid = rows(200, classes=False), rows(80, seed=1, classes=False)
    asked = []

    def absolute(outputs, target):
        asked.append(outputs.shape)
        return (outputs - target).abs().mean(dim=1)

    metric = Metric("mae", False, lambda t, p, w: float(np.abs(t - p.values).mean()))
    _, outcome = run(
        small(outputs=1), train=train, valid=valid, task=Values(), loss=absolute, metric=metric, epochs=15, lr=0.03
    )
    assert asked and outcome.metric == "mae" and outcome.score < 0.8


@pytest.mark.parametrize("bad", [lambda o, t: o.mean(), lambda o, t: o, lambda o, t: 1.0])
def test_a_loss_that_is_not_per_example_is_refused(bad):
    with pytest.raises(RequestError, match="not one value for each example"):
        run(loss=bad)


@pytest.mark.parametrize("valid", [None, rows(1).take(np.arange(0))])
def test_without_validation_rows_the_last_weights_are_kept(valid):
    _, outcome = run(valid=valid, patience=1)
    assert outcome.stopped == "epochs" and outcome.score is None and outcome.best_step == outcome.steps


def test_settings_that_are_not_decided_are_refused():
    with pytest.raises(RequestError, match=r"train\.epochs"):
        fit(small(), Classes(), TRAIN, VALID, settings(epochs="auto"), seed=0)


def test_no_rows_are_refused():
    with pytest.raises(TrainingError, match="no row"):
        run(train=TRAIN.take(np.arange(0)))


def test_errors_have_four_parts():
    with pytest.raises(LimpidError) as caught:
        run(train=TRAIN.take(np.arange(0)))
    assert all(caught.value.parts().values())


def test_a_rate_from_a_range_test_is_used_and_said():
    heard = Heard()
    _, outcome = run(lr="range", tell=heard)
    assert 1e-4 < outcome.lr < 1
    assert any("range test" in note.text for note in heard.of(Noted))


def test_events_tell_the_story():
    heard = Heard()
    run(tell=heard)
    assert isinstance(heard[0], TrainingStarted) and isinstance(heard[-1], TrainingEnded)
    started = heard[0]
    assert (started.rows, started.steps, started.steps_per_epoch, started.epochs) == (200, 28, 7, 4)
    epochs = heard.of(EpochEnded)
    assert [e.epoch for e in epochs] == [1, 2, 3, 4] and [e.step for e in epochs] == [7, 14, 21, 28]
    assert all(e.gradient_norm > 0 and 0 < e.update_ratio < 1 and e.lr > 0 for e in epochs)
    # The first steps are told whatever the clock says: an audit takes them again.
    assert [e.step for e in heard.of(StepEnded)][:FIRST_STEPS] == [1, 2, 3, 4, 5]


def test_a_deadline_that_has_passed_still_gives_a_judged_model():
    _, outcome = run(deadline=time.monotonic() - 1, epochs=1000)
    assert outcome.stopped == "budget" and outcome.steps == 1 and outcome.score is not None


def test_the_budget_stops_within_an_epoch_and_judges_it():
    deadline = time.monotonic() + 0.4
    heard = Heard()
    _, outcome = run(deadline=deadline, epochs=100_000, tell=heard, batch=4, micro_batch=4)
    assert outcome.stopped == "budget"
    assert heard.of(EpochEnded)[-1].step == outcome.steps


def test_without_a_deadline_the_loop_decides_nothing_by_the_clock(monkeypatch):
    first = fingerprint(run()[0])
    ticks = iter(range(10**9))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)) * 1000)
    assert fingerprint(run()[0]) == first


def test_a_slow_machine_still_sees_the_rate_fall_to_its_end_and_the_course_replays(monkeypatch):
    now = [0.0]

    def tick():
        now[0] += 0.05
        return now[0]

    plan = {"epochs": 100, "schedule": "one-cycle", "patience": 0}  # 700 steps
    with monkeypatch.context() as slowed:
        slowed.setattr(time, "monotonic", tick)
        heard = Heard()
        model, outcome = run(deadline=60.0, tell=heard, **plan)
    assert outcome.stopped == "budget" and 50 < outcome.steps < 600
    assert outcome.turns and outcome.turns[-1][1] == outcome.steps
    assert heard.of(EpochEnded)[-1].lr < 1e-3 * max(e.lr for e in heard.of(EpochEnded))
    assert len([n for n in heard.of(Noted) if "steps take longer" in n.text]) == 1
    again, second = run(stop_step=outcome.steps, course=outcome.turns, **plan)
    assert fingerprint(again) == fingerprint(model)
    assert second.turns == outcome.turns and second.steps == outcome.steps


def test_a_long_shuffle_before_the_first_step_is_not_taken_for_the_length_of_a_step(monkeypatch):
    now, index = [0.0], Order.index

    def tick():
        now[0] += 0.01
        return now[0]

    def slow(self, step):
        now[0] += 5.0 if step == 0 else 0.0
        return index(self, step)

    with monkeypatch.context() as slowed:
        slowed.setattr(time, "monotonic", tick)
        slowed.setattr(Order, "index", slow)
        _, outcome = run(deadline=20.0, epochs=10, patience=0)
    assert outcome.steps == 70 and outcome.stopped == "epochs"


def test_signals_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
