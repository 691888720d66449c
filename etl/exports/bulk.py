"""Answers many waiting messages with few requests: a backlog of one time is what pages of an export hold.

Only messages whose date is known are looked for, and only while a page answers enough of them; the loop fetches the
rest one by one.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from sqlalchemy import Connection

from etl.database.retrying_transaction import RetryingTransaction
from etl.exports import walk
from etl.exports.loading import Loading
from etl.exports.pages import Exports, HaltedError, Page
from etl.exports.windows import CHANNELS, LEAST_ITEMS, LEAST_YIELD, Span
from etl.state import message_queue, runs
from etl.worker.bulk import BulkTask
from etl.worker.claims import resolve_tokens

log = structlog.get_logger("etl.exports")

BACKLOG = 200
"""Due messages of a location that make it worth to look for them in its export."""
LOOK_ITEMS = 2 * BACKLOG
"""Due messages of a location that are looked at to see whether it has a backlog."""
LOOK_LOCATIONS = 64
"""Locations looked at with one statement."""
LOOK_SECONDS = 0.5
"""After that long a look ends; the next one goes on from there."""
THREADS = 4
"""Locations whose pages are fetched at once."""
PAUSE_SECONDS = 60.0
"""How long after a look or a fetch the next look is."""
REST_SECONDS = 600.0
"""How long a location is left alone whose export did not answer its backlog."""


class Bulk:
    """Fetches backlogs; one location a thread."""

    def __init__(self, *, exports: Exports, loading: Loading, transact: RetryingTransaction) -> None:
        self._exports = exports
        self._loading = loading
        self._transact = transact
        self._places: list[str] = []
        self._after: str | None = None
        self._next_look = 0.0
        self._resting: dict[str, float] = {}
        self._lock = threading.Lock()

    def is_wanted(self, transact: RetryingTransaction) -> bool:
        """Whether a backlog waits to be fetched; looks for one when it is time."""
        if not self._places and time.monotonic() >= self._next_look:
            transact(self.look)
            self._next_look = time.monotonic() + PAUSE_SECONDS
        return bool(self._places)

    def look(self, connection: Connection) -> bool:
        """Whether some location has a backlog that its export may answer.

        Goes from location to location, and on from there the next time: no run waits for a long queue to be read.
        """
        began = time.monotonic()
        items: Counter[str] = Counter()
        while True:
            page = message_queue.waiting_locations(connection, kind="message", after=self._after, limit=LOOK_LOCATIONS)
            for place, span in self._spans(connection, page, most=LOOK_ITEMS).items():
                items[place] += span.items
            self._after = page[-1] if len(page) == LOOK_LOCATIONS else None
            if self._after is None or time.monotonic() - began >= LOOK_SECONDS:
                break
        self._places = [
            place for place, count in items.items() if count >= BACKLOG and self._resting.get(place, 0.0) <= began
        ]
        return bool(self._places)

    def fetch(self, task: BulkTask) -> None:
        """Fetch what :meth:`is_wanted` found."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="bulk") as pool:
            list(pool.map(lambda name: self._drain(name, task), self._places))
        self._places = []
        self._next_look = time.monotonic() + PAUSE_SECONDS

    def _drain(self, location_id: str, task: BulkTask) -> None:
        try:
            for channel in CHANNELS:
                span = self._backlog(location_id)
                if span.items >= LEAST_ITEMS:
                    self._walk(location_id, span, channel, task)
        except HaltedError as halted:
            log.info("bulk_ended", location_id=location_id, cause=halted.cause)
        if self._backlog(location_id).items >= BACKLOG:
            self._resting[location_id] = time.monotonic() + REST_SECONDS

    def _walk(self, location_id: str, span: Span, channel: str | None, task: BulkTask) -> None:
        """Ask for the pages of a span; where it is too thin, for those of its denser parts."""
        left = span.items
        for page in walk.pages(self._exports, span.window(location_id, channel), stopping=task.stopping):
            answered = self._load(page, task)
            left -= answered
            if page.cursor is not None and answered < LEAST_YIELD:
                span = span.after(page.reached or span.hours[0][0])
                break
        else:
            return
        for part in span.halves():
            if min(part.items, left) >= LEAST_ITEMS:
                self._walk(location_id, part, channel, task)

    def _load(self, page: Page, task: BulkTask) -> int:
        """Load a page; returns how many items it answered."""
        done = self._loading.load(page, note=lambda connection, counts: runs.report(connection, task.run_id, counts))
        with self._lock:
            task.report(done.items)
        return done.items.loaded

    def _backlog(self, location_id: str) -> Span:
        """All that waits for the export of a location, where items without one may belong too."""
        with self._exports.looking:
            found = self._transact(lambda connection: self._spans(connection, ["", location_id], most=None))
        return found.get(location_id, Span(()))

    def _spans(self, connection: Connection, names: Sequence[str], *, most: int | None) -> dict[str, Span]:
        """Return what waits at these locations, ``most`` items of each, by the location whose export has it."""
        found = message_queue.backlogs(connection, names, most=most)
        served, _ = resolve_tokens(connection, self._exports.tokens, names) if found else ({}, {})
        hours: dict[str, Counter[Any]] = {}
        for each in found:
            place = each.location_id or served.get("", "")
            if each.location_id in served and place:
                hours.setdefault(place, Counter())[each.hour] += each.items
        return {place: Span(sorted(counts.items())) for place, counts in hours.items()}
