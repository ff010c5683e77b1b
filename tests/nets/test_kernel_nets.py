"""Nets for series beyond the contract: published sizes, closed-form heads, members that do not see each other."""

import numpy as np
import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.errors import RequestError
from limpid.core.forms import Seq, SeqShape
from limpid.nets import CATALOGUE
from limpid.nets.convkernel import ConvKernel, ConvKernelSpec
from limpid.nets.inceptiontime import InceptionTime, InceptionTimeSpec
from limpid.nets.tcn import TCN, TCNSpec
from limpid.planning.assemble import check_takes

FEW = Size(rows=60, outputs=2, task="classification")
SHAPE = SeqShape(width=1, length=150)


def seq(rows: int, shape: SeqShape, seed: int = 0) -> Seq:
    values = torch.randn(rows, shape.length, shape.width or 1, generator=torch.Generator().manual_seed(seed))
    return Seq(mask=torch.ones(rows, shape.length, dtype=torch.bool), values=values)


def test_convkernel_has_the_published_features_and_solves_its_head() -> None:
    spec, because = ConvKernel.plan(ConvKernelSpec(), SHAPE, FEW)
    assert spec.features == 9_996 and spec.head == "solved" and "published" in because["features"]
    values, reasons = ConvKernel.train_defaults(spec, SHAPE, FEW)
    assert values["epochs"] == 0 and values["refit"] is True and "closed form" in reasons["epochs"]
    many, _ = ConvKernel.train_defaults(spec, SHAPE, Size(rows=30_000, outputs=2, task="classification"))
    assert "epochs" not in many and "refit" not in many
    learnt, _ = ConvKernel.train_defaults(spec.with_(head="learnt"), SHAPE, FEW)
    assert "epochs" not in learnt
    hurried, _ = ConvKernel.plan(
        ConvKernelSpec(), SHAPE, Size(rows=20_000, outputs=2, task="classification", seconds=30)
    )
    assert hurried.features != "auto" and hurried.features < 9_996


def test_convkernel_features_are_standardised_over_the_examples_it_saw() -> None:
    torch.manual_seed(0)
    spec, _ = ConvKernel.plan(ConvKernelSpec(features=840), SHAPE, FEW)
    net = ConvKernel(spec, SHAPE).eval()
    form = seq(80, SHAPE)
    net.prepare(form, torch.zeros(80))
    features = net(form)
    varied = features.std(dim=0) > 0
    assert float(varied.float().mean()) > 0.95
    assert np.allclose(features.mean(dim=0), 0, atol=1e-4)
    assert np.allclose(features.std(dim=0, correction=0)[varied], 1, atol=1e-3)


@pytest.mark.parametrize(("length", "blocks"), [(2, 1), (20, 2), (150, 4), (1_000, 7)])
def test_tcns_last_step_sees_the_first(length: int, blocks: int) -> None:
    shape = SeqShape(width=2, length=length)
    spec, because = TCN.plan(TCNSpec(), shape, FEW)
    assert spec.blocks == blocks and "steps" in because["blocks"]
    torch.manual_seed(0)
    net = TCN(spec, shape).eval()
    form = seq(4, shape)
    form.values.requires_grad_(True)
    net(form).sum().backward()
    assert form.values.grad is not None and form.values.grad[:, 0].abs().sum() > 0


def test_inceptiontime_is_published_where_there_is_time() -> None:
    unhurried = Size(rows=60, outputs=2, task="classification", flops_per_second=1e14)
    spec, _ = InceptionTime.plan(InceptionTimeSpec(), SHAPE, unhurried)
    assert (spec.ensemble, spec.filters, spec.modules, spec.kernel) == (5, 32, 6, 40)
    net = InceptionTime(spec.with_(ensemble=1), SHAPE)
    assert net.width == 128 and net.members is None
    # Counted by hand from the published sizes: a first module without a bottleneck, five with one, two shortcuts.
    taps = 40 + 20 + 10
    first = taps * 32 + 32
    later = 128 * 32 + taps * 32 * 32 + 128 * 32
    carried = 128 + 128 * 128
    norms = 2 * 128 * (6 + 2)
    assert sum(p.numel() for p in net.parameters()) == first + 5 * later + carried + norms
    short, because = InceptionTime.plan(InceptionTimeSpec(), SeqShape(width=1, length=24), FEW)
    assert short.kernel == 20 and "halved" in because["kernel"]
    slow = Size(rows=5_000, outputs=2, task="classification", seconds=20, flops_per_second=1e10)
    assert InceptionTime.plan(InceptionTimeSpec(), SHAPE, slow)[0].ensemble == 1


def test_members_of_inceptiontime_do_not_see_each_other() -> None:
    shape = SeqShape(width=3, length=30)
    spec, _ = InceptionTime.plan(InceptionTimeSpec(ensemble=3, filters=4), shape, FEW)
    torch.manual_seed(0)
    net = InceptionTime(spec, shape).eval()
    form = seq(5, shape)
    form.values.requires_grad_(True)
    y = net(form)
    assert y.shape == (5, 3, 16)
    y[:, 1].square().sum().backward()
    for name, parameter in net.named_parameters():
        grad = parameter.grad
        if grad is None or parameter.dim() != 3:
            continue
        blocks = grad.view(3, -1, *grad.shape[1:])
        assert not blocks[0].any() and not blocks[2].any(), name
        assert blocks[1].any(), name


def test_a_net_of_values_refuses_tokens_and_names_others() -> None:
    tokens = SeqShape(vocabulary=50, length=9)
    with pytest.raises(RequestError) as error:
        check_takes("tcn", CATALOGUE.load("tcn", where="net"), "review", tokens, where="net")
    fits = error.value.expected.partition(": ")[2].split(", ")
    assert "values" in error.value.what and "gru" in fits and "tcn" not in fits
