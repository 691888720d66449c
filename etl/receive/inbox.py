"""Stores events that arrive together in one transaction, and tells each sender only after the commit.

Guarantee: an event is reported stored only when its transaction is committed; otherwise it is refused within
``ANSWER_SECONDS``, whatever Postgres does. What waits is bounded in number and in bytes.

Weakness: a refused event may be stored all the same, when the commit took longer than its sender was made to wait. The
redelivery is then a duplicate, so nothing is lost and nothing is queued twice.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from etl.receive.metrics import Metrics
from etl.receive.storing import NotStoredError, Result, Storage, describe
from etl.receive.webhook import Event

log = structlog.get_logger("etl.receive")

ANSWER_SECONDS = 1.5
"""How long a sender waits for the commit; HighLevel's own patience is not documented, so this is short."""
LINGER_SECONDS = 0.005
"""How long the first event of a batch waits for company."""
MOST_EVENTS = 5000
"""Events that may wait; more are refused at once."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of body that may wait."""
BATCH_EVENTS = 250
"""Events a transaction."""
BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of body a transaction, but for its last event."""
CHECK_SECONDS = 1.0
"""How often Postgres is looked at while no events come."""
RECOVERY_SECONDS = 0.25
"""How often it is looked at while it is away."""


@dataclass(slots=True, eq=False, repr=False)
class _Waiting:
    event: Event
    deadline: float
    future: asyncio.Future[Result]


class Inbox:
    """One thread that stores what the event loop hands it. A context manager: leaving it stores what still waits."""

    def __init__(self, storage: Storage, metrics: Metrics) -> None:
        self._storage = storage
        self._metrics = metrics
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._events = 0
        self._bytes = 0
        self._up = False
        self._at_head = False
        self._busy_since: float | None = None
        self._down_since = time.monotonic()
        self._next_check = 0.0
        self._looked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="inbox", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Why events cannot be stored now, as a short code; None when they can."""
        if not self._up:
            return "database_unavailable"
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > ANSWER_SECONDS:
            return "database_slow"
        return None

    @property
    def ready(self) -> bool:
        """Whether events can be stored and the schema is the one this version writes."""
        return self.trouble is None and self._at_head

    async def put(self, event: Event) -> str:
        """Store an event; returns what became of it once that is committed.

        Raises:
            NotStoredError: it is not, or not known to be.
        """
        trouble = self.trouble
        if trouble is not None:
            raise NotStoredError(trouble)
        if self._events >= MOST_EVENTS or self._bytes + len(event.body) > MOST_BYTES:
            raise NotStoredError("full")
        waiting = _Waiting(event, time.monotonic() + ANSWER_SECONDS, asyncio.get_running_loop().create_future())
        self._events += 1
        self._bytes += len(event.body)
        self._metrics.waiting.set(self._events)
        self._queue.put(waiting)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                result = await waiting.future
        except TimeoutError:
            raise NotStoredError("slow") from None
        if isinstance(result, NotStoredError):
            raise result
        return result

    def _deliver(self, results: Sequence[tuple[_Waiting, Result]]) -> None:
        """In the event loop: tell the senders."""
        for waiting, result in results:
            self._events -= 1
            self._bytes -= len(waiting.event.body)
            if not waiting.future.done():
                waiting.future.set_result(result)
        self._metrics.waiting.set(self._events)

    def _work(self) -> None:
        while not (self._stopping.is_set() and self._queue.empty()):
            batch = self._gather() if self._up else []
            self._busy_since = time.monotonic()
            try:
                self._store(batch)
                self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, senders must be told and the thread must live
                self._fail(error, batch)
            finally:
                self._busy_since = None
                self._looked.set()
            if not self._up:
                self._stopping.wait(RECOVERY_SECONDS)
        self._storage.close()

    def _gather(self) -> list[_Waiting]:
        """Wait for an event, and a moment for those that come with it."""
        try:
            waiting = self._queue.get(timeout=CHECK_SECONDS)
            time.sleep(LINGER_SECONDS)
        except queue.Empty:
            return []
        batch: list[_Waiting] = []
        size = 0
        with suppress(queue.Empty):
            while True:
                if waiting is not None:
                    batch.append(waiting)
                    size += len(waiting.event.body)
                if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES:
                    break
                waiting = self._queue.get_nowait()
        return batch

    def _store(self, batch: list[_Waiting]) -> None:
        now = time.monotonic()
        # Who was told to come again is not stored now: what waits must not outgrow what can be stored.
        late = [waiting for waiting in batch if waiting.deadline <= now]
        self._send(late, [NotStoredError("slow")] * len(late))
        batch[:] = [waiting for waiting in batch if waiting.deadline > now]
        if batch:
            results = self._storage.store([each.event for each in batch], until=batch[0].deadline)
            self._metrics.batch.observe(len(batch))
            self._send(batch, results)
            batch.clear()

    def _look(self) -> None:
        """Look whether Postgres is well, and delete old events, when it is time."""
        now = time.monotonic()
        if self._up and now < self._next_check:
            return
        self._at_head = self._storage.check()
        self._storage.purge()
        self._next_check = now + CHECK_SECONDS
        if not self._up:
            if self._looked.is_set():
                log.info("store_available", away_seconds=round(now - self._down_since, 1))
            self._up = True
        self._metrics.ready.set(self._at_head)

    def _fail(self, error: Exception, batch: list[_Waiting]) -> None:
        """Postgres is away: refuse what waits, and what comes, until it is back."""
        if self._up or not self._looked.is_set():
            log.error("store_unavailable", error=describe(error))
            self._down_since = time.monotonic()
        self._up = False
        self._metrics.ready.set(0)
        self._storage.close()
        with suppress(queue.Empty):
            while True:
                waiting = self._queue.get_nowait()
                if waiting is not None:
                    batch.append(waiting)
        self._send(batch, [NotStoredError("database_unavailable")] * len(batch))

    def _send(self, batch: Sequence[_Waiting], results: Sequence[Result]) -> None:
        if not batch:
            return
        pairs = list(zip(batch, results, strict=True))
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            batch[0].future.get_loop().call_soon_threadsafe(self._deliver, pairs)

    def __enter__(self) -> Self:
        self._thread.start()
        # The first senders should find it open; but not at any price, for a receiver without Postgres answers 429.
        self._looked.wait(ANSWER_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._queue.put(None)
        self._thread.join(timeout=5 * ANSWER_SECONDS)
