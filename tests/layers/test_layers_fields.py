import pytest
import torch

from limpid.core.errors import RequestError
from limpid.core.forms import Fields, FieldsShape
from limpid.layers.fields import FieldsSpec, FlatFields, TokenFields

SHAPE = FieldsShape(numbers=("a", "b"), can_miss=(False, True), categories=("c", "d"), cardinalities=(4, 30))


def spec(**changes):
    return FieldsSpec.model_validate({"numbers": "plain", "number_width": 4, "bins": 5, "min_leaf": 2, **changes})


def batch(rows=6):
    torch.manual_seed(0)
    missing = torch.zeros(rows, 2)
    missing[0] = 1
    numbers = torch.randn(rows, 2) * (1 - missing)
    return Fields(numbers, missing, torch.stack([torch.arange(rows) % 4, torch.arange(rows) % 30], dim=1))


def test_the_flat_row_is_numbers_flags_and_one_hot_codes():
    row = FlatFields(spec(one_hot=10, category_width=3), SHAPE).eval()
    form = batch()
    y = row(form)
    assert y.shape == (6, row.width)
    assert row.chunks == [1, 1, 1, 4, 3]
    torch.testing.assert_close(y[:, :2], form.numbers)
    torch.testing.assert_close(y[:, 2], form.missing[:, 1])  # column a never missed: its flag has no say
    torch.testing.assert_close(y[:, 3:7], torch.nn.functional.one_hot(form.categories[:, 0], 4).float())


@pytest.mark.parametrize(
    ("numbers", "chunks"),
    [("piecewise", [4, 4, 1, 4, 30]), ("periodic", [4, 4, 1, 4, 30]), ("both", [4, 4, 4, 4, 1, 4, 30])],
)
def test_embedded_numbers_take_a_chunk_each(numbers, chunks):
    row = FlatFields(spec(numbers=numbers), SHAPE)
    assert row.chunks == chunks
    assert row(batch()).shape == (6, sum(chunks))


def test_a_number_missing_for_the_first_time_is_typical():
    row = FlatFields(spec(numbers="piecewise"), SHAPE).eval()
    form = batch()
    flagged = Fields(form.numbers, torch.stack([torch.ones(6), form.missing[:, 1]], dim=1), form.categories)
    assert torch.equal(row(form), row(flagged))


@pytest.mark.parametrize("numbers", ["plain", "piecewise", "periodic", "both"])
def test_tokens_stand_for_one_column_each(numbers):
    layer = TokenFields(spec(numbers=numbers), SHAPE, 8).eval()
    form = batch()
    torch.nn.init.normal_(layer.missing_embedding)
    y = layer(form)
    assert y.shape == (6, 4, 8)
    other = Fields(form.numbers + torch.tensor([0.0, 1.0]), form.missing, form.categories)
    changed = (layer(other) != y).any(dim=(0, 2))
    assert changed.tolist() == [False, True, False, False]
    unflagged = Fields(form.numbers, torch.zeros(6, 2), form.categories)
    assert (layer(unflagged) != y).any(dim=(0, 2)).tolist() == [False, True, False, False]


def test_a_table_without_columns_is_refused():
    for build in (lambda s: FlatFields(spec(), s), lambda s: TokenFields(spec(), s, 8)):
        with pytest.raises(RequestError, match="no column is left"):
            build(FieldsShape())
