"""The page of `limpid inspect --html`: what the data look like, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.reporting.described import described, target_figures
from limpid.reporting.pages import page
from limpid.reporting.wording import plain


def inspection_html(profile: Mapping[str, Any]) -> str:
    """A self-contained page.

    Args:
        profile: the record of `limpid.data.profile.profile`, with `source`, `total_rows` and `repairs` where known.

    Example:
        >>> "<script" in inspection_html({"rows": 0, "columns": [{"name": "<script>", "kind": "text"}]})
        False
    """
    source = plain(profile.get("source") or "a table", 80)
    context = {"title": f"Data: {source}", "source": source, "data": described(profile)}
    return page("inspect.html.j2", context, target_figures(profile))
