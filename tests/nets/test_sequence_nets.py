"""rnn, lstm, gru, textcnn, transformer and fasttext: what sets each of them apart."""

import pytest
import torch

from limpid.core.contracts import Size
from limpid.core.forms import Seq, SeqShape
from limpid.nets.fasttext import FastText
from limpid.nets.gru import GRU
from limpid.nets.lstm import LSTM
from limpid.nets.rnn import RNN
from limpid.nets.textcnn import TextCNN
from limpid.nets.transformer import Transformer

pytestmark = pytest.mark.slow

SIZE = Size(rows=5_000, outputs=2, task="classification")
TEXT = SeqShape(vocabulary=40, length=8)
ORDERED = [RNN, LSTM, GRU, TextCNN, Transformer, FastText]


def build(kind, shape=TEXT, **settings):
    torch.manual_seed(0)
    return kind(kind.plan(kind.Spec(**settings), shape, SIZE)[0], shape).eval()


def seq(*rows):
    tokens = torch.tensor(rows)
    return Seq(mask=tokens != 0, tokens=tokens)


@pytest.mark.parametrize("kind", ORDERED)
def test_the_order_of_words_matters(kind):
    one, two = build(kind)(seq([3, 9, 4, 7, 0], [7, 4, 9, 3, 0]))
    assert not torch.allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("kind", ORDERED)
def test_an_order_of_words_is_learnt(kind):
    # Which of two words comes first: no sum of words can tell.
    draws = torch.Generator().manual_seed(1)
    tokens = torch.randint(4, 40, (256, 8), generator=draws)
    first = torch.rand(256, generator=draws) < 0.5
    tokens[:, 3] = torch.where(first, 2, 3)
    tokens[:, 4] = torch.where(first, 3, 2)
    net, head = build(kind, dropout=0.0).train(), torch.nn.Linear(build(kind).width, 2)
    optimiser = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=0.02 if kind is FastText else 0.005)
    target = first.long()
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(head(net(seq(*tokens.tolist()))), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2


def test_the_published_windows_and_patterns():
    spec, because = TextCNN.plan(TextCNN.Spec(), TEXT, SIZE)
    assert (spec.windows, spec.patterns, spec.dropout) == ((3, 4, 5), 100, 0.5)
    assert "published: 100" in because["patterns"]


def test_patterns_are_those_of_a_plain_convolution():
    net = build(TextCNN, SeqShape(width=6, length=8), windows=(3,), dropout=0.0)
    values = torch.randn(2, 8, 6)
    y = net(Seq(mask=torch.ones(2, 8, dtype=torch.bool), values=values))
    plain = torch.nn.functional.conv1d(
        values.transpose(1, 2), net.convolutions[0].weight, net.convolutions[0].bias, padding=1
    )
    torch.testing.assert_close(y, torch.relu(plain.amax(dim=2)))


def test_gru_has_a_quarter_fewer_recurrent_weights_than_lstm():
    gru, lstm = build(GRU, width=32), build(LSTM, width=32)
    assert gru.layers[0].recurrent_weight.numel() * 4 == lstm.layers[0].recurrent_weight.numel() * 3


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_layers_directions_and_pooling_can_be_chosen(kind):
    net = build(kind, layers=2, bidirectional=False, pooling="max", width=16)
    assert net.width == 16 and len(net.layers) == 2
    assert net(seq([3, 9, 4])).shape == (1, 16)


def test_long_sequences_and_short_time_make_narrow_nets():
    long = SeqShape(vocabulary=40, length=512)
    hurry = Size(rows=500_000, outputs=2, task="classification", seconds=20)
    assert GRU.plan(GRU.Spec(), long, hurry)[0].width < GRU.plan(GRU.Spec(), TEXT, SIZE)[0].width
    assert Transformer.plan(Transformer.Spec(), long, hurry)[0].width < 128


def test_a_width_that_heads_do_not_divide_is_refused():
    from limpid.core.errors import RequestError
    from limpid.core.spec import parse

    with pytest.raises(RequestError, match="divide"):
        parse(Transformer.Spec, {"width": 20, "heads": 4}, where="net")


def test_fasttext_is_the_mean_of_words_and_pairs():
    net = build(FastText, ngrams=2, buckets=64)
    form = seq([5, 9, 5, 0])
    words, pairs = net._index(form.tokens)
    assert words.tolist() == [[5, 9, 5, 0]] and pairs[0, 2] == 0
    assert pairs[0, 0] != pairs[0, 1], "5 9 and 9 5 are different pairs"
    rows = torch.cat([words[0, :3], pairs[0, :2]])
    torch.testing.assert_close(net(form)[0], net.embedding[rows].mean(dim=0))


def test_pairs_spread_over_their_buckets():
    net = build(FastText, SeqShape(vocabulary=400, length=2), buckets=100)
    left, right = torch.meshgrid(torch.arange(1, 200), torch.arange(1, 200), indexing="ij")
    pairs = net._index(torch.stack([left.flatten(), right.flatten()], dim=1))[1]
    counts = torch.bincount(pairs.flatten() - 400, minlength=100).double()
    expected = counts.sum() / 100
    assert len(counts) == 100
    assert 50 < float(((counts - expected).square() / expected).sum()) < 160  # chi squared of 99 degrees of freedom
