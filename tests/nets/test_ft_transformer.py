import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.errors import RequestError
from limpid.core.forms import Fields, FieldsShape
from limpid.core.spec import parse
from limpid.nets.ft_transformer import FTTransformer

SHAPE = FieldsShape(numbers=("a", "b"), can_miss=(False, True), categories=("c",), cardinalities=(4,))


def plan(seconds=None, speed=1e11, **settings):
    size = Size(rows=20_000, outputs=1, task="regression", seconds=seconds, flops_per_second=speed)
    return FTTransformer.plan(parse(FTTransformer.Spec, settings, where="net"), SHAPE, size)[0]


def test_unlimited_means_the_published_size():
    spec = plan(speed=1e15)
    assert (spec.width, spec.blocks, spec.heads, spec.numbers) == (192, 3, 8, "plain")
    assert (spec.attention_dropout, spec.hidden_dropout, spec.residual_dropout) == (0.2, 0.1, 0.0)


def test_less_time_means_smaller_and_heads_always_divide():
    assert plan(seconds=5).width < plan(seconds=500, speed=1e13).width
    assert plan(heads=5).width % 5 == 0
    assert plan(width=20).heads == 4
    with pytest.raises(RequestError, match="divide"):
        plan(width=10, heads=4)


def test_columns_look_at_each_other_and_all_are_read():
    torch.manual_seed(0)
    net = FTTransformer(plan(width=16, blocks=2), SHAPE).eval()
    numbers, missing, codes = torch.randn(4, 2), torch.zeros(4, 2), torch.full((4, 1), 2)
    y = net(Fields(numbers, missing, codes))
    assert y.shape == (4, 16)
    for other in (
        Fields(numbers + torch.tensor([1.0, 0.0]), missing, codes),
        Fields(numbers + torch.tensor([0.0, 1.0]), missing, codes),
        Fields(numbers, missing, codes + 1),
    ):
        assert (net(other) != y).any(dim=1).all()


def test_numbers_may_be_embedded_piecewise():
    net = FTTransformer(plan(width=8, blocks=1, numbers="piecewise"), SHAPE)
    x = torch.randn(100, 2)
    form = Fields(x, torch.zeros(100, 2), torch.full((100, 1), 2))
    net.prepare(form, x[:, :1])
    assert net(form).shape == (100, 8)
