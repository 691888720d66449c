"""Stores events that arrive together in one transaction, and tells each sender only after the commit.

Guarantee: an event is reported stored only when its transaction is committed; otherwise it is refused within
``ANSWER_SECONDS``, whatever Postgres does. What waits is bounded in number and in bytes.

Weakness: a refused event may be stored all the same, when the commit took longer than its sender was made to wait. The
redelivery is then a duplicate, so nothing is lost and nothing is queued twice.

One task of the event loop does it, not a thread: a thread would wait for the interpreter lock after every answer of
Postgres, and take it from the loop after every question.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from etl.receive.metrics import Metrics
from etl.receive.storing import NotStoredError, Result, Storage, describe
from etl.receive.webhook import Event

log = structlog.get_logger("etl.receive")

ANSWER_SECONDS = 1.5
"""How long a sender waits for the commit; HighLevel's own patience is not documented, so this is short."""
LINGER_SECONDS = 0.002
"""How long the first event of a batch waits for company, unless it has waited for the batch before."""
MOST_EVENTS = 5000
"""Events that may wait; more are refused at once."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of body that may wait."""
BATCH_EVENTS = 250
"""Events a transaction."""
BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of body a transaction, but for its last event."""
TOLD_AT_ONCE = 8
"""Senders told of a commit before the loop looks what has come: told all at once they would all post at once again,
and nothing could be stored before the last of them is received."""
CHECK_SECONDS = 1.0
"""How often Postgres is looked at while no events come."""
RECOVERY_SECONDS = 0.25
"""How often it is looked at while it is away."""
DEAD_SECONDS = 8.0
"""How long Postgres may take for a batch before the connection is given up: something on the way may keep it open
without passing anything on, and no limit of Postgres's own ends that."""
STOP_SECONDS = 5.0
"""How long stopping waits for Postgres."""


@dataclass(slots=True, eq=False, repr=False)
class _Waiting:
    event: Event
    deadline: float
    answer: asyncio.Future[Result]


class Inbox:
    """What has been received and is not stored yet. Works while the application does: see :meth:`lifespan`."""

    def __init__(self, storage: Storage, metrics: Metrics) -> None:
        self._storage = storage
        self._metrics = metrics
        self._arrived = asyncio.Event()
        self._waiting: deque[_Waiting] = deque()
        self._unanswered: deque[_Waiting] = deque()
        self._bytes = 0
        self._expiring = False
        self._up = False
        self._at_head = False
        self._busy_since: float | None = None
        self._down_since = time.monotonic()
        self._next_check = 0.0
        self._looked = asyncio.Event()
        self._stopping = False

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
        if len(self._unanswered) >= MOST_EVENTS or self._bytes + len(event.body) > MOST_BYTES:
            raise NotStoredError("full")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(event, time.monotonic() + ANSWER_SECONDS, loop.create_future())
        self._waiting.append(waiting)
        self._unanswered.append(waiting)
        self._bytes += len(event.body)
        self._metrics.waiting.set(len(self._unanswered))
        self._arrived.set()
        if not self._expiring:
            self._expiring = True
            loop.call_later(ANSWER_SECONDS, self._expire)
        result = await waiting.answer
        if isinstance(result, NotStoredError):
            raise result
        return result

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Stores what is put while the application serves; what still waits at its end is stored first."""
        task = asyncio.create_task(self._work())
        # The first senders should find it open; but not at any price, for a receiver without Postgres answers 429.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), ANSWER_SECONDS)
        yield
        self._stopping = True
        self._arrived.set()
        await asyncio.wait([task], timeout=STOP_SECONDS)
        task.cancel()

    async def _work(self) -> None:
        while not (self._stopping and not self._waiting):
            batch = await self._gather() if self._up else []
            self._busy_since = time.monotonic()
            try:
                async with asyncio.timeout(DEAD_SECONDS):
                    await self._store(batch)
                    await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, senders must be told and the task must live
                await self._fail(error, batch)
            finally:
                self._busy_since = None
                self._looked.set()
            if not self._up and not self._stopping:
                await asyncio.sleep(RECOVERY_SECONDS)
        await self._storage.close()

    async def _gather(self) -> list[_Waiting]:
        """Wait for an event, and a moment for those that come with it."""
        if not self._waiting:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), CHECK_SECONDS)
            except TimeoutError:
                return []
            await asyncio.sleep(LINGER_SECONDS)
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
            waiting = self._waiting.popleft()
            # Who was told to come again is not stored now: what waits must not outgrow what can be stored.
            if not waiting.answer.done():
                batch.append(waiting)
                size += len(waiting.event.body)
        return batch

    async def _store(self, batch: list[_Waiting]) -> None:
        if batch:
            results = await self._storage.store([each.event for each in batch], until=batch[0].deadline)
            self._metrics.batch.observe(len(batch))
            self._tell(list(zip(batch, results, strict=True)))
            batch.clear()

    async def _look(self) -> None:
        """Look whether Postgres is well, and delete old events, when it is time."""
        now = time.monotonic()
        if self._up and now < self._next_check:
            return
        self._at_head = await self._storage.check()
        await self._storage.purge()
        self._next_check = now + CHECK_SECONDS
        if not self._up:
            if self._looked.is_set():
                log.info("store_available", away_seconds=round(now - self._down_since, 1))
            self._up = True
        self._metrics.ready.set(self._at_head)

    async def _fail(self, error: Exception, batch: list[_Waiting]) -> None:
        """Postgres is away: refuse what waits, and what comes, until it is back."""
        if self._up or not self._looked.is_set():
            log.error("store_unavailable", error=describe(error))
            self._down_since = time.monotonic()
        self._up = False
        self._metrics.ready.set(0)
        batch += self._waiting
        self._waiting.clear()
        self._tell([(waiting, NotStoredError("database_unavailable")) for waiting in batch])
        with suppress(Exception):  # it is given up, whatever it says to that
            await self._storage.close()

    def _tell(self, results: Sequence[tuple[_Waiting, Result]]) -> None:
        for waiting, result in results[:TOLD_AT_ONCE]:
            if not waiting.answer.done():
                waiting.answer.set_result(result)
        self._forget_answered()
        if more := results[TOLD_AT_ONCE:]:
            asyncio.get_running_loop().call_soon(self._tell, more)

    def _expire(self) -> None:
        """Refuse those who have waited too long. One timer for all of them, since they came in this order."""
        now = time.monotonic()
        for waiting in self._unanswered:
            if waiting.deadline > now:
                break
            if not waiting.answer.done():
                waiting.answer.set_result(NotStoredError("slow"))
        self._forget_answered()
        self._expiring = bool(self._unanswered)
        if self._expiring:
            asyncio.get_running_loop().call_later(self._unanswered[0].deadline - now, self._expire)

    def _forget_answered(self) -> None:
        while self._unanswered and self._unanswered[0].answer.done():
            self._bytes -= len(self._unanswered.popleft().event.body)
        self._metrics.waiting.set(len(self._unanswered))
