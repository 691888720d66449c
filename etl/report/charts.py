"""Draws bars as SVG; performs no I/O.

The colours are variables of the page's style, so that one drawing serves light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.errors import ConfigurationError

WIDE, NARROW = 640, 300
"""Width of a drawing in CSS pixels: on a screen, and on a phone of 360."""

LETTER = 8
"""Width of a letter in CSS pixels, in a wide font."""

AXIS = {"hour": "%H:%M", "day": "%-d %b", "week": "%-d %b", "month": "%b %Y"}


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars: ``rows`` have the bar, the part of it, and a count.

    ``parts`` maps each part to a colour, in the order of stacking. With ``time``, the bars are days that stand upright;
    without, they are names and lie.
    """

    label: str
    unit: str
    bars: Sequence[str]
    parts: Mapping[str, str]
    rows: Sequence[tuple[str, str, float]] = field(repr=False)
    time: str | None = None


def draw(chart: Bars, *, width: int) -> str:
    """Return the drawing as an ``<svg>`` element.

    Raises:
        ConfigurationError: the library that draws is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - an optional install
    except ImportError as error:
        raise ConfigurationError("To draw, install the report extra: pip install 'highlevel-etl[report]'") from error
    svg: str = vl_convert.vegalite_to_svg(_specification(chart, width=width))
    # The section's heading names the drawing, and its table says the same in text.
    return svg.replace("<svg ", f'<svg role="img" aria-label="{chart.label}" ', 1)


def _specification(chart: Bars, *, width: int) -> dict[str, Any]:
    """Return the drawing in the words of https://vega.github.io/vega-lite/docs/."""
    parts = list(chart.parts)
    rows = [{"bar": bar, "part": part, "count": n, "place": parts.index(part)} for bar, part, n in chart.rows]
    names: dict[str, Any] = {"field": "bar", "type": "nominal", "title": None, "scale": {"domain": list(chart.bars)}}
    counts: dict[str, Any] = {"aggregate": "sum", "field": "count", "type": "quantitative", "title": chart.unit}
    counts["axis"] = {"tickMinStep": 1, "tickCount": 5}
    if chart.time:
        shown = f"utcFormat(toDate(datum.value), '{AXIS[chart.time]}')"
        names["axis"] = {"labelExpr": shown, "labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 16}
        across, upright = names, counts
    else:
        # The reader's font may be wider than the one that was measured here.
        limit = 150 if width > NARROW else 96
        extent = min(limit, LETTER * max(map(len, chart.bars), default=0))
        names["axis"] = {"labelLimit": limit, "minExtent": extent}
        across, upright = counts, names
    return {
        "width": width,
        "height": 220 if chart.time else {"step": 26},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 2,
        "background": None,
        "data": {"values": rows},
        "mark": {"type": "bar", "aria": False},
        "encoding": {
            "x": across,
            "y": upright,
            "color": {
                "field": "part",
                "type": "nominal",
                "title": None,
                "scale": {"domain": parts, "range": [f"var(--{each})" for each in chart.parts.values()]},
                "legend": {"orient": "top", "columns": 8 if width > NARROW else 2, "symbolType": "square"},
            },
            "order": {"field": "place"},
        },
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {
                "labelColor": "var(--soft)",
                "titleColor": "var(--soft)",
                "gridColor": "var(--line)",
                "domainColor": "var(--line)",
                "tickColor": "var(--line)",
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
            },
            "axisBand": {"grid": False, "ticks": False},
            "legend": {"labelColor": "var(--text)", "labelFontSize": 12},
        },
    }
