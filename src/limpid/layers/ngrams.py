"""Neighbouring tokens as tokens of their own, and how each token speaks for a class or a value.

Legend: B and N examples, T positions, V ids, S scores of a token.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_FIRST, _SECOND = 1_000_003, -7_046_029_254_386_353_131  # odd factors of the hash; products wrap around at 64 bits
_ROWS = 4_096
_SEEN = 1.0
_SHRINK = 5.0


def neighbours(tokens: Tensor, size: int, buckets: int) -> Tensor:
    """Ids of all runs of `size` neighbouring tokens, by their hash.

    Args:
        tokens: (B,T) ids, 0 behind the last one of a row.
        size: tokens of a run, 2 or more.
        buckets: number of ids; runs share one by chance where there are few.

    Shapes and units:
        (B,T-size+1), from 1 to `buckets`; 0 where a run would reach beyond the last token. Empty for short rows.

    Example:
        >>> neighbours(torch.tensor([[3, 7, 3, 7, 0]]), 2, 1000)[0, 0] == neighbours(torch.tensor([[3, 7]]), 2, 1000)
        tensor([[True]])
    """
    key = tokens
    for _ in range(size - 1):
        if key.shape[1] < 2:
            return tokens.new_zeros(len(tokens), 0)
        last = tokens[:, tokens.shape[1] - key.shape[1] + 1 :]
        key = (key[:, :-1] * _FIRST + last) * _SECOND
    last = tokens[:, size - 1 :]
    return torch.where(last != 0, (key ^ (key >> 29)) % buckets + 1, 0)


def present(tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each token of each example once: rows and ids, a few thousand examples at a time.

    Args:
        tokens: (N,T) ids, 0 for none.
    """
    for start in range(0, len(tokens), _ROWS):
        ordered = tokens[start : start + _ROWS].sort(dim=1).values
        first = ordered != 0
        first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        row, place = first.nonzero(as_tuple=True)
        yield row + start, ordered[row, place]


def indicators(target: Tensor, scores: int) -> tuple[Tensor, bool]:
    """What the tokens of an example may speak for: (N,S), and whether it holds shares of 0 to 1 or standardised values.

    Args:
        target: (N) classes, (N,K) labels of 0 and 1, or (N) or (N,R) values.
        scores: S. Where there are more classes or columns than that, several of them share one.
    """
    if not target.is_floating_point():
        classes = int(target.max()) + 1 if len(target) else 1
        column = target.long() if classes <= scores else target.long() % (scores + 1) - 1
        found = torch.zeros(len(target), scores + 1, device=target.device)
        return found.scatter_(1, column.remainder(scores + 1).view(-1, 1), 1.0)[:, :scores], True
    values = target.float().view(len(target), -1)
    shares = bool(((values == 0) | (values == 1)).all())
    if not shares:
        values = (values - values.mean(dim=0)) / values.std(dim=0, correction=0).clamp_min(1e-6)
    folded = values.new_zeros(len(values), scores)
    folded.index_add_(1, torch.arange(values.shape[1], device=values.device) % scores, values)
    return (folded.clamp(max=1.0) if shares else folded), shares


def scores(tokens: Tensor, target: Tensor, vocabulary: int, count: int, least: int) -> tuple[Tensor, Tensor]:
    """How each token speaks for a class or a value, and in how many examples it stands.

    Of classes and labels it is the log of the ratio of the token's share among the tokens of the class and of the
    others, one example more being counted of each (naive Bayes; as features of a linear model: Wang & Manning 2012,
    "Baselines and bigrams"). Of values it is the mean of the standardised values of the examples that hold the token,
    shrunk towards 0 as if there were five more of them.

    Args:
        tokens: (N,T) ids, 0 for none; a token counts once in an example.
        target: of the N examples, see `indicators`.
        vocabulary: V.
        count: S.
        least: examples that a token must stand in; rarer ones have the score 0 and say nothing of the others.

    Shapes and units:
        scores (V,S) float32, examples (V) float32.
    """
    wanted, shares = indicators(target, count)
    sums = torch.zeros(vocabulary, count, device=tokens.device)
    examples = torch.zeros(vocabulary, device=tokens.device)
    for row, token in present(tokens):
        sums.index_add_(0, token, wanted[row])
        examples += torch.bincount(token, minlength=vocabulary)
    kept = (examples >= least).unsqueeze(1)
    if not shares:
        return torch.where(kept, sums / (examples.unsqueeze(1) + _SHRINK), 0.0), examples
    inside = torch.where(kept, sums + _SEEN, 0.0)
    outside = torch.where(kept, examples.unsqueeze(1) - sums + _SEEN, 0.0)
    among, beside = inside / inside.sum(dim=0).clamp_min(_SEEN), outside / outside.sum(dim=0).clamp_min(_SEEN)
    return torch.where(kept, (among.clamp_min(1e-30) / beside.clamp_min(1e-30)).log(), 0.0), examples
