"""An audit in the terminal: findings with their signs, then a table for each grouping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group as Together
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from limpid.auditing.fairness import Fairness
from limpid.auditing.findings import LEVELS
from limpid.auditing.spans import NONE, Span
from limpid.auditing.trades import Trades
from limpid.auditing.unlike import SURE, Unlike
from limpid.reporting.wording import plain

if TYPE_CHECKING:
    from limpid.api.audited import Audit

_SIGNS = {"ok": ("ok", "green"), "look": ("?", "yellow"), "warning": ("!", "bold red"), "fault": ("X", "bold red")}
_TITLES = {
    "selection_rate": "selected", "accuracy": "accuracy", "tpr": "TPR", "fpr": "FPR", "precision": "precision",
    "observed": "observed", "bias": "bias", "error": "error", "mae": "MAE", "coverage": "90 % interval",
}  # fmt: skip
_MOST_TABLES, _MOST_GROUPS = 12, 20


def shown(audit: Audit) -> RenderableType:
    """What `limpid audit` prints."""
    counts = {level: sum(f.level == level for f in audit.findings) for level in reversed(LEVELS)}
    part = f" of the {audit.part} part" if audit.part else ""
    pieces: list[RenderableType] = [
        Text(f"audit of {audit.rows:,} rows{part}: " + ", ".join(f"{n} {level}" for level, n in counts.items() if n)),
    ]
    for finding in audit.findings:
        sign, style = _SIGNS[finding.level]
        line = Text(f"{sign:>2}  ", style=style)
        line.append(f"{finding.topic}: ", style="bold")
        line.append(plain(finding.what, 400), style="")
        pieces += [Text(), line, Text("    " + plain(finding.evidence, 1_200), style="dim")]
        if finding.advice and finding.level != "ok":
            pieces.append(Text("    " + plain(finding.advice, 600)))
    told = [t for t in audit.fairness if sum(g.decides for g in t.groups) > 1]
    for table in told[:_MOST_TABLES]:
        pieces += [Text(), _table(table)]
    if len(audit.fairness) > len(told[:_MOST_TABLES]):
        pieces.append(Text(f"and {len(audit.fairness) - len(told[:_MOST_TABLES])} more tables in --json"))
    if audit.unlike is not None and audit.unlike.kinds:
        pieces += [Text(), _unlike(audit.unlike)]
    for trained in audit.trained:
        if trained.ways:
            pieces += [Text(), _trades(trained)]
    return Together(*pieces)


def _trades(found: Trades) -> RenderableType:
    """Each way of treating groups alike: what it costs, what it buys."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    drawn.add_column("training")
    for name in (found.metric, "gap", "gap of shares", "narrowed by", "costs"):
        drawn.add_column(name, justify="right")
    for place, way in enumerate(found.ways):
        sign = " *" if place == found.best and place else ""
        spans = ["-", "-"] if place == 0 else [f"{low:+.3f} to {high:+.3f}" for low, high in (way.narrowed, way.cost)]
        drawn.add_row(Text(way.name + sign), f"{way.score:.4g}", f"{way.gap:.3f}", f"{way.selection:.3f}", *spans)
    title = Text(plain(f"Trainings that treat groups of {found.column} alike", 200), style="bold underline")
    below = (
        f"{found.rows:,} rows; gap of {found.of}; 95 % intervals beside the first line; *: chosen by validation rows"
    )
    return Together(title, drawn, Text(below, style="dim"))


def _unlike(found: Unlike) -> RenderableType:
    """Each way of making rows unlike: who tells them, and how sure the model is of them."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    drawn.add_column("change", overflow="fold")
    names = ["told by score", "by own doubt"]
    if any(k.sure is not None for k in found.kinds):
        names += ["sure of", "untouched"]
    elif any(k.width is not None for k in found.kinds):
        names.append("interval")
    for name in names:
        drawn.add_column(name, justify="right")
    for kind in found.kinds:
        cells = [_cell(kind.score), _cell(kind.doubt)]
        if "sure of" in names:
            cells += ["-" if s is None or s.value is None else f"{s.value:.0%}" for s in (kind.sure, kind.sure_before)]
        elif "interval" in names:
            cells.append("-" if kind.width is None else f"x {kind.width:.2f}")
        drawn.add_row(Text(kind.said), *cells)
    below = f"ROC AUC against untouched rows, 0.5: cannot tell; sure: top probability of {SURE:.0%} or more"
    return Together(Text("Rows made unlike the training rows", style="bold underline"), drawn, Text(below, style="dim"))


def _table(table: Fairness) -> RenderableType:
    names = [n for n in _TITLES if any(n in g.figures for g in table.groups)]
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    drawn.add_column(Text(plain(table.column, 40)), overflow="fold")
    drawn.add_column("rows", justify="right")
    for name in names:
        drawn.add_column(_TITLES[name], justify="right")
    for group in table.groups[:_MOST_GROUPS]:
        few = "" if group.decides else " (few)"
        cells = [Text(_cell(group.figures.get(name, NONE))) for name in names]
        drawn.add_row(Text(plain(group.name, 40) + few), f"{group.rows:,}", *cells)
    if len(table.groups) > _MOST_GROUPS:
        drawn.add_row(Text(f"and {len(table.groups) - _MOST_GROUPS} more"))
    title = f"Groups by {table.column}" + (f", {table.positive!r} against the rest" if table.positive else "")
    below = [Text(plain(table.note, 200), style="dim")] if table.note else []
    return Together(Text(plain(title, 200), style="bold underline"), drawn, *below)


def _cell(span: Span) -> str:
    if span.value is None:
        return "-"
    if span.low is None or span.high is None:
        return f"{span.value:.3g}"
    reach = max(span.high - span.value, span.value - span.low)
    return f"{span.value:.2f}±{reach:.2f}" if abs(span.value) < 100 else f"{span.value:.3g}±{reach:.2g}"
