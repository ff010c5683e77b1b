"""What in the data gives the answer away? Suspects, each with its evidence and what to do; nothing is decided here.

copy        a column that equals the target, or renames it
predicts    a column that alone predicts the target almost perfectly on rows that the predictor has not seen
sum         numbers that add up to the target
duplicates  rows of one part of the split that stand in another one too
order       the place of a row in the file tells its target
group       rows that share a value (a person, a machine) share their target; they should not cross parts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from limpid.core.seeds import generator
from limpid.data.association import cramers_v, pearson, ranks, spearman
from limpid.data.probe import Wanted, halves, score
from limpid.data.views import View

CERTAIN = 0.995
"""ROC AUC or R2 from which a single column is a suspect (Kapoor and Narayanan 2023 describe how such leaks enter)."""

CLOSE_AUC, CLOSE_R2 = 0.98, 0.97
"""From here on a column is worth a look."""

MIN_ROWS = 50
SAMPLE = 20_000
SAMPLE_WIDE = 2_000
WIDE = 500
"""Tables with more columns than this are judged on a smaller sample."""


@dataclass(frozen=True)
class Leak:
    """One suspect.

    Args:
        kind: copy, predicts, sum, duplicates, order or group.
        level: "warning" (almost surely a leak) or "look" (a person should decide).
        columns: the columns that it is about.
        what: one sentence.
        evidence: the figures behind it.
        advice: what to do.
        score: ROC AUC, R2 or a share, where there is one.
    """

    kind: str
    level: str
    columns: tuple[str, ...]
    what: str
    evidence: str
    advice: str
    score: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The suspect as JSON."""
        return {**asdict(self), "columns": list(self.columns)}


def wanted(target: View) -> Wanted | None:
    """The target as the leak check reads it, with rows without a target left out by the caller; None where it has a
    single value."""
    if target.numbers is not None:
        return Wanted(target.name, numbers=target.numbers) if np.ptp(target.numbers) > 0 else None
    assert target.codes is not None
    if len(np.unique(target.codes)) < 2:
        return None
    return Wanted(target.name, classes=target.codes, levels=target.levels)


def find_leaks(
    views: Sequence[View],
    target: View,
    *,
    seed: int = 0,
) -> list[Leak]:
    """Look for columns, orders and groups that give one target away.

    Args:
        views: the other columns, N rows each in the order of the source, targets left out.
        target: the target column, N rows.
        seed: of the sample and of the halves that are learnt and judged.

    Returns:
        The suspects, the surest first; at most one of each kind for a column.
    """
    have = np.flatnonzero(~target.missing)
    if len(have) < MIN_ROWS:
        return []
    whole = wanted(target.take(have))
    if whole is None:
        return []
    limit = SAMPLE if len(views) <= WIDE else SAMPLE_WIDE
    pick = np.arange(len(have))
    if len(have) > limit:
        pick = np.sort(generator(seed, "leaks", "sample").choice(len(have), limit, replace=False))
    answer, rows = whole.take(pick), have[pick]
    fold = halves(len(rows), generator(seed, "leaks", "halves", target.name))
    found: list[Leak] = []
    sampled: list[View] = []
    for column in views:
        if column.kind == "constant":
            continue
        part = column.take(rows)
        leak = _single(part, answer, fold)
        sampled.append(part)
        if leak is not None:
            found.append(leak)
    flagged = {leak.columns[0] for leak in found}
    found += _sum(sampled, answer, fold, flagged)
    found += _groups(sampled, answer, fold, flagged)
    found += _order(whole, seed)
    return sorted(found, key=lambda leak: (leak.level != "warning", -(leak.score or 0.0), leak.columns))


def _single(column: View, answer: Wanted, fold: npt.NDArray[np.bool_]) -> Leak | None:
    value = score(column, answer, fold)
    copy = _copy(column, answer, value)
    if copy is not None:
        return copy
    close = CLOSE_AUC if answer.classes is not None else CLOSE_R2
    if value < close:
        return None
    sure = value >= CERTAIN
    measure = "ROC AUC" if answer.classes is not None else "R2"
    gap = column.missing
    hidden = ""
    if sure and 0 < gap.sum() < len(gap):
        alone = View(column.name, "category", codes=gap.astype(np.int64))
        if score(alone, answer, fold) >= CERTAIN:
            hidden = "; whether the cell is empty says as much"
    return Leak(
        "predicts",
        "warning" if sure else "look",
        (column.name,),
        f"{column.name} alone predicts {answer.name} {'almost perfectly' if sure else 'very well'}",
        f"{measure} {value:.4f} on rows that the predictor had not seen{hidden}",
        f"ask whether {column.name} is known at the moment of predicting; if not, leave it out: "
        f"--set data.columns.{_path(column.name)}.use=false",
        round(value, 6),
    )


def _path(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f"'{name}'"


def _copy(column: View, answer: Wanted, value: float) -> Leak | None:
    """The column equals the target or renames its values."""
    strength, how = 0.0, ""
    if answer.numbers is not None and column.numbers is not None and value > 0.95:
        r, rho = pearson(column.numbers, answer.numbers), spearman(column.numbers, answer.numbers)
        both = ~np.isnan(column.numbers)
        scale = max(float(np.abs(answer.numbers).max()), 1e-300)
        equal = np.abs(column.numbers[both] - answer.numbers[both]) <= 1e-9 * scale
        if both.mean() > 0.5 and equal.mean() > 0.99:
            strength, how = float(equal.mean()), f"equal in {_percent(equal.mean())} of the rows that have both"
        elif abs(r) > 0.9995:
            strength, how = abs(r), f"Pearson's r {r:.5f}: the same number in another unit"
        elif abs(rho) > 0.9995:
            strength, how = abs(rho), f"Spearman's rho {rho:.5f}: one rises whenever the other does"
    elif answer.classes is not None and value > 0.95:
        # Some exports write the classes as numbers beside their names; then the levels are what to compare.
        codes = column.codes
        if codes is None and column.numbers is not None:
            values, codes = np.unique(column.numbers, return_inverse=True)
            codes = np.where(np.isnan(column.numbers), -1, codes).astype(np.int64)
            if len(values) > 1000:
                return None
        assert codes is not None
        levels, classes = len(np.unique(codes[codes >= 0])), len(np.unique(answer.classes))
        if levels <= 2 * classes and (codes >= 0).mean() > 0.5:
            v = cramers_v(codes, answer.classes)
            if v > 0.99 and levels >= classes:
                strength, how = v, f"{levels} values stand for the {classes} classes, Cramer's V {v:.4f}"
    if not how:
        return None
    return Leak(
        "copy",
        "warning",
        (column.name,),
        f"{column.name} is a near copy of {answer.name}",
        how,
        f"leave it out: --set data.columns.{_path(column.name)}.use=false",
        round(strength, 6),
    )


def _sum(columns: Sequence[View], answer: Wanted, fold: npt.NDArray[np.bool_], flagged: set[str]) -> list[Leak]:
    """Numbers whose weighted sum is the target, found greedily (orthogonal matching pursuit) on half of the rows."""
    usable = [c for c in columns if c.kind == "number" and c.numbers is not None and c.name not in flagged]
    usable = [c for c in usable if c.missing.mean() < 0.2][:200]
    if answer.numbers is None or len(usable) < 2 or len(fold) < 10 * len(usable):
        return []
    x = np.column_stack([np.where(c.missing, np.nanmean(c.numbers), c.numbers) for c in usable])  # type: ignore[arg-type]
    x = x / np.maximum(np.abs(x).max(axis=0), 1e-300)
    x = x - x[fold].mean(axis=0)
    x = x / np.maximum(x[fold].std(axis=0), 1e-12)
    y = answer.numbers / max(float(np.abs(answer.numbers).max()), 1e-300)
    y = y - y[fold].mean()
    chosen: list[int] = []
    left = y[fold]
    weights = np.zeros(0)
    for _ in range(min(6, len(usable))):
        gain = np.abs(x[fold].T @ left)
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
        weights = np.linalg.lstsq(x[fold][:, chosen], y[fold], rcond=None)[0]
        left = y[fold] - x[fold][:, chosen] @ weights
        r2 = 1.0 - float(((y[~fold] - x[~fold][:, chosen] @ weights) ** 2).sum() / max((y[~fold] ** 2).sum(), 1e-300))
        if r2 > 0.9999 and len(chosen) > 1:
            names = tuple(usable[i].name for i in chosen)
            return [
                Leak(
                    "sum",
                    "warning",
                    names,
                    f"{answer.name} is a weighted sum of {', '.join(names)}",
                    f"R2 {r2:.6f} on rows that the sum was not fitted to",
                    f"leave out those of them that are not known at the moment of predicting, for example "
                    f"--set data.columns.{_path(names[0])}.use=false",
                    round(r2, 6),
                )
            ]
    return []


def _groups(columns: Sequence[View], answer: Wanted, fold: npt.NDArray[np.bool_], flagged: set[str]) -> list[Leak]:
    """Columns of repeated names or ids within whose groups the target hardly varies."""
    found: list[Leak] = []
    rows = len(fold)
    for column in columns:
        if column.name in flagged or column.kind in ("date", "labels"):
            continue
        codes = column.codes
        if codes is None:
            assert column.numbers is not None
            numbers = column.numbers
            if np.any(numbers[~np.isnan(numbers)] % 1 != 0):
                continue
            codes = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
            codes = np.where(np.isnan(numbers), -1, codes)
        known = codes[codes >= 0]
        if known.size < rows / 2:
            continue
        sizes = np.bincount(known)
        repeated = sizes[sizes >= 2]
        if len(repeated) < max(20, rows // 200) or repeated.sum() < rows / 2 or np.median(repeated) > rows / 20:
            continue
        by_group = score(View(column.name, "category", codes=codes), answer, fold)
        plain = score(column, answer, fold) if column.numbers is not None else None
        base = 0.5 if answer.classes is not None else 0.0
        strength = (by_group - base) / (1.0 - base)
        smooth = ((plain if plain is not None else base) - base) / (1.0 - base)
        if strength > 0.5 and strength - smooth > 0.3:
            measure = "ROC AUC" if answer.classes is not None else "R2"
            found.append(
                Leak(
                    "group",
                    "look",
                    (column.name,),
                    f"rows of the same {column.name} share their {answer.name}",
                    f"{len(repeated):,} groups of two rows or more; the other rows of a group predict the target with "
                    f"{measure} {by_group:.3f}",
                    f"if new rows will come from new groups, keep a group in one part: "
                    f"--set split.group={_path(column.name)}",
                    round(by_group, 6),
                )
            )
    return found


def _order(answer: Wanted, seed: int) -> list[Leak]:
    """Whether the place in the file, or the neighbour in the file, tells the target."""
    if answer.numbers is not None:
        by_place = abs(spearman(np.arange(len(answer), dtype=np.float64), answer.numbers))
        measure, limit = "Spearman's rho", 0.99
    else:
        pick = np.arange(len(answer))
        if len(pick) > SAMPLE:
            pick = np.sort(generator(seed, "leaks", "order").choice(len(pick), SAMPLE, replace=False))
        fold = halves(len(pick), generator(seed, "leaks", "order halves"))
        # Few wide bins: fine ones would find the neighbours of every slow change, which is the other test's business.
        bins = (np.arange(len(pick)) * 20 // len(pick)).astype(np.int64)
        by_place = score(View("row", "category", codes=bins), answer.take(pick), fold)
        measure, limit = "ROC AUC", 0.95
    if by_place >= limit:
        return [
            Leak(
                "order",
                "warning",
                (),
                f"the order of the rows gives {answer.name} away: the file is sorted by it",
                f"the place in the file alone reaches {measure} {by_place:.3f}",
                "a random split is safe; never use the row number, or an id that counts rows, as an input",
                round(by_place, 6),
            )
        ]
    alike, by_chance, sigma = neighbours(answer)
    above = (alike - by_chance) / (1.0 - by_chance)
    if above < 0.3 or sigma < 8:
        return []
    said = (
        f"neighbouring rows have the same class in {_percent(alike)} of cases, {_percent(by_chance)} by chance"
        if answer.classes is not None
        else f"the correlation of {answer.name} with the row before is {alike:.3f}"
    )
    return [
        Leak(
            "order",
            "look",
            (),
            f"neighbouring rows have alike {answer.name}",
            said,
            "if the rows stand in order of time and new rows will come later, a random split flatters the model: "
            "--set split.how=time --set split.time=COLUMN, or --set split.group=COLUMN where they belong together",
            round(alike, 6),
        )
    ]


def neighbours(answer: Wanted) -> tuple[float, float, float]:
    """How alike neighbouring rows are, what chance would give, and how many standard deviations lie between."""
    n = len(answer) - 1
    if answer.classes is not None:
        shares = np.bincount(answer.classes) / (n + 1)
        chance = float((shares**2).sum())
        alike = float((answer.classes[1:] == answer.classes[:-1]).mean())
        return alike, chance, (alike - chance) / max(np.sqrt(chance * (1 - chance) / n), 1e-12)
    assert answer.numbers is not None
    place = ranks(answer.numbers)
    r = pearson(place[1:], place[:-1])
    return r, 0.0, r * float(np.sqrt(n))


def duplicates_across(frame: pl.DataFrame, parts: npt.NDArray[Any], target: Sequence[str]) -> list[Leak]:
    """Rows of the validation or test part whose inputs stand in the training part too.

    Args:
        frame: N rows: inputs and targets, without keys.
        parts: (N,) "train", "valid" or "test"; anything else is left out.
        target: names of the target columns.
    """
    inputs = [name for name in frame.columns if name not in target]
    if not inputs:
        return []
    marks = frame.select(inputs).hash_rows(seed=0).to_numpy()
    names = np.asarray(parts).astype(str)
    known = np.unique(marks[names == "train"])
    rows = int((names == "train").sum())
    if rows == 0:
        return []
    within = 1.0 - len(known) / rows
    found: list[Leak] = []
    for part in ("valid", "test"):
        own = marks[names == part]
        if own.size == 0:
            continue
        count = int(np.isin(own, known).sum())
        if count == 0:
            continue
        share = count / own.size
        natural = within > 0.5 * share and within > 0.01
        found.append(
            Leak(
                "duplicates",
                "warning" if share >= 0.01 and not natural else "look",
                (),
                f"{count:,} of {own.size:,} rows of the {part} part stand in the training part too",
                f"{_percent(share)} of that part, compared on all inputs"
                + (f"; the training part repeats itself in {_percent(within)} of its rows" if within > 0.001 else ""),
                "keep copies in one part, remove them before training, or read the score as one on partly known rows",
                round(share, 6),
            )
        )
    return found


def _percent(share: float | np.floating[Any]) -> str:
    return f"{100 * float(share):.2f} %" if share < 0.1 or share > 0.99 else f"{100 * float(share):.1f} %"
