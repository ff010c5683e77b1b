"""Nets of the catalogue made small, and made-up rows for each form that they read."""

import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.forms import Fields, FieldsShape, Grid, GridShape, Seq, SeqShape
from limpid.core.spec import parse
from limpid.nets import CATALOGUE

TABLE = FieldsShape(
    numbers=("a", "b", "c"), can_miss=(False, True, False), categories=("d", "e"), cardinalities=(5, 300)
)
TEXT = SeqShape(vocabulary=64, length=9)


def grid(channels, height, width):
    return GridShape(channels=channels, height=height, width=width, mean=(120.0,) * channels, std=(60.0,) * channels)


VARIANTS = {
    "fields": {
        "mixed": TABLE,
        "numbers only": TABLE.with_(categories=(), cardinalities=()),
        "categories only": TABLE.with_(numbers=(), can_miss=()),
        "nothing missing": TABLE.with_(can_miss=(False,) * 3),
        "one number": FieldsShape(numbers=("a",), can_miss=(False,)),
        "one category": FieldsShape(categories=("d",), cardinalities=(2,)),
    },
    "seq": {"tokens": TEXT, "vectors": SeqShape(width=6, length=9), "one token": SeqShape(vocabulary=3, length=1)},
    "grid": {
        "colour 32x32": grid(3, 32, 32),
        "grey 8x8": grid(1, 8, 8),
        "tiny 1x3": grid(1, 1, 3),
        "tall 40x12": grid(3, 40, 12),
    },
}
SIZES = {
    "few rows": Size(rows=120, outputs=2, task="classification"),
    "a budget": Size(rows=20_000, outputs=1, task="regression", seconds=40),
    "hurry": Size(rows=2_000_000, outputs=7, task="classification", seconds=5, flops_per_second=1e10),
}
SMALL = {
    "tabm": {"members": 4, "width": 64},
    "ft_transformer": {"width": 32, "blocks": 1},
    **{name: {"dropout": 0.0} for name in ("rnn", "lstm", "gru", "textcnn", "transformer")},
    "resnet": {"widths": (16, 32, 32)},
    "cnn": {"width": 8},
    "vit": {"width": 32, "blocks": 2, "patch": 4},
    "inceptiontime": {"ensemble": 2, "filters": 8},
    "convkernel": {"features": 840},
}
# A backbone is made from a checkpoint, not from a spec alone: its own tests make small ones.
ENTRIES = [entry for entry in CATALOGUE if entry.name != "backbone"]
NETS = [entry.name for entry in ENTRIES]


def readable(name):
    """Names of the variants that a net reads: of a seq, some read only tokens or only values."""
    kind = CATALOGUE.load(name, where="test")
    content = {n: "values" if getattr(s, "width", None) else "tokens" for n, s in VARIANTS[kind.takes].items()}
    return [n for n in content if kind.takes != "seq" or content[n] in getattr(kind, "reads", {"tokens", "values"})]


SEQ_CASES = [
    pytest.param(entry.name, name, id=f"{entry.name}-{name}")
    for entry in ENTRIES
    if CATALOGUE.load(entry.name, where="test").takes == "seq"
    for name in ("tokens", "vectors")
    if name in readable(entry.name)
]
CASES = [
    pytest.param(entry.name, name, id=f"{entry.name}-{name}") for entry in ENTRIES for name in readable(entry.name)
]


def kind_of(name):
    return CATALOGUE.load(name, where="test")


def shape_of(name, variant=None):
    variants = VARIANTS[kind_of(name).takes]
    return variants[variant or readable(name)[0]]


def learns(name):
    """Whether anything in the net is found by gradients."""
    return any(True for _ in build(name, shape_of(name)).parameters())


def example(shape, rows, seed=0):
    draws = torch.Generator().manual_seed(seed)
    if isinstance(shape, FieldsShape):
        missing = (torch.rand(rows, len(shape.numbers), generator=draws) < 0.3).float()
        missing = missing * torch.tensor(shape.can_miss, dtype=torch.float32)
        numbers = torch.randn(rows, len(shape.numbers), generator=draws) * (1 - missing)
        codes = torch.rand(rows, len(shape.cardinalities), generator=draws)
        return Fields(numbers, missing, (codes * torch.tensor(shape.cardinalities)).long())
    if isinstance(shape, GridShape):
        return Grid(torch.randn(rows, shape.channels, shape.height, shape.width, generator=draws))
    count = torch.randint(0, shape.length + 1, (rows, 1), generator=draws)
    mask = torch.arange(shape.length) < count
    if shape.vocabulary is None:
        return Seq(mask=mask, values=torch.randn(rows, shape.length, shape.width, generator=draws))
    tokens = torch.randint(1, shape.vocabulary, (rows, shape.length), generator=draws)
    return Seq(mask=mask, tokens=tokens * mask)


def moved(form, device):
    return type(form)(**{k: None if v is None else v.to(device) for k, v in vars(form).items()})


def check_bf16(name, device):
    """bf16 products give about the answers of single precision, and gradients that are finite."""
    shape = shape_of(name)
    net = made(name, shape).eval().to(device)
    form = moved(example(shape, 100), device)
    with torch.no_grad():
        full = net(form)
        with torch.autocast(device, dtype=torch.bfloat16):
            half = net(form)
    assert float((half.float() - full).square().mean().sqrt()) < 0.03 * float(full.std())
    if not learns(name):
        return
    with torch.autocast(device, dtype=torch.bfloat16):
        loss = net.train()(form).float().square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def take(form, index):
    return type(form)(**{k: None if v is None else v[index] for k, v in vars(form).items()})


def build(name, shape, *, size="a budget", seed=0, **settings):
    kind = kind_of(name)
    if isinstance(shape, GridShape):
        settings = {**SMALL[name], **settings}  # convolutions of the planned size take seconds on one thread
    spec, _ = kind.plan(parse(kind.Spec, settings, where="net"), shape, SIZES[size])
    torch.manual_seed(seed)
    return kind(spec, shape)


def made(name, shape, **settings):
    net = build(name, shape, **settings)
    form = example(shape, 200, seed=1)
    net.prepare(form, torch.randint(0, 2, (200,), generator=torch.Generator().manual_seed(2)))
    return net
