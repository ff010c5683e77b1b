"""Every net of the catalogue on a GPU: the same answers, the same gradients, bf16, and nothing left behind."""

import copy

import pytest
import torch
from net_examples import CASES, NETS, check_bf16, example, learns, made, moved, readable, shape_of

pytestmark = pytest.mark.gpu


@pytest.fixture
def strict(gpu):
    """Products in full single precision; convolutions have eleven bits fewer on such a device otherwise."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield gpu
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_answers_are_those_of_the_processor(name, variant, strict):
    shape = shape_of(name, variant)
    net = made(name, shape).eval()
    form = example(shape, 50)
    with torch.inference_mode():
        here = net(form)
        there = copy.deepcopy(net).to(strict)(moved(form, strict))
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3 * float(here.abs().max()))


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_processor(name, strict):
    shape = shape_of(name, readable(name)[0])
    net = made(name, shape).eval()  # nothing is dropped
    if not learns(name):
        return
    for module in net.modules():
        if isinstance(module, torch.nn.RNNBase):
            module.train()  # a GPU gives gradients of recurrent layers in no other mode
            module.dropout = 0.0
    there = copy.deepcopy(net).to(strict)
    form = example(shape, 64)
    net(form).square().mean().backward()
    there(moved(form, strict)).square().mean().backward()
    for (key, one), two in zip(net.named_parameters(), there.parameters(), strict=True):
        if one.grad is None:
            assert two.grad is None, key
            continue
        scale = max(float(one.grad.abs().max()), 1e-6)
        torch.testing.assert_close(
            two.grad.cpu(), one.grad, rtol=1e-2, atol=5e-3 * scale, msg=lambda m, k=key: f"{k}: {m}"
        )


@pytest.mark.parametrize("name", NETS)
def test_bf16_agrees_loosely(name, gpu):
    check_bf16(name, gpu)


@pytest.mark.parametrize("name", NETS)
def test_prepared_there_it_is_as_prepared_here(name, gpu):
    shape = shape_of(name)
    here = made(name, shape)
    there = copy.deepcopy(here).to(gpu)
    state = there.state_dict()
    for key, value in here.state_dict().items():
        assert state[key].is_cuda, key
        assert torch.equal(state[key].cpu(), value), key
