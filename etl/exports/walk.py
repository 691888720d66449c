"""Walks the pages of a window to its end, although cursors die and pages repeat rows.

How HighLevel reads a cursor is not known: as a place among the rows that are asked for, or as a key to search after.
So a cursor is sent with exactly the query that it came from, and only a page without one ends a walk. How many rows
there are, as the API says, is told, and relied on for nothing.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from etl.errors import RefusedError
from etl.exports.pages import Exports, HaltedError, Page
from etl.exports.windows import PAGE_ROWS, Window
from etl.transform.values import date_of

LEAST_ROWS = 10
"""Rows of the smallest page that can be asked for."""
RESTARTS = 3
"""How often a walk begins anew at one date before it gives up."""
BARREN = 20
"""Pages without anything new, one after another, after which a walk gives up: its end would never come."""


@dataclass(slots=True)
class Seen:
    """What a walk saw."""

    dates: dict[str, datetime | None] = field(default_factory=dict)
    """Of the different messages, by id; by all that it says, of one without an id."""
    total: int | None = None
    """How many the API counts."""

    @property
    def missing(self) -> int:
        """How many it counts and did not give."""
        return max((self.total or 0) - len(self.dates), 0)

    def add(self, page: Page) -> bool:
        """Note the rows of a page; returns whether one is new."""
        before = len(self.dates)
        self.dates.update((_identity(row), _date(row)) for row in page.rows)
        return len(self.dates) > before


def pages(
    exports: Exports, window: Window, *, seen: Seen | None = None, stopping: Callable[[], bool] = lambda: False
) -> Iterator[Page]:
    """Yield the pages of a window, oldest first; rows may come twice. What they have is noted in ``seen``.

    A cursor lives for two minutes (HighLevel docs). When it has died, the walk begins anew at the last date reached.

    Raises:
        HaltedError: it cannot go on now.
    """
    seen = Seen() if seen is None else seen
    query = _Query(window, _whole_milliseconds(window.start))
    reached: datetime | None = query.start
    cursor, barren = None, 0
    while True:
        try:
            page = exports.page(window.location_id, stopping=stopping, **query.asking(cursor))
        except RefusedError as error:
            query = query.anew(error, reached or window.start, is_first=cursor is None)
            cursor = None
            continue
        if cursor is None and query.start <= window.start:
            seen.total = page.total
        barren = 0 if seen.add(page) else barren + 1
        reached = None if reached is None else _reached(page, after=reached)
        yield replace(page, reached=reached)
        cursor = page.cursor
        if cursor is None:
            return
        if barren >= BARREN:
            raise HaltedError("refused", f"The export does not end: {BARREN} pages in a row had nothing new")


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked for from one beginning to the next, so that each cursor goes with what it came from."""

    window: Window
    start: datetime
    limit: int = PAGE_ROWS
    restarts: int = 0

    def asking(self, cursor: str | None) -> dict[str, str | int]:
        asked: dict[str, str | int | None] = {
            "limit": self.limit,
            "sortBy": "createdAt",
            "sortOrder": "asc",
            "channel": self.window.channel,
            "startDate": _iso(self.start),
            "endDate": _iso(self.window.end),
            "cursor": cursor,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def anew(self, error: RefusedError, reached: datetime, *, is_first: bool) -> "_Query":
        """Begin anew where it has come to, with smaller pages if the last one was too large.

        Raises:
            HaltedError: that would not help.
        """
        if error.cause == "too_large" and self.limit > LEAST_ROWS:
            return replace(self, start=reached, limit=max(self.limit // 4, LEAST_ROWS))
        restarts = 1 if reached > self.start else self.restarts + 1
        if is_first or restarts > RESTARTS:
            raise HaltedError("refused", f"The API refuses the export: {error.detail}") from error
        return replace(self, start=reached, restarts=restarts)


def _identity(row: dict[str, Any]) -> str:
    id_ = row.get("id")
    return id_ if isinstance(id_, str) else json.dumps(row, sort_keys=True)


def _reached(page: Page, *, after: datetime) -> datetime | None:
    """How far a page came; None when it is not in the order that was asked for, so that nothing is passed over."""
    dates = [after, *(date for row in page.rows if (date := _date(row)) is not None)]
    return dates[-1] if dates == sorted(dates) else None


def _date(row: dict[str, Any]) -> datetime | None:
    try:
        return date_of(row.get("dateAdded"))
    except ValueError:
        return None


def _whole_milliseconds(moment: datetime) -> datetime:
    """As precise as what is asked for, and as what comes."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _iso(moment: datetime) -> str:
    """As HighLevel writes dates, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
