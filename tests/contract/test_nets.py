"""Every net of the catalogue keeps the contract of limpid.core.contracts.Net."""

import json

import numpy as np
import pytest
import torch
from net_examples import (
    CASES,
    NETS,
    SEQ_CASES,
    SIZES,
    SMALL,
    TABLE,
    build,
    check_bf16,
    example,
    kind_of,
    learns,
    made,
    shape_of,
    take,
)

from limpid.core.errors import RequestError
from limpid.core.forms import Fields, FieldsShape, Grid, GridShape, Seq, SeqShape
from limpid.core.spec import Spec
from limpid.layers.parameters import groups
from limpid.nets import CATALOGUE, DEFAULTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NETS)
def test_declarations(name):
    kind = kind_of(name)
    assert issubclass(kind.Spec, Spec)
    assert kind.takes in ("fields", "seq", "grid")
    assert kind.gives <= {"vec", "seq", "grid", "pyramid"}
    kind.Spec()
    assert all(field.description for field in kind.Spec.model_fields.values())


def test_defaults_are_in_the_catalogue_and_take_their_form():
    for form, name in DEFAULTS.items():
        assert kind_of(name).takes == form or form in kind_of(name).reads


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", NETS)
def test_the_plan_leaves_no_auto_and_says_why(name, size):
    kind = kind_of(name)
    blank = kind.Spec()
    spec, because = kind.plan(blank, shape_of(name), SIZES[size])
    assert not spec.autos()
    assert set(because) == set(blank.autos())
    assert all(len(reason) > 10 for reason in because.values())
    again, nothing = kind.plan(spec, shape_of(name), SIZES["few rows"])
    assert again == spec, "a complete plan is replayed as it is"
    assert nothing == {}
    assert kind.Spec.model_validate(json.loads(spec.model_dump_json())) == spec


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", NETS)
def test_training_preferences_fit_the_train_section(name, size):
    from limpid.planning.train_spec import TrainSpec

    kind = kind_of(name)
    spec, _ = kind.plan(kind.Spec(), shape_of(name), SIZES[size])
    values, because = kind.train_defaults(spec, shape_of(name), SIZES[size])
    TrainSpec.model_validate(values)
    assert set(values) == set(because)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_shapes(name, variant, rows):
    shape = shape_of(name, variant)
    net = made(name, shape)
    for mode in (True, False):
        y = net.train(mode)(example(shape, rows))
        expected = (rows, net.width) if net.members is None else (rows, net.members, net.width)
        assert y.shape == expected
        assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", NETS)
def test_a_gradient_reaches_every_parameter(name):
    shape = shape_of(name)
    net = made(name, shape).train()
    y = net(example(shape, 64))
    if not learns(name):
        assert not y.requires_grad
        return
    y.square().sum().backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_evaluation_is_deterministic_and_rows_do_not_see_each_other(name, variant):
    shape = shape_of(name, variant)
    net = made(name, shape).eval()
    form = example(shape, 300)
    with torch.inference_mode():
        whole = net(form)
        assert torch.equal(net(form), whole)
        order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(net(take(form, order)), whole[order], rtol=1e-4, atol=1e-5)
        single = torch.cat([net(take(form, slice(n, n + 1))) for n in range(5)])
    torch.testing.assert_close(single, whole[:5], rtol=1e-4, atol=1e-5)


def padded(form, *, before, behind):
    """The same sequences with padding at the end, and one position of it inserted; garbage stands in padded vectors."""
    rows, length = form.mask.shape
    inside = torch.zeros(rows, before, dtype=torch.bool)
    outside = torch.zeros(rows, behind, dtype=torch.bool)
    half = length // 2
    mask = torch.cat([form.mask[:, :half], inside, form.mask[:, half:], outside], dim=1)
    if form.tokens is not None:
        left, right = form.tokens[:, :half], form.tokens[:, half:]
        return Seq(mask=mask, tokens=torch.cat([left, inside.long(), right, outside.long()], dim=1))
    garbage = torch.full((rows, before + behind, form.values.shape[-1]), 777.0)
    left, right = form.values[:, :half], form.values[:, half:]
    return Seq(mask=mask, values=torch.cat([left, garbage[:, :before], right, garbage[:, before:]], dim=1))


@pytest.mark.parametrize(("name", "variant"), SEQ_CASES)
def test_padding_never_changes_an_answer(name, variant):
    shape = shape_of(name, variant)
    net = made(name, shape).eval()
    form = example(shape, 50)
    with torch.inference_mode():
        bare = net(form)
        for before, behind in ((0, 1), (0, 30), (3, 0), (2, 5)):
            torch.testing.assert_close(net(padded(form, before=before, behind=behind)), bare, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "variant"), SEQ_CASES)
def test_padding_never_changes_a_gradient(name, variant):
    shape = shape_of(name, variant)
    net = made(name, shape).eval()
    form = example(shape, 50)
    found = []
    for seen in (form, padded(form, before=2, behind=4)):
        net.zero_grad()
        loss = net(seen).square().sum()
        if not loss.requires_grad:  # nothing that these values meet is found by gradients
            return
        loss.backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_training_randomness_is_torchs_generator(name):
    shape = shape_of(name)
    net = (
        made(name, shape, dropout=0.1).train()
        if "dropout" in CATALOGUE.load(name, where="test").Spec.model_fields
        else made(name, shape).train()
    )
    form = example(shape, 32)
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(net(form))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", NETS)
def test_initial_weights_follow_from_the_seed(name):
    shape = shape_of(name)
    first, second, other = (build(name, shape, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_saved_state_loads_without_prepare(name, variant):
    shape = shape_of(name, variant)
    net = made(name, shape).eval()
    state = net.state_dict()
    assert all(torch.isfinite(v).all() for v in state.values())
    fresh = build(name, shape, seed=9).eval()
    assert {k: v.shape for k, v in fresh.state_dict().items()} == {k: v.shape for k, v in state.items()}
    fresh.load_state_dict(state)
    form = example(shape, 20)
    assert torch.equal(fresh(form), net(form))


@pytest.mark.parametrize("name", NETS)
def test_prepare_is_repeatable_and_leaves_weights_alone(name):
    shape = shape_of(name)
    before = build(name, shape)
    weights = {k: v.clone() for k, v in before.named_parameters()}
    form = example(shape, 100)
    target = torch.randn(100, 2)
    before.prepare(form, target)
    once = {k: v.clone() for k, v in before.state_dict().items()}
    before.prepare(form, target)
    assert all(torch.equal(once[k], v) for k, v in before.state_dict().items())
    assert all(torch.equal(weights[k], v) for k, v in before.named_parameters())


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_codes_and_flags_that_training_never_showed_are_defined(name, variant):
    shape = shape_of(name, variant)
    net = made(name, shape).eval()
    if isinstance(shape, FieldsShape):
        zeros = torch.zeros(3, len(shape.numbers))
        strange = Fields(zeros, torch.ones_like(zeros), torch.zeros(3, len(shape.cardinalities), dtype=torch.long))
        huge = Fields(zeros + 1e6, zeros, strange.categories + 1)
        forms = [strange, huge]
    elif isinstance(shape, GridShape):
        zeros = torch.zeros(3, shape.channels, shape.height, shape.width)
        forms = [Grid(zeros), Grid(zeros + 1e6), Grid(zeros, torch.zeros(3, dtype=torch.bool))]
    else:
        forms = [take(example(shape, 3), slice(0, 3))]
        forms[0].mask[:] = False
    for form in forms:
        assert torch.isfinite(net(form)).all()


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_flops_are_positive_and_about_right(name, variant):
    shape = shape_of(name, variant)
    net = build(name, shape)
    assert net.flops() > 0
    if not isinstance(shape, SeqShape):
        from torch.utils.flop_counter import FlopCounterMode

        rows = 500 if isinstance(shape, FieldsShape) else 8
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net.eval()(example(shape, rows))
        assert net.flops() == pytest.approx(counter.get_total_flops() / rows, rel=0.5)


@pytest.mark.parametrize("name", NETS)
def test_bf16_agrees_loosely(name):
    check_bf16(name, "cpu")


@pytest.mark.parametrize("name", NETS)
def test_it_learns_what_a_linear_model_cannot(name):
    shape = shape_of(name, "grey 8x8" if kind_of(name).takes == "grid" else None)
    net = made(name, shape, **SMALL.get(name, {}))
    form = example(shape, 256)
    if isinstance(form, Fields):
        wanted = form.numbers[:, 0].abs() + (form.categories[:, 0] == 2).float()
    elif isinstance(form, Grid):
        # The product of two halves' brightness: no linear function of pixels sees it.
        half = shape.width // 2
        left, right = form.pixels[..., :half].mean(dim=(1, 2, 3)), form.pixels[..., half:].mean(dim=(1, 2, 3))
        form.pixels[..., :half] += left.sign().view(-1, 1, 1, 1)
        form.pixels[..., half:] += right.sign().view(-1, 1, 1, 1)
        wanted = left.sign() * right.sign()
    elif form.tokens is None:
        wanted = (form.values[..., 0] * form.mask).abs().amax(dim=1)
    else:
        wanted = (form.tokens == 5).any(dim=1).float() - (form.tokens == 6).any(dim=1).float()
    wanted = (wanted - wanted.mean()) / wanted.std()
    head = torch.nn.Linear(net.width, 1)
    optimiser = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=5e-3)
    torch.manual_seed(0)
    for _ in range(80):
        y = head(net(form)).flatten(1).mean(dim=1)
        loss = (y - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_has_its_group(name):
    net = build(name, shape_of(name))
    found = groups(net)
    # The matrix of dlinear is the task's head; fasttext is vectors of tokens alone.
    assert found.decayed or name in ("dlinear", "fasttext") or not learns(name)
    assert len(found.decayed) + len(found.spared) == len(list(net.parameters()))
    assert all(p.dim() >= 2 for p in found.decayed)
    names = dict(net.named_parameters())
    assert all("embedding" not in n for n, p in names.items() if any(p is q for q in found.decayed))


@pytest.mark.parametrize("name", [n for n in NETS if kind_of(n).takes == "fields"])
def test_a_table_without_columns_is_refused(name):
    kind = kind_of(name)
    with pytest.raises(RequestError, match="no column is left"):
        kind.plan(kind.Spec(), FieldsShape(), SIZES["a budget"])


def test_the_catalogue_is_readable_without_torch():
    import subprocess
    import sys

    code = "import sys, limpid.nets; assert limpid.nets.CATALOGUE.names; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bins_leave_numpys_global_generator_alone():
    state = np.random.get_state()[1].copy()
    made("tabm", TABLE)
    assert (np.random.get_state()[1] == state).all()
