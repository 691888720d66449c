"""Walks the pages of a window to its end, although cursors die and pages repeat or skip rows.

Guarantee: when a walk says that nothing is missing, it has seen as many different messages as the API counts. Weakness:
an API that leaves out a row and does not count it either cannot be told from one that does not have it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

from etl.errors import RefusedError
from etl.exports.pages import Exports, HaltedError, Page
from etl.exports.windows import PAGE_ROWS, Window
from etl.transform.values import date_of

LEAST_ROWS = 10
"""Rows of the smallest page that can be asked for."""
RESTARTS = 3
"""How often a walk begins anew at one date before it gives up."""
WALKS = 3
"""How often a window is walked whose pages have fewer messages than the API counts."""


def pages(exports: Exports, window: Window, *, stopping: Callable[[], bool] = lambda: False) -> Iterator[Page]:
    """The pages of a window, oldest first; rows may come twice.

    A cursor lives for two minutes (HighLevel docs). When it has died, the walk begins anew at the last date reached.

    Raises:
        HaltedError: it cannot go on now.
    """
    start, cursor, limit, restarts, most = window.start, None, PAGE_ROWS, 0, 0
    while True:
        query: dict[str, str | int] = {} if cursor is None else {"cursor": cursor}
        if window.channel is not None:
            query["channel"] = window.channel
        dates = {"startDate": _iso(start), "endDate": _iso(window.end)}
        try:
            page = exports.page(
                window.location_id,
                stopping=stopping,
                limit=limit,
                sortBy="createdAt",
                sortOrder="asc",
                **dates,
                **query,
            )
        except RefusedError as error:
            is_too_large = error.cause == "too_large" and limit > LEAST_ROWS
            if not is_too_large and (cursor is None or restarts >= RESTARTS):
                raise HaltedError("refused", f"The API refuses the export: {error.detail}") from error
            limit = max(limit // 4, LEAST_ROWS) if is_too_large else limit
            restarts += not is_too_large
            cursor = None
            continue
        if cursor is None:
            # An end that never comes must not be waited for.
            most = 2 * ceil((page.total or 0) / limit) + 10
        yield replace(page, is_first=page.is_first and start == window.start)
        reached = last_date(page)
        if reached is not None and reached > start:
            start, restarts = reached, 0
        cursor, most = page.cursor, most - 1
        if cursor is None or not page.rows or most <= 0:
            return


@dataclass(frozen=True, slots=True)
class Seen:
    """What the walks of a window saw."""

    ids: frozenset[str]
    """Of different messages; of one without an id, all that it says."""
    total: int | None
    """How many the API counts."""

    @property
    def missing(self) -> int:
        """How many it counts and did not give."""
        return max((self.total or 0) - len(self.ids), 0)


def whole(
    exports: Exports, window: Window, take: Callable[[Page], None], *, stopping: Callable[[], bool] = lambda: False
) -> Seen:
    """Hand every page of a window to ``take``; walk again, twice at most, while messages are missing.

    Raises:
        HaltedError: it cannot go on now.
    """
    ids: set[str] = set()
    total: int | None = None
    for _ in range(WALKS):
        for page in pages(exports, window, stopping=stopping):
            total = page.total if page.is_first else total
            ids.update(_identity(row) for row in page.rows)
            take(page)
        if total is None or len(ids) >= total:
            break
    return Seen(frozenset(ids), total)


def _identity(row: dict[str, Any]) -> str:
    id_ = row.get("id")
    return id_ if isinstance(id_, str) else json.dumps(row, sort_keys=True)


def last_date(page: Page) -> datetime | None:
    """How far a page came; None when it is not in the order that was asked for, so that nothing is passed over."""
    dates = [date for row in page.rows if (date := _date(row)) is not None]
    return dates[-1] if dates and dates == sorted(dates) else None


def _date(row: dict[str, Any]) -> datetime | None:
    try:
        return date_of(row.get("dateAdded"))
    except ValueError:
        return None


def _iso(moment: datetime) -> str:
    """As HighLevel writes dates, in UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
