"""The section about the audit in the model card, written into the bundle with its manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from limpid.auditing.findings import Finding
from limpid.bundle import format as layout

TITLE = "## Audit"
NOT_AUDITED = "- It has not been audited for unequal treatment of groups."
_MOST = 60
_SIGNS = {"ok": "ok", "look": "look", "warning": "**warning**", "fault": "**fault**"}


def section(findings: Sequence[Finding], rows: int, part: str, groups: Sequence[str]) -> str:
    """The section as Markdown.

    Args:
        findings: the gravest first.
        rows: number of rows that the figures are of.
        part: which rows: "test", "valid", or "" for all rows of the data.
        groups: columns whose groups were compared.
    """
    which = f"{part} rows of the training data" if part else "rows of the data that it was given"
    compared = ", ".join(_plain(g) for g in groups)
    lines = [
        TITLE,
        "",
        f"`limpid audit` looked at {rows:,} {which}"
        + (f" and compared groups by {compared}." if groups else "; it compared no groups (`--group`)."),
        "",
    ]
    for finding in findings[:_MOST]:
        lines.append(f"- {_SIGNS[finding.level]}, {finding.topic}: {_plain(finding.what)}. {_plain(finding.evidence)}.")
    if len(findings) > _MOST:
        lines.append(f"- and {len(findings) - _MOST} more in audit.json")
    return "\n".join([*lines, ""])


def with_section(card: str, text: str, *, groups: bool) -> str:
    """The card with the section in place of an older one, and without the sentence that it makes untrue.

    Args:
        card: Markdown.
        text: the section.
        groups: whether groups were compared.
    """
    kept = re.sub(rf"(?ms)^{TITLE}\n.*?(?=^## |\Z)", "", card)
    if groups:
        kept = "\n".join(line for line in kept.split("\n") if line != NOT_AUDITED)
    return f"{kept.rstrip()}\n\n{text}"


def write(bundle: Path, findings: Sequence[Finding], rows: int, part: str, groups: Sequence[str]) -> None:
    """Put the section into the card of a bundle; card and manifest take the place of the old ones together.

    Raises:
        BundleError: the bundle is damaged.
        RunError: it cannot be written.
    """
    manifest, members = layout.read(bundle)
    card = members["card.md"].decode(errors="replace")
    text = with_section(card, section(findings, rows, part, groups), groups=bool(groups))
    layout.write(bundle, layout.pack({**members, "card.md": text.encode()}, manifest["limpid"]))


def _plain(text: str) -> str:
    """User strings cannot make Markdown of their own."""
    return re.sub(r"([\\`*_\[\]#|])", r"\\\1", " ".join(text.split())).replace("<", "&lt;")[:1_000]
