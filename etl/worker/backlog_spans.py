"""Which times to ask an export for, so that its pages answer many waiting messages."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.state import message_queue
from etl.state.windows import Why, Window, floor

LEAST_ITEMS = 50
"""Waiting items of a time for which a page is asked at all."""
LEAST_YIELD = 5
"""Items that a page must answer to be followed by the next one: then it is far cheaper than as many single requests."""
MOST_ITEMS = 2500
"""Items of one window: as many rows as a walk surely has, so that several walks share a large backlog."""
WIDEST_GAP = timedelta(days=7)
"""Longer times without any item are left out of a window."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Waiting items by the hour in which their messages were created; in order, none of them empty."""

    hours: Sequence[tuple[datetime, int]]

    @property
    def items(self) -> int:
        """How many they are."""
        return sum(count for _, count in self.hours)

    def window(self) -> Window:
        """Return what to ask for, with a margin: the date in an event may differ a little from the message's own."""
        margin = timedelta(minutes=1)
        start, end = self.hours[0][0] - margin, self.hours[-1][0] + HOUR + margin
        return Window(Why.BACKLOG, floor(start), floor(end))

    def within(self, start: datetime, end: datetime) -> "Span":
        """Return the items of a time."""
        return Span([(hour, count) for hour, count in self.hours if start < hour + HOUR and hour < end])

    def halves(self) -> "list[Span]":
        """Return the parts before and after the longest time without any item; none when it is one hour."""
        if len(self.hours) < 2:
            return []
        gaps = [after[0] - before[0] for before, after in zip(self.hours, self.hours[1:], strict=False)]
        cut = gaps.index(max(gaps)) + 1
        return [Span(self.hours[:cut]), Span(self.hours[cut:])]

    def dense(self) -> "list[Span]":
        """Return the parts with enough items for a page and few enough for a walk, without long times between them."""
        parts: list[list[tuple[datetime, int]]] = []
        items = 0
        for hour, count in self.hours:
            if not parts or items + count > MOST_ITEMS or hour - parts[-1][-1][0] > WIDEST_GAP:
                parts.append([])
                items = 0
            parts[-1].append((hour, count))
            items += count
        return [part for part in map(Span, parts) if part.items >= LEAST_ITEMS]


def spans(connection: Connection, location_ids: Sequence[str]) -> Span:
    """Return all that waits at these locations, and could be fetched together."""
    hours: Counter[datetime] = Counter()
    for each in message_queue.backlogs(connection, location_ids, most=None):
        hours[each.hour] += each.items
    return Span(sorted(hours.items()))
