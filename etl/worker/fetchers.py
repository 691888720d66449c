"""The threads that process items, and the way their outcomes take to the loop."""

import queue
import threading
from collections import deque
from collections.abc import Callable

from etl.pipeline import Claimed, Outcome

Process = Callable[[Claimed], Outcome]


class OutcomeQueue:
    """Outcomes on their way to the loop, which is woken for a batch rather than for each of them.

    Waking it costs two switches of the interpreter lock, about a tenth of what fetching a message costs.
    """

    def __init__(self, *, batch_size: int) -> None:
        self._batch_size = batch_size
        self._outcomes: deque[Outcome] = deque()
        # A SimpleQueue, because its put() is safe in a signal handler.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, outcome: Outcome, *, urgent: bool) -> None:
        """Leave an outcome; wake the loop when it is ``urgent`` or makes a batch."""
        self._outcomes.append(outcome)
        if urgent or len(self._outcomes) == self._batch_size:
            self.wake()

    def wake(self) -> None:
        """End a wait early; safe in a signal handler."""
        self._calls.put(None)

    def take(self, *, timeout: float) -> list[Outcome]:
        """Wait until woken or for ``timeout`` seconds; returns what has arrived."""
        try:
            self._calls.get(timeout=max(timeout, 0.001))
            while True:
                self._calls.get_nowait()
        except queue.Empty:
            pass
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]


class Fetchers:
    """Up to ``concurrency`` items processed at once. Threads start with the first item; they end with the process."""

    def __init__(self, process: Process, *, concurrency: int, outcomes: OutcomeQueue) -> None:
        self._process = process
        self._concurrency = concurrency
        self._outcomes = outcomes
        self._tasks: queue.SimpleQueue[Claimed] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
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
        self._count(len(items))
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
        self._count(-len(taken))
        return taken

    def _work(self) -> None:
        while True:
            outcome = self._process(self._tasks.get())
            last = self._count(-1) == 0
            self._outcomes.put(outcome, urgent=last or outcome.error is not None)

    def _count(self, change: int) -> int:
        with self._lock:
            self._unfinished += change
            return self._unfinished
