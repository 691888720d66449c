"""Settles windows that were walked: a slice of rows a transaction, so that other items wait no longer than for that."""

from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.errors import RateLimitedError
from etl.kinds.window_pages import PAGE_ROWS, Walk
from etl.load import loader, suppression
from etl.load.suppression import Received
from etl.models.record import Record
from etl.state import dead_letters, message_queue, windows
from etl.state.dead_letters import BAD_ID, LetterFilter
from etl.state.message_queue import NewItem, PayloadWithoutId
from etl.state.runs import RunCounts
from etl.state.windows import Why, Window
from etl.worker import follow_ups
from etl.worker.backlog_spans import LEAST_ITEMS, LEAST_YIELD, spans
from etl.worker.comparing import compare, queue_gone
from etl.worker.pipeline import Outcome
from etl.worker.run import RunContext
from etl.worker.run_row import RunRow
from etl.worker.settlement import report_requests, stop_location

REST_SECONDS = 600.0
"""How long the export of a location is not used for its backlog after it failed."""


class WindowRows:
    """The rows of a walked window, while they are settled.

    Attributes:
        is_over: whether all of it is settled.
    """

    def __init__(self, outcome: Outcome, context: RunContext, row: RunRow) -> None:
        self.outcome = outcome
        self.is_over = False
        self._item = outcome.claimed.item
        self._context = context
        self._row = row
        records = outcome.records or []
        self._slices = deque(records[n : n + PAGE_ROWS] for n in range(0, len(records), PAGE_ROWS))
        own = (self._item.location_id,)
        is_default = context.default_location_id == outcome.claimed.token_location_id
        self._location_ids = (*own, "") if is_default else own
        self._answered = self._written = self._singly = 0
        self._exported: set[str] = set()
        self._days: dict[str, Counter[str]] = {}

    def step(self) -> RunCounts:
        """Settle the next slice, or the window itself when all are settled; return what that did to items."""
        if self._slices:
            return self._settle(self._slices.popleft())
        self.is_over = True
        return self._row.transact(self._finish)

    def _settle(self, records: Sequence[Record]) -> RunCounts:
        walk = self.outcome.walk
        assert walk is not None  # noqa: S101 - for the type checker
        if walk.window.why is Why.COMPARE:
            self._compare(walk, records)
            return RunCounts()
        try:
            counts, written = self._row.transact(partial(self._load, records=records))
        except (DBAPIError, ValueError):
            # Some row cannot be written as it is. Halving finds it; the others are written.
            if len(records) == 1:
                self._singly += 1
                item = NewItem("message", records[0].row["message_id"], walk.location_id)
                self._row.transact(partial(message_queue.follow_up, named=[item]))
                return RunCounts()
            half = len(records) // 2
            counts = self._settle(records[:half])
            counts.add(self._settle(records[half:]))
            return counts
        self._answered += counts.loaded
        self._written += written
        return counts

    def _load(self, connection: Connection, records: Sequence[Record]) -> tuple[RunCounts, int]:
        """Write rows, and remove the waiting items that they answer; return how many messages that changed, too."""
        if not message_queue.complete(connection, [], others=[self._item]):
            # The lease has ended: another worker walks the window again.
            self._slices.clear()
            self.is_over = True
            return RunCounts(), 0
        ids = {record.row["message_id"] for record in records}
        asked_at = records[0].row["fetched_at"]
        waiting = message_queue.waiting(connection, ids, location_ids=self._location_ids, before=asked_at)
        loaded = loader.load(connection, records)
        # An export may be late: items whose rows are newer in the tables stay queued.
        fresh = {record.row["message_id"] for record in records if not loaded.has_stale([record])}
        answered = {key for key in waiting if key[0] in fresh}
        message_queue.remove(connection, answered)
        letters = LetterFilter(message_ids=list(fresh), kind="message", location_ids=self._location_ids)
        dead_letters.purge(connection, letters)
        follow_ups.queue(connection, loaded.follow_ups, self._context.taken)
        written = {record.row["message_id"] for record in records if loaded.has_written([record])}
        counts = RunCounts(loaded=len(answered), unchanged=sum(id_ not in written for id_, _ in answered))
        counts.drift.update(entry for record in records for entry in record.drift)
        self._row.report(connection, counts)
        return counts, len(written)

    def _compare(self, walk: Walk, records: Sequence[Record]) -> None:
        fresh = [record for record in records if record.row["message_id"] not in self._exported]
        found = self._row.transact(partial(compare, location_id=walk.location_id, records=fresh))
        for id_, row in found.rows.items():
            self._exported.add(id_)
            moment = row["date_added"]
            # Rows after the cut are compared when the rest of the window is walked.
            if moment is None or moment < walk.window.until:
                counts = {name: int(id_ in ids) for name, ids in found.named()}
                self._count(moment, walk, exported=1, **counts)

    def _count(self, moment: datetime | None, walk: Walk, **counts: int) -> None:
        """Count something of the day of a message; without a date, of the window's first day."""
        day = (moment or walk.window.since).astimezone(UTC).date().isoformat()
        self._days.setdefault(day, Counter()).update(counts)

    def _finish(self, connection: Connection) -> RunCounts:
        """End the window: note what it found, queue what it leaves, and report its requests."""
        outcome, walk, now = self.outcome, self.outcome.walk, self._context.clock()
        counts = RunCounts()
        if not message_queue.complete(connection, [self._item]):
            return counts
        counts.count_answers(outcome.statuses, sent=outcome.sent)
        if walk is None:
            windows.remove(connection, self._item.location_id, self._item.message_id)
            self._context.resting[self._item.location_id] = now + REST_SECONDS
        else:
            counts.dead = _keep_unnamed(connection, walk)
            follow_ups.queue(connection, outcome.follow_ups, self._context.taken)
            self._note(connection, walk)
            windows.add(connection, self._item.location_id, self._rest(connection, walk))
        self._row.report(connection, counts)
        report_requests(connection, [outcome], [], now=now)
        if isinstance(outcome.error, RateLimitedError):
            stop_location(connection, outcome.claimed.token, outcome.error)
        return counts

    def _note(self, connection: Connection, walk: Walk) -> None:
        if walk.is_divided:
            windows.remove(connection, self._item.location_id, self._item.message_id)
            return
        if walk.window.why is Why.COMPARE:
            for moment in queue_gone(connection, walk, self._exported):
                self._count(moment, walk, gone=1)
            if walk.missing:
                self._count(None, walk, unseen=walk.missing)
        found = {
            "messages": walk.messages,
            "missing": walk.missing,
            "written": self._written,
            "singly": self._singly + len({each.id for each in self.outcome.follow_ups}),
            "requests": self.outcome.sent,
            "days": self._days or None,
        }
        windows.finish(connection, self._item.location_id, self._item.message_id, window=walk.window, counts=found)

    def _rest(self, connection: Connection, walk: Walk) -> Sequence[Window]:
        """Return the windows to walk next; for a backlog, only those in which enough messages still wait."""
        if walk.window.why is not Why.BACKLOG or walk.is_divided:
            return walk.rest
        left = spans(connection, self._location_ids)
        is_thin = self._answered < LEAST_YIELD * len(walk.pages)
        least = LEAST_ITEMS if is_thin else LEAST_YIELD
        rest: list[Window] = []
        for each in walk.rest:
            span = left.within(each.since, each.until)
            rest += [part.window() for part in (span.halves() if is_thin else [span]) if part.items >= least]
        if not rest and left.items >= LEAST_ITEMS:
            self._context.resting[walk.location_id] = self._context.clock() + REST_SECONDS
        return rest


def _keep_unnamed(connection: Connection, walk: Walk) -> int:
    """Make dead letters of rows without an id that could be asked for; return how many are new.

    Rows of an erased contact become none.
    """
    received = [
        PayloadWithoutId(
            "message", walk.location_id, BAD_ID, "a row of an export has no id that could be asked for", payload
        )
        for page in walk.pages
        for payload in page.unnamed
    ]
    by_text = {Received(each.location_id, each.id, each.payload): each for each in received}
    for each in suppression.suppressed(connection, by_text):
        del by_text[each]
    return message_queue.keep(connection, list({each.id: each for each in by_text.values()}.values()))
