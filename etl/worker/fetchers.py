"""The threads that process items, and the way their outcomes take to the loop."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from etl.pipeline import Claimed, Outcome

Process = Callable[[Claimed], Outcome]


class OutcomeQueue:
    """Outcomes on their way to the loop."""

    def __init__(self) -> None:
        # A SimpleQueue, because its put() is safe in a signal handler.
        self._arrived: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()

    def put(self, outcome: Outcome) -> None:
        """Leave an outcome, and wake the loop."""
        self._arrived.put(outcome)

    def wake(self) -> None:
        """End a wait early; safe in a signal handler."""
        self._arrived.put(None)

    def take(self, *, timeout: float) -> list[Outcome]:
        """Wait until woken or for ``timeout`` seconds; returns what has arrived."""
        arrived: list[Outcome | None] = []
        with suppress(queue.Empty):
            arrived.append(self._arrived.get(timeout=max(timeout, 0.001)))
            while True:
                arrived.append(self._arrived.get_nowait())
        return [outcome for outcome in arrived if outcome is not None]


class Fetchers:
    """Up to ``concurrency`` items processed at once. Threads start with the first item; they end with the process."""

    def __init__(self, process: Process, *, concurrency: int, outcomes: OutcomeQueue) -> None:
        self._process = process
        self._concurrency = concurrency
        self._outcomes = outcomes
        self._tasks: queue.SimpleQueue[Claimed] = queue.SimpleQueue()
        self._started = False

    @property
    def waiting(self) -> int:
        """Items that no thread has begun."""
        return self._tasks.qsize()

    def submit(self, items: list[Claimed]) -> None:
        """Have items processed, in order."""
        if not self._started:
            for number in range(self._concurrency):
                threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True).start()
            self._started = True
        for item in items:
            self._tasks.put(item)

    def take_back(self, which: Callable[[Claimed], bool] = lambda _: True) -> list[Claimed]:
        """Remove the items that no thread has begun and ``which`` chooses."""
        taken: list[Claimed] = []
        kept: list[Claimed] = []
        while True:
            try:
                item = self._tasks.get_nowait()
            except queue.Empty:
                break
            (taken if which(item) else kept).append(item)
        for item in kept:
            self._tasks.put(item)
        return taken

    def _work(self) -> None:
        while True:
            self._outcomes.put(self._process(self._tasks.get()))
