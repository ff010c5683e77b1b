"""Figures of forecasts: some windows with their bands, and error and coverage by step ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limpid.reporting.figures import BLUE, GREY, INK, ORANGE, SAYS, Figure, axis, curves, figure
from limpid.reporting.wording import label, listing, mapping, number, percent, plain, real

MAX_EXAMPLES = 4
_BAND = "#56B4E9"


def forecast_figures(details: Mapping[str, Any]) -> dict[str, Figure | None]:
    """All figures of the details of a forecast; each None for a run of another task.

    Args:
        details: of metrics.json, with "horizon", "horizon_baselines" and "examples".
    """
    examples = [mapping(e) for e in listing(details.get("examples"))[:MAX_EXAMPLES]]
    drawn: dict[str, Figure | None] = {f"example_{n}": None for n in range(MAX_EXAMPLES)}
    drawn |= {f"example_{n}": example(e) for n, e in enumerate(examples)}
    steps = [mapping(s) for s in listing(details.get("horizon"))]
    return {
        **drawn,
        "by_step": by_step(steps, mapping(details.get("horizon_baselines"))),
        "held_by_step": held_by_step(steps),
    }


def example(record: Mapping[str, Any]) -> Figure | None:
    """One window: what was known, what came, the forecast and its 90 % band.

    Args:
        record: {"name", "past": [[x, value]], "ahead": [[x, actual, median, lower, upper]]}; x is a step from the
            cutoff, and "stamps" may name each of them.
    """
    past = [(real(listing(p)[0]), real(listing(p)[1])) for p in listing(record.get("past")) if len(listing(p)) == 2]
    ahead = [[real(v) for v in listing(row)] for row in listing(record.get("ahead")) if len(listing(row)) == 5]
    if not ahead:
        return None
    stamps = {str(k): plain(v, 24) for k, v in mapping(record.get("stamps")).items()}

    def when(x: float) -> str:
        return stamps.get(str(int(x)), f"step {number(x)}")

    bands = [
        {"x": x, "low": low, "high": high, "says": f"{when(x)}: 90 % band {number(low)} to {number(high)}"}
        for x, _, _, low, high in ahead
        if x is not None and low is not None and high is not None
    ]
    lines = [{"x": x, "y": y, "s": "actual", "says": f"{when(x)}: {number(y)}"} for x, y in past
             if x is not None and y is not None]  # fmt: skip
    for x, actual, middle, _, _ in ahead:
        if x is not None and actual is not None:
            lines.append({"x": x, "y": actual, "s": "actual", "says": f"{when(x)}: {number(actual)}"})
        if x is not None and middle is not None:
            lines.append({"x": x, "y": middle, "s": "forecast", "says": f"{when(x)}: forecast {number(middle)}"})
    inside = [low <= actual <= high for _, actual, _, low, high in ahead if None not in (actual, low, high)]  # type: ignore[operator]
    name = label(record.get("name"), 60)
    place = axis("x", "steps from the cutoff", scale={"nice": False}, axis={"grid": False})
    names = {"domain": ["actual", "forecast"], "range": [INK, BLUE]}
    return figure(
        name,
        "The line up to 0 was known; after it, the forecast with its 90 % band beside what came.",
        f"Forecast of {len(ahead)} steps for {name}; "
        + (f"{percent(sum(inside) / len(inside))} of what came lies within the band." if inside else "nothing came."),
        height=230,
        layer=[
            {
                "data": {"values": bands},
                "mark": {"type": "area", "color": _BAND, "opacity": 0.35, "aria": False},
                "encoding": {
                    "x": place,
                    "y": axis("low", plain(record.get("target"), 40) or "value", scale={"zero": False}),
                    "y2": {"field": "high"},
                },
            },
            {
                "data": {"values": [{"x": 0}]},
                "mark": {"type": "rule", "color": GREY, "strokeDash": [3, 3], "aria": False},
                "encoding": {"x": {"field": "x", "type": "quantitative"}},
            },
            {
                "data": {"values": lines},
                "mark": {"type": "line", "point": {"size": 10, "opacity": 0}},
                "encoding": {
                    "x": place,
                    "y": axis("y", "", scale={"zero": False}),
                    "color": {"field": "s", "type": "nominal", "title": None, "scale": names},
                    "strokeDash": {
                        "field": "s",
                        "type": "nominal",
                        "title": None,
                        "scale": {"domain": ["actual", "forecast"], "range": [[1, 0], [6, 3]]},
                    },
                    "description": SAYS,
                },
            },
        ],
    )


def by_step(steps: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any]) -> Figure | None:
    """Mean absolute error of the network and of the baselines at each step ahead.

    Args:
        steps: {"step", "mae"} each.
        baselines: name -> errors of the same steps.
    """
    places = [real(s.get("step")) for s in steps]
    series = {"network": _points(places, [s.get("mae") for s in steps])}
    for name, errors in list(baselines.items())[:3]:
        series[label(name, 20)] = _points(places, listing(errors))
    return curves(
        series,
        "Error by step ahead",
        "The further ahead, the harder: lower is better, and the gap to the baselines says what the network adds.",
        x="steps ahead",
        y="mean absolute error",
        zero=True,
    )


def held_by_step(steps: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Share of values within the 90 % band at each step ahead."""
    values = []
    for s in steps:
        step, share = real(s.get("step")), real(s.get("coverage"))
        if step is not None and share is not None:
            says = f"{number(step)} steps ahead: {percent(share)} within, mean width {number(s.get('width'))}"
            values.append({"x": step, "y": share, "says": says})
    if not values:
        return None
    shares = [share for s in steps if (share := real(s.get("coverage"))) is not None]
    low = min(0.8, *shares)
    return figure(
        "Values within the 90 % band",
        "Near the dashed line at 90 % the bands are as wide as they should be; below it, too narrow.",
        f"Between {percent(min(shares))} and {percent(max(shares))} of the values lie "
        f"within their band, over {len(values)} steps ahead.",
        layer=[
            {
                "data": {"values": [{"y": 0.9}]},
                "mark": {"type": "rule", "color": ORANGE, "strokeDash": [4, 4], "aria": False},
                "encoding": {"y": {"field": "y", "type": "quantitative"}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "line", "point": {"size": 25}, "color": BLUE},
                "encoding": {
                    "x": axis("x", "steps ahead", scale={"zero": False, "nice": False}, axis={"grid": False}),
                    "y": axis("y", "share within", scale={"domain": [low, 1]}, axis={"format": ".0%"}),
                    "description": SAYS,
                },
            },
        ],
    )


def _points(places: Sequence[float | None], values: Sequence[Any]) -> list[tuple[float, float]]:
    pairs = zip(places, map(real, values), strict=False)
    return [(x, y) for x, y in pairs if x is not None and y is not None]
