"""ngrams: members that weigh tokens by what they speak for, beside bags of vectors."""

import torch

from limpid.core.contracts import Size
from limpid.core.forms import Seq, SeqShape
from limpid.nets.ngrams import Ngrams

SIZE = Size(rows=5_000, outputs=2, task="classification")
WORDS = SeqShape(vocabulary=40, length=8)
PIECES = SeqShape(vocabulary=40, length=8, pieces=20)


def build(shape=WORDS, **settings):
    torch.manual_seed(0)
    return Ngrams(Ngrams.plan(Ngrams.Spec(**settings), shape, SIZE)[0], shape).eval()


def seq(*rows):
    tokens = torch.tensor(rows)
    return Seq(mask=tokens != 0, tokens=tokens)


def test_pieces_have_members_of_their_own():
    assert build().members == 2 and build(PIECES).members == 4
    words, pieces = build(PIECES)._index(seq([3, 4, 25, 26, 0], [5, 31, 0, 0, 0]))
    assert pieces[0].tolist() == [0, 0, 25, 26] and pieces[1].tolist() == [0, 31, 0, 0]
    assert words[0, :2].tolist() == [3, 4] and words[1, 0] == 5
    assert (words[:, 2:] > 40).sum(dim=1).tolist() == [1, 0], "one pair of words, and none of a word and a piece"


def test_the_order_of_words_matters_through_their_pairs():
    one, two = build()(seq([3, 9, 4, 7], [7, 4, 9, 3]))
    assert not torch.allclose(one, two, atol=1e-5)
    plain = build(pairs=False)(seq([3, 9, 4, 7], [7, 4, 9, 3]))
    torch.testing.assert_close(plain[0], plain[1])


def test_scores_alone_tell_a_class_before_the_first_step():
    draws = torch.Generator().manual_seed(1)
    classes = torch.randint(0, 2, (400,), generator=draws)
    tokens = torch.randint(4, 40, (400, 8), generator=draws)
    tokens[:, 2] = torch.where(torch.rand(400, generator=draws) < 0.8, 2 + classes, tokens[:, 2])
    net = build()
    net.prepare(seq(*tokens.tolist()), classes)
    with torch.inference_mode():
        weighed = net(seq(*tokens.tolist()))[:, 0]
    assert ((weighed[:, 1] > weighed[:, 0]).long() == classes).float().mean() > 0.85
    assert weighed[:, 2:].abs().max() == 0, "what is not a score is empty"
    assert 1.0 < float(weighed[:, :2].std()) < 4.0


def test_tokens_of_a_single_row_are_passed_over():
    net = build()
    net.prepare(seq([3, 5, 0], [3, 6, 0], [3, 7, 0], [3, 7, 0]), torch.tensor([0, 1, 0, 1]))
    assert net.kept[[3, 7]].tolist() == [1, 1] and net.kept[[5, 6]].tolist() == [0, 0]
    found = net(seq([5, 0, 0], [0, 0, 0]))
    torch.testing.assert_close(found[0], found[1])


def test_sizes_follow_from_rows_and_outputs():
    spec, because = Ngrams.plan(Ngrams.Spec(), SeqShape(vocabulary=1 << 16, length=300), SIZE)
    assert spec.scores == 2 and spec.buckets == 1 << 17 and spec.token_width == 21
    many = Size(rows=1_000_000, outputs=500, task="classification")
    spec, because = Ngrams.plan(Ngrams.Spec(), SeqShape(vocabulary=1 << 17, length=300), many)
    assert spec.scores == 32 and spec.buckets == 1 << 18 and "32 at most" in because["scores"]
    assert "refit" not in Ngrams.train_defaults(spec, WORDS, many)[0]
    assert Ngrams.train_defaults(spec, WORDS, SIZE)[0]["refit"] is True
