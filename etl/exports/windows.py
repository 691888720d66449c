"""Which times to ask an export for; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

PAGE_ROWS = 500
"""Rows of a page: the most that both documented ranges allow (10 to 500, 10 to 1000)."""
CHANNELS = (None, "Email")
"""Without a channel, an export has everything but emails: HighLevel docs, "Export messages"."""

FIRST_WIDTH = timedelta(days=7)
LEAST_WIDTH = timedelta(hours=1)
MOST_WIDTH = timedelta(days=64)
WANTED_ROWS = 2000
"""Rows of a window of a backfill: a few pages, so that what a kill undoes is little and a count proves it."""
DENSE_ROWS = 3 * WANTED_ROWS
"""A window that turns out to have more rows ends where its walk has come to."""

LEAST_ITEMS = 50
"""Waiting items of a time for which a page is asked at all."""
LEAST_YIELD = 5
"""Items that a page must answer to be followed by the next one: then it is far cheaper than as many single requests."""


@dataclass(frozen=True, slots=True)
class Window:
    """Messages of a location created from ``start`` to before ``end``; of one channel, or None: all but emails."""

    location_id: str
    start: datetime
    end: datetime
    channel: str | None


def next_width(width: timedelta, rows: int) -> timedelta:
    """How wide the next window of a backfill is, when one of ``width`` had so many rows."""
    factor = min(WANTED_ROWS / max(rows, 1), 4.0)
    return min(max(width * factor, LEAST_WIDTH), MOST_WIDTH)


def slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield a time in parts of a week, the last one shorter."""
    while start < end:
        yield start, min(start + FIRST_WIDTH, end)
        start += FIRST_WIDTH


@dataclass(frozen=True, slots=True)
class Span:
    """Waiting items by the hour in which their messages were created; in order, none of them empty."""

    hours: Sequence[tuple[datetime, int]]

    @property
    def items(self) -> int:
        """How many they are."""
        return sum(count for _, count in self.hours)

    def window(self, location_id: str, channel: str | None) -> Window:
        """Return what to ask for, with a margin: the date in an event may differ a little from the message's own."""
        margin = timedelta(minutes=1)
        start, end = self.hours[0][0] - margin, self.hours[-1][0] + timedelta(hours=1) + margin
        return Window(location_id, start, end, channel)

    def after(self, moment: datetime) -> "Span":
        """Return what is left of it when all before a moment was seen."""
        return Span([(hour, count) for hour, count in self.hours if hour + timedelta(hours=1) > moment])

    def halves(self) -> "list[Span]":
        """Return the parts before and after the longest time without any item; none when it is one hour."""
        if len(self.hours) < 2:
            return []
        gaps = [after[0] - before[0] for before, after in zip(self.hours, self.hours[1:], strict=False)]
        cut = gaps.index(max(gaps)) + 1
        return [Span(self.hours[:cut]), Span(self.hours[cut:])]
