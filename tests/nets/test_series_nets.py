"""dlinear, nhits and patchtst on the windows of a forecast."""

import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.forms import Seq, SeqShape
from limpid.core.spec import parse
from limpid.layers.horizon import HorizonHead
from limpid.nets import CATALOGUE
from limpid.nets.nhits import stretched
from limpid.nets.patchtst import patches

pytestmark = pytest.mark.slow

SHAPE = SeqShape(width=6, length=36, ahead=12, known=3)
SIZE = Size(rows=5_000, outputs=12, task="forecasting")
NETS = ("dlinear", "nhits", "patchtst")


def build(name, shape=SHAPE, **settings):
    kind = CATALOGUE.load(name, where="test")
    spec, _ = kind.plan(parse(kind.Spec, settings, where="net"), shape, SIZE)
    torch.manual_seed(0)
    return kind(spec, shape)


def windows(rows, seed=0):
    """Windows of a wave whose phase the past tells and whose height is known ahead, and what follows."""
    draws = torch.Generator().manual_seed(seed)
    phase = 6.283 * torch.rand(rows, 1, generator=draws)
    height = torch.rand(rows, 1, generator=draws) + 0.5
    wave = torch.sin(phase + 0.5 * torch.arange(36))
    values = 0.1 * torch.randn(rows, 36, 6, generator=draws)
    values[:, :, 0] = wave
    values[:, 24:, :3] = 0
    values[:, :, 5] = height
    return Seq(mask=torch.ones(rows, 36).bool(), values=values, level=torch.tensor([[0.0, 1.0]]).repeat(rows, 1)), (
        height * wave[:, 24:]
    )


@pytest.mark.parametrize("name", NETS)
def test_what_is_ahead_of_the_cutoff_reaches_the_answer_only_where_it_is_known(name):
    net = build(name).eval()
    form, _ = windows(20)
    with torch.no_grad():
        whole = net(form)
        known = form.values.clone()
        known[:, 24:, 4] += 1
        assert not torch.equal(net(Seq(mask=form.mask, values=known)), whole)
        past = form.values.clone()
        past[:, :24, 1] += 1
        assert not torch.equal(net(Seq(mask=form.mask, values=past)), whole)


@pytest.mark.parametrize("name", ["nhits", "patchtst"])
def test_it_learns_a_product_of_past_and_future(name):
    small = {"nhits": {"width": 64, "dropout": 0.0}, "patchtst": {"width": 32, "blocks": 2, "dropout": 0.0}}
    net = build(name, **small[name])
    form, target = windows(512)
    head = HorizonHead(net.width, 12, (0.5,), 12, 24, None)
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(150):
        loss = (head(net(form), form) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fresh, wanted = windows(200, seed=1)
    with torch.no_grad():
        error = (head(net.eval()(fresh), fresh) - wanted).abs().mean()
    assert error < 0.35 * wanted.abs().mean()


def test_dlinear_with_a_linear_layer_is_a_linear_model():
    net = build("dlinear").eval()
    one, two = (Seq(mask=torch.ones(3, 36).bool(), values=torch.randn(3, 36, 6)) for _ in range(2))
    both = Seq(mask=one.mask, values=one.values + 2 * two.values)
    torch.testing.assert_close(net(both), net(one) + 2 * net(two))
    assert net.width == 24 * (2 + 2) + 12 * 3
    assert not list(net.parameters())


def test_the_published_defaults_of_dlinear_and_patchtst():
    shape = SeqShape(width=1, length=336 + 96, ahead=96)
    assert build("dlinear", shape).kernel == 25
    kind = CATALOGUE.load("patchtst", where="test")
    size = Size(rows=50_000, outputs=96, task="forecasting", flops_per_second=1e13)
    spec, _ = kind.plan(kind.Spec(), SeqShape(width=1, length=336), size)
    assert (spec.patch, spec.stride, spec.blocks, spec.width, spec.heads) == (16, 8, 3, 128, 16)
    assert patches(336, 16, 8) == 41  # 42 in the paper, whose series is padded by one more stride


def test_answers_between_points_lie_on_straight_lines():
    points = torch.tensor([[[0.0, 4.0]]])
    line = stretched(points, 8)[0, 0]
    assert (line.diff() >= 0).all() and line[0] == 0 and line[-1] == 4
    assert torch.equal(stretched(points, 2), points)


def test_blocks_of_nhits_explain_what_the_ones_before_left():
    net = build("nhits").eval()
    form, _ = windows(10)
    own, past, ahead = net.stretch(form)
    beside = net.beside(past, ahead)
    left = own.transpose(1, 2)
    total = 0
    for block in net.blocks:
        back, forth = block(left, beside)
        assert forth.shape == (10, 8, 12)
        total = total + forth
        if block is net.blocks[-1]:
            assert back is None
        else:
            assert back.shape == left.shape
            left = left - back
    torch.testing.assert_close(net(form), total.flatten(1))
