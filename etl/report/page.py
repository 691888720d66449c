"""Makes the page of the figures: one HTML file with drawings, each with its table; performs no I/O but its template."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mako.template import Template

from etl import __version__
from etl.report import charts
from etl.report.charts import Bars
from etl.report.figures import Figures, Period, Row

CHANNELS = 7
"""Channels with a colour of their own; the smaller ones share one."""

WAITS = ("up to 5 min", "up to 1 h", "up to 4 h", "up to 1 day", "later", "no answer yet")
ANSWERED_BY = {"human": "c1", "automatic": "c2", "not known": "c8", "nobody": "bad"}
DELIVERY = {"opened": "good", "delivered": "fine", "sent": "plain", "waiting": "wait", "failed": "bad", "other": "none"}
OUTCOMES = {"answered": "good", "voicemail": "wait", "missed": "bad", "unknown": "none"}


@dataclass(frozen=True, slots=True)
class Section:
    """One drawing with what it says; without rows there is only the sentence."""

    key: str
    says: str
    chart: Bars
    header: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()


def render(figures: Figures) -> str:
    """Return the whole page.

    Raises:
        ConfigurationError: the library that draws is not installed.
    """
    template = Template(  # noqa: S702 - every value is escaped by the filter h
        (Path(__file__).parent / "page.html.mako").read_text(encoding="utf-8"), default_filters=["h"]
    )
    names, period = [row["name"] for row in figures.locations], figures.period
    page: str = template.render(
        title="Conversations" + (f" of {names[0]}" if len(names) == 1 else ""),
        subtitle=("" if len(names) == 1 else f"{len(names)} locations · ")
        + f"{_day(period.since)} to {_day(period.until)} · made {_moment(figures.taken_at)}",
        headlines=_headlines(figures),
        sections=[_volume(figures), _responses(figures), _delivery(figures), _calls(figures), _freshness(figures)],
        charts=charts,
        version=__version__,
    )
    return page


def _headlines(figures: Figures) -> list[tuple[str, str]]:
    sent, arrived = _total(figures.delivery, "messages"), _total(figures.delivery, "delivered", "opened")
    missed = sum(row["calls"] for row in figures.calls if row["outcome"] == "missed")
    return [
        ("Messages and calls", f"{_total(figures.volume, 'messages'):,}"),
        ("Inbound", f"{_total(figures.volume, 'inbound'):,}"),
        ("Outbound", f"{_total(figures.volume, 'outbound'):,}"),
        ("Median first answer", _length(figures.waits["median"])),
        ("Known as delivered", _share(arrived, sent)),
        ("Missed calls", f"{missed:,} of {_total(figures.calls, 'calls'):,}"),
    ]


def _volume(figures: Figures) -> Section:
    sums: Counter[str] = Counter()
    for row in figures.volume:
        sums[row["channel"]] += row["messages"]
    order = sorted(sums, key=lambda name: (-sums[name], name))
    named = order[:CHANNELS] if len(order) > CHANNELS + 1 else order
    parts = {name: f"c{place}" for place, name in enumerate(named, 1)}
    parts |= {} if named == order else {"all others": "c8"}
    rows = [
        (row["day"].isoformat(), row["channel"] if row["channel"] in parts else "all others", int(row["messages"]))
        for row in figures.volume
    ]
    says = "There were no messages."
    if rows:
        share = _share(sums[order[0]], sum(sums.values()))
        says = f"Each bar is a {figures.period.bar}. {order[0]} is the largest channel, with {share} of all."
    return _drawn("volume", says, _over_time("Messages by channel", "messages", figures.period, parts, rows))


def _responses(figures: Figures) -> Section:
    rows = [(row["wait"], row["answered_by"], int(row["turns"])) for row in figures.responses]
    human = figures.waits["median_human"]
    says = (
        "How long contacts waited for the first answer, and who gave it. Half of the answers came within "
        f"{_length(figures.waits['median'])}; half of the answers by persons, within {_length(human)}."
        if rows
        else "No contact waited for an answer."
    )
    chart = Bars("Time to the first answer", "turns of a contact", WAITS, ANSWERED_BY, rows)
    return _drawn("responses", says, chart, "wait")


def _delivery(figures: Figures) -> Section:
    rows = [(row["channel"], part, int(row[part])) for row in figures.delivery for part in DELIVERY if row[part]]
    total, failed = _total(figures.delivery, "messages"), _total(figures.delivery, "failed")
    says = (
        f"What became of outbound messages, as far as known. {_share(failed, total)} failed. HighLevel does not "
        "announce changes of a status: a message that was fetched early may still count as sent."
        if rows
        else "No message was sent."
    )
    channels = [row["channel"] for row in figures.delivery]
    chart = Bars("Delivery", "outbound messages", channels, DELIVERY, rows)
    return _drawn("delivery", says, chart, "channel")


def _calls(figures: Figures) -> Section:
    rows = [(row["day"].isoformat(), row["outcome"], int(row["calls"])) for row in figures.calls]
    answered = [row for row in figures.calls if row["outcome"] == "answered"]
    count, seconds = _total(answered, "calls"), _total(answered, "seconds")
    says = (
        f"{_share(count, _total(figures.calls, 'calls'))} were answered. Their average length: "
        f"{_length(seconds / count if count else None)}."
        if rows
        else "There were no calls."
    )
    return _drawn("calls", says, _over_time("Calls by outcome", "calls", figures.period, OUTCOMES, rows))


def _freshness(figures: Figures) -> Section:
    """Hours since the newest message: a location that is silent for long may be one that is not loaded any more."""
    hours = [(figures.taken_at - row["date_added"]).total_seconds() / 3600 for row in figures.freshness]
    in_days = max(hours, default=0) > 72
    uses = Counter(row["name"] for row in figures.freshness)
    names = [
        row["name"] if uses[row["name"]] == 1 else f"{row['name']} ({row['location_id']})" for row in figures.freshness
    ]
    ages = [round(max(0, age) / (24 if in_days else 1), 2) for age in hours]
    bars = [(name, "newest message", age) for name, age in zip(names, ages, strict=True)]
    unit, count = "days ago" if in_days else "hours ago", len(figures.locations)
    shown = f"{len(names)} of {count} locations" if len(names) < count else "all locations"
    says = (
        f"When each location had its newest message: {shown}, the longest silent first. If one is silent for longer "
        "than you expect, look at: etl status"
    )
    chart = Bars("Age of the newest message", unit, names, {"newest message": "c1"}, bars)
    times = [(_moment(row["date_added"]), _moment(row["created_at"])) for row in figures.freshness]
    rows = [(name, *each) for name, each in zip(names, times, strict=True)]
    return Section("freshness", says, chart, ("location", "newest message", "loaded"), rows)


def _over_time(
    label: str, unit: str, period: Period, parts: Mapping[str, str], rows: Sequence[tuple[str, str, float]]
) -> Bars:
    bars = [day.isoformat() for day in period.bars()]
    return Bars(label, unit, bars, parts, rows, time=period.bar)


def _drawn(key: str, says: str, chart: Bars, first: str = "") -> Section:
    """Return a section whose table has a row for each bar that is not empty, and a column for each part."""
    counts: Counter[tuple[str, str]] = Counter()
    for bar, part, count in chart.rows:
        counts[bar, part] += int(count)
    table = [[counts[bar, part] for part in chart.parts] for bar in chart.bars]
    rows = [(bar, *(f"{count:,}" for count in row)) for bar, row in zip(chart.bars, table, strict=True) if any(row)]
    return Section(key, says, chart, (chart.time or first, *chart.parts), rows)


def _total(rows: Iterable[Row], *names: str) -> int:
    return int(sum(row[name] for row in rows for name in names))


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "none"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return "none"
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} {moment:%Z}"
