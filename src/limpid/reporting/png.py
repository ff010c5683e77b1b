"""A figure as a picture, drawn on this machine without a network (vl-convert)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.reporting.wording import harmless


def png(figure: Mapping[str, Any], *, scale: float = 2.0) -> bytes:
    """Draw a figure as PNG.

    Args:
        figure: a specification of `limpid.reporting.figures`.
        scale: pixels for each unit of the figure's size.

    Example:
        >>> from limpid.reporting.figures import bars
        >>> png(bars([("a", 1.0, "one")], "Title", "How to read it.", "n"))[:4]
        b'\\x89PNG'
    """
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(_spec(figure), scale=scale, allowed_base_urls=[]))


def svg(figure: Mapping[str, Any]) -> str:
    """Draw a figure as SVG.

    Args:
        figure: a specification of `limpid.reporting.figures`.
    """
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_spec(figure), allowed_base_urls=[]))


def _spec(figure: Mapping[str, Any]) -> Any:
    return _clean({key: value for key, value in figure.items() if key != "usermeta"})


def _clean(value: Any) -> Any:
    """Strings without the characters that XML does not allow: on those, vl-convert 1.9 ends the whole process."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {harmless(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner) for inner in value]
    return value
