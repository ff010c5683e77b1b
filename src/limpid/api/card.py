"""The model card: what the model is, what it was made from, how good it is and where it should not be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.planning.plan import Plan


def write_card(plan: Plan, metrics: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    """Markdown from the plan and the figures (after Mitchell et al. 2019, Model Cards for Model Reporting)."""
    used = [n for n, c in plan.data.columns.items() if c.use]
    left_out = {n: plan.because.get(f"data.columns.{n}.use", "") for n, c in plan.data.columns.items() if not c.use}
    judged = metrics["judged"]
    bounds = metrics["intervals"].get(judged, {})
    lines = [
        f"# {metrics['task']} of {', '.join(metrics['target'])}",
        "",
        f"Made by limpid {plan.limpid} from `{plan.data.source}`; net `{plan.net.name}`, seed {plan.seed}.",
        *_began(plan),
        "",
        f"> {metrics['verdict']}",
        "",
        f"## Figures on {metrics['rows'].get(judged, 0):,} {judged} rows",
        "",
        "| metric | value | 95 % interval |",
        "|---|---|---|",
    ]
    for name, value in metrics["metrics"][judged].items():
        low, high = bounds.get(name, (None, None))
        interval = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
        lines.append(f"| {name} | {'not defined' if value is None else f'{value:.4g}'} | {interval} |")
    lines += ["", "## Data", "", f"{metrics['rows'].get('train', 0):,} training rows, {len(used)} columns:", ""]
    lines += [f"- {_plain(name)}: {plan.data.columns[name].kind}" for name in used[:200]]
    if len(used) > 200:
        lines.append(f"- and {len(used) - 200} more")
    if left_out:
        lines += ["", "Left out:", ""]
        lines += [f"- {_plain(name)}: {reason}" for name, reason in list(left_out.items())[:100]]
    leaks = [leak for leak in profile.get("leaks", []) if leak.get("level") in ("warning", "fault")]
    lines += ["", "## Limits", ""]
    lines += [f"- Leak suspect: {leak.get('what')}: {leak.get('evidence')}" for leak in leaks[:10]]
    lines += [
        "- It was judged on rows drawn like the training rows; on other people, places or times expect less.",
        "- It has not been audited for unequal treatment of groups.",
        "- The weights were learnt from the data; single rows may have left traces in them.",
        "",
    ]
    return "\n".join(lines)


def _began(plan: Plan) -> list[str]:
    """A line for each net that started from another model; its weights are named, not where they lay."""
    starts = {"main input": plan.net, **plan.nets}
    return [
        f"The net of the {name if n == 0 else repr(_plain(name))} started from weights with sha256 {net.start.sha256}."
        for n, (name, net) in enumerate(starts.items())
        if net.start is not None
    ]


def _plain(name: str) -> str:
    return " ".join(name.split()).replace("`", "'").replace("<", "&lt;")[:120]
