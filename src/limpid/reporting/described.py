"""The data as a page shows them: columns with evidence and small histograms, target, pairs, duplicates, leaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from limpid.reporting.drawing import spark
from limpid.reporting.figures import MEASURES, Figure, associations, balance, histogram
from limpid.reporting.shown import columns_shown
from limpid.reporting.wording import capped, listing, mapping, number, percent, plain, plural, real

MAX_COLUMNS, MAX_PAIRS, MAX_LEAKS, MAX_REPAIRS = 80, 20, 30, 50


def described(profile: Mapping[str, Any], because: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the templates need of a profile.

    Args:
        profile: the record of `limpid.data.profile.profile`.
        because: reasons of the plan by dotted path, where the profile itself holds no evidence.
    """
    columns = [mapping(c) for c in listing(profile.get("columns"))]
    target = mapping(profile.get("target"))
    names = {str(n) for n in listing(target.get("names"))}
    # The target first, then what goes with it most: a reader of a wide table sees what matters.
    order = sorted(columns, key=lambda c: (str(c.get("name")) not in names, -_strength(c)))
    shown, more = capped(order, MAX_COLUMNS)
    pairs, more_pairs = capped(listing(profile.get("correlations")), MAX_PAIRS)
    leaks, more_leaks = capped(listing(profile.get("leaks")), MAX_LEAKS)
    repairs, more_repairs = capped(listing(profile.get("repairs")), MAX_REPAIRS)
    duplicates = mapping(profile.get("duplicates"))
    return {
        "rows": int(real(profile.get("total_rows")) or real(profile.get("rows")) or 0),
        "looked_at": int(real(profile.get("sampled_rows")) or real(profile.get("rows")) or 0),
        "notes": [plain(n, 300) for n in listing(profile.get("notes"))],
        "training": profile.get("part") == "train",
        "count": len(columns),
        "kinds": _kinds(columns),
        "columns": [_column(c, names, because or {}) for c in shown],
        "shown": columns_shown(columns),
        "more_columns": more,
        "targets": [plain(n, 60) for n in names],
        "pairs": [_pair(mapping(p)) for p in pairs],
        "more_pairs": more_pairs,
        "duplicates": int(real(duplicates.get("rows")) or 0),
        "duplicates_share": duplicates.get("share"),
        "contradictions": int(real(duplicates.get("contradictions")) or 0),
        "leaks": [_leak(mapping(leak)) for leak in leaks],
        "more_leaks": more_leaks,
        "checked": bool(names),
        "repairs": [mapping(r) for r in repairs],
        "more_repairs": more_repairs,
    }


def target_figures(profile: Mapping[str, Any]) -> dict[str, Figure | None]:
    """The figures of the first target: its classes or histogram, and what goes with it."""
    target = mapping(profile.get("target"))
    records = [mapping(r) for r in listing(target.get("columns"))]
    if not records:
        return {"target": None, "associations": None}
    first = records[0]
    drawn = (
        balance(first)
        if first.get("balance")
        else histogram(mapping(first.get("histogram")), str(first.get("name", "")))
    )
    columns = [mapping(c) for c in listing(profile.get("columns"))]
    return {"target": drawn, "associations": associations(columns, str(first.get("name", "")))}


def _strength(column: Mapping[str, Any]) -> float:
    return abs(real(mapping(column.get("association")).get("value")) or 0.0)


def _kinds(columns: list[Mapping[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for column in columns:
        kind = plain(column.get("kind"), 16)
        counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(counts.items(), key=lambda item: -item[1]))


def _column(column: Mapping[str, Any], targets: set[str], because: Mapping[str, Any]) -> dict[str, Any]:
    name = str(column.get("name", ""))
    path = f"data.columns.{name}"
    notes = []
    codes = mapping(column.get("missing_codes"))
    if codes:
        notes.append(
            f"taken as missing: {plain(', '.join(f'{plain(c, 14)} ({number(n)}×)' for c, n in codes.items()), 100)}"
        )
    if real(column.get("unreadable")):
        unread = plural(int(real(column["unreadable"]) or 0), "cell")
        notes.append(f"{unread} could not be read as {plain(column.get('kind'), 12)}")
    if real(column.get("outliers")):
        notes.append(f"{number(column['outliers'])} beyond three interquartile ranges")
    if column.get("near_constant"):
        notes.append(f"{percent(column.get('most_common_share'))} of the cells are one value")
    if column.get("use") is False and name not in targets:
        notes.append(f"left out: {plain(because.get(f'{path}.use') or 'the model does not read it', 140)}")
    drawn, values = _values(column)
    link = mapping(column.get("association"))
    return {
        "name": plain(name, 48),
        "kind": plain(column.get("kind"), 16),
        "target": name in targets,
        "use": column.get("use") is not False,
        "evidence": plain(column.get("evidence") or because.get(path) or "", 200),
        "missing": percent(column.get("missing_share")) if real(column.get("missing")) else "none",
        "gaps": bool(real(column.get("missing"))),
        "distinct": number(column.get("distinct")),
        "values": values,
        "spark": Markup(drawn),  # drawn by us from numbers
        "notes": notes,
        "link": f"{MEASURES.get(str(link.get('measure')), '')} {real(link.get('value')) or 0:.2f}"
        if abs(real(link.get("value")) or 0) >= 0.01
        else "",
    }


def _values(column: Mapping[str, Any]) -> tuple[str, str]:
    """A small drawing of the values, and the same in words."""
    record = mapping(column.get("histogram"))
    counts = [real(c) or 0.0 for c in listing(record.get("counts"))]
    if counts:
        low, high = (plain(v, 20) if isinstance(v := column.get(k), str) else number(v) for k in ("min", "max"))
        words = f"{low} to {high}"
        if real(column.get("mean")) is not None:
            words += f", mean {number(column['mean'])}"
        outside = int(real(record.get("below")) or 0) + int(real(record.get("above")) or 0)
        if outside:
            words += f" ({plural(outside, 'far value')} not drawn)"
        return spark(counts, f"Histogram of {plain(column.get('name'), 40)}: {words}."), words
    top = [listing(pair) for pair in listing(column.get("top"))]
    top = [pair for pair in top if len(pair) == 2 and real(pair[1]) is not None]
    if not top:
        return "", ", ".join(plain(e, 20) for e in listing(column.get("examples"))[:3])
    once = all(real(n) == 1 for _, n in top)
    words = ", ".join(plain(v, 24) if once else f"{plain(v, 24)} ({number(n)})" for v, n in top[:3])
    words += " …" if len(top) > 3 else ""
    if plain(column.get("kind")) in ("key", "text"):
        return "", words
    heights = [real(n) or 0.0 for _, n in top] + ([real(column.get("others")) or 0.0] if column.get("others") else [])
    return spark(heights, f"Frequencies of {plain(column.get('name'), 40)}: {words}."), words


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "a": plain(pair.get("a"), 40),
        "b": plain(pair.get("b"), 40),
        "measure": MEASURES.get(str(pair.get("measure")), plain(pair.get("measure"), 20)),
        "value": f"{real(pair.get('value')) or 0:.3f}",
    }


def _leak(leak: Mapping[str, Any]) -> dict[str, Any]:
    level = str(leak.get("level"))
    return {
        "level": level if level in ("warning", "look") else "info",
        "word": {"warning": "Warning", "look": "Worth a look"}.get(level, "For information"),
        "what": plain(leak.get("what"), 240),
        "evidence": plain(leak.get("evidence"), 300),
        "advice": plain(leak.get("advice"), 300),
    }
