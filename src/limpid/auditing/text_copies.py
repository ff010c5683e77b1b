"""Does a text hold the answer: the name of its class, its number, or a word that only one class has?"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.seeds import generator
from limpid.data.leaks import Leak
from limpid.data.probe import Wanted

Array = npt.NDArray[Any]

_MOST_ROWS = 5_000
_HELD = 0.5  # share of texts that hold their own answer
_ALONE = 0.95  # of the texts that hold an answer, share that holds the right one
_TELLS = 0.98  # of a word: both its recall and its precision for a class
_FEWEST = 20


def find(texts: pl.Series, answer: Wanted, seed: int) -> Leak | None:
    """A suspect, or None.

    Args:
        texts: N cells.
        answer: the target of the same rows.
        seed: of the sample.
    """
    rows = np.flatnonzero(texts.is_not_null().to_numpy())
    if len(rows) > _MOST_ROWS:
        rows = np.sort(generator(seed, "audit", "texts").choice(rows, _MOST_ROWS, replace=False))
    if len(rows) < _FEWEST:
        return None
    cells = [str(t).casefold() for t in texts[rows].to_list()]
    if float(np.mean([" " in c for c in cells])) < 0.5:
        return None  # single words are what the search among categories is for
    some = answer.take(rows)
    return _numbers(texts.name, cells, some) if some.numbers is not None else _classes(texts.name, cells, some)


def _numbers(name: str, cells: list[str], answer: Wanted) -> Leak | None:
    assert answer.numbers is not None
    held = np.zeros(len(cells), dtype=bool)
    for n, (cell, value) in enumerate(zip(cells, answer.numbers, strict=True)):
        held[n] = any(_same(piece, float(value)) for piece in re.findall(r"-?\d+(?:[.,]\d+)*", cell))
    # Small whole numbers stand in texts for many reasons: shuffled answers say how often that is.
    shuffled = np.roll(answer.numbers, len(cells) // 2)
    luck = np.mean([
        any(_same(piece, float(value)) for piece in re.findall(r"-?\d+(?:[.,]\d+)*", cell))
        for cell, value in zip(cells, shuffled, strict=True)
    ])  # fmt: skip
    share = float(held.mean())
    if share < _HELD or share < 3 * float(luck):
        return None
    return _leak(name, f"{answer.name} stands in the text", f"{share:.1%} of the texts hold their own {answer.name}, "
                 f"{float(luck):.1%} by chance", share)  # fmt: skip


def _same(piece: str, value: float) -> bool:
    for text in (piece, piece.replace(",", ""), piece.replace(",", ".")):
        try:
            found = float(text)
        except ValueError:
            continue
        places = len(text.partition(".")[2])
        if abs(found - value) <= max(0.5 * 10**-places * (places > 0), 1e-9 * abs(value)):
            return True
    return False


def _classes(name: str, cells: list[str], answer: Wanted) -> Leak | None:
    assert answer.classes is not None
    return _named(name, cells, answer) or _word(name, cells, answer)


def _named(name: str, cells: list[str], answer: Wanted) -> Leak | None:
    """The name of the class stands in the text, and seldom that of another class."""
    assert answer.classes is not None
    usual = np.argsort(-np.bincount(answer.classes), kind="stable")[:20]
    own, others = np.zeros(len(cells), dtype=bool), np.zeros(len(cells), dtype=bool)
    for code in usual:
        label = answer.levels[code].casefold() if int(code) < len(answer.levels) else ""
        if not label:
            continue
        pattern = re.compile(rf"(?<!\w){re.escape(label)}(?!\w)")
        there = np.array([pattern.search(c) is not None for c in cells])
        mine = answer.classes == code
        own |= there & mine
        others |= there & ~mine
    share, wrong = float(own.mean()), float((others & ~own).mean())
    alone = share / (share + wrong) if share + wrong > 0 else 0.0
    usual_share = float(np.bincount(answer.classes).max() / len(answer.classes))
    if share < _HELD or alone < _ALONE or alone < usual_share + 0.5 * (1 - usual_share):
        return None
    said = f"{share:.1%} of the texts hold the name of their own class, {wrong:.1%} that of another alone"
    return _leak(name, f"{answer.name} stands in the text", said, share)


def _word(name: str, cells: list[str], answer: Wanted) -> Leak | None:
    """A single word that nearly all texts of a class have and nearly no others."""
    assert answer.classes is not None
    words = [set(re.findall(r"\w+", c)) for c in cells]
    counts = np.bincount(answer.classes)
    for code in np.argsort(-counts, kind="stable")[:20]:
        mine = answer.classes == code
        size = int(mine.sum())
        if size < _FEWEST or size > len(cells) - _FEWEST:
            continue
        inside: dict[str, int] = {}
        total: dict[str, int] = {}
        for bag, own in zip(words, mine, strict=True):
            for word in bag:
                total[word] = total.get(word, 0) + 1
                if own:
                    inside[word] = inside.get(word, 0) + 1
        best = max(inside, key=lambda w: 2 * inside[w] / (size + total[w]), default=None)
        if best is None or inside[best] < _TELLS * size or inside[best] < _TELLS * total[best]:
            continue
        label = answer.levels[code] if int(code) < len(answer.levels) else str(code)
        return _leak(
            name,
            f"one word of the text tells {answer.name}",
            f"the word {best!r} stands in {inside[best]:,} of {size:,} texts of {label!r} and in "
            f"{total[best] - inside[best]:,} others",
            inside[best] / size,
        )
    return None


def _leak(column: str, what: str, evidence: str, score: float) -> Leak:
    return Leak(
        "text",
        "warning",
        (column,),
        f"{column}: {what}",
        evidence,
        f"ask whether {column} is written before the answer is known; if not, take the words out, or leave it out",
        round(score, 6),
    )
