"""The settings of the supervised loop."""

import pytest

from limpid.core.errors import RequestError
from limpid.core.spec import parse
from limpid.planning.train_spec import TrainSpec


def test_what_the_plan_decides_says_auto():
    assert TrainSpec().autos() == [
        "epochs", "batch", "micro_batch", "lr", "optimiser", "weight_decay", "schedule", "warmup", "ema", "clip",
        "patience", "precision", "channels_last", "threads", "small", "refit", "folds", "unfreeze", "depth_decay",
    ]  # fmt: skip


def test_every_field_says_what_it_is():
    assert all(field.description for field in TrainSpec.model_fields.values())


@pytest.mark.parametrize(
    "values",
    [{"lr": 0}, {"lr": -1}, {"lr": "fast"}, {"epochs": -1}, {"ema": 1.0}, {"optimiser": "adamm"}, {"decay": 1.0},
     {"clip": 0}, {"patience": -1}, {"threads": 0}, {"checkpoint_seconds": float("nan")}],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(values):
    with pytest.raises(RequestError) as caught:
        parse(TrainSpec, values, where="train")
    assert caught.value.where == f"train.{next(iter(values))}"


def test_unknown_names_get_the_nearest():
    with pytest.raises(RequestError, match=r"train\.epoch ") as caught:
        parse(TrainSpec, {"epoch": 3}, where="train")
    assert "epochs" in caught.value.fix


def test_null_turns_clipping_off_and_range_asks_for_a_test():
    spec = parse(TrainSpec, {"clip": None, "lr": "range"}, where="train")
    assert spec.clip is None and spec.lr == "range"
    assert TrainSpec.model_validate(spec.model_dump(mode="json")) == spec
