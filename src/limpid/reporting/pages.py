"""How a page is put together: templates that escape everything, one style sheet, a policy that forbids the rest."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from limpid.reporting import wording
from limpid.reporting.drawing import inline_all

_NOTHING_ELSE = "base-uri 'none'; form-action 'none'"


def _source(name: str) -> str:
    return files("limpid.reporting").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=select_autoescape(default=True, default_for_string=True, enabled_extensions=("j2", "html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": wording.plain,
        "number": wording.number,
        "score": wording.score,
        "percent": wording.percent,
        "duration": wording.duration,
        "metric": wording.metric_title,
    }
    environment.globals["plural"] = wording.plural
    return environment


def page(template: str, context: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Render a page that needs nothing but itself.

    Args:
        template: a file of templates/.
        context: what it shows; every string is escaped unless it is `Markup`, which only our own drawings are.
        figures: name -> specification, or None for a figure that has nothing to show.

    Returns:
        HTML whose policy allows its one style sheet and inline pictures, and no script.
    """
    style = _source("style.css")
    digest = b64encode(sha256(style.encode("utf-8")).digest()).decode("ascii")
    some = {name: figure for name, figure in figures.items() if figure is not None}
    drawings = inline_all(some)
    drawn = {
        name: {
            "title": wording.plain(figure.get("title", ""), 160),
            "reads": wording.plain(figure.get("usermeta", {}).get("reads", ""), 400),
            "svg": Markup(drawings[name]),  # built from a list of allowed elements and attributes
        }
        for name, figure in some.items()
    }
    return (
        _environment()
        .get_template(template)
        .render(
            **context,
            figures={name: drawn.get(name) for name in figures},
            style=Markup(style),  # our own file
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; {_NOTHING_ELSE}",
        )
    )
