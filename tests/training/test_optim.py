"""Optimiser steps against closed forms and torch, and the groups that decay spares."""

import math

import pytest
import torch
from torch import nn
from training_doubles import settings, small

from limpid.training import muon
from limpid.training.optim import Optimisers, total_norm

LR, G, W = 0.1, 0.5, 2.0
DECAY = 0.01


class One(nn.Module):
    """A single decayed weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1), W))


def after(steps: int, **changes) -> float:
    model = One()
    optimisers = Optimisers(model, settings(weight_decay=DECAY, **changes))
    optimisers.set_rate(LR)
    for _ in range(steps):
        model.weight.grad = torch.full((1, 1), G)
        optimisers.step()
    return model.weight.item()


def test_sgd_with_momentum():
    first = G + DECAY * W
    w = W - LR * first
    assert after(1, optimiser="sgd", momentum=0.9) == pytest.approx(w, rel=1e-6)
    second = 0.9 * first + G + DECAY * w
    assert after(2, optimiser="sgd", momentum=0.9) == pytest.approx(w - LR * second, rel=1e-6)


def test_nesterov_looks_ahead():
    g = G + DECAY * W
    assert after(1, optimiser="nesterov", momentum=0.9) == pytest.approx(W - LR * (g + 0.9 * g), rel=1e-6)


def test_adam_couples_decay_and_adamw_does_not():
    # In the first step both moments cancel: the update is the sign of what is fed into them.
    assert after(1, optimiser="adam") == pytest.approx(W - LR * 1.0, rel=1e-5)
    assert after(1, optimiser="adamw") == pytest.approx(W - LR * DECAY * W - LR * 1.0, rel=1e-5)


def test_rmsprop():
    g = G + DECAY * W
    expected = W - LR * g / (math.sqrt(0.001 * g * g) + 1e-8)
    assert after(1, optimiser="rmsprop", momentum=0.0, second_moment=0.999) == pytest.approx(expected, rel=1e-4)


def test_muon_is_torchs_and_leaves_the_rest_to_adamw(monkeypatch):
    monkeypatch.setattr(muon, "working_type", lambda _device: torch.bfloat16)  # as torch's, on any processor
    ours, theirs = small(), small()
    optimisers = Optimisers(ours, settings(optimiser="muon", weight_decay=DECAY))
    optimisers.set_rate(LR)
    hidden = [theirs.first.weight, theirs.second.weight]
    reference = torch.optim.Muon(hidden, lr=LR, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    spared = [p for n, p in theirs.named_parameters() if p.ndim < 2 or "embedding" in n]
    adamw = torch.optim.AdamW(
        [{"params": [theirs.head.weight], "weight_decay": DECAY}, {"params": spared, "weight_decay": 0.0}], lr=LR
    )
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=draw)
            other.grad = mine.grad.clone()
        optimisers.step()
        reference.step()
        adamw.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_muon_moves_a_matrix_by_a_nearly_orthogonal_one():
    model = small(width=8)
    before = model.second.weight.detach().clone()
    optimisers = Optimisers(model, settings(optimiser="muon", weight_decay=0.0))
    optimisers.set_rate(LR)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    optimisers.step()
    moved = (before - model.second.weight.detach()) / (LR * 0.2 * math.sqrt(8))
    singular = torch.linalg.svdvals(moved)
    assert singular.min() > 0.5
    assert singular.max() < 1.5


def test_decay_spares_norms_biases_and_embeddings():
    model = small()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimisers = Optimisers(model, settings(optimiser="adamw", weight_decay=0.5))
    optimisers.set_rate(LR)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimisers.step()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p.detach(), before[n])}
    assert moved == {"first.weight", "second.weight", "head.weight"}


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw", "rmsprop", "muon"])
def test_state_goes_out_and_in(name):
    def advance(model, optimisers, seed):
        draw = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=draw)
        optimisers.set_rate(LR)
        optimisers.step()

    spec = settings(optimiser=name)
    one, other = small(), small()
    first, second = Optimisers(one, spec), Optimisers(other, spec)
    advance(one, first, 0)
    other.load_state_dict(one.state_dict())
    second.load({k: v.clone() for k, v in first.state().items()})
    for seed in (1, 2):
        advance(one, first, seed)
        advance(other, second, seed)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_loading_an_empty_state_forgets():
    model = small()
    optimisers = Optimisers(model, settings())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimisers.step()
    assert optimisers.state()
    optimisers.load({})
    assert not optimisers.state()


def test_total_norm_is_that_of_all_together():
    tensors = [torch.randn(3, 4), torch.randn(7)]
    assert total_norm(tensors).item() == pytest.approx(torch.cat([t.flatten() for t in tensors]).norm().item())
    assert not math.isfinite(total_norm([*tensors, torch.tensor([float("nan")])]).item())
    assert total_norm([]).item() == 0.0


class Deep(nn.Module):
    """Three layers of which the first two have a past."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.middle, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def depths(self) -> list[list[str]]:
        return [["middle.weight", "middle.bias"], ["low.weight", "low.bias"]]

    def forward(self, x):
        return self.head(self.middle(self.low(x)))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "muon"])
def test_rates_fall_with_the_depth_of_a_layer(optimiser):
    torch.manual_seed(0)
    plain, decayed = Deep(), Deep()
    decayed.load_state_dict(plain.state_dict())
    before = {n: p.detach().clone() for n, p in plain.named_parameters()}
    for model, decay in ((plain, 1.0), (decayed, 0.5)):
        rules = Optimisers(model, settings(optimiser=optimiser, weight_decay=0.0, depth_decay=decay))
        rules.set_rate(LR)
        for parameter in model.parameters():
            parameter.grad = (
                torch.full_like(parameter, 0.1) + torch.eye(*parameter.shape)
                if parameter.dim() == 2
                else torch.ones(len(parameter))
            )
        rules.step()
    after_plain, after_decayed = dict(plain.named_parameters()), dict(decayed.named_parameters())
    for name, old in before.items():
        factor = {"head": 1.0, "middle": 0.5, "low": 0.25}[name.partition(".")[0]]
        moved = (after_plain[name] - old) * factor
        torch.testing.assert_close(after_decayed[name] - old, moved, rtol=1e-3, atol=1e-6, msg=name)


def test_layers_are_thawed_one_after_another_from_the_head_down():
    model = Deep()
    rules = Optimisers(model, settings(unfreeze=0.5))

    def learning(step: int) -> set[str]:
        rules.thaw(step, 100)
        rules.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        return {n.partition(".")[0] for n, p in model.named_parameters() if p.grad is not None}

    assert [learning(s) for s in (0, 24, 25, 49, 50, 99)] == [
        {"head"}, {"head"}, {"head", "middle"}, {"head", "middle"}, {"head", "middle", "low"}, {"head", "middle", "low"}
    ]  # fmt: skip
    assert learning(0) == {"head"}, "after a roll-back they wait again"


def test_a_layer_that_waits_keeps_its_weights_and_its_memory_is_empty():
    model = Deep()
    rules = Optimisers(model, settings(unfreeze=0.5, weight_decay=0.5))
    rules.set_rate(LR)
    low = model.low.weight.detach().clone()
    rules.thaw(0, 10)
    model(torch.randn(8, 4)).square().sum().backward()
    rules.step()
    assert torch.equal(model.low.weight.detach(), low)
    assert not any(name.startswith("low.") for name in rules.state())
    assert any(name.startswith("head.") for name in rules.state())


def test_what_the_model_froze_for_good_is_never_thawed():
    model = Deep()
    model.low.requires_grad_(False)
    rules = Optimisers(model, settings(unfreeze=0.5))
    rules.thaw(100, 100)
    assert not model.low.weight.requires_grad and model.middle.weight.requires_grad


def test_orthogonal_directions_are_those_of_the_singular_value_decomposition():
    draw = torch.Generator().manual_seed(0)
    for shape in ((6, 40), (40, 6), (5, 5)):
        matrix = torch.randn(shape, generator=draw)
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        found = muon.orthogonal(matrix, torch.float32)
        turned = u.t() @ found @ v.t()
        assert (turned.diagonal() > 0.65).all() and (turned.diagonal() < 1.25).all()
        assert float((turned - turned.diagonal().diag()).abs().max()) < 1e-4
    assert not muon.orthogonal(torch.zeros(3, 4), torch.float32).any()


def test_three_iterations_turn_the_same_way_and_lift_small_singular_values_less():
    matrix = torch.randn((6, 40), generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.t() @ muon.orthogonal(matrix, torch.float32, 3) @ v.t()
    assert (turned.diagonal() > 0.4).all() and (turned.diagonal() < 1.25).all()
    assert float((turned - turned.diagonal().diag()).abs().max()) < 1e-4


def test_filters_of_a_convolution_move_like_the_matrix_of_their_rows(monkeypatch):
    monkeypatch.setattr(muon, "_FILTER_ITERATIONS", muon._ITERATIONS)
    conv, linear = nn.Conv2d(4, 6, 3, bias=False), nn.Linear(36, 6, bias=False)
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1))
    both = [(m, Optimisers(m, settings(optimiser="muon", weight_decay=DECAY))) for m in (conv, linear)]
    gradient = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    for module, optimisers in both:
        optimisers.set_rate(LR)
        module.weight.grad = gradient.view_as(module.weight).clone()
        optimisers.step()
    torch.testing.assert_close(conv.weight.flatten(1), linear.weight)
    conv.weight.grad = gradient.contiguous(memory_format=torch.channels_last)
    both[0][1].step()
