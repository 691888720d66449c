"""The threads that process items, and the queue of their outcomes."""

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

from etl.worker.pipeline import Claimed, Outcome

Process = Callable[[Claimed], Outcome]


class OutcomeQueue:
    """Outcomes on their way to the loop."""

    def __init__(self) -> None:
        # A SimpleQueue, because its put() is safe in a signal handler.
        self._arrived: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()

    def put(self, outcome: Outcome) -> None:
        """Add an outcome and wake the loop."""
        self._arrived.put(outcome)

    def wake(self) -> None:
        """End a wait early; safe in a signal handler."""
        self._arrived.put(None)

    def take(self, *, timeout: float) -> list[Outcome]:
        """Wait until woken or for ``timeout`` seconds; return the outcomes that arrived."""
        arrived: list[Outcome | None] = []
        with suppress(queue.Empty):
            arrived.append(self._arrived.get(timeout=max(timeout, 0.001)))
            while True:
                arrived.append(self._arrived.get_nowait())
        return [outcome for outcome in arrived if outcome is not None]


class Fetchers:
    """Up to ``concurrency`` items processed at once. Threads start with the first item; they end with the process.

    With several locations, none may use all threads: one that does not answer would delay the others for as long as a
    request may take.
    """

    def __init__(self, process: Process, *, concurrency: int, outcomes: OutcomeQueue) -> None:
        self._process = process
        self._concurrency = concurrency
        self._outcomes = outcomes
        self._tasks: deque[Claimed] = deque()
        self._busy: Counter[str] = Counter()
        self._locations: set[str] = set()
        self._changed = threading.Condition()
        self._started = False

    @property
    def waiting(self) -> int:
        """Items that no thread has begun, but could: those of a location that has all its threads do not count."""
        with self._changed:
            if len(self._locations) == 1:
                return len(self._tasks)
            full = {by for by, busy in self._busy.items() if busy >= self._most}
            return sum(each.token_location_id not in full for each in self._tasks)

    @property
    def _most(self) -> int:
        """Return how many threads a location may use."""
        return max(self._concurrency - (len(self._locations) > 1), 1)

    def submit(self, items: list[Claimed]) -> None:
        """Queue items for processing, in order within a location."""
        if not self._started:
            for number in range(self._concurrency):
                threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True).start()
            self._started = True
        with self._changed:
            self._tasks.extend(items)
            self._locations.update(each.token_location_id for each in items)
            self._changed.notify(len(items))

    def take_back(self, token_location_id: str | None = None) -> list[Claimed]:
        """Remove and return the items that no thread has begun: all, or those with the token of a location."""
        taken: list[Claimed] = []
        with self._changed:
            tasks, self._tasks = self._tasks, deque()
            for each in tasks:
                (taken if token_location_id in (None, each.token_location_id) else self._tasks).append(each)
        return taken

    def _work(self) -> None:
        while True:
            claimed = self._next()
            self._outcomes.put(self._process(claimed))
            with self._changed:
                self._busy[claimed.token_location_id] -= 1
                self._busy += Counter()  # drops what is 0
                self._changed.notify()

    def _next(self) -> Claimed:
        """Wait for the first item of a location that may have one more thread."""
        with self._changed:
            while True:
                most = self._most
                for index, each in enumerate(self._tasks):
                    if self._busy[each.token_location_id] < most:
                        del self._tasks[index]
                        self._busy[each.token_location_id] += 1
                        return each
                self._changed.wait()
