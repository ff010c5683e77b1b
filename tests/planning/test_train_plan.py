"""Steps and looks that fit into the time there is."""

import pytest

from limpid.core.errors import RequestError
from limpid.planning.train_plan import Pace, choose_layout, choose_precision, plan_training
from limpid.planning.train_spec import TrainSpec

ADVICE = {"batch": 100, "epochs": 40}


def planned(rows: int, seconds: float | None, step: float = 0.01, look: float = 0.1, layers: int = 0, **asked):
    pace = Pace({"fp32": step}, look, 2)
    return plan_training(TrainSpec(**asked), ADVICE, {}, rows=rows, pace=pace, seconds=seconds, layers=layers)


@pytest.mark.parametrize(
    ("rows", "seconds", "look"), [(10_000, 20.0, 0.1), (10_000, 2.0, 0.1), (10_000_000, 60.0, 30.0)]
)
def test_the_expected_time_is_within_the_time_there_is(rows, seconds, look):
    spec, because, expected = planned(rows, seconds, look=look)
    assert expected <= max(seconds, look + 0.02)
    assert not spec.autos()
    assert because["epochs"]


def test_a_look_may_wait_for_several_passes_where_each_is_long():
    spec, because, expected = planned(10_000, 100.0, look=1.0)
    assert spec.epochs == 10
    assert spec.epoch_steps == 40 * 100 // 10
    assert "10 looks" in because["epoch_steps"]
    assert expected <= 100.0


def test_many_rows_get_many_steps_and_few_looks():
    spec, _, _ = planned(10_000_000, 60.0, look=5.0)
    assert spec.epochs == 1
    assert spec.epoch_steps * spec.epochs == pytest.approx((0.97 * 60 - 5.0) / 0.01, rel=0.01)
    assert planned(10_000_000, 60.0, look=2.0)[0].epochs == 3


def test_judging_in_single_precision_takes_its_time():
    pace = Pace({"fp32": 0.4, "bf16": 0.2}, 3.0, 2, {"bf16": 0.1}, full_seconds=12.0)
    assert pace.judging(2000, 500, 1000) == pytest.approx(1.2 * (3.0 * 2 + 12.0 * 0.5))
    assert Pace({"fp32": 0.4}, 3.0, 2).judging(1000, 1000, 1000) == pytest.approx(1.2 * 6.0)
    assert Pace({"fp32": 0.4}, 3.0, 2).judging(0, 0, 0) == 0.0


def test_without_a_budget_the_advice_counts():
    spec, because, _ = planned(10_000, None)
    assert (spec.epochs, spec.epoch_steps, spec.batch) == (40, None, 100)
    assert "enough" in because["epochs"]


def test_what_was_asked_stays():
    spec, because, _ = planned(10_000, 5.0, epochs=3, lr=0.5, precision="fp32", threads=1)
    assert (spec.epochs, spec.lr, spec.threads, spec.epoch_steps) == (3, 0.5, 1, None)
    assert because["lr"] == "as asked"


def test_bf16_only_where_it_is_clearly_faster():
    fast, slow = Pace({"fp32": 1.0, "bf16": 0.5}, 0.0, 1), Pace({"fp32": 1.0, "bf16": 0.95}, 0.0, 1)
    assert choose_precision(TrainSpec(), fast)[0] == "bf16"
    assert choose_precision(TrainSpec(), slow)[0] == "fp32"
    assert choose_precision(TrainSpec(precision="fp32"), fast)[0] == "fp32"


def test_channels_stand_side_by_side_only_where_that_is_clearly_faster():
    pace = Pace({"fp32": 1.0, "bf16": 0.8}, 0.0, 1, {"fp32": 0.98, "bf16": 0.5})
    assert choose_layout(TrainSpec(), pace, "fp32")[0] is False
    assert choose_layout(TrainSpec(), pace, "bf16")[0] is True
    assert choose_layout(TrainSpec(channels_last=True), pace, "fp32") == (True, "as asked")
    assert choose_layout(TrainSpec(), Pace({"fp32": 1.0}, 0.0, 1), "fp32")[0] is False
    assert choose_precision(TrainSpec(), pace)[0] == "bf16", "each precision counts in its faster layout"
    spec, _, expected = plan_training(TrainSpec(), ADVICE, {}, rows=1_000, pace=pace, seconds=20.0)
    assert spec.channels_last is True
    assert expected == pytest.approx(spec.epochs * (spec.epoch_steps or 10) * 0.5)


def test_without_a_start_all_layers_learn_alike_and_asking_otherwise_is_an_error():
    spec, because, _ = planned(10_000, None)
    assert (spec.unfreeze, spec.depth_decay) == (0.0, 1.0)
    assert "no net starts" in because["unfreeze"]
    with pytest.raises(RequestError, match="none does") as caught:
        planned(10_000, None, unfreeze=0.2)
    assert "net.start" in caught.value.fix
    assert planned(10_000, None, unfreeze=0.0, depth_decay=1.0)[1]["unfreeze"] == "as asked"


def test_layers_of_a_start_learn_all_at_once_unless_asked_otherwise():
    spec, because, _ = planned(10_000, None, layers=3)
    assert (spec.unfreeze, spec.depth_decay) == (0.0, 1.0)
    assert "measured" in because["unfreeze"] and "measured" in because["depth_decay"]
    spec, because, _ = planned(10_000, None, layers=3, unfreeze=0.0, depth_decay=0.5)
    assert (spec.unfreeze, spec.depth_decay) == (0.0, 0.5)
    assert because["depth_decay"] == "as asked"
