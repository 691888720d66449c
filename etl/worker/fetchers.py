"""The threads that process items, and the two queues between them and the loop."""

import queue
import threading
from collections.abc import Callable

from etl.pipeline import Claimed, Outcome

Process = Callable[[Claimed], Outcome]


class Fetchers:
    """Up to ``concurrency`` items processed at once. Threads start with the first item; they end with the process.

    ``inbox`` is where outcomes arrive; a None in it only wakes whoever waits there.
    """

    def __init__(self, process: Process, *, concurrency: int, inbox: "queue.SimpleQueue[Outcome | None]") -> None:
        self._process = process
        self._concurrency = concurrency
        self._inbox = inbox
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
            self._inbox.put(self._process(self._tasks.get()))
