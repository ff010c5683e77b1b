"""Data in which it is known what decides: columns, a word, a mark in a picture."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import polars as pl
from PIL import Image

FILLER = np.array("river stone cloud paper green small quick north table light under bread paint glass".split())
SIDE, MARK = 32, 8


def table(seed: int, rows: int = 700) -> tuple[pl.DataFrame, set[str]]:
    """A table of eight columns of which two to four decide, one by one or only together."""
    g = np.random.default_rng(seed)
    numbers = {f"n{k}": g.normal(size=rows) for k in range(5)}
    classes = {f"c{k}": g.choice(["red", "blue", "green"], rows) for k in range(3)}
    names = [*g.permutation(list(numbers)), *g.permutation(list(classes))]
    a, b, c = (numbers[n] for n in names[:3])
    red = np.where(classes[names[5]] == "red", 1.0, -0.5)
    kind = seed % 5
    if kind == 0:
        true, y = [names[0], names[1]], 2 * a * b
    elif kind == 1:
        true, y = [names[0], names[1], names[5]], a + 1.5 * red * b
    elif kind == 2:
        true, y = [names[0], names[1], names[2]], 1.5 * np.sin(2 * a) + b + np.abs(c)
    elif kind == 3:
        true, y = [names[0], names[5]], 1.5 * a * red
    else:
        true, y = [*names[:3], names[5]], a + b + c + red
    y = y + g.normal(0, 0.2, rows)
    target = pl.Series("y", y) if seed % 2 else pl.Series("y", np.where(y > np.median(y), "high", "low"))
    return pl.DataFrame({**numbers, **classes}).with_columns(target), {str(n) for n in true}


def texts(seed: int, rows: int = 400) -> tuple[pl.DataFrame, list[str]]:
    """Texts of six to sixteen words, one of them the planted word that decides; and that word of each."""
    g = np.random.default_rng(seed)
    found, planted = [], []
    for n in range(rows):
        words = list(g.choice(FILLER, g.integers(6, 17)))
        word = str(g.choice(["happy", "merry"] if n % 2 else ["gloomy", "bitter"]))
        words[g.integers(len(words))] = word
        found.append(" ".join(words))
        planted.append(word)
    return pl.DataFrame({"text": found, "mood": ["up" if n % 2 else "down" for n in range(rows)]}), planted


def pictures(seed: int, rows: int = 600) -> tuple[pl.DataFrame, list[tuple[int, int]]]:
    """Pictures of noise with an 8x8 mark somewhere, rings or stripes, that decides; and where it is (top, left)."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[0:MARK, 0:MARK]
    marks = [np.where((x // 2) % 2, 255, 0), np.where((y // 2) % 2, 255, 0)]
    cells, places = [], []
    for n in range(rows):
        pixels = g.normal(128, 20, (SIDE, SIDE))
        top, left = (int(v) for v in g.integers(0, SIDE - MARK + 1, 2))
        pixels[top : top + MARK, left : left + MARK] = marks[n % 2]
        file = BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
        cells.append(file.getvalue())
        places.append((top, left))
    return pl.DataFrame({"picture": cells, "kind": ["tall" if n % 2 == 0 else "flat" for n in range(rows)]}), places
