"""What a report is given: bounded, finite JSON with the hardest rows first."""

import json

import numpy as np

from limpid.data.encoded import Encoded
from limpid.evaluation.details import details


def name(column, code):
    return f"{column} {code}"


def test_details_of_classes(two_classes):
    part = two_classes.test
    chance = np.full((len(part), 2), 0.5)
    chance[np.arange(len(part)), part.target] = np.linspace(0.05, 0.95, len(part))
    part = Encoded(part.arrays, part.rows + 1000, part.target)
    chance[:, 1] = np.where(part.target == 1, chance[:, 1], 1 - chance[:, 0])
    chance[:, 0] = 1 - chance[:, 1]
    found = details(two_classes.task, two_classes.task.outputs_of(chance), part, two_classes.shape, name)
    assert len(json.dumps(found, allow_nan=False)) < 100_000
    assert [w["row"] for w in found["worst"][:3]] == (part.rows[:3]).tolist()
    assert len(found["worst"]) == 20
    first = found["worst"][0]
    assert {first["target"], first["prediction"]} == {"yes", "no"} and first["loss"] > 2.9
    assert sum(map(sum, found["confusion"])) == len(part)


def test_weak_slices_carry_the_tasks_first_figure(numbers):
    part = numbers.test
    answers = part.target.astype(float) + 0.1 * np.random.default_rng(0).normal(size=part.target.shape)
    weak = part.arrays["fields.categories"][:, 1] == 4
    answers[weak] += 3.0
    found = details(numbers.task, numbers.task.outputs_of(answers), part, numbers.shape, name)
    first = found["slices"][0]
    assert (first["column"], first["value"], first["rows"]) == ("job", "job 4", int(weak.sum()))
    assert 2.8 < first["score"] < 3.2 and first["gap"] > 1
    assert isinstance(found["worst"][0]["prediction"], float)
    json.dumps(found, allow_nan=False)


def test_answers_that_are_not_finite_come_first_and_break_nothing(numbers):
    part = numbers.test
    outputs = numbers.task.outputs_of(part.target)
    outputs[5] = np.nan
    found = details(numbers.task, outputs, part, numbers.shape, name)
    assert found["worst"][0]["row"] == int(part.rows[5]) and found["worst"][0]["loss"] is None
    json.dumps(found, allow_nan=False)


def test_a_model_without_columns_has_no_slices(two_classes):
    part = Encoded({}, two_classes.test.rows, two_classes.test.target)
    outputs = np.zeros((len(part), 2), dtype=np.float32)
    assert details(two_classes.task, outputs, part)["slices"] == []
