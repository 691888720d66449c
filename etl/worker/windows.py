"""Settles windows that were walked: a slice of rows a transaction, so that other items wait no longer than for that."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.database.retrying_transaction import RetryingTransaction
from etl.errors import RateLimitedError
from etl.kinds.windows import PAGE_ROWS, Walk
from etl.load import loader, suppression
from etl.load.suppression import Received
from etl.models import Base
from etl.models.record import Record
from etl.state import dead_letters, message_queue, runs, windows
from etl.state.dead_letters import BAD_ID, LetterFilter
from etl.state.message_queue import NewItem, Unasked
from etl.state.runs import RunCounts
from etl.state.windows import Why, Window
from etl.worker import follow_ups
from etl.worker.backlog_spans import LEAST_ITEMS, LEAST_YIELD, spans
from etl.worker.comparing import compare, queue_gone
from etl.worker.pipeline import Outcome
from etl.worker.settlement import report_requests, stop_location

REST_SECONDS = 600.0
"""How long a location is left alone whose export did not answer its backlog."""


@dataclass(slots=True)
class Settling:
    """A window whose rows are being settled; counts of messages."""

    outcome: Outcome
    slices: deque[Sequence[Record]] = field(init=False)
    is_over: bool = False
    answered: int = 0
    """Waiting items."""
    written: int = 0
    singly: int = 0
    """Those whose row cannot be loaded: they are queued, and fetched singly."""
    exported: set[str] = field(default_factory=set)
    """Ids that were compared."""
    days: dict[str, Counter[str]] = field(default_factory=dict)
    """What comparing found, by UTC day."""

    def __post_init__(self) -> None:
        records = self.outcome.records or []
        self.slices = deque(records[n : n + PAGE_ROWS] for n in range(0, len(records), PAGE_ROWS))

    def add(self, moment: datetime | None, walk: Walk, **counts: int) -> None:
        """Count something of the day of a message; without a date, of the window's first day."""
        day = (moment or walk.window.since).astimezone(UTC).date().isoformat()
        self.days.setdefault(day, Counter()).update(counts)


@dataclass(frozen=True, slots=True)
class WindowSettlement:
    """How walked windows are settled."""

    default_location_id: str
    """The location of items that name none; empty: not known."""
    taken: Mapping[str, type[Base] | None]
    """The kinds that some job takes, and where each keeps what it fetches."""
    clock: Callable[[], float]
    resting: dict[str, float] = field(default_factory=dict)
    """Until when no backlog of these locations is looked for in their export."""

    def step(self, transact: RetryingTransaction, settling: Settling, run_id: int) -> RunCounts:
        """Settle the next slice, or the window itself when all are settled; returns what that did to items."""
        if settling.slices:
            return self._settle_slice(transact, settling, settling.slices.popleft(), run_id)
        settling.is_over = True
        return transact(lambda connection: self._finish(connection, settling, run_id))

    def _settle_slice(
        self, transact: RetryingTransaction, settling: Settling, records: Sequence[Record], run_id: int
    ) -> RunCounts:
        walk = settling.outcome.walk
        assert walk is not None  # noqa: S101 - for the type checker
        if walk.window.why is Why.COMPARE:
            self._compare(transact, settling, walk, records)
            return RunCounts()
        try:
            counts, written = transact(lambda connection: self._load(connection, settling, records, run_id))
        except (DBAPIError, ValueError):
            # Some row cannot be written as it is. Halving finds it; the others are written.
            if len(records) == 1:
                settling.singly += 1
                item = NewItem("message", records[0].row["message_id"], walk.location_id)
                transact(lambda connection: message_queue.follow_up(connection, [item]))
                return RunCounts()
            half = len(records) // 2
            counts = self._settle_slice(transact, settling, records[:half], run_id)
            counts.add(self._settle_slice(transact, settling, records[half:], run_id))
            return counts
        settling.answered += counts.loaded
        settling.written += written
        return counts

    def _load(
        self, connection: Connection, settling: Settling, records: Sequence[Record], run_id: int
    ) -> tuple[RunCounts, int]:
        """Write rows, and remove the waiting items that they answer; returns how many messages that changed, too."""
        if not self._is_held(connection, settling):
            return RunCounts(), 0
        location_ids = self._answered(settling)
        ids = {record.row["message_id"] for record in records}
        asked_at = records[0].row["fetched_at"]
        waiting = message_queue.waiting(connection, ids, location_ids=location_ids, before=asked_at)
        loaded = loader.load(connection, records)
        # An export may lag behind: what the tables know better stays to be fetched.
        fresh = {record.row["message_id"] for record in records if not loaded.has_stale([record])}
        answered = {key for key in waiting if key[0] in fresh}
        message_queue.remove(connection, answered)
        letters = LetterFilter(message_ids=list(fresh), kind="message", location_ids=location_ids)
        dead_letters.purge(connection, letters)
        follow_ups.queue(connection, loaded.follow_ups, self.taken)
        written = {record.row["message_id"] for record in records if loaded.has_written([record])}
        counts = RunCounts(loaded=len(answered), unchanged=sum(id_ not in written for id_, _ in answered))
        counts.drift.update(entry for record in records for entry in record.drift)
        runs.report(connection, run_id, counts)
        return counts, len(written)

    def _compare(
        self, transact: RetryingTransaction, settling: Settling, walk: Walk, records: Sequence[Record]
    ) -> None:
        fresh = [record for record in records if record.row["message_id"] not in settling.exported]
        found = transact(lambda connection: compare(connection, walk.location_id, fresh))
        for id_, row in found.rows.items():
            settling.exported.add(id_)
            moment = row["date_added"]
            # What is beyond a window that was cut is compared with the rest of it.
            if moment is None or moment < walk.window.until:
                counts = {name: int(id_ in ids) for name, ids in found.named()}
                settling.add(moment, walk, exported=1, **counts)

    def _is_held(self, connection: Connection, settling: Settling) -> bool:
        """Whether the window is still ours; else somebody else walks it again."""
        if message_queue.complete(connection, [], others=[settling.outcome.claimed.item]):
            return True
        settling.slices.clear()
        settling.is_over = True
        return False

    def _answered(self, settling: Settling) -> tuple[str, ...]:
        """Return the locations whose items a window answers."""
        claimed = settling.outcome.claimed
        own = (claimed.item.location_id,)
        return (*own, "") if self.default_location_id == claimed.token_location_id else own

    def _finish(self, connection: Connection, settling: Settling, run_id: int) -> RunCounts:
        """End a window: note what it found, queue what it leaves, and report its requests."""
        outcome = settling.outcome
        item, walk = outcome.claimed.item, outcome.walk
        counts = RunCounts()
        if not message_queue.complete(connection, [item]):
            return counts
        counts.count_answers(outcome.statuses, sent=outcome.sent)
        if walk is None:
            windows.remove(connection, item.location_id, item.message_id)
            self.resting[item.location_id] = self.clock() + REST_SECONDS
        else:
            counts.dead = _keep_unnamed(connection, walk)
            follow_ups.queue(connection, outcome.follow_ups, self.taken)
            self._note(connection, settling, walk)
            windows.add(connection, item.location_id, self._rest(connection, settling, walk))
        runs.report(connection, run_id, counts)
        report_requests(connection, [outcome], [], now=self.clock())
        if isinstance(outcome.error, RateLimitedError):
            stop_location(connection, outcome.claimed.token, outcome.error)
        return counts

    def _note(self, connection: Connection, settling: Settling, walk: Walk) -> None:
        item = settling.outcome.claimed.item
        if walk.is_divided:
            windows.remove(connection, item.location_id, item.message_id)
            return
        if walk.window.why is Why.COMPARE:
            for moment in queue_gone(connection, walk, settling.exported):
                settling.add(moment, walk, gone=1)
            if walk.missing:
                settling.add(None, walk, unseen=walk.missing)
        found = {
            "messages": walk.messages,
            "missing": walk.missing,
            "written": settling.written,
            "singly": settling.singly + len({each.id for each in settling.outcome.follow_ups}),
            "requests": settling.outcome.sent,
            "days": settling.days or None,
        }
        windows.finish(connection, item.location_id, item.message_id, window=walk.window, counts=found)

    def _rest(self, connection: Connection, settling: Settling, walk: Walk) -> Sequence[Window]:
        """Return what is to be walked next: of a backlog, only where enough still waits."""
        window = walk.window
        if window.why is not Why.BACKLOG or walk.is_divided:
            return walk.rest
        left = spans(connection, self._answered(settling))
        is_thin = settling.answered < LEAST_YIELD * len(walk.pages)
        rest: list[Window] = []
        for each in walk.rest:
            span = left.within(each.since, each.until)
            least = LEAST_ITEMS if is_thin else LEAST_YIELD
            rest += [part.window() for part in (span.halves() if is_thin else [span]) if part.items >= least]
        if not rest and left.items >= LEAST_ITEMS:
            self.resting[walk.location_id] = self.clock() + REST_SECONDS
        return rest


def _keep_unnamed(connection: Connection, walk: Walk) -> int:
    """Make dead letters of rows that have no id to ask for; returns how many are new.

    Not of what belongs to a contact that was erased.
    """
    received = [
        Unasked("message", walk.location_id, BAD_ID, "a row of an export has no id that could be asked for", payload)
        for page in walk.pages
        for payload in page.unnamed
    ]
    by_text = {Received(each.location_id, each.id, each.payload): each for each in received}
    for each in suppression.suppressed(connection, by_text):
        del by_text[each]
    return message_queue.keep(connection, list({each.id: each for each in by_text.values()}.values()))
