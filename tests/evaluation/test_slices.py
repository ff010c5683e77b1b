"""Planted weak groups are found, and none where there are none."""

import numpy as np
import pytest

from limpid.core.forms import FieldsShape
from limpid.evaluation.slices import weakest

SHAPE = FieldsShape(numbers=("age", "pay"), can_miss=(False, True), categories=("town", "job"), cardinalities=(12, 12))


def arrays(seed=0, rows=3000):
    random = np.random.default_rng(seed)
    missing = np.zeros((rows, 2), dtype=np.uint8)
    missing[:, 1] = random.random(rows) < 0.1
    return {
        "fields.numbers": random.normal(size=(rows, 2)).astype(np.float32),
        "fields.missing": missing,
        "fields.categories": random.integers(0, 12, size=(rows, 2)).astype(np.int32),
    }, random.exponential(size=rows)


def name(column, code):
    return f"{column} no. {code}"


def test_a_weak_category_is_found_and_named():
    table, loss = arrays()
    weak = table["fields.categories"][:, 1] == 7
    loss[weak] += 1.0
    first = weakest(table, SHAPE, loss, name)[0]
    assert (first.column, first.value, first.rows) == ("job", "job no. 7", weak.sum())
    assert first.loss == pytest.approx(loss[weak].mean()) and first.other == pytest.approx(loss[~weak].mean())
    assert (np.sort(first.index) == np.flatnonzero(weak)).all()


@pytest.mark.parametrize(("code", "value"), [(0, "missing"), (1, "rare or unseen")])
def test_the_codes_without_a_name_have_one(code, value):
    table, loss = arrays()
    loss[table["fields.categories"][:, 0] == code] += 1.0
    assert weakest(table, SHAPE, loss, name)[0].value == value


def test_missing_numbers_and_quarters_are_found():
    table, loss = arrays()
    loss[table["fields.missing"][:, 1] > 0] += 1.0
    assert (weakest(table, SHAPE, loss)[0].column, weakest(table, SHAPE, loss)[0].value) == ("pay", "missing")
    table, loss = arrays()
    age = table["fields.numbers"][:, 0]
    loss[age > np.quantile(age, 0.75)] += 0.5
    assert (weakest(table, SHAPE, loss)[0].column, weakest(table, SHAPE, loss)[0].value) == ("age", "highest quarter")


def test_luck_is_no_weakness():
    found = 0
    for seed in range(40):
        table, loss = arrays(seed)
        found += len(weakest(table, SHAPE, loss, name))
    assert found <= 6  # one family in twenty may err


def test_small_groups_and_odd_losses_are_left_out():
    table, loss = arrays(rows=400)
    table["fields.categories"][:, 0] = 2
    table["fields.categories"][:20, 0] = 3
    loss[:20] += 100.0
    loss[21] = np.nan
    assert all(s.column != "town" for s in weakest(table, SHAPE, loss, name))
    assert weakest(arrays(rows=40)[0], SHAPE, np.ones(40)) == []
    assert weakest({}, None, loss) == []
    weight = np.zeros(400)
    assert weakest(table, SHAPE, loss, name, weight) == []


def test_the_same_rows_under_two_names_are_shown_once():
    table, loss = arrays()
    table["fields.categories"][:, 1] = table["fields.categories"][:, 0]
    loss[table["fields.categories"][:, 0] == 5] += 1.0
    assert len(weakest(table, SHAPE, loss, name)) == 1


def test_ties_join_quarters_and_say_so():
    table, loss = arrays()
    few = (np.arange(3000) % 10 == 0).astype(np.float32)
    table["fields.numbers"][:, 0] = few
    loss[few > 0] += 1.0
    assert weakest(table, SHAPE, loss)[0].value in ("highest 10%", "highest quarter")


def test_at_most_ten():
    table, loss = arrays(rows=6000)
    loss += 3.0 * (table["fields.categories"] > 6).sum(axis=1)
    assert len(weakest(table, SHAPE, loss, name)) == 10
