"""Draws the plots of a day and of a week from samples; performs no I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from etl.report import charts
from etl.state.samples import EVERY, Taken

WIDTH = 340
"""Of a plot, in CSS pixels: two beside each other on a screen, one on a phone."""
SPANS = {"day": (timedelta(hours=1), 24, "hour"), "week": (timedelta(hours=6), 28, "day")}
"""By name: the length of a bar, the number of bars, and the unit of the axis."""
TOTAL = "_total"
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot; ``parts`` maps names of figures to their label and colour."""

    title: str
    unit: str
    parts: Mapping[str, tuple[str, str]]
    change: Callable[[Values], Values] = dict
    """Turns the values of a bar into what is drawn."""


def _lag(values: Values) -> Values:
    """Stack the 95th percentile upon the median."""
    p50, p95 = values.get("lag_p50", 0.0), values.get("lag_p95", 0.0)
    return {"lag_p50": p50, "lag_p95": max(p95 - p50, 0.0)}


def _percent(values: Values) -> Values:
    return {name: 100 * value for name, value in values.items()}


PLOTS = (
    Plot("Due items", "items", {"due": ("due", "c1")}),
    Plot("Loaded a minute", "items", {"loaded_total": ("loaded", "c3")}),
    Plot("From message to row", "seconds", {"lag_p50": ("median", "c1"), "lag_p95": ("95 %", "c2")}, _lag),
    Plot(
        "Failed requests a minute",
        "requests",
        {
            "answered_429_total": ("429", "wait"),
            "answered_4xx_total": ("4xx", "c2"),
            "answered_5xx_total": ("5xx", "bad"),
            "unanswered_total": ("no answer", "c8"),
        },
    ),
    Plot(
        "Items retried and dead a minute",
        "items",
        {"retried_total": ("retried", "wait"), "dead_total": ("dead", "bad")},
    ),
    Plot("Least allowance left", "percent", {"allowance_left": ("left", "good")}, _percent),
)


def draw(plot: Plot, samples: Sequence[Taken], *, span: str, now: datetime) -> str:
    """Return a plot as SVG; empty without samples.

    Raises:
        ConfigurationError: the library that draws is not installed.
    """
    bars = bars_of(plot, samples, span=span, now=now)
    if not bars:
        return ""
    length, count, axis = SPANS[span]
    first = _begin(now, length) - length * (count - 1)
    names = [(first + length * place).isoformat() for place in range(count)]
    rows = [
        (at.isoformat(), plot.parts[part][0], round(value, 3))
        for at, values in bars.items()
        for part, value in values.items()
    ]
    label = f"{plot.title}, last {span}"
    return charts.draw(charts.Bars(label, plot.unit, names, dict(plot.parts.values()), rows, time=axis), width=WIDTH)


def bars_of(plot: Plot, samples: Sequence[Taken], *, span: str, now: datetime) -> dict[datetime, Values]:
    """Return the values of each bar that has samples: the largest or, of totals, the growth a minute."""
    length, count, _ = SPANS[span]
    first = _begin(now, length) - length * (count - 1)
    bars: dict[datetime, dict[str, float]] = {}
    for before, sample in zip((None, *samples), samples, strict=False):
        bar = bars.setdefault(_begin(sample.at, length), {}) if sample.at >= first else None
        for name in plot.parts:
            if bar is None or name not in sample.figures:
                continue
            if not name.endswith(TOTAL):
                bar[name] = max(bar.get(name, 0.0), sample.figures[name])
            elif before is not None and name in before.figures:
                # Since the sample before, however long ago that was taken.
                grown = max(sample.figures[name] - before.figures[name], 0.0)
                bar[name] = bar.get(name, 0.0) + grown / (length / timedelta(minutes=1))
    return {at: plot.change(values) for at, values in bars.items() if values}


def _begin(at: datetime, length: timedelta) -> datetime:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return at - (at - epoch) % length


def is_newer(samples: Sequence[Taken], drawn_at: datetime | None) -> bool:
    """Whether there is a sample that was not drawn."""
    return bool(samples) and (drawn_at is None or samples[-1].at - drawn_at >= EVERY)
