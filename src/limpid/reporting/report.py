"""report.html: a run as one page, made from its folder alone (plan, profile, events, figures, network)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from limpid.core.errors import RunError
from limpid.core.files import read_bounded, write_text
from limpid.core.run import RunFolder
from limpid.planning.settings import parse_yaml
from limpid.reporting import figures, result_figures
from limpid.reporting.compared import Contest, contest
from limpid.reporting.described import described, target_figures
from limpid.reporting.explained_html import answered
from limpid.reporting.forecast_figures import forecast_figures
from limpid.reporting.network import network_svg
from limpid.reporting.pages import page
from limpid.reporting.ranked import ranked
from limpid.reporting.shown import shown
from limpid.reporting.terminal import settings
from limpid.reporting.trade_figures import trade_figures
from limpid.reporting.trained import curve_figures, guards, story
from limpid.reporting.watched import examples, layers, recorded, right_figure
from limpid.reporting.wording import (
    capped,
    cell,
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

_PLAN_LIMIT = 16 << 20
MAX_SETTINGS, MAX_WORST, MAX_REPAIRS, MAX_NEEDS, MAX_FINDINGS, MAX_SINGLES = 150, 20, 50, 30, 60, 4


def write_report(folder: RunFolder) -> Path:
    """Write report.html of a run and return its path.

    Reads plan.yaml, profile.json, events.jsonl, training.json, explained.json, metrics.json and network.json; whatever
    of them is not there is said on the page. The page holds counts and curves, never raw rows beyond the few that it
    shows, so its size is bounded.

    Args:
        folder: the run folder.

    Raises:
        RunError: a file of the folder is damaged, or the report cannot be written.
    """
    write_text(folder.report, report_html(folder))
    return folder.report


def report_html(folder: RunFolder) -> str:
    """The page itself."""
    plan = _plan(folder)
    profile = _json(folder, folder.profile)
    metrics = _json(folder, folder.metrics)
    network = _json(folder, folder.path / "network.json")
    events = list(folder.read_events())
    training = recorded(_json(folder, folder.training), events)
    audit = _json(folder, folder.audit)
    found = contest(metrics)
    details = mapping(metrics.get("details"))
    because = mapping(plan.get("because"))
    drawn = {
        **target_figures(profile),
        **curve_figures(events),
        "right": right_figure(training),
        **_result_figures(found, details, metrics),
        **forecast_figures(details),
        **trade_figures(audit),
    }
    target = ", ".join(plain(t, 60) for t in _targets(plan, metrics)) or "a target"
    context = {
        "title": f"limpid report: {plain(target, 80)}",
        "target": plain(target, 120),
        "run": plain(folder.path.name, 100),
        "found": found,
        "tiles": _tiles(found, metrics, plan, network),
        "data": described(profile, because),
        "has_profile": bool(profile),
        "has_plan": bool(plan),
        "split": _split(plan, metrics),
        "settings": _settings(plan),
        "network": Markup(network_svg(network)),  # our own drawing, every text escaped
        "parameters": real(network.get("parameters")),
        "kept": {
            "networks": _networks(network),
            "share": real(network.get("share", 1)),
            "again": bool(network.get("again")),
        },
        "seen": [{"name": plain(name, 60), **shown(record)} for name, record in _json(folder, folder.seen).items()],
        "story": story(events),
        "guards": guards(events),
        "layers": layers(training),
        "examples": examples(training),
        "calibration": [(plain(k, 30), plain(v, 300)) for k, v in mapping(metrics.get("calibration")).items()],
        "audit": _audit(audit),
        "singles": _singles(_json(folder, folder.explained)),
        "needs": _needs(mapping(metrics.get("importance"))),
        "worst": [_worst(mapping(w)) for w in listing(details.get("worst"))[:MAX_WORST]],
        "slices": [_slice(mapping(s)) for s in listing(details.get("slices"))[:20]],
        "classes_more": max(0, len(listing(details.get("classes"))) - result_figures.MAX_CLASSES),
        "positive": plain(details.get("positive"), 60),
        "coverage": real(details.get("coverage")),
        "threshold": real(details.get("threshold")),
        "by_size": [_interval(mapping(i)) for i in listing(details.get("intervals"))[:10]],
        "targets_more": max(0, len(mapping(details.get("targets"))) - 1),
        "repairs": _repairs(metrics, profile),
        "command": plain(metrics.get("command"), 2000),
        "versions": [(plain(k, 30), plain(v, 100)) for k, v in mapping(metrics.get("versions")).items()],
        "seed": plain(plan.get("seed", metrics.get("seed", "")), 30),
    }
    return page("report.html.j2", context, drawn)


def _needs(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the model needs, as bars; None where it was not measured."""
    entries = [mapping(e) for e in listing(record.get("importance"))]
    if not entries:
        return None
    return {
        "svg": Markup(ranked(entries[:MAX_NEEDS])),
        "metric": plain(record.get("metric"), 40),
        "rows": number(record.get("rows")),
        "more": max(0, len(entries) - MAX_NEEDS),
    }


def _singles(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Single answers with what each part of the row did."""
    found = []
    for one in map(mapping, listing(record.get("answers"))[:MAX_SINGLES]):
        why = plain(one.get("why"), 60)
        found.append(
            {
                **answered({**one, "answer": _said(mapping(one.get("answer")))}),
                "why": why[:1].upper() + why[1:],
                "name": plain(one.get("name") or f"row {plain(one.get('row'), 20)}", 80),
                "notes": [plain(note, 300) for note in listing(one.get("notes"))[:5]],
            }
        )
    return found


def _said(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without the probabilities of classes that are out of the question: the two likeliest stay."""
    shares = {str(k): real(v) or 0.0 for k, v in answer.items() if str(k).startswith("probability_")}
    kept = sorted(shares, key=lambda k: -shares[k])[:2]
    return {str(k): v for k, v in answer.items() if str(k) not in shares or str(k) in kept}


def _audit(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an audit found, the gravest first; None without one."""
    found = [mapping(f) for f in listing(record.get("findings"))]
    if not found:
        return None
    shown, more = capped(found, MAX_FINDINGS)
    return {
        "rows": number(record.get("rows")),
        "part": plain(record.get("part") or "given", 20),
        "more": more,
        "findings": [
            {
                "level": plain(f.get("level"), 10),
                **{key: plain(f.get(key), limit) for key, limit in (("topic", 30), ("what", 240), ("advice", 400))},
                "evidence": plain(f.get("evidence"), 600),
            }
            for f in shown
        ],
    }


def _plan(folder: RunFolder) -> Mapping[str, Any]:
    if not folder.plan.is_file():
        return {}
    text = read_bounded(folder.plan, _PLAN_LIMIT, RunError, noun="plan").decode("utf-8", errors="replace")
    return mapping(parse_yaml(text, where=str(folder.plan)))


def _json(folder: RunFolder, path: Path) -> Mapping[str, Any]:
    return mapping(folder.read(path)) if path.is_file() else {}


def _targets(plan: Mapping[str, Any], metrics: Mapping[str, Any]) -> Sequence[Any]:
    named = mapping(plan.get("data")).get("target") or metrics.get("target") or []
    return [named] if isinstance(named, str) else listing(named)


def _tiles(
    found: Contest, metrics: Mapping[str, Any], plan: Mapping[str, Any], network: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The few figures that everybody looks for first."""
    ours = found.lines[0]
    tiles = []
    if found.metric in ours.values:
        span = ours.intervals.get(found.metric)
        tiles.append(
            {
                "label": f"{metric_title(found.metric)}, {found.part} rows",
                "value": score(ours.values[found.metric]),
                "detail": f"95 % interval {score(span[0])} to {score(span[1])}" if span else "no interval",
            }
        )
    if len(found.lines) > 1:
        best = found.lines[1]
        tiles.append({"label": "best baseline", "value": score(best.values.get(found.metric)), "detail": best.name})
    rows = mapping(metrics.get("rows"))
    if rows:
        detail = ", ".join(f"{number(n)} {plain(part, 8)}" for part, n in rows.items())
        tiles.append(
            {"label": "rows used", "value": number(sum(int(real(n) or 0) for n in rows.values())), "detail": detail}
        )
    if metrics.get("seconds") is not None:
        stopped = {"early": "stopped early", "epochs": "all epochs done", "budget": "stopped by the budget"}
        how = stopped.get(str(metrics.get("stopped")), plain(metrics.get("stopped"), 30))
        tiles.append(
            {
                "label": "time",
                "value": duration(metrics["seconds"]),
                "detail": f"{number(metrics.get('epochs'))} epochs, {how}",
            }
        )
    net = plain(metrics.get("net") or mapping(plan.get("net")).get("name"), 30)
    if net:
        count = real(network.get("parameters"))
        size = plural(int(count), "parameter") if count else ""
        copies = _networks(network)
        detail = f"{copies} networks of {size}" if size and copies > 1 else size
        tiles.append({"label": "network", "value": net, "detail": detail})
    return tiles


def _networks(network: Mapping[str, Any]) -> int:
    """How many networks like the one drawn the model holds."""
    return int(real(network.get("networks")) or 1)


def _result_figures(
    found: Contest, details: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, figures.Figure | None]:
    rows = []
    for line in found.lines:
        span = line.intervals.get(found.metric)
        rows.append(
            {
                "name": line.name,
                "value": line.values.get(found.metric),
                "ours": line.ours,
                "low": span[0] if span else None,
                "high": span[1] if span else None,
            }
        )
    residuals = mapping(details.get("residuals"))
    drawn = figures.histogram(residuals, "residual (predicted minus true)") if residuals else None
    if drawn is not None:
        drawn["title"] = "Residuals"
        drawn["usermeta"]["reads"] = (
            "The error of each held-out row: a narrow hill around 0 is good, one that leans is biased."
        )
    return {
        "contenders": result_figures.contenders(rows, found.metric)
        if len(found.lines) > 1 or rows[0]["low"] is not None
        else None,
        "confusion": result_figures.confusion(listing(details.get("classes")), listing(details.get("confusion"))),
        "roc": result_figures.roc(mapping(details.get("roc"))),
        "pr": result_figures.precision_recall(mapping(details.get("pr"))),
        "reliability": result_figures.reliability(listing(details.get("reliability"))),
        "predicted_actual": result_figures.predicted_actual(mapping(details.get("predicted_actual"))),
        "residuals": drawn,
        "labels": result_figures.label_scores(listing(details.get("labels"))),
        "slices": result_figures.slices(listing(details.get("slices")), found.metric),
    }


def _split(plan: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    spec = mapping(plan.get("split"))
    rows = mapping(metrics.get("rows"))
    total = sum(real(n) or 0 for n in rows.values())
    because = mapping(plan.get("because"))
    return {
        "how": plain(spec.get("how"), 30),
        "parts": [
            (plain(p, 10), number(n), percent((real(n) or 0) / total if total else None)) for p, n in rows.items()
        ],
        "settings": [(plain(k, 20), plain(v, 60)) for k, v in spec.items() if k != "how" and v not in (None, "", [])],
        "reasons": [
            plain(why, 300) for path, why in because.items() if str(path) == "split" or str(path).startswith("split.")
        ],
    }


def _settings(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their reasons; those that were decided with a reason first within each section."""
    because = {str(k): v for k, v in mapping(plan.get("because")).items()}
    rows = []
    for path, value in settings(plan):
        section = path.partition(".")[0]
        if section in ("limpid", "format", "machine", "seed"):
            continue
        rows.append(
            {
                "section": section,
                "path": plain(path, 80),
                "value": plain(value, 80),
                "because": plain(because.get(path, ""), 400),
            }
        )
    reasoned = [r for r in rows if r["because"]]
    plain_rows = [r for r in rows if not r["because"]]
    shown, more = capped(reasoned, MAX_SETTINGS)
    rest, more_rest = capped(plain_rows, MAX_SETTINGS)
    return {"reasoned": shown, "rest": rest, "more": more + more_rest}


def _worst(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "row": plain(row.get("window") or row.get("row"), 60),
        "target": cell(row.get("target")),
        "prediction": cell(row.get("prediction")),
        "loss": number(row.get("loss")),
    }


def _slice(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "column": plain(row.get("column"), 40),
        "value": plain(row.get("value"), 40),
        "rows": number(row.get("rows")),
        "score": score(row.get("score")),
        "gap": number(row.get("gap"), 3),
    }


def _interval(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "range": f"{number(row.get('low'))} to {number(row.get('high'))}",
        "coverage": percent(row.get("coverage")),
        "width": number(row.get("width")),
        "rows": number(row.get("count")),
    }


def _repairs(metrics: Mapping[str, Any], profile: Mapping[str, Any]) -> dict[str, Any]:
    every = listing(metrics.get("repairs")) or listing(profile.get("repairs"))
    seen, unique = set(), []
    for repair in map(mapping, every):
        mark = json.dumps(dict(repair), sort_keys=True, default=str)
        if mark not in seen:
            seen.add(mark)
            unique.append(repair)
    shown, more = capped(unique, MAX_REPAIRS)
    lines = [
        {
            "where": plain(r.get("where"), 60),
            "what": plain(r.get("what"), 160),
            "count": number(r.get("count")),
            "example": plain(r.get("example"), 60),
        }
        for r in shown
    ]
    return {"lines": lines, "more": more}
