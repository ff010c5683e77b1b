"""What the terminal shows: an inspection, a plan, the summary of a run, a leaderboard; as rich renderables.

User strings are always `Text`, never markup, with control characters taken out: a column name cannot colour, move or
clear the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from limpid.reporting.compared import Line, contest
from limpid.reporting.figures import MEASURES
from limpid.reporting.wording import (
    capped,
    duration,
    listing,
    mapping,
    metric_title,
    number,
    percent,
    plain,
    plural,
    real,
    score,
)

MAX_COLUMNS, MAX_PAIRS, MAX_CLASSES = 60, 8, 12
_WIDE = 1_000
_BLOCKS = " ▁▂▃▄▅▆▇█"
_LEVELS = {"warning": ("!", "bold red"), "look": ("?", "yellow"), "info": ("i", "cyan")}


def _text(value: object, limit: int = 60, style: str = "") -> Text:
    return Text(plain(value, limit), style=style)


def table_of(*columns: str, right: Sequence[int] = ()) -> Table:
    """A table without lines, whose cells fold."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    return table


def _section(title: str, body: RenderableType) -> Group:
    return Group(Text(), Text(title, style="bold underline"), body)


def blocks(counts: Sequence[object], width: int = 16) -> str:
    """A histogram of block characters; neighbouring bins are joined until it fits.

    Example:
        >>> blocks([0, 1, 4, 8])
        ' ▁▄█'
    """
    heights = [real(c) or 0.0 for c in counts]
    if len(heights) > width:
        ends = [i * len(heights) // width for i in range(width + 1)]
        heights = [sum(heights[a:b]) / (b - a) for a, b in pairwise(ends)]
    top = max(heights, default=0.0)
    if top <= 0:
        return ""
    return "".join(_BLOCKS[max(1, round(8 * h / top)) if h > 0 else 0] for h in heights)


def inspection(profile: Mapping[str, Any]) -> RenderableType:
    """What `limpid inspect` prints.

    Args:
        profile: the record of `limpid.data.profile.profile`.
    """
    columns = [mapping(c) for c in listing(profile.get("columns"))]
    rows = int(real(profile.get("total_rows")) or real(profile.get("rows")) or 0)
    head = Text(f"{plural(rows, 'row')}, {plural(len(columns), 'column')}", style="bold")
    if profile.get("source"):
        head = Text.assemble(_text(profile["source"], 80, "bold"), "  ", head)
    parts: list[RenderableType] = [head]
    parts += [Text(plain(note, 200), style="yellow") for note in listing(profile.get("notes"))]
    parts.append(_section("Columns", _columns(columns)))
    parts += [_section(*target) for target in _targets(mapping(profile.get("target")))]
    correlated = listing(profile.get("correlations"))
    if correlated:
        parts.append(_section("What goes together", _pairs(correlated)))
    parts.append(_section("Duplicate rows", _duplicates(mapping(profile.get("duplicates")), profile)))
    leaks = [mapping(leak) for leak in listing(profile.get("leaks"))]
    if mapping(profile.get("target")).get("names"):
        parts.append(_section("Leak suspects", _leaks(leaks)))
    else:
        parts.append(
            Padding(Text("name a --target for its classes, associations and the leak check", style="dim"), (1, 0, 0, 0))
        )
    repairs = listing(profile.get("repairs"))
    if repairs:
        parts.append(_section("Repairs", _repairs(repairs)))
    return Group(*parts)


def _columns(columns: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = table_of("column", "kind", "missing", "distinct", "", "values", right=(2, 3))
    table.padding = (0, 1, 0, 0)
    for cell in table.columns[:5]:
        cell.no_wrap = True
    shown, more = capped(columns, MAX_COLUMNS)
    for column in shown:  # one line each, cut at the edge of the terminal
        histogram = mapping(column.get("histogram"))
        flags = [f"{number(column.get('outliers'))} outliers"] if real(column.get("outliers")) else []
        flags += ["near-constant"] if column.get("near_constant") else []
        flags += ["left out"] if column.get("use") is False else []
        codes = mapping(column.get("missing_codes"))
        flags += [f"{plain(code, 12)} = missing" for code in list(codes)[:3]]
        kind = Text(plain(column.get("kind"), 12), style="dim" if column.get("use") is False else "cyan")
        table.add_row(
            _text(column.get("name"), 20),
            kind,
            Text(percent(column.get("missing_share")) if column.get("missing") else "", style="yellow"),
            number(column.get("distinct")) if "distinct" in column else "",
            Text(blocks(listing(histogram.get("counts")), 10), style="blue"),
            _one_line(Text(" · ").join([_values(column, histogram), *(Text(f, style="dim") for f in flags)])),
        )
    if not more:
        return table
    return Group(table, Text(f"and {plural(more, 'more column')}", style="dim"))


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _values(column: Mapping[str, Any], histogram: Mapping[str, Any]) -> Text:
    if histogram:
        low, high = (
            plain(column[k], 10) if isinstance(column.get(k), str) else number(column.get(k)) for k in ("min", "max")
        )
        return Text(f"{low} to {high}")
    facts = [listing(f) for f in listing(mapping(column.get("shown")).get("facts"))]
    if facts:
        return Text(" · ".join(f"{plain(f[0], 20)} {plain(f[1], 40)}" for f in facts[:6] if len(f) == 2))
    top = [listing(pair) for pair in listing(column.get("top"))]
    top = [pair for pair in top if len(pair) == 2]
    once = all(pair[1] == 1 for pair in top)
    said = ", ".join(plain(v, 18) if once else f"{plain(v, 18)} ({number(n)})" for v, n in top[:3])
    return Text(said + (" …" if len(top) > 3 else ""))


def _targets(target: Mapping[str, Any]) -> Iterator[tuple[str, RenderableType]]:
    for record in map(mapping, listing(target.get("columns"))):
        title = f"Target {plain(record.get('name'), 40)}"
        balance = [mapping(b) for b in listing(record.get("balance"))]
        if balance:
            table = table_of("class", "rows", "share", "", right=(1, 2))
            shown, more = capped(balance, MAX_CLASSES)
            for line in shown:
                share = real(line.get("share")) or 0.0
                table.add_row(
                    _text(line.get("value"), 40),
                    number(line.get("count")),
                    percent(share),
                    Text("█" * max(1, round(30 * share)), style="blue"),
                )
            more = max(more, int(real(record.get("classes")) or 0) - len(shown))
            yield (
                title,
                Group(table, Text(f"and {plural(more, 'more class', 'more classes')}", style="dim")) if more else table,
            )
        elif record.get("histogram"):
            counts = listing(mapping(record["histogram"]).get("counts"))
            said = f"  {number(record.get('min'))} to {number(record.get('max'))}, mean {number(record.get('mean'))}"
            yield title, Text.assemble((blocks(counts, 24), "blue"), said)


def _pairs(pairs: Sequence[Any]) -> Table:
    table = table_of("", "", "measure", "", right=(3,))
    for pair in map(mapping, pairs[:MAX_PAIRS]):
        value = real(pair.get("value")) or 0.0
        measure = MEASURES.get(str(pair.get("measure")), plain(pair.get("measure"), 20))
        table.add_row(_text(pair.get("a"), 30), _text(pair.get("b"), 30), measure, f"{value:.3f}")
    return table


def _duplicates(record: Mapping[str, Any], profile: Mapping[str, Any]) -> Text:
    rows = int(real(record.get("rows")) or 0)
    said = f"{plural(rows, 'row repeats', 'rows repeat')} another one" if rows else "none"
    share = f" ({percent(record.get('share'))})" if rows else ""
    contradictions = int(real(record.get("contradictions")) or 0)
    if contradictions:
        said += f"{share}; {plural(contradictions, 'row has', 'rows have')} the inputs of another but not its target"
        share = ""
    return Text(said + share)


def _leaks(leaks: Sequence[Mapping[str, Any]]) -> RenderableType:
    if not leaks:
        return Text("none found", style="green")
    lines: list[RenderableType] = []
    shown, more = capped(leaks, 20)
    for leak in shown:
        mark, style = _LEVELS.get(str(leak.get("level")), _LEVELS["info"])
        lines.append(Text.assemble((f"{mark} ", style), (plain(leak.get("what"), 200), style)))
        lines.append(Padding(_text(leak.get("evidence"), 240), (0, 0, 0, 2)))
        lines.append(Padding(_text(leak.get("advice"), 240, "dim"), (0, 0, 0, 2)))
    if more:
        lines.append(Text(f"and {more} more", style="dim"))
    return Group(*lines)


def _repairs(repairs: Sequence[Any]) -> RenderableType:
    table = table_of("where", "what", "count", "example", right=(2,))
    shown, more = capped(repairs, 20)
    for repair in map(mapping, shown):
        table.add_row(
            _text(repair.get("where"), 30),
            _text(repair.get("what"), 70),
            number(repair.get("count")),
            _text(repair.get("example"), 30),
        )
    return Group(table, Text(f"and {more} more", style="dim")) if more else table


def plan_table(plan: Mapping[str, Any]) -> RenderableType:
    """What `limpid plan` prints: each setting, its value and the reason.

    Args:
        plan: the plan as plan.yaml holds it.
    """
    reasons = mapping(plan.get("because"))
    table = table_of("setting", "value", "because")
    data = mapping(plan.get("data"))
    columns = mapping(data.get("columns"))
    for path, value in settings(plan):
        table.add_row(_text(path, 40), _text(value, 40, "cyan"), _text(reasons.get(path, ""), 160, "dim"))
    parts: list[RenderableType] = [table]
    if columns:
        kinds = table_of("column", "kind", "because")
        names, more = capped(list(columns), MAX_COLUMNS)
        for name in names:
            spec = columns[name] if isinstance(columns[name], Mapping) else {"kind": columns[name]}
            path = f"data.columns.{name}"
            left = "" if spec.get("use", True) else f" left out: {reasons.get(f'{path}.use', '')}"
            kinds.add_row(
                _text(name, 30),
                _text(spec.get("kind"), 12, "cyan"),
                _text(f"{reasons.get(path, '')}{left}", 160, "dim"),
            )
        parts.append(
            _section(
                "Columns", Group(kinds, Text(f"and {plural(more, 'more column')}", style="dim")) if more else kinds
            )
        )
    return Group(*parts)


def settings(plan: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The plan as (dotted path, value), without columns, reasons and what is empty."""

    def walk(path: str, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                name = f"{path}.{key}" if path else str(key)
                if name not in ("data.columns", "because", "machine", "format"):
                    yield from walk(name, inner)
        elif value not in (None, "", [], ()):
            yield path, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value

    yield from walk("", plan)


def summary(metrics: Mapping[str, Any]) -> RenderableType:
    """What `limpid train` prints at its end.

    Args:
        metrics: metrics.json.
    """
    found = contest(metrics)
    parts: list[RenderableType] = [Text(found.warning, style="bold red")] if found.warning else []
    parts.append(Text(found.verdict, style="bold"))
    # A metric a row: nine metrics side by side do not fit into eighty columns, four contestants do.
    heads = [head for line in found.lines for head in _heads(line)]
    table = table_of("", *heads, right=range(1, 1 + len(heads)))
    for metric in found.metrics:
        cells = [cell for line in found.lines for cell in _cells(line, metric)]
        table.add_row(metric_title(metric), *cells)
    parts.append(Padding(table, (1, 0, 0, 0)))
    rows = mapping(metrics.get("rows"))
    counts = ", ".join(f"{number(n)} {plain(part, 10)}" for part, n in rows.items())
    stopped = f"{number(metrics.get('epochs'))} epochs, stopped: {plain(metrics.get('stopped'), 30)}"
    end = f"figures of {found.part} rows; {counts}; {stopped}; {duration(metrics.get('seconds'))}"
    parts.append(Padding(Text(end, style="dim"), (1, 0, 0, 0)))
    repairs = listing(metrics.get("repairs"))
    if repairs:
        parts.append(_section("Repairs", _repairs(repairs)))
    return Group(*parts)


def _heads(line: Line) -> list[str]:
    return [line.name, "95 % interval"] if line.ours and line.intervals else [line.name]


def _cells(line: Line, metric: str) -> list[Text]:
    value = Text(score(line.values.get(metric)), style="bold" if line.ours else "")
    if not (line.ours and line.intervals):
        return [value]
    span = line.intervals.get(metric)
    return [value, Text(f"{score(span[0])}–{score(span[1])}" if span else "", style="dim")]


@dataclass(frozen=True)
class Leaderboard:
    """What `limpid compare` prints: as many columns as the terminal is wide enough for, so that no figure is broken.

    Args:
        rows: for each run: run, net, part, metric, metrics, interval, seconds, epochs, seed; in the order shown.
    """

    rows: Sequence[Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text("no runs")
            return
        columns = self._columns()
        end = len(columns)
        # What goes first where the terminal is narrow: other metrics, then the epochs, the time, the net, the interval.
        order = [*range(end - 3, 4, -1), end - 1, end - 2, 2, 4]
        wide = options.update(max_width=_WIDE)  # what a table would like is otherwise never more than there is
        for gone in range(len(order) + 1):
            table = self._drawn([column for place, column in enumerate(columns) if place not in order[:gone]])
            if Measurement.get(console, wide, table).maximum <= options.max_width:
                break
        yield table

    def _columns(self) -> list[tuple[str, list[Text]]]:
        metric = str(self.rows[0].get("metric", ""))
        others = [m for m in mapping(self.rows[0].get("metrics")) if m != metric][:4]
        spans = [listing(row.get("interval")) for row in self.rows]
        figures = [mapping(row.get("metrics")) for row in self.rows]
        return [
            ("", [Text(str(place)) for place in range(1, 1 + len(self.rows))]),
            ("run", [_text(row.get("run"), 60, "" if place else "bold") for place, row in enumerate(self.rows)]),
            ("net", [_text(row.get("net"), 20) for row in self.rows]),
            (metric_title(metric), [Text(score(values.get(metric))) for values in figures]),
            ("95 % interval", [Text(f"{score(s[0])}–{score(s[1])}" if len(s) == 2 else "") for s in spans]),
            *[(metric_title(m), [Text(score(values.get(m))) for values in figures]) for m in others],
            ("time", [Text(duration(row.get("seconds"))) for row in self.rows]),
            ("epochs", [Text(number(row.get("epochs"))) for row in self.rows]),
        ]

    def _drawn(self, columns: Sequence[tuple[str, list[Text]]]) -> Table:
        words = ("run", "net", "95 % interval")
        table = table_of(
            *[title for title, _ in columns], right=[n for n, (title, _) in enumerate(columns) if title not in words]
        )
        for cells in zip(*[cells for _, cells in columns], strict=True):
            table.add_row(*cells)
        return table
